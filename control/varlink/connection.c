/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A client's events are a read, a write, a turn, and three timers. Every event ends in client_settle(), which
 * decides what to wait for next.
 */

#include "control/varlink/connection.h"

#include "common/buffer.h"
#include "common/descriptors.h"
#include "common/time_text.h"
#include "common/unix_socket.h"
#include "common/worker.h"
#include "control/varlink/output.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#define MAX_CLIENTS	   64
#define IDLE_IN_MESSAGE_MS 60000
#define MAX_OUTPUT	   (16 * 1024 * 1024)
#define READ_SIZE	   (16 * 1024)
/* A message of this size is decoded off the loop: a mebibyte of small values takes 20 to 60 ms. */
#define LARGE_MESSAGE	(64 * 1024)
#define REQUESTS_A_TURN 8
/*
 * Requests that a client may make in a period if it is not an operator. Two hundred a second are plenty for
 * monitoring, and 48 clients that ask as fast as they can leave the loop most of its time.
 */
#define PERIOD_MS	  40
#define REQUESTS_A_PERIOD 8
/* After a full turn, so that operators with endless requests leave some of the loop to others. */
#define TURN_PAUSE_MS 1
/* Values in one message: most requests need a handful; the largest lists of routes and nodes fit. */
#define OTHER_VALUES	1024
#define OPERATOR_VALUES (128 * 1024)
/* How often to check whether a client that only listens is still there. */
#define LINGER_MS 1000
/* With this much output waiting, a client's next request waits until it has taken some. */
#define OUTPUT_ENOUGH (256 * 1024)

static void on_read(evutil_socket_t fd, short what, void *userdata);
static void on_write(evutil_socket_t fd, short what, void *userdata);
static void on_turn(evutil_socket_t fd, short what, void *userdata);
static void on_silent(evutil_socket_t fd, short what, void *userdata);
static void on_stalled(evutil_socket_t fd, short what, void *userdata);
static void on_linger(evutil_socket_t fd, short what, void *userdata);

static struct timeval milliseconds(int ms)
{
	return (struct timeval){.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
}

static bool is_operator(const struct varlink_connections *pool, uid_t uid)
{
	return pool->options.is_operator && pool->options.is_operator(uid, pool->options.userdata);
}

bool varlink_connection_is_operator(const struct varlink_connection *client)
{
	return is_operator(client->pool, client->uid);
}

static void event_freep(struct event **event)
{
	if (*event)
		event_free(*event);
	*event = NULL;
}

static void client_unref(struct varlink_connection *client)
{
	if (--client->n_refs > 0)
		return;
	if (client->output)
		evbuffer_free(client->output);
	varlink_decoder_deinit(&client->decoder);
	json_decref(client->held);
	free(client);
}

/* Disconnects a client. Its memory stays while a caller up the stack holds a reference. */
static void client_close(struct varlink_connection *client)
{
	struct varlink_call *call = TAKE_PTR(client->call);

	if (client->fd < 0)
		return;
	event_freep(&client->read_event);
	event_freep(&client->write_event);
	event_freep(&client->turn_event);
	event_freep(&client->silent_event);
	event_freep(&client->stalled_event);
	event_freep(&client->linger_event);
	client->fd = safe_close(client->fd);
	__atomic_store_n(&client->unwanted, true, __ATOMIC_RELAXED);
	LIST_REMOVE(client, entry);
	client->pool->counters.clients--;
	client->pool->n_others -= !client->trusted;
	if (call)
		client->pool->ops->drop_call(call);
	client_unref(client);
}

static void client_cut_off(struct varlink_connection *client)
{
	client->pool->counters.cut_off++;
	client_close(client);
}

void varlink_connection_wake(struct varlink_connection *client)
{
	if (client->fd >= 0)
		event_active(client->turn_event, EV_TIMEOUT, 0);
}

void varlink_connection_close_later(struct varlink_connection *client)
{
	client->doomed = true;
	varlink_connection_wake(client);
}

static int client_start(struct varlink_connection *client)
{
	const struct varlink_connections *pool = client->pool;
	struct event_base *base = pool->base;
	struct event **const events[] = {&client->read_event,	 &client->write_event,
					 &client->turn_event,	 &client->silent_event,
					 &client->stalled_event, &client->linger_event};
	int priority = client->trusted ? pool->options.operator_priority : pool->options.other_priority;

	client->output = evbuffer_new();
	client->read_event = event_new(base, client->fd, EV_READ | EV_PERSIST, on_read, client);
	client->write_event = event_new(base, client->fd, EV_WRITE | EV_PERSIST, on_write, client);
	client->turn_event = event_new(base, -1, 0, on_turn, client);
	client->silent_event = event_new(base, -1, 0, on_silent, client);
	client->stalled_event = event_new(base, -1, 0, on_stalled, client);
	client->linger_event = event_new(base, -1, 0, on_linger, client);
	for (size_t i = 0; i < ARRAY_SIZE(events); i++)
		if (!*events[i] || event_priority_set(*events[i], priority) < 0)
			return -ENOMEM;
	if (!client->output || event_add(client->read_event, NULL) < 0)
		return -ENOMEM;
	client->decoder.max_values = client->trusted ? OPERATOR_VALUES : OTHER_VALUES;
	return 0;
}

/* The last quarter of the places is for operators. */
static bool has_room(const struct varlink_connections *pool, bool trusted)
{
	size_t max = pool->options.max_clients;

	return pool->counters.clients < max && (trusted || pool->n_others < max - max / 4);
}

int varlink_connections_add(struct varlink_connections *pool, int fd)
{
	_cleanup_close_ int owned = fd;
	struct varlink_connection *client;
	int flags = fcntl(fd, F_GETFL), r;
	struct unix_peer peer;
	bool trusted;

	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return -errno;
	r = unix_socket_peer(fd, &peer);
	if (r < 0)
		return r;
	if (pool->options.keep_reserve && descriptor_is_reserved(fd)) {
		pool->counters.refused++;
		return -EMFILE;
	}
	trusted = is_operator(pool, peer.uid);
	if (!has_room(pool, trusted)) {
		pool->counters.refused++;
		return -EUSERS;
	}
	client = calloc(1, sizeof(*client));
	if (!client)
		return -ENOMEM;
	client->n_refs = 1;
	client->pool = pool;
	client->fd = TAKE_FD(owned);
	client->uid = peer.uid;
	client->trusted = trusted;
	LIST_INSERT_HEAD(&pool->clients, client, entry);
	pool->counters.clients++;
	pool->n_others += !trusted;
	r = client_start(client);
	if (r < 0) {
		client_close(client);
		return r;
	}
	pool->counters.accepted++;
	return 0;
}

/* A timer that runs as long as a condition lasts, from its beginning or the last progress. */
static void run_timer(struct event *timer, bool lasts, bool progress, int ms)
{
	struct timeval limit = milliseconds(ms);

	if (!lasts)
		evtimer_del(timer);
	else if (progress || !evtimer_pending(timer, NULL))
		evtimer_add(timer, &limit);
}

/* A client that has hung up waits for no answer; but a oneway request, which wants none, is still run. */
static bool client_is_done(const struct varlink_connection *client, size_t waiting)
{
	if (client->hung_up && client->call)
		return !client->call_oneway;
	return client->eof && !client->call && !client->held && !client->decoding && !client->more_input &&
	       waiting == 0;
}

/* After every event: is the client done, and what to wait for next? */
static void client_settle(struct varlink_connection *client, bool got_input, bool gave_output)
{
	bool reading = !client->eof && varlink_decoder_pending(&client->decoder) <= VARLINK_MESSAGE_MAX;
	int limit = client->pool->options.idle_in_message_ms;
	size_t waiting;

	if (client->hung_up)
		evbuffer_drain(client->output, evbuffer_get_length(client->output));
	waiting = evbuffer_get_length(client->output);
	if (client_is_done(client, waiting)) {
		client_close(client);
		return;
	}
	if (reading && !event_pending(client->read_event, EV_READ, NULL))
		event_add(client->read_event, NULL);
	else if (!reading)
		event_del(client->read_event);
	if (waiting > 0 && !event_pending(client->write_event, EV_WRITE, NULL))
		event_add(client->write_event, NULL);
	else if (waiting == 0)
		event_del(client->write_event);
	/* Silence counts only when it is the client's turn. */
	run_timer(client->silent_event,
		  reading && !client->call && varlink_decoder_in_message(&client->decoder), got_input, limit);
	run_timer(client->stalled_event, waiting > 0, gave_output, limit);
	run_timer(client->linger_event, client->eof && !client->hung_up, false, LINGER_MS);
}

/* Whether the next request may be decoded, if only to see whether it is oneway. */
static bool client_may_ask(const struct varlink_connection *client)
{
	if (client->fd < 0 || client->doomed || client->decoding)
		return false;
	if (client->call && (client->held || !client->call_more))
		return false;
	return evbuffer_get_length(client->output) <= OUTPUT_ENOUGH;
}

/* Milliseconds until the next request may be decoded; 0: now. */
static int client_pause_ms(struct varlink_connection *client)
{
	int64_t now, left;

	if (client->trusted)
		return 0;
	now = time_now_boot();
	left = client->period_began + PERIOD_MS * NSEC_PER_MSEC - now;
	if (left <= 0) {
		client->period_began = now;
		client->n_asked = 0;
	}
	return client->n_asked < REQUESTS_A_PERIOD ? 0 : (int)(left / NSEC_PER_MSEC) + 1;
}

/* A message on its way through the worker. */
struct large_message {
	struct varlink_connection *client; /* a reference */
	char *text;
	size_t length;
	int result; /* 0 or -errno */
	json_t *request;
};

static void large_message_free(struct large_message *message)
{
	explicit_bzero(message->text, message->length);
	free(message->text);
	json_decref(message->request);
	client_unref(message->client);
	free(message);
}

static void decode_large(void *data)
{
	struct large_message *message = data;

	if (__atomic_load_n(&message->client->unwanted, __ATOMIC_RELAXED))
		message->result = -ECANCELED;
	else
		message->result = varlink_decode(message->text, message->length, &message->request);
}

/* The request is handled in a turn of its own, as if it had waited for the end of a stream. */
static void on_large_decoded(void *data)
{
	struct large_message *message = data;
	struct varlink_connection *client = message->client;

	client->decoding = false;
	client->held = TAKE_PTR(message->request);
	if (message->result < 0)
		varlink_connection_close_later(client);
	else
		varlink_connection_wake(client);
	large_message_free(message);
}

/* Takes the text. 0: the request follows in another turn; or -errno. */
static int client_decode_large(struct varlink_connection *client, char *text, size_t length)
{
	struct large_message *message = calloc(1, sizeof(*message));
	int r;

	if (!message) {
		explicit_bzero(text, length);
		free(text);
		return -ENOMEM;
	}
	*message = (struct large_message){.client = client, .text = text, .length = length};
	client->n_refs++;
	r = worker_post(client->pool->options.worker, decode_large, on_large_decoded, message);
	if (r < 0)
		large_message_free(message);
	else
		client->decoding = true;
	return r;
}

/* The next request: 1; 0 when none is complete or decoded yet; or -errno. */
static int client_next(struct varlink_connection *client, json_t **ret_request)
{
	size_t length;
	char *text;
	int r = 0;

	if (client->held) {
		*ret_request = TAKE_PTR(client->held);
		return 1;
	}
	if (client->pool->options.worker)
		r = varlink_decoder_next_text(&client->decoder, LARGE_MESSAGE, &text, &length);
	if (r > 0)
		return client_decode_large(client, text, length);
	return r < 0 ? r : varlink_decoder_next(&client->decoder, ret_request);
}

/* Handles requests that have arrived, as many as one turn and the client's period allow. */
static void client_process(struct varlink_connection *client)
{
	const struct varlink_connection_ops *ops = client->pool->ops;
	struct timeval pause = milliseconds(TURN_PAUSE_MS);
	json_t *request;
	int i;

	client->more_input = false;
	for (i = 0; i < REQUESTS_A_TURN && client_may_ask(client); i++) {
		int pause_ms = client_pause_ms(client), r;

		if (pause_ms > 0) {
			pause = milliseconds(pause_ms);
			evtimer_add(client->turn_event, &pause);
			break;
		}
		r = client_next(client, &request);
		if (r == 0)
			return; /* none yet */
		if (r > 0) {
			client->n_asked++;
			if (!client->call)
				r = ops->dispatch(client, request);
			else if (json_is_true(json_object_get(request, "oneway")))
				r = ops->dispatch_beside(client, request);
			else
				client->held = json_incref(request); /* until the stream ends */
			json_decref(request);
		}
		if (r < 0) {
			client_cut_off(client);
			return;
		}
	}
	client->more_input = true; /* perhaps */
	if (i == REQUESTS_A_TURN)
		evtimer_add(client->turn_event, &pause);
}

static void client_turn(struct varlink_connection *client, bool got_input)
{
	client->n_refs++;
	client_process(client);
	if (client->fd >= 0 && client->doomed && client->gone)
		client_close(client);
	else if (client->fd >= 0 && client->doomed)
		client_cut_off(client);
	if (client->fd >= 0)
		client_settle(client, got_input, false);
	client_unref(client);
}

static void on_turn(evutil_socket_t fd, short what, void *userdata)
{
	(void)fd;
	(void)what;
	client_turn(userdata, false);
}

/* Whether the peer has closed the whole connection and not only its sending side. */
static bool has_hung_up(int fd)
{
	struct pollfd poll_fd = {.fd = fd};

	return poll(&poll_fd, 1, 0) == 1 && (poll_fd.revents & (POLLHUP | POLLERR));
}

static void on_read(evutil_socket_t fd, short what, void *userdata)
{
	struct varlink_connection *client = userdata;
	char piece[READ_SIZE];
	ssize_t n = recv(fd, piece, sizeof(piece), 0);
	int r;

	(void)what;
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n < 0) {
		client_close(client);
		return;
	}
	client->eof = n == 0;
	client->hung_up = n == 0 && has_hung_up(fd);
	r = varlink_decoder_feed(&client->decoder, piece, (size_t)n);
	explicit_bzero(piece, (size_t)n);
	if (r < 0)
		client_cut_off(client);
	else
		client_turn(client, true);
}

static void on_write(evutil_socket_t fd, short what, void *userdata)
{
	struct varlink_connection *client = userdata;
	ssize_t n = varlink_output_write(client->output, fd);

	(void)what;
	if (n < 0 && n != -EAGAIN) {
		client_close(client);
		return;
	}
	/* There is room for the next answer now. */
	if (client->more_input && evbuffer_get_length(client->output) <= OUTPUT_ENOUGH)
		varlink_connection_wake(client);
	client_settle(client, false, n > 0);
}

/* The loop gets no event when a client that has shut down its sending side hangs up. */
static void on_linger(evutil_socket_t fd, short what, void *userdata)
{
	struct varlink_connection *client = userdata;

	(void)fd;
	(void)what;
	client->hung_up = has_hung_up(client->fd);
	client_settle(client, false, false);
}

static void on_silent(evutil_socket_t fd, short what, void *userdata)
{
	(void)fd;
	(void)what;
	client_cut_off(userdata);
}

static void on_stalled(evutil_socket_t fd, short what, void *userdata)
{
	(void)fd;
	(void)what;
	client_cut_off(userdata);
}

int varlink_connection_write(struct varlink_connection *client, const struct buffer *message)
{
	size_t waiting = evbuffer_get_length(client->output);
	ssize_t n;

	if (waiting > client->pool->options.max_output) {
		varlink_connection_close_later(client);
		return -ENOBUFS;
	}
	if (evbuffer_add(client->output, message->data, message->length) < 0)
		return -ENOMEM;
	if (waiting > 0)
		return 0;
	n = varlink_output_write(client->output, client->fd);
	if (n < 0 && n != -EAGAIN) {
		client->gone = true;
		varlink_connection_close_later(client);
		return -ENOTCONN;
	}
	/* The loop takes over the rest. */
	if (evbuffer_get_length(client->output) > 0)
		varlink_connection_wake(client);
	return 0;
}

void varlink_connections_init(struct varlink_connections *pool, struct event_base *base,
			      const struct varlink_server_options *options,
			      const struct varlink_connection_ops *ops, void *userdata)
{
	*pool = (struct varlink_connections){
		.base = base, .options = *options, .ops = ops, .userdata = userdata};
	if (pool->options.max_clients == 0)
		pool->options.max_clients = MAX_CLIENTS;
	if (pool->options.idle_in_message_ms == 0)
		pool->options.idle_in_message_ms = IDLE_IN_MESSAGE_MS;
	if (pool->options.max_output == 0)
		pool->options.max_output = MAX_OUTPUT;
	LIST_INIT(&pool->clients);
}

void varlink_connections_deinit(struct varlink_connections *pool)
{
	while (!LIST_EMPTY(&pool->clients))
		client_close(LIST_FIRST(&pool->clients));
}

void varlink_connections_end(struct varlink_connections *pool)
{
	struct varlink_connection *client;

	LIST_FOREACH (client, &pool->clients, entry)
		__atomic_store_n(&client->unwanted, true, __ATOMIC_RELAXED);
}

void varlink_connections_check_operators(struct varlink_connections *pool)
{
	struct varlink_connection *client, *next;

	for (client = LIST_FIRST(&pool->clients); client; client = next) {
		next = LIST_NEXT(client, entry);
		if (client->trusted && !varlink_connection_is_operator(client))
			varlink_connection_close_later(client);
	}
}
