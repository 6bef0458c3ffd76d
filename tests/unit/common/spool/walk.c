/* SPDX-License-Identifier: BSD-3-Clause */
/* Segments that are removed and spools that are replaced under a reader. */

#include "tests/unit/common/spool/support.h"

#include <unistd.h>

START_TEST(a_segment_removed_under_a_reader)
{
	spool_test.options.segment_size = 10000;
	spool_test_open();
	for (uint64_t i = 1; i <= 12; i++)
		spool_test_append(i, 2400);
	spool_test_sync();
	_cleanup_(spool_reader_freep) struct spool_reader *reader = spool_test_reader(spool_test.spool);
	spool_test_expect(reader, 1);
	/* The one it is in, and the next. */
	for (int i = 0; i < 2; i++) {
		_cleanup_free_ char *path = spool_test_segment(0);

		ck_assert_int_eq(unlink(path), 0);
	}
	for (uint64_t i = 2; i <= 4; i++)
		spool_test_expect(reader, i);
	struct spool_message message;
	struct spool_gap gap;
	ck_assert_int_eq(spool_reader_next(reader, &message, &gap), SPOOL_READ_GAP);
	ck_assert_uint_eq(gap.messages, 4);
	ck_assert_uint_eq(gap.bytes, 4 * 2400);
	for (uint64_t i = 9; i <= 12; i++)
		spool_test_expect(reader, i);
	spool_test_expect_end(reader);
}
END_TEST

START_TEST(a_spool_replaced_under_a_reader)
{
	struct spool_message message;
	struct spool_position position;
	struct spool_gap gap;

	spool_test_open();
	for (uint64_t i = 1; i <= 9; i++)
		spool_test_append(i, 50);
	spool_test_sync();
	position = spool_test_position(9);
	_cleanup_(spool_reader_freep) struct spool_reader *reader = spool_test_reader(spool_test.spool);
	for (uint64_t i = 1; i <= 9; i++)
		spool_test_expect(reader, i);
	spool_test_close();
	_cleanup_free_ char *path = spool_test_segment(0);
	ck_assert_int_eq(unlink(path), 0);
	spool_test_expect_end(reader);
	spool_test_open();
	spool_test_append(1, 60);
	spool_test_append(2, 60);
	spool_test_sync();
	/* The same file name, but not the same file. */
	_cleanup_(spool_reader_freep) struct spool_reader *late = spool_test_reader(spool_test.spool);
	ck_assert_int_eq(spool_reader_next(reader, &message, &gap), SPOOL_READ_NEW_SPOOL);
	spool_test_expect(reader, 1);
	spool_test_expect(reader, 2);
	spool_test_expect_end(reader);
	/* And known by a cursor's spool id. */
	spool_reader_free(reader);
	reader = TAKE_PTR(late);
	ck_assert_int_eq(spool_reader_seek_position(reader, &position), 0);
	ck_assert_int_eq(spool_reader_next(reader, &message, &gap), SPOOL_READ_NEW_SPOOL);
	ck_assert_str_eq(spool_reader_id(reader), spool_test_status().spool_id);
	spool_test_expect(reader, 1);
	spool_test_expect(reader, 2);
	spool_test_expect_end(reader);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		a_segment_removed_under_a_reader,
		a_spool_replaced_under_a_reader,
	};

	return spool_test_run("spool walk", tests, ARRAY_SIZE(tests));
}
