/* SPDX-License-Identifier: BSD-3-Clause */
/* What is removed and what stays: the cap, the sinks' cursors, retain; and what readers miss. */

#include "common/spool/cursor.h"
#include "common/time_text.h"
#include "tests/unit/common/spool/support.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

/* Bytes of all regular files of the spool. */
static uint64_t disk_use(void)
{
	uint64_t bytes = 0;
	_cleanup_free_ char *reserve = path_join(spool_test.spool, "reserve");
	struct stat st;

	for (size_t i = 0, n = spool_test_segments(); i < n; i++) {
		_cleanup_free_ char *path = spool_test_segment(i);

		ck_assert_int_eq(stat(path, &st), 0);
		bytes += (uint64_t)st.st_size;
	}
	ck_assert_int_eq(stat(reserve, &st), 0);
	return bytes + (uint64_t)st.st_size;
}

START_TEST(cap_with_losses_told_exactly)
{
	struct spool_position position;
	struct spool_message message;
	struct spool_gap gap;

	spool_test.options.max_size = 1 << 20;
	spool_test_open();
	for (uint64_t i = 1; i <= 5; i++)
		spool_test_append(i, 2000);
	spool_test_sync();
	position = spool_test_position(3);
	for (uint64_t i = 6; i <= 2000; i++) {
		spool_test_append(i, 1000 + (size_t)i);
		if (i % 100 == 0) {
			spool_test_sync();
			ck_assert_uint_le(disk_use(), 1 << 20);
		}
	}
	struct spool_status status = spool_test_status();
	uint64_t first = status.first_sequence, bytes = 2 * 2000;
	ck_assert_uint_gt(first, 1000);
	ck_assert_uint_eq(status.removed_messages, first - 1);
	for (uint64_t i = 6; i < first; i++)
		bytes += 1000 + i;
	ck_assert_uint_eq(status.removed_bytes, bytes + 3 * 2000);
	ck_assert_uint_eq(status.messages, 2001 - first);
	/* It is used well. */
	ck_assert_uint_ge(status.bytes, (1 << 20) * 3 / 4);
	ck_assert_uint_ge(spool_test_segments(), 7);

	_cleanup_(spool_reader_freep) struct spool_reader *reader = spool_test_reader(spool_test.spool);
	ck_assert_int_eq(spool_reader_seek_position(reader, &position), 0);
	ck_assert_int_eq(spool_reader_next(reader, &message, &gap), SPOOL_READ_GAP);
	ck_assert_uint_eq(gap.messages, first - 4);
	ck_assert_uint_eq(gap.bytes, bytes);
	ck_assert_int_eq(gap.from, 3 * NSEC_PER_SEC);
	ck_assert_int_eq(gap.to, (int64_t)first * NSEC_PER_SEC);
	ck_assert(!gap.damaged);
	ck_assert_uint_eq(gap.position.sequence, first - 1);
	spool_test_expect(reader, first);
	/* A cursor that was written after the gap was reported does not report it again. */
	ck_assert_int_eq(spool_reader_seek_position(reader, &gap.position), 0);
	spool_test_expect(reader, first);
	/* A new sink begins with the oldest. */
	ck_assert_int_eq(spool_reader_seek_position(reader, &(struct spool_position){}), 0);
	for (uint64_t i = first; i <= 2000; i++)
		spool_test_expect(reader, i);
	spool_test_expect_end(reader);
}
END_TEST

/* Of a segment that a sink had in part, what it had is not counted as if it had none of it. */
START_TEST(what_the_cap_takes_is_counted_from_the_cursor)
{
	struct spool_status status = {};
	struct spool_position position;
	uint64_t lacks = 0;

	spool_test.options.max_size = 1 << 20;
	spool_test.options.sinks = (char *const[]){spool_test_sinks[0], NULL};
	spool_test_open();
	for (uint64_t i = 1; i <= 40; i++)
		spool_test_append(i, 2000);
	spool_test_sync();
	position = spool_test_position(30);
	spool_test_cursor(spool_test_sinks[0], &position);
	for (uint64_t i = 41; i <= 2000 && status.removed_messages == 0; i++) {
		spool_test_append(i, 2000);
		spool_test_sync();
		status = spool_test_status();
	}
	/* The first segment, which holds the message of the cursor. */
	ck_assert_uint_gt(status.first_sequence, 31);
	ck_assert_uint_eq(status.removed_messages, status.first_sequence - 1);
	lacks = status.removed_messages - 30;
	ck_assert_uint_eq(status.undelivered_messages, lacks);
	ck_assert_uint_eq(status.undelivered_bytes, lacks * 2000);
	/* All of the next one. */
	for (uint64_t i = status.last_sequence + 1, removed = status.removed_messages;
	     i <= 4000 && status.removed_messages == removed; i++) {
		spool_test_append(i, 2000);
		spool_test_sync();
		status = spool_test_status();
	}
	lacks = status.removed_messages - 30;
	ck_assert_uint_eq(status.undelivered_messages, lacks);
	ck_assert_uint_eq(status.undelivered_bytes, lacks * 2000);
}
END_TEST

START_TEST(a_smaller_cap_acts_at_once)
{
	spool_test_open();
	for (uint64_t i = 1; i <= 60; i++)
		spool_test_append(i, 100000);
	spool_test_sync();
	ck_assert_uint_eq(spool_test_status().messages, 60);
	spool_test.options.max_size = 2 << 20;
	ck_assert_int_eq(spool_writer_reconfigure(spool_test.writer, &spool_test.options), 0);
	spool_test_append(61, 50);
	spool_test_sync();
	ck_assert_uint_le(disk_use(), 2 << 20);
	uint64_t first = spool_test_status().first_sequence;
	ck_assert_uint_gt(first, 40);
	spool_test_holds(first, 61);
}
END_TEST

START_TEST(the_reserve_shrinks_with_the_cap)
{
	/* A real disk, for real blocks. */
	spool_test.options.files = NULL;
	spool_test.options.max_size = 512 << 20;
	spool_test_open();
	spool_test_append(1, 50);
	spool_test_sync();
	spool_test.options.max_size = 1 << 20;
	ck_assert_int_eq(spool_writer_reconfigure(spool_test.writer, &spool_test.options), 0);
	spool_test_append(2, 50);
	spool_test_sync();
	ck_assert_uint_le(spool_test_du(), 1 << 20);
	spool_test_close();
	/* Also when it was left by a run with another cap. */
	spool_test.options.max_size = 512 << 20;
	spool_test_open();
	spool_test_close();
	spool_test.options.max_size = 1 << 20;
	spool_test_open();
	ck_assert_uint_le(spool_test_du(), 1 << 20);
}
END_TEST

/* Many short runs: each has a segment of its own, which takes a block however little it holds. */
START_TEST(many_small_segments_keep_the_cap)
{
	spool_test.options.max_size = 1 << 20;
	for (uint64_t i = 1; i <= 400; i++) {
		spool_test_open();
		spool_test_append(i, 100);
		spool_test_close();
	}
	ck_assert_uint_le(spool_test_du(), 1 << 20);
	ck_assert_uint_ge(spool_test_segments(), 150);
}
END_TEST

START_TEST(delivered_segments_go)
{
	struct spool_position position;

	spool_test.options.sinks = spool_test_sinks;
	spool_test.options.segment_size = 10000;
	spool_test_open();
	/* Four messages a segment. */
	for (uint64_t i = 1; i <= 40; i++)
		spool_test_append(i, 2400);
	spool_test_sync();
	ck_assert_uint_eq(spool_test_segments(), 10);
	position = spool_test_position(40);
	spool_test_cursor("a", &position);
	/* The other sink has nothing yet. */
	spool_test_prune_to(11);
	position = spool_test_position(7);
	spool_test_cursor("b", &position);
	spool_test_prune_to(10);
	position = spool_test_position(8);
	spool_test_cursor("b", &position);
	spool_test_prune_to(9);
	ck_assert_uint_eq(spool_test_status().first_sequence, 9);
	ck_assert_uint_eq(spool_test_status().removed_messages, 0);
	/* A cursor in another spool says nothing about this one. */
	position = spool_test_position(40);
	position.spool_id.bytes[0] ^= 1;
	spool_test_cursor("b", &position);
	spool_test_prune_to(9);
	/* A damaged cursor neither. */
	_cleanup_free_ char *path = path_join(spool_test.upload, "b/cursor");
	text_write(path, "NLCURSOR");
	spool_test_prune_to(9);
	/* A removed sink is not waited for. */
	spool_test.options.sinks = (char *const[]){spool_test_sinks[0], NULL};
	ck_assert_int_eq(spool_writer_reconfigure(spool_test.writer, &spool_test.options), 0);
	spool_test_prune_to(1);
}
END_TEST

START_TEST(the_last_segment_stays)
{
	struct spool_position position;
	char id[33];

	spool_test.options.sinks = spool_test_sinks;
	spool_test_open();
	spool_test_append(1, 50);
	spool_test_sync();
	memcpy(id, spool_test_status().spool_id, sizeof(id));
	position = spool_test_position(1);
	spool_test_cursor("a", &position);
	spool_test_cursor("b", &position);
	for (int i = 0; i < 3; i++) {
		spool_test_close();
		spool_test_open();
		ck_assert_uint_eq(spool_test_segments(), 1);
	}
	/* It is the same spool, so the cursor's position still holds. */
	ck_assert_str_eq(spool_test_status().spool_id, id);
	spool_test_append(2, 50);
	spool_test_sync();
	_cleanup_(spool_reader_freep) struct spool_reader *reader = spool_test_reader(spool_test.spool);
	ck_assert_int_eq(spool_reader_seek_position(reader, &position), 0);
	spool_test_expect(reader, 2);
}
END_TEST

START_TEST(retained_as_long_as_asked)
{
	struct spool_position position;

	spool_test.options.sinks = spool_test_sinks;
	spool_test.options.segment_size = 10000;
	spool_test.options.retain = 100 * NSEC_PER_SEC;
	spool_test_open();
	for (uint64_t i = 1; i <= 40; i++)
		spool_test_append(i, 2400);
	spool_test_sync();
	position = spool_test_position(40);
	spool_test_cursor("a", &position);
	spool_test_cursor("b", &position);
	spool_test_disk_lock();
	spool_test.disk.now = 103 * NSEC_PER_SEC;
	spool_test_disk_unlock();
	spool_test_prune_to(11);
	spool_test_disk_lock();
	spool_test.disk.now = 112 * NSEC_PER_SEC;
	spool_test_disk_unlock();
	/* Those up to 12 s: three. */
	spool_test_prune_to(8);
	ck_assert_uint_eq(spool_test_status().first_sequence, 13);
}
END_TEST

START_TEST(a_full_disk_takes_what_is_only_retained)
{
	struct spool_position position;

	spool_test.options.sinks = spool_test_sinks;
	spool_test.options.segment_size = 10000;
	spool_test.options.retain = 100 * NSEC_PER_SEC;
	spool_test_open();
	for (uint64_t i = 1; i <= 40; i++)
		spool_test_append(i, 2400);
	spool_test_sync();
	position = spool_test_position(8);
	spool_test_cursor("a", &position);
	spool_test_cursor("b", &position);
	spool_test_disk_lock();
	spool_test.disk.limited = true;
	spool_test.disk.room = 0;
	spool_test_disk_unlock();
	for (uint64_t i = 41; i <= 47; i++)
		spool_test_append(i, 2400);
	/* Seven frames and two headers more than there is room for, and two segments are delivered. */
	spool_test_sync();
	ck_assert_uint_eq(spool_test_status().first_sequence, 9);
	spool_test_holds(9, 47);
	/* What is not delivered stays, whatever comes. */
	for (uint64_t i = 48; i <= 58; i++)
		spool_test_append(i, 2400);
	spool_test_await_error(-ENOSPC);
	ck_assert_uint_eq(spool_test_status().first_sequence, 9);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		cap_with_losses_told_exactly,
		what_the_cap_takes_is_counted_from_the_cursor,
		a_smaller_cap_acts_at_once,
		the_reserve_shrinks_with_the_cap,
		many_small_segments_keep_the_cap,
		delivered_segments_go,
		the_last_segment_stays,
		retained_as_long_as_asked,
		a_full_disk_takes_what_is_only_retained,
	};

	return spool_test_run("spool prune", tests, ARRAY_SIZE(tests));
}
