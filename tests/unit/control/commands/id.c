/* SPDX-License-Identifier: BSD-3-Clause */
/* netlogctl id. */

#include "control/commands/commands.h"

#include "tests/unit/control/run_line.h"
#include "tests/unit/scratch.h"

START_TEST(test_id)
{
	char directory[SCRATCH_MAX];
	_cleanup_free_ char *file = NULL, *make = NULL, *show = NULL;
	struct run made, again, shown, none;

	scratch_make(directory);
	ck_assert_int_gt(asprintf(&file, "%s/id", directory), 0);
	ck_assert_int_gt(asprintf(&make, "id new %s", file), 0);
	ck_assert_int_gt(asprintf(&show, "id public %s", file), 0);
	none = run_line(NULL, show, NULL);
	made = run_line(NULL, make, NULL);
	again = run_line(NULL, make, NULL);
	shown = run_line(NULL, show, NULL);
	ck_assert_int_eq(none.status, CTL_FAILED);
	ck_assert_int_eq(made.status, CTL_OK);
	ck_assert_uint_eq(strspn(made.out, "0123456789abcdef"), 64);
	ck_assert_str_eq(made.out + 64, "\n");
	ck_assert_int_eq(again.status, CTL_FAILED);
	assert_contains(again.err, "already exists");
	ck_assert_int_eq(shown.status, CTL_OK);
	ck_assert_str_eq(shown.out, made.out);
	run_deinit(&none);
	run_deinit(&made);
	run_deinit(&again);
	run_deinit(&shown);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {test_id};

	return run_suite("id", tests, ARRAY_SIZE(tests));
}
