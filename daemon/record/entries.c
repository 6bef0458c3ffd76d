/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A hash table with linear probing over an array of entries. The devices hand over a connection once per
 * processor that saw it, and again after every extraction in the middle of a window: merging while adding
 * keeps one copy of each, whatever was handed over.
 */

#include "daemon/record/entries.h"

#include "common/cleanup.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/random.h>

#define ENTRIES_MIN 1024

/* The position follows from the hash, so that growing needs no look at the entries. */
struct slot {
	uint32_t hash;
	uint32_t entry; /* index + 1; 0: free */
};

_Static_assert(sizeof(struct address) == ENTRY_SRC_PORT - ENTRY_SRC, "an address is copied as it is");
_Static_assert(sizeof(struct entry) == ENTRY_KEY_SIZE + sizeof(struct counts), "no padding");

static void put_endpoint(uint8_t *key, const struct endpoint *endpoint)
{
	memcpy(key, &endpoint->address, sizeof(endpoint->address));
	if (endpoint->address.family == ADDRESS_NONE)
		memset(key, 0, sizeof(endpoint->address) + 2);
	else
		memcpy(key + sizeof(endpoint->address),
		       (uint8_t[]){endpoint->port >> 8, endpoint->port & 0xff}, 2);
}

void entry_key_make(struct entry_key *ret_key, enum traffic_class class, const struct connection *connection)
{
	ret_key->bytes[ENTRY_CLASS] = (uint8_t) class;
	put_endpoint(ret_key->bytes + ENTRY_SRC, &connection->src);
	put_endpoint(ret_key->bytes + ENTRY_DST, &connection->dst);
	ret_key->bytes[ENTRY_PROTO] = connection->proto;
}

int entries_init(struct entries *entries)
{
	*entries = (struct entries){};
	if (getrandom(entries->seed, sizeof(entries->seed), 0) != (ssize_t)sizeof(entries->seed))
		return errno ? -errno : -EIO;
	return 0;
}

void entries_deinit(struct entries *entries)
{
	region_deinit(&entries->item_region);
	region_deinit(&entries->slot_region);
	entries->items = NULL;
	entries->n = 0;
	entries->n_slots = 0;
}

/* Folds a full product of two words: every bit of both tells in the result. */
static uint64_t fold(uint64_t a, uint64_t b)
{
	unsigned __int128 product = (unsigned __int128)a * b;

	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

uint32_t entries_hash(const struct entries *entries, const struct entry_key *key)
{
	uint64_t a = fold(key->words[0] ^ entries->seed[0], key->words[1] ^ entries->seed[1]);
	uint64_t b = fold(key->words[2] ^ entries->seed[2], key->words[3] ^ entries->seed[3]);

	uint32_t hash = (uint32_t)fold(a ^ entries->seed[2], key->words[4] ^ b ^ entries->seed[1]);
	const struct slot *slots = entries->slot_region.data;

	__builtin_prefetch(&slots[hash & (entries->n_slots - 1)]);
	return hash;
}

/* At most three quarters of the slots are taken. */
static size_t slots_for(size_t n)
{
	size_t slots = ENTRIES_MIN;

	while (slots / 4 * 3 < n)
		slots *= 2;
	return slots;
}

static struct slot *find_free(struct slot *slots, size_t n_slots, uint32_t hash)
{
	size_t i = hash & (n_slots - 1);

	while (slots[i].entry)
		i = (i + 1) & (n_slots - 1);
	return &slots[i];
}

static int grow_slots(struct entries *entries, size_t n_slots)
{
	const struct slot *old = entries->slot_region.data;
	struct region region = {};
	int r;

	r = region_grow(&region, n_slots * sizeof(struct slot));
	if (r < 0)
		return r;
	for (size_t i = 0; i < entries->n_slots; i++)
		if (old[i].entry)
			*find_free(region.data, n_slots, old[i].hash) = old[i];
	region_deinit(&entries->slot_region);
	entries->slot_region = region;
	entries->n_slots = n_slots;
	return 0;
}

int entries_reserve(struct entries *entries, size_t n)
{
	size_t needed, n_slots;
	int r;

	if (n > UINT32_MAX - 1 - entries->n)
		return -ENOMEM;
	needed = entries->n + n;

	if (needed * sizeof(struct entry) > entries->item_region.size) {
		/* Pages that are never touched cost nothing. */
		r = region_grow(&entries->item_region,
				MAX(needed + needed / 2, (size_t)ENTRIES_MIN) * sizeof(struct entry));
		if (r < 0)
			return r;
		entries->items = entries->item_region.data;
	}
	n_slots = slots_for(needed);
	return n_slots > entries->n_slots ? grow_slots(entries, n_slots) : 0;
}

/* The slot of the entry with this key, or the free one where it would go. */
static size_t find_slot(const struct entries *entries, const struct entry_key *key, uint32_t hash)
{
	const struct slot *slots = entries->slot_region.data;
	size_t i = hash & (entries->n_slots - 1);

	for (; slots[i].entry; i = (i + 1) & (entries->n_slots - 1))
		if (slots[i].hash == hash &&
		    memcmp(&entries->items[slots[i].entry - 1].key, key, sizeof(*key)) == 0)
			break;
	return i;
}

void entries_add(struct entries *entries, const struct entry_key *key, uint32_t hash,
		 const struct counts *counts)
{
	struct slot *slots = entries->slot_region.data;
	size_t i = find_slot(entries, key, hash);
	struct entry *entry;

	if (slots[i].entry) {
		counts_add(&entries->items[slots[i].entry - 1].counts, counts);
		return;
	}
	assert((entries->n + 1) * sizeof(struct entry) <= entries->item_region.size);
	entry = &entries->items[entries->n++];
	entry->key = *key;
	entry->counts = (struct counts){};
	counts_add(&entry->counts, counts);
	slots[i] = (struct slot){.hash = hash, .entry = (uint32_t)entries->n};
}

bool entries_add_known(struct entries *entries, const struct entry_key *key, uint32_t hash,
		       const struct counts *counts)
{
	const struct slot *slots = entries->slot_region.data;
	size_t i = find_slot(entries, key, hash);

	if (!slots[i].entry)
		return false;
	counts_add(&entries->items[slots[i].entry - 1].counts, counts);
	return true;
}

void entries_reset(struct entries *entries)
{
	size_t keep;

	entries->usual = MAX(entries->n, entries->usual / 4 * 3);
	keep = MAX(2 * entries->usual, (size_t)ENTRIES_MIN);
	entries->n = 0;

	region_shrink(&entries->item_region, keep * sizeof(struct entry));
	if (slots_for(keep) < entries->n_slots) {
		region_deinit(&entries->slot_region);
		entries->n_slots = 0;
	} else if (entries->n_slots) {
		memset(entries->slot_region.data, 0, entries->n_slots * sizeof(struct slot));
	}
}
