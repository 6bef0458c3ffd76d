/* SPDX-License-Identifier: BSD-3-Clause */
/* Waiting between tries, with a known clock and known chance. */

#include "daemon/upload/sink/backoff.h"

#include <check.h>

#define SECOND INT64_C(1000000000)

static uint64_t chance;

static int64_t no_time(void *userdata)
{
	(void)userdata;
	return 0;
}

static uint64_t given(void *userdata)
{
	(void)userdata;
	return chance;
}

static const struct clock clock_ops = {.boot = no_time, .wall = no_time, .random = given};

START_TEST(test_doubles_from_1_to_60)
{
	static const int64_t bounds[] = {1, 2, 4, 8, 16, 32, 60, 60, 60};
	struct backoff backoff = {};

	chance = 0;
	for (size_t i = 0; i < 9; i++)
		ck_assert_int_eq(backoff_fail(&backoff, &clock_ops), bounds[i] * SECOND);
	backoff_reset(&backoff);
	ck_assert_int_eq(backoff_fail(&backoff, &clock_ops), SECOND);
}
END_TEST

START_TEST(test_random_part)
{
	for (chance = 1; chance < UINT64_MAX / 3; chance *= 3) {
		struct backoff backoff = {};
		int64_t wait = backoff_fail(&backoff, &clock_ops);

		ck_assert_int_gt(wait, SECOND / 2);
		ck_assert_int_le(wait, SECOND);
	}
}
END_TEST

START_TEST(test_never_overflows)
{
	struct backoff backoff = {};

	chance = 0;
	for (int i = 0; i < 100000; i++)
		ck_assert_int_le(backoff_fail(&backoff, &clock_ops), 60 * SECOND);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("backoff");
	TCase *tcase = tcase_create("backoff");
	SRunner *runner;
	int failed;

	tcase_add_test(tcase, test_doubles_from_1_to_60);
	tcase_add_test(tcase, test_random_part);
	tcase_add_test(tcase, test_never_overflows);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed > 0;
}
