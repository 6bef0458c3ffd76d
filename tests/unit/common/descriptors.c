/* SPDX-License-Identifier: BSD-3-Clause */
/* The limit is this process's own: each test runs in a child of its own (check's default). */

#include "common/descriptors.h"

#include <check.h>
#include <stdlib.h>
#include <sys/resource.h>

static void limit(rlim_t soft, rlim_t hard)
{
	struct rlimit limit = {soft, hard};

	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

START_TEST(test_the_limit_is_raised)
{
	struct rlimit now;

	limit(64, 256);
	ck_assert_int_eq(descriptors_raise_limit(), 0);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &now), 0);
	ck_assert_uint_eq(now.rlim_cur, 256);
	ck_assert_uint_eq(now.rlim_max, 256);
	/* What is as high as it can be stays. */
	ck_assert_int_eq(descriptors_raise_limit(), 0);
}
END_TEST

START_TEST(test_the_last_ones_are_reserved)
{
	limit(64, 64);
	ck_assert(!descriptor_is_reserved(0));
	ck_assert(!descriptor_is_reserved(64 - DESCRIPTORS_RESERVED - 1));
	ck_assert(descriptor_is_reserved(64 - DESCRIPTORS_RESERVED));
	ck_assert(descriptor_is_reserved(63));
	/* Lowered while they are open. */
	limit(10, 64);
	ck_assert(descriptor_is_reserved(40));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("descriptors");
	TCase *tests = tcase_create("limit");
	SRunner *runner;
	int failed;

	tcase_add_test(tests, test_the_limit_is_raised);
	tcase_add_test(tests, test_the_last_ones_are_reserved);
	suite_add_tcase(suite, tests);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
