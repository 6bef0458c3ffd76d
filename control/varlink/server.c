/* SPDX-License-Identifier: BSD-3-Clause */
/* A server is its connections, its calls, and the sockets on which it accepts clients. */

#include "control/varlink/server.h"

#include "control/varlink/service.h"

#include <errno.h>
#include <sys/socket.h>

#define ACCEPTS_A_TURN 16
/* After an accept error (usually for lack of descriptors) the queue of connections is left alone this long.
 */
#define ACCEPT_PAUSE_MS 100

struct listener {
	LIST_ENTRY(listener) entry;
	struct varlink_server *server;
	int fd;
	struct event *accept_event;
	struct event *pause_event;
};

struct varlink_server {
	struct varlink_connections connections;
	struct varlink_calls calls;
	struct varlink_service service;
	LIST_HEAD(, listener) listeners;
};

int varlink_server_new(struct event_base *base, const struct varlink_server_options *options,
		       struct varlink_server **ret_server)
{
	_cleanup_(varlink_server_freep) struct varlink_server *server = calloc(1, sizeof(*server));
	int r;

	if (!server)
		return -ENOMEM;
	LIST_INIT(&server->listeners);
	varlink_connections_init(&server->connections, base, options, &varlink_call_connection_ops,
				 &server->calls);
	server->service =
		(struct varlink_service){.options = &server->connections.options, .calls = &server->calls};
	r = varlink_calls_add_interface(&server->calls, &varlink_service_interface, &server->service);
	if (r < 0)
		return r;
	*ret_server = TAKE_PTR(server);
	return 0;
}

int varlink_server_add_connection(struct varlink_server *server, int fd)
{
	return varlink_connections_add(&server->connections, fd);
}

static void listener_free(struct listener *listener)
{
	if (listener->accept_event)
		event_free(listener->accept_event);
	if (listener->pause_event)
		event_free(listener->pause_event);
	safe_close(listener->fd);
	free(listener);
}

static void on_accept(evutil_socket_t fd, short what, void *userdata)
{
	struct listener *listener = userdata;
	struct timeval pause = {.tv_usec = ACCEPT_PAUSE_MS * 1000};

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
		/* EMFILE, ENFILE, ENOMEM: the connection still waits and would wake the loop at once. */
		listener->server->connections.counters.accept_errors++;
		event_del(listener->accept_event);
		evtimer_add(listener->pause_event, &pause);
		return;
	}
}

static void on_pause_over(evutil_socket_t fd, short what, void *userdata)
{
	struct listener *listener = userdata;
	struct timeval pause = {.tv_usec = ACCEPT_PAUSE_MS * 1000};

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
	listener->accept_event =
		event_new(server->connections.base, fd, EV_READ | EV_PERSIST, on_accept, listener);
	listener->pause_event = event_new(server->connections.base, -1, 0, on_pause_over, listener);
	if (!listener->accept_event || !listener->pause_event ||
	    event_priority_set(listener->accept_event, server->connections.options.operator_priority) < 0 ||
	    event_priority_set(listener->pause_event, server->connections.options.operator_priority) < 0 ||
	    event_add(listener->accept_event, NULL) < 0) {
		listener_free(listener);
		return -ENOMEM;
	}
	LIST_INSERT_HEAD(&server->listeners, listener, entry);
	return 0;
}

void varlink_server_free(struct varlink_server *server)
{
	struct listener *listener;

	if (!server)
		return;
	while ((listener = LIST_FIRST(&server->listeners))) {
		LIST_REMOVE(listener, entry);
		listener_free(listener);
	}
	varlink_connections_deinit(&server->connections);
	free(server->calls.interfaces);
	free(server);
}

int varlink_server_add_interface(struct varlink_server *server, const struct varlink_interface *interface)
{
	return varlink_calls_add_interface(&server->calls, interface, server->connections.options.userdata);
}

void varlink_server_end(struct varlink_server *server)
{
	if (server)
		varlink_connections_end(&server->connections);
}

void varlink_server_check_operators(struct varlink_server *server)
{
	varlink_connections_check_operators(&server->connections);
}

void varlink_server_get_counters(const struct varlink_server *server,
				 struct varlink_server_counters *ret_counters)
{
	*ret_counters = server->connections.counters;
}
