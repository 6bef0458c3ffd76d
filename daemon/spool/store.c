/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which file the spool's bytes go to. Segments are made under a temporary name, so that readers never see one
 * without a header; the name is synced together with the first frames.
 */

#include "daemon/spool/store.h"

#include "common/cleanup.h"
#include "common/file.h"
#include "common/kill_point.h"
#include "common/owner.h"
#include "common/spool/directory.h"
#include "daemon/spool/damaged.h"
#include "daemon/spool/files.h"
#include "daemon/spool/prune.h"
#include "daemon/spool/recover.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#define SEGMENTS_MIN 8
/* On the smallest of disks: a block for a sink's state, and one for its quarantine. */
#define RESERVE_LEAST (UINT64_C(8) << 10)

void spool_store_init(struct spool_store *store, const struct spool_writer_options *options)
{
	*store = (struct spool_store){
		.options = options,
		.files = options->files ?: &spool_files_system,
		.directory_fd = -1,
		.lock_fd = -1,
		.reserve_fd = -1,
		.fd = -1,
	};
}

void spool_store_deinit(struct spool_store *store)
{
	free(store->segments);
	safe_close(store->fd);
	safe_close(store->reserve_fd);
	safe_close(store->lock_fd);
	safe_close(store->directory_fd);
	spool_store_init(store, store->options);
}

static uint64_t segment_limit(const struct spool_store *store)
{
	uint64_t wanted = store->options->segment_size ?: SPOOL_SEGMENT_SIZE;
	uint64_t usable = spool_options_usable(store->options);

	/* What is delivered goes in whole segments: a small disk needs small ones. */
	if (store->disk_size > 0)
		usable = MIN(usable, store->disk_size);
	return MIN(wanted, usable / SEGMENTS_MIN);
}

/* Of a small disk, or of one with little room, the reserve is a small part. */
static void measure_disk(struct spool_store *store)
{
	uint64_t size = spool_options_reserve(store->options), room;
	struct statvfs disk;
	struct stat held;

	store->reserve_size = size;
	store->disk_size = 0;
	if (fstatvfs(store->directory_fd, &disk) < 0 || disk.f_blocks == 0)
		return;
	store->disk_size = disk.f_blocks * disk.f_frsize;
	room = disk.f_bavail * disk.f_frsize;
	if (fstatat(store->directory_fd, SPOOL_RESERVE_NAME, &held, AT_SYMLINK_NOFOLLOW) == 0)
		room += (uint64_t)held.st_blocks * 512;
	size = MIN(size, MIN(store->disk_size / 16, room / 4));
	store->reserve_size = MAX(size & ~UINT64_C(4095), RESERVE_LEAST);
}

void spool_store_set_options(struct spool_store *store, const struct spool_writer_options *options)
{
	store->options = options;
	store->reserve_held = false;
	if (store->directory_fd >= 0)
		measure_disk(store);
}

int spool_store_take_reserve(struct spool_store *store)
{
	const struct spool_files *files = store->files;
	off_t size = (off_t)store->reserve_size;
	struct stat st;

	if (store->reserve_held)
		return 0;
	if (store->reserve_fd < 0) {
		store->reserve_fd = files->openat(store->directory_fd, SPOOL_RESERVE_NAME,
						  O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK,
						  0600, files->userdata);
		if (store->reserve_fd < 0)
			return -errno;
		(void)owner_give(store->reserve_fd, store->directory_fd);
	}
	/* From a time when the cap was larger. */
	if (fstat(store->reserve_fd, &st) == 0 && st.st_size > size)
		(void)files->ftruncate(store->reserve_fd, size, files->userdata);
	if (files->fallocate(store->reserve_fd, size, files->userdata) < 0 &&
	    (errno == ENOSPC || errno == EDQUOT))
		return -errno;
	/* If the file system can't allocate ahead, or fails otherwise, there is no reserve. */
	store->reserve_held = true;
	return 0;
}

int spool_store_open(struct spool_store *store, char **ret_reason)
{
	const struct spool_writer_options *options = store->options;
	int r;

	r = make_directory_at(AT_FDCWD, options->directory, options->file_mode & 040 ? 0750 : 0700);
	if (r < 0)
		return r;
	r = open_directory(options->directory);
	if (r < 0)
		return r;
	store->directory_fd = r;
	r = spool_lock(store->directory_fd, &store->lock_fd);
	if (r == -EWOULDBLOCK &&
	    asprintf(ret_reason, "%s is in use by another daemon", options->directory) < 0)
		*ret_reason = NULL;
	if (r == 0)
		r = spool_recover(store, ret_reason);
	if (r < 0) {
		spool_store_deinit(store);
		return r;
	}
	measure_disk(store);
	(void)spool_store_take_reserve(store);
	return 0;
}

/*
 * Whether somebody else has removed or moved the open segment, put another file under its name, or cut it
 * off: then what is written to it reaches nobody.
 */
static bool is_lost(const struct spool_store *store)
{
	const struct spool_segment *segment = spool_segments_current(store);
	struct stat st;

	return file_is_at(store->fd, store->directory_fd, segment->name, AT_SYMLINK_NOFOLLOW) == 0 ||
	       (fstat(store->fd, &st) == 0 && (uint64_t)st.st_size < segment->size);
}

/* What stands under the name of a lost segment is kept for a person to look at, out of the readers' way. */
static void set_lost_aside(struct spool_store *store)
{
	const struct spool_segment *segment = spool_segments_current(store);
	_cleanup_close_ int directory = -1;
	struct stat st;

	if (fstatat(store->directory_fd, segment->name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return;
	if (S_ISREG(st.st_mode) && st.st_size > SPOOL_HEADER_SIZE)
		directory = spool_damaged_open(store);
	if (directory >= 0 && renameat(store->directory_fd, segment->name, directory, segment->name) == 0)
		store->damaged_size += spool_blocks((uint64_t)st.st_size);
	else
		(void)store->files->unlinkat(store->directory_fd, segment->name, store->files->userdata);
}

/* Forgets a segment whose file somebody else has removed, and counts what was in it, except its last messages
 * if memory has them. */
static void forget(struct spool_store *store, size_t i, uint64_t kept_messages, uint64_t kept_bytes)
{
	const struct spool_segment *segment = &store->segments[i];
	uint64_t messages = segment->messages - MIN(segment->messages, kept_messages);
	uint64_t bytes = segment->bytes - MIN(segment->bytes, kept_bytes);

	store->vanished_segments++;
	store->vanished_messages += messages;
	store->vanished_bytes += bytes;
	store->vanished_undelivered += spool_prune_missed(store, segment, messages);
	store->removed_messages += messages;
	store->removed_bytes += bytes;
	store->total_size -= spool_blocks(segment->size);
	store->n_segments--;
	memmove(&store->segments[i], &store->segments[i + 1],
		(store->n_segments - i) * sizeof(*store->segments));
}

/* The directory itself was removed: makes it again, under the same spool id. */
static int make_again(struct spool_store *store)
{
	_cleanup_spool_listing_ struct spool_listing listing = {};
	mode_t mode = store->options->file_mode & 040 ? 0750 : 0700;
	int r = make_directory_at(AT_FDCWD, store->options->directory, mode), fd, lock_fd;

	if (r < 0)
		return r;
	fd = open_directory(store->options->directory);
	if (fd < 0)
		return fd;
	r = spool_list(fd, &listing);
	/* Another spool in its place is not ours to write to: it is recovered at the next start. */
	if (r == 0 && listing.n > 0)
		r = -EEXIST;
	r = r ?: spool_lock(fd, &lock_fd);
	if (r < 0) {
		safe_close(fd);
		return r;
	}
	/* In its place: another thread may be about to duplicate it. */
	r = dup3(fd, store->directory_fd, O_CLOEXEC) < 0 ? -errno : 0;
	safe_close(fd);
	if (r < 0) {
		safe_close(lock_fd);
		return r;
	}
	safe_close(store->lock_fd);
	store->reserve_fd = safe_close(store->reserve_fd);
	store->lock_fd = lock_fd;
	store->damaged_size = 0;
	store->run_safe = false;
	store->reserve_held = false;
	measure_disk(store);
	return 0;
}

bool spool_store_is_gone(const struct spool_store *store)
{
	/* An error is no absence. */
	return file_is_at(store->directory_fd, AT_FDCWD, store->options->directory, 0) == 0;
}

int spool_store_look_after(struct spool_store *store, uint64_t kept_messages, uint64_t kept_bytes)
{
	bool gone = spool_store_is_gone(store);
	int r = gone ? make_again(store) : 0;
	size_t last = store->n_segments;

	/* Where another spool took its place nothing is written, but what was here is gone all the same. */
	if (r < 0 && r != -EEXIST)
		return r;
	for (size_t i = last; i > 0; i--) {
		bool kept = i == last;

		/* Only the kernel's own word that it is not there. */
		if (gone || (faccessat(store->directory_fd, store->segments[i - 1].name, F_OK,
				       AT_SYMLINK_NOFOLLOW) < 0 &&
			     errno == ENOENT))
			forget(store, i - 1, kept ? kept_messages : 0, kept ? kept_bytes : 0);
	}
	return r;
}

void spool_store_find_removed(struct spool_store *store)
{
	struct timespec *seen = &store->directory_changed;
	struct stat st;

	if (fstat(store->directory_fd, &st) < 0 ||
	    (st.st_mtim.tv_sec == seen->tv_sec && st.st_mtim.tv_nsec == seen->tv_nsec))
		return;
	*seen = st.st_mtim;
	for (size_t i = store->n_segments - (store->fd >= 0); i > 0; i--)
		if (faccessat(store->directory_fd, store->segments[i - 1].name, F_OK, AT_SYMLINK_NOFOLLOW) <
			    0 &&
		    errno == ENOENT)
			forget(store, i - 1, 0, 0);
}

uint64_t spool_store_room(const struct spool_store *store)
{
	const struct spool_segment *segment = spool_segments_current(store);
	uint64_t limit = segment_limit(store);

	if (!segment)
		return 0;
	return segment->size < limit ? limit - segment->size : 0;
}

/* Writes the header of a new segment under the temporary name. */
static int make_file(struct spool_store *store, const struct spool_header *header)
{
	const struct spool_files *files = store->files;
	_cleanup_close_ int fd = -1;
	uint8_t data[SPOOL_HEADER_SIZE];
	size_t done = 0;
	int flags = O_RDWR | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC | O_NOFOLLOW;

	fd = files->openat(store->directory_fd, SPOOL_TEMPORARY_NAME, flags, store->options->file_mode,
			   files->userdata);
	if (fd < 0)
		return -errno;
	/* Independent of the umask: the uploader may be another user. */
	if (owner_give(fd, store->directory_fd) < 0 || fchmod(fd, store->options->file_mode) < 0)
		return -errno;
	kill_point("spool-segment-made");
	spool_header_encode(header, data);
	while (done < sizeof(data)) {
		ssize_t n = files->write(fd, data + done, sizeof(data) - done, files->userdata);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		done += (size_t)n;
	}
	kill_point("spool-header-written");
	return TAKE_FD(fd);
}

/* Gives the new segment its name: a free one, after all those of the same sequence. */
static int name_file(struct spool_store *store, uint64_t first_sequence, char ret_name[static SPOOL_NAME_MAX])
{
	const struct spool_files *files = store->files;
	/* Nor is a name used again whose file somebody removed: readers may still be in it. */
	unsigned int attempt, next = first_sequence == store->named_sequence ? store->named_attempt + 1 : 0;
	uint64_t first;

	for (size_t i = store->n_segments; i > 0; i--) {
		const struct spool_segment *segment = &store->segments[i - 1];

		if (segment->header.first_sequence != first_sequence)
			break;
		if (spool_name_parse(segment->name, &first, &attempt) == 0)
			next = MAX(next, attempt + 1);
	}
	for (; next <= 0xffff; next++) {
		spool_name_format(first_sequence, next, ret_name);
		/* Nobody else makes files here: the lock is held. */
		if (faccessat(store->directory_fd, ret_name, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
			continue;
		if (errno != ENOENT)
			return -errno;
		if (files->renameat(store->directory_fd, SPOOL_TEMPORARY_NAME, ret_name, files->userdata) < 0)
			return -errno;
		store->named_sequence = first_sequence;
		store->named_attempt = next;
		return 0;
	}
	return -EEXIST;
}

/* What the new segment repeats no longer counts as part of those before it. */
static void count_once(struct spool_store *store, const struct spool_header *next)
{
	for (size_t i = store->n_segments; i > 0; i--) {
		struct spool_segment *segment = &store->segments[i - 1];
		const struct spool_header *header = &segment->header;

		if (header->messages_before + segment->messages <= next->messages_before)
			break;
		segment->messages =
			next->messages_before - MIN(header->messages_before, next->messages_before);
		segment->bytes = next->bytes_before - MIN(header->bytes_before, next->bytes_before);
	}
}

/* Makes the file of a new segment, under a name that it chooses, and continues in it. */
static int make_segment(struct spool_store *store, struct spool_segment *segment)
{
	_cleanup_close_ int fd = make_file(store, &segment->header);
	int r;

	if (fd < 0)
		return fd;
	r = name_file(store, segment->header.first_sequence, segment->name);
	if (r < 0)
		return r;
	kill_point("spool-segment-named");
	store->fd = TAKE_FD(fd);
	store->directory_dirty = true;
	return 0;
}

/*
 * A run's first header is safe before a message follows it: after a power cut that leaves none of the
 * messages it still tells that their sequences may have been seen. And what was kept only until another was
 * safe can go now; so many bytes of the cap are still to be written.
 */
static int secure_segment(struct spool_store *store, uint64_t wanted)
{
	int r = spool_store_sync(store);

	if (r == 0 && store->prune_waits) {
		spool_prune(store);
		spool_prune_to_cap(store, wanted);
	}
	return r;
}

int spool_store_begin(struct spool_store *store, const struct spool_frame *first,
		      const struct log_id *public_id)
{
	struct spool_segment segment = {
		.header =
			{
				.size = SPOOL_HEADER_SIZE,
				.spool_id = store->id,
				.previous_id = store->previous_id,
				.public_id = *public_id,
				.first_sequence = first->sequence,
				.messages_before =
					store->run_messages + first->sequence - store->run_sequence,
				.bytes_before = first->bytes_before,
				.first_time = first->time,
			},
		.size = SPOOL_HEADER_SIZE,
		.last_sequence = first->sequence - 1,
		.last_time = first->time,
	};
	uint64_t most;
	int r;

	spool_store_leave(store);
	spool_prune_repeated(store);
	count_once(store, &segment.header);
	memcpy(segment.header.machine, store->machine, sizeof(store->machine));
	memcpy(segment.header.boot_id, store->boot_id, sizeof(store->boot_id));
	most = MAX(SPOOL_HEADER_SIZE + SPOOL_FRAME_SIZE + (uint64_t)first->stored, segment_limit(store));
	spool_prune_to_cap(store, spool_blocks(most));
	r = spool_segments_reserve(store);
	if (r < 0)
		return r;
	r = make_segment(store, &segment);
	if (r < 0)
		return r;
	r = spool_segments_add(store, &segment);
	if (r == 0 && (!store->run_safe || store->prune_waits))
		r = secure_segment(store, spool_blocks(most) - spool_blocks(segment.size));
	if (r < 0)
		spool_store_leave(store);
	return r;
}

int spool_store_write(struct spool_store *store, const void *data, size_t n, size_t *ret_written)
{
	const struct spool_files *files = store->files;
	size_t done = 0;

	while (done < n) {
		size_t want = kill_point_cut("spool-mid-frame", n - done);
		ssize_t written =
			files->write(store->fd, (const uint8_t *)data + done, want, files->userdata);

		kill_point("spool-mid-frame");
		if (written < 0 && errno == EINTR)
			continue;
		if (written <= 0) {
			*ret_written = done;
			return written < 0 ? -errno : -EIO;
		}
		done += (size_t)written;
	}
	*ret_written = done;
	return 0;
}

void spool_store_added(struct spool_store *store, size_t size, uint64_t messages,
		       const struct spool_frame *last)
{
	struct spool_segment *segment = spool_segments_current(store);

	spool_segments_resize(store, store->n_segments - 1, segment->size + size);
	segment->messages += messages;
	segment->bytes = last->bytes_before + last->length - segment->header.bytes_before;
	segment->last_sequence = last->sequence;
	segment->last_time = last->time;
	if (last->sequence >= store->next_sequence) {
		store->next_sequence = last->sequence + 1;
		store->next_bytes = last->bytes_before + last->length;
	}
}

int spool_store_cut(struct spool_store *store)
{
	const struct spool_segment *segment = spool_segments_current(store);

	if (store->files->ftruncate(store->fd, (off_t)segment->size, store->files->userdata) < 0)
		return -errno;
	return 0;
}

int spool_store_sync(struct spool_store *store)
{
	const struct spool_files *files = store->files;

	if (store->fd < 0)
		return 0;
	kill_point("spool-before-sync");
	if (files->fdatasync(store->fd, files->userdata) < 0)
		return -errno;
	if (spool_store_is_gone(store))
		return -ESTALE;
	if (is_lost(store)) {
		set_lost_aside(store);
		return -ESTALE;
	}
	kill_point("spool-after-sync");
	if (store->directory_dirty) {
		if (files->fsync(store->directory_fd, files->userdata) < 0)
			return -errno;
		store->directory_dirty = false;
	}
	spool_segments_current(store)->safe = true;
	store->run_safe = true;
	return 0;
}

void spool_store_leave(struct spool_store *store)
{
	struct stat st;

	if (store->fd >= 0 && fstat(store->fd, &st) == 0)
		spool_segments_resize(store, store->n_segments - 1, (uint64_t)st.st_size);
	store->fd = safe_close(store->fd);
}

void spool_store_renew(struct spool_store *store, const struct spool_frame *first,
		       const struct log_id *public_id)
{
	const struct spool_segment *open = spool_segments_current(store);

	if (!spool_prune_is_delivered(store))
		return;
	if ((!open || open->messages > 0) && spool_store_begin(store, first, public_id) < 0)
		return;
	/* It holds the spool id from now on, so it must be safe before the others go. */
	if (spool_store_sync(store) == 0)
		spool_prune_delivered(store, INT64_MAX);
}

bool spool_store_make_room(struct spool_store *store)
{
	const struct spool_segment *open = spool_segments_current(store);

	/* Nothing goes before another is safe, and one that took no message yet waits for no sync. */
	if (open && !open->safe && spool_store_sync(store) < 0)
		spool_store_leave(store);
	if (spool_prune_delivered(store, INT64_MAX) > 0 || spool_damaged_shrink(store, 0))
		return true;
	if (store->reserve_held && store->reserve_fd >= 0 &&
	    store->files->ftruncate(store->reserve_fd, 0, store->files->userdata) == 0)
		store->reserve_held = false;
	return false;
}
