/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Requests are written as the socket takes them; replies are handed out one by one, a few in one turn of the
 * loop. A callback may free the client: the memory stays until it returns.
 */

#include "control/varlink/async.h"

#include "control/varlink/codec.h"
#include "control/varlink/message.h"
#include "control/varlink/output.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/event.h>
#include <fcntl.h>
#include <sys/queue.h>
#include <sys/socket.h>

#define READ_SIZE      (64 * 1024)
#define OUTPUT_MAX     (4 * 1024 * 1024)
#define REPLIES_A_TURN 16

struct request {
	STAILQ_ENTRY(request) entry;
	void *userdata;
};

struct varlink_async {
	int fd;
	const struct varlink_async_ops *ops;
	void *userdata;
	struct varlink_decoder decoder;
	struct evbuffer *output;
	struct event *read_event;
	struct event *write_event;
	struct event *turn_event; /* continues with replies that have arrived; reports the end */
	STAILQ_HEAD(, request) requests;
	int error; /* why it has ended */
	bool eof;  /* nothing more comes, but replies may be left in the decoder */
	bool ended;
	bool reported; /* closed() was called */
	bool in_callback;
	bool freed; /* by a callback */
};

static void on_read(evutil_socket_t fd, short what, void *userdata);
static void on_write(evutil_socket_t fd, short what, void *userdata);
static void on_turn(evutil_socket_t fd, short what, void *userdata);

int varlink_async_new(struct event_base *base, int fd, const struct varlink_async_ops *ops, void *userdata,
		      struct varlink_async **ret_async)
{
	_cleanup_close_ int owned = fd;
	struct varlink_async *async;
	int flags = fcntl(fd, F_GETFL);

	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return -errno;
	async = calloc(1, sizeof(*async));
	if (!async)
		return -ENOMEM;
	async->fd = TAKE_FD(owned);
	async->ops = ops;
	async->userdata = userdata;
	async->decoder.max = (size_t)VARLINK_MESSAGE_MAX * 64;
	STAILQ_INIT(&async->requests);
	async->output = evbuffer_new();
	async->read_event = event_new(base, fd, EV_READ | EV_PERSIST, on_read, async);
	async->write_event = event_new(base, fd, EV_WRITE | EV_PERSIST, on_write, async);
	async->turn_event = event_new(base, -1, EV_PERSIST, on_turn, async);
	if (!async->output || !async->read_event || !async->write_event || !async->turn_event ||
	    event_add(async->read_event, NULL) < 0) {
		varlink_async_free(async);
		return -ENOMEM;
	}
	*ret_async = async;
	return 0;
}

static void event_freep(struct event **event)
{
	if (*event)
		event_free(*event);
	*event = NULL;
}

static void async_disconnect(struct varlink_async *async)
{
	struct request *request;

	event_freep(&async->read_event);
	event_freep(&async->write_event);
	async->fd = safe_close(async->fd);
	while ((request = STAILQ_FIRST(&async->requests))) {
		STAILQ_REMOVE_HEAD(&async->requests, entry);
		free(request);
	}
}

void varlink_async_free(struct varlink_async *async)
{
	if (!async)
		return;
	async_disconnect(async);
	event_freep(&async->turn_event);
	async->ended = true;
	async->reported = true;
	if (async->in_callback) {
		async->freed = true;
		return;
	}
	if (async->output)
		evbuffer_free(async->output);
	varlink_decoder_deinit(&async->decoder);
	free(async);
}

/* Ends the connection; closed() follows from the loop. */
static void async_end(struct varlink_async *async, int error)
{
	if (async->ended)
		return;
	async->ended = true;
	async->error = error;
	async_disconnect(async);
	event_active(async->turn_event, EV_TIMEOUT, 0);
}

/* Puts an encoded request into the queue. 0, -ENOTCONN, -ENOBUFS or -ENOMEM. */
static int async_queue(struct varlink_async *async, const struct buffer *output)
{
	if (async->ended)
		return -ENOTCONN;
	if (evbuffer_get_length(async->output) + output->length > OUTPUT_MAX)
		return -ENOBUFS;
	if (evbuffer_add(async->output, output->data, output->length) < 0 ||
	    event_add(async->write_event, NULL) < 0)
		return -ENOMEM;
	return 0;
}

int varlink_async_send(struct varlink_async *async, const char *method, json_t *parameters, bool more,
		       void *request)
{
	_cleanup_buffer_ struct buffer output = {};
	struct request *waiting;
	int r;

	r = varlink_encode_request(&output, method, parameters,
				   more ? VARLINK_REQUEST_MORE : VARLINK_REQUEST_ONE);
	if (r < 0)
		return r;
	waiting = calloc(1, sizeof(*waiting));
	r = waiting ? async_queue(async, &output) : -ENOMEM;
	if (r == 0) {
		waiting->userdata = request;
		STAILQ_INSERT_TAIL(&async->requests, waiting, entry);
	} else {
		free(waiting);
	}
	explicit_bzero(output.data, output.length);
	return r;
}

int varlink_async_send_oneway(struct varlink_async *async, const char *method, json_t *parameters)
{
	_cleanup_buffer_ struct buffer output = {};
	int r;

	r = varlink_encode_request(&output, method, parameters, VARLINK_REQUEST_ONEWAY);
	if (r < 0)
		return r;
	r = async_queue(async, &output);
	explicit_bzero(output.data, output.length);
	return r;
}

static void on_write(evutil_socket_t fd, short what, void *userdata)
{
	struct varlink_async *async = userdata;
	ssize_t n = varlink_output_write(async->output, fd);

	(void)what;
	if (n < 0 && n != -EAGAIN)
		async_end(async, n == -EPIPE ? -ECONNRESET : (int)n);
	else if (evbuffer_get_length(async->output) == 0)
		event_del(async->write_event);
}

/* Hands one reply to its request. 0 or -errno. */
static int async_reply(struct varlink_async *async, json_t *message)
{
	struct request *request = STAILQ_FIRST(&async->requests);
	_cleanup_free_ char *error = NULL;
	json_t *parameters;
	bool continues;
	void *userdata;
	int r;

	if (!request)
		return -EBADMSG;
	r = varlink_parse_reply(message, &parameters, &error, &continues);
	if (r < 0)
		return r;
	userdata = request->userdata;
	if (!continues) {
		STAILQ_REMOVE_HEAD(&async->requests, entry);
		free(request);
	}
	async->ops->reply(error, parameters, continues, userdata, async->userdata);
	json_decref(parameters);
	return 0;
}

static void async_replies(struct varlink_async *async)
{
	json_t *message;
	int r = 0;

	for (int i = 0; i < REPLIES_A_TURN && !async->ended; i++) {
		r = varlink_decoder_next(&async->decoder, &message);
		if (r == 0 && async->eof)
			async_end(async, varlink_decoder_in_message(&async->decoder) ? -ECONNRESET : 0);
		if (r == 0)
			return;
		if (r > 0) {
			r = async_reply(async, message);
			json_decref(message);
		}
		if (r < 0) {
			async_end(async, r);
			return;
		}
	}
	if (!async->ended)
		event_active(async->turn_event, EV_TIMEOUT, 0);
}

/* Runs what may call back, and afterwards frees the client if a callback asked for it. */
static void async_call_back(struct varlink_async *async, void (*run)(struct varlink_async *async))
{
	async->in_callback = true;
	run(async);
	async->in_callback = false;
	if (async->freed)
		varlink_async_free(async);
}

static void async_report_end(struct varlink_async *async)
{
	async->reported = true;
	if (async->ops->closed)
		async->ops->closed(async->error, async->userdata);
}

static void on_turn(evutil_socket_t fd, short what, void *userdata)
{
	struct varlink_async *async = userdata;

	(void)fd;
	(void)what;
	if (!async->ended)
		async_call_back(async, async_replies);
	else if (!async->reported)
		async_call_back(async, async_report_end);
}

static void on_read(evutil_socket_t fd, short what, void *userdata)
{
	struct varlink_async *async = userdata;
	char piece[READ_SIZE];
	ssize_t n;
	int r;

	(void)what;
	/* Replies that wait for their turn come first: the decoder holds one message and one read at most. */
	if (varlink_decoder_pending(&async->decoder) > async->decoder.max + READ_SIZE) {
		event_active(async->turn_event, EV_TIMEOUT, 0);
		return;
	}
	n = recv(fd, piece, sizeof(piece), 0);
	if (n < 0) {
		if (errno != EAGAIN && errno != EINTR)
			async_end(async, -errno);
		return;
	}
	if (n == 0) {
		async->eof = true;
		event_del(async->read_event);
	}
	r = varlink_decoder_feed(&async->decoder, piece, (size_t)n);
	if (r < 0) {
		async_end(async, r);
		return;
	}
	async_call_back(async, async_replies);
}
