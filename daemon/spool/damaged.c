/* SPDX-License-Identifier: BSD-3-Clause */
/* Damaged parts are named after their segments, whose names ascend, so the first name is the oldest. */

#include "daemon/spool/damaged.h"

#include "common/cleanup.h"
#include "common/file.h"
#include "common/owner.h"
#include "common/spool/directory.h"
#include "common/spool/scan.h"
#include "daemon/spool/files.h"
#include "daemon/spool/segments.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>

/* Bytes that one run keeps. */
#define KEPT_MAX (UINT64_C(1) << 20)

int spool_damaged_open(const struct spool_store *store)
{
	mode_t mode = store->options->file_mode & 040 ? 0750 : 0700;
	int fd, r;

	r = make_directory_at(store->directory_fd, SPOOL_DAMAGED_NAME, mode);
	if (r < 0)
		return r;
	fd = open_directory_at(store->directory_fd, SPOOL_DAMAGED_NAME);
	if (fd >= 0)
		(void)owner_give(fd, store->directory_fd);
	return fd;
}

/* Keeps a part for a person to look at. The spool does not need it, so failures do not matter. */
static void keep(struct spool_store *store, int fd, const char *segment, uint64_t offset, uint64_t length)
{
	_cleanup_close_ int directory = -1;
	_cleanup_free_ char *data = NULL;
	char name[64];
	size_t n;

	if (length > KEPT_MAX - MIN(store->set_aside, KEPT_MAX))
		return;
	data = malloc(length);
	directory = spool_damaged_open(store);
	if (!data || directory < 0)
		return;
	if (read_at(fd, data, length, offset, &n) < 0 || n == 0)
		return;
	snprintf(name, sizeof(name), "%s.%llu", segment, (unsigned long long)offset);
	if (file_create_atomic(directory, name, data, n, store->options->file_mode) < 0)
		return;
	store->set_aside += n;
	store->damaged_size += spool_blocks(n);
}

struct damage_context {
	struct spool_store *store;
	const char *name; /* of the segment that is read */
	int fd;
};

static void on_damage(uint64_t offset, uint64_t length, void *userdata)
{
	struct damage_context *context = userdata;

	keep(context->store, context->fd, context->name, offset, length);
}

int spool_damaged_read(struct spool_store *store, int fd, struct spool_segment *segment, uint64_t *ret_end)
{
	struct damage_context context = {.store = store, .name = segment->name, .fd = fd};
	struct spool_scan scan;
	struct spool_frame frame;
	const uint8_t *payload;
	int r;

	spool_scan_init(&scan, fd, &segment->header);
	scan.on_damage = on_damage;
	scan.userdata = &context;
	segment->last_time = segment->header.first_time;
	while ((r = spool_scan_next(&scan, &frame, &payload)) > 0)
		segment->last_time = frame.time;
	/* Damaged frames count as messages: readers tell that they are missing. */
	segment->last_sequence = scan.expected - 1;
	segment->messages = scan.expected - segment->header.first_sequence;
	segment->bytes = scan.end_bytes - segment->header.bytes_before;
	segment->scanned = true;
	store->damaged += scan.damaged;
	*ret_end = scan.offset;
	spool_scan_deinit(&scan);
	return r;
}

void spool_damaged_keep_of(struct spool_store *store, const struct spool_segment *segment)
{
	struct spool_segment copy = *segment;
	_cleanup_close_ int fd = -1;
	uint64_t end;

	if (segment->scanned ||
	    spool_segment_open(store->directory_fd, segment->name, &copy.header, NULL, &fd) < 0)
		return;
	(void)spool_damaged_read(store, fd, &copy, &end);
}

static int is_kept(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

/* Measures the files, then removes the oldest while their sum is larger than max. */
static bool shrink(struct spool_store *store, uint64_t max)
{
	_cleanup_close_ int fd = open_directory_at(store->directory_fd, SPOOL_DAMAGED_NAME);
	struct dirent **entries = NULL;
	bool removed = false;
	struct stat st;
	int n = fd < 0 ? -1 : scandirat(fd, ".", &entries, is_kept, alphasort);

	store->damaged_size = 0;
	for (int i = 0; i < n; i++)
		if (fstatat(fd, entries[i]->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0)
			store->damaged_size += spool_blocks((uint64_t)st.st_size);
	for (int i = 0; i < n; i++) {
		if (store->damaged_size > max &&
		    fstatat(fd, entries[i]->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		    store->files->unlinkat(fd, entries[i]->d_name, store->files->userdata) == 0) {
			store->damaged_size -= spool_blocks((uint64_t)st.st_size);
			removed = true;
		}
		free(entries[i]);
	}
	free(entries);
	return removed;
}

void spool_damaged_measure(struct spool_store *store)
{
	_cleanup_close_ int fd = open_directory_at(store->directory_fd, SPOOL_DAMAGED_NAME);

	if (fd >= 0)
		file_remove_temporary(fd, NULL);
	shrink(store, UINT64_MAX);
}

bool spool_damaged_shrink(struct spool_store *store, uint64_t max)
{
	return store->damaged_size > max && shrink(store, max);
}
