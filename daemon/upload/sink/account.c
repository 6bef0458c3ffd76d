/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the cursor may pass. The spool numbers the messages that were ever put into it, and every position
 * says how many came before: so it can be checked, from outside of batches, halves and what is set aside,
 * that the stretches that were settled leave nothing out between them. Sequences would not do: they jump.
 *
 * Fewer messages before than there were is no hole: after a power cut the spool may go on from less than what
 * a sink has seen. After a change to another spool the count may begin again, and is checked from the next
 * span on.
 */

#include "daemon/upload/sink/state.h"

#include "common/log.h"

#include <inttypes.h>

void sink_add_loss(struct cursor_loss *loss, const struct cursor_loss *more)
{
	if (more->messages == 0)
		return;
	if (loss->messages == 0) {
		*loss = *more;
		return;
	}
	loss->to = more->to;
	loss->messages += more->messages;
	loss->bytes += more->bytes;
	/* Other words than before, if there were any. */
	loss->client_time = 0;
}

void sink_owe(struct sink *sink, uint64_t messages, uint64_t bytes, int64_t from, int64_t to,
	      enum cursor_loss_reason reason)
{
	const struct cursor_loss loss = {
		.messages = messages, .bytes = bytes, .from = from, .to = to, .reason = reason};

	sink_add_loss(&sink->owed, &loss);
	sink_add_loss(&sink->carried, &loss);
}

void sink_account_begin(struct sink *sink, const struct spool_position *position)
{
	sink->accounted = *position;
}

void sink_span_add(struct sink_span *span, const struct spool_message *message, uint64_t told)
{
	uint64_t before = message->position.messages - 1;

	if (span->end == 0) {
		span->begin = before - MIN(before, told);
	} else if (before > span->end) {
		if (span->missing == 0)
			span->hole = span->end;
		span->missing += before - span->end;
	}
	span->end = before + 1;
}

/* Back to the cursor: what was built or set aside since is read again. */
static void go_back(struct sink *sink)
{
	if (sink->ahead)
		sink->ops->back(sink->impl);
	sink->ahead = false;
	sink->n_refused = 0;
	sink->n_splits = 0;
	sink->probing = false;
	sink->carried = sink->owed;
	sink->accounted = sink->state.delivered;
	sink_restart_at(sink, &sink->state.delivered);
	sink_next_batch(sink);
	sink_pause_reading(sink);
}

bool sink_account(struct sink *sink, const struct sink_span *span, const struct spool_position *end)
{
	uint64_t expected = sink->accounted.messages, missing = span->missing, hole = span->hole;
	const char *name = sink->context.config->name;

	if (span->begin > expected) {
		missing += span->begin - expected;
		hole = expected;
	}
	if (missing == 0 && span->end == end->messages) {
		sink->accounted = *end;
		return true;
	}
	sink->violations++;
	snprintf(sink->last_error, sizeof(sink->last_error),
		 "%" PRIu64 " messages between the sequences %" PRIu64 " and %" PRIu64
		 " were about to be passed over",
		 missing, sink->accounted.sequence, end->sequence);
	if (sink->hole != hole + 1) {
		log_error("sink %s: %s: this is a fault of netlogd; reading them again", name,
			  sink->last_error);
		sink->hole = hole + 1;
		go_back(sink);
		return false;
	}
	log_error("sink %s: %s again: they are told as lost", name, sink->last_error);
	sink_owe(sink, missing, 0, sink->accounted.time, end->time, CURSOR_LOSS_UNREAD);
	sink->accounted = *end;
	return true;
}

void sink_check_cursor(struct sink *sink)
{
	const struct spool_position *delivered = &sink->state.delivered;

	/* With a batch under way it is told there. */
	if (sink->state.batch.last <= delivered->sequence)
		sink->state.loss = sink->owed;
	if (!spool_id_equal(&delivered->spool_id, &sink->accounted.spool_id) ||
	    delivered->messages <= sink->accounted.messages)
		return;
	/* The next span does not follow what is accounted for, and is sent back. */
	sink->violations++;
	log_error("sink %s: the cursor was about to pass to sequence %" PRIu64 ", with what follows %" PRIu64
		  " not accounted for: this is a fault of netlogd",
		  sink->context.config->name, delivered->sequence, sink->accounted.sequence);
	sink->state.delivered = sink->accounted;
}
