/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Every step has what is left of one deadline; the socket itself never blocks, so that a server that stops in
 * the middle of a message cannot hang its client.
 */

#include "control/varlink/client.h"

#include "common/time_text.h"
#include "common/unix_socket.h"
#include "control/varlink/codec.h"
#include "control/varlink/message.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#define READ_SIZE (64 * 1024)

struct varlink_client {
	int fd;
	struct varlink_decoder decoder;
	char *piece; /* READ_SIZE bytes */
};

static int64_t deadline_in(int timeout_ms)
{
	return timeout_ms < 0 ? INT64_MAX : time_now_boot() + timeout_ms * NSEC_PER_MSEC;
}

/* 0 when the socket is ready, -ETIMEDOUT or -errno. */
static int wait_ready(int fd, short events, int64_t deadline)
{
	for (;;) {
		struct pollfd poll_fd = {.fd = fd, .events = events};
		int64_t left = -1;
		int r;

		if (deadline != INT64_MAX) {
			left = (deadline - time_now_boot() + NSEC_PER_MSEC - 1) / NSEC_PER_MSEC;
			left = left < 0 ? 0 : MIN(left, INT32_MAX);
		}
		r = poll(&poll_fd, 1, (int)left);
		if (r > 0)
			return 0;
		if (r == 0)
			return -ETIMEDOUT;
		if (errno != EINTR)
			return -errno;
	}
}

int varlink_client_new_fd(int fd, struct varlink_client **ret_client)
{
	_cleanup_close_ int owned = fd;
	_cleanup_(varlink_client_freep) struct varlink_client *client = NULL;
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return -errno;
	client = calloc(1, sizeof(*client));
	if (!client)
		return -ENOMEM;
	client->fd = TAKE_FD(owned);
	client->decoder.max = (size_t)VARLINK_MESSAGE_MAX * 64;
	client->piece = malloc(READ_SIZE);
	if (!client->piece)
		return -ENOMEM;
	*ret_client = TAKE_PTR(client);
	return 0;
}

int varlink_client_connect(const char *path, int timeout_ms, struct varlink_client **ret_client)
{
	/* A year instead of for ever: it can be added to a time. */
	int64_t timeout = timeout_ms < 0 ? 365 * 86400 * NSEC_PER_SEC : timeout_ms * NSEC_PER_MSEC;
	int fd, r;

	r = unix_socket_connect(path, timeout, &fd);
	if (r < 0)
		return r;
	return varlink_client_new_fd(fd, ret_client);
}

void varlink_client_free(struct varlink_client *client)
{
	if (!client)
		return;
	safe_close(client->fd);
	varlink_decoder_deinit(&client->decoder);
	free(client->piece);
	free(client);
}

void varlink_client_set_max(struct varlink_client *client, size_t bytes)
{
	client->decoder.max = bytes;
}

static int send_all(struct varlink_client *client, const char *data, size_t n, int64_t deadline)
{
	while (n > 0) {
		ssize_t written = send(client->fd, data, n, MSG_NOSIGNAL);
		int r;

		if (written >= 0) {
			data += written;
			n -= (size_t)written;
			continue;
		}
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN)
			return errno == EPIPE ? -ECONNRESET : -errno;
		r = wait_ready(client->fd, POLLOUT, deadline);
		if (r < 0)
			return r;
	}
	return 0;
}

static int send_request(struct varlink_client *client, const char *method, json_t *parameters, bool more,
			int64_t deadline)
{
	_cleanup_buffer_ struct buffer output = {};
	int r;

	r = varlink_encode_request(&output, method, parameters,
				   more ? VARLINK_REQUEST_MORE : VARLINK_REQUEST_ONE);
	if (r < 0)
		return r;
	r = send_all(client, output.data, output.length, deadline);
	explicit_bzero(output.data, output.length);
	return r;
}

int varlink_client_send(struct varlink_client *client, const char *method, json_t *parameters, bool more,
			int timeout_ms)
{
	return send_request(client, method, parameters, more, deadline_in(timeout_ms));
}

/* One read. *ret_n is 0 if nothing has come. */
static int read_piece(struct varlink_client *client, size_t *ret_n)
{
	ssize_t n;

	do
		n = recv(client->fd, client->piece, READ_SIZE, 0);
	while (n < 0 && errno == EINTR);
	if (n == 0)
		return -ECONNRESET;
	if (n < 0 && errno != EAGAIN)
		return -errno;
	*ret_n = n < 0 ? 0 : (size_t)n;
	return 0;
}

int varlink_client_read(struct varlink_client *client, int timeout_ms, const char **ret_data, size_t *ret_n)
{
	int64_t deadline = deadline_in(timeout_ms);
	size_t n = 0;
	int r = 0;

	if (varlink_decoder_pending(&client->decoder) > 0)
		return -EBADMSG;
	while (r == 0 && n == 0) {
		r = wait_ready(client->fd, POLLIN, deadline);
		if (r == 0)
			r = read_piece(client, &n);
	}
	if (r < 0)
		return r;
	*ret_data = client->piece;
	*ret_n = n;
	return 0;
}

static int receive_reply(struct varlink_client *client, int64_t deadline, json_t **ret_parameters,
			 char **ret_error, bool *ret_continues)
{
	json_t *message;
	size_t n;
	int r;

	for (;;) {
		r = varlink_decoder_next(&client->decoder, &message);
		if (r != 0)
			break;
		r = wait_ready(client->fd, POLLIN, deadline);
		if (r < 0)
			return r;
		r = read_piece(client, &n);
		if (r == 0)
			r = varlink_decoder_feed(&client->decoder, client->piece, n);
		if (r < 0)
			return r;
	}
	if (r < 0)
		return r;
	r = varlink_parse_reply(message, ret_parameters, ret_error, ret_continues);
	json_decref(message);
	return r;
}

int varlink_client_receive(struct varlink_client *client, int timeout_ms, json_t **ret_parameters,
			   char **ret_error, bool *ret_continues)
{
	return receive_reply(client, deadline_in(timeout_ms), ret_parameters, ret_error, ret_continues);
}

int varlink_client_call(struct varlink_client *client, const char *method, json_t *parameters, int timeout_ms,
			json_t **ret_parameters, char **ret_error)
{
	int64_t deadline = deadline_in(timeout_ms);
	int r;

	r = send_request(client, method, parameters, false, deadline);
	if (r < 0)
		return r;
	return receive_reply(client, deadline, ret_parameters, ret_error, NULL);
}
