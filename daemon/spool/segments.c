/* SPDX-License-Identifier: BSD-3-Clause */
/* The list of segments, kept together with the sum of their sizes. */

#include "daemon/spool/segments.h"

#include "common/cleanup.h"
#include "common/kill_point.h"
#include "daemon/spool/files.h"

#include <errno.h>
#include <string.h>

struct spool_segment *spool_segments_current(const struct spool_store *store)
{
	return store->fd >= 0 ? &store->segments[store->n_segments - 1] : NULL;
}

uint64_t spool_segments_reach(const struct spool_store *store)
{
	uint64_t reach = 0;

	for (size_t i = 0; i < store->n_segments; i++)
		reach = MAX(reach, store->segments[i].last_sequence);
	return reach;
}

int spool_segments_reserve(struct spool_store *store)
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

int spool_segments_add(struct spool_store *store, const struct spool_segment *segment)
{
	int r = spool_segments_reserve(store);

	if (r < 0)
		return r;
	store->segments[store->n_segments++] = *segment;
	store->total_size += spool_blocks(segment->size);
	return 0;
}

void spool_segments_resize(struct spool_store *store, size_t i, uint64_t size)
{
	struct spool_segment *segment = &store->segments[i];

	store->total_size += spool_blocks(size) - spool_blocks(segment->size);
	segment->size = size;
}

int spool_segments_remove(struct spool_store *store, size_t i)
{
	const struct spool_segment *segment = &store->segments[i];
	bool other_safe = false;

	for (size_t j = 0; j < store->n_segments; j++)
		other_safe |= j != i && store->segments[j].safe;
	if (!other_safe) {
		store->prune_waits = true;
		return -EBUSY;
	}
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
