/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * A sink: one destination of messages. Everything that all destinations share is here (reading the spool,
 * batches and their durable bounds, retries, refused messages, losses, the cursor); what is particular to
 * one kind is behind the table of operations in kind.h.
 *
 * Each sink reads the spool at its own pace and has at most one batch under way (during a backlog the next
 * one may be built meanwhile; it becomes durable and is sent only after the answer). The order: the batch's
 * bounds are durable, it is sent, the server accepts it, the cursor is durable, and only then may the daemon
 * remove what was delivered.
 */

#include "daemon/upload/sink/host.h"

#include <stdbool.h>
#include <stdint.h>

const char *sink_state_name(enum sink_state state);

/* Makes the sink's directory if it is missing and reads its cursor. 0 or -errno. */
int sink_new(const struct sink_options *options, struct sink **ret_sink);
void sink_free(struct sink *sink);
const struct sink_config *sink_get_config(const struct sink *sink);

/* Does what can be done now; bounded, never blocks. Called when wake_at's time has come. */
void sink_run(struct sink *sink);
/* New messages may be in the spool. */
void sink_wake(struct sink *sink);
/* The answer to the batch under way; wire_bytes is what was sent for it. For the kinds. */
void sink_answered(struct sink *sink, const struct answer *answer, uint64_t wire_bytes);
/*
 * Messages go through, but not all of what they say, until an operator mends it: told in the status, and
 * logged when the text changes. "": nothing (any more). For the kinds.
 */
void sink_warn(struct sink *sink, const char *text);
/* Until this boot time (ns): delivers without waiting for the flush interval; tries once at once, whatever
 * the backoff. */
void sink_flush(struct sink *sink, int64_t deadline);
/* Whether nothing more will happen before the flush's deadline: all delivered, or the next try is later. */
bool sink_is_settled(const struct sink *sink);
/* Whether it may begin to send a batch. What is under way goes on either way. */
void sink_hold(struct sink *sink, bool hold);
bool sink_is_held(const struct sink *sink);
/* Whether a batch is under way: one that ends now may have arrived, and would be sent again. */
bool sink_is_sending(const struct sink *sink);
void sink_reopen(struct sink *sink);
/* Credentials have changed: a sink that waits as misconfigured tries again at once. */
void sink_retry(struct sink *sink);
void sink_get_status(struct sink *sink, struct sink_status *ret_status);
