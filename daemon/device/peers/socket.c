/* SPDX-License-Identifier: BSD-3-Clause */
/* No request and no answer takes longer than its deadline, whatever the other side does. */

#include "daemon/device/peers/socket.h"

#include "common/time_text.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

static int wait_for(int fd, short events, int64_t deadline)
{
	struct pollfd poller = {.fd = fd, .events = events};
	int64_t left = deadline == INT64_MAX ? -1 : (deadline - time_now_boot()) / NSEC_PER_MSEC;
	int r;

	if (deadline != INT64_MAX && left <= 0)
		return -ETIMEDOUT;
	r = poll(&poller, 1, left > INT_MAX ? INT_MAX : (int)left);
	if (r < 0 && errno != EINTR)
		return -errno;
	return r == 0 ? -ETIMEDOUT : 0;
}

int wg_socket_send(int fd, const char *data, size_t n, int64_t deadline)
{
	size_t sent = 0;

	while (sent < n) {
		ssize_t now = send(fd, data + sent, n - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
		int r = 0;

		if (now >= 0)
			sent += (size_t)now;
		else if (errno == EAGAIN)
			r = wait_for(fd, POLLOUT, deadline);
		else if (errno != EINTR)
			r = -errno;
		if (r < 0)
			return r;
	}
	return 0;
}

int wg_socket_ask_sender(int fd)
{
	int on = 1;

	return setsockopt(fd, SOL_SOCKET, SO_PASSCRED, &on, sizeof(on)) < 0 ? -errno : 0;
}

static pid_t sender_of(struct msghdr *message)
{
	struct ucred credentials = {};

	for (struct cmsghdr *part = CMSG_FIRSTHDR(message); part; part = CMSG_NXTHDR(message, part))
		if (part->cmsg_level == SOL_SOCKET && part->cmsg_type == SCM_CREDENTIALS &&
		    part->cmsg_len == CMSG_LEN(sizeof(credentials)))
			memcpy(&credentials, CMSG_DATA(part), sizeof(credentials));
	return credentials.pid;
}

ssize_t wg_socket_receive_from(int fd, char *buffer, size_t n, int64_t deadline, pid_t *ret_sender)
{
	for (;;) {
		char control[CMSG_SPACE(sizeof(struct ucred))] __attribute__((aligned(8)));
		struct iovec data = {.iov_base = buffer, .iov_len = n};
		struct msghdr message = {.msg_iov = &data,
					 .msg_iovlen = 1,
					 .msg_control = control,
					 .msg_controllen = sizeof(control)};
		ssize_t received = recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
		int r = 0;

		if (received >= 0) {
			*ret_sender = sender_of(&message);
			return received;
		}
		if (errno == EAGAIN)
			r = wait_for(fd, POLLIN, deadline);
		else if (errno != EINTR)
			r = -errno;
		if (r < 0)
			return r;
	}
}

ssize_t wg_socket_receive(int fd, char *buffer, size_t n, int64_t deadline)
{
	pid_t sender;

	return wg_socket_receive_from(fd, buffer, n, deadline, &sender);
}
