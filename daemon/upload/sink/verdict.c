/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What follows from each answer. The rule behind all of it: the cursor moves over a message only when a
 * server has accepted it, or when it was refused for itself, which is known only once a later one is
 * accepted. Until then everything can be done again from the spool.
 */

#include "daemon/upload/sink/state.h"

#include "common/kill_point.h"
#include "common/log.h"
#include "common/time_text.h"

#include <errno.h>
#include <string.h>

/* Reads a message once more. 1; 0 when it has gone from the spool; -errno. */
static int read_again(struct sink *sink, uint64_t sequence, struct spool_message *ret_message)
{
	struct spool_gap gap;
	int r;

	/* The reader leaves its place, and has to find back before anything else is read. */
	sink->must_seek = true;
	sink->peeked = false;
	r = spool_reader_seek(sink->reader, sequence);
	if (r < 0)
		return r;
	do
		r = spool_reader_next(sink->reader, ret_message, &gap);
	while (r == SPOOL_READ_GAP);
	return r < 0 ? r : r == SPOOL_READ_MESSAGE && ret_message->sequence == sequence;
}

/*
 * Puts a refused message into quarantine; one that has gone from the spool, or for which there is no room
 * after many tries, is lost. 0, or -errno when it is to be tried again.
 */
static int settle_one(struct sink *sink, struct refused_message *refused)
{
	struct spool_message message;
	int r;

	r = read_again(sink, refused->sequence, &message);
	/* As long as it can't be read, nothing else can: that is worth any wait. */
	if (r < 0 && r != -EIO)
		return r;
	if (r > 0) {
		r = quarantine_add(sink->directory_fd, &message, sink->context.quarantine_max);
		refused->kept = r == 0;
	} else if (r == 0) {
		r = -ENODATA;
	}
	kill_point("upload-quarantined");
	if (!refused->kept && r != -ENODATA && r != -EFBIG && ++sink->n_settling < SINK_QUARANTINE_TRIES)
		return r;
	sink->n_settling = 0;
	refused->settled = true;
	if (!refused->kept)
		log_error("sink %s: a refused message is lost: it can't be put into quarantine: %s",
			  sink->context.config->name,
			  r == -ENODATA ? "it has gone from the spool" : strerror(-r));
	return 0;
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

static void settling_failed(struct sink *sink, int error)
{
	if (sink->health != SINK_STATE_RETRYING)
		log_warning("sink %s: a refused message can't be put into quarantine: %s; trying again",
			    sink->context.config->name, strerror(-error));
	sink->health = SINK_STATE_RETRYING;
	sink_set_error(sink, "quarantine", error);
}

/* Ends of refused batches that were reached. */
static void pop_splits(struct sink *sink, uint64_t sequence)
{
	while (sink->n_splits > 0 && sink->splits[sink->n_splits - 1] <= sequence)
		sink->n_splits--;
}

void sink_next_batch(struct sink *sink)
{
	sink_batch_reset(sink);
	sink->limit = 0;
	sink->phase = PHASE_GATHER;
	/* The last look was before the answer: more may have come meanwhile. */
	sink->at_end = false;
	sink_wake_at(sink, 0);
	sink_changed(sink);
}

/* The batch that was made meanwhile takes its turn, complete or not. */
static void go_on_ahead(struct sink *sink)
{
	sink->ahead = false;
	sink->at_end = false;
	sink->phase = PHASE_GATHER;
	if (sink->ahead_ready) {
		sink->phase = PHASE_READY;
		sink_set_next_flush(sink);
	}
	sink_wake_at(sink, 0);
	sink_changed(sink);
}

/* Everything up to the position is settled, and the cursor may say so. */
static void pass(struct sink *sink, const struct spool_position *end)
{
	sink->state.delivered = *end;
	sink->cursor_dirty = true;
	pop_splits(sink, end->sequence);
}

/* A later message was accepted, so those set aside were refused for themselves. */
void sink_settle(struct sink *sink)
{
	const struct spool_position end = sink->batch_end;
	size_t kept = 0;

	for (size_t i = 0; i < sink->n_refused; i++) {
		int r = sink->refused[i].settled ? 0 : settle_one(sink, &sink->refused[i]);

		if (r < 0) {
			settling_failed(sink, r);
			sink->phase = PHASE_SETTLING;
			sink->retry_at = sink_now(sink) + SINK_RETRY;
			sink_wake_at(sink, sink->retry_at);
			return;
		}
	}
	/* All at once, with the cursor: what is done again after a crash is counted once. */
	for (size_t i = 0; i < sink->n_refused; i++) {
		kept += sink->refused[i].kept;
		count_settled(sink, &sink->refused[i]);
	}
	if (kept > 0)
		log_warning("sink %s: %zu refused message%s put into quarantine", sink->context.config->name,
			    kept, kept == 1 ? "" : "s");
	sink->n_refused = 0;
	sink->health = SINK_STATE_OK;
	sink->last_error[0] = '\0';
	pass(sink, &end);
	sink_restart_at(sink, &end);
	sink_next_batch(sink);
}

static void handle_delivered(struct sink *sink)
{
	const struct batch_bounds batch = sink->ahead ? sink->sent : sink->batch;
	const struct sink_span span = sink->ahead ? sink->sent_span : sink->span;
	const struct spool_position end = sink->ahead ? sink->sent_end : sink->batch_end;
	struct cursor_state *state = &sink->state;

	kill_point("upload-answered");
	backoff_reset(&sink->backoff);
	sink->health = SINK_STATE_OK;
	sink->last_error[0] = '\0';
	sink->probing = false;
	sink->sent_messages += batch.messages;
	sink->sent_bytes += batch.bytes;
	state->sent_messages += batch.messages;
	state->sent_bytes += batch.bytes;
	state->last_success = clock_wall(sink->context.clock);
	state->lost_messages += sink->loss.messages;
	state->lost_bytes += sink->loss.bytes;
	state->loss = sink->loss = sink->carried = sink->owed = (struct cursor_loss){};
	sink->cursor_dirty = true;
	if (!sink_account(sink, &span, &end))
		return;
	if (sink->n_refused > 0) {
		sink_settle(sink);
		return;
	}
	pass(sink, &end);
	if (sink->ahead)
		go_on_ahead(sink);
	else
		sink_next_batch(sink);
}

void sink_unsendable(struct sink *sink)
{
	struct refused_message refused = {
		.sequence = sink->batch.last,
		.bytes = sink->batch.bytes,
		.time = sink->batch_end.time,
	};
	const struct spool_position end = sink->batch_end;
	int r;

	r = settle_one(sink, &refused);
	if (r < 0) {
		/* It is met again. */
		settling_failed(sink, r);
		sink_restart_at(sink, &sink->batch_start);
		sink_pause_reading(sink);
		return;
	}
	if (refused.kept)
		log_warning("sink %s: a message that it can't send was put into quarantine",
			    sink->context.config->name);
	if (sink->health == SINK_STATE_RETRYING) {
		sink->health = SINK_STATE_IDLE;
		sink->last_error[0] = '\0';
	}
	sink->carried = sink->loss;
	if (!sink_account(sink, &sink->span, &end))
		return;
	/* Nothing before it waits for an answer: the cursor may pass. */
	if (sink->n_refused == 0 && sink->loss.messages == 0)
		pass(sink, &end);
	count_settled(sink, &refused);
	pop_splits(sink, end.sequence);
	sink_restart_at(sink, &end);
	sink_next_batch(sink);
}

static void wait_for(struct sink *sink, int64_t delay)
{
	/* It may wait for long, and be made again from what is on disk. */
	if (sink->cursor_dirty)
		sink_store_cursor(sink);
	sink->phase = PHASE_WAITING;
	sink->retry_at = sink_now(sink) + delay;
	sink_wake_at(sink, sink->retry_at);
	sink_changed(sink);
}

static void handle_misconfigured(struct sink *sink)
{
	if (sink->health != SINK_STATE_MISCONFIGURED)
		log_error("sink %s: misconfigured: %s", sink->context.config->name, sink->last_error);
	sink->health = SINK_STATE_MISCONFIGURED;
	wait_for(sink, BACKOFF_MISCONFIGURED);
}

static void handle_retry(struct sink *sink, int64_t retry_after)
{
	int64_t delay = backoff_fail(&sink->backoff, sink->context.clock);

	if (sink->health != SINK_STATE_RETRYING)
		log_warning("sink %s: %s; trying again", sink->context.config->name, sink->last_error);
	sink->health = SINK_STATE_RETRYING;
	if (retry_after >= 0)
		delay = MAX(MIN(retry_after, BACKOFF_RETRY_AFTER), BACKOFF_LEAST);
	wait_for(sink, delay);
}

/* Builds the first half of a refused batch; the rest follows within the same end. */
static void split_batch(struct sink *sink)
{
	uint64_t half = sink->batch.messages / 2, last = sink->batch.last;

	kill_point("upload-refused");
	if (sink->n_splits == 0 || sink->splits[sink->n_splits - 1] != last) {
		if (sink->n_splits == SINK_SPLITS_MAX)
			sink->n_splits--;
		sink->splits[sink->n_splits++] = last;
	}
	sink_restart_at(sink, &sink->batch_start);
	sink_next_batch(sink);
	sink->limit = half;
}

/* Ten messages in a row, none accepted in between: it is not them. Back to the first, and only that one. */
static void begin_probing(struct sink *sink)
{
	sink->probing = true;
	sink->n_splits = 0;
	sink->n_refused = 0;
	sink->carried = sink->refused[0].carried;
	sink_account_begin(sink, &sink->refused[0].before);
	sink_restart_at(sink, &sink->refused[0].before);
	sink_next_batch(sink);
	sink->limit = 1;
	/* As soon as it is built it waits its minute. */
	sink->send_not_before = sink_now(sink) + BACKOFF_MISCONFIGURED;
	if (sink->health != SINK_STATE_MISCONFIGURED)
		log_error("sink %s: misconfigured: %d messages refused in a row: %s",
			  sink->context.config->name, SINK_REFUSED_MAX, sink->last_error);
	sink->health = SINK_STATE_MISCONFIGURED;
	sink_changed(sink);
}

static void handle_refused(struct sink *sink, const char *text)
{
	uint64_t last = sink->batch.last;

	backoff_reset(&sink->backoff);
	snprintf(sink->last_error, sizeof(sink->last_error), "%s", text);
	if (sink->probing) {
		handle_misconfigured(sink);
		return;
	}
	if (sink->batch.messages > 1) {
		split_batch(sink);
		return;
	}
	sink->refused[sink->n_refused++] = (struct refused_message){
		.sequence = last,
		.bytes = sink->batch.bytes,
		.time = sink->batch_end.time,
		.before = sink->batch_start,
		.carried = sink->carried,
	};
	/* The loss was not told with it; it is told with the next one. */
	sink->carried = sink->loss;
	if (!sink_account(sink, &sink->span, &sink->batch_end))
		return;
	if (sink->n_refused == SINK_REFUSED_MAX) {
		begin_probing(sink);
		return;
	}
	pop_splits(sink, last);
	sink_next_batch(sink);
}

static void pace(struct sink *sink, uint64_t wire_bytes)
{
	uint64_t rate = sink->context.config->rate_limit;

	if (rate > 0)
		sink->send_not_before =
			sink_now(sink) + (int64_t)((double)wire_bytes / (double)rate * (double)NSEC_PER_SEC);
}

void sink_answered(struct sink *sink, const struct answer *answer, uint64_t wire_bytes)
{
	if (sink->phase != PHASE_SENDING)
		return;
	pace(sink, wire_bytes);
	if (sink->ahead && answer->verdict != VERDICT_DELIVERED)
		sink_drop_ahead(sink);
	switch (answer->verdict) {
	case VERDICT_DELIVERED:
		handle_delivered(sink);
		return;
	case VERDICT_REFUSED:
		handle_refused(sink, answer->text);
		return;
	case VERDICT_MISCONFIGURED:
		snprintf(sink->last_error, sizeof(sink->last_error), "%s", answer->text);
		handle_misconfigured(sink);
		return;
	case VERDICT_RETRY:
		snprintf(sink->last_error, sizeof(sink->last_error), "%s", answer->text);
		handle_retry(sink, answer->retry_after);
		return;
	}
}
