/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * What is kept of damage, in "damaged/" in the spool: for a person to look at; none of it can be delivered.
 * It counts towards the cap and is the first thing to go.
 */

#include <stdbool.h>
#include <stdint.h>

struct spool_segment;
struct spool_store;

/* Opens "damaged/", and makes it if necessary: a descriptor that the caller owns, or -errno. */
int spool_damaged_open(const struct spool_store *store);
/*
 * Reads a whole segment, fills in what it holds, counts its damaged parts and keeps them. ret_end: where its
 * frames end. 0, or -errno as spool_scan_next().
 */
int spool_damaged_read(struct spool_store *store, int fd, struct spool_segment *segment, uint64_t *ret_end);
/* The same for a segment that is about to be removed and was not read yet. */
void spool_damaged_keep_of(struct spool_store *store, const struct spool_segment *segment);
/* Removes what a killed run left unfinished, and measures the rest, into store->damaged_size. */
void spool_damaged_measure(struct spool_store *store);
/* Removes the oldest parts until at most so many bytes are left. Whether it removed any. */
bool spool_damaged_shrink(struct spool_store *store, uint64_t max);
