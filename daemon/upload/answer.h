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

#define ANSWER_TEXT_MAX 256

struct answer {
	enum verdict verdict;
	int64_t retry_after;	    /* ns that the server asks to wait; -1: did not say */
	char text[ANSWER_TEXT_MAX]; /* for people: "HTTP 503: overloaded"; no secrets */
};

/* The verdict on an HTTP status (RFC 9110). Anything that is no final status is VERDICT_RETRY. */
enum verdict answer_classify_status(long status);
/* The verdict on a failed transfer; curl_code is a CURLcode other than CURLE_OK. */
enum verdict answer_classify_transfer(int curl_code);

/*
 * Reads a Retry-After value: seconds, or an HTTP date in any of its three forms (RFC 9110, 5.6.7, 10.2.3),
 * which is taken relative to wall (ns). Returns ns from 0 to BACKOFF_RETRY_AFTER, or -1 for nonsense.
 */
int64_t answer_parse_retry_after(const char *value, size_t n, int64_t wall);

/*
 * Fills in the text: prefix, and the beginning of what the server wrote, in one line of printable ASCII
 * from which everything that looks like a log ID is taken out: a server may quote the URL it was called by.
 */
void answer_describe(struct answer *answer, const char *prefix, const char *body, size_t n);
