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

/* Calls back once when the transfer has ended; the handle is out of the loop by then and may be
 * used again. */
typedef void (*curl_loop_done_fn)(CURL *easy, CURLcode result, void *userdata);

/* 0 or -ENOMEM. */
int curl_loop_new(struct event_base *base, struct curl_loop **ret_loop);
/* All transfers must have been removed. */
void curl_loop_free(struct curl_loop *loop);
/* Who is told of a transfer's end. */
struct curl_transfer {
	curl_loop_done_fn done;
	void *userdata;
	int64_t limit; /* ns: libcurl's own, CURLOPT_TIMEOUT_MS */
	/* The loop's. */
	CURL *easy;
	int64_t deadline;
	LIST_ENTRY(curl_transfer) entry;
};

/*
 * Starts a transfer. Sets the handle's CURLOPT_PRIVATE to the struct, which must stay valid until the
 * callback or curl_loop_remove(). 0 or -ENOMEM.
 */
int curl_loop_add(struct curl_loop *loop, CURL *easy, struct curl_transfer *transfer);
/* Ends a transfer without its callback; never waits (not for a resolver either). */
void curl_loop_remove(struct curl_loop *loop, CURL *easy);
