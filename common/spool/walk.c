/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The order in which segments are read. A segment is left only when a later one is there and the segment has
 * not grown since, because the writer begins a new one only when it is done with the old.
 */

#include "common/spool/walk.h"

#include "common/cleanup.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

void spool_walk_init(struct spool_walk *walk, int directory_fd, uint64_t start)
{
	*walk = (struct spool_walk){.directory_fd = directory_fd, .start = start, .fd = -1};
}

static void leave(struct spool_walk *walk)
{
	spool_scan_deinit(&walk->scan);
	walk->fd = safe_close(walk->fd);
	walk->final = false;
}

void spool_walk_deinit(struct spool_walk *walk)
{
	leave(walk);
	walk->name[0] = '\0';
}

/* Whether an input error counts as damage: it has come often enough in a row. */
static bool is_damage(struct spool_walk *walk)
{
	if (walk->io_errors >= walk->patience)
		return true;
	walk->io_errors++;
	return false;
}

/* Whether a segment belongs to the spool that the walk is in, or to one that continues it. 1, 0 or -errno. */
static int is_related(struct spool_walk *walk, const char *name)
{
	const struct spool_id *id = &walk->scan.header.spool_id;
	_cleanup_close_ int fd = -1;
	struct spool_header header;
	int r;

	r = spool_segment_open(walk->directory_fd, name, &header, NULL, &fd);
	/* No readable header, or removed since: enter() will find out. */
	if (r == -ENOENT || r == -EBADMSG || r == -EPROTONOSUPPORT || (r == -EIO && is_damage(walk)))
		return 1;
	if (r < 0)
		return r;
	return spool_id_equal(&header.spool_id, id) || spool_id_equal(&header.previous_id, id);
}

/*
 * Whether another spool has taken the place of the one that the walk is in: its segment is gone, and all that
 * are listed come before it, or belong to another spool, whose names may be any. 1, 0 or -errno.
 */
static int was_replaced(struct spool_walk *walk, const struct spool_listing *listing)
{
	const char *newest;
	struct stat st;
	int r;

	if (listing->n == 0)
		return 0;
	newest = listing->entries[listing->n - 1].name;
	if (strcmp(newest, walk->name) < 0)
		return 1;
	if (walk->fd < 0)
		return 0;
	if (fstat(walk->fd, &st) < 0)
		return -errno;
	if (st.st_nlink > 0)
		return 0;
	r = is_related(walk, newest);
	return r < 0 ? r : !r;
}

/* Moves the index to the segments that begin before the one there, in the same spool. 0 or -errno. */
static int step_back(const struct spool_walk *walk, const struct spool_listing *listing, size_t *index)
{
	const struct spool_entry *entries = listing->entries;
	struct spool_header here, before;
	size_t i = *index;
	int r;

	while (i > 0 && entries[i].first_sequence == entries[*index].first_sequence)
		i--;
	for (size_t at = 0; at < 2; at++) {
		_cleanup_close_ int fd = -1;

		r = spool_segment_open(walk->directory_fd, entries[at == 0 ? *index : i].name,
				       at == 0 ? &here : &before, NULL, &fd);
		if (r == -ENOENT || r == -EBADMSG || r == -EIO)
			return 0;
		if (r < 0)
			return r;
	}
	if (!spool_id_equal(&here.spool_id, &before.spool_id))
		return 0;
	while (i > 0 && entries[i - 1].first_sequence == entries[i].first_sequence)
		i--;
	*index = i;
	return 0;
}

/* Opens the first usable segment from an index on. 1, or 0 when there is none. */
static int enter(struct spool_walk *walk, const struct spool_listing *listing, size_t i)
{
	for (; i < listing->n; i++) {
		struct spool_header header;
		int fd, r;

		r = spool_segment_open(walk->directory_fd, listing->entries[i].name, &header, NULL, &fd);
		if (r == -ENOENT)
			continue;
		if (r == -EBADMSG || (r == -EIO && is_damage(walk))) {
			walk->unusable = true;
			continue;
		}
		if (r < 0)
			return r;
		leave(walk);
		walk->io_errors = 0;
		walk->fd = fd;
		memcpy(walk->name, listing->entries[i].name, sizeof(walk->name));
		spool_scan_init(&walk->scan, fd, &header);
		return 1;
	}
	return 0;
}

static int enter_next(struct spool_walk *walk)
{
	_cleanup_spool_listing_ struct spool_listing listing = {};
	size_t i;
	int r;

	r = spool_list(walk->directory_fd, &listing);
	if (r < 0)
		return r;
	if (walk->name[0] == '\0') {
		for (i = listing.n; i > 1; i--)
			if (listing.entries[i - 1].first_sequence <= walk->start)
				break;
		i = i > 0 ? i - 1 : 0;
		r = walk->further_back && listing.n > 0 ? step_back(walk, &listing, &i) : 0;
	} else {
		r = was_replaced(walk, &listing);
		for (i = 0; r == 0 && i < listing.n; i++)
			if (strcmp(listing.entries[i].name, walk->name) > 0)
				break;
	}
	if (r < 0)
		return r;
	if (i == listing.n)
		return SPOOL_WALK_END;
	if (walk->fd >= 0 && !walk->final) {
		/* Read what was written to it before the next one was begun. */
		walk->final = true;
		return SPOOL_WALK_FRAME;
	}
	r = enter(walk, &listing, i);
	return r == 1 ? SPOOL_WALK_SEGMENT : r;
}

int spool_walk_next(struct spool_walk *walk, struct spool_frame *ret_frame, const uint8_t **ret_payload)
{
	for (;;) {
		int r = 0, error = 0;
		uint8_t byte;

		if (walk->fd >= 0)
			r = spool_scan_next(&walk->scan, ret_frame, ret_payload);
		if (r == 1) {
			walk->io_errors = 0;
			return SPOOL_WALK_FRAME;
		}
		/* The disk can't read on here: continue with the next segment. */
		if (r == -EIO && is_damage(walk))
			error = r;
		else if (r < 0)
			return r;
		if (walk->final &&
		    (walk->scan.resync || pread(walk->fd, &byte, 1, (off_t)walk->scan.offset) != 0))
			walk->unusable = true;
		r = enter_next(walk);
		if (r == SPOOL_WALK_END && error < 0)
			return error;
		if (r != SPOOL_WALK_FRAME)
			return r;
	}
}
