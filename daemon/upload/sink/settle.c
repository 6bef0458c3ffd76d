/* SPDX-License-Identifier: BSD-3-Clause */
/* All that was refused is settled together, with the cursor: what a crash repeats is counted once. */

#include "daemon/upload/sink/settle.h"

#include "common/kill_point.h"
#include "common/log.h"
#include "common/plural.h"
#include "daemon/upload/sink/account.h"
#include "daemon/upload/sink/batch.h"
#include "daemon/upload/sink/quarantine.h"

#include <errno.h>
#include <string.h>

/* Tries after which a refused message that cannot be set aside is lost: the stream does not wait forever. */
#define QUARANTINE_TRIES 10

/*
 * Puts a refused message into quarantine; one that is no longer in the spool, or for which there is no room
 * after many tries, is lost. 0, or -errno when it is to be tried again.
 */
static int quarantine(struct sink *sink, struct refused_message *refused)
{
	struct spool_message message;
	struct spool_gap gap;
	int r;

	/* The reader leaves its place, and must return to it before anything else is read. */
	sink->must_seek = true;
	sink->peeked = false;
	r = spool_reader_seek(sink->reader, refused->sequence);
	if (r >= 0)
		do
			r = spool_reader_next(sink->reader, &message, &gap);
		while (r == SPOOL_READ_GAP);
	/* As long as it cannot be read, nothing else can: that is worth any wait. */
	if (r < 0 && r != -EIO)
		return r;
	if (r == SPOOL_READ_MESSAGE && message.sequence == refused->sequence) {
		r = sink_keep_directory(sink);
		r = r ?: quarantine_add(sink->directory_fd, &message, sink->context.quarantine_max);
		refused->kept = r == 0;
	} else if (r >= 0) {
		r = -ENODATA;
	}
	kill_point("upload-quarantined");
	if (!refused->kept && r != -ENODATA && r != -EFBIG && ++sink->n_settling < QUARANTINE_TRIES)
		return r;
	sink->n_settling = 0;
	refused->settled = true;
	if (!refused->kept)
		log_error("sink %s: a refused message is lost: cannot put it into quarantine: %s",
			  sink->context.config->name,
			  r == -ENODATA ? "no longer in the spool" : strerror(-r));
	return 0;
}

static void quarantine_failed(struct sink *sink, int error)
{
	if (sink->health != SINK_STATE_RETRYING)
		log_warning("sink %s: cannot put a refused message into quarantine: %s; trying again",
			    sink->context.config->name, strerror(-error));
	sink->health = SINK_STATE_RETRYING;
	sink_set_error(sink, "quarantine", error);
}

static void count_settled(struct sink *sink, const struct refused_message *refused)
{
	if (refused->kept) {
		sink->state.quarantined_messages++;
		sink->state.quarantined_bytes += refused->bytes;
	} else {
		sink_owe(sink, 1, refused->bytes, refused->time, refused->time, CURSOR_LOSS_REFUSED);
	}
	sink->cursor_dirty = true;
}

enum sink_phase sink_settle(struct sink *sink)
{
	const struct spool_position end = sink->batch.end;
	size_t kept = 0;

	for (size_t i = 0; i < sink->n_refused; i++) {
		int r = sink->refused[i].settled ? 0 : quarantine(sink, &sink->refused[i]);

		if (r < 0) {
			quarantine_failed(sink, r);
			sink->retry_at = sink_now(sink) + SINK_RETRY;
			return PHASE_SETTLING;
		}
	}
	for (size_t i = 0; i < sink->n_refused; i++) {
		kept += sink->refused[i].kept;
		count_settled(sink, &sink->refused[i]);
	}
	if (kept > 0)
		log_warning("sink %s: %zu refused %s put into quarantine", sink->context.config->name, kept,
			    plural(kept, "message", "messages"));
	sink->n_refused = 0;
	sink->health = SINK_STATE_OK;
	sink->last_error[0] = '\0';
	sink_pass(sink, &end);
	sink_restart_at(sink, &end);
	sink_next_batch(sink);
	return PHASE_GATHER;
}

enum sink_phase sink_set_aside(struct sink *sink)
{
	const struct sink_batch batch = sink->batch;
	struct refused_message refused = {
		.sequence = batch.bounds.last,
		.bytes = batch.bounds.bytes,
		.time = batch.end.time,
	};
	int r;

	r = quarantine(sink, &refused);
	if (r < 0) {
		quarantine_failed(sink, r);
		sink_restart_at(sink, &batch.start);
		sink_pause_reading(sink);
		return PHASE_GATHER;
	}
	if (refused.kept)
		log_warning("sink %s: a message that it cannot send was put into quarantine",
			    sink->context.config->name);
	if (sink->health == SINK_STATE_RETRYING) {
		sink->health = SINK_STATE_IDLE;
		sink->last_error[0] = '\0';
	}
	sink->carried = sink->loss;
	if (!sink_account(sink, &batch.span, &batch.end)) {
		sink_go_back(sink);
		return PHASE_GATHER;
	}
	/* If nothing before it waits for an answer, the cursor may pass. */
	if (sink->n_refused == 0 && sink->loss.messages == 0)
		sink_pass(sink, &batch.end);
	count_settled(sink, &refused);
	sink_pop_splits(sink, batch.end.sequence);
	sink_restart_at(sink, &batch.end);
	sink_next_batch(sink);
	return PHASE_GATHER;
}
