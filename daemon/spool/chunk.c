/* SPDX-License-Identifier: BSD-3-Clause */
/* A frame gets its sequence when it is about to be written, and keeps it if it has to be written again. */

#include "daemon/spool/chunk.h"

#include "common/cleanup.h"

#include <string.h>

static struct spool_frame numbered(const struct spool_block *block, size_t offset, uint64_t next_sequence,
				   uint64_t next_bytes)
{
	struct spool_frame frame = spool_block_frame(block, offset);

	if (offset >= block->assigned) {
		frame.sequence = next_sequence;
		frame.bytes_before = next_bytes;
	}
	return frame;
}

struct spool_frame spool_chunk_first(const struct spool_store *store, const struct spool_block *block)
{
	return numbered(block, block->written, store->next_sequence, store->next_bytes);
}

bool spool_chunk_needs_segment(const struct spool_store *store, const struct spool_block *block)
{
	const struct spool_segment *segment = spool_segments_current(store);
	struct spool_frame frame = spool_chunk_first(store, block);

	if (!segment || frame.sequence != segment->last_sequence + 1)
		return true;
	if (memcmp(&segment->header.public_id, &block->public_id, sizeof(block->public_id)) != 0)
		return true;
	return segment->messages > 0 && SPOOL_FRAME_SIZE + (uint64_t)frame.stored > spool_store_room(store);
}

void spool_chunk_gather(const struct spool_store *store, struct spool_block *block, size_t end,
			uint64_t limit, struct spool_chunk *ret_chunk)
{
	uint64_t next_sequence = store->next_sequence, next_bytes = store->next_bytes;
	uint64_t expected = spool_segments_current(store)->last_sequence + 1;
	uint64_t room = MIN(limit, spool_store_room(store));
	struct spool_chunk chunk = {};

	while (block->written + chunk.size < end) {
		size_t offset = block->written + chunk.size;
		size_t size = spool_block_frame_size(block, offset);
		struct spool_frame frame = numbered(block, offset, next_sequence, next_bytes);

		if (chunk.messages > 0 && chunk.size + size > room)
			break;
		if (frame.sequence != expected + chunk.messages)
			break;
		if (offset >= block->assigned) {
			spool_frame_encode(&frame, block->data + offset + SPOOL_FRAME_SIZE,
					   block->data + offset);
			next_sequence = frame.sequence + 1;
			next_bytes = frame.bytes_before + frame.length;
		}
		chunk.size += size;
		chunk.messages++;
		chunk.last = frame;
	}
	*ret_chunk = chunk;
}

void spool_chunk_cut(struct spool_chunk *chunk, const struct spool_block *block, size_t done)
{
	size_t size = 0;

	chunk->messages = 0;
	while (size < done) {
		size_t offset = block->written + size;
		size_t frame = spool_block_frame_size(block, offset);

		if (size + frame > done)
			break;
		/* All have been encoded, so the sequence stands in the block. */
		chunk->last = spool_block_frame(block, offset);
		chunk->messages++;
		size += frame;
	}
	chunk->size = size;
}
