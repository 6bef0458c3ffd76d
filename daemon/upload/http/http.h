/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * One HTTP client per sink: a kept-alive connection, verified TLS, the operator's headers and credentials,
 * a bounded answer, and no redirects.
 */

#include "daemon/upload/http/answer.h"
#include "daemon/upload/sink/kind.h"

#include <stddef.h>
#include <stdint.h>

/* The longest answer that is read; the rest of a longer one is not waited for. */
#define HTTP_ANSWER_MAX (64 * 1024)
/* Bytes of all header lines of an answer, including interim answers before it and trailers after it. */
#define HTTP_HEADERS_MAX (64 * 1024)

/* A name may stand for several servers. */
#define HTTP_TRUSTED_MAX 16

struct http_client;

typedef void (*http_done_fn)(const struct http_answer *answer, void *userdata);

struct http_request {
	const char *url;	    /* may hold secrets: never logged */
	bool trusted_only;	    /* only to an address that is trusted, else not at all */
	bool secret_url;	    /* the part added to the configured URL holds one */
	const char *const *headers; /* NULL-terminated, or NULL */
	const void *body;	    /* NULL: a GET; length may be 0. Must stay valid until the callback or
				       http_client_cancel() */
	size_t length;
};

/* watched_header: the header of answers to report, without colon; mark: what the names of headers begin with
 * whose presence is reported; either NULL for none. 0 or -ENOMEM. */
int http_client_new(const struct sink_context *context, const char *watched_header, const char *mark,
		    struct http_client **ret_client);
void http_client_free(struct http_client *client);
/* Sends a request; one at a time. Calls back from the loop, or before it returns. */
void http_client_send(struct http_client *client, const struct http_request *request, http_done_fn done,
		      void *userdata);
/* Ends the request under way, if any, without its callback. */
void http_client_cancel(struct http_client *client);
/*
 * What answered last has proved to be what it should be: requests that are for trusted addresses only may go
 * to its address, or only over the connection that it answered on. At most HTTP_TRUSTED_MAX are remembered.
 */
enum http_trust { HTTP_TRUST_ADDRESS, HTTP_TRUST_CONNECTION };
void http_client_trust(struct http_client *client, enum http_trust trust);
/* Nothing is trusted any more. */
void http_client_distrust(struct http_client *client);
