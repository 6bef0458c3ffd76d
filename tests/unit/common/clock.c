/* SPDX-License-Identifier: BSD-3-Clause */
/* The table of time and random numbers: the machine's own, and one of a test. */

#include "common/clock.h"

#include "common/time_text.h"
#include "tests/unit/common/support.h"

#include <stdlib.h>

START_TEST(the_machines_own)
{
	int64_t wall = time_now_wall(), boot = time_now_boot();
	uint64_t all = 0, none = UINT64_MAX;

	/* It may step. */
	ck_assert_int_le(llabs(clock_wall(&clock_system) - wall), 3600 * NSEC_PER_SEC);
	ck_assert_int_ge(clock_boot(&clock_system), boot);
	ck_assert_int_le(clock_boot(&clock_system) - boot, 3600 * NSEC_PER_SEC);
	/* After 64 numbers no bit is always set or always clear; by chance 1 in 2^57. */
	for (int i = 0; i < 64; i++) {
		uint64_t value = clock_system.random(clock_system.userdata);

		all |= value;
		none &= value;
	}
	ck_assert_uint_eq(all, UINT64_MAX);
	ck_assert_uint_eq(none, 0);
}
END_TEST

static uint64_t given(void *userdata)
{
	return *(uint64_t *)userdata;
}

START_TEST(below_a_bound)
{
	uint64_t value = 17;
	const struct clock clock = {.random = given, .userdata = &value};

	ck_assert_uint_eq(clock_random_below(&clock, 10), 7);
	ck_assert_uint_eq(clock_random_below(&clock, 18), 17);
	ck_assert_uint_eq(clock_random_below(&clock, 1), 0);
	ck_assert_uint_eq(clock_random_below(&clock, 0), 0);
	value = UINT64_MAX;
	ck_assert_uint_eq(clock_random_below(&clock, UINT64_MAX), 0);
	ck_assert_uint_eq(clock_random_below(&clock, 256), 255);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("clock");
	TCase *test_case = tcase_create("clock");

	tcase_add_test(test_case, the_machines_own);
	tcase_add_test(test_case, below_a_bound);
	suite_add_tcase(suite, test_case);
	return run_suite(suite);
}
