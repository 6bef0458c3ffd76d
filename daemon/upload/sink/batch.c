/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From the spool into a batch. What goes into a batch is decided by the messages alone and by the bounds
 * that were made durable, so that a batch can be built again after a refusal or a restart and is the same.
 */

#include "daemon/upload/sink/state.h"

#include "common/log.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

/* Bytes that are read before the other sinks get their turn. */
#define GATHER_BYTES (1024 * 1024)

void sink_batch_reset(struct sink *sink)
{
	sink->batch = (struct batch_bounds){.spool_id = sink->spool_id};
	sink->span = (struct sink_span){};
	sink->full = false;
	sink->loss = (struct cursor_loss){};
}

void sink_restart_at(struct sink *sink, const struct spool_position *position)
{
	struct spool_position start = *position; /* may be the batch's own, which goes */

	sink_batch_reset(sink);
	sink->peeked = false;
	sink->gap = (struct spool_gap){};
	sink->new_spool = false;
	sink->at_end = false;
	sink->batch_start = sink->batch_end = start;
	sink->must_seek = true;
}

/*
 * Another spool id. Either a spool that goes on from the old one, with sequences that go on too: then only
 * the batch ends here. Or one that was made anew: then nothing that is known of the old one says anything of
 * it. What the old one still owed is told with it: a refused message can't be read there any more.
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
	sink->state.delivered = sink->batch_end = (struct spool_position){};
	sink_account_begin(sink, &sink->state.delivered);
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
		r = spool_reader_seek_position(sink->reader, &sink->batch_end);
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

/* The loss that is to be told before the message at hand: what was carried on, and the hole before it. */
static struct cursor_loss find_loss(struct sink *sink)
{
	const struct cursor_state *state = &sink->state;
	const struct spool_gap *gap = &sink->gap;
	struct cursor_loss loss = sink->carried;

	sink_add_loss(&loss, &(struct cursor_loss){
				     .messages = gap->messages,
				     .bytes = gap->bytes,
				     .from = gap->from,
				     .to = gap->to,
				     .reason = gap->damaged ? CURSOR_LOSS_DAMAGED : CURSOR_LOSS_SPOOL_FULL,
			     });
	/* Told before, in a batch that began with this message: the same words again, also of what was owed.
	 */
	if (state->batch.first == sink->peek.sequence && state->loss.messages >= loss.messages &&
	    state->loss.bytes >= loss.bytes)
		return state->loss;
	if (loss.messages == 0)
		return loss;
	if (loss.client_time == 0) {
		loss.client_time = clock_wall(sink->context.clock);
		loss.proc_id = message_proc_id(sink->peek.data, sink->peek.length);
	}
	return loss;
}

/* Whether the message at hand lies behind the end of the batch that is being built. */
static bool is_behind_limits(struct sink *sink)
{
	const struct spool_message *message = &sink->peek;

	/* Ends that lie before an empty batch are done with. */
	while (sink->batch.messages == 0 && sink->n_splits > 0 &&
	       message->sequence > sink->splits[sink->n_splits - 1])
		sink->n_splits--;
	if (sink->batch.messages == 0)
		return false;
	if (sink->n_splits > 0 && message->sequence > sink->splits[sink->n_splits - 1])
		return true;
	if (sink->limit > 0 && sink->batch.messages >= sink->limit)
		return true;
	/* A loss is always told at the beginning of a batch; a batch is of one spool. */
	if (sink->gap.messages > 0 || sink->new_spool)
		return true;
	return memcmp(&message->public_id, &sink->batch.public_id, sizeof(message->public_id)) != 0;
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

/*
 * A new sink begins here: what goes missing from now on is a loss, also when nothing was delivered yet. That
 * has to be known after a restart, so the cursor gets the place before the first message.
 */
static void begin_cursor(struct sink *sink)
{
	const struct spool_message *message = &sink->peek;

	if (!spool_id_is_zero(&sink->state.delivered.spool_id))
		return;
	sink->state.delivered = message->position;
	sink->state.delivered.sequence = message->sequence - 1;
	sink->state.delivered.messages -= MIN(sink->state.delivered.messages, UINT64_C(1));
	sink->state.delivered.bytes -= MIN(sink->state.delivered.bytes, (uint64_t)message->length);
	sink->batch_end = sink->state.delivered;
	sink_account_begin(sink, &sink->state.delivered);
	sink->cursor_dirty = true;
}

static int begin_batch(struct sink *sink)
{
	sink_batch_reset(sink);
	if (sink->new_spool)
		begin_new_spool(sink);
	begin_cursor(sink);
	sink->batch_start = sink->batch_end;
	snprintf(sink->spool_id, sizeof(sink->spool_id), "%s", spool_reader_id(sink->reader));
	sink->batch.first = sink->batch.last = sink->peek.sequence;
	sink->batch.public_id = sink->peek.public_id;
	sink->loss = find_loss(sink);
	buffer_reset(&sink->loss_text);
	if (sink->loss.messages > 0)
		sink_loss_encode(&sink->loss_text, &sink->loss);
	sink_set_next_flush(sink);
	sink->ops->begin(sink->impl, &sink->batch);
	return buffer_error(&sink->loss_text);
}

/* 1: the batch is complete without the message at hand; 0: it was added; -errno. */
static int add_message(struct sink *sink)
{
	struct batch_item item = {.message = &sink->peek, .index = sink->batch.messages};
	int r;

	if (is_behind_limits(sink))
		return 1;
	/* What has to do with the state of what was delivered comes after the answer. */
	if (sink->ahead && sink->batch.messages == 0 && (sink->gap.messages > 0 || sink->new_spool))
		return 1;
	if (sink->batch.messages == 0) {
		r = begin_batch(sink);
		if (r < 0)
			return r;
		if (sink->loss.messages > 0) {
			item.loss = sink->loss_text.data;
			item.loss_length = sink->loss_text.length;
		}
	}
	r = sink->ops->add(sink->impl, &item);
	/* What can't be sent at all waits until it is alone. */
	if ((r == -E2BIG || r == -EBADMSG) && sink->batch.messages > 0) {
		sink->full = true;
		return 1;
	}
	if (r < 0 && r != -EBADMSG)
		return r;
	sink_span_add(&sink->span, &sink->peek, sink->gap.messages);
	sink->batch.last = sink->peek.sequence;
	sink->batch.messages++;
	sink->batch.bytes += sink->peek.length;
	sink->batch_end = sink->peek.position;
	sink->gap = (struct spool_gap){};
	sink->peeked = false;
	return r;
}

/* The end of the spool: whether what there is goes out now. */
static bool is_due(struct sink *sink)
{
	if (sink->batch.messages == 0)
		return false;
	/* Part of a batch that was cut or interrupted: it was due before. */
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

static bool can_go_ahead(const struct sink *sink)
{
	return sink->ops->ahead && sink->full && sink->n_splits == 0 && sink->limit == 0 &&
	       sink->n_refused == 0 && !sink->probing && sink->loss.messages == 0 &&
	       sink->carried.messages == 0;
}

static void begin_ahead(struct sink *sink)
{
	sink->ahead = true;
	sink->ahead_ended = sink->ahead_ready = false;
	sink->sent = sink->batch;
	sink->sent_start = sink->batch_start;
	sink->sent_end = sink->batch_end;
	sink->sent_span = sink->span;
	sink_batch_reset(sink);
}

void sink_drop_ahead(struct sink *sink)
{
	sink->ops->back(sink->impl);
	sink->ahead = false;
	sink_restart_at(sink, &sink->sent_end);
	sink->batch = sink->sent;
	sink->batch_start = sink->sent_start;
	sink->span = sink->sent_span;
	sink->full = true;
}

void sink_prefetch_batch(struct sink *sink)
{
	int r;

	if (!sink->ahead) {
		if (!can_go_ahead(sink) || !sink->ops->ahead(sink->impl))
			return;
		begin_ahead(sink);
		/* After what goes out first. */
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
	/* At the spool's end more may come before the answer, and belong into the same batch. */
	sink->ahead_ready = r > 0 && !sink->at_end && sink->batch.messages > 0;
	if (r < 0) {
		/* It is met again, and dealt with, after the answer. */
		sink_drop_ahead(sink);
		sink->full = false;
	}
}
