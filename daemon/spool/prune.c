/* SPDX-License-Identifier: BSD-3-Clause */
/* What of the spool may go, and what must: delivered segments by the sinks' cursors, and room on a
 * full disk. */

#include "common/cleanup.h"
#include "common/kill_point.h"
#include "common/spool/cursor.h"
#include "daemon/spool/damaged.h"
#include "daemon/spool/files.h"
#include "daemon/spool/store.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Whether a spool id is that of a segment here (or of the one before it): then sequences compare. */
static bool is_ours(const struct spool_store *store, const struct spool_id *id)
{
	if (spool_id_equal(id, &store->id))
		return true;
	for (size_t i = 0; i < store->n_segments; i++)
		if (spool_id_equal(id, &store->segments[i].header.spool_id) ||
		    spool_id_equal(id, &store->segments[i].header.previous_id))
			return true;
	return false;
}

/* Up to which sequence every sink has everything; 0 when one has nothing, or when there are none: then
 * messages stay for whoever looks at them here. */
static uint64_t delivered(const struct spool_store *store)
{
	const struct spool_writer_options *options = store->options;
	uint64_t least = UINT64_MAX;

	if (!options->sinks || !options->sinks[0] || !options->upload_directory)
		return 0;
	for (size_t i = 0; options->sinks[i]; i++) {
		_cleanup_free_ char *path = NULL;
		struct cursor_state state;

		if (asprintf(&path, "%s/%s/" CURSOR_NAME, options->upload_directory, options->sinks[i]) < 0)
			return 0;
		if (cursor_read(AT_FDCWD, path, &state) < 0 || !is_ours(store, &state.delivered.spool_id))
			return 0;
		least = MIN(least, state.delivered.sequence);
	}
	return least;
}

/* Removes a segment that is not open. */
static int remove_segment(struct spool_store *store, size_t i)
{
	const struct spool_segment *segment = &store->segments[i];

	kill_point("spool-before-remove");
	if (store->files->unlinkat(store->directory_fd, segment->name, store->files->userdata) < 0 &&
	    errno != ENOENT)
		return -errno;
	kill_point("spool-after-remove");
	store->total_size -= spool_blocks(segment->size);
	store->n_segments--;
	memmove(&store->segments[i], &store->segments[i + 1],
		(store->n_segments - i) * sizeof(*store->segments));
	return 0;
}

size_t spool_store_keep_cap(struct spool_store *store, uint64_t more)
{
	uint64_t usable = spool_store_usable(store->options);
	size_t stays = store->fd >= 0, removed = 0;

	if (store->total_size + store->damaged_size + more > usable)
		spool_damaged_shrink(store, usable - MIN(usable, store->total_size + more));
	while (store->n_segments > stays && store->total_size + store->damaged_size + more > usable) {
		uint64_t messages = store->segments[0].messages, bytes = store->segments[0].bytes;

		if (remove_segment(store, 0) < 0)
			break;
		store->removed_messages += messages;
		store->removed_bytes += bytes;
		removed++;
	}
	return removed;
}

void spool_store_drop_repeated(struct spool_store *store)
{
	const struct spool_segment *last;

	for (size_t i = store->n_segments; i > 1; i--) {
		const struct spool_segment *segment = &store->segments[i - 2];

		last = &store->segments[store->n_segments - 1];
		if (segment->header.first_sequence < last->header.first_sequence)
			break;
		if (segment->last_sequence <= last->last_sequence)
			(void)remove_segment(store, i - 2);
	}
}

/* Removes delivered segments that were finished before a time; the last one stays, for it holds the
 * spool id. */
static size_t remove_delivered(struct spool_store *store, int64_t before)
{
	uint64_t upto = delivered(store);
	size_t removed = 0;

	while (store->n_segments > 1 && store->segments[0].last_sequence <= upto &&
	       store->segments[0].last_time <= before) {
		spool_damaged_keep_of(store, &store->segments[0]);
		if (remove_segment(store, 0) < 0)
			break;
		removed++;
	}
	return removed;
}

size_t spool_store_prune(struct spool_store *store)
{
	int64_t before = INT64_MAX;

	if (store->directory_fd < 0)
		return 0;
	if (store->options->retain > 0)
		before = store->files->now(store->files->userdata) - store->options->retain;
	return remove_delivered(store, before) + spool_store_keep_cap(store, 0);
}

bool spool_store_is_delivered(const struct spool_store *store)
{
	const struct spool_segment *last;

	if (store->n_segments == 0)
		return false;
	last = &store->segments[store->n_segments - 1];
	return last->messages > 0 && delivered(store) >= last->last_sequence;
}

void spool_store_renew(struct spool_store *store, const struct spool_frame *first,
		       const struct log_id *public_id)
{
	if (!spool_store_is_delivered(store) || spool_store_begin(store, first, public_id) < 0)
		return;
	/* It holds the spool id from now on, so it must be safe before the others go. */
	if (spool_store_sync(store) == 0)
		remove_delivered(store, INT64_MAX);
}

bool spool_store_make_room(struct spool_store *store)
{
	if (remove_delivered(store, INT64_MAX) > 0 || spool_damaged_shrink(store, 0))
		return true;
	if (store->reserve_held && store->reserve_fd >= 0 &&
	    store->files->ftruncate(store->reserve_fd, 0, store->files->userdata) == 0)
		store->reserve_held = false;
	return false;
}
