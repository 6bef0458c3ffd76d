/* SPDX-License-Identifier: BSD-3-Clause */
/* What is appended is written, synced and reported; one daemon at a time; a segment for each log ID. */

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

/* Messages stay in memory until they are synced. The next ones wait for that, if they would be too many. */
START_TEST(little_waits_for_a_disk_that_works)
{
	enum { SIZE = 128 << 10, MESSAGES = 128, WAIT_MAX = 3 << 20 };

	spool_test.options.max_size = 64 << 20;
	spool_test_open();
	/* One that alone is more, too. */
	spool_test_append(1, WAIT_MAX + SIZE);
	for (uint64_t i = 2; i <= MESSAGES; i++) {
		uint64_t waiting;

		spool_test_append(i, SIZE);
		waiting = i - spool_test_status().synced_sequence;
		ck_assert_uint_le(waiting * (SIZE + SPOOL_FRAME_SIZE), WAIT_MAX);
	}
	spool_test_sync();
	spool_test_holds(1, MESSAGES);
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

int main(void)
{
	const TTest *const tests[] = {
		messages_come_back_in_order,	     one_daemon_at_a_time,
		each_log_id_has_its_segments,	     always_synced_before_it_is_told,
		what_can_never_fit_is_lost_and_told, little_waits_for_a_disk_that_works,
	};

	return spool_test_run("spool writer", tests, ARRAY_SIZE(tests));
}
