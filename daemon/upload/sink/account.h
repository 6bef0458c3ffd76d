/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * What the cursor may pass. The spool numbers the messages that were ever put into it, and every position
 * says how many came before. So it can be checked, independently of batches, halves and what is set aside,
 * that the stretches that were settled leave nothing out between them. Sequences would not do: they jump.
 */

#include "daemon/upload/sink/state.h"

/* Adds a message to a span, with the messages that are reported as lost right before it. */
void sink_span_add(struct sink_span *span, const struct spool_message *message, uint64_t lost);
/*
 * Accounts for a span that was delivered, or set aside, up to a position. False when messages of unknown fate
 * would be skipped: then the sink must go back to its cursor (sink_go_back()) and read them again. If it does
 * not find them then either, they are lost, and owed a report.
 */
bool sink_account(struct sink *sink, const struct sink_span *span, const struct spool_position *end);
/* A loss of what lies before the cursor, to be reported before the next message. */
void sink_owe(struct sink *sink, uint64_t messages, uint64_t bytes, int64_t from, int64_t to,
	      enum cursor_loss_reason reason);

/* Makes the sink's directory again, and goes over to it, if somebody has removed or moved it. The cursor is
 * to be written then. 0 or -errno. */
int sink_keep_directory(struct sink *sink);
/*
 * Writes the cursor, durably; if that fails, the state stays dirty. The cursor never passes what is not
 * accounted for.
 */
void sink_store_cursor(struct sink *sink);
/* Whether somebody has removed the cursor, which is then to be written again. An error is no absence. */
bool sink_cursor_is_gone(const struct sink *sink);
/* Keeps the state in case this process is killed, without a sync (recent.h). 0 or -errno. */
int sink_store_recent(struct sink *sink);
