/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An array of entries with an index. The devices hand over a connection once per processor that saw it, and
 * again after every extraction in the middle of a window: merging while adding keeps one copy of each.
 */

#include "daemon/record/entries.h"

#include "common/cleanup.h"
#include "common/details.h"

#include <assert.h>
#include <errno.h>
#include <string.h>
#include <sys/random.h>

#define ENTRIES_MIN 1024

_Static_assert(sizeof(struct address) == ENTRY_SRC_PORT - ENTRY_SRC, "an address is copied as it is");
_Static_assert(sizeof(struct entry) <= 112, "there are as many as connections");

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

static struct endpoint get_endpoint(const uint8_t *key)
{
	struct endpoint endpoint = {
		.port = (uint16_t)(key[sizeof(struct address)] << 8 | key[sizeof(struct address) + 1])};

	memcpy(&endpoint.address, key, sizeof(endpoint.address));
	return endpoint;
}

struct connection entry_key_connection(const struct entry_key *key)
{
	return (struct connection){
		.src = get_endpoint(key->bytes + ENTRY_SRC),
		.dst = get_endpoint(key->bytes + ENTRY_DST),
		.proto = key->bytes[ENTRY_PROTO],
	};
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
	hash_index_deinit(&entries->index);
	entries->items = NULL;
	entries->n = 0;
}

/* Folds a full product of two words: every bit of both tells in the result. */
static uint64_t fold(uint64_t a, uint64_t b)
{
	unsigned __int128 product = (unsigned __int128)a * b;

	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

uint64_t entry_key_hash(const struct entry_key *key, const uint64_t seed[4])
{
	uint64_t a = fold(key->words[0] ^ seed[0], key->words[1] ^ seed[1]);
	uint64_t b = fold(key->words[2] ^ seed[2], key->words[3] ^ seed[3]);

	return fold(a ^ seed[2], key->words[4] ^ b ^ seed[1]);
}

uint32_t entries_hash(const struct entries *entries, const struct entry_key *key)
{
	uint32_t hash = (uint32_t)entry_key_hash(key, entries->seed);

	hash_index_prefetch(&entries->index, hash);
	return hash;
}

int entries_reserve(struct entries *entries, size_t n)
{
	size_t needed;
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
	return hash_index_reserve(&entries->index, needed);
}

static bool has_key(const void *entries, size_t item, const void *key)
{
	return memcmp(&((const struct entries *)entries)->items[item].key, key, sizeof(struct entry_key)) ==
	       0;
}

static void add_to(struct entry *entry, const struct counts *counts, const struct details *details)
{
	counts_add(&entry->counts, counts);
	if (details)
		details_add(&entry->details, details);
}

void entries_add(struct entries *entries, const struct entry_key *key, uint32_t hash,
		 const struct counts *counts, const struct details *details)
{
	struct hash_slot *slot = hash_index_find(&entries->index, hash, has_key, entries, key);
	struct entry *entry;

	if (slot->item) {
		add_to(&entries->items[slot->item - 1], counts, details);
		return;
	}
	assert((entries->n + 1) * sizeof(struct entry) <= entries->item_region.size);
	hash_slot_take(slot, hash, entries->n);
	entry = &entries->items[entries->n++];
	entry->key = *key;
	entry->counts = (struct counts){};
	counts_add(&entry->counts, counts);
	entry->details = details ? *details : (struct details){};
}

bool entries_add_known(struct entries *entries, const struct entry_key *key, uint32_t hash,
		       const struct counts *counts, const struct details *details)
{
	const struct hash_slot *slot = hash_index_find(&entries->index, hash, has_key, entries, key);

	if (!slot->item)
		return false;
	add_to(&entries->items[slot->item - 1], counts, details);
	return true;
}

void entries_join(struct entries *entries, void (*join)(struct details *sum, const struct details *more))
{
	enum { AHEAD = 8 };
	uint32_t hashes[AHEAD] = {};
	size_t n = entries->n;

	hash_index_clear(&entries->index, n);
	if (n == 0 || hash_index_reserve(&entries->index, n) < 0)
		return;
	entries->n = 0;
	for (size_t i = 0; i < n + AHEAD; i++) {
		uint32_t hash = hashes[i % AHEAD];

		if (i >= AHEAD) {
			const struct entry *entry = &entries->items[i - AHEAD];
			struct hash_slot *slot =
				hash_index_find(&entries->index, hash, has_key, entries, &entry->key);

			if (slot->item) {
				counts_add(&entries->items[slot->item - 1].counts, &entry->counts);
				join(&entries->items[slot->item - 1].details, &entry->details);
			} else {
				hash_slot_take(slot, hash, entries->n);
				memmove(&entries->items[entries->n++], entry, sizeof(*entry));
			}
		}
		if (i < n)
			hashes[i % AHEAD] = entries_hash(entries, &entries->items[i].key);
	}
}

void entries_close(struct entries *entries)
{
	hash_index_clear(&entries->index, entries->n);
}

void entries_reset(struct entries *entries)
{
	size_t keep;

	entries->usual = MAX(entries->n, entries->usual / 4 * 3);
	keep = MAX(2 * entries->usual, (size_t)ENTRIES_MIN);
	entries->n = 0;
	region_shrink(&entries->item_region, keep * sizeof(struct entry));
	hash_index_clear(&entries->index, keep);
}
