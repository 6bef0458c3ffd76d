/* SPDX-License-Identifier: BSD-3-Clause */
/* The engine or the reader loses its place, through a bug: the cursor must not pass what was skipped. */

#include "common/log.h"
#include "scenario.h"

/* It is noticed, and the message read again. */
START_TEST(test_a_message_is_about_to_be_passed_over)
{
	struct sink_status status;

	setup_scenario();
	fault.skip = (uint64_t)_i;
	scenario.leaves_out = true;
	run_for(60 * SECOND);
	sink_get_status(scenario.sink, &status);
	ck_assert_uint_eq(status.cursor_violations, 1);
	ck_assert_uint_eq(status.delivered_sequence, 26);
	ck_assert_uint_eq(status.lost_messages, 1);
	ck_assert(scenario.accepted[_i]);
	teardown_scenario();
}
END_TEST

/* Not found the second time either: it is reported as lost, in the stream and in the status. */
START_TEST(test_a_message_that_is_never_found)
{
	struct sink_status status;

	setup_scenario();
	fault.skip = (uint64_t)_i;
	fault.skip_always = true;
	run_for(60 * SECOND);
	fault.skip = 0;
	fill_padded(2);
	run_for(10 * SECOND);
	sink_get_status(scenario.sink, &status);
	ck_assert_uint_eq(status.cursor_violations, 2);
	ck_assert_uint_eq(status.delivered_sequence, 28);
	ck_assert_uint_eq(status.lost_messages, 2);
	ck_assert_uint_ge(scenario.lost, 2);
	ck_assert(!scenario.accepted[_i]);
	teardown_scenario();
}
END_TEST

int main(void)
{
	TCase *tcase = make_case("account");

	/* The same warnings come thousands of times. */
	log_set_level(LOG_LEVEL_ERROR);
	tcase_set_timeout(tcase, 240);
	tcase_add_loop_test(tcase, test_a_message_is_about_to_be_passed_over, 5, 15);
	tcase_add_loop_test(tcase, test_a_message_that_is_never_found, 5, 15);
	return run_case(tcase);
}
