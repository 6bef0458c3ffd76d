/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The server core: who is connected, what they are owed, and when they are shown the door. What their
 * requests mean is in varlink_call.c.
 *
 * A client costs at most one message and one read of input, and max_output and one answer of output. In one
 * turn of the loop a client gets one read and a few requests, so that none can starve the others, and the
 * loop's priorities put operators before others. Nothing a client does is an error of the server.
 */

#include "control/varlink/server.h"

#include "control/varlink/call.h"
#include "control/varlink/output.h"

#include "common/time_text.h"
#include "common/unix_socket.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>

#define MAX_CLIENTS	   64
#define IDLE_IN_MESSAGE_MS 60000
#define MAX_OUTPUT	   (16 * 1024 * 1024)
#define READ_SIZE	   (16 * 1024)
#define REQUESTS_A_TURN	   8
#define ACCEPTS_A_TURN	   16
/*
 * What a client that is no operator may ask: so many requests in a period. Two hundred a second are plenty
 * for whoever watches, and 48 clients that ask as fast as they can leave the loop most of its time.
 */
#define PERIOD_MS 40
/* After a full turn, so that operators who ask without end leave something of the loop to others. */
#define TURN_PAUSE_MS	  1
#define REQUESTS_A_PERIOD 8
/* Values in one message: Status and the like need a handful, the largest lists of routes and nodes fit. */
#define OTHER_VALUES	1024
#define OPERATOR_VALUES (128 * 1024)
/* How often a client that only listens is looked at, whether it still does. */
#define LINGER_MS 1000
/* With this much unread a client's next request waits until it has taken some. */
#define OUTPUT_ENOUGH (256 * 1024)
/* After an accept error (no descriptor left, above all) the queue of connections is left alone this long. */
#define ACCEPT_PAUSE_MS 100

struct listener {
	LIST_ENTRY(listener) entry;
	struct varlink_server *server;
	int fd;
	struct event *accept_event;
	struct event *pause_event;
};

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

int varlink_server_new(struct event_base *base, const struct varlink_server_options *options,
		       struct varlink_server **ret_server)
{
	struct varlink_server *server = calloc(1, sizeof(*server));

	if (!server)
		return -ENOMEM;
	server->base = base;
	server->options = *options;
	if (server->options.max_clients == 0)
		server->options.max_clients = MAX_CLIENTS;
	if (server->options.idle_in_message_ms == 0)
		server->options.idle_in_message_ms = IDLE_IN_MESSAGE_MS;
	if (server->options.max_output == 0)
		server->options.max_output = MAX_OUTPUT;
	LIST_INIT(&server->clients);
	LIST_INIT(&server->listeners);
	*ret_server = server;
	return 0;
}

static void event_freep(struct event **event)
{
	if (*event)
		event_free(*event);
	*event = NULL;
}

/* Clients. */

static void client_unref(struct varlink_server_client *client)
{
	if (--client->n_refs > 0)
		return;
	if (client->output)
		evbuffer_free(client->output);
	varlink_decoder_deinit(&client->decoder);
	json_decref(client->held);
	free(client);
}

/* Ends a client. Its memory stays while a caller up the stack holds a reference. */
static void client_close(struct varlink_server_client *client)
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
	LIST_REMOVE(client, entry);
	client->server->counters.clients--;
	client->server->n_others -= !client->trusted;
	if (call) {
		varlink_call_detach(call);
		varlink_call_unref(call);
	}
	client_unref(client);
}

static void client_cut_off(struct varlink_server_client *client)
{
	client->server->counters.cut_off++;
	client_close(client);
}

void varlink_client_wake(struct varlink_server_client *client)
{
	if (client->fd >= 0)
		event_active(client->turn_event, EV_TIMEOUT, 0);
}

void varlink_client_close_later(struct varlink_server_client *client)
{
	client->doomed = true;
	varlink_client_wake(client);
}

static int client_start(struct varlink_server_client *client)
{
	const struct varlink_server *server = client->server;
	struct event_base *base = server->base;
	struct event **const events[] = {&client->read_event,	 &client->write_event,
					 &client->turn_event,	 &client->silent_event,
					 &client->stalled_event, &client->linger_event};
	int priority = client->trusted ? server->options.operator_priority : server->options.other_priority;

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

/* Whether there is room for one more client of this kind. */
static bool server_has_room(const struct varlink_server *server, bool trusted)
{
	size_t max = server->options.max_clients;

	return server->counters.clients < max && (trusted || server->n_others < max - max / 4);
}

int varlink_server_add_connection(struct varlink_server *server, int fd)
{
	_cleanup_close_ int owned = fd;
	struct varlink_server_client *client;
	int flags = fcntl(fd, F_GETFL), r;
	struct unix_peer peer;
	bool trusted;

	if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return -errno;
	r = unix_socket_peer(fd, &peer);
	if (r < 0)
		return r;
	trusted = server->options.is_operator &&
		  server->options.is_operator(peer.uid, server->options.userdata);
	if (!server_has_room(server, trusted)) {
		server->counters.refused++;
		return -EUSERS;
	}
	client = calloc(1, sizeof(*client));
	if (!client)
		return -ENOMEM;
	client->n_refs = 1;
	client->server = server;
	client->fd = TAKE_FD(owned);
	client->uid = peer.uid;
	client->trusted = trusted;
	LIST_INSERT_HEAD(&server->clients, client, entry);
	server->counters.clients++;
	server->n_others += !trusted;
	r = client_start(client);
	if (r < 0) {
		client_close(client);
		return r;
	}
	server->counters.accepted++;
	return 0;
}

/* Starts, goes on with or stops the timer that runs while a condition lasts. */
static void run_timer(struct event *timer, bool lasts, bool again, int ms)
{
	struct timeval limit = milliseconds(ms);

	if (!lasts)
		evtimer_del(timer);
	else if (again || !evtimer_pending(timer, NULL))
		evtimer_add(timer, &limit);
}

/* Whoever has hung up waits for no answer, but what he asked for without wanting one is still done. */
static bool client_is_done(const struct varlink_server_client *client, size_t waiting)
{
	if (client->hung_up && client->call)
		return !varlink_call_is_oneway(client->call);
	return client->eof && !client->call && !client->held && !client->more_input && waiting == 0;
}

/* After anything happened: what to listen for next, and whether the client is done. */
static void client_settle(struct varlink_server_client *client, bool got_input, bool gave_output)
{
	bool reading = !client->eof && varlink_decoder_pending(&client->decoder) <= VARLINK_MESSAGE_MAX;
	int limit = client->server->options.idle_in_message_ms;
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
	/* Silence counts only while it is the client's turn to speak. */
	run_timer(client->silent_event,
		  reading && !client->call && varlink_decoder_in_message(&client->decoder), got_input, limit);
	run_timer(client->stalled_event, waiting > 0, gave_output, limit);
	run_timer(client->linger_event, client->eof && !client->hung_up, false, LINGER_MS);
}

/* Whether the client may have its next request looked at, be it only to see whether it wants an answer. */
static bool client_may_ask(const struct varlink_server_client *client)
{
	if (client->fd < 0 || client->doomed)
		return false;
	if (client->call && (client->held || !varlink_call_wants_more(client->call)))
		return false;
	return evbuffer_get_length(client->output) <= OUTPUT_ENOUGH;
}

/* Milliseconds until the client may have its next request looked at; 0: now. */
static int client_pause_ms(struct varlink_server_client *client)
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

/* The next request: 1, 0 when there is no whole one yet, or -errno. */
static int client_next(struct varlink_server_client *client, json_t **ret_request)
{
	if (client->held) {
		*ret_request = TAKE_PTR(client->held);
		return 1;
	}
	return varlink_decoder_next(&client->decoder, ret_request);
}

/* Runs a request, or puts it by for the end of the stream that is under way. */
static int client_handle(struct varlink_server_client *client, json_t *request)
{
	if (!client->call)
		return varlink_client_dispatch(client, request);
	if (json_is_true(json_object_get(request, "oneway")))
		return varlink_client_dispatch_beside(client, request);
	client->held = json_incref(request);
	return 0;
}

/* Looks at what is here already a little later. */
static void client_come_back(struct varlink_server_client *client, int ms)
{
	struct timeval pause = milliseconds(ms);

	evtimer_add(client->turn_event, &pause);
}

/* Requests that are here already, as many as one turn and the client's period allow. */
static void client_process(struct varlink_server_client *client)
{
	json_t *request;
	int r = 0, i;

	client->more_input = false;
	for (i = 0; i < REQUESTS_A_TURN; i++) {
		int pause_ms = client_pause_ms(client);

		if (!client_may_ask(client))
			break;
		if (pause_ms > 0) {
			client_come_back(client, pause_ms);
			break;
		}
		r = client_next(client, &request);
		if (r == 0)
			return;
		if (r > 0) {
			client->n_asked++;
			r = client_handle(client, request);
			json_decref(request);
		}
		if (r < 0) {
			client_cut_off(client);
			return;
		}
	}
	client->more_input = true; /* perhaps */
	if (i == REQUESTS_A_TURN)
		client_come_back(client, TURN_PAUSE_MS);
}

static void client_turn(struct varlink_server_client *client, bool got_input)
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

/* Whether the peer has closed altogether, and not only its sending side. */
static bool has_hung_up(int fd)
{
	struct pollfd poll_fd = {.fd = fd};

	return poll(&poll_fd, 1, 0) == 1 && (poll_fd.revents & (POLLHUP | POLLERR));
}

static void on_read(evutil_socket_t fd, short what, void *userdata)
{
	struct varlink_server_client *client = userdata;
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
	struct varlink_server_client *client = userdata;
	ssize_t n = varlink_output_write(client->output, fd);

	(void)what;
	if (n < 0 && n != -EAGAIN) {
		client_close(client);
		return;
	}
	/* There may be room for the next answer now. */
	if (client->more_input && evbuffer_get_length(client->output) <= OUTPUT_ENOUGH)
		varlink_client_wake(client);
	client_settle(client, false, n > 0);
}

/* A hang-up of a client that has shut down its sending side before is no event that the loop would see. */
static void on_linger(evutil_socket_t fd, short what, void *userdata)
{
	struct varlink_server_client *client = userdata;

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

/* Listeners. */

static void listener_free(struct listener *listener)
{
	event_freep(&listener->accept_event);
	event_freep(&listener->pause_event);
	safe_close(listener->fd);
	free(listener);
}

static void on_accept(evutil_socket_t fd, short what, void *userdata)
{
	struct listener *listener = userdata;
	struct timeval pause = milliseconds(ACCEPT_PAUSE_MS);

	(void)what;
	for (int i = 0; i < ACCEPTS_A_TURN; i++) {
		int client_fd = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (client_fd >= 0) {
			(void)varlink_server_add_connection(listener->server, client_fd);
			continue;
		}
		if (errno == EAGAIN)
			return;
		if (errno == EINTR || errno == ECONNABORTED)
			continue;
		/* EMFILE, ENFILE, ENOMEM: the connection still waits, so the loop would wake at once. */
		listener->server->counters.accept_errors++;
		event_del(listener->accept_event);
		evtimer_add(listener->pause_event, &pause);
		return;
	}
}

static void on_pause_over(evutil_socket_t fd, short what, void *userdata)
{
	struct listener *listener = userdata;
	struct timeval pause = milliseconds(ACCEPT_PAUSE_MS);

	(void)fd;
	(void)what;
	if (event_add(listener->accept_event, NULL) < 0)
		evtimer_add(listener->pause_event, &pause);
}

int varlink_server_listen(struct varlink_server *server, int fd)
{
	struct listener *listener = calloc(1, sizeof(*listener));

	if (!listener) {
		safe_close(fd);
		return -ENOMEM;
	}
	listener->server = server;
	listener->fd = fd;
	listener->accept_event = event_new(server->base, fd, EV_READ | EV_PERSIST, on_accept, listener);
	listener->pause_event = event_new(server->base, -1, 0, on_pause_over, listener);
	if (!listener->accept_event || !listener->pause_event ||
	    event_priority_set(listener->accept_event, server->options.operator_priority) < 0 ||
	    event_priority_set(listener->pause_event, server->options.operator_priority) < 0 ||
	    event_add(listener->accept_event, NULL) < 0) {
		listener_free(listener);
		return -ENOMEM;
	}
	LIST_INSERT_HEAD(&server->listeners, listener, entry);
	return 0;
}

void varlink_server_free(struct varlink_server *server)
{
	struct varlink_server_client *client;
	struct listener *listener;

	if (!server)
		return;
	while ((listener = LIST_FIRST(&server->listeners))) {
		LIST_REMOVE(listener, entry);
		listener_free(listener);
	}
	while ((client = LIST_FIRST(&server->clients)))
		client_close(client);
	free(server->interfaces);
	free(server);
}

int varlink_server_add_interface(struct varlink_server *server, const struct varlink_interface *interface)
{
	const struct varlink_interface **interfaces;
	int r;

	if (varlink_server_find_interface(server, interface->name, strlen(interface->name)))
		return -EEXIST;
	r = varlink_interface_check(interface);
	if (r < 0)
		return r;
	interfaces = reallocarray(server->interfaces, server->n_interfaces + 1, sizeof(*interfaces));
	if (!interfaces)
		return -ENOMEM;
	server->interfaces = interfaces;
	server->interfaces[server->n_interfaces++] = interface;
	return 0;
}

void varlink_server_check_operators(struct varlink_server *server)
{
	struct varlink_server_client *client, *next;

	for (client = LIST_FIRST(&server->clients); client; client = next) {
		next = LIST_NEXT(client, entry);
		if (client->trusted && !(server->options.is_operator &&
					 server->options.is_operator(client->uid, server->options.userdata)))
			varlink_client_close_later(client);
	}
}

void varlink_server_get_counters(const struct varlink_server *server,
				 struct varlink_server_counters *ret_counters)
{
	*ret_counters = server->counters;
}
