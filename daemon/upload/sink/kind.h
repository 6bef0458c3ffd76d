/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * What a kind of sink implements (logtail, file, clickhouse: one file each in kinds/), what it may use, and
 * what a server can answer.
 */

#include "common/clock.h"
#include "common/config/config.h"
#include "common/log_id.h"
#include "common/spool/reader.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct broker;
struct credentials;
struct curl_loop;
struct event_base;
struct sink;

/* What follows for a batch from the answer to it. */
enum verdict {
	VERDICT_DELIVERED,
	VERDICT_RETRY,	       /* the same batch again, later */
	VERDICT_REFUSED,       /* because of something in the batch: halve it */
	VERDICT_MISCONFIGURED, /* only a person can fix it; again every minute */
};

#define ANSWER_TEXT_MAX 512

struct answer {
	enum verdict verdict;
	int64_t retry_after;	    /* ns that the server asks to wait; -1: did not say */
	bool too_large;		    /* with VERDICT_RETRY: a smaller batch may go through */
	char text[ANSWER_TEXT_MAX]; /* for people: "HTTP 503 Service Unavailable: too busy"; no secrets */
};

/* A message to be added to a batch, with the loss to report before it. */
struct batch_item {
	const struct spool_message *message;
	const char *loss; /* a text message (one line of JSON), or NULL */
	size_t loss_length;
	size_t index; /* of the message in the batch */
};

/* What a batch holds; the same for all its tries, also after a restart. */
struct batch_bounds {
	uint64_t first; /* sequences; first and last are in the batch */
	uint64_t last;
	uint64_t messages;
	uint64_t bytes; /* of the messages */
	struct log_id public_id;
	const char *spool_id; /* text, 32 hex digits */
};

/* What a sink may use of the uploader; borrowed, outlives the sink. */
struct sink_context {
	const struct sink_config *config;
	const struct clock *clock;
	const struct credentials *credentials;
	struct broker *broker;
	struct event_base *base; /* NULL in tests of the engine alone */
	struct curl_loop *curl;
	const char *node_id;	 /* configured; or NULL */
	struct sink *sink;	 /* takes the answers: sink_answered() */
	uint64_t quarantine_max; /* bytes */
	uint64_t spool_max_size; /* bytes; 0: not known */
};

struct sink_ops {
	const char *name; /* as in the configuration */

	/* Makes the kind's own state. Opens and connects nothing yet. 0 or -ENOMEM. */
	int (*new)(const struct sink_context *context, void **ret_state);
	/* Ends what is under way, without an answer, and releases everything. Never waits. */
	void (*free)(void *state);

	/* Begins an empty batch for messages of this public ID. */
	void (*begin)(void *state, const struct batch_bounds *bounds);
	/*
	 * Adds a message. 0; -E2BIG when the batch is full without it (never for the first one); -EBADMSG
	 * when this kind can never send this message; -ENOMEM. Nothing is added unless 0 is returned.
	 */
	int (*add)(void *state, const struct batch_item *item);
	/*
	 * Sends the batch, for the first time or again: the same bytes each time. Answers once through
	 * sink_answered(), from the loop or before it returns.
	 */
	void (*send)(void *state, const struct batch_bounds *bounds);
	/*
	 * For kinds to which building a batch is expensive; both NULL for others. ahead(): keeps the batch
	 * that was sent until its answer; begin() and add() build the next one beside it. False when that
	 * would take too much memory. back(): drops the next one; send() sends the kept one again.
	 */
	bool (*ahead)(void *state);
	void (*back)(void *state);
	/* The operator asked for files to be reopened, or changed something out there (SIGHUP). May be NULL.
	 */
	void (*reopen)(void *state);
};
