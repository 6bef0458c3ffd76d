/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A sink's life, its status, and its turns: each wake-up decides from the phase and the clock what is due, so
 * that it does not matter what woke it, or how often.
 */

#include "daemon/upload/sink/sink.h"

#include "common/file.h"
#include "common/kill_point.h"
#include "common/log.h"
#include "daemon/upload/sink/account.h"
#include "daemon/upload/sink/batch.h"
#include "daemon/upload/sink/recent.h"
#include "daemon/upload/sink/settle.h"
#include "daemon/upload/sink/verdict.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* Seconds in which bytes that the disk does not return may come back, before they are reported as lost. */
#define SPOOL_PATIENCE 60
/* How long what was accepted may stay unsynced while more full batches follow. */
#define STORE_INTERVAL (50 * NSEC_PER_MSEC)

const char *sink_state_name(enum sink_state state)
{
	static const char names[][16] = {
		[SINK_STATE_IDLE] = "idle",
		[SINK_STATE_OK] = "ok",
		[SINK_STATE_RETRYING] = "retrying",
		[SINK_STATE_MISCONFIGURED] = "misconfigured",
	};

	return names[state];
}

/* ---- life ---- */

/* Opens the sink's directory and its cursor. */
static int open_cursor(struct sink *sink)
{
	const char *name = sink->context.config->name;
	struct cursor_state state;
	int r;

	sink->directory_fd = sink_open_directory(sink);
	if (sink->directory_fd < 0)
		return sink->directory_fd;
	r = cursor_read(sink->directory_fd, CURSOR_NAME, &state);
	/* What is left of a sink of that name that was removed, or of a cursor that is to be replaced. */
	if (r == -ENOENT || r == -EBADMSG)
		r = recent_remove(sink->directory_fd);
	if (r == 0)
		r = cursor_open(sink->directory_fd, sink_is_shared(sink) ? 0640 : 0600, &sink->cursor);
	if (r < 0)
		return r;
	if (r > 0)
		log_error("sink %s: the cursor was damaged; starting again with the oldest message", name);
	sink->state = *cursor_state(sink->cursor);
	r = recent_read(sink->directory_fd, &sink->state);
	sink->cursor_dirty = r > 0;
	return MIN(r, 0);
}

int sink_new(const struct sink_options *options, struct sink **ret_sink)
{
	struct sink *sink = calloc(1, sizeof(*sink));
	const struct sink_config *config = options->context.config;
	struct cursor_state *state;
	int r;

	if (!sink)
		return -ENOMEM;
	sink->options = *options;
	sink->context = options->context;
	sink->context.sink = sink;
	sink->ops = options->ops;
	sink->directory_fd = sink->recent_fd = -1;
	r = open_cursor(sink);
	if (r < 0)
		goto fail;
	state = &sink->state;
	sink_restart_at(sink, &state->delivered);
	sink->accounted = state->delivered;
	if (state->batch.last <= state->delivered.sequence) {
		sink->carried = sink->owed = state->loss;
	} else {
		/* An interrupted batch is built again first, between the same bounds. Messages before it that
		 * were set aside when the last run ended stay apart from it. */
		sink->splits[sink->n_splits++] = state->batch.last;
		if (state->batch.first > state->delivered.sequence + 1 && state->loss.messages == 0)
			sink->splits[sink->n_splits++] = state->batch.first - 1;
	}
	sink->next_flush = sink_now(sink) +
			   (int64_t)clock_random_below(sink->context.clock, (uint64_t)config->flush_interval);
	r = sink->ops->new (&sink->context, &sink->impl);
	if (r < 0)
		goto fail;
	*ret_sink = sink;
	return 0;
fail:
	sink_free(sink);
	return r;
}

void sink_free(struct sink *sink)
{
	if (!sink)
		return;
	if (sink->cursor_dirty)
		sink_store_cursor(sink);
	if (sink->impl)
		sink->ops->free(sink->impl);
	spool_reader_free(sink->reader);
	cursor_free(sink->cursor);
	buffer_deinit(&sink->loss_text);
	safe_close(sink->recent_fd);
	safe_close(sink->directory_fd);
	free(sink);
}

const struct sink_config *sink_get_config(const struct sink *sink)
{
	return sink->context.config;
}

/* ---- turns ---- */

/* Goes into a phase, which has its turn when it is due. */
static void enter(struct sink *sink, enum sink_phase phase)
{
	bool waits = phase == PHASE_WAITING || phase == PHASE_SETTLING;

	sink->phase = phase;
	sink_wake_at(sink, waits ? sink->retry_at : 0);
	sink_changed(sink);
}

static int open_reader(struct sink *sink)
{
	int r;

	r = spool_reader_new(*sink->options.spool_fd, &sink->reader);
	if (r < 0)
		return r;
	spool_reader_set_patience(sink->reader, SPOOL_PATIENCE);
	sink_restart_at(sink, &sink->state.delivered);
	return 0;
}

/* Nothing is skipped: it is tried again. Logged once. */
static void spool_failed(struct sink *sink, int error)
{
	if (sink->spool_error == 0)
		log_warning("sink %s: cannot read the spool: %s; trying again", sink->context.config->name,
			    strerror(-error));
	sink->spool_error = error;
	sink_set_error(sink, "spool", error);
	if (sink->health == SINK_STATE_IDLE || sink->health == SINK_STATE_OK)
		sink->health = SINK_STATE_RETRYING;
	/* What was built of the message at hand may be half of it. */
	if (sink->peeked)
		sink_restart_at(sink,
				sink->batch.bounds.messages > 0 ? &sink->batch.start : &sink->batch.end);
	sink_pause_reading(sink);
}

/* Nothing to send; the cursor still has to record what was accepted last. */
static void go_idle(struct sink *sink)
{
	if (sink->cursor_dirty || sink_cursor_is_gone(sink)) {
		sink->state.batch = (struct cursor_batch){};
		sink_store_cursor(sink);
	}
	if (sink->cursor_dirty)
		sink_wake_at(sink, sink_now(sink) + SINK_RETRY);
	else if (sink->batch.bounds.messages > 0)
		sink_wake_at(sink, sink->next_flush);
	if (sink->health == SINK_STATE_OK)
		sink->health = SINK_STATE_IDLE;
	else if (!sink_is_flushing(sink))
		return;
	sink_changed(sink);
}

static void run_gather(struct sink *sink)
{
	int r;

	if (sink_now(sink) < sink->read_not_before) {
		sink_wake_at(sink, sink->read_not_before);
		return;
	}
	if (*sink->options.spool_fd < 0) {
		/* There is no spool yet. */
		sink_wake_at(sink, sink_now(sink) + SINK_RETRY);
		return;
	}
	r = sink->reader ? 0 : open_reader(sink);
	if (r == 0)
		r = sink_gather(sink);
	if (r < 0 && r != -EAGAIN && r != -EBADMSG) {
		spool_failed(sink, r);
		return;
	}
	if (sink->spool_error != 0) {
		log_info("sink %s: the spool can be read again", sink->context.config->name);
		sink->spool_error = 0;
		sink->last_error[0] = '\0';
		if (sink->health == SINK_STATE_RETRYING)
			sink->health = SINK_STATE_IDLE;
		sink_changed(sink);
	}
	switch (r) {
	case -EAGAIN:
		sink_wake_at(sink, 0);
		break;
	case -EBADMSG:
		enter(sink, sink_set_aside(sink));
		break;
	case 0:
		go_idle(sink);
		break;
	default:
		sink_set_next_flush(sink);
		sink->phase = PHASE_READY;
	}
}

static void begin_sending(struct sink *sink)
{
	const struct batch_bounds *bounds = &sink->batch.bounds;
	struct cursor_batch *durable = &sink->state.batch;
	/*
	 * A full batch is built again between the same bounds from the end of the one before, even when that
	 * end is known only from further back: neither has to be durable before it is sent. So a backlog
	 * costs a sync now and then, not one per batch.
	 */
	bool can_store_later = sink->full && sink->n_splits == 0 && sink->limit == 0 &&
			       sink->n_refused == 0 && sink->loss.messages == 0 &&
			       sink_now(sink) - sink->stored_at < STORE_INTERVAL;

	if (durable->first != bounds->first || durable->last != bounds->last ||
	    sink->state.loss.client_time != sink->loss.client_time || sink->cursor_dirty) {
		*durable = (struct cursor_batch){
			.first = bounds->first,
			.last = bounds->last,
			.messages = (uint32_t)bounds->messages,
		};
		sink->state.loss = sink->loss;
		sink->cursor_dirty = true;
		if (!can_store_later || sink_store_recent(sink) < 0)
			sink_store_cursor(sink);
	}
	sink->phase = PHASE_SENDING;
	kill_point("upload-before-send");
	sink->ops->send(sink->impl, bounds);
}

void sink_run(struct sink *sink)
{
	int64_t now = sink_now(sink);

	switch (sink->phase) {
	case PHASE_SETTLING:
	case PHASE_WAITING:
		if (now < sink->retry_at) {
			sink_wake_at(sink, sink->retry_at);
			return;
		}
		if (sink->phase == PHASE_SETTLING) {
			enter(sink, sink_settle(sink));
			return;
		}
		sink->retries++;
		sink->phase = PHASE_READY;
		break;
	case PHASE_GATHER:
		run_gather(sink);
		break;
	default:
		break;
	}
	if (sink->phase == PHASE_READY && !sink->held) {
		if (now < sink->send_not_before)
			sink_wake_at(sink, sink->send_not_before);
		else
			begin_sending(sink);
	}
	if (sink->phase == PHASE_SENDING)
		sink_prefetch_batch(sink);
}

void sink_answered(struct sink *sink, const struct answer *answer, uint64_t wire_bytes)
{
	uint64_t rate = sink->context.config->rate_limit;
	enum sink_phase next;

	if (sink->phase != PHASE_SENDING)
		return;
	if (rate > 0)
		sink->send_not_before =
			sink_now(sink) + (int64_t)((double)wire_bytes / (double)rate * (double)NSEC_PER_SEC);
	next = sink_apply_verdict(sink, answer);
	if (next == PHASE_SETTLING)
		next = sink_settle(sink);
	enter(sink, next);
}

void sink_wake(struct sink *sink)
{
	if (sink->phase == PHASE_GATHER) {
		sink->at_end = false;
		sink_wake_at(sink, 0);
	}
}

void sink_flush(struct sink *sink, int64_t deadline)
{
	sink->flush_until = MAX(sink->flush_until, deadline);
	if (sink->phase == PHASE_WAITING)
		sink->retry_at = 0;
	sink_wake(sink);
	sink_wake_at(sink, 0);
}

bool sink_is_settled(const struct sink *sink)
{
	if (sink->phase == PHASE_WAITING || sink->phase == PHASE_SETTLING)
		return sink->retry_at > sink->flush_until;
	if (sink->phase == PHASE_READY)
		return sink->send_not_before > sink->flush_until;
	return sink->phase == PHASE_GATHER && sink->at_end && sink->batch.bounds.messages == 0;
}

void sink_hold(struct sink *sink, bool hold)
{
	bool released = sink->held && !hold;

	sink->held = hold;
	if (released)
		sink_wake_at(sink, 0);
}

bool sink_is_held(const struct sink *sink)
{
	return sink->held;
}

bool sink_is_sending(const struct sink *sink)
{
	return sink->phase == PHASE_SENDING;
}

void sink_reopen(struct sink *sink)
{
	if (sink->ops->reopen)
		sink->ops->reopen(sink->impl);
}

void sink_retry(struct sink *sink)
{
	if (sink->health != SINK_STATE_MISCONFIGURED)
		return;
	if (sink->phase == PHASE_WAITING)
		sink->retry_at = 0;
	if (sink->probing)
		sink->send_not_before = 0;
	sink_wake_at(sink, 0);
}

void sink_warn(struct sink *sink, const char *text)
{
	if (strcmp(sink->warning, text) == 0)
		return;
	snprintf(sink->warning, sizeof(sink->warning), "%s", text);
	if (*text)
		log_warning("sink %s: %s", sink->context.config->name, sink->warning);
	sink_changed(sink);
}

void sink_get_status(struct sink *sink, struct sink_status *ret_status)
{
	const struct cursor_loss *loss = sink->loss.messages > 0 ? &sink->loss : &sink->owed;

	*ret_status = (struct sink_status){
		.name = sink->context.config->name,
		.type = sink->ops->name,
		.state = sink->health,
		.delivered_sequence = sink->state.delivered.sequence,
		.has_delivered = !spool_id_is_zero(&sink->state.delivered.spool_id),
		.delivered_messages = sink->state.delivered.messages,
		.delivered_bytes = sink->state.delivered.bytes,
		.last_success = sink->state.last_success,
		.retries = sink->retries,
		.lost_messages = sink->state.lost_messages + loss->messages,
		.lost_bytes = sink->state.lost_bytes + loss->bytes,
		.quarantined = sink->state.quarantined_messages,
		.sent_messages = sink->sent_messages,
		.sent_bytes = sink->sent_bytes,
		.fit_bytes = sink->fit.bytes,
		.cursor_violations = sink->violations,
	};
	snprintf(ret_status->last_error, sizeof(ret_status->last_error), "%s", sink->last_error);
	snprintf(ret_status->warning, sizeof(ret_status->warning), "%s", sink->warning);
	/* What is delivered meanwhile says nothing of the cursor. */
	if (sink->cursor_error < 0 && (sink->health == SINK_STATE_OK || sink->health == SINK_STATE_IDLE)) {
		ret_status->state = SINK_STATE_RETRYING;
		snprintf(ret_status->last_error, sizeof(ret_status->last_error), "cursor: %s",
			 strerror(-sink->cursor_error));
	}
	/* A backlog that cannot be counted now is not zero. */
	if (sink->reader)
		ret_status->backlog_is_old =
			spool_reader_backlog(sink->reader, sink->state.delivered.sequence + 1,
					     &sink->backlog_messages, &sink->backlog_bytes,
					     &sink->oldest) < 0;
	ret_status->backlog_messages = sink->backlog_messages;
	ret_status->backlog_bytes = sink->backlog_bytes;
	ret_status->oldest = sink->oldest;
}
