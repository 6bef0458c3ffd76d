/* SPDX-License-Identifier: BSD-3-Clause */
/* Flushes under way: known by id, answered at their time, forgotten when nobody waits. */

#include "daemon/upload/flushes.h"

#include <check.h>
#include <stdlib.h>

START_TEST(answered_at_their_time)
{
	struct flushes flushes = {};
	int64_t id;

	ck_assert_int_eq(flushes_deadline(&flushes), INT64_MAX);
	ck_assert(!flushes_take(&flushes, true, 0, &id));
	ck_assert(flushes_put(&flushes, 1, 300));
	ck_assert(flushes_put(&flushes, 2, 100));
	ck_assert(flushes_put(&flushes, 3, 200));
	ck_assert_int_eq(flushes_deadline(&flushes), 100);
	ck_assert(!flushes_take(&flushes, false, 99, &id));
	ck_assert(flushes_take(&flushes, false, 100, &id));
	ck_assert_int_eq(id, 2);
	/* The same one with another deadline is no second. */
	ck_assert(flushes_put(&flushes, 1, 150));
	ck_assert_uint_eq(flushes.n, 2);
	ck_assert_int_eq(flushes_deadline(&flushes), 150);
	/* All are settled. */
	ck_assert(flushes_take(&flushes, true, 0, &id));
	ck_assert(flushes_take(&flushes, true, 0, &id));
	ck_assert(!flushes_take(&flushes, true, 0, &id));
}
END_TEST

START_TEST(forgotten_ones_take_no_place)
{
	struct flushes flushes = {};

	for (int64_t id = 0; id < 1000; id++) {
		ck_assert(flushes_put(&flushes, id, 100));
		ck_assert(flushes_forget(&flushes, id));
		ck_assert(!flushes_forget(&flushes, id));
	}
	for (int64_t id = 0; id < FLUSHES_MAX; id++)
		ck_assert(flushes_put(&flushes, id, 100));
	ck_assert(!flushes_put(&flushes, FLUSHES_MAX, 100));
	ck_assert(flushes_put(&flushes, 5, 200));
	ck_assert(flushes_forget(&flushes, 0));
	ck_assert(flushes_put(&flushes, FLUSHES_MAX, 100));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("flushes");
	TCase *tcase = tcase_create("flushes");
	SRunner *runner;
	int failed;

	tcase_add_test(tcase, answered_at_their_time);
	tcase_add_test(tcase, forgotten_ones_take_no_place);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
