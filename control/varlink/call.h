/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* What the two halves of the server core share: connections (varlink_server.c) and calls (varlink_call.c). */

#include "control/varlink/codec.h"
#include "control/varlink/server.h"

#include <event2/buffer.h>
#include <event2/event.h>
#include <sys/queue.h>

struct listener;
struct varlink_server_client;

struct varlink_server {
	struct event_base *base;
	struct varlink_server_options options;
	const struct varlink_interface **interfaces; /* without org.varlink.service */
	size_t n_interfaces;
	LIST_HEAD(, varlink_server_client) clients;
	LIST_HEAD(, listener) listeners;
	struct varlink_server_counters counters;
	size_t n_others; /* clients that are no operators */
};

struct varlink_server_client {
	LIST_ENTRY(varlink_server_client) entry;
	unsigned int n_refs;
	struct varlink_server *server;
	int fd; /* -1: closed */
	uid_t uid;
	bool trusted; /* an operator, when it came */
	struct varlink_decoder decoder;
	struct evbuffer *output;
	struct event *read_event;
	struct event *write_event;
	struct event *turn_event;    /* goes on with requests that are already here */
	struct event *silent_event;  /* silent in the middle of a message */
	struct event *linger_event;  /* has shut down its sending side: does it still read? */
	struct event *stalled_event; /* takes nothing of what it is owed */
	struct varlink_call *call;   /* under way; one reference */
	json_t *held;		     /* a request that waits for the end of a stream */
	int64_t period_began;	     /* boot time; of the period in which requests are counted */
	unsigned int n_asked;	     /* requests in it */
	bool eof;		     /* will send nothing more */
	bool hung_up;		     /* nor read anything */
	bool more_input;	     /* there may be requests that were not looked at */
	bool doomed;		     /* to be closed at the next turn */
	bool gone;		     /* and by its own doing */
};

/* Looks at the client's next request in a turn of the loop of its own. */
void varlink_client_wake(struct varlink_server_client *client);
/* Cuts the client off, in a turn of its own: whoever answers is not told of an end while he does. */
void varlink_client_close_later(struct varlink_server_client *client);

/* Runs a request. 0, or -errno when it is none and the client must go. */
int varlink_client_dispatch(struct varlink_server_client *client, json_t *request);
/* Runs a oneway request while a stream is under way. A call that its method keeps goes on without a client.
 */
int varlink_client_dispatch_beside(struct varlink_server_client *client, json_t *request);
/* The client has gone: tells the call's keeper. */
void varlink_call_detach(struct varlink_call *call);

const struct varlink_interface *varlink_server_find_interface(const struct varlink_server *server,
							      const char *name, size_t length);
/* Whether the description can be read and holds the methods. 0 or -EINVAL. */
int varlink_interface_check(const struct varlink_interface *interface);
/* org.varlink.service itself; its methods get the server as userdata. */
extern const struct varlink_interface varlink_service_interface;
