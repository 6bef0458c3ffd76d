/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * Varlink clients: one that waits, with a deadline for everything, for programs and threads that have
 * nothing else to do; and, below, one on a libevent loop.
 */

#include "common/cleanup.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct event_base;
struct varlink_client;

/* Time-outs are in milliseconds; -1 waits forever. */

/*
 * Connects to a Unix stream socket. 0 or -errno: -ENOENT and -ECONNREFUSED when nobody listens, -EACCES,
 * -ETIMEDOUT, -ENAMETOOLONG for a path that does not fit a socket address (107 bytes).
 */
int varlink_client_connect(const char *path, int timeout_ms, struct varlink_client **ret_client);
/* Takes a connected descriptor, also when it fails (-ENOMEM, -errno of fcntl). */
int varlink_client_new_fd(int fd, struct varlink_client **ret_client);
void varlink_client_free(struct varlink_client *client);
DEFINE_CLEANUP(struct varlink_client *, varlink_client_free);
/* Largest reply it takes; default VARLINK_MESSAGE_MAX x 64. */
void varlink_client_set_max(struct varlink_client *client, size_t bytes);

/*
 * Sends a request. Takes the reference to parameters (NULL: none), also when it fails. more: replies come
 * until one without "continues". 0 or -errno; after an error the connection is of no more use.
 */
int varlink_client_send(struct varlink_client *client, const char *method, json_t *parameters, bool more,
			int timeout_ms);
/*
 * Receives a reply: parameters (a new reference; an empty object if none) and, for an error, its name (owned
 * by the caller) with 0 returned and *ret_error not NULL. ret_continues may be NULL.
 * -ETIMEDOUT (what has come of a reply is kept: receive again), -ECONNRESET at the other side's end,
 * -EBADMSG for nonsense, -EMSGSIZE.
 */
int varlink_client_receive(struct varlink_client *client, int timeout_ms, json_t **ret_parameters,
			   char **ret_error, bool *ret_continues);
/*
 * For a reply that is too large to be held: its bytes as they come, at least one, up to and with the NUL, and
 * valid until the next call. Errors as above, and -EBADMSG when something came before it was asked for.
 */
int varlink_client_read(struct varlink_client *client, int timeout_ms, const char **ret_data, size_t *ret_n);
/* One call, one reply; timeout_ms for both together. */
int varlink_client_call(struct varlink_client *client, const char *method, json_t *parameters, int timeout_ms,
			json_t **ret_parameters, char **ret_error);

/* On a loop: replies arrive by callback, in order. */
struct varlink_async;
struct varlink_async_ops {
	/*
	 * A reply to the request at the head of the line. error is NULL for a reply that is none.
	 * continues: more will come for the same request. Parameters are borrowed.
	 */
	void (*reply)(const char *error, json_t *parameters, bool continues, void *request, void *userdata);
	/*
	 * The connection has ended (-errno, or 0 when the other side closed it between two messages).
	 * Called once, never from within varlink_async_send(). Requests still open get no reply.
	 */
	void (*closed)(int error, void *userdata);
};
/*
 * Takes a connected descriptor, also when it fails. Replies of more than VARLINK_MESSAGE_MAX x 64 bytes end
 * the connection. 0 or -errno. Free it when you like, in a callback too.
 */
int varlink_async_new(struct event_base *base, int fd, const struct varlink_async_ops *ops, void *userdata,
		      struct varlink_async **ret_async);
void varlink_async_free(struct varlink_async *async);
/*
 * Queues a request; request is handed to the reply callback. Takes the reference to parameters, also when it
 * fails: -ENOMEM, -ENOTCONN after the end, -ENOBUFS when more than 4 MiB wait to be sent (nothing queued).
 */
int varlink_async_send(struct varlink_async *async, const char *method, json_t *parameters, bool more,
		       void *request);
/*
 * Queues a request that wants no reply, and that the server therefore runs at once even while it still
 * answers a stream on this connection. Takes the reference to parameters; errors as above.
 */
int varlink_async_send_oneway(struct varlink_async *async, const char *method, json_t *parameters);
