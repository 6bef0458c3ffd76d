/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * The clients of a Varlink server: sockets, buffers, turns and limits. A connection decodes requests, hands
 * them to the operations of the pool's owner, and sends what comes back; it knows nothing of methods.
 *
 * A client costs at most one message and one read of input, and max_output and one answer of output. In one
 * turn of the loop a client gets one read and a few requests, so that none can starve the others, and the
 * loop's priorities put operators before others. Nothing a client does is an error of the server.
 */

#include "common/cleanup.h"
#include "control/varlink/codec.h"

#include <event2/buffer.h>
#include <event2/event.h>
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>

struct buffer;
struct varlink_call;
struct varlink_connection;
struct worker;

struct varlink_server_options {
	const char *vendor, *product, *version, *url; /* for org.varlink.service.GetInfo; NULL: "" */
	/* 0: 64. The last quarter is kept for operators, so that nobody else can lock them out. */
	size_t max_clients;
	/* 0: 60000. A client silent this long within a message, or not taking answers, is cut off. */
	int idle_in_message_ms;
	/* 0: 16 MiB of answers that a client has not taken; one more and it is cut off. */
	size_t max_output;
	/* Refuse clients when only the descriptors reserved for the program's own work are left. */
	bool keep_reserve;
	/*
	 * Priorities of the loop (event_priority_set) at which clients are served, and new ones accepted at
	 * the operators'. 0, 0: as a loop without priorities has it.
	 */
	int operator_priority, other_priority;
	/*
	 * Decodes large messages off the loop; NULL: the loop decodes all. Its second halves use the
	 * connections, so it is freed before the server.
	 */
	struct worker *worker;
	/* Whether this peer may call privileged methods. NULL: nobody may. */
	bool (*is_operator)(uid_t uid, void *userdata);
	void *userdata; /* passed to the methods too */
};

/* What the server has seen since it began, for status and metrics. */
struct varlink_server_counters {
	size_t clients;	   /* now */
	uint64_t accepted; /* clients in total */
	uint64_t refused;  /* clients beyond the cap or for lack of descriptors, closed at once */
	uint64_t cut_off;  /* clients cut off for what they did, not those that went by themselves */
	uint64_t accept_errors;
	uint64_t calls;
	uint64_t denied; /* calls answered with PermissionDenied */
};

/* What the pool does with requests. */
struct varlink_connection_ops {
	/* Runs a request. 0, or -errno when it is not one and the client is to be disconnected. */
	int (*dispatch)(struct varlink_connection *client, json_t *request);
	/* Runs a oneway request while a stream is under way. */
	int (*dispatch_beside)(struct varlink_connection *client, json_t *request);
	/* The client has gone: tells the call's keeper, and drops the connection's reference. */
	void (*drop_call)(struct varlink_call *call);
};

struct varlink_connections {
	struct event_base *base;
	struct varlink_server_options options;
	const struct varlink_connection_ops *ops;
	void *userdata; /* of the ops */
	LIST_HEAD(, varlink_connection) clients;
	struct varlink_server_counters counters;
	size_t n_others; /* clients that are not operators */
};

struct varlink_connection {
	LIST_ENTRY(varlink_connection) entry;
	unsigned int n_refs;
	struct varlink_connections *pool;
	int fd; /* -1: closed */
	uid_t uid;
	bool trusted; /* an operator, when it connected */
	struct varlink_decoder decoder;
	struct evbuffer *output;
	struct event *read_event;
	struct event *write_event;
	struct event *turn_event;    /* continues with requests that have arrived */
	struct event *silent_event;  /* no input in the middle of a message */
	struct event *linger_event;  /* after shutting down its sending side: does it still read? */
	struct event *stalled_event; /* does not take its answers */
	struct varlink_call *call;   /* under way; one reference */
	bool call_more, call_oneway; /* what its request says */
	json_t *held;		     /* a request that waits for the end of a stream, or for its turn */
	bool decoding;		     /* the worker has the next request */
	bool unwanted;		     /* and need not decode it: read by the worker's thread */
	int64_t period_began;	     /* boot time; requests are counted by period */
	unsigned int n_asked;	     /* requests in this period */
	bool eof;		     /* sends nothing more */
	bool hung_up;		     /* and reads nothing more */
	bool more_input;	     /* complete requests may be left in the decoder */
	bool doomed;		     /* closed in the next turn */
	bool gone;		     /* and it was the client that left */
};

void varlink_connections_init(struct varlink_connections *pool, struct event_base *base,
			      const struct varlink_server_options *options,
			      const struct varlink_connection_ops *ops, void *userdata);
/* Closes all clients. */
void varlink_connections_deinit(struct varlink_connections *pool);
/* Takes a connected descriptor as one more client, also when it fails. 0 or -errno (-EUSERS: too many;
 * -EMFILE: only reserved descriptors are left). */
int varlink_connections_add(struct varlink_connections *pool, int fd);
/* What waits to be decoded is not wanted any more. */
void varlink_connections_end(struct varlink_connections *pool);
/* Disconnects clients that are no longer operators. */
void varlink_connections_check_operators(struct varlink_connections *pool);
bool varlink_connection_is_operator(const struct varlink_connection *client);

/* Handles the client's next request in another turn of the loop. */
void varlink_connection_wake(struct varlink_connection *client);
/* Disconnects the client in another turn, so that no call is closed while it is being answered. */
void varlink_connection_close_later(struct varlink_connection *client);
/*
 * Queues a message and sends what the socket takes at once. 0; -ENOMEM; -ENOBUFS when the client has not
 * taken max_output bytes, -ENOTCONN when it has gone: then it is disconnected in another turn.
 */
int varlink_connection_write(struct varlink_connection *client, const struct buffer *message);
