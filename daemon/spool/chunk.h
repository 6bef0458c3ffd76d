/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* The next frames of a block that go into one segment with one write. */

#include "daemon/spool/queue.h"
#include "daemon/spool/store.h"

struct spool_chunk {
	size_t size;
	uint64_t messages;
	struct spool_frame last;
};

/* The block's next frame as it will stand in the file. */
struct spool_frame spool_chunk_first(const struct spool_store *store, const struct spool_block *block);
/* Whether that frame needs a segment other than the open one: another log ID, a jump, or no room. */
bool spool_chunk_needs_segment(const struct spool_store *store, const struct spool_block *block);
/*
 * Takes as many frames before an offset of the block as go into the open segment, at least one and otherwise
 * no more than `limit` bytes, and writes their headers in place.
 */
void spool_chunk_gather(const struct spool_store *store, struct spool_block *block, size_t end,
			uint64_t limit, struct spool_chunk *ret_chunk);
/* A write ended early, after `done` bytes: keeps the frames that are whole in the file. */
void spool_chunk_cut(struct spool_chunk *chunk, const struct spool_block *block, size_t done);
