/* SPDX-License-Identifier: BSD-3-Clause */
/* What a check finds and counts, and that readers miss the same. */

#include "tests/unit/common/spool/support.h"

#include <fcntl.h>

START_TEST(damage_in_the_middle_is_told_and_counted)
{
	struct spool_report report;
	struct spool_seen seen;

	spool_test_damage();
	seen = spool_test_read();
	ck_assert_uint_eq(seen.messages, 7);
	ck_assert_uint_eq(seen.missing, 3);
	ck_assert_uint_eq(seen.missing_bytes, 42 + 43 + 46);
	ck_assert(seen.damaged);
	report = spool_test_check();
	ck_assert(!spool_report_is_sound(&report));
	ck_assert_uint_eq(report.damaged_regions, 2);
	ck_assert_uint_eq(report.damaged_bytes, 3 * SPOOL_FRAME_SIZE + 42 + 43 + 46);
	ck_assert_uint_eq(report.gaps, 2);
	ck_assert_uint_eq(report.missing_messages, 3);
	ck_assert_uint_eq(report.missing_bytes, 42 + 43 + 46);
	ck_assert_uint_eq(report.messages, 7);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		damage_in_the_middle_is_told_and_counted,
	};

	return spool_test_run("spool check", tests, ARRAY_SIZE(tests));
}
