/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The rule behind all of it: the cursor moves over a message only when a server has accepted it, or when it
 * was refused for itself, which is known only once a later one is accepted. Until then everything can be done
 * again from the spool.
 */

#include "daemon/upload/sink/verdict.h"

#include "common/kill_point.h"
#include "common/log.h"
#include "common/plural.h"
#include "daemon/upload/sink/account.h"
#include "daemon/upload/sink/batch.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* Whether an answer has said of just this batch that it may be too large. */
static bool was_too_large(const struct sink *sink, const struct batch_bounds *bounds)
{
	return sink->n_large > 0 && sink->large.first == bounds->first && sink->large.last == bounds->last;
}

/*
 * A batch went through. After a while the next ones may be larger again; and at once when this one had failed
 * as the larger ones did: the server was away, and its size was not the reason. Of a lone message that is all
 * the more so, since everything had failed.
 */
static void grow(struct sink *sink, const struct batch_bounds *bounds)
{
	bool was_away = was_too_large(sink, bounds);

	if (was_away)
		sink->fit.kept_until = 0;
	if (sink->fit.bytes == 0 || sink_now(sink) < sink->fit.kept_until)
		return;
	if (was_away && bounds->messages == 1) {
		sink->fit.bytes = 0;
		return;
	}
	sink->fit.bytes *= 2;
	sink->fit.messages *= 2;
	if (sink->fit.bytes >= sink->fit.too_large)
		sink->fit.bytes = 0;
}

static enum sink_phase deliver(struct sink *sink)
{
	const struct sink_batch batch = sink->ahead ? sink->sent : sink->batch;
	struct cursor_state *state = &sink->state;

	kill_point("upload-answered");
	backoff_reset(&sink->backoff);
	grow(sink, &batch.bounds);
	sink->health = SINK_STATE_OK;
	sink->last_error[0] = '\0';
	sink->probing = false;
	sink->sent_messages += batch.bounds.messages;
	sink->sent_bytes += batch.bounds.bytes;
	state->sent_messages += batch.bounds.messages;
	state->sent_bytes += batch.bounds.bytes;
	state->last_success = clock_wall(sink->context.clock);
	state->lost_messages += sink->loss.messages;
	state->lost_bytes += sink->loss.bytes;
	state->loss = sink->loss = sink->carried = sink->owed = (struct cursor_loss){};
	sink->cursor_dirty = true;
	if (!sink_account(sink, &batch.span, &batch.end)) {
		sink_go_back(sink);
		return PHASE_GATHER;
	}
	if (sink->n_refused > 0)
		return PHASE_SETTLING;
	sink_pass(sink, &batch.end);
	if (!sink->ahead) {
		sink_next_batch(sink);
		return PHASE_GATHER;
	}
	/* The batch that was built meanwhile takes its turn, complete or not. */
	sink->ahead = false;
	sink->at_end = false;
	if (!sink->ahead_ready)
		return PHASE_GATHER;
	sink_set_next_flush(sink);
	return PHASE_READY;
}

static enum sink_phase wait_for(struct sink *sink, int64_t delay)
{
	/* The wait may be long, and the batch built again from what is on disk. */
	if (sink->cursor_dirty)
		sink_store_cursor(sink);
	sink->retry_at = sink_now(sink) + delay;
	return PHASE_WAITING;
}

/*
 * Logs what is wrong: when the sink becomes misconfigured, and when that is something else now: one who
 * repaired the first cause must see the second. A text that changes with every try (flushes and new
 * credentials make more of them) is told once a minute.
 */
static void become_misconfigured(struct sink *sink, const char *refused)
{
	int64_t now = sink_now(sink);
	bool is_new = sink->health != SINK_STATE_MISCONFIGURED;
	bool has_changed = strcmp(sink->told, sink->last_error) != 0;

	sink->health = SINK_STATE_MISCONFIGURED;
	if (!is_new && (!has_changed || now - sink->told_at < BACKOFF_MISCONFIGURED))
		return;
	log_error("sink %s: misconfigured: %s%s", sink->context.config->name, refused, sink->last_error);
	snprintf(sink->told, sizeof(sink->told), "%s", sink->last_error);
	sink->told_at = now;
}

static enum sink_phase wait_misconfigured(struct sink *sink)
{
	become_misconfigured(sink, "");
	return wait_for(sink, BACKOFF_MISCONFIGURED);
}

/* Ten messages in a row, none accepted in between: they are not to blame. Back to the first, and only that
 * one. */
static void begin_probing(struct sink *sink)
{
	char refused[64];

	sink->probing = true;
	sink->n_splits = 0;
	sink->n_refused = 0;
	sink->carried = sink->refused[0].carried;
	sink->accounted = sink->refused[0].before;
	sink_restart_at(sink, &sink->refused[0].before);
	sink_next_batch(sink);
	sink->limit = 1;
	/* As soon as it is built it waits its minute. */
	sink->send_not_before = sink_now(sink) + BACKOFF_MISCONFIGURED;
	snprintf(refused, sizeof(refused), "%d messages refused in a row: ", SINK_REFUSED_MAX);
	become_misconfigured(sink, refused);
}

/* The batch's first half next; the rest follows within the same end. */
static enum sink_phase halve(struct sink *sink)
{
	const struct sink_batch batch = sink->batch;
	uint64_t last = batch.bounds.last;

	kill_point("upload-refused");
	if (sink->n_splits == 0 || sink->splits[sink->n_splits - 1] != last) {
		if (sink->n_splits == SINK_SPLITS_MAX)
			sink->n_splits--;
		sink->splits[sink->n_splits++] = last;
	}
	sink_restart_at(sink, &batch.start);
	sink_next_batch(sink);
	sink->limit = batch.bounds.messages / 2;
	return PHASE_GATHER;
}

static enum sink_phase refuse(struct sink *sink)
{
	const struct sink_batch batch = sink->batch;
	uint64_t last = batch.bounds.last;

	backoff_reset(&sink->backoff);
	if (sink->probing)
		return wait_misconfigured(sink);
	if (batch.bounds.messages > 1)
		return halve(sink);
	sink->refused[sink->n_refused++] = (struct refused_message){
		.sequence = last,
		.bytes = batch.bounds.bytes,
		.time = batch.end.time,
		.before = batch.start,
		.carried = sink->carried,
	};
	/* The loss was not reported with it; it is reported with the next one. */
	sink->carried = sink->loss;
	if (!sink_account(sink, &batch.span, &batch.end)) {
		sink_go_back(sink);
	} else if (sink->n_refused == SINK_REFUSED_MAX) {
		begin_probing(sink);
	} else {
		sink_pop_splits(sink, last);
		sink_next_batch(sink);
	}
	return PHASE_GATHER;
}

/* Counts an answer that the batch may be too large: whether it is time to halve it. */
static bool is_too_large(struct sink *sink)
{
	const struct batch_bounds *bounds = &sink->batch.bounds;

	if (!was_too_large(sink, bounds))
		sink->n_large = 0;
	sink->large.first = bounds->first;
	sink->large.last = bounds->last;
	sink->n_large++;
	return sink->n_large >= SINK_TOO_LARGE_MAX && bounds->messages > 1;
}

/* Nothing is refused: only the size of batches changes, for this one and for those that follow. */
static enum sink_phase send_less(struct sink *sink, int64_t retry_after)
{
	const struct batch_bounds *bounds = &sink->batch.bounds;
	int64_t delay = backoff_fail(&sink->backoff, sink->context.clock);

	log_warning("sink %s: %s, %u times for the same %" PRIu64 " %s: sending half as many",
		    sink->context.config->name, sink->last_error, sink->n_large, bounds->messages,
		    plural(bounds->messages, "message", "messages"));
	if (sink->fit.bytes == 0)
		sink->fit.too_large = bounds->bytes;
	sink->fit.bytes = MAX(bounds->bytes / 2, UINT64_C(1));
	sink->fit.messages = (bounds->messages + 1) / 2;
	sink->fit.kept_until = sink_now(sink) + SINK_FIT_KEPT;
	sink->health = SINK_STATE_RETRYING;
	backoff_reset(&sink->backoff);
	/* A server that is overloaded gets no more requests than it would by tries of the same batch. */
	sink->send_not_before = sink_now(sink) + MAX(MIN(retry_after, BACKOFF_RETRY_AFTER), delay);
	return halve(sink);
}

enum sink_phase sink_apply_verdict(struct sink *sink, const struct answer *answer)
{
	int64_t delay;

	if (answer->verdict == VERDICT_DELIVERED)
		return deliver(sink);
	if (sink->ahead)
		sink_drop_ahead(sink);
	snprintf(sink->last_error, sizeof(sink->last_error), "%s", answer->text);
	if (answer->verdict == VERDICT_REFUSED)
		return refuse(sink);
	if (answer->verdict == VERDICT_MISCONFIGURED)
		return wait_misconfigured(sink);
	if (answer->too_large && is_too_large(sink))
		return send_less(sink, answer->retry_after);
	delay = backoff_fail(&sink->backoff, sink->context.clock);
	if (answer->retry_after >= 0)
		delay = MAX(MIN(answer->retry_after, BACKOFF_RETRY_AFTER), BACKOFF_LEAST);
	if (sink->health != SINK_STATE_RETRYING)
		log_warning("sink %s: %s; trying again", sink->context.config->name, sink->last_error);
	sink->health = SINK_STATE_RETRYING;
	return wait_for(sink, delay);
}
