/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * A hash table over items that lie in an array elsewhere: open addressing with linear probing, at most three
 * quarters full. Slots hold the hash beside the item's index: most other items are ruled out, and the table
 * grows, without touching the items. The owner hashes, since it knows what an attacker may choose.
 */

#include "common/region.h"

#include <stdbool.h>
#include <stdint.h>

struct hash_slot {
	uint32_t hash;
	uint32_t item; /* index + 1; 0: free */
};

/* Zero-initialised is empty. */
struct hash_index {
	struct region slots;
	size_t n_slots; /* a power of two, or 0 */
};

/* What hash_index_reserve() does when there is no room. */
int hash_index_grow(struct hash_index *index, size_t n);

/* Makes room for n items in total, at most UINT32_MAX - 1. Slots may move. 0 or -ENOMEM, nothing changed. */
static inline int hash_index_reserve(struct hash_index *index, size_t n)
{
	return index->n_slots && n <= index->n_slots / 4 * 3 ? 0 : hash_index_grow(index, n);
}

/* Empties it. The room stays, unless it is more than `keep` items need; the memory of many slots goes back to
 * the kernel until they are used again. */
void hash_index_clear(struct hash_index *index, size_t keep);
void hash_index_deinit(struct hash_index *index);

/*
 * The slot of the item that has this hash and equals the key, or the free one where it belongs. Room must
 * have been reserved, be it for 0 items. Inlined with a constant equal(), so that no call is left in the
 * loop.
 */
static inline __attribute__((always_inline)) struct hash_slot *
hash_index_find(const struct hash_index *index, uint32_t hash,
		bool (*equal)(const void *owner, size_t item, const void *key), const void *owner,
		const void *key)
{
	struct hash_slot *slots = index->slots.data;
	size_t mask = index->n_slots - 1, i = hash & mask;

	while (slots[i].item && (slots[i].hash != hash || !equal(owner, slots[i].item - 1, key)))
		i = (i + 1) & mask;
	return &slots[i];
}

/* Takes a free slot that was found. */
static inline void hash_slot_take(struct hash_slot *slot, uint32_t hash, size_t item)
{
	*slot = (struct hash_slot){.hash = hash, .item = (uint32_t)item + 1};
}

/* Begins to fetch the memory that a search for this hash looks at first. */
static inline void hash_index_prefetch(const struct hash_index *index, uint32_t hash)
{
	const struct hash_slot *slots = index->slots.data;

	__builtin_prefetch(&slots[hash & (index->n_slots - 1)]);
}
