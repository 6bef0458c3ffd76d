/* SPDX-License-Identifier: BSD-3-Clause */
/* Blocks of frames on their way to the disk. */

#include "daemon/spool/queue.h"

#include "common/cleanup.h"
#include "common/little_endian.h"

#include <errno.h>
#include <string.h>

/* Where a frame's header holds what is known before it is encoded: the format's offsets. */
enum { AT_LENGTH = 12, AT_SEQUENCE = 16, AT_TIME = 24, AT_BYTES = 32 };

void spool_queue_deinit(struct spool_queue *queue)
{
	while (queue->head) {
		struct spool_block *block = queue->head;

		queue->head = block->next;
		free(block);
	}
	free(queue->spare);
	*queue = (struct spool_queue){};
}

static struct spool_block *new_block(struct spool_queue *queue, size_t frame)
{
	size_t allocated = MAX(frame, SPOOL_BLOCK_SIZE);
	struct spool_block *block;

	if (queue->spare && queue->spare->allocated >= allocated) {
		block = TAKE_PTR(queue->spare);
	} else {
		block = malloc(sizeof(*block) + allocated);
		if (!block)
			return NULL;
		block->allocated = allocated;
	}
	allocated = block->allocated;
	*block = (struct spool_block){.allocated = allocated};
	if (queue->tail)
		queue->tail->next = block;
	else
		queue->head = block;
	queue->tail = block;
	return block;
}

int spool_queue_append(struct spool_queue *queue, const struct log_id *public_id, const char *message,
		       size_t n, int64_t time)
{
	struct spool_block *block = queue->tail;
	size_t frame = SPOOL_FRAME_SIZE + n;
	uint8_t *at;

	if (!block || block->allocated - block->end < frame ||
	    memcmp(&block->public_id, public_id, sizeof(*public_id)) != 0) {
		block = new_block(queue, frame);
		if (!block)
			return -ENOMEM;
		block->public_id = *public_id;
	}
	at = block->data + block->end;
	put_le32(at + AT_LENGTH, (uint32_t)n);
	put_le64(at + AT_SEQUENCE, 0);
	put_le64(at + AT_TIME, (uint64_t)time);
	memcpy(at + SPOOL_FRAME_SIZE, message, n);
	block->end += frame;
	queue->messages++;
	queue->bytes += frame;
	return 0;
}

struct spool_frame spool_block_frame(const struct spool_block *block, size_t offset)
{
	const uint8_t *at = block->data + offset;

	return (struct spool_frame){
		.stored = get_le32(at + AT_LENGTH),
		.length = get_le32(at + AT_LENGTH),
		.sequence = get_le64(at + AT_SEQUENCE),
		.time = (int64_t)get_le64(at + AT_TIME),
		.bytes_before = get_le64(at + AT_BYTES),
	};
}

size_t spool_block_frame_size(const struct spool_block *block, size_t offset)
{
	return SPOOL_FRAME_SIZE + (size_t)get_le32(block->data + offset + AT_LENGTH);
}

struct spool_block *spool_queue_unwritten(struct spool_queue *queue)
{
	struct spool_block *block = queue->head;

	while (block && block->written == block->end)
		block = block->next;
	return block;
}

/* Frees an empty block; one is kept for the next messages while others are under way. */
static void remove_block(struct spool_queue *queue, struct spool_block *previous, struct spool_block *block)
{
	if (previous)
		previous->next = block->next;
	else
		queue->head = block->next;
	if (queue->tail == block)
		queue->tail = previous;
	if (!queue->spare && queue->head && block->allocated == SPOOL_BLOCK_SIZE)
		queue->spare = block;
	else
		free(block);
	if (!queue->head) {
		free(queue->spare);
		queue->spare = NULL;
	}
}

uint64_t spool_queue_written(const struct spool_queue *queue)
{
	uint64_t written = 0;

	for (const struct spool_block *block = queue->head; block; block = block->next)
		written += block->written_messages;
	return written;
}

void spool_queue_count_unwritten(const struct spool_queue *queue, uint64_t *ret_messages, uint64_t *ret_bytes)
{
	*ret_messages = queue->messages - spool_queue_written(queue);
	*ret_bytes = 0;
	for (const struct spool_block *block = queue->head; block; block = block->next)
		*ret_bytes += block->end - block->written;
}

uint64_t spool_queue_settle(struct spool_queue *queue)
{
	struct spool_block *block = queue->head, *previous = NULL;
	uint64_t settled = 0;

	while (block) {
		struct spool_block *next = block->next;

		settled += block->written_messages;
		queue->messages -= block->written_messages;
		queue->bytes -= block->written - block->start;
		block->written_messages = 0;
		block->start = block->written;
		if (block->start == block->end && !block->busy)
			remove_block(queue, previous, block);
		else
			previous = block;
		block = next;
	}
	return settled;
}

void spool_queue_unwrite(struct spool_queue *queue)
{
	for (struct spool_block *block = queue->head; block; block = block->next) {
		block->written = block->start;
		block->written_messages = 0;
	}
}

bool spool_queue_drop(struct spool_queue *queue, struct spool_dropped *ret_dropped)
{
	struct spool_block *block = queue->head, *previous = NULL;
	struct spool_frame frame;

	while (block && (block->busy || block->written > block->start || block->start == block->end)) {
		previous = block;
		block = block->next;
	}
	if (!block)
		return false;
	frame = spool_block_frame(block, block->start);
	*ret_dropped = (struct spool_dropped){
		.bytes = frame.length,
		.time = frame.time,
		.assigned = block->start < block->assigned,
		.sequence = frame.sequence,
	};
	block->start += SPOOL_FRAME_SIZE + (size_t)frame.length;
	block->written = block->start;
	block->assigned = MAX(block->assigned, block->start);
	queue->messages--;
	queue->bytes -= SPOOL_FRAME_SIZE + (uint64_t)frame.length;
	if (block->start == block->end)
		remove_block(queue, previous, block);
	return true;
}
