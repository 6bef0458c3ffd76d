/* SPDX-License-Identifier: BSD-3-Clause */
/* A repaired spool is sound but for its gaps, and nothing else is missing. */

#include "common/spool/repair.h"
#include "tests/unit/common/spool/support.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

START_TEST(repair_leaves_gaps_and_nothing_else)
{
	struct spool_report report;
	struct spool_seen seen;

	spool_test_damage();
	/* Repaired, it is sound but for the gaps, and nothing else has gone. */
	report = spool_test_repair();
	ck_assert_uint_eq(report.damaged_regions, 2);
	report = spool_test_check();
	ck_assert_uint_eq(report.segments, 3);
	ck_assert_uint_eq(report.damaged_regions, 0);
	ck_assert_uint_eq(report.messages, 7);
	ck_assert_uint_eq(report.missing_messages, 3);
	ck_assert_uint_eq(report.missing_bytes, 42 + 43 + 46);
	ck_assert_uint_eq(spool_test_read().messages, 7);
	spool_test_open();
	spool_test_append(11, 50);
	spool_test_close();
	seen = spool_test_read();
	ck_assert_uint_eq(seen.messages, 8);
	ck_assert_uint_eq(seen.missing, 3);
}
END_TEST

START_TEST(leftovers_go)
{
	_cleanup_free_ char *temporary = path_join(spool_test.spool, SPOOL_TEMPORARY_NAME);
	struct stat st;

	spool_test_open();
	spool_test_append(1, 50);
	spool_test_close();
	text_write(temporary, "half a header");
	ck_assert_uint_eq(spool_test_check().leftovers, 1);
	ck_assert_uint_eq(spool_test_repair().leftovers, 1);
	ck_assert_uint_eq(spool_test_check().leftovers, 0);
	text_write(temporary, "half a header");
	spool_test_open();
	ck_assert_int_lt(stat(temporary, &st), 0);
	ck_assert_int_eq(errno, ENOENT);
	spool_test_holds(1, 1);
}
END_TEST

START_TEST(repair_leaves_a_spool_in_use_alone)
{
	_cleanup_close_ int fd = -1;
	struct spool_report report;

	spool_test_open();
	spool_test_append(1, 50);
	spool_test_sync();
	fd = open(spool_test.spool, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ck_assert_int_eq(spool_repair(fd, NULL, NULL, &report), -EWOULDBLOCK);
	ck_assert(spool_test_check().in_use);
	spool_test_close();
	ck_assert(!spool_test_check().in_use);
	ck_assert_int_eq(spool_repair(fd, NULL, NULL, &report), 0);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		repair_leaves_gaps_and_nothing_else,
		leftovers_go,
		repair_leaves_a_spool_in_use_alone,
	};

	return spool_test_run("spool repair", tests, ARRAY_SIZE(tests));
}
