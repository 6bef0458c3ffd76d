/* SPDX-License-Identifier: BSD-3-Clause */
/* The writer's ordinary life: append, sync, read while it grows, go on after a restart, one daemon at a time.
 */

#include "common/spool/directory.h"
#include "daemon/spool/recover.h"
#include "tests/unit/common/spool/support.h"

#include <errno.h>
#include <string.h>

START_TEST(messages_come_back_in_order)
{
	spool_test_open();
	for (uint64_t i = 1; i <= 1000; i++)
		spool_test_append(i, 32 + (size_t)i * 7 % 5000);
	spool_test_sync();
	spool_test_holds(1, 1000);

	struct spool_status status = spool_test_status();
	ck_assert_uint_eq(status.messages, 1000);
	ck_assert_uint_eq(status.first_sequence, 1);
	ck_assert_uint_eq(status.last_sequence, 1000);
	ck_assert_uint_eq(status.synced_sequence, 1000);
	ck_assert_int_eq(status.error, 0);
	ck_assert_int_eq(status.oldest, 1000000000);
	ck_assert_uint_eq(spool_test.stored, 1000);
}
END_TEST

START_TEST(a_reader_follows_the_writer)
{
	spool_test_open();
	_cleanup_(spool_reader_freep) struct spool_reader *reader = spool_test_reader(spool_test.spool);
	ck_assert_str_eq(spool_reader_id(reader), "");
	spool_test_expect_end(reader);
	/* Over several segments: an eighth of 8 MiB each. */
	for (uint64_t i = 1; i <= 50; i++) {
		spool_test_append(i, 100000);
		spool_test_sync();
		spool_test_expect(reader, i);
		spool_test_expect_end(reader);
	}
	ck_assert_uint_ge(spool_test_segments(), 5);
	ck_assert_str_eq(spool_reader_id(reader), spool_test_status().spool_id);
}
END_TEST

/* Reads what is there; messages are in order, none is missing. Returns the last number. */
static uint64_t read_on(struct spool_reader *reader, uint64_t last)
{
	struct spool_message message;
	struct spool_gap gap;
	int r;

	while ((r = spool_reader_next(reader, &message, &gap)) == SPOOL_READ_MESSAGE) {
		ck_assert_uint_eq(spool_test_number(&message), last + 1);
		last++;
	}
	ck_assert_int_eq(r, SPOOL_READ_END);
	return last;
}

START_TEST(a_reader_reads_what_is_being_written)
{
	uint64_t last = 0, n = 10000;

	spool_test.options.max_size = 64 << 20;
	spool_test.options.segment_size = 100000;
	spool_test.options.sync_bytes = 50000;
	spool_test.disk.short_writes = 5000;
	spool_test_open();
	_cleanup_(spool_reader_freep) struct spool_reader *reader = spool_test_reader(spool_test.spool);
	for (uint64_t i = 1; i <= n; i++) {
		spool_test_append(i, 32 + (size_t)i * 37 % 1500);
		/* Now and then a file that is not to be trusted any more. */
		if (i % 1000 == 0) {
			spool_test_disk_lock();
			spool_test.disk.sync_error = EIO;
			spool_test.disk.sync_failures = 1;
			spool_test_disk_unlock();
		}
		last = read_on(reader, last);
	}
	while (spool_writer_sync(spool_test.writer, 20000) < 0)
		;
	ck_assert_uint_eq(read_on(reader, last), n);
	ck_assert_uint_gt(spool_test.disk.failed_syncs, 0);
	spool_test_holds(1, n);
	ck_assert_uint_eq(spool_test_status().lost_messages, 0);
}
END_TEST

START_TEST(a_new_run_goes_on_in_a_new_segment)
{
	for (uint64_t run = 0; run < 4; run++) {
		spool_test_open();
		ck_assert_int_eq(spool_writer_last_time(spool_test.writer), (int64_t)run * 10 * 1000000000);
		for (uint64_t i = 1; i <= 10; i++)
			spool_test_append(run * 10 + i, 50);
		spool_test_close();
		ck_assert_uint_eq(spool_test_segments(), run + 1);
	}
	spool_test_open();
	ck_assert_uint_eq(spool_test_status().last_sequence, 40);
	spool_test_holds(1, 40);
}
END_TEST

START_TEST(another_boot_jumps)
{
	spool_test_open();
	spool_test_append(1, 50);
	spool_test_close();
	text_write(spool_test.boot_id, "fedcba98-89ab-cdef-0123-456789abcdef\n");
	spool_test_open();
	spool_test_append(2, 50);
	spool_test_sync();
	ck_assert_uint_eq(spool_test_status().last_sequence, 2 + SPOOL_SEQUENCE_JUMP);
	ck_assert_uint_eq(spool_test_status().messages, 2);
	/* That is no gap. */
	spool_test_holds(1, 2);
}
END_TEST

/* What a sink may have seen beyond the spool's end must not be seen again as something else. */
START_TEST(a_sink_that_may_be_ahead_makes_it_jump)
{
	static char sink[] = "a";
	struct spool_position position;

	spool_test.options.sinks = (char *const[]){sink, NULL};
	for (uint64_t i = 1, expected = 1; i <= 4; i++, expected++) {
		spool_test_open();
		spool_test_append(i, 50);
		spool_test_sync();
		ck_assert_uint_eq(spool_test_status().last_sequence, expected);
		position = spool_test_position(i);
		if (i == 3) {
			position.sequence++;
			expected += SPOOL_SEQUENCE_JUMP;
		}
		if (i > 1)
			spool_test_cursor(sink, &position);
		spool_test_close();
	}
	/* One whose state can't be read may be anywhere. */
	_cleanup_free_ char *directory = path_join(spool_test.upload, sink);
	_cleanup_free_ char *cursor = path_join(directory, "cursor");
	ck_assert_int_eq(truncate(cursor, 10), 0);
	spool_test_open();
	spool_test_append(5, 50);
	spool_test_sync();
	ck_assert_uint_eq(spool_test_status().last_sequence, 5 + 2 * SPOOL_SEQUENCE_JUMP);
	spool_test_close();
}
END_TEST

START_TEST(another_machine_begins_another_spool)
{
	char id[33];
	struct spool_message message;
	struct spool_gap gap;

	spool_test_open();
	memcpy(id, spool_test_status().spool_id, sizeof(id));
	spool_test_append(1, 50);
	spool_test_close();
	text_write(spool_test.machine_id, "1123456789abcdef0123456789abcdef\n");
	spool_test_open();
	ck_assert_str_ne(spool_test_status().spool_id, id);
	spool_test_append(2, 50);
	spool_test_sync();

	_cleanup_(spool_reader_freep) struct spool_reader *reader = spool_test_reader(spool_test.spool);
	spool_test_expect(reader, 1);
	ck_assert_str_eq(spool_reader_id(reader), id);
	ck_assert_int_eq(spool_reader_next(reader, &message, &gap), SPOOL_READ_NEW_SPOOL);
	ck_assert_str_eq(spool_reader_id(reader), spool_test_status().spool_id);
	spool_test_expect(reader, 2);
	spool_test_expect_end(reader);
}
END_TEST

START_TEST(one_daemon_at_a_time)
{
	struct spool_writer *second = NULL;
	char *reason = NULL;

	spool_test_open();
	ck_assert_int_eq(spool_writer_new(&spool_test.options, NULL, NULL, &second, &reason), -EWOULDBLOCK);
	ck_assert_ptr_null(second);
	ck_assert_ptr_nonnull(strstr(reason, "in use"));
	free(reason);
	spool_test_close();
	spool_test_open();
}
END_TEST

START_TEST(each_log_id_has_its_segments)
{
	struct log_id a = {.bytes = {1}}, b = {.bytes = {2}};
	struct spool_message message;
	struct spool_gap gap;

	spool_test_open();
	spool_writer_set_public_id(spool_test.writer, &a);
	spool_test_append(1, 50);
	spool_test_append(2, 50);
	spool_writer_set_public_id(spool_test.writer, &b);
	spool_test_append(3, 50);
	spool_test_sync();
	ck_assert_uint_eq(spool_test_segments(), 2);

	_cleanup_(spool_reader_freep) struct spool_reader *reader = spool_test_reader(spool_test.spool);
	for (uint64_t i = 1; i <= 3; i++) {
		ck_assert_int_eq(spool_reader_next(reader, &message, &gap), SPOOL_READ_MESSAGE);
		ck_assert_mem_eq(&message.public_id, i < 3 ? &a : &b, sizeof(a));
	}
}
END_TEST

START_TEST(always_synced_before_it_is_told)
{
	spool_test.options.sync = SPOOL_SYNC_ALWAYS;
	spool_test_open();
	spool_test_append(1, 50);
	spool_test_sync();
	ck_assert_uint_eq(spool_test_status().synced_sequence, 1);
}
END_TEST

START_TEST(what_can_never_fit_is_lost_and_told)
{
	size_t n = 9 << 20;
	char *large = spool_test_message(1, n);

	spool_test_open();
	ck_assert_int_eq(spool_writer_append(spool_test.writer, large, n, 7), -EMSGSIZE);
	ck_assert_int_eq(spool_writer_append(spool_test.writer, large, 0, 8), -EMSGSIZE);
	free(large);
	spool_test_append(1, 50);
	spool_test_sync();
	spool_test_holds(1, 1);
	spool_test_close();
	ck_assert_uint_eq(spool_test.lost.messages, 2);
	ck_assert_uint_eq(spool_test.lost.bytes, n);
	ck_assert_int_eq(spool_test.lost.from, 7);
	ck_assert_int_eq(spool_test.lost.to, 8);
}
END_TEST

START_TEST(seek_and_backlog)
{
	uint64_t messages, bytes;
	int64_t oldest;

	spool_test_open();
	for (uint64_t i = 1; i <= 100; i++)
		spool_test_append(i, 100000);
	spool_test_sync();
	/* A part is gone by the cap. */
	uint64_t first = spool_test_status().first_sequence;
	ck_assert_uint_gt(first, 1);

	_cleanup_(spool_reader_freep) struct spool_reader *reader = spool_test_reader(spool_test.spool);
	ck_assert_int_eq(spool_reader_backlog(reader, 0, &messages, &bytes, &oldest), 0);
	ck_assert_uint_eq(messages, 101 - first);
	ck_assert_uint_eq(bytes, (101 - first) * 100000);
	ck_assert_int_eq(oldest, (int64_t)first * 1000000000);
	for (uint64_t i = first; i <= 101; i++) {
		ck_assert_int_eq(spool_reader_backlog(reader, i, &messages, &bytes, &oldest), 0);
		ck_assert_uint_eq(messages, 101 - i);
		ck_assert_uint_eq(bytes, (101 - i) * 100000);
		ck_assert_int_eq(oldest, i == 101 ? 0 : (int64_t)i * 1000000000);
	}
	ck_assert_int_eq(spool_reader_backlog(reader, 90, &messages, &bytes, &oldest), 0);
	ck_assert_uint_eq(messages, 11);
	for (uint64_t i = 100; i >= first; i--) {
		ck_assert_int_eq(spool_reader_seek(reader, i), 0);
		spool_test_expect(reader, i);
	}
	ck_assert_int_eq(spool_reader_seek(reader, 1), 0);
	spool_test_expect(reader, first);
	ck_assert_int_eq(spool_reader_seek(reader, 101), 0);
	spool_test_expect_end(reader);
	spool_test_append(101, 50);
	spool_test_sync();
	spool_test_expect(reader, 101);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		messages_come_back_in_order,
		a_reader_follows_the_writer,
		a_reader_reads_what_is_being_written,
		a_new_run_goes_on_in_a_new_segment,
		another_boot_jumps,
		a_sink_that_may_be_ahead_makes_it_jump,
		another_machine_begins_another_spool,
		one_daemon_at_a_time,
		each_log_id_has_its_segments,
		always_synced_before_it_is_told,
		what_can_never_fit_is_lost_and_told,
		seek_and_backlog,
	};

	return spool_test_run("spool writer", tests, ARRAY_SIZE(tests));
}
