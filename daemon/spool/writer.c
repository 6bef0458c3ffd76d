/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The spool's thread. Messages come in under a lock as frames in blocks, and leave memory only when a sync
 * has succeeded; so a file whose write or sync failed is simply left, and what it should have held is written
 * again. Everything slow happens without the lock.
 */

#include "daemon/spool/writer.h"

#include "common/cleanup.h"
#include "common/thread.h"
#include "common/time_text.h"
#include "daemon/spool/files.h"
#include "daemon/spool/options.h"
#include "daemon/spool/queue.h"
#include "daemon/spool/store.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define PRUNE_INTERVAL (60 * NSEC_PER_SEC)
#define STALL_TIMEOUT  (5 * NSEC_PER_SEC)

struct spool_writer {
	struct spool_writer_ops ops;
	void *userdata;
	pthread_t thread;
	bool has_thread;
	int64_t last_time;

	/* The thread's own. */
	struct spool_writer_options *options;
	struct spool_store store;
	uint64_t unsynced; /* bytes in the open segment */
	int64_t sync_at;   /* when they are to be synced, at the latest */
	int64_t prune_at;

	/* Under the lock. */
	pthread_mutex_t lock;
	pthread_cond_t work, progress;
	struct spool_writer_options *new_options;
	struct spool_queue queue;
	struct log_id public_id;
	uint64_t memory_max, usable;
	bool opened;
	bool stop, want_prune, want_retry;
	bool stalled; /* somebody has waited in vain: nobody waits until something moves */
	bool trying;  /* a try is under way while error is set */
	int error;
	unsigned int failures;
	uint64_t attempts; /* that failed */
	int64_t retry_at;
	uint64_t appended, settled; /* messages taken; synced or dropped */
	uint64_t written_sequence;
	uint64_t sync_ticket;			  /* somebody waits until so many are settled */
	uint64_t dropped_messages, dropped_bytes; /* after they had a sequence */
	struct spool_loss loss;			  /* not told yet */
	struct spool_status status;
};

/* Called with the lock held. */
static void add_loss(struct spool_writer *writer, uint64_t bytes, int64_t time)
{
	spool_loss_add(&writer->loss, &(struct spool_loss){1, bytes, time, time});
	writer->status.lost_messages++;
	writer->status.lost_bytes += bytes;
}

static bool drop_oldest(struct spool_writer *writer)
{
	struct spool_dropped dropped;

	if (!spool_queue_drop(&writer->queue, &dropped))
		return false;
	writer->settled++;
	if (dropped.assigned) {
		/* Readers may have it; those that don't will see the gap in the totals. */
		writer->dropped_messages++;
		writer->dropped_bytes += dropped.bytes;
	} else {
		add_loss(writer, dropped.bytes, dropped.time);
	}
	return true;
}

/* Waits for room while the disk works. Called with the lock held. */
static void wait_for_room(struct spool_writer *writer, size_t frame)
{
	int64_t until = thread_now() + STALL_TIMEOUT;

	while (!writer->error && !writer->stalled && !writer->stop && writer->opened &&
	       writer->queue.bytes + frame > writer->memory_max)
		if (!thread_wait_until(&writer->progress, &writer->lock, until))
			writer->stalled = true;
}

/*
 * Drops the oldest until there is room. What is under way just now can't be dropped, so its outcome is waited
 * for: else the newest message would be lost in place of the oldest. Called with the lock held. 0 or
 * -ENOBUFS.
 */
static int drop_for(struct spool_writer *writer, size_t frame)
{
	int64_t until = thread_now() + STALL_TIMEOUT;

	while (writer->queue.bytes + frame > writer->memory_max) {
		if (drop_oldest(writer))
			continue;
		if (writer->stalled || !thread_wait_until(&writer->progress, &writer->lock, until))
			return -ENOBUFS;
	}
	return 0;
}

int spool_writer_append(struct spool_writer *writer, const char *message, size_t n, int64_t time)
{
	size_t frame = SPOOL_FRAME_SIZE + n;
	int r = 0;

	pthread_mutex_lock(&writer->lock);
	if (n == 0 || n > SPOOL_MESSAGE_MAX || SPOOL_HEADER_SIZE + frame > writer->usable ||
	    frame > writer->memory_max) {
		r = -EMSGSIZE;
	} else {
		wait_for_room(writer, frame);
		r = drop_for(writer, frame);
	}
	r = r ?: spool_queue_append(&writer->queue, &writer->public_id, message, n, time);
	if (r == 0)
		writer->appended++;
	else
		add_loss(writer, n, time);
	pthread_cond_signal(&writer->work);
	pthread_mutex_unlock(&writer->lock);
	return r;
}

/* Copies what the store says into the status. Called with the lock held, on the writer's thread. */
static void publish(struct spool_writer *writer)
{
	const struct spool_store *store = &writer->store;
	struct spool_status *status = &writer->status;
	const struct spool_segment *first, *last;

	status->bytes = store->total_size + store->damaged_size;
	status->damaged_frames = store->damaged;
	status->removed_messages = store->removed_messages;
	status->removed_bytes = store->removed_bytes;
	status->messages = status->first_sequence = status->last_sequence = 0;
	status->oldest = 0;
	spool_id_format(&store->id, status->spool_id);
	if (store->n_segments == 0)
		return;
	first = &store->segments[0];
	last = &store->segments[store->n_segments - 1];
	for (size_t i = 0; i < store->n_segments; i++)
		status->messages += store->segments[i].messages;
	if (status->messages == 0)
		return;
	status->first_sequence = first->header.first_sequence;
	status->last_sequence = last->last_sequence;
	status->oldest = first->header.first_time;
}

static bool is_full(int error)
{
	return error == -ENOSPC || error == -EDQUOT;
}

/* Called with the lock held. */
static void failed(struct spool_writer *writer, int error)
{
	writer->error = error;
	writer->failures++;
	writer->attempts++;
	writer->trying = false;
	/* Another file may work where this one did not; a full disk stays full for a while. */
	writer->retry_at = thread_now();
	if (is_full(error) || writer->failures > 1)
		writer->retry_at += writer->options->retry_interval;
	pthread_cond_broadcast(&writer->progress);
}

/* The open segment is not trusted any more: all that is not known to be on disk is written again. */
static void abandon(struct spool_writer *writer)
{
	spool_store_leave(&writer->store);
	writer->unsynced = 0;
	spool_queue_unwrite(&writer->queue);
}

/* Whether there may be room at once after all. Called without the lock, as all that follows. */
static bool make_room(struct spool_writer *writer, int error)
{
	return is_full(error) && spool_store_make_room(&writer->store);
}

/* The disk works: hands out what is to be told of the time when it did not. */
static void recovered(struct spool_writer *writer, struct spool_loss *ret_loss)
{
	writer->error = 0;
	writer->failures = 0;
	writer->trying = false;
	*ret_loss = writer->loss;
	writer->loss = (struct spool_loss){};
}

static void sync_segment(struct spool_writer *writer)
{
	int r = spool_store_sync(&writer->store);
	struct spool_loss loss = {};
	uint64_t sequence;

	if (r < 0)
		make_room(writer, r);
	pthread_mutex_lock(&writer->lock);
	writer->stalled = false;
	if (r < 0) {
		abandon(writer);
		failed(writer, r);
	} else {
		writer->settled += spool_queue_settle(&writer->queue);
		writer->unsynced = 0;
		writer->status.synced_sequence = writer->written_sequence;
		/* What was written before the disk refused says nothing of now. */
		if (!writer->error || writer->trying)
			recovered(writer, &loss);
		pthread_cond_broadcast(&writer->progress);
	}
	publish(writer);
	sequence = writer->written_sequence;
	pthread_mutex_unlock(&writer->lock);
	if (r == 0 && writer->options->sync == SPOOL_SYNC_ALWAYS && writer->ops.stored)
		writer->ops.stored(sequence, writer->userdata);
	if (loss.messages > 0 && writer->ops.lost)
		writer->ops.lost(&loss, writer->userdata);
}

/* A run of frames of one block that goes into one segment. */
struct chunk {
	size_t size;
	uint64_t messages;
	struct spool_frame last;
	uint64_t next_sequence, next_bytes;
};

/* The frame at an offset as it will stand in the file: sequence and totals given, unless it has them. */
static struct spool_frame numbered(const struct spool_block *block, size_t offset, const struct chunk *chunk)
{
	struct spool_frame frame = spool_block_frame(block, offset);

	if (offset >= block->assigned) {
		frame.sequence = chunk->next_sequence;
		frame.bytes_before = chunk->next_bytes;
	}
	return frame;
}

/* Takes as many frames as go into the open segment, at least one, and writes their headers. */
static void gather(struct spool_writer *writer, struct spool_block *block, size_t end, struct chunk *chunk)
{
	uint64_t room = spool_store_room(&writer->store);
	uint64_t limit = writer->options->sync_bytes - MIN(writer->unsynced, writer->options->sync_bytes);
	uint64_t expected = spool_store_current(&writer->store)->last_sequence + 1;

	while (block->written + chunk->size < end) {
		size_t offset = block->written + chunk->size;
		size_t size = spool_block_frame_size(block, offset);
		struct spool_frame frame = numbered(block, offset, chunk);

		if (chunk->messages > 0 && (chunk->size + size > room || chunk->size + size > limit))
			break;
		if (frame.sequence != expected + chunk->messages)
			break;
		if (offset >= block->assigned) {
			spool_frame_encode(&frame, block->data + offset + SPOOL_FRAME_SIZE,
					   block->data + offset);
			chunk->next_sequence = frame.sequence + 1;
			chunk->next_bytes = frame.bytes_before + frame.length;
		}
		chunk->size += size;
		chunk->messages++;
		chunk->last = frame;
	}
}

/* What of a chunk has got into the file as whole frames, when a write ended early. */
static void whole_frames(const struct spool_block *block, size_t done, struct chunk *chunk)
{
	size_t size = 0;
	uint64_t messages = 0;

	while (size < done) {
		size_t offset = block->written + size;
		size_t frame = spool_block_frame_size(block, offset);

		if (size + frame > done)
			break;
		/* All have been encoded, so the sequence stands in the block. */
		chunk->last = spool_block_frame(block, offset);
		size += frame;
		messages++;
	}
	chunk->size = size;
	chunk->messages = messages;
}

/* Takes note of what is in the file now. */
static void account(struct spool_writer *writer, struct spool_block *block, const struct chunk *chunk)
{
	struct spool_store *store = &writer->store;

	spool_store_added(store, chunk->size, chunk->messages, &chunk->last);
	if (chunk->last.sequence >= store->next_sequence) {
		store->next_sequence = chunk->last.sequence + 1;
		store->next_bytes = chunk->last.bytes_before + chunk->last.length;
	}
	if (writer->unsynced == 0)
		writer->sync_at = thread_now() + writer->options->sync_interval;
	writer->unsynced += chunk->size;
	block->written += chunk->size;
	block->assigned = MAX(block->assigned, block->written);
	block->written_messages += chunk->messages;
	writer->written_sequence = MAX(writer->written_sequence, chunk->last.sequence);
}

static void write_chunk(struct spool_writer *writer, struct spool_block *block, size_t end)
{
	struct spool_store *store = &writer->store;
	struct chunk chunk = {.next_sequence = store->next_sequence, .next_bytes = store->next_bytes};
	uint64_t sequence;
	bool again;
	size_t done;
	int r;

	gather(writer, block, end, &chunk);
	r = spool_store_write(store, block->data + block->written, chunk.size, &done);
	if (r < 0)
		whole_frames(block, done, &chunk);
	again = r < 0 && make_room(writer, r);

	pthread_mutex_lock(&writer->lock);
	writer->stalled = false;
	if (chunk.messages > 0)
		account(writer, block, &chunk);
	/* A full disk does not make what is written wrong; anything else may. */
	if (r < 0 && (!is_full(r) || spool_store_cut(store) < 0))
		abandon(writer);
	if (r < 0)
		failed(writer, r);
	if (again)
		writer->retry_at = 0;
	publish(writer);
	sequence = writer->written_sequence;
	pthread_mutex_unlock(&writer->lock);
	if (chunk.messages > 0 && writer->options->sync == SPOOL_SYNC_INTERVAL && writer->ops.stored)
		writer->ops.stored(sequence, writer->userdata);
}

/* Whether the frame needs a segment of its own kind, or more room, than the open one has. */
static bool needs_segment(const struct spool_writer *writer, const struct spool_block *block,
			  const struct spool_frame *frame)
{
	const struct spool_segment *segment = spool_store_current(&writer->store);

	if (!segment || frame->sequence != segment->last_sequence + 1)
		return true;
	if (memcmp(&segment->header.public_id, &block->public_id, sizeof(block->public_id)) != 0)
		return true;
	return segment->messages > 0 &&
	       SPOOL_FRAME_SIZE + (uint64_t)frame->stored > spool_store_room(&writer->store);
}

/* Writes some of a block. Called without the lock; the block is busy. */
static void write_block(struct spool_writer *writer, struct spool_block *block, size_t end)
{
	struct spool_store *store = &writer->store;
	struct chunk chunk = {.next_sequence = store->next_sequence, .next_bytes = store->next_bytes};
	struct spool_frame frame = numbered(block, block->written, &chunk);
	int r;

	if (needs_segment(writer, block, &frame)) {
		if (writer->unsynced > 0) {
			/* What is in memory must belong to one file only. */
			sync_segment(writer);
			return;
		}
		r = spool_store_begin(store, &frame, &block->public_id);
		if (r < 0) {
			bool again = make_room(writer, r);

			pthread_mutex_lock(&writer->lock);
			failed(writer, r);
			if (again)
				writer->retry_at = 0;
			publish(writer);
			pthread_mutex_unlock(&writer->lock);
			return;
		}
	}
	write_chunk(writer, block, end);
}

/* Before anything is written. What did not fit the last time may go into the room of what all sinks have. */
static int take_reserve(struct spool_writer *writer, const struct spool_block *block, bool was_full)
{
	struct spool_store *store = &writer->store;
	struct chunk chunk = {.next_sequence = store->next_sequence, .next_bytes = store->next_bytes};
	struct spool_frame frame = numbered(block, block->written, &chunk);

	if (was_full && writer->unsynced == 0)
		spool_store_renew(store, &frame, &block->public_id);
	return spool_store_take_reserve(store);
}

/* All that follows is called with the lock held, and lets go of it while it works. */

static void write_some(struct spool_writer *writer, struct spool_block *block)
{
	size_t end = block->end;
	bool was_full;
	int r;

	block->busy = true;
	writer->want_retry = false;
	writer->trying = writer->error < 0;
	was_full = is_full(writer->error);
	pthread_mutex_unlock(&writer->lock);
	r = take_reserve(writer, block, was_full);
	if (r == 0)
		write_block(writer, block, end);
	pthread_mutex_lock(&writer->lock);
	block->busy = false;
	if (r < 0)
		failed(writer, r);
}

static void open_store(struct spool_writer *writer)
{
	_cleanup_free_ char *reason = NULL;
	int r;

	writer->want_retry = false;
	pthread_mutex_unlock(&writer->lock);
	r = spool_store_open(&writer->store, &reason);
	pthread_mutex_lock(&writer->lock);
	if (r < 0) {
		failed(writer, r);
		return;
	}
	writer->opened = true;
	writer->error = 0;
	writer->failures = 0;
	publish(writer);
}

static void prune(struct spool_writer *writer)
{
	bool full = is_full(writer->error), room;

	writer->want_prune = false;
	pthread_mutex_unlock(&writer->lock);
	room = spool_store_prune(&writer->store) > 0 || (full && spool_store_is_delivered(&writer->store));
	pthread_mutex_lock(&writer->lock);
	if (room)
		writer->want_retry = writer->error < 0;
	writer->prune_at = writer->options->retain > 0 ? thread_now() + PRUNE_INTERVAL : INT64_MAX;
	publish(writer);
}

static void take_options(struct spool_writer *writer)
{
	spool_options_free(writer->options);
	writer->options = TAKE_PTR(writer->new_options);
	spool_store_set_options(&writer->store, writer->options);
	writer->want_prune = true;
}

static bool may_try(const struct spool_writer *writer, int64_t now)
{
	return !writer->error || writer->trying || writer->want_retry || now >= writer->retry_at;
}

static bool sync_is_due(const struct spool_writer *writer, int64_t now, bool idle)
{
	if (writer->unsynced == 0)
		return false;
	if (writer->unsynced >= writer->options->sync_bytes || now >= writer->sync_at || writer->error)
		return true;
	return idle && (writer->stop || writer->settled < writer->sync_ticket ||
			writer->options->sync == SPOOL_SYNC_ALWAYS);
}

/* One piece of work; false when there is none now. */
static bool work(struct spool_writer *writer)
{
	int64_t now = thread_now();
	struct spool_block *block = spool_queue_unwritten(&writer->queue);
	bool may = may_try(writer, now);

	if (writer->new_options) {
		take_options(writer);
	} else if (!writer->opened) {
		if (!may)
			return false;
		open_store(writer);
	} else if (writer->want_prune || now >= writer->prune_at) {
		prune(writer);
	} else if (sync_is_due(writer, now, !block || !may)) {
		pthread_mutex_unlock(&writer->lock);
		sync_segment(writer);
		pthread_mutex_lock(&writer->lock);
	} else if (block && may) {
		write_some(writer, block);
	} else {
		return false;
	}
	return true;
}

static int64_t next_deadline(struct spool_writer *writer)
{
	int64_t at = writer->prune_at;

	if (writer->unsynced > 0)
		at = MIN(at, writer->sync_at);
	if (!writer->opened || (writer->error && spool_queue_unwritten(&writer->queue)))
		at = MIN(at, writer->retry_at);
	return at;
}

static void *run(void *userdata)
{
	struct spool_writer *writer = userdata;

	pthread_mutex_lock(&writer->lock);
	for (;;) {
		if (work(writer))
			continue;
		if (writer->stop)
			break;
		thread_wait_until(&writer->work, &writer->lock, next_deadline(writer));
	}
	pthread_mutex_unlock(&writer->lock);
	return NULL;
}

static int start_thread(struct spool_writer *writer)
{
	sigset_t all, before;
	int r;

	sigfillset(&all);
	/* Signals are the loop's. */
	pthread_sigmask(SIG_SETMASK, &all, &before);
	r = pthread_create(&writer->thread, NULL, run, writer);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	writer->has_thread = r == 0;
	return -r;
}

static int init_locks(struct spool_writer *writer)
{
	pthread_condattr_t attributes;
	int r;

	r = pthread_condattr_init(&attributes);
	if (r != 0)
		return -r;
	pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
	pthread_mutex_init(&writer->lock, NULL);
	pthread_cond_init(&writer->work, &attributes);
	pthread_cond_init(&writer->progress, &attributes);
	pthread_condattr_destroy(&attributes);
	return 0;
}

DEFINE_CLEANUP(struct spool_writer *, spool_writer_free);

int spool_writer_new(const struct spool_writer_options *options, const struct spool_writer_ops *ops,
		     void *userdata, struct spool_writer **ret_writer, char **ret_reason)
{
	_cleanup_(spool_writer_freep) struct spool_writer *writer = calloc(1, sizeof(*writer));
	_cleanup_free_ char *reason = NULL;
	int r;

	if (!writer)
		return -ENOMEM;
	r = init_locks(writer);
	if (r < 0) {
		free(TAKE_PTR(writer));
		return r;
	}
	spool_store_init(&writer->store, options);
	r = spool_options_copy(options, &writer->options);
	if (r < 0)
		return r;
	spool_store_init(&writer->store, writer->options);
	if (ops)
		writer->ops = *ops;
	writer->userdata = userdata;
	writer->memory_max = writer->options->memory_max;
	writer->usable = spool_store_usable(writer->options);
	writer->want_prune = true;
	r = spool_store_open(&writer->store, &reason);
	if (r == -EWOULDBLOCK || r == -EPROTONOSUPPORT || r == -ENOMEM) {
		if (ret_reason)
			*ret_reason = TAKE_PTR(reason);
		return r;
	}
	writer->opened = r == 0;
	writer->last_time = writer->store.last_time;
	if (r < 0)
		failed(writer, r);
	else
		publish(writer);
	r = start_thread(writer);
	if (r < 0)
		return r;
	*ret_writer = TAKE_PTR(writer);
	return 0;
}

static void end_thread(struct spool_writer *writer)
{
	if (!writer->has_thread)
		return;
	pthread_mutex_lock(&writer->lock);
	writer->stop = true;
	/* One last try, if the disk refuses. */
	writer->want_retry = writer->error < 0;
	pthread_cond_signal(&writer->work);
	pthread_cond_broadcast(&writer->progress);
	pthread_mutex_unlock(&writer->lock);
	pthread_join(writer->thread, NULL);
}

void spool_writer_close(struct spool_writer *writer, struct spool_loss *ret_loss)
{
	end_thread(writer);
	/* What could not be written to the end. */
	while (drop_oldest(writer))
		;
	*ret_loss = writer->loss;
	spool_store_deinit(&writer->store);
	spool_queue_deinit(&writer->queue);
	spool_options_free(writer->options);
	spool_options_free(writer->new_options);
	pthread_cond_destroy(&writer->work);
	pthread_cond_destroy(&writer->progress);
	pthread_mutex_destroy(&writer->lock);
	free(writer);
}

void spool_writer_free(struct spool_writer *writer)
{
	struct spool_loss loss;

	if (writer)
		spool_writer_close(writer, &loss);
}

void spool_writer_add_loss(struct spool_writer *writer, const struct spool_loss *loss)
{
	pthread_mutex_lock(&writer->lock);
	spool_loss_add(&writer->loss, loss);
	pthread_mutex_unlock(&writer->lock);
}

int spool_writer_set_public_id(struct spool_writer *writer, const struct log_id *public_id)
{
	pthread_mutex_lock(&writer->lock);
	writer->public_id = *public_id;
	pthread_mutex_unlock(&writer->lock);
	return 0;
}

int spool_writer_reconfigure(struct spool_writer *writer, const struct spool_writer_options *options)
{
	_cleanup_(spool_options_freep) struct spool_writer_options *copy = NULL;
	int r;

	r = spool_options_copy(options, &copy);
	if (r < 0)
		return r;
	pthread_mutex_lock(&writer->lock);
	spool_options_free(writer->new_options);
	writer->memory_max = copy->memory_max;
	writer->usable = spool_store_usable(copy);
	writer->new_options = TAKE_PTR(copy);
	pthread_cond_signal(&writer->work);
	pthread_mutex_unlock(&writer->lock);
	return 0;
}

void spool_writer_prune(struct spool_writer *writer)
{
	pthread_mutex_lock(&writer->lock);
	writer->want_prune = true;
	pthread_cond_signal(&writer->work);
	pthread_mutex_unlock(&writer->lock);
}

int spool_writer_sync(struct spool_writer *writer, int timeout_ms)
{
	int64_t until = thread_now() + timeout_ms * NSEC_PER_MSEC;
	uint64_t ticket, attempts;
	int r = 0;

	pthread_mutex_lock(&writer->lock);
	ticket = writer->sync_ticket = writer->appended;
	attempts = writer->attempts;
	writer->want_retry = writer->error < 0;
	pthread_cond_signal(&writer->work);
	while (r == 0 && writer->settled < ticket) {
		bool refused = writer->attempts > attempts && writer->error < 0 && !writer->trying &&
			       thread_now() < writer->retry_at;

		if (refused)
			r = writer->error;
		else if (!thread_wait_until(&writer->progress, &writer->lock, until))
			r = -ETIMEDOUT;
	}
	pthread_mutex_unlock(&writer->lock);
	return r;
}

void spool_writer_get_status(struct spool_writer *writer, struct spool_status *ret_status)
{
	pthread_mutex_lock(&writer->lock);
	*ret_status = writer->status;
	ret_status->removed_messages += writer->dropped_messages;
	ret_status->removed_bytes += writer->dropped_bytes;
	ret_status->error = writer->error;
	if (writer->error) {
		ret_status->waiting_messages = writer->queue.messages;
		ret_status->waiting_bytes = writer->queue.bytes;
	}
	pthread_mutex_unlock(&writer->lock);
}

int spool_writer_open_directory(struct spool_writer *writer)
{
	int fd;

	pthread_mutex_lock(&writer->lock);
	/* Until it could be opened, the path is all there is. */
	if (writer->opened)
		fd = fcntl(writer->store.directory_fd, F_DUPFD_CLOEXEC, 0);
	else
		fd = open(writer->options->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	pthread_mutex_unlock(&writer->lock);
	return fd < 0 ? -errno : fd;
}

int64_t spool_writer_last_time(const struct spool_writer *writer)
{
	return writer->last_time;
}
