/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The spool's thread. Messages come in under a lock as frames in blocks, and leave memory only when a sync
 * has succeeded; so a file whose write or sync failed is simply abandoned, and what it should have held is
 * written again. Everything slow happens without the lock.
 */

#include "daemon/spool/writer.h"

#include "common/cleanup.h"
#include "common/file.h"
#include "common/thread.h"
#include "common/time_text.h"
#include "daemon/spool/chunk.h"
#include "daemon/spool/prune.h"
#include "daemon/spool/queue.h"
#include "daemon/spool/store.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>

#define PRUNE_INTERVAL (60 * NSEC_PER_SEC)
#define STALL_TIMEOUT  (5 * NSEC_PER_SEC)
/* What may wait in memory while the disk works; and how much is synced at once when more would come, such
 * that the rest can be filled meanwhile. */
#define BUSY_MAX  (UINT64_C(3) << 20)
#define BUSY_SYNC (UINT64_C(2) << 20)
/* Between two times that a full disk is told; one that lasts so long is told in any case. */
#define TELL_INTERVAL (600 * NSEC_PER_SEC)
#define TELL_LASTING  (30 * NSEC_PER_SEC)

struct spool_writer {
	struct spool_writer_ops ops;
	void *userdata;
	pthread_t thread;
	bool has_thread;
	int64_t last_time;

	/* The thread's. */
	struct spool_writer_options *options;
	struct spool_store store;
	uint64_t unsynced; /* bytes in the open segment */
	int64_t sync_at;   /* when they must be synced */
	int64_t prune_at;
	int told_error;
	int64_t told_full_at; /* when a full disk was told last; 0: never */
	uint64_t told_removed;

	/* Under the lock. */
	pthread_mutex_t lock;
	pthread_cond_t work, progress;
	struct spool_writer_options *new_options;
	struct spool_queue queue;
	struct log_id public_id;
	uint64_t memory_max, usable;
	bool opened;
	bool stop, want_prune, want_retry;
	bool stalled;	      /* a wait for the disk timed out: no more waits until it answers */
	bool trying;	      /* a try is under way while error is set */
	unsigned int waiting; /* appenders, for room while the disk works */
	int error;
	unsigned int failures;
	uint64_t attempts; /* that failed */
	int64_t failed_at; /* the first of them since the last success */
	int64_t retry_at;
	uint64_t appended, settled; /* messages taken; synced or dropped */
	uint64_t written_sequence;
	uint64_t sync_ticket;			  /* spool_writer_sync() waits until so many are settled */
	uint64_t dropped_messages, dropped_bytes; /* after they had a sequence */
	struct spool_loss dropped;		  /* of those, what no later frame's totals tell yet */
	uint64_t dropped_sequence;		  /* the last of them */
	struct spool_loss loss;			  /* not reported yet */
	struct spool_status status;
};

/* Static functions are called with the lock held, unless they say otherwise. */

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
		spool_loss_add(&writer->dropped,
			       &(struct spool_loss){1, dropped.bytes, dropped.time, dropped.time});
		writer->dropped_sequence = dropped.sequence;
	} else {
		add_loss(writer, dropped.bytes, dropped.time);
	}
	return true;
}

/*
 * Drops the oldest until there is room. What is being written can't be dropped, so its outcome is awaited:
 * else the newest message would be lost in place of the oldest. 0 or -ENOBUFS.
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

/* Waits until a disk that works has taken enough. A window of many connections has several times as much
 * text as they take themselves, and need not be in memory twice. */
static void wait_for_disk(struct spool_writer *writer, size_t frame)
{
	int64_t until = thread_now() + STALL_TIMEOUT;

	while (!writer->error && !writer->stalled && !writer->stop && writer->opened &&
	       writer->queue.messages > 0 &&
	       writer->queue.bytes + frame > MIN(writer->memory_max, BUSY_MAX)) {
		writer->waiting++;
		pthread_cond_signal(&writer->work);
		if (!thread_wait_until(&writer->progress, &writer->lock, until))
			writer->stalled = true;
		writer->waiting--;
	}
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
		/* When the disk does not work, the oldest messages make room. */
		wait_for_disk(writer, frame);
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

/* Copies the store's figures into the status. On the writer's thread. */
static void publish(struct spool_writer *writer)
{
	const struct spool_store *store = &writer->store;
	struct spool_status *status = &writer->status;
	const struct spool_segment *first, *last;

	status->bytes = store->total_size + store->damaged_size;
	status->damaged_frames = store->damaged;
	status->written_messages = store->run_messages + store->next_sequence - store->run_sequence;
	status->written_bytes = store->next_bytes;
	status->removed_messages = store->removed_messages;
	status->removed_bytes = store->removed_bytes;
	status->undelivered_messages = store->undelivered_messages;
	status->undelivered_bytes = store->undelivered_bytes;
	status->vanished_segments = store->vanished_segments;
	status->vanished_messages = store->vanished_messages;
	status->vanished_bytes = store->vanished_bytes;
	status->vanished_undelivered = store->vanished_undelivered;
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

static void failed(struct spool_writer *writer, int error)
{
	if (!writer->error)
		writer->failed_at = thread_now();
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

/* The open segment can't be trusted: all that is not known to be on disk is written again. */
static void abandon(struct spool_writer *writer)
{
	spool_store_leave(&writer->store);
	writer->unsynced = 0;
	spool_queue_unwrite(&writer->queue);
}

/* Files are not where they were: what memory still holds goes into a new segment. Called without the lock,
 * when no segment is open. */
static int look_after(struct spool_writer *writer, uint64_t messages, uint64_t unsynced)
{
	uint64_t headers = messages * SPOOL_FRAME_SIZE;

	return spool_store_look_after(&writer->store, messages, unsynced - MIN(unsynced, headers));
}

/* Calls back without the lock, as callbacks may take their time. */
static void notify(struct spool_writer *writer, bool stored, const struct spool_loss *loss)
{
	uint64_t sequence = writer->written_sequence;

	pthread_mutex_unlock(&writer->lock);
	if (stored && writer->ops.stored)
		writer->ops.stored(sequence, writer->userdata);
	if (loss->messages > 0 && writer->ops.lost)
		writer->ops.lost(loss, writer->userdata);
	pthread_mutex_lock(&writer->lock);
}

/* The thread's work. Each piece lets go of the lock while it works on the disk. */

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
	room = spool_prune(&writer->store) > 0 || (full && spool_prune_is_delivered(&writer->store));
	pthread_mutex_lock(&writer->lock);
	if (room)
		writer->want_retry = writer->error < 0;
	writer->prune_at = writer->options->retain > 0 ? thread_now() + PRUNE_INTERVAL : INT64_MAX;
	publish(writer);
}

static void sync_segment(struct spool_writer *writer)
{
	uint64_t messages = spool_queue_written(&writer->queue), unsynced = writer->unsynced;
	struct spool_loss loss = {};
	int r;

	pthread_mutex_unlock(&writer->lock);
	r = spool_store_sync(&writer->store);
	if (r == -ESTALE) {
		spool_store_leave(&writer->store);
		(void)look_after(writer, messages, unsynced);
	}
	if (r == 0)
		spool_store_find_removed(&writer->store);
	if (r == 0 && writer->store.prune_waits)
		spool_prune(&writer->store);
	if (is_full(r))
		spool_store_make_room(&writer->store);
	pthread_mutex_lock(&writer->lock);
	writer->stalled = false;
	if (r < 0) {
		abandon(writer);
		failed(writer, r);
	} else {
		writer->settled += spool_queue_settle(&writer->queue);
		writer->unsynced = 0;
		writer->status.synced_sequence = writer->written_sequence;
		/* A write from before the failure does not show that the disk works now. */
		if (!writer->error || writer->trying) {
			writer->error = 0;
			writer->failures = 0;
			writer->trying = false;
			loss = writer->loss;
			writer->loss = (struct spool_loss){};
		}
		pthread_cond_broadcast(&writer->progress);
	}
	publish(writer);
	notify(writer, r == 0 && writer->options->sync == SPOOL_SYNC_ALWAYS, &loss);
}

/* Writes the block's next frames up to an offset, as many as go into one segment. Called without the lock. 0
 * or -errno; in both cases the chunk is what is in the file. */
static int write_frames(struct spool_writer *writer, struct spool_block *block, size_t end,
			struct spool_chunk *ret_chunk)
{
	uint64_t limit = writer->options->sync_bytes - MIN(writer->unsynced, writer->options->sync_bytes);
	struct spool_store *store = &writer->store;
	struct spool_chunk chunk;
	size_t written;
	int r;

	if (spool_chunk_needs_segment(store, block)) {
		struct spool_frame first = spool_chunk_first(store, block);

		r = spool_store_begin(store, &first, &block->public_id);
		if (r < 0)
			return r;
	}
	spool_chunk_gather(store, block, end, limit, &chunk);
	r = spool_store_write(store, block->data + block->written, chunk.size, &written);
	if (r < 0)
		spool_chunk_cut(&chunk, block, written);
	if (chunk.messages > 0)
		spool_store_added(store, chunk.size, chunk.messages, &chunk.last);
	/* A full disk does not make what is written wrong; anything else may. */
	if (r < 0 && (!is_full(r) || spool_store_cut(store) < 0))
		spool_store_leave(store);
	*ret_chunk = chunk;
	return r;
}

static void write_block(struct spool_writer *writer, struct spool_block *block)
{
	struct spool_store *store = &writer->store;
	bool was_full = is_full(writer->error), room = false;
	struct spool_chunk chunk = {};
	size_t end = block->end;
	int r;

	block->busy = true;
	writer->want_retry = false;
	writer->trying = writer->error < 0;
	pthread_mutex_unlock(&writer->lock);
	/* What did not fit the last time may go into the room of what all sinks have. */
	if (was_full && writer->unsynced == 0) {
		struct spool_frame first = spool_chunk_first(store, block);

		spool_store_renew(store, &first, &block->public_id);
	}
	r = spool_store_take_reserve(store);
	/* A directory that is gone can't take a new segment; one that is not can. */
	if ((r == 0 || r == -ENOENT) && !spool_segments_current(store) && spool_store_is_gone(store))
		r = look_after(writer, 0, 0);
	if (r == 0)
		r = write_frames(writer, block, end, &chunk);
	/* Also when there is none for the reserve: what is only retained must not keep it out. */
	room = is_full(r) && spool_store_make_room(store);
	pthread_mutex_lock(&writer->lock);
	block->busy = false;
	writer->stalled = false;
	if (chunk.messages > 0) {
		if (writer->unsynced == 0)
			writer->sync_at = thread_now() + writer->options->sync_interval;
		writer->unsynced += chunk.size;
		block->written += chunk.size;
		block->assigned = MAX(block->assigned, block->written);
		block->written_messages += chunk.messages;
		writer->written_sequence = MAX(writer->written_sequence, chunk.last.sequence);
		writer->dropped = (struct spool_loss){};
	}
	if (r < 0) {
		if (!spool_segments_current(store))
			abandon(writer);
		failed(writer, r);
	}
	if (room)
		writer->retry_at = 0;
	publish(writer);
	notify(writer, chunk.messages > 0 && writer->options->sync == SPOOL_SYNC_INTERVAL,
	       &(struct spool_loss){});
}

/* idle: there is nothing to write now. */
static bool sync_is_due(const struct spool_writer *writer, int64_t now, bool idle)
{
	if (writer->unsynced == 0)
		return false;
	if (writer->unsynced >= writer->options->sync_bytes || now >= writer->sync_at || writer->error)
		return true;
	if (writer->waiting > 0 && writer->unsynced >= BUSY_SYNC)
		return true;
	return idle && (writer->stop || writer->waiting > 0 || writer->settled < writer->sync_ticket ||
			writer->options->sync == SPOOL_SYNC_ALWAYS);
}

/* One piece of work; false when there is none now. */
static bool work(struct spool_writer *writer)
{
	int64_t now = thread_now();
	struct spool_block *block = spool_queue_unwritten(&writer->queue);
	bool may_try = !writer->error || writer->trying || writer->want_retry || now >= writer->retry_at;

	if (writer->new_options) {
		free(writer->options);
		writer->options = TAKE_PTR(writer->new_options);
		spool_store_set_options(&writer->store, writer->options);
		writer->want_prune = true;
		return true;
	}
	if (!writer->opened) {
		if (may_try)
			open_store(writer);
		return may_try;
	}
	if (writer->want_prune || now >= writer->prune_at) {
		prune(writer);
		return true;
	}
	if (!may_try)
		block = NULL;
	/* What is unsynced must be in one file: sync it before the next segment begins. */
	if (sync_is_due(writer, now, !block) ||
	    (block && writer->unsynced > 0 && spool_chunk_needs_segment(&writer->store, block))) {
		sync_segment(writer);
		return true;
	}
	if (block)
		write_block(writer, block);
	return block != NULL;
}

/* Reports a change that the daemon's log is to tell. */
static void tell_changes(struct spool_writer *writer)
{
	uint64_t removed =
		writer->status.removed_messages + writer->dropped_messages + writer->status.vanished_segments;
	/* Not while a try is under way, nor that a file is gone: another follows at once. */
	int error = writer->trying || writer->error == -ESTALE ? writer->told_error : writer->error;
	int64_t now = thread_now();

	/* A small disk is full again and again, until what is delivered makes room: told now and then, or
	 * when it lasts. */
	if (is_full(error) && writer->told_error == 0 && writer->told_full_at > 0 &&
	    now - writer->told_full_at < TELL_INTERVAL && now - writer->failed_at < TELL_LASTING)
		error = 0;
	if (error == writer->told_error && removed == writer->told_removed)
		return;
	if (is_full(error) && writer->told_error == 0)
		writer->told_full_at = now;
	writer->told_error = error;
	writer->told_removed = removed;
	if (!writer->ops.changed)
		return;
	pthread_mutex_unlock(&writer->lock);
	writer->ops.changed(writer->userdata);
	pthread_mutex_lock(&writer->lock);
}

static void *run(void *userdata)
{
	struct spool_writer *writer = userdata;

	pthread_mutex_lock(&writer->lock);
	for (;;) {
		int64_t until;
		bool worked = work(writer);

		tell_changes(writer);
		if (worked)
			continue;
		if (writer->stop)
			break;
		until = writer->prune_at;
		if (writer->unsynced > 0)
			until = MIN(until, writer->sync_at);
		if (!writer->opened || (writer->error && spool_queue_unwritten(&writer->queue)))
			until = MIN(until, writer->retry_at);
		thread_wait_until(&writer->work, &writer->lock, until);
	}
	pthread_mutex_unlock(&writer->lock);
	return NULL;
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
	pthread_mutex_init(&writer->lock, NULL);
	r = thread_condition_init(&writer->work) ?: thread_condition_init(&writer->progress);
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
	writer->usable = spool_options_usable(writer->options);
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
	r = thread_start(&writer->thread, "spool", 0, run, writer);
	if (r < 0)
		return r;
	writer->has_thread = true;
	*ret_writer = TAKE_PTR(writer);
	return 0;
}

void spool_writer_close(struct spool_writer *writer, struct spool_loss *ret_loss)
{
	if (writer->has_thread) {
		pthread_mutex_lock(&writer->lock);
		writer->stop = true;
		/* One last try, if writes fail. */
		writer->want_retry = writer->error < 0;
		pthread_cond_signal(&writer->work);
		pthread_cond_broadcast(&writer->progress);
		pthread_mutex_unlock(&writer->lock);
		pthread_join(writer->thread, NULL);
	}
	/* What could not be written until now is lost. */
	while (drop_oldest(writer))
		;
	/* What has a sequence may stand in a file that could not be synced, for the next start to find. */
	if (writer->dropped_sequence > spool_segments_reach(&writer->store))
		spool_loss_add(&writer->loss, &writer->dropped);
	*ret_loss = writer->loss;
	spool_store_deinit(&writer->store);
	spool_queue_deinit(&writer->queue);
	free(writer->options);
	free(writer->new_options);
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

void spool_writer_set_public_id(struct spool_writer *writer, const struct log_id *public_id)
{
	pthread_mutex_lock(&writer->lock);
	writer->public_id = *public_id;
	pthread_mutex_unlock(&writer->lock);
}

int spool_writer_reconfigure(struct spool_writer *writer, const struct spool_writer_options *options)
{
	struct spool_writer_options *copy;
	int r;

	r = spool_options_copy(options, &copy);
	if (r < 0)
		return r;
	pthread_mutex_lock(&writer->lock);
	free(writer->new_options);
	writer->memory_max = copy->memory_max;
	writer->usable = spool_options_usable(copy);
	writer->new_options = copy;
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

uint64_t spool_writer_ticket(struct spool_writer *writer)
{
	uint64_t ticket;

	pthread_mutex_lock(&writer->lock);
	ticket = writer->appended;
	pthread_mutex_unlock(&writer->lock);
	return ticket;
}

bool spool_writer_is_settled(struct spool_writer *writer, uint64_t ticket)
{
	bool settled;

	pthread_mutex_lock(&writer->lock);
	settled = writer->settled >= ticket;
	pthread_mutex_unlock(&writer->lock);
	return settled;
}

void spool_writer_get_status(struct spool_writer *writer, struct spool_status *ret_status)
{
	pthread_mutex_lock(&writer->lock);
	*ret_status = writer->status;
	ret_status->removed_messages += writer->dropped_messages;
	ret_status->removed_bytes += writer->dropped_bytes;
	ret_status->error = writer->error;
	ret_status->told_error = writer->told_error;
	if (writer->error) {
		ret_status->waiting_messages = writer->queue.messages;
		ret_status->waiting_bytes = writer->queue.bytes;
	}
	spool_queue_count_unwritten(&writer->queue, &ret_status->unwritten_messages,
				    &ret_status->unwritten_bytes);
	pthread_mutex_unlock(&writer->lock);
}

int spool_writer_open_directory(struct spool_writer *writer)
{
	int fd;

	pthread_mutex_lock(&writer->lock);
	/* Before it is opened there is only the path. */
	if (!writer->opened) {
		fd = open_directory(writer->options->directory);
	} else {
		fd = fcntl(writer->store.directory_fd, F_DUPFD_CLOEXEC, 0);
		fd = fd < 0 ? -errno : fd;
	}
	pthread_mutex_unlock(&writer->lock);
	return fd;
}

int64_t spool_writer_last_time(const struct spool_writer *writer)
{
	return writer->last_time;
}
