/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * What a server's answer means: the verdict on a batch and the text for people, the same for every HTTP sink.
 */

#include "daemon/upload/sink/kind.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What came back for a request. Valid during the callback. */
struct http_answer {
	int curl_code;	     /* CURLcode; 0: a whole answer (or as much of it as is ever read) */
	long status;	     /* 0: none came */
	int64_t retry_after; /* ns; -1: none */
	const char *body;    /* not for people: http_answer_describe() decides what is shown */
	size_t length;
	bool secret;	      /* the request held one: nothing that the server wrote is shown */
	bool truncated;	      /* the body goes on */
	const char *watched;  /* value of the header that the client watches, or NULL */
	bool marked;	      /* has a header whose name begins with the client's mark */
	const char *redirect; /* where it leads (an absolute URL), or NULL */
	const char *encoding; /* of the body that was sent; NULL: not compressed */
	bool connected;	      /* the request went out, at least in part */
	bool untrusted;	      /* nothing was sent: the connection leads to an address that is not trusted */
	uint64_t wire_bytes;  /* of the body that was sent */
	const char *error;    /* libcurl's text for a failed transfer, or NULL */
	const char *reason;   /* ours: an unreadable credential, an endless answer; or NULL */
};

/* The verdict on an HTTP status (RFC 9110). A status that is not final is VERDICT_RETRY. */
enum verdict answer_classify_status(long status);
/* The verdict on a failed transfer; curl_code is a CURLcode other than CURLE_OK. */
enum verdict answer_classify_transfer(int curl_code);
/* The verdict on a file that a request needs (a secret, a certificate) and that can't be read: a lack of
 * memory or descriptors passes, a fault of the file does not. */
enum verdict answer_classify_error(int error);

/*
 * Parses a Retry-After value: seconds, or an HTTP date in any of its three forms (RFC 9110, 5.6.7, 10.2.3),
 * relative to wall (ns). Returns ns from 0 to BACKOFF_RETRY_AFTER, or -1 if it is neither.
 */
int64_t answer_parse_retry_after(const char *value, size_t n, int64_t wall);

/* What a status means (RFC 9110), "" if unknown: the server's own phrase could be anything. */
const char *answer_status_reason(long status);
/*
 * Fills in the text: prefix, then the beginning of the n bytes of words, as one line of at most 200 printable
 * ASCII characters, without log IDs. For what a server wrote use http_answer_describe().
 */
void answer_describe(struct answer *answer, const char *prefix, const char *words, size_t n);
/*
 * Fills in the text for people: the status, and what the server wrote if the request held no secret.
 * Otherwise, or when it wrote nothing: what its answer means in our own words (NULL: none).
 *
 * A server can repeat a secret in so many ways, whole or in part, that no filter finds them all. So for a
 * request that held one, only texts from our own tables are shown. Every kind of sink describes answers with
 * this function.
 */
void http_answer_describe(const struct http_answer *http, const char *meaning, struct answer *answer);
/*
 * The same for an answer that the operator has to do something about: the advice goes first, which is ours.
 * meaning may be NULL.
 */
void http_answer_advise(const struct http_answer *http, const char *advice, const char *meaning,
			struct answer *answer);
/* The verdict that HTTP alone gives, with a text for people. */
void http_answer_judge(const struct http_answer *http, struct answer *ret_answer);
