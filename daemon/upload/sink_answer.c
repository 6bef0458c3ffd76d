/*
 * What follows from each answer. The rule behind all of it: the cursor moves over a message only when a
 * server has accepted it, or when it was refused for itself, which is known only once a later one is
 * accepted. Until then everything can be done again from the spool.
 */

#include "daemon/upload/sink_internal.h"

#include "common/kill_point.h"
#include "common/log.h"
#include "common/time_text.h"

#include <errno.h>
#include <string.h>

static int quarantine_one(struct sink *sink, uint64_t sequence, uint64_t *ret_bytes)
{
	struct spool_message message;
	struct spool_gap gap;
	int r;

	*ret_bytes = 0;
	r = spool_reader_seek(sink->reader, sequence);
	if (r < 0)
		return r;
	do
		r = spool_reader_next(sink->reader, &message, &gap);
	while (r == SPOOL_READ_GAP);
	if (r < 0)
		return r;
	/* Gone meanwhile: nothing is left to be put aside. */
	if (r != SPOOL_READ_MESSAGE || message.sequence != sequence)
		return 0;
	*ret_bytes = message.length;
	return quarantine_add(sink->directory_fd, sequence, message.data, message.length,
			      sink->context.quarantine_max);
}

static void quarantine_and_count(struct sink *sink, uint64_t sequence)
{
	uint64_t bytes;
	int r;

	r = quarantine_one(sink, sequence, &bytes);
	/* The message is lost for the quarantine; the stream goes on. */
	if (r < 0)
		sink_set_error(sink, "quarantine", r);
	kill_point("upload-quarantined");
	sink->state.quarantined_messages++;
	sink->state.quarantined_bytes += bytes;
	sink->cursor_dirty = true;
}

/* A later message was accepted, so those set aside were refused for themselves. */
static void settle_refused(struct sink *sink)
{
	for (size_t i = 0; i < sink->n_refused; i++)
		quarantine_and_count(sink, sink->refused[i].sequence);
	log_warning("sink %s: %zu refused message%s put into quarantine", sink->context.config->name,
		    sink->n_refused, sink->n_refused == 1 ? "" : "s");
	sink->n_refused = 0;
	sink_restart_at(sink, &sink->batch_end);
}

/* Ends of refused batches that were reached. */
static void pop_splits(struct sink *sink, uint64_t sequence)
{
	while (sink->n_splits > 0 && sink->splits[sink->n_splits - 1] <= sequence)
		sink->n_splits--;
}

static void next_batch(struct sink *sink)
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

static void handle_delivered(struct sink *sink)
{
	struct cursor_state *state = &sink->state;
	const struct batch_bounds batch = sink->ahead ? sink->sent : sink->batch;

	kill_point("upload-answered");
	backoff_reset(&sink->backoff);
	sink->health = SINK_OK;
	sink->last_error[0] = '\0';
	sink->probing = false;
	sink->sent_messages += batch.messages;
	sink->sent_bytes += batch.bytes;
	state->delivered = sink->ahead ? sink->sent_end : sink->batch_end;
	state->sent_messages += batch.messages;
	state->sent_bytes += batch.bytes;
	state->last_success = clock_wall(sink->context.clock);
	state->lost_messages += sink->loss.messages;
	state->lost_bytes += sink->loss.bytes;
	state->loss = sink->carried = (struct cursor_loss){};
	sink->cursor_dirty = true;
	if (sink->n_refused > 0)
		settle_refused(sink);
	pop_splits(sink, batch.last);
	if (sink->ahead)
		go_on_ahead(sink);
	else
		next_batch(sink);
}

void sink_unsendable(struct sink *sink)
{
	log_warning("sink %s: a message that it can't send was put into quarantine",
		    sink->context.config->name);
	quarantine_and_count(sink, sink->batch.last);
	/* Nothing before it waits for an answer: the cursor may pass. */
	if (sink->n_refused == 0 && sink->loss.messages == 0)
		sink->state.delivered = sink->batch_end;
	sink->carried = sink->loss;
	pop_splits(sink, sink->batch.last);
	sink_restart_at(sink, &sink->batch_end);
	next_batch(sink);
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
	if (sink->health != SINK_MISCONFIGURED)
		log_error("sink %s: misconfigured: %s", sink->context.config->name, sink->last_error);
	sink->health = SINK_MISCONFIGURED;
	wait_for(sink, BACKOFF_MISCONFIGURED);
}

static void handle_retry(struct sink *sink, int64_t retry_after)
{
	int64_t delay = backoff_fail(&sink->backoff, sink->context.clock);

	if (sink->health != SINK_RETRYING)
		log_warning("sink %s: %s; trying again", sink->context.config->name, sink->last_error);
	sink->health = SINK_RETRYING;
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
	next_batch(sink);
	sink->limit = half;
}

/* Ten messages in a row, none accepted in between: it is not them. Back to the first, and only that one. */
static void begin_probing(struct sink *sink)
{
	sink->probing = true;
	sink->n_splits = 0;
	sink->n_refused = 0;
	sink->carried = (struct cursor_loss){};
	sink_restart_at(sink, &sink->refused[0].before);
	next_batch(sink);
	sink->limit = 1;
	/* As soon as it is built it waits its minute. */
	sink->send_not_before = sink_now(sink) + BACKOFF_MISCONFIGURED;
	if (sink->health != SINK_MISCONFIGURED)
		log_error("sink %s: misconfigured: %d messages refused in a row: %s",
			  sink->context.config->name, SINK_REFUSED_MAX, sink->last_error);
	sink->health = SINK_MISCONFIGURED;
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
	sink->refused[sink->n_refused++] = (struct refused_message){last, sink->batch_start};
	if (sink->n_refused == SINK_REFUSED_MAX) {
		begin_probing(sink);
		return;
	}
	/* The loss was not told with it; it is told with the next one. */
	sink->carried = sink->loss;
	pop_splits(sink, last);
	next_batch(sink);
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
