/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * A Varlink client that waits, with a deadline for everything: for programs and threads that have nothing
 * else to do. async.h has one for a libevent loop.
 */

#include "common/cleanup.h"

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

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
/* The largest reply it accepts; default VARLINK_MESSAGE_MAX x 64. */
void varlink_client_set_max(struct varlink_client *client, size_t bytes);

/*
 * Sends a request. Takes the reference to parameters (NULL: none), also when it fails. more: replies come
 * until one without "continues". 0 or -errno; after an error the connection cannot be used any more.
 */
int varlink_client_send(struct varlink_client *client, const char *method, json_t *parameters, bool more,
			int timeout_ms);
/*
 * Receives a reply: parameters (a new reference; an empty object if none) and, for an error, its name (owned
 * by the caller) with 0 returned and *ret_error not NULL. ret_continues may be NULL.
 * -ETIMEDOUT (a part of a reply is kept: receive again), -ECONNRESET when the server closed the connection,
 * -EBADMSG for garbage, -EMSGSIZE.
 */
int varlink_client_receive(struct varlink_client *client, int timeout_ms, json_t **ret_parameters,
			   char **ret_error, bool *ret_continues);
/*
 * For a reply that is too large for memory: its bytes as they come, at least one, up to and including the
 * NUL, valid until the next call. Errors as above, and -EBADMSG when data came before it was asked for.
 */
int varlink_client_read(struct varlink_client *client, int timeout_ms, const char **ret_data, size_t *ret_n);
/* One request and its reply; timeout_ms is for both together. */
int varlink_client_call(struct varlink_client *client, const char *method, json_t *parameters, int timeout_ms,
			json_t **ret_parameters, char **ret_error);
