/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * What is kept of damage, in "damaged/" in the spool: for a person to look at, and no message that can be
 * delivered. It counts against the cap and is the first thing to go.
 */

#include <stdbool.h>
#include <stdint.h>

struct spool_segment;
struct spool_store;

/* Opens the directory, making it if need be: a descriptor that the caller owns, or -errno. */
int spool_damaged_open(const struct spool_store *store);
/*
 * Reads a segment through, fills in what it holds, counts its damaged parts and keeps them. ret_end: where
 * its frames end. 0, or what spool_scan_next() says.
 */
int spool_damaged_read(struct spool_store *store, int fd, struct spool_segment *segment, uint64_t *ret_end);
/* The same for a segment that is about to go, if nobody has looked through it. */
void spool_damaged_keep_of(struct spool_store *store, const struct spool_segment *segment);
/* Removes what a killed run left half made, and finds out how much is there: into store->damaged_size. */
void spool_damaged_measure(struct spool_store *store);
/* Removes the oldest until at most so many bytes are left. Whether any went. */
bool spool_damaged_shrink(struct spool_store *store, uint64_t max);
