/* SPDX-License-Identifier: BSD-3-Clause */
/* What is kept of damage: once, within the cap, and also of segments that are removed. */

#include "common/cleanup.h"
#include "tests/unit/common/spool/support.h"

#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

START_TEST(damaged_parts_are_set_aside_once)
{
	spool_test_damage();
	/* The daemon counts them and puts them aside, once. */
	for (int i = 0; i < 2; i++) {
		_cleanup_free_ char *name =
			path_join(spool_test.spool, "damaged/0000000000000001-0000.seg.341");
		struct stat st;

		spool_test_open();
		ck_assert_uint_eq(spool_test_status().damaged_frames, 2);
		ck_assert_uint_eq(spool_test_status().messages, 10);
		spool_test_close();
		ck_assert_int_eq(stat(name, &st), 0);
		ck_assert_int_eq(st.st_size, 2 * SPOOL_FRAME_SIZE + 42 + 43);
	}
}
END_TEST

/* What is kept of damage counts, and is the first to go. */
START_TEST(damaged_parts_keep_the_cap)
{
	spool_test.options.max_size = 1 << 20;
	for (uint64_t run = 0; run < 40; run++) {
		_cleanup_free_ char *path = NULL;
		FILE *file;

		spool_test_open();
		for (uint64_t i = 1; i <= 3; i++)
			spool_test_append(run * 3 + i, 30000);
		spool_test_close();
		path = spool_test_segment(spool_test_segments() - 1);
		file = fopen(path, "r+e");
		ck_assert_ptr_nonnull(file);
		/* Without a header it is set aside whole, and with a damaged frame in part. */
		ck_assert_int_eq(fseek(file, run % 2 ? 20 : SPOOL_HEADER_SIZE + 100, SEEK_SET), 0);
		ck_assert_int_ne(fputc('!', file), EOF);
		ck_assert_int_eq(fclose(file), 0);
	}
	_cleanup_free_ char *leftover =
		path_join(spool_test.spool, "damaged/0000000000000001-0000.seg.164.tmp-00112233aabbccdd");
	text_write(leftover, "{");
	spool_test_open();
	ck_assert_int_eq(access(leftover, F_OK), -1);
	spool_test_append(199, 50);
	spool_test_sync();
	ck_assert_uint_le(spool_test_du(), 1 << 20);
	for (uint64_t i = 200; i < 230; i++)
		spool_test_append(i, 30000);
	spool_test_sync();
	ck_assert_uint_le(spool_test_du(), 1 << 20);
	ck_assert_uint_ge(spool_test_status().messages, 24);
}
END_TEST

/* In a segment that was not read at the start: counted and kept when it goes. */
START_TEST(damage_is_kept_when_its_segment_goes)
{
	struct spool_position position;

	spool_test.options.sinks = spool_test_sinks;
	spool_test.options.segment_size = 10000;
	spool_test_open();
	for (uint64_t i = 1; i <= 12; i++)
		spool_test_append(i, 2400);
	spool_test_close();
	_cleanup_free_ char *path = spool_test_segment(0);
	FILE *file = fopen(path, "r+e");
	ck_assert_int_eq(fseek(file, SPOOL_HEADER_SIZE + SPOOL_FRAME_SIZE + 2400 + 99, SEEK_SET), 0);
	ck_assert_int_ne(fputc('!', file), EOF);
	ck_assert_int_eq(fclose(file), 0);
	spool_test_open();
	ck_assert_uint_eq(spool_test_status().damaged_frames, 0);
	position = spool_test_position(12);
	spool_test_cursor("a", &position);
	spool_test_cursor("b", &position);
	spool_test_prune_to(2);
	ck_assert_uint_eq(spool_test_status().damaged_frames, 1);
	_cleanup_free_ char *kept = path_join(spool_test.spool, "damaged/0000000000000001-0000.seg.2612");
	struct stat st;
	ck_assert_int_eq(stat(kept, &st), 0);
	ck_assert_int_eq(st.st_size, SPOOL_FRAME_SIZE + 2400);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		damaged_parts_are_set_aside_once,
		damaged_parts_keep_the_cap,
		damage_is_kept_when_its_segment_goes,
	};

	return spool_test_run("spool damaged", tests, ARRAY_SIZE(tests));
}
