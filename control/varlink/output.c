/* SPDX-License-Identifier: BSD-3-Clause */
/* evbuffer_write() with MSG_NOSIGNAL: a peer that goes away must not end the program that links this library.
 */

#include "control/varlink/output.h"

#include "common/cleanup.h"

#include <errno.h>
#include <event2/buffer.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define PIECES 16

ssize_t varlink_output_write(struct evbuffer *output, int fd)
{
	struct evbuffer_iovec pieces[PIECES];
	struct iovec vectors[PIECES];
	struct msghdr message = {.msg_iov = vectors};
	int n = evbuffer_peek(output, -1, NULL, pieces, PIECES);
	ssize_t written;

	n = MIN(n, PIECES);
	for (int i = 0; i < n; i++)
		vectors[i] = (struct iovec){pieces[i].iov_base, pieces[i].iov_len};
	message.msg_iovlen = (size_t)n;
	if (n == 0)
		return 0;
	do
		written = sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
	while (written < 0 && errno == EINTR);
	if (written < 0)
		return -errno;
	evbuffer_drain(output, (size_t)written);
	return written;
}
