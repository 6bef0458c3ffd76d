/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * What a server said to a batch, and what follows from it: the table of answers, the same for every HTTP
 * sink.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum verdict {
	VERDICT_DELIVERED,
	VERDICT_RETRY,	       /* the same batch again, later */
	VERDICT_REFUSED,       /* something in the batch: cut it in halves */
	VERDICT_MISCONFIGURED, /* it takes a person; again every minute */
};

#define ANSWER_TEXT_MAX 512

struct answer {
	enum verdict verdict;
	int64_t retry_after;	    /* ns that the server asks to wait; -1: did not say */
	char text[ANSWER_TEXT_MAX]; /* for people: "HTTP 503 Service Unavailable: too busy"; no secrets */
};

/* The verdict on an HTTP status (RFC 9110). Anything that is no final status is VERDICT_RETRY. */
enum verdict answer_classify_status(long status);
/* The verdict on a failed transfer; curl_code is a CURLcode other than CURLE_OK. */
enum verdict answer_classify_transfer(int curl_code);
/* Of a file that a request needs (a secret, a certificate): a want of memory or descriptors passes, what is
 * wrong with the file does not. */
enum verdict answer_classify_error(int error);

/*
 * Reads a Retry-After value: seconds, or an HTTP date in any of its three forms (RFC 9110, 5.6.7, 10.2.3),
 * which is taken relative to wall (ns). Returns ns from 0 to BACKOFF_RETRY_AFTER, or -1 for nonsense.
 */
int64_t answer_parse_retry_after(const char *value, size_t n, int64_t wall);

/* What a status means (RFC 9110), "" for those that are not known: the server's own phrase may be anything.
 */
const char *answer_status_reason(long status);
/*
 * Fills in the text: prefix, and the beginning of the n bytes of words, in one line of at most 200 printable
 * ASCII characters. A log ID is taken out of them even so; for what a server wrote see
 * http_answer_describe().
 */
void answer_describe(struct answer *answer, const char *prefix, const char *words, size_t n);
/*
 * Fills in the text for a failed transfer: what the CURLcode means, and libcurl's own words (NULL: none)
 * where they are known to hold nothing that comes from the server.
 */
void answer_describe_transfer(struct answer *answer, int curl_code, const char *error);
