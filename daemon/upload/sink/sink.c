/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A sink's life, its status, and its turns: what is due is worked out anew at each wake-up from the phase and
 * the clock, so that it does not matter what woke it, or how often. What follows from answers is in
 * sink_answer.c.
 */

#include "daemon/upload/sink/state.h"

#include "common/file.h"
#include "common/kill_point.h"
#include "common/log.h"
#include "common/time_text.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

/* Seconds in which bytes that the disk does not give may come back, before they are told as lost. */
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

void sink_set_error(struct sink *sink, const char *what, int error)
{
	snprintf(sink->last_error, sizeof(sink->last_error), "%s: %s", what, strerror(-error));
	sink_changed(sink);
}

/* The interrupted batch, if there was one, is made again first, between the same bounds. */
static void resume_batch(struct sink *sink)
{
	struct cursor_state *state = &sink->state;

	if (state->batch.last <= state->delivered.sequence) {
		sink->carried = sink->owed = state->loss;
		return;
	}
	sink->splits[sink->n_splits++] = state->batch.last;
	/* Messages before it were set aside when the last run ended: they stay apart from it. */
	if (state->batch.first > state->delivered.sequence + 1 && state->loss.messages == 0)
		sink->splits[sink->n_splits++] = state->batch.first - 1;
}

static int open_reader(struct sink *sink)
{
	int r;

	if (sink->reader)
		return 0;
	if (*sink->options.spool_fd < 0)
		return -ENOENT;
	r = spool_reader_new(*sink->options.spool_fd, &sink->reader);
	if (r < 0)
		return r;
	spool_reader_set_patience(sink->reader, SPOOL_PATIENCE);
	sink_restart_at(sink, &sink->state.delivered);
	return 0;
}

static int open_sink_directory(struct sink *sink, int upload_fd, const char *name)
{
	mode_t mode = 0700, cursor_mode = 0600;
	struct cursor_state state;
	struct stat st;
	int r;

	/* As the upload directory: closed, or (as a service) readable for the collector's group. */
	if (fstat(upload_fd, &st) == 0 && st.st_mode & 0050) {
		/* The set-group-ID bit is inherited; to ask for it is EPERM under RestrictSUIDSGID=. */
		mode = 0750;
		cursor_mode = 0640;
	}
	if (mkdirat(upload_fd, name, mode) < 0 && errno != EEXIST)
		return -errno;
	sink->directory_fd = openat(upload_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (sink->directory_fd < 0)
		return -errno;
	/* Of a sink of that name that was forgotten, or of a cursor that is to be made anew. */
	r = cursor_read(sink->directory_fd, CURSOR_NAME, &state);
	if (r == -ENOENT || r == -EBADMSG)
		r = sink_recent_forget(sink->directory_fd);
	if (r == 0)
		r = cursor_open(sink->directory_fd, cursor_mode, &sink->cursor);
	if (r < 0)
		return r;
	if (r > 0)
		log_error("sink %s: its cursor was damaged: it begins with the oldest message again", name);
	sink->state = *cursor_state(sink->cursor);
	return sink_recent_read(sink);
}

static int init(struct sink *sink)
{
	const struct sink_config *config = sink->context.config;
	int r;

	r = open_sink_directory(sink, sink->options.upload_fd, config->name);
	if (r < 0)
		return r;
	sink_account_begin(sink, &sink->state.delivered);
	sink_batch_reset(sink);
	resume_batch(sink);
	sink->next_flush = sink_now(sink) +
			   (int64_t)clock_random_below(sink->context.clock, (uint64_t)config->flush_interval);
	return sink->ops->new (&sink->context, &sink->impl);
}

void sink_store_cursor(struct sink *sink)
{
	int r;

	sink_check_cursor(sink);
	r = cursor_write(sink->cursor, &sink->state);
	/* Going on without it costs duplicates after a crash at worst; standing still would cost the log. */
	if (r < 0) {
		if (!sink->cursor_failed)
			log_warning("sink %s: its cursor can't be written: %s; trying again",
				    sink->context.config->name, strerror(-r));
		sink_set_error(sink, "cursor", r);
	} else if (sink->cursor_failed) {
		sink->last_error[0] = '\0';
		sink_changed(sink);
	}
	sink->cursor_failed = sink->cursor_dirty = r < 0;
	sink->stored_at = sink_now(sink);
}

int sink_new(const struct sink_options *options, struct sink **ret_sink)
{
	struct sink *sink = calloc(1, sizeof(*sink));
	int r;

	if (!sink)
		return -ENOMEM;
	sink->options = *options;
	sink->context = options->context;
	sink->context.sink = sink;
	sink->ops = options->ops;
	sink->directory_fd = sink->recent_fd = -1;
	r = init(sink);
	if (r < 0) {
		sink_free(sink);
		return r;
	}
	*ret_sink = sink;
	return 0;
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

/*
 * A full batch is made again between the same bounds from the end of the one before, also when that end is
 * known only from further back: neither has to be durable before it is sent. So a backlog costs a sync now
 * and then, not one a batch.
 */
static bool can_store_later(const struct sink *sink)
{
	return sink->full && sink->n_splits == 0 && sink->limit == 0 && sink->n_refused == 0 &&
	       sink->loss.messages == 0 && sink_now(sink) - sink->stored_at < STORE_INTERVAL;
}

static void begin_sending(struct sink *sink)
{
	struct cursor_batch *batch = &sink->state.batch;

	if (batch->first != sink->batch.first || batch->last != sink->batch.last ||
	    sink->state.loss.client_time != sink->loss.client_time || sink->cursor_dirty) {
		*batch = (struct cursor_batch){
			.first = sink->batch.first,
			.last = sink->batch.last,
			.messages = (uint32_t)sink->batch.messages,
		};
		sink->state.loss = sink->loss;
		sink->cursor_dirty = true;
		if (!can_store_later(sink) || sink_recent_write(sink) < 0)
			sink_store_cursor(sink);
	}
	sink->phase = PHASE_SENDING;
	kill_point("upload-before-send");
	sink->ops->send(sink->impl, &sink->batch);
}

/* Nothing to send: the cursor still has to say what was accepted last. */
static void go_idle(struct sink *sink)
{
	if (sink->cursor_dirty) {
		sink->state.batch = (struct cursor_batch){};
		sink_store_cursor(sink);
	}
	if (sink->cursor_dirty)
		sink_wake_at(sink, sink_now(sink) + SINK_RETRY);
	else if (sink->batch.messages > 0)
		sink_wake_at(sink, sink->next_flush);
	if (sink->health == SINK_STATE_OK)
		sink->health = SINK_STATE_IDLE;
	else if (!sink_is_flushing(sink))
		return;
	sink_changed(sink);
}

void sink_pause_reading(struct sink *sink)
{
	sink->read_not_before = sink_now(sink) + SINK_RETRY;
	sink_wake_at(sink, sink->read_not_before);
}

/* The spool can't be read now: nothing is passed over, and it is tried again. Told once. */
static void spool_failed(struct sink *sink, int error)
{
	if (sink->spool_error == 0)
		log_warning("sink %s: the spool can't be read: %s; trying again", sink->context.config->name,
			    strerror(-error));
	sink->spool_error = error;
	sink_set_error(sink, "spool", error);
	if (sink->health == SINK_STATE_IDLE || sink->health == SINK_STATE_OK)
		sink->health = SINK_STATE_RETRYING;
	/* What was built of the message at hand may be half of it. */
	if (sink->peeked)
		sink_restart_at(sink, sink->batch.messages > 0 ? &sink->batch_start : &sink->batch_end);
}

static void spool_is_back(struct sink *sink)
{
	if (sink->spool_error == 0)
		return;
	log_info("sink %s: the spool can be read again", sink->context.config->name);
	sink->spool_error = 0;
	sink->last_error[0] = '\0';
	if (sink->health == SINK_STATE_RETRYING)
		sink->health = SINK_STATE_IDLE;
	sink_changed(sink);
}

static void run_gather(struct sink *sink)
{
	int r;

	if (sink_now(sink) < sink->read_not_before) {
		sink_wake_at(sink, sink->read_not_before);
		return;
	}
	r = open_reader(sink);
	if (r == 0)
		r = sink_gather(sink);
	if (r == -ENOENT) {
		/* There is no spool yet. */
		sink_wake_at(sink, sink_now(sink) + SINK_RETRY);
		return;
	}
	if (r < 0 && r != -EAGAIN && r != -EBADMSG) {
		spool_failed(sink, r);
		sink_pause_reading(sink);
		return;
	}
	spool_is_back(sink);
	if (r == -EAGAIN) {
		sink_wake_at(sink, 0);
		return;
	}
	if (r == -EBADMSG) {
		sink_unsendable(sink);
		return;
	}
	if (r == 0) {
		go_idle(sink);
		return;
	}
	sink->phase = PHASE_READY;
	sink_set_next_flush(sink);
}

void sink_run(struct sink *sink)
{
	int64_t now = sink_now(sink);

	if (sink->phase == PHASE_SETTLING) {
		if (now < sink->retry_at) {
			sink_wake_at(sink, sink->retry_at);
			return;
		}
		sink_settle(sink);
		return;
	}
	if (sink->phase == PHASE_GATHER)
		run_gather(sink);
	if (sink->phase == PHASE_WAITING) {
		if (now < sink->retry_at) {
			sink_wake_at(sink, sink->retry_at);
			return;
		}
		sink->retries++;
		sink->phase = PHASE_READY;
	}
	if (sink->phase == PHASE_READY) {
		if (now < sink->send_not_before)
			sink_wake_at(sink, sink->send_not_before);
		else
			begin_sending(sink);
	}
	if (sink->phase == PHASE_SENDING)
		sink_prefetch_batch(sink);
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
	return sink->phase == PHASE_GATHER && sink->at_end && sink->batch.messages == 0;
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

void sink_get_status(struct sink *sink, struct sink_status *ret_status)
{
	const struct cursor_loss *loss = sink->loss.messages > 0 ? &sink->loss : &sink->owed;

	*ret_status = (struct sink_status){
		.name = sink->context.config->name,
		.type = sink->ops->name,
		.state = sink->health,
		.delivered_sequence = sink->state.delivered.sequence,
		.last_success = sink->state.last_success,
		.retries = sink->retries,
		.lost_messages = sink->state.lost_messages + loss->messages,
		.lost_bytes = sink->state.lost_bytes + loss->bytes,
		.quarantined = sink->state.quarantined_messages,
		.sent_messages = sink->sent_messages,
		.sent_bytes = sink->sent_bytes,
		.cursor_violations = sink->violations,
	};
	snprintf(ret_status->last_error, sizeof(ret_status->last_error), "%s", sink->last_error);
	/* A backlog that can't be counted now is not none. */
	if (sink->reader)
		(void)spool_reader_backlog(sink->reader, sink->state.delivered.sequence + 1,
					   &sink->backlog_messages, &sink->backlog_bytes, &sink->oldest);
	ret_status->backlog_messages = sink->backlog_messages;
	ret_status->backlog_bytes = sink->backlog_bytes;
	ret_status->oldest = sink->oldest;
}
