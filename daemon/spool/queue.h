/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * Messages that are not safely on disk yet, as frames in blocks: laid out so that a block goes to the file
 * with one write, and kept until a sync has succeeded, so that they can be written again elsewhere. The
 * writer locks it. A busy block is being written: nothing before its end is touched then.
 */

#include "common/log_id.h"
#include "common/spool/format.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* A MiB of messages and their headers. */
#define SPOOL_BLOCK_SIZE (((size_t)1 << 20) + ((size_t)64 << 10))

/* Offsets into data, at frame bounds: start <= written <= end, start <= assigned <= end. */
struct spool_block {
	struct spool_block *next;
	struct log_id public_id;
	size_t allocated;
	size_t start;	 /* frames before it are dropped or synced */
	size_t written;	 /* frames before it are in the open segment */
	size_t assigned; /* frames before it have been whole in a segment, so they keep their sequences */
	size_t end;
	uint64_t written_messages; /* between start and written */
	bool busy;
	uint8_t data[];
};

struct spool_queue {
	struct spool_block *head, *tail;
	uint64_t messages; /* all, written or not */
	uint64_t bytes;	   /* of their frames */
	struct spool_block *spare;
};

/* A dropped message. */
struct spool_dropped {
	uint64_t bytes; /* of the message */
	int64_t time;
	bool assigned; /* it had a sequence: readers see the gap */
	uint64_t sequence;
};

void spool_queue_deinit(struct spool_queue *queue);
/* Copies a message. 0 or -ENOMEM. */
int spool_queue_append(struct spool_queue *queue, const struct log_id *public_id, const char *message,
		       size_t n, int64_t time);
/* The first block with something to write; NULL when there is none. */
struct spool_block *spool_queue_unwritten(struct spool_queue *queue);
/* Messages that are written and not synced. */
uint64_t spool_queue_written(const struct spool_queue *queue);
/* Messages that are not written, and the bytes of their frames. */
void spool_queue_count_unwritten(const struct spool_queue *queue, uint64_t *ret_messages,
				 uint64_t *ret_bytes);
/* What was written is synced: forgets it, and returns how many messages that was. */
uint64_t spool_queue_settle(struct spool_queue *queue);
/* What was written can't be trusted: it will be written again. */
void spool_queue_unwrite(struct spool_queue *queue);
/* Drops the oldest message that is neither written nor being written; false when there is none. */
bool spool_queue_drop(struct spool_queue *queue, struct spool_dropped *ret_dropped);

/* The size of the frame at an offset of a block, with its header. */
size_t spool_block_frame_size(const struct spool_block *block, size_t offset);
/* Length and time of an appended frame; its sequence and bytes before, too, if it has them. */
struct spool_frame spool_block_frame(const struct spool_block *block, size_t offset);
