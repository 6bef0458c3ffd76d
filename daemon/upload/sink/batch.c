/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What goes into a batch is decided by the messages alone and by the bounds that were made durable, so that
 * a batch can be built again after a refusal or a restart and is the same.
 */

#include "daemon/upload/sink/batch.h"

#include "common/spool/directory.h"
#include "daemon/upload/sink/account.h"
#include "daemon/upload/sink/loss.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Bytes that are read before the other sinks get their turn. */
#define GATHER_BYTES (1024 * 1024)

static void reset(struct sink *sink)
{
	sink->batch.bounds = (struct batch_bounds){.spool_id = sink->spool_id};
	sink->batch.span = (struct sink_span){};
	sink->full = false;
	sink->loss = (struct cursor_loss){};
}

void sink_restart_at(struct sink *sink, const struct spool_position *position)
{
	struct spool_position start = *position; /* may be one of the batch's own */

	reset(sink);
	sink->peeked = false;
	sink->gap = (struct spool_gap){};
	sink->new_spool = false;
	sink->at_end = false;
	sink->batch.start = sink->batch.end = start;
	sink->must_seek = true;
}

void sink_next_batch(struct sink *sink)
{
	reset(sink);
	sink->limit = 0;
	/* The last read was before the answer: more may have arrived meanwhile. */
	sink->at_end = false;
}

void sink_pop_splits(struct sink *sink, uint64_t sequence)
{
	while (sink->n_splits > 0 && sink->splits[sink->n_splits - 1] <= sequence)
		sink->n_splits--;
}

void sink_pass(struct sink *sink, const struct spool_position *end)
{
	sink->state.delivered = *end;
	sink->cursor_dirty = true;
	sink_pop_splits(sink, end->sequence);
}

void sink_pause_reading(struct sink *sink)
{
	sink->read_not_before = sink_now(sink) + SINK_RETRY;
	sink_wake_at(sink, sink->read_not_before);
}

void sink_go_back(struct sink *sink)
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

/*
 * Another spool ID. Either the spool continues the old one, with sequences that continue too: then only the
 * batch ends here. Or it was made from scratch: then nothing known of the old one applies to it. What the old
 * one still owed is reported with it: a refused message cannot be read there any more.
 */
static void begin_new_spool(struct sink *sink)
{
	sink->new_spool = false;
	if (sink->peek.sequence > sink->state.delivered.sequence)
		return;
	sink->owed = sink->carried;
	for (size_t i = 0; i < sink->n_refused; i++)
		sink_owe(sink, 1, sink->refused[i].bytes, sink->refused[i].time, sink->refused[i].time,
			 CURSOR_LOSS_REFUSED);
	sink->state.delivered = sink->accounted = sink->batch.end = (struct spool_position){};
	sink->state.batch = (struct cursor_batch){};
	sink->state.loss = (struct cursor_loss){};
	sink->gap = (struct spool_gap){};
	sink->n_splits = 0;
	sink->n_refused = 0;
	sink->probing = false;
	sink->limit = 0;
	sink->cursor_dirty = true;
}

static void add_gap(struct spool_gap *gap, const struct spool_gap *more)
{
	if (gap->messages == 0) {
		*gap = *more;
		return;
	}
	gap->messages += more->messages;
	gap->bytes += more->bytes;
	gap->to = more->to;
	gap->damaged = gap->damaged && more->damaged;
}

/* Reads until there is a message at hand: 1; 0 at the end; or -errno. */
static int peek_message(struct sink *sink)
{
	struct spool_gap gap;
	int r;

	if (sink->must_seek) {
		r = spool_reader_seek_position(sink->reader, &sink->batch.end);
		if (r < 0)
			return r;
		sink->must_seek = false;
	}
	while (!sink->peeked) {
		r = spool_reader_next(sink->reader, &sink->peek, &gap);
		if (r < 0)
			return r;
		switch (r) {
		case SPOOL_READ_END:
			sink->at_end = true;
			return 0;
		case SPOOL_READ_GAP:
			add_gap(&sink->gap, &gap);
			break;
		case SPOOL_READ_NEW_SPOOL:
			sink->new_spool = true;
			break;
		case SPOOL_READ_MESSAGE:
			sink->peeked = true;
			break;
		}
	}
	sink->at_end = false;
	return 1;
}

/*
 * Why messages are no longer in the spool. For lack of room the daemon removes the oldest segments, and what
 * is not delivered only when the spool is full: then it still holds some eight segments, or more. So it was
 * not for that when older ones are there, or far fewer. The rest cannot be told from here: another program
 * may have removed them, or damage was moved away, or max-size was smaller then. The daemon's log says what
 * it saw.
 */
static enum cursor_loss_reason find_reason(struct sink *sink)
{
	_cleanup_spool_listing_ struct spool_listing listing = {};
	uint64_t usable = config_spool_usable(sink->context.spool_max_size);
	uint64_t segment = MIN(SPOOL_SEGMENT_SIZE, usable / 8);

	if (sink->gap.damaged)
		return CURSOR_LOSS_DAMAGED;
	if (spool_list(*sink->options.spool_fd, &listing) < 0 || listing.n == 0)
		return CURSOR_LOSS_SPOOL_FULL;
	if (listing.entries[0].first_sequence <= sink->batch.end.sequence)
		return CURSOR_LOSS_CUT_OUT;
	return listing.n * segment < usable / 4 ? CURSOR_LOSS_GONE : CURSOR_LOSS_SPOOL_FULL;
}

/* The loss to report before the message at hand: what was carried over, and the gap before it. */
static struct cursor_loss find_loss(struct sink *sink)
{
	const struct cursor_state *state = &sink->state;
	const struct spool_gap *gap = &sink->gap;
	struct cursor_loss loss = sink->carried;

	loss_add(&loss, &(struct cursor_loss){
				.messages = gap->messages,
				.bytes = gap->bytes,
				.from = gap->from,
				.to = gap->to,
				.reason = gap->messages > 0 ? find_reason(sink) : CURSOR_LOSS_SPOOL_FULL,
			});
	/* Reported before, in a batch that began with this message: the same text again, also of what was
	 * owed. */
	if (state->batch.first == sink->peek.sequence && state->loss.messages >= loss.messages &&
	    state->loss.bytes >= loss.bytes)
		return state->loss;
	if (loss.messages == 0)
		return loss;
	if (loss.client_time == 0) {
		loss.client_time = clock_wall(sink->context.clock);
		loss.proc_id = loss_proc_id(sink->peek.data, sink->peek.length);
	}
	return loss;
}

/* Whether the message at hand lies beyond the end of the batch that is being built. */
static bool is_beyond_limits(struct sink *sink)
{
	const struct spool_message *message = &sink->peek;

	if (sink->batch.bounds.messages == 0) {
		sink_pop_splits(sink, message->sequence - 1);
		return false;
	}
	if (sink->n_splits > 0 && message->sequence > sink->splits[sink->n_splits - 1])
		return true;
	if (sink->limit > 0 && sink->batch.bounds.messages >= sink->limit)
		return true;
	/* The parts of a halved batch are as many messages, so that none is left over. */
	if (sink->fit.bytes > 0 &&
	    (sink->n_splits > 0 ? sink->batch.bounds.messages >= sink->fit.messages
				: sink->batch.bounds.bytes + message->length > sink->fit.bytes))
		return true;
	/* A loss is always reported at the beginning of a batch; a batch is of one spool. */
	if (sink->gap.messages > 0 || sink->new_spool)
		return true;
	return memcmp(&message->public_id, &sink->batch.bounds.public_id, sizeof(message->public_id)) != 0;
}

void sink_set_next_flush(struct sink *sink)
{
	int64_t interval = sink->context.config->flush_interval;
	int64_t now = sink_now(sink);

	if (interval == 0)
		return;
	/* Whole intervals from the first, random one on: the phase stays. */
	while (sink->next_flush <= now)
		sink->next_flush += interval * MAX((now - sink->next_flush) / interval, INT64_C(1));
}

/* Begins a batch with the message at hand. */
static int begin_batch(struct sink *sink)
{
	const struct spool_message *message = &sink->peek;
	struct batch_bounds *bounds = &sink->batch.bounds;
	struct spool_position *delivered = &sink->state.delivered;

	reset(sink);
	if (sink->new_spool)
		begin_new_spool(sink);
	/*
	 * A new sink begins here: what goes missing from now on is a loss, even when nothing was delivered
	 * yet. A restart must know that, so the cursor gets the place before the first message.
	 */
	if (spool_id_is_zero(&delivered->spool_id)) {
		*delivered = message->position;
		delivered->sequence = message->sequence - 1;
		delivered->messages -= MIN(delivered->messages, UINT64_C(1));
		delivered->bytes -= MIN(delivered->bytes, (uint64_t)message->length);
		sink->accounted = sink->batch.end = *delivered;
		sink->cursor_dirty = true;
	}
	sink->batch.start = sink->batch.end;
	snprintf(sink->spool_id, sizeof(sink->spool_id), "%s", spool_reader_id(sink->reader));
	bounds->first = bounds->last = message->sequence;
	bounds->public_id = message->public_id;
	sink->loss = find_loss(sink);
	buffer_reset(&sink->loss_text);
	if (sink->loss.messages > 0)
		loss_encode(&sink->loss_text, &sink->loss, sink->context.config->name);
	sink_set_next_flush(sink);
	sink->ops->begin(sink->impl, bounds);
	return buffer_error(&sink->loss_text);
}

/* 1: the batch is complete without the message at hand; 0: it was added; -errno. */
static int add_message(struct sink *sink)
{
	struct batch_bounds *bounds = &sink->batch.bounds;
	struct batch_item item = {.message = &sink->peek, .index = bounds->messages};
	int r;

	if (is_beyond_limits(sink))
		return 1;
	/* Whatever changes the state of what was delivered comes after the answer. */
	if (sink->ahead && bounds->messages == 0 && (sink->gap.messages > 0 || sink->new_spool))
		return 1;
	if (bounds->messages == 0) {
		r = begin_batch(sink);
		if (r < 0)
			return r;
		if (sink->loss.messages > 0) {
			item.loss = sink->loss_text.data;
			item.loss_length = sink->loss_text.length;
		}
	}
	r = sink->ops->add(sink->impl, &item);
	/* What cannot be sent at all waits until it is alone. */
	if ((r == -E2BIG || r == -EBADMSG) && bounds->messages > 0) {
		sink->full = true;
		return 1;
	}
	if (r < 0 && r != -EBADMSG)
		return r;
	sink_span_add(&sink->batch.span, &sink->peek, sink->gap.messages);
	bounds->last = sink->peek.sequence;
	bounds->messages++;
	bounds->bytes += sink->peek.length;
	sink->batch.end = sink->peek.position;
	sink->gap = (struct spool_gap){};
	sink->peeked = false;
	return r;
}

/* At the end of the spool: whether the batch goes out now. */
static bool is_due(struct sink *sink)
{
	if (sink->batch.bounds.messages == 0)
		return false;
	/* Part of a batch that was halved or interrupted: it was due before. */
	if (sink->n_splits > 0 || sink->limit > 0)
		return true;
	return sink->context.config->flush_interval == 0 || sink_is_flushing(sink) ||
	       sink_now(sink) >= sink->next_flush;
}

int sink_gather(struct sink *sink)
{
	size_t bytes = 0;
	int r;

	while (bytes < GATHER_BYTES) {
		r = peek_message(sink);
		if (r < 0)
			return r;
		if (r == 0)
			return is_due(sink);
		bytes += sink->peek.length + 1;
		r = add_message(sink);
		if (r != 0)
			return r;
	}
	return -EAGAIN;
}

void sink_drop_ahead(struct sink *sink)
{
	sink->ops->back(sink->impl);
	sink->ahead = false;
	sink_restart_at(sink, &sink->sent.end);
	sink->batch = sink->sent;
	sink->full = true;
}

void sink_prefetch_batch(struct sink *sink)
{
	int r;

	if (!sink->ahead) {
		/* Only what has nothing to do with refusals, halves and losses is that simple. */
		if (!sink->ops->ahead || !sink->full || sink->n_splits > 0 || sink->limit > 0 ||
		    sink->n_refused > 0 || sink->probing || sink->loss.messages > 0 ||
		    sink->carried.messages > 0 || !sink->ops->ahead(sink->impl))
			return;
		sink->ahead = true;
		sink->ahead_ended = sink->ahead_ready = false;
		sink->sent = sink->batch;
		reset(sink);
		/* What is to be sent goes out first. */
		sink_wake_at(sink, 0);
		return;
	}
	if (sink->ahead_ended)
		return;
	r = sink_gather(sink);
	if (r == -EAGAIN) {
		sink_wake_at(sink, 0);
		return;
	}
	sink->ahead_ended = true;
	/* At the spool's end more may arrive before the answer, and belong in the same batch. */
	sink->ahead_ready = r > 0 && !sink->at_end && sink->batch.bounds.messages > 0;
	if (r < 0) {
		/* It is met again, and handled, after the answer. */
		sink_drop_ahead(sink);
		sink->full = false;
	}
}
