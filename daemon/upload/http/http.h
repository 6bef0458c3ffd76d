/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * One HTTP client per sink: a kept-alive connection, verified TLS, the operator's headers and credentials,
 * a bounded answer, and no redirects.
 */

#include "daemon/upload/http/answer.h"
#include "daemon/upload/sink/sink.h"

#include <stddef.h>
#include <stdint.h>

/* Longest answer that is read; the rest of a longer one is never waited for. */
#define HTTP_ANSWER_MAX (64 * 1024)
/* Bytes of all header lines of an answer, with interim answers before it and trailers behind it. */
#define HTTP_HEADERS_MAX (64 * 1024)

struct http_client;

/* What came back. Valid for the time of the callback. */
struct http_answer {
	int curl_code;	     /* CURLcode; 0: a whole answer (or as much of it as is ever read) */
	long status;	     /* 0: none came */
	int64_t retry_after; /* ns; -1: none */
	const char *body;    /* not for people: http_answer_describe() knows what may be shown */
	size_t length;
	bool secret;	     /* the request held one: nothing that the server wrote is shown */
	const char *watched; /* value of the header that the client watches, or NULL */
	uint64_t wire_bytes; /* of the body that was sent */
	const char *error;   /* libcurl's own words on a failed transfer, or NULL */
	const char
		*reason; /* of ours: a credential that can't be read, an answer that doesn't end; or NULL */
};

typedef void (*http_done_fn)(const struct http_answer *answer, void *userdata);

struct http_request {
	const char *url;	    /* may hold secrets: never logged */
	bool secret_url;	    /* it does, in what was added to the configured one */
	const char *const *headers; /* NULL-terminated, or NULL */
	const void *body;	    /* NULL: a GET. Must stay until the callback or http_client_cancel() */
	size_t length;
};

/* watched_header: the name of an answer's header, without colon; NULL for none. 0 or -ENOMEM. */
int http_client_new(const struct sink_context *context, const char *watched_header,
		    struct http_client **ret_client);
void http_client_free(struct http_client *client);
/* Sends a request; one at a time. The answer comes from the loop, or before it returns. */
void http_client_send(struct http_client *client, const struct http_request *request, http_done_fn done,
		      void *userdata);
/* Ends the request under way, if there is one, without its callback. */
void http_client_cancel(struct http_client *client);

/*
 * Fills in the text for people: the status, and what the server wrote if the request held no secret. Else, or
 * when it wrote nothing, what its answer means in our own words (NULL: none).
 *
 * A server can write a secret in so many ways, whole or in part, that no filter finds them all. So where it
 * was told one, only what is known from our own tables is shown. Every kind of sink describes answers by
 * this.
 */
void http_answer_describe(const struct http_answer *http, const char *meaning, struct answer *answer);
/* The verdict that HTTP alone gives, with a text for people. */
void http_answer_judge(const struct http_answer *http, struct answer *ret_answer);
