/* SPDX-License-Identifier: BSD-3-Clause */
/* Passes descriptors from one process to another, as replies to requests. */

#include "common/fd_pass.h"

#include "common/cleanup.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>

union control {
	struct cmsghdr header;
	char room[CMSG_SPACE(FD_PASS_MAX * sizeof(int))];
};

static ssize_t send_message(int socket_fd, const struct msghdr *message)
{
	ssize_t n;

	do
		n = sendmsg(socket_fd, message, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

static ssize_t receive_message(int socket_fd, struct msghdr *message)
{
	ssize_t n;

	do
		n = recvmsg(socket_fd, message, MSG_CMSG_CLOEXEC);
	while (n < 0 && errno == EINTR);
	return n < 0 ? -errno : n;
}

/* A reply still on its way would be taken for that to the next request: the socket must not be used again. */
static int give_up(int socket_fd, int error)
{
	(void)shutdown(socket_fd, SHUT_RDWR);
	return error == -ECONNRESET ? -EPIPE : error;
}

int fd_pass_pair(int *ret_ours, int *ret_theirs)
{
	int pair[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	*ret_ours = pair[0];
	*ret_theirs = pair[1];
	return 0;
}

int fd_pass_request(int socket_fd, const void *request, size_t size, int ret_fds[static FD_PASS_MAX])
{
	struct iovec piece = {.iov_base = (void *)request, .iov_len = size};
	struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1};
	union control control = {};
	struct cmsghdr *header;
	int32_t result = 0;
	ssize_t n;

	for (size_t i = 0; i < FD_PASS_MAX; i++)
		ret_fds[i] = -1;
	n = send_message(socket_fd, &message);
	/* Too long: nothing was sent. */
	if (n == -EMSGSIZE)
		return (int)n;
	if (n < 0)
		return give_up(socket_fd, (int)n);
	piece = (struct iovec){.iov_base = &result, .iov_len = sizeof(result)};
	message.msg_control = &control;
	message.msg_controllen = sizeof(control);
	n = receive_message(socket_fd, &message);
	if (n < 0)
		return give_up(socket_fd, (int)n);
	header = CMSG_FIRSTHDR(&message);
	if (header && header->cmsg_level == SOL_SOCKET && header->cmsg_type == SCM_RIGHTS)
		memcpy(ret_fds, CMSG_DATA(header),
		       MIN(header->cmsg_len - CMSG_LEN(0), FD_PASS_MAX * sizeof(int)));
	/* The kernel closes descriptors that this process has no room for. */
	if (n == sizeof(result) && result >= 0 && !(message.msg_flags & MSG_CTRUNC))
		return result;
	for (size_t i = 0; i < FD_PASS_MAX; i++)
		ret_fds[i] = safe_close(ret_fds[i]);
	if (n == 0)
		return -EPIPE;
	if (n != sizeof(result))
		return give_up(socket_fd, -EPROTO);
	return result < 0 ? result : -EMFILE;
}

int fd_pass_receive(int socket_fd, char ret_request[static FD_PASS_REQUEST_MAX + 1])
{
	struct iovec piece = {.iov_base = ret_request, .iov_len = FD_PASS_REQUEST_MAX};
	struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1};
	ssize_t n = receive_message(socket_fd, &message);

	if (n < 0)
		return (int)n;
	ret_request[n] = '\0';
	/* Half a path would be another path. */
	if (message.msg_flags & MSG_TRUNC)
		ret_request[0] = '\0';
	return (int)n;
}

int fd_pass_reply(int socket_fd, int result, const int fds[static FD_PASS_MAX])
{
	int32_t code = result;
	struct iovec piece = {.iov_base = &code, .iov_len = sizeof(code)};
	struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1};
	union control control = {};
	int sent[FD_PASS_MAX];
	size_t n = 0;
	ssize_t r;

	for (size_t i = 0; i < FD_PASS_MAX; i++)
		if (fds[i] >= 0)
			sent[n++] = fds[i];
	if (n > 0) {
		control.header = (struct cmsghdr){
			.cmsg_len = CMSG_LEN(n * sizeof(int)),
			.cmsg_level = SOL_SOCKET,
			.cmsg_type = SCM_RIGHTS,
		};
		memcpy(CMSG_DATA(&control.header), sent, n * sizeof(int));
		message.msg_control = &control;
		message.msg_controllen = CMSG_SPACE(n * sizeof(int));
	}
	r = send_message(socket_fd, &message);
	return r < 0 ? (int)r : 0;
}
