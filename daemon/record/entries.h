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

/* The key of a connection. The port of an endpoint without an address is left out. */
void entry_key_make(struct entry_key *ret_key, enum traffic_class class, const struct connection *connection);

/* 64 bits that depend on every bit of the key and, in a way that nobody outside can foresee, on the random
 * seed. */
uint64_t entry_key_hash(const struct entry_key *key, const uint64_t seed[4]);

/* The connection of a key. */
struct connection entry_key_connection(const struct entry_key *key);

/* Zero-initialised but for the seed is empty. */
struct entries {
	struct entry *items;
	size_t n;
	struct region item_region;
	struct hash_index index;
	size_t usual;	  /* entries that windows have had lately */
	uint64_t seed[4]; /* random: who sends packets must not choose the collisions */
};

/* 0, or -errno when the kernel has no random numbers. */
int entries_init(struct entries *entries);
void entries_deinit(struct entries *entries);
/*
 * Joins entries whose keys have become equal; `join` adds what is not counts. Afterwards entries may have
 * moved.
 */
void entries_join(struct entries *entries, void (*join)(struct details *sum, const struct details *more));
/* Nothing more is added until entries_reset(), or entries_join(): gives back the memory that only adding
 * needs. */
void entries_close(struct entries *entries);
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
