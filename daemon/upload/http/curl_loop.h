/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * libcurl's transfers on a libevent loop (https://curl.se/libcurl/c/libcurl-multi.html, "multi_socket").
 */

#include <curl/curl.h>
#include <stdint.h>
#include <sys/queue.h>

struct curl_loop;
struct event_base;

/* One transfer at a time of a handle. */
struct curl_transfer {
	CURL *easy;
	int64_t limit; /* ns: its CURLOPT_TIMEOUT_MS */
	/* Called once, when the transfer has ended; the handle is out of the loop by then and may be reused.
	 */
	void (*done)(CURL *easy, CURLcode result, void *userdata);
	void *userdata;

	/* The loop's. */
	int64_t deadline;
	LIST_ENTRY(curl_transfer) entry;
};

/* 0 or -ENOMEM. */
int curl_loop_new(struct event_base *base, struct curl_loop **ret_loop);
/* All transfers must have been removed. */
void curl_loop_free(struct curl_loop *loop);

/*
 * Starts a transfer. Sets the handle's CURLOPT_PRIVATE to the struct, which must stay valid until the
 * callback or curl_loop_remove(). 0 or -ENOMEM.
 */
int curl_loop_add(struct curl_loop *loop, struct curl_transfer *transfer);
/* Ends a transfer without its callback; never waits, not even for a resolver. */
void curl_loop_remove(struct curl_loop *loop, struct curl_transfer *transfer);
