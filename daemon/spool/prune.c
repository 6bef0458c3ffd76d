/* SPDX-License-Identifier: BSD-3-Clause */
/* Whole segments are removed, oldest first. What is not delivered goes only for the cap, and is counted. */

#include "daemon/spool/prune.h"

#include "common/cleanup.h"
#include "common/spool/cursor.h"
#include "daemon/spool/damaged.h"
#include "daemon/spool/files.h"
#include "daemon/spool/segments.h"

#include <fcntl.h>
#include <stdio.h>

/* Whether a spool id is that of a segment here, or of the spool that it continues: then sequences compare. */
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

/*
 * The position up to which every sink has everything; zeros when one has nothing, or when there are none:
 * then messages stay for local readers. Before anything is removed, a power cut must not be able to take it
 * back.
 */
static struct spool_position delivered_position(const struct spool_store *store, bool safe)
{
	int (*read_cursor)(int, const char *, struct cursor_state *) = safe ? cursor_read_safe : cursor_read;
	const struct spool_writer_options *options = store->options;
	struct spool_position least = {.sequence = UINT64_MAX};

	if (!options->sinks || !options->sinks[0] || !options->upload_directory)
		return (struct spool_position){};
	for (size_t i = 0; options->sinks[i]; i++) {
		_cleanup_free_ char *path = NULL;
		struct cursor_state state;

		if (asprintf(&path, "%s/%s/" CURSOR_NAME, options->upload_directory, options->sinks[i]) < 0)
			return (struct spool_position){};
		if (read_cursor(AT_FDCWD, path, &state) < 0 || !is_ours(store, &state.delivered.spool_id))
			return (struct spool_position){};
		if (state.delivered.sequence < least.sequence)
			least = state.delivered;
	}
	return least;
}

static uint64_t delivered(const struct spool_store *store, bool safe)
{
	return delivered_position(store, safe).sequence;
}

void spool_prune_repeated(struct spool_store *store)
{
	for (size_t i = store->n_segments; i > 1; i--) {
		const struct spool_segment *segment = &store->segments[i - 2];
		const struct spool_segment *last = &store->segments[store->n_segments - 1];

		if (segment->header.first_sequence < last->header.first_sequence)
			break;
		if (segment->last_sequence <= last->last_sequence)
			(void)spool_segments_remove(store, i - 2);
	}
}

size_t spool_prune_delivered(struct spool_store *store, int64_t until)
{
	uint64_t upto;
	size_t removed = 0;

	if (store->n_segments <= 1 || store->segments[0].last_time > until ||
	    store->segments[0].last_sequence > delivered(store, false))
		return 0;
	upto = delivered(store, true);
	while (store->n_segments > 1 && store->segments[0].last_sequence <= upto &&
	       store->segments[0].last_time <= until) {
		spool_damaged_keep_of(store, &store->segments[0]);
		if (spool_segments_remove(store, 0) < 0)
			break;
		removed++;
	}
	return removed;
}

bool spool_prune_is_delivered(const struct spool_store *store)
{
	/* The last one may have taken nothing yet: a full disk. */
	for (size_t i = store->n_segments; i > 0; i--)
		if (store->segments[i - 1].messages > 0)
			return delivered(store, false) >= store->segments[i - 1].last_sequence;
	return false;
}

uint64_t spool_prune_missed(const struct spool_store *store, const struct spool_segment *segment,
			    uint64_t messages)
{
	uint64_t end = segment->header.first_sequence + messages, next;

	if (messages == 0 || !store->options->sinks || !store->options->sinks[0])
		return 0;
	next = delivered(store, false) + 1;
	return end > next ? MIN(messages, end - next) : 0;
}

/* Counts what a sink lacks of a segment that goes for the cap: often its end alone. */
static void count_undelivered(struct spool_store *store, const struct spool_segment *segment)
{
	uint64_t end = segment->header.bytes_before + segment->bytes;
	struct spool_position position;

	if (!store->options->sinks || !store->options->sinks[0])
		return;
	position = delivered_position(store, false);
	if (segment->last_sequence <= position.sequence)
		return;
	store->undelivered_messages += spool_prune_missed(store, segment, segment->messages);
	store->undelivered_bytes +=
		position.sequence >= segment->header.first_sequence && position.bytes < end
			? MIN(segment->bytes, end - position.bytes)
			: segment->bytes;
}

size_t spool_prune_to_cap(struct spool_store *store, uint64_t more)
{
	uint64_t usable = spool_options_usable(store->options);
	size_t stays = store->fd >= 0, removed = 0;

	if (store->total_size + store->damaged_size + more > usable)
		spool_damaged_shrink(store, usable - MIN(usable, store->total_size + more));
	while (store->n_segments > stays && store->total_size + store->damaged_size + more > usable) {
		uint64_t messages = store->segments[0].messages, bytes = store->segments[0].bytes;
		uint64_t undelivered = store->undelivered_messages;
		uint64_t undelivered_bytes = store->undelivered_bytes;

		count_undelivered(store, &store->segments[0]);
		if (spool_segments_remove(store, 0) < 0) {
			store->undelivered_messages = undelivered;
			store->undelivered_bytes = undelivered_bytes;
			break;
		}
		store->removed_messages += messages;
		store->removed_bytes += bytes;
		removed++;
	}
	return removed;
}

size_t spool_prune(struct spool_store *store)
{
	int64_t until = INT64_MAX;

	if (store->directory_fd < 0)
		return 0;
	store->prune_waits = false;
	if (store->options->retain > 0)
		until = store->files->now(store->files->userdata) - store->options->retain;
	return spool_prune_delivered(store, until) + spool_prune_to_cap(store, 0);
}
