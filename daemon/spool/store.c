/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which file the spool's bytes go to. Segments are made under a temporary name, so that whoever reads never
 * sees one without a header; the name is synced together with the first frames.
 */

#include "daemon/spool/store.h"

#include "common/cleanup.h"
#include "common/kill_point.h"
#include "common/spool/directory.h"
#include "daemon/spool/files.h"
#include "daemon/spool/recover.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define SEGMENT_SIZE (UINT64_C(16) << 20)
#define RESERVE_MIN  (UINT64_C(16) << 10)
#define RESERVE_MAX  (UINT64_C(2) << 20)
#define SEGMENTS_MIN 8

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

/* Kept free for the state of sinks, and as much again for damaged parts. */
static uint64_t reserve_size(const struct spool_writer_options *options)
{
	return MIN(MAX(options->max_size / 64, RESERVE_MIN), RESERVE_MAX);
}

uint64_t spool_store_usable(const struct spool_writer_options *options)
{
	uint64_t reserve = 2 * reserve_size(options);

	return options->max_size > reserve ? options->max_size - reserve : options->max_size / 2;
}

static uint64_t segment_limit(const struct spool_store *store)
{
	uint64_t wanted = store->options->segment_size ?: SEGMENT_SIZE;

	return MIN(wanted, spool_store_usable(store->options) / SEGMENTS_MIN);
}

void spool_store_set_options(struct spool_store *store, const struct spool_writer_options *options)
{
	store->options = options;
	store->reserve_held = false;
}

static int make_directory(struct spool_store *store)
{
	const struct spool_writer_options *options = store->options;
	mode_t mode = options->file_mode & 040 ? 0750 : 0700;

	if (mkdir(options->directory, mode) < 0 && errno != EEXIST)
		return -errno;
	store->directory_fd = open(options->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return store->directory_fd < 0 ? -errno : 0;
}

static int lock(struct spool_store *store, char **ret_reason)
{
	int r = spool_lock(store->directory_fd, &store->lock_fd);

	if (r == -EWOULDBLOCK &&
	    asprintf(ret_reason, "%s is in use by another daemon", store->options->directory) < 0)
		*ret_reason = NULL;
	return r;
}

int spool_store_take_reserve(struct spool_store *store)
{
	const struct spool_files *files = store->files;
	off_t size = (off_t)reserve_size(store->options);
	struct stat st;

	if (store->reserve_held)
		return 0;
	if (store->reserve_fd < 0) {
		store->reserve_fd = files->openat(store->directory_fd, SPOOL_RESERVE_NAME,
						  O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK,
						  0600, files->userdata);
		if (store->reserve_fd < 0)
			return -errno;
	}
	/* Of a time when the cap was larger. */
	if (fstat(store->reserve_fd, &st) == 0 && st.st_size > size)
		(void)files->ftruncate(store->reserve_fd, size, files->userdata);
	if (files->fallocate(store->reserve_fd, size, files->userdata) < 0 &&
	    (errno == ENOSPC || errno == EDQUOT))
		return -errno;
	/* Where the file system can't allocate ahead, or fails otherwise, it goes without. */
	store->reserve_held = true;
	return 0;
}

int spool_store_open(struct spool_store *store, char **ret_reason)
{
	const struct spool_writer_options *options = store->options;
	int r;

	r = make_directory(store);
	if (r == 0)
		r = lock(store, ret_reason);
	if (r == 0)
		r = spool_recover(store, ret_reason);
	if (r < 0) {
		spool_store_deinit(store);
		spool_store_init(store, options);
		return r;
	}
	(void)spool_store_take_reserve(store);
	return 0;
}

const struct spool_segment *spool_store_current(const struct spool_store *store)
{
	return store->fd >= 0 ? &store->segments[store->n_segments - 1] : NULL;
}

uint64_t spool_store_room(const struct spool_store *store)
{
	const struct spool_segment *segment = spool_store_current(store);
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
	/* Whatever the umask: the uploader may be another user. */
	if (fchmod(fd, store->options->file_mode) < 0)
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

/* The first attempt that comes after all those of the same sequence. */
static unsigned int next_attempt(const struct spool_store *store, uint64_t first_sequence)
{
	unsigned int next = 0;

	for (size_t i = store->n_segments; i > 0; i--) {
		const struct spool_segment *segment = &store->segments[i - 1];
		unsigned int attempt;
		uint64_t first;

		if (segment->header.first_sequence != first_sequence)
			break;
		if (spool_name_parse(segment->name, &first, &attempt) == 0)
			next = MAX(next, attempt + 1);
	}
	return next;
}

/* Gives the new segment its name, which no other has. */
static int name_file(struct spool_store *store, uint64_t first_sequence, char ret_name[static SPOOL_NAME_MAX])
{
	const struct spool_files *files = store->files;

	for (unsigned int attempt = next_attempt(store, first_sequence); attempt <= 0xffff; attempt++) {
		char name[SPOOL_NAME_MAX];

		spool_name_format(first_sequence, attempt, name);
		/* Nobody else makes files here: the lock is held. */
		if (faccessat(store->directory_fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
			continue;
		if (errno != ENOENT)
			return -errno;
		if (files->renameat(store->directory_fd, SPOOL_TEMPORARY_NAME, name, files->userdata) < 0)
			return -errno;
		memcpy(ret_name, name, sizeof(name));
		return 0;
	}
	return -EEXIST;
}

static int reserve_entry(struct spool_store *store)
{
	struct spool_segment *segments;
	size_t n = MAX(store->allocated * 2, (size_t)64);

	if (store->n_segments < store->allocated)
		return 0;
	segments = reallocarray(store->segments, n, sizeof(*segments));
	if (!segments)
		return -ENOMEM;
	store->segments = segments;
	store->allocated = n;
	return 0;
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

int spool_store_begin(struct spool_store *store, const struct spool_frame *first,
		      const struct log_id *public_id)
{
	uint64_t size = SPOOL_HEADER_SIZE + SPOOL_FRAME_SIZE + (uint64_t)first->stored;
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
	int fd, r;

	spool_store_leave(store);
	spool_store_drop_repeated(store);
	count_once(store, &segment.header);
	memcpy(segment.header.machine, store->machine, sizeof(store->machine));
	memcpy(segment.header.boot_id, store->boot_id, sizeof(store->boot_id));
	spool_store_keep_cap(store, spool_blocks(MAX(size, segment_limit(store))));
	r = reserve_entry(store);
	if (r < 0)
		return r;
	fd = make_file(store, &segment.header);
	if (fd < 0)
		return fd;
	r = name_file(store, first->sequence, segment.name);
	if (r < 0) {
		safe_close(fd);
		return r;
	}
	kill_point("spool-segment-named");
	store->fd = fd;
	store->directory_dirty = true;
	store->segments[store->n_segments++] = segment;
	store->total_size += spool_blocks(segment.size);
	return 0;
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
	struct spool_segment *segment = &store->segments[store->n_segments - 1];

	store->total_size += spool_blocks(segment->size + size) - spool_blocks(segment->size);
	segment->size += size;
	segment->messages += messages;
	segment->bytes = last->bytes_before + last->length - segment->header.bytes_before;
	segment->last_sequence = last->sequence;
	segment->last_time = last->time;
}

int spool_store_cut(struct spool_store *store)
{
	const struct spool_segment *segment = spool_store_current(store);

	if (store->files->ftruncate(store->fd, (off_t)segment->size, store->files->userdata) < 0)
		return -errno;
	return 0;
}

int spool_store_sync(struct spool_store *store)
{
	const struct spool_files *files = store->files;
	struct stat st;

	if (store->fd < 0)
		return 0;
	kill_point("spool-before-sync");
	if (files->fdatasync(store->fd, files->userdata) < 0)
		return -errno;
	/* Somebody has removed it: what goes there is safe from nothing. */
	if (fstat(store->fd, &st) == 0 && st.st_nlink == 0)
		return -ESTALE;
	kill_point("spool-after-sync");
	if (store->directory_dirty) {
		if (files->fsync(store->directory_fd, files->userdata) < 0)
			return -errno;
		store->directory_dirty = false;
	}
	return 0;
}

void spool_store_leave(struct spool_store *store)
{
	struct stat st;

	if (store->fd >= 0 && fstat(store->fd, &st) == 0) {
		struct spool_segment *segment = &store->segments[store->n_segments - 1];

		store->total_size += spool_blocks((uint64_t)st.st_size) - spool_blocks(segment->size);
		segment->size = (uint64_t)st.st_size;
	}
	store->fd = safe_close(store->fd);
}
