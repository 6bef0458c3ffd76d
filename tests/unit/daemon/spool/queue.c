/* SPDX-License-Identifier: BSD-3-Clause */
/* Messages stay until they are synced, can be written again, and are dropped oldest first. */

#include "daemon/spool/queue.h"

#include "tests/unit/common/spool/support.h"

#include <string.h>

static void append(struct spool_queue *queue, uint8_t id, size_t n, int64_t time)
{
	char message[100];

	memset(message, 'm', sizeof(message));
	ck_assert_int_eq(spool_queue_append(queue, &(struct log_id){.bytes = {id}}, message, n, time), 0);
}

/* As the writer does once these frames are in the file. */
static void written(struct spool_block *block, uint64_t messages)
{
	for (uint64_t i = 0; i < messages; i++)
		block->written += spool_block_frame_size(block, block->written);
	block->assigned = MAX(block->assigned, block->written);
	block->written_messages += messages;
}

START_TEST(forgotten_when_synced)
{
	struct spool_queue queue = {};
	struct spool_block *block;

	ck_assert_ptr_null(spool_queue_unwritten(&queue));
	for (int64_t i = 1; i <= 3; i++)
		append(&queue, 1, 10 * (size_t)i, i);
	ck_assert_uint_eq(queue.messages, 3);
	ck_assert_uint_eq(queue.bytes, 3 * SPOOL_FRAME_SIZE + 60);
	block = spool_queue_unwritten(&queue);
	ck_assert_uint_eq(spool_block_frame(block, block->written).length, 10);
	ck_assert_int_eq(spool_block_frame(block, block->written).time, 1);
	written(block, 2);
	ck_assert_uint_eq(spool_queue_settle(&queue), 2);
	ck_assert_uint_eq(queue.messages, 1);
	ck_assert_uint_eq(queue.bytes, SPOOL_FRAME_SIZE + 30);
	ck_assert_uint_eq(spool_queue_settle(&queue), 0);
	ck_assert_ptr_eq(spool_queue_unwritten(&queue), block);
	ck_assert_uint_eq(spool_block_frame(block, block->written).length, 30);
	written(block, 1);
	ck_assert_uint_eq(spool_queue_settle(&queue), 1);
	ck_assert_uint_eq(queue.bytes, 0);
	ck_assert_ptr_null(queue.head);
	spool_queue_deinit(&queue);
}
END_TEST

START_TEST(written_again_from_the_last_sync_on)
{
	struct spool_queue queue = {};
	struct spool_block *block;

	for (int64_t i = 1; i <= 4; i++)
		append(&queue, 1, 10 * (size_t)i, i);
	block = spool_queue_unwritten(&queue);
	written(block, 1);
	ck_assert_uint_eq(spool_queue_settle(&queue), 1);
	written(block, 2);
	spool_queue_unwrite(&queue);
	ck_assert_uint_eq(spool_queue_settle(&queue), 0);
	ck_assert_uint_eq(queue.messages, 3);
	ck_assert_int_eq(spool_block_frame(block, block->written).time, 2);
	/* Those that were in the file keep their sequences. */
	ck_assert_uint_eq(block->assigned, 3 * SPOOL_FRAME_SIZE + 60);
	spool_queue_deinit(&queue);
}
END_TEST

START_TEST(each_log_id_has_its_blocks)
{
	struct spool_queue queue = {};

	append(&queue, 1, 10, 1);
	append(&queue, 2, 10, 2);
	append(&queue, 2, 10, 3);
	ck_assert_ptr_ne(queue.head, queue.tail);
	ck_assert_uint_eq(queue.head->public_id.bytes[0], 1);
	ck_assert_uint_eq(queue.tail->public_id.bytes[0], 2);
	ck_assert_uint_eq(queue.tail->end, 2 * (SPOOL_FRAME_SIZE + 10));
	written(queue.head, 1);
	ck_assert_ptr_eq(spool_queue_unwritten(&queue), queue.tail);
	spool_queue_deinit(&queue);
}
END_TEST

START_TEST(the_oldest_goes_unless_it_is_being_written)
{
	struct spool_queue queue = {};
	struct spool_dropped dropped;

	append(&queue, 1, 10, 1);
	append(&queue, 1, 20, 2);
	append(&queue, 2, 30, 3);
	/* The first has been in a file that was abandoned: readers may have seen it. */
	written(queue.head, 1);
	spool_queue_unwrite(&queue);
	ck_assert(spool_queue_drop(&queue, &dropped));
	ck_assert_uint_eq(dropped.bytes, 10);
	ck_assert_int_eq(dropped.time, 1);
	ck_assert(dropped.assigned);
	ck_assert_uint_eq(queue.messages, 2);
	ck_assert_uint_eq(queue.bytes, 2 * SPOOL_FRAME_SIZE + 50);
	queue.head->busy = true;
	ck_assert(spool_queue_drop(&queue, &dropped));
	ck_assert_uint_eq(dropped.bytes, 30);
	ck_assert(!dropped.assigned);
	ck_assert_ptr_eq(queue.head, queue.tail);
	ck_assert(!spool_queue_drop(&queue, &dropped));
	queue.head->busy = false;
	ck_assert(spool_queue_drop(&queue, &dropped));
	ck_assert_uint_eq(dropped.bytes, 20);
	ck_assert_uint_eq(queue.messages, 0);
	ck_assert_uint_eq(queue.bytes, 0);
	ck_assert(!spool_queue_drop(&queue, &dropped));
	spool_queue_deinit(&queue);
}
END_TEST

START_TEST(what_is_only_in_memory)
{
	struct spool_queue queue = {};
	uint64_t messages, bytes;

	for (uint8_t i = 1; i <= 4; i++)
		append(&queue, i < 3 ? 1 : 2, 10 * i, i);
	spool_queue_count_unwritten(&queue, &messages, &bytes);
	ck_assert_uint_eq(messages, 4);
	ck_assert_uint_eq(bytes, 10 + 20 + 30 + 40 + 4 * SPOOL_FRAME_SIZE);
	written(queue.head, 1);
	spool_queue_count_unwritten(&queue, &messages, &bytes);
	ck_assert_uint_eq(messages, 3);
	ck_assert_uint_eq(bytes, 20 + 30 + 40 + 3 * SPOOL_FRAME_SIZE);
	ck_assert_uint_eq(spool_queue_settle(&queue), 1);
	spool_queue_count_unwritten(&queue, &messages, &bytes);
	ck_assert_uint_eq(messages, 3);
	ck_assert_uint_eq(bytes, 20 + 30 + 40 + 3 * SPOOL_FRAME_SIZE);
	spool_queue_deinit(&queue);
}
END_TEST

START_TEST(a_message_larger_than_a_block)
{
	struct spool_queue queue = {};
	_cleanup_free_ char *large = calloc(1, SPOOL_BLOCK_SIZE);

	append(&queue, 1, 10, 1);
	ck_assert_int_eq(
		spool_queue_append(&queue, &(struct log_id){.bytes = {1}}, large, SPOOL_BLOCK_SIZE, 2), 0);
	ck_assert_ptr_ne(queue.head, queue.tail);
	ck_assert_uint_eq(spool_block_frame(queue.tail, 0).length, SPOOL_BLOCK_SIZE);
	ck_assert_uint_eq(queue.bytes, 2 * SPOOL_FRAME_SIZE + 10 + SPOOL_BLOCK_SIZE);
	spool_queue_deinit(&queue);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		forgotten_when_synced,	       written_again_from_the_last_sync_on,
		each_log_id_has_its_blocks,    the_oldest_goes_unless_it_is_being_written,
		a_message_larger_than_a_block, what_is_only_in_memory,
	};

	return spool_test_run("spool queue", tests, ARRAY_SIZE(tests));
}
