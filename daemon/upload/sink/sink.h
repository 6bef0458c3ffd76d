/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * A sink: one destination of messages. Everything that all destinations share is here (reading the spool,
 * batches and their durable bounds, retries, refused messages, losses, the cursor); what is particular to
 * one kind is behind a table of operations, one file per kind.
 *
 * Each sink reads the spool at its own pace and has one batch under way at most (while a backlog goes out,
 * the next one may be made meanwhile; it becomes durable and is sent only after the answer). Order: the
 * batch's bounds are durable, it is sent, the server says yes, the cursor is durable, and only then may the
 * collector remove what was delivered.
 */

#include "common/clock.h"
#include "common/config/config.h"
#include "common/spool/reader.h"
#include "daemon/upload/http/answer.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct broker;
struct credentials;
struct curl_loop;
struct event_base;
struct sink;

/* One message on its way into a batch, with the loss that is told before it. */
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
	struct sink *sink;	 /* to be told of answers: sink_answered() */
	uint64_t quarantine_max; /* bytes */
};

struct sink_ops {
	const char *name; /* as in the configuration */
	enum sink_type type;

	/* Makes the kind's own state. Opens and connects nothing yet. 0 or -ENOMEM. */
	int (*new)(const struct sink_context *context, void **ret_state);
	/* Ends what is under way, without an answer, and releases everything. Never waits. */
	void (*free)(void *state);

	/* Begins an empty batch for messages of this public ID. */
	void (*begin)(void *state, const struct batch_bounds *bounds);
	/*
	 * Adds a message. 0; -E2BIG when the batch is full without it (never for the first one); -EBADMSG
	 * when this message can never be sent by this kind; -ENOMEM. Nothing is added unless 0 is returned.
	 */
	int (*add)(void *state, const struct batch_item *item);
	/*
	 * Sends the batch, the first time or again: the same bytes each time. Answers once by
	 * sink_answered(), from the loop or before it returns.
	 */
	void (*send)(void *state, const struct batch_bounds *bounds);
	/*
	 * For kinds to which making a batch is dear; both NULL for others. ahead(): the batch that was sent
	 * is kept for its answer, and begin() and add() make the next one beside it; false when that would
	 * take too much memory. back(): the next one is dropped, and send() sends the kept one again.
	 */
	bool (*ahead)(void *state);
	void (*back)(void *state);
	/* The operator asked for files to be opened anew (SIGHUP). May be NULL. */
	void (*reopen)(void *state);
};

extern const struct sink_ops sink_logtail_ops;
extern const struct sink_ops sink_file_ops;
extern const struct sink_ops sink_clickhouse_ops;

/* What a sink needs from its surroundings. */
struct sink_host_ops {
	/* sink_run() is to be called at this boot time (ns), or at once if it is past; replaces the
	 * last one. */
	void (*wake_at)(struct sink *sink, int64_t boot, void *userdata);
	/* Something that sink_get_status() tells has changed. */
	void (*changed)(struct sink *sink, void *userdata);
};

enum sink_state { SINK_IDLE, SINK_OK, SINK_RETRYING, SINK_MISCONFIGURED };
const char *sink_state_name(enum sink_state state);

/* A copy of what is to be known of a sink. */
struct sink_status {
	const char *name;
	const char *type;
	enum sink_state state;
	uint64_t backlog_messages, backlog_bytes;
	int64_t oldest; /* wall time of the oldest message that it lacks; 0 none */
	uint64_t delivered_sequence;
	int64_t last_success;		  /* wall time; 0 never */
	char last_error[ANSWER_TEXT_MAX]; /* "" for none since the last success */
	uint64_t retries;
	uint64_t lost_messages, lost_bytes;
	uint64_t quarantined;
	uint64_t sent_messages, sent_bytes; /* since the uploader started */
	uint64_t cursor_violations;	    /* times that the cursor was about to pass over a message */
};

struct sink_options {
	const struct sink_ops *ops;
	struct sink_context context; /* sink is filled in */
	int upload_fd;		     /* the upload directory; borrowed, outlives the sink */
	const int *spool_fd;	     /* the spool directory; -1 as long as it isn't there */
	const struct sink_host_ops *host;
	void *host_userdata;
};

/* Makes the sink's directory if it is missing and reads its cursor. 0 or -errno. */
int sink_new(const struct sink_options *options, struct sink **ret_sink);
void sink_free(struct sink *sink);
const struct sink_config *sink_get_config(const struct sink *sink);

/* Does what can be done now; bounded, never blocks. Called when wake_at's time has come. */
void sink_run(struct sink *sink);
/* New messages may be in the spool. */
void sink_wake(struct sink *sink);
/* An answer to the batch under way; wire_bytes is what was sent for it. */
void sink_answered(struct sink *sink, const struct answer *answer, uint64_t wire_bytes);
/* Deliver without waiting for the flush interval, and try once at once whatever the backoff says, until
 * this boot time (ns). */
void sink_flush(struct sink *sink, int64_t deadline);
/* Whether nothing more will happen before the flush's deadline: all delivered, or the next try is later. */
bool sink_is_settled(const struct sink *sink);
void sink_reopen(struct sink *sink);
/* Credentials have changed: a sink that waits as misconfigured tries again at once. */
void sink_retry(struct sink *sink);
void sink_get_status(struct sink *sink, struct sink_status *ret_status);
