#pragma once

/*
 * A Varlink client that waits, with a deadline for everything, for programs and threads that have nothing
 * else to do; and, below, one on a libevent loop.
 */

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

struct event_base;
struct varlink_client;

/* Connects to a Unix stream socket. 0 or -errno (-ETIMEDOUT after timeout_ms; -1: waits forever). */
int varlink_client_connect(const char *path, int timeout_ms, struct varlink_client **ret_client);
/* Takes a connected descriptor. */
int varlink_client_new_fd(int fd, struct varlink_client **ret_client);
void varlink_client_free(struct varlink_client *client);
/* Largest reply it takes; default VARLINK_MESSAGE_MAX x 64. */
void varlink_client_set_max(struct varlink_client *client, size_t bytes);

/*
 * Sends a request. Takes the reference to parameters (NULL: none). more: replies come until one without
 * "continues". 0 or -errno.
 */
int varlink_client_send(struct varlink_client *client, const char *method, json_t *parameters, bool more,
			int timeout_ms);
/*
 * Receives a reply: parameters (a new reference; an empty object if none) and, for an error, its name (owned
 * by the caller) with 0 returned and *ret_error not NULL. -ETIMEDOUT, -ECONNRESET at the other side's end,
 * -EBADMSG for nonsense.
 */
int varlink_client_receive(struct varlink_client *client, int timeout_ms, json_t **ret_parameters,
			   char **ret_error, bool *ret_continues);
/* One call, one reply. */
int varlink_client_call(struct varlink_client *client, const char *method, json_t *parameters, int timeout_ms,
			json_t **ret_parameters, char **ret_error);

/* On a loop: replies arrive by callback, in order. */
struct varlink_async;
struct varlink_async_ops {
	/* error is NULL for a reply. continues: more will come for the same request. Parameters are borrowed.
	 */
	void (*reply)(const char *error, json_t *parameters, bool continues, void *request, void *userdata);
	/* The connection has ended (error: -errno or 0 for an orderly end); free it from here or later. */
	void (*closed)(int error, void *userdata);
};
int varlink_async_new(struct event_base *base, int fd, const struct varlink_async_ops *ops, void *userdata,
		      struct varlink_async **ret_async);
void varlink_async_free(struct varlink_async *async);
/* request is handed to the reply callback. Takes the reference to parameters. */
int varlink_async_send(struct varlink_async *async, const char *method, json_t *parameters, bool more,
		       void *request);
