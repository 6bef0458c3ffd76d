/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * The entries of a window while it is gathered: each connection of a class once, with the sum of its counts.
 * An entry's key is a string of bytes whose order is the order in the log, so that comparing, hashing and
 * sorting know nothing of addresses.
 */

#include "common/connection.h"
#include "common/hash_index.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ENTRY_KEY_SIZE 40

/* Offsets in a key; ports are big-endian. An address is its family and its sixteen bytes, as in struct
 * address. */
enum {
	ENTRY_CLASS = 0,
	ENTRY_SRC = 1,
	ENTRY_SRC_PORT = 18,
	ENTRY_DST = 20,
	ENTRY_DST_PORT = 37,
	ENTRY_PROTO = 39,
};

struct entry_key {
	union {
		uint8_t bytes[ENTRY_KEY_SIZE];
		uint64_t words[ENTRY_KEY_SIZE / 8];
	};
};

struct entry {
	struct entry_key key;
	struct counts counts;
	struct details details;
};

/*
 * The same in one cache line, where both addresses are of IPv4 and counts are below 2^32: nearly all entries.
 * Keys of these, too, have the order of the log.
 */
struct narrow_key {
	uint64_t words[2]; /* little-endian: 14 bytes, and two that are 0 */
};

struct narrow_entry {
	struct narrow_key key;
	uint32_t tx_packets, tx_bytes, rx_packets, rx_bytes;
	uint32_t starts, ends;
	uint32_t tx_drops, rx_drops;
	uint32_t first; /* TCP: first_syn, else first_time: nothing needs both */
	uint32_t last_syn;
	uint16_t drop_reason, bits;
	uint8_t tx_flags, rx_flags, opener;
	uint8_t unused;
} __attribute__((aligned(64)));

/* The key of a connection. The port of an endpoint without an address is left out. */
void entry_key_make(struct entry_key *ret_key, enum traffic_class class, const struct connection *connection);

/* 64 bits that depend on every bit of the key and, in a way that nobody outside can foresee, on the random
 * seed. */
uint64_t entry_key_hash(const struct entry_key *key, const uint64_t seed[4]);

/* The connection of a key. */
struct connection entry_key_connection(const struct entry_key *key);

/*
 * Zero-initialised but for the seed is empty. Entries are in slots: the narrow ones, and behind them the
 * others.
 */
struct entries {
	size_t n; /* entries */
	/* Slots; some may be empty. */
	size_t n_narrow, n_wide;
	struct region narrow, wide; /* of struct narrow_entry and struct entry */
	struct hash_index index;
	size_t usual_narrow, usual_wide; /* slots that windows have had lately */
	uint64_t seed[4];		 /* random: who sends packets must not choose the collisions */
};

/* 0, or -errno when the kernel has no random numbers. */
int entries_init(struct entries *entries);
void entries_deinit(struct entries *entries);
static inline size_t entries_slots(const struct entries *entries)
{
	return entries->n_narrow + entries->n_wide;
}

/* Whether there is an entry in a slot. */
bool entries_has(const struct entries *entries, size_t slot);
/* Copies the entry in a slot; false: the slot is empty, and *ret_entry as before. */
bool entries_read(const struct entries *entries, size_t slot, struct entry *ret_entry);
/* Begins to fetch it. */
static inline __attribute__((always_inline)) void entries_prefetch(const struct entries *entries, size_t slot)
{
	const char *narrow = entries->narrow.data, *wide = entries->wide.data;

	if (slot < entries->n_narrow) {
		__builtin_prefetch(narrow + slot * sizeof(struct narrow_entry));
		return;
	}
	wide += (slot - entries->n_narrow) * sizeof(struct entry);
	__builtin_prefetch(wide);
	__builtin_prefetch(wide + 64);
	__builtin_prefetch(wide + sizeof(struct entry) - 1);
}
/*
 * Changes the entry in a slot: its details, and of the key anything but what makes it another kind of
 * connection. Entries that are dropped or whose keys have changed are not found until entries_join().
 */
void entries_write(struct entries *entries, size_t slot, const struct entry *entry);
void entries_drop(struct entries *entries, size_t slot);
/* Gives back the memory of the slots before this one, which must not be read again. */
void entries_discard(struct entries *entries, size_t slot);
/* Joins entries whose keys have become equal; `join` adds what is not counts. */
void entries_join(struct entries *entries, void (*join)(struct details *sum, const struct details *more));
/* Nothing more is added until entries_reset(), or entries_join(): gives back the memory that only adding
 * needs. */
void entries_close(struct entries *entries);
/* Gives back the memory that an empty one has kept; the room stays. */
void entries_release(struct entries *entries);
/* Empties it; memory for more than twice the usual number is given back. */
void entries_reset(struct entries *entries);
/* Makes room for n more, so that adding them cannot fail. 0 or -ENOMEM, nothing changed. */
int entries_reserve(struct entries *entries, size_t n);
/* The hash of a key, for adding. Begins to fetch the memory where the search for the entry starts, so that
 * adding a few keys later need not wait for it. Room must have been reserved; do not reserve in between. */
uint32_t entries_hash(const struct entries *entries, const struct entry_key *key);
/* Adds to the entry with this key, or makes it. Details may be NULL: nothing is known. */
void entries_add(struct entries *entries, const struct entry_key *key, uint32_t hash,
		 const struct counts *counts, const struct details *details);
/* Adds to the entry with this key; false if there is none. */
bool entries_add_known(struct entries *entries, const struct entry_key *key, uint32_t hash,
		       const struct counts *counts, const struct details *details);
