/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* A Varlink client on a libevent loop: replies arrive by callback, in order. */

#include <jansson.h>
#include <stdbool.h>

struct event_base;

struct varlink_async;
struct varlink_async_ops {
	/*
	 * A reply to the oldest open request. error is NULL unless the reply is one. continues: more follow
	 * for the same request. Parameters are borrowed.
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
 * the connection. 0 or -errno. It may be freed at any time, in a callback too.
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
 * Queues a request without a reply, which the server therefore runs at once, even while a stream is under way
 * on this connection. Takes the reference to parameters; errors as above.
 */
int varlink_async_send_oneway(struct varlink_async *async, const char *method, json_t *parameters);
