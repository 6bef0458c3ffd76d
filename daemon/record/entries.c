/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Two arrays of entries with one index. The devices hand over a connection once per processor that saw it,
 * and again after every extraction in the middle of a window: merging while adding keeps one copy of each.
 * There are as many as connections, so that most are kept in a narrow form: 64 bytes in place of 112.
 */

#include "daemon/record/entries.h"

#include "common/cleanup.h"
#include "common/details.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/random.h>

#define ENTRIES_MIN 1024

_Static_assert(sizeof(struct address) == ENTRY_SRC_PORT - ENTRY_SRC, "an address is copied as it is");
_Static_assert(sizeof(struct narrow_entry) == 64, "a cache line");
_Static_assert(sizeof(struct entry) <= 112, "there are as many as connections");

/* Places in the index: of narrow entries their slot, of others this and their number. */
#define WIDE 0x80000000U
/* The opener of an empty slot. */
#define EMPTY 0xff

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

/* ---- the narrow form ---- */

/*
 * A narrow key is the bytes of the other one without families and what is zero: class, address and port of
 * both ends, protocol. Made as words, since bytes that are stored one by one are slow to load as words.
 */

static uint64_t load(const uint8_t *from, size_t n)
{
	uint64_t word = 0;

	memcpy(&word, from, n);
	return le64toh(word);
}

static bool is_ipv4(const uint8_t *address)
{
	return address[0] == ADDRESS_IPV4 && (load(address + 5, 8) | load(address + 9, 8)) == 0;
}

static bool has_narrow_key(const struct entry_key *key)
{
	return is_ipv4(key->bytes + ENTRY_SRC) && is_ipv4(key->bytes + ENTRY_DST);
}

static struct narrow_key narrow_key_of(const struct entry_key *key)
{
	const uint8_t *from = key->bytes;
	uint64_t src = load(from + ENTRY_SRC + 1, 4), src_port = load(from + ENTRY_SRC_PORT, 2);
	uint64_t dst = load(from + ENTRY_DST + 1, 4), dst_port = load(from + ENTRY_DST_PORT, 2);

	return (struct narrow_key){{
		htole64(from[ENTRY_CLASS] | src << 8 | src_port << 40 | dst << 56),
		htole64(dst >> 8 | dst_port << 24 | (uint64_t)from[ENTRY_PROTO] << 40),
	}};
}

static uint8_t narrow_key_proto(struct narrow_key key)
{
	return (uint8_t)(le64toh(key.words[1]) >> 40);
}

static struct entry_key wide_key_of(struct narrow_key key)
{
	uint64_t first = le64toh(key.words[0]), second = le64toh(key.words[1]);
	uint64_t class = first & 0xff, src = first >> 8 & UINT32_MAX, src_port = first >> 40 & 0xffff;
	uint64_t dst = first >> 56 | (second & 0xffffff) << 8, dst_port = second >> 24 & 0xffff;
	uint64_t proto = second >> 40;

	return (struct entry_key){.words = {
					  htole64(class | ADDRESS_IPV4 << 8 | src << 16),
					  0,
					  htole64(src_port << 16 | (uint64_t)ADDRESS_IPV4 << 32 | dst << 40),
					  htole64(dst >> 24),
					  htole64(dst_port << 40 | proto << 56),
				  }};
}

static bool counts_are_narrow(const struct counts *counts)
{
	return (counts->tx_packets | counts->tx_bytes | counts->rx_packets | counts->rx_bytes) <= UINT32_MAX;
}

static struct counts narrow_counts(const struct narrow_entry *narrow)
{
	return (struct counts){narrow->tx_packets, narrow->tx_bytes, narrow->rx_packets, narrow->rx_bytes};
}

static struct details narrow_details(const struct narrow_entry *narrow)
{
	bool tcp = narrow_key_proto(narrow->key) == IPPROTO_TCP;

	return (struct details){
		.starts = narrow->starts,
		.ends = narrow->ends,
		.tx_drops = narrow->tx_drops,
		.rx_drops = narrow->rx_drops,
		.first_syn = tcp ? narrow->first : 0,
		.last_syn = narrow->last_syn,
		.first_time = tcp ? 0 : narrow->first,
		.drop_reason = narrow->drop_reason,
		.bits = narrow->bits,
		.tx_flags = narrow->tx_flags,
		.rx_flags = narrow->rx_flags,
		.opener = narrow->opener,
	};
}

static void narrow_write(struct narrow_entry *ret_narrow, struct narrow_key key, const struct counts *counts,
			 const struct details *details)
{
	*ret_narrow = (struct narrow_entry){
		.key = key,
		.tx_packets = (uint32_t)counts->tx_packets,
		.tx_bytes = (uint32_t)counts->tx_bytes,
		.rx_packets = (uint32_t)counts->rx_packets,
		.rx_bytes = (uint32_t)counts->rx_bytes,
		.starts = details->starts,
		.ends = details->ends,
		.tx_drops = details->tx_drops,
		.rx_drops = details->rx_drops,
		.first = narrow_key_proto(key) == IPPROTO_TCP ? details->first_syn : details->first_time,
		.last_syn = details->last_syn,
		.drop_reason = details->drop_reason,
		.bits = details->bits,
		.tx_flags = details->tx_flags,
		.rx_flags = details->rx_flags,
		.opener = details->opener,
	};
}

/* ---- slots ---- */

static struct narrow_entry *narrow_at(const struct entries *entries, size_t slot)
{
	return (struct narrow_entry *)entries->narrow.data + slot;
}

static struct entry *wide_at(const struct entries *entries, size_t number)
{
	return (struct entry *)entries->wide.data + number;
}

bool entries_has(const struct entries *entries, size_t slot)
{
	if (slot < entries->n_narrow)
		return narrow_at(entries, slot)->opener != EMPTY;
	return wide_at(entries, slot - entries->n_narrow)->details.opener != EMPTY;
}

bool entries_read(const struct entries *entries, size_t slot, struct entry *ret_entry)
{
	if (!entries_has(entries, slot))
		return false;
	if (slot < entries->n_narrow) {
		const struct narrow_entry *narrow = narrow_at(entries, slot);

		ret_entry->key = wide_key_of(narrow->key);
		ret_entry->counts = narrow_counts(narrow);
		ret_entry->details = narrow_details(narrow);
	} else {
		*ret_entry = *wide_at(entries, slot - entries->n_narrow);
	}
	return true;
}

void entries_write(struct entries *entries, size_t slot, const struct entry *entry)
{
	if (slot >= entries->n_narrow) {
		*wide_at(entries, slot - entries->n_narrow) = *entry;
		return;
	}
	assert(has_narrow_key(&entry->key) && counts_are_narrow(&entry->counts));
	narrow_write(narrow_at(entries, slot), narrow_key_of(&entry->key), &entry->counts, &entry->details);
}

void entries_drop(struct entries *entries, size_t slot)
{
	if (slot < entries->n_narrow)
		narrow_at(entries, slot)->opener = EMPTY;
	else
		wide_at(entries, slot - entries->n_narrow)->details.opener = EMPTY;
	entries->n--;
}

void entries_discard(struct entries *entries, size_t slot)
{
	region_discard(&entries->narrow, MIN(slot, entries->n_narrow) * sizeof(struct narrow_entry));
	if (slot > entries->n_narrow)
		region_discard(&entries->wide, (slot - entries->n_narrow) * sizeof(struct entry));
}

void entries_deinit(struct entries *entries)
{
	region_deinit(&entries->narrow);
	region_deinit(&entries->wide);
	hash_index_deinit(&entries->index);
	entries->n = entries->n_narrow = entries->n_wide = 0;
}

/* ---- adding ---- */

/* Room for so many items. Pages that are never touched cost nothing. */
static int reserve(struct region *region, size_t n, size_t size)
{
	if (n * size <= region->size)
		return 0;
	return region_grow(region, MAX(n + n / 2, (size_t)ENTRIES_MIN) * size);
}

int entries_reserve(struct entries *entries, size_t n)
{
	int r;

	if (n > WIDE - 1 - entries_slots(entries))
		return -ENOMEM;
	/* Each may be of either kind, or make another one that is known already a wide one. */
	r = reserve(&entries->narrow, entries->n_narrow + n, sizeof(struct narrow_entry));
	if (r == 0)
		r = reserve(&entries->wide, entries->n_wide + n, sizeof(struct entry));
	return r ?: hash_index_reserve(&entries->index, entries->n + n);
}

/* A key that is searched, in both forms. */
struct wanted {
	const struct entry_key *key;
	bool has_narrow;
	struct narrow_key narrow;
};

static struct wanted want(const struct entry_key *key)
{
	return (struct wanted){key, has_narrow_key(key), narrow_key_of(key)};
}

static bool has_key(const void *entries, size_t item, const void *key)
{
	const struct wanted *wanted = key;
	const uint64_t *words = wanted->narrow.words;
	const struct narrow_entry *narrow;

	if (item & WIDE)
		return memcmp(&wide_at(entries, item & ~WIDE)->key, wanted->key, sizeof(*wanted->key)) == 0;
	narrow = narrow_at(entries, item);
	return wanted->has_narrow && narrow->key.words[0] == words[0] && narrow->key.words[1] == words[1];
}

typedef void (*join_fn)(struct details *sum, const struct details *more);

/* Adds to an entry that is known; a narrow one that becomes too large for that moves. */
static inline void add_to(struct entries *entries, struct hash_slot *slot, const struct counts *counts,
			  const struct details *details, join_fn join)
{
	size_t item = slot->item - 1;
	struct narrow_entry *narrow;
	struct details all;
	struct entry *wide;
	struct counts sum;

	if (item & WIDE) {
		wide = wide_at(entries, item & ~WIDE);
		counts_add(&wide->counts, counts);
		if (details)
			join(&wide->details, details);
		return;
	}
	narrow = narrow_at(entries, item);
	sum = narrow_counts(narrow);
	all = narrow_details(narrow);
	counts_add(&sum, counts);
	if (details)
		join(&all, details);
	if (counts_are_narrow(&sum)) {
		narrow_write(narrow, narrow->key, &sum, &all);
		return;
	}
	assert((entries->n_wide + 1) * sizeof(*wide) <= entries->wide.size);
	wide = wide_at(entries, entries->n_wide);
	wide->key = wide_key_of(narrow->key);
	wide->counts = sum;
	wide->details = all;
	narrow->opener = EMPTY;
	slot->item = (uint32_t)(WIDE | entries->n_wide++) + 1;
}

void entries_add(struct entries *entries, const struct entry_key *key, uint32_t hash,
		 const struct counts *counts, const struct details *details)
{
	static const struct details none;
	struct wanted wanted = want(key);
	struct hash_slot *slot = hash_index_find(&entries->index, hash, has_key, entries, &wanted);

	if (slot->item) {
		add_to(entries, slot, counts, details, details_add);
		return;
	}
	if (!details)
		details = &none;
	if (wanted.has_narrow && counts_are_narrow(counts)) {
		assert((entries->n_narrow + 1) * sizeof(struct narrow_entry) <= entries->narrow.size);
		hash_slot_take(slot, hash, entries->n_narrow);
		narrow_write(narrow_at(entries, entries->n_narrow++), wanted.narrow, counts, details);
	} else {
		struct entry *wide = wide_at(entries, entries->n_wide);

		assert((entries->n_wide + 1) * sizeof(*wide) <= entries->wide.size);
		hash_slot_take(slot, hash, WIDE | entries->n_wide++);
		*wide = (struct entry){.key = *key, .details = *details};
		counts_add(&wide->counts, counts);
	}
	entries->n++;
}

bool entries_add_known(struct entries *entries, const struct entry_key *key, uint32_t hash,
		       const struct counts *counts, const struct details *details)
{
	struct wanted wanted = want(key);
	struct hash_slot *slot = hash_index_find(&entries->index, hash, has_key, entries, &wanted);

	if (!slot->item)
		return false;
	add_to(entries, slot, counts, details, details_add);
	return true;
}

/* ---- all of them ---- */

/* Finds the entry of a slot, or joins it to the one that has its key now. */
static void join_slot(struct entries *entries, size_t slot, size_t item, uint32_t hash, join_fn join)
{
	struct hash_slot *known;
	struct wanted wanted;
	struct entry entry;

	if (!entries_read(entries, slot, &entry))
		return;
	wanted = want(&entry.key);
	known = hash_index_find(&entries->index, hash, has_key, entries, &wanted);
	if (!known->item) {
		hash_slot_take(known, hash, item);
		return;
	}
	entries_drop(entries, slot);
	add_to(entries, known, &entry.counts, &entry.details, join);
}

void entries_join(struct entries *entries, join_fn join)
{
	enum { AHEAD = 8 };
	size_t n_narrow = entries->n_narrow, n_wide = entries->n_wide, n = n_narrow + n_wide;
	uint32_t hashes[AHEAD] = {};
	struct entry entry;

	hash_index_clear(&entries->index, entries->n);
	/* Narrow ones may become too large for that. */
	if (n == 0 || entries_reserve(entries, n_narrow) < 0)
		return;
	for (size_t i = 0; i < n + AHEAD; i++) {
		size_t slot = i - AHEAD;

		if (i >= AHEAD)
			join_slot(entries, slot, slot < n_narrow ? slot : WIDE | (slot - n_narrow),
				  hashes[i % AHEAD], join);
		if (i < n && entries_read(entries, i, &entry))
			hashes[i % AHEAD] = entries_hash(entries, &entry.key);
	}
}

void entries_close(struct entries *entries)
{
	hash_index_clear(&entries->index, entries->n);
}

static void shrink(struct region *region, size_t n, size_t *usual, size_t size)
{
	*usual = MAX(n, *usual / 4 * 3);
	region_shrink(region, MAX(2 * *usual, (size_t)ENTRIES_MIN) * size);
}

void entries_release(struct entries *entries)
{
	assert(entries->n == 0);
	region_clear(&entries->narrow);
	region_clear(&entries->wide);
}

void entries_reset(struct entries *entries)
{
	shrink(&entries->narrow, entries->n_narrow, &entries->usual_narrow, sizeof(struct narrow_entry));
	shrink(&entries->wide, entries->n_wide, &entries->usual_wide, sizeof(struct entry));
	hash_index_clear(&entries->index,
			 MAX(2 * (entries->usual_narrow + entries->usual_wide), (size_t)ENTRIES_MIN));
	entries->n = entries->n_narrow = entries->n_wide = 0;
}
