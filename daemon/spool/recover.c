/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Recovery at start. Headers tell what each segment but the last holds, so that a large spool opens at once;
 * only the last one is read. Sequences continue where it ends, or jump when unsynced messages may be lost:
 * readers may have seen them.
 */

#include "daemon/spool/recover.h"

#include "common/file.h"
#include "common/kill_point.h"
#include "common/owner.h"
#include "common/spool/cursor.h"
#include "common/spool/directory.h"
#include "common/spool/scan.h"
#include "daemon/spool/damaged.h"
#include "daemon/spool/files.h"
#include "daemon/spool/segments.h"

#include <errno.h>
#include <fcntl.h>
#include <nettle/sha2.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>

/* SHA-256 of a small file's text without its line end; of an empty text when it can't be read. */
static void hash_file(const char *path, uint8_t ret_digest[static 32])
{
	_cleanup_free_ char *text = NULL;
	struct sha256_ctx context;
	size_t n = 0;

	if (file_read(AT_FDCWD, path, 4096, &text, &n, NULL) < 0)
		n = 0;
	while (n > 0 && (text[n - 1] == '\n' || text[n - 1] == ' '))
		n--;
	sha256_init(&context);
	sha256_update(&context, n, (const uint8_t *)text);
	sha256_digest(&context, 32, ret_digest);
}

/* 32 hex digits with dashes anywhere; zeros when it can't be read. */
static void read_boot_id(const char *path, uint8_t ret_id[static 16])
{
	char text[64] = {}, digits[33] = {};
	size_t n = 0;
	_cleanup_fclose_ FILE *file = fopen(path, "re");

	memset(ret_id, 0, 16);
	if (!file || !fgets(text, sizeof(text), file))
		return;
	for (const char *c = text; *c && n < 32; c++)
		if (*c != '-' && *c != '\n')
			digits[n++] = *c;
	if (n != 32)
		return;
	for (size_t i = 0; i < 16; i++) {
		unsigned int byte;

		if (sscanf(digits + 2 * i, "%2x", &byte) != 1)
			return;
		ret_id[i] = (uint8_t)byte;
	}
}

/* What is found in the directory. */
struct recovery {
	struct spool_store *store;
	bool unread;  /* the disk could not read all: readers may have seen the rest */
	bool inexact; /* what follows the last segment was set aside: its own frames must tell */
	uint64_t end_sequence, end_messages, end_bytes; /* seen in a segment without a header */
	/* Of the last message in a segment that the next one was to repeat. */
	uint64_t seen_sequence, seen_messages, seen_bytes;
};

/* A segment without a sound header: nothing in it can be delivered, but its frames tell how far it got. */
static int set_segment_aside(struct recovery *recovery, const struct spool_entry *entry)
{
	struct spool_store *store = recovery->store;
	_cleanup_close_ int fd = -1, directory = -1;
	struct spool_segment segment = {
		.header = {.size = SPOOL_HEADER_SIZE, .first_sequence = entry->first_sequence}};
	struct stat st;
	uint64_t end;

	memcpy(segment.name, entry->name, sizeof(segment.name));
	fd = openat(store->directory_fd, entry->name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (st.st_size <= SPOOL_HEADER_SIZE) {
		/* Made, but its content never reached the disk. */
		if (store->files->unlinkat(store->directory_fd, entry->name, store->files->userdata) < 0)
			return -errno;
		return 0;
	}
	store->damaged++;
	recovery->inexact = true;
	if (spool_damaged_read(recovery->store, fd, &segment, &end) == 0 && segment.messages > 0) {
		recovery->end_sequence = segment.last_sequence;
		recovery->end_messages = segment.messages;
		recovery->end_bytes = segment.bytes;
	} else {
		recovery->end_sequence = entry->first_sequence;
	}
	directory = spool_damaged_open(store);
	if (directory < 0)
		return directory;
	if (renameat(store->directory_fd, entry->name, directory, entry->name) < 0)
		return -errno;
	return 0;
}

/*
 * A segment that could not be synced holds more than the next one's header says: the next one repeats the
 * rest, but not all of it if the run was killed meanwhile. Readers may have seen it, so it is read.
 */
static int read_repeated(struct recovery *recovery, struct spool_segment *segment)
{
	struct spool_segment whole = *segment;
	uint64_t end;
	int fd, r;

	if (segment->size <= segment->header.size + segment->bytes + segment->messages * SPOOL_FRAME_SIZE)
		return 0;
	r = spool_segment_open(recovery->store->directory_fd, segment->name, &whole.header, NULL, &fd);
	if (r < 0)
		return r;
	r = spool_damaged_read(recovery->store, fd, &whole, &end);
	safe_close(fd);
	if (r == -EIO)
		recovery->unread = true;
	else if (r < 0)
		return r;
	if (whole.messages <= segment->messages)
		return 0;
	segment->last_sequence = whole.last_sequence;
	if (whole.last_sequence > recovery->seen_sequence) {
		recovery->seen_sequence = whole.last_sequence;
		recovery->seen_messages = whole.header.messages_before + whole.messages;
		recovery->seen_bytes = whole.header.bytes_before + whole.bytes;
	}
	return 0;
}

/* Fills in what the last segment so far holds: as the next one's header says, or by reading it. */
static int finish_previous(struct recovery *recovery, const struct spool_header *next)
{
	struct spool_store *store = recovery->store;
	struct spool_segment *previous;
	uint64_t end;
	int fd, r;

	if (store->n_segments == 0)
		return 0;
	previous = &store->segments[store->n_segments - 1];
	if (next && !recovery->inexact && next->messages_before >= previous->header.messages_before &&
	    next->bytes_before >= previous->header.bytes_before) {
		previous->messages = next->messages_before - previous->header.messages_before;
		previous->bytes = next->bytes_before - previous->header.bytes_before;
		previous->last_sequence = previous->header.first_sequence + previous->messages - 1;
		previous->last_time = next->first_time;
		return read_repeated(recovery, previous);
	}
	recovery->inexact = false;
	r = spool_segment_open(store->directory_fd, previous->name, &previous->header, NULL, &fd);
	if (r < 0)
		return r;
	r = spool_damaged_read(recovery->store, fd, previous, &end);
	safe_close(fd);
	if (r == -EIO) {
		recovery->unread = true;
		return 0;
	}
	if (r < 0 || next)
		return r;
	/* The torn tail of a run that was killed. */
	fd = openat(store->directory_fd, previous->name, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
	if (end < previous->size && fd >= 0 &&
	    store->files->ftruncate(fd, (off_t)end, store->files->userdata) == 0)
		spool_segments_resize(store, store->n_segments - 1, end);
	kill_point("spool-tail-cut");
	/* What a killed run had not synced, this one builds on. */
	if (fd >= 0)
		(void)store->files->fdatasync(fd, store->files->userdata);
	safe_close(fd);
	return 0;
}

static char *denied_text(const struct spool_store *store, const char *name)
{
	_cleanup_free_ char *path = NULL;

	if (asprintf(&path, "%s/%s", store->options->directory, name) < 0)
		path = NULL;
	return path ? owner_error_text(path, -EACCES) : NULL;
}

static int find_segments(struct recovery *recovery, char **ret_reason)
{
	struct spool_store *store = recovery->store;
	_cleanup_spool_listing_ struct spool_listing listing = {};
	int r;

	r = spool_list(store->directory_fd, &listing);
	if (r < 0)
		return r;
	for (size_t i = 0; i < listing.n; i++) {
		struct spool_segment segment = {};
		_cleanup_close_ int fd = -1;

		memcpy(segment.name, listing.entries[i].name, sizeof(segment.name));
		r = spool_segment_open(store->directory_fd, segment.name, &segment.header, &segment.size,
				       &fd);
		if (r == -EPROTONOSUPPORT && asprintf(ret_reason,
						      "segment %s was written by a newer version of netlogd: "
						      "use that one, or move the spool away",
						      segment.name) < 0)
			*ret_reason = NULL;
		if (r == -EACCES)
			*ret_reason = denied_text(store, segment.name);
		if (r == -EBADMSG || r == -EIO) {
			r = set_segment_aside(recovery, &listing.entries[i]);
		} else if (r == 0) {
			r = finish_previous(recovery, &segment.header);
			if (r < 0)
				return r;
			recovery->end_sequence = recovery->end_messages = recovery->end_bytes = 0;
			r = spool_segments_add(store, &segment);
		}
		if (r < 0)
			return r;
	}
	return finish_previous(recovery, NULL);
}

/*
 * The highest sequence of this spool that a sink has delivered, or has in the batch under way: whether or not
 * the spool still has it, it must never be given to another message. 0: none; UINT64_MAX when a cursor can't
 * be read.
 */
static uint64_t sinks_reach(const struct spool_store *store, struct spool_position *ret_furthest)
{
	const struct spool_writer_options *options = store->options;
	uint64_t reach = 0;

	for (size_t i = 0; options->sinks && options->sinks[i]; i++) {
		struct cursor_state state;
		_cleanup_free_ char *path = NULL;
		int r;

		if (asprintf(&path, "%s/%s/" CURSOR_NAME, options->upload_directory, options->sinks[i]) < 0)
			return UINT64_MAX;
		r = cursor_read(AT_FDCWD, path, &state);
		if (r == -ENOENT)
			continue;
		if (r < 0)
			return UINT64_MAX;
		/* A spool that continues another also continues its sequences. */
		if (spool_id_equal(&state.delivered.spool_id, &store->id) ||
		    spool_id_equal(&state.delivered.spool_id, &store->previous_id))
			reach = MAX(reach, MAX(state.delivered.sequence, state.batch.last));
		else
			continue;
		if (state.delivered.sequence > ret_furthest->sequence)
			*ret_furthest = state.delivered;
	}
	return reach;
}

static int new_id(struct spool_store *store)
{
	if (getrandom(store->id.bytes, sizeof(store->id.bytes), 0) != sizeof(store->id.bytes))
		return -EIO;
	return 0;
}

/* Where this run begins: spool id, sequence and totals. */
static int begin_run(struct recovery *recovery)
{
	static const uint8_t unknown[16];
	struct spool_store *store = recovery->store;
	const struct spool_segment *last;
	struct spool_position furthest = {};
	uint64_t end, reach;
	bool jump, is_new;

	if (store->n_segments == 0) {
		store->next_sequence =
			recovery->end_sequence > 0 ? recovery->end_sequence + 1 + SPOOL_SEQUENCE_JUMP : 1;
		store->run_sequence = store->next_sequence;
		return new_id(store);
	}
	last = &store->segments[store->n_segments - 1];
	store->id = last->header.spool_id;
	store->previous_id = last->header.previous_id;
	store->run_messages = last->header.messages_before + last->messages + recovery->end_messages;
	store->next_bytes = last->header.bytes_before + last->bytes;
	store->last_time = last->messages > 0 ? last->last_time : last->header.first_time;
	end = last->last_sequence;
	if (recovery->end_sequence > end) {
		end = recovery->end_sequence;
		store->next_bytes = MAX(store->next_bytes, recovery->end_bytes);
	}
	if (recovery->seen_sequence > end) {
		end = recovery->seen_sequence;
		store->run_messages = MAX(store->run_messages, recovery->seen_messages);
		store->next_bytes = MAX(store->next_bytes, recovery->seen_bytes);
	}
	reach = sinks_reach(store, &furthest);
	jump = recovery->end_sequence > 0 || recovery->unread || end > last->last_sequence ||
	       memcmp(store->boot_id, last->header.boot_id, 16) != 0 ||
	       memcmp(store->boot_id, unknown, 16) == 0 || reach > end;
	/* What a sink has seen and the spool has lost counts, or a later loss of as many would not be one to
	 * it. */
	if (furthest.sequence > end) {
		store->run_messages = MAX(store->run_messages, furthest.messages);
		store->next_bytes = MAX(store->next_bytes, furthest.bytes);
	}
	/* Also where a cursor leaves no sequence to jump to. */
	is_new = memcmp(store->machine, last->header.machine, 32) != 0 ||
		 (reach > UINT64_MAX / 2 && reach != UINT64_MAX);
	if (is_new)
		store->previous_id = store->id;
	else if (reach > end + SPOOL_SEQUENCE_JUMP / 2 && reach != UINT64_MAX)
		end = reach;
	store->next_sequence = end + 1 + (jump || is_new ? SPOOL_SEQUENCE_JUMP : 0);
	store->run_sequence = store->next_sequence;
	return is_new ? new_id(store) : 0;
}

int spool_recover(struct spool_store *store, char **ret_reason)
{
	const struct spool_writer_options *options = store->options;
	struct recovery recovery = {.store = store};
	int r;

	hash_file(options->machine_id_file ?: "/etc/machine-id", store->machine);
	read_boot_id(options->boot_id_file ?: "/proc/sys/kernel/random/boot_id", store->boot_id);
	if (store->files->unlinkat(store->directory_fd, SPOOL_TEMPORARY_NAME, store->files->userdata) < 0 &&
	    errno != ENOENT)
		return -errno;
	r = find_segments(&recovery, ret_reason);
	if (r < 0)
		return r;
	/* Names that a killed run had not synced. */
	if (store->n_segments > 0 && store->files->fsync(store->directory_fd, store->files->userdata) == 0)
		for (size_t i = 0; i < store->n_segments; i++)
			store->segments[i].safe = true;
	spool_damaged_measure(store);
	return begin_run(&recovery);
}
