/* SPDX-License-Identifier: BSD-3-Clause */
/* No request and no answer takes longer than its deadline, whatever the other side does. */

#include "daemon/device/peers/socket.h"

#include "common/time_text.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
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

ssize_t wg_socket_receive(int fd, char *buffer, size_t n, int64_t deadline)
{
	for (;;) {
		ssize_t received = recv(fd, buffer, n, MSG_DONTWAIT);
		int r = 0;

		if (received >= 0)
			return received;
		if (errno == EAGAIN)
			r = wait_for(fd, POLLIN, deadline);
		else if (errno != EINTR)
			r = -errno;
		if (r < 0)
			return r;
	}
}
