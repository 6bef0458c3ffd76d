/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Growing and emptying the table. Its slots are a region: a table that was large for one window gives its
 * memory back to the kernel.
 */

#include "common/hash_index.h"

#include <errno.h>
#include <string.h>

#define SLOTS_MIN 1024
/* Below, wiping costs less than having the kernel hand out pages again. */
#define RELEASE_MIN 65536 /* bytes */

static size_t slots_for(size_t n)
{
	size_t n_slots = SLOTS_MIN;

	while (n_slots / 4 * 3 < n)
		n_slots *= 2;
	return n_slots;
}

int hash_index_grow(struct hash_index *index, size_t n)
{
	const struct hash_slot *old = index->slots.data;
	struct hash_index larger = {};
	int r;

	if (n > UINT32_MAX - 1)
		return -ENOMEM;
	larger.n_slots = slots_for(n);
	r = region_grow(&larger.slots, larger.n_slots * sizeof(*old));
	if (r < 0)
		return r;
	for (size_t i = 0; i < index->n_slots; i++) {
		struct hash_slot *slots = larger.slots.data;
		size_t at = old[i].hash & (larger.n_slots - 1);

		if (!old[i].item)
			continue;
		while (slots[at].item)
			at = (at + 1) & (larger.n_slots - 1);
		slots[at] = old[i];
	}
	hash_index_deinit(index);
	*index = larger;
	return 0;
}

void hash_index_clear(struct hash_index *index, size_t keep)
{
	if (slots_for(keep) < index->n_slots)
		hash_index_deinit(index);
	else if (index->slots.size >= RELEASE_MIN)
		region_clear(&index->slots);
	else if (index->n_slots)
		memset(index->slots.data, 0, index->n_slots * sizeof(struct hash_slot));
}

void hash_index_deinit(struct hash_index *index)
{
	region_deinit(&index->slots);
	index->n_slots = 0;
}
