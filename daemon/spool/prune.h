/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* What of the spool may be removed, by the sinks' cursors, and what must be, by the cap. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct spool_segment;
struct spool_store;

/* Removes what all sinks have (unless retained), and what the cap demands. Returns how many segments. */
size_t spool_prune(struct spool_store *store);
/* Whether every sink has all that is in the spool, and there is something. */
bool spool_prune_is_delivered(const struct spool_store *store);
/* How many of the first messages of a segment some sink does not have; 0 without sinks. */
uint64_t spool_prune_missed(const struct spool_store *store, const struct spool_segment *segment,
			    uint64_t messages);
/* Removes segments that every sink has and whose last message is not later than a time. The last one stays,
 * since it holds the spool id. Returns how many. */
size_t spool_prune_delivered(struct spool_store *store, int64_t until);
/* Removes segments that the last one repeats as a whole: they could not be synced, and it was written in
 * their place. */
void spool_prune_repeated(struct spool_store *store);
/* Removes what is kept of damage, then the oldest segments, until so many bytes more are within the cap; the
 * open one stays. Returns how many segments. */
size_t spool_prune_to_cap(struct spool_store *store, uint64_t more);
