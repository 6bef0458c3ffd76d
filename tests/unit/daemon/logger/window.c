/* SPDX-License-Identifier: BSD-3-Clause */
/* Windows: lengths by the boot clock, text by the wall clock, and what happens when the two disagree. */

#include "daemon/logger/window.h"

#include <check.h>
#include <stdlib.h>

#define SECOND INT64_C(1000000000)

struct fake {
	int64_t wall, boot;
};

static int64_t fake_wall(void *userdata)
{
	return ((struct fake *)userdata)->wall;
}

static int64_t fake_boot(void *userdata)
{
	return ((struct fake *)userdata)->boot;
}

static struct fake fake;
static const struct clock clock_fake = {.wall = fake_wall, .boot = fake_boot, .userdata = &fake};

static struct window begin(void)
{
	struct window window = {};
	int64_t step;

	fake = (struct fake){.wall = 1000 * SECOND, .boot = 50 * SECOND};
	ck_assert(!window_begin(&window, &clock_fake, &step));
	ck_assert_int_eq(step, 0);
	return window;
}

static void pass(int64_t real, int64_t wall_step)
{
	fake.boot += real;
	fake.wall += real + wall_step;
}

START_TEST(test_next_starts_one_ns_after_the_end)
{
	struct window window = begin();
	int64_t end, step;

	pass(5 * SECOND, 0);
	ck_assert(!window_end(&window, &clock_fake, &end, &step));
	ck_assert_int_eq(end, 1005 * SECOND);
	ck_assert_int_eq(step, 0);
	ck_assert_int_eq(window.start, 1005 * SECOND + 1);
}
END_TEST

START_TEST(test_small_difference_is_no_step)
{
	struct window window = begin();
	int64_t end, step;

	pass(5 * SECOND, SECOND);
	ck_assert(!window_end(&window, &clock_fake, &end, &step));
	ck_assert_int_eq(end, 1006 * SECOND);
	ck_assert_int_eq(window.start, 1006 * SECOND + 1);
}
END_TEST

START_TEST(test_step_forward)
{
	struct window window = begin();
	int64_t end, step;

	pass(5 * SECOND, 3600 * SECOND);
	ck_assert(window_end(&window, &clock_fake, &end, &step));
	ck_assert_int_eq(end, 1005 * SECOND);
	ck_assert_int_eq(step, 3600 * SECOND);
	ck_assert_int_eq(window.start, 4605 * SECOND);
}
END_TEST

START_TEST(test_step_back)
{
	struct window window = begin();
	int64_t end, step;

	pass(5 * SECOND, -600 * SECOND);
	ck_assert(window_end(&window, &clock_fake, &end, &step));
	ck_assert_int_eq(end, 1005 * SECOND);
	ck_assert_int_eq(step, -600 * SECOND);
	ck_assert_int_eq(window.start, 405 * SECOND);
	pass(5 * SECOND, 0);
	ck_assert(!window_end(&window, &clock_fake, &end, &step));
	ck_assert_int_eq(end, 410 * SECOND);
}
END_TEST

START_TEST(test_slewed_back_never_ends_before_it_starts)
{
	struct window window = begin();
	int64_t end, step;

	pass(SECOND / 10, -SECOND / 2);
	ck_assert(!window_end(&window, &clock_fake, &end, &step));
	ck_assert_int_eq(end, 1000 * SECOND);
	pass(SECOND / 10, 0);
	ck_assert(!window_end(&window, &clock_fake, &end, &step));
	ck_assert_int_eq(end, 1000 * SECOND + 1);
	ck_assert_int_eq(window.start, 1000 * SECOND + 2);
}
END_TEST

/* A stop and a start: the last window ends at 1005 s, and then the wall clock is moved. */
static bool begin_again(struct window *window, int64_t real, int64_t wall_step, int64_t *ret_step)
{
	int64_t end;

	*window = begin();
	pass(5 * SECOND, 0);
	ck_assert(!window_end(window, &clock_fake, &end, ret_step));
	pass(real, wall_step);
	return window_begin(window, &clock_fake, ret_step);
}

START_TEST(test_a_new_start_does_not_overlap_the_last_window)
{
	struct window window;
	int64_t step;

	ck_assert(!begin_again(&window, 3 * SECOND, 0, &step));
	ck_assert_int_eq(window.start, 1008 * SECOND);
	/* In the same nanosecond, and set back a little. */
	ck_assert(!begin_again(&window, 0, 0, &step));
	ck_assert_int_eq(window.start, 1005 * SECOND + 1);
	ck_assert(!begin_again(&window, SECOND / 10, -SECOND / 2, &step));
	ck_assert_int_eq(window.start, 1005 * SECOND + 1);
}
END_TEST

START_TEST(test_a_step_while_stopped)
{
	struct window window;
	int64_t step;

	ck_assert(begin_again(&window, 3 * SECOND, -600 * SECOND, &step));
	ck_assert_int_eq(step, -600 * SECOND);
	ck_assert_int_eq(window.start, 408 * SECOND);
	ck_assert(begin_again(&window, 3 * SECOND, 600 * SECOND, &step));
	ck_assert_int_eq(step, 600 * SECOND);
	ck_assert_int_eq(window.start, 1608 * SECOND);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("window");
	TCase *tcase = tcase_create("window");
	SRunner *runner;
	int failed;

	tcase_add_test(tcase, test_next_starts_one_ns_after_the_end);
	tcase_add_test(tcase, test_small_difference_is_no_step);
	tcase_add_test(tcase, test_step_forward);
	tcase_add_test(tcase, test_step_back);
	tcase_add_test(tcase, test_slewed_back_never_ends_before_it_starts);
	tcase_add_test(tcase, test_a_new_start_does_not_overlap_the_last_window);
	tcase_add_test(tcase, test_a_step_while_stopped);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
