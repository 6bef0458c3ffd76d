/* SPDX-License-Identifier: BSD-3-Clause */
/* Refused messages for which there is no quarantine. */

#include "common/log.h"
#include "scenario.h"

/* No quarantine at all: what was refused is reported as lost, and does not hold up the rest for long. */
START_TEST(test_no_quarantine)
{
	struct sink_status status;

	setup_scenario();
	forbid_quarantine();
	run_for(5 * SECOND);
	sink_get_status(scenario.sink, &status);
	ck_assert_int_eq(status.state, SINK_STATE_RETRYING);
	ck_assert_uint_eq(status.quarantined, 0);
	/* The server has what follows the refused one, but the cursor stands before it. */
	ck_assert_uint_lt(status.delivered_sequence, 3);
	/* To be sent again after a restart, with all that was not settled. */
	end_sink();
	ck_assert_int_eq(make_sink(), 0);
	run_for(60 * SECOND);
	sink_get_status(scenario.sink, &status);
	ck_assert_uint_eq(status.delivered_sequence, 26);
	ck_assert_uint_eq(status.quarantined, 0);
	/* 3, 20 and 21, and the damaged one. */
	ck_assert_uint_eq(status.lost_messages, 4);
	ck_assert_uint_ge(scenario.lost, 4);
	ck_assert_uint_eq(status.cursor_violations, 0);
	teardown_scenario();
}
END_TEST

/* The last message of all is lost for lack of a quarantine: the next one reports it, also in another run. */
START_TEST(test_a_loss_that_is_owed_outlives_the_run)
{
	struct sink_status status;

	setup_scenario();
	fill_padded(4);
	forbid_quarantine();
	run_for(100 * SECOND);
	sink_get_status(scenario.sink, &status);
	/* 30 cannot be sent: the cursor passes it without an answer. */
	ck_assert_uint_eq(status.delivered_sequence, 30);
	ck_assert_uint_eq(status.lost_messages, 5);
	ck_assert_uint_eq(scenario.lost, 4);
	end_sink();
	ck_assert_int_eq(make_sink(), 0);
	fill_padded(2);
	run_for(10 * SECOND);
	sink_get_status(scenario.sink, &status);
	ck_assert_uint_eq(status.delivered_sequence, 32);
	ck_assert_uint_eq(status.lost_messages, 5);
	ck_assert_uint_eq(scenario.lost, 5);
	teardown_scenario();
}
END_TEST

int main(void)
{
	TCase *tcase = make_case("settle");

	/* The same warnings come thousands of times. */
	log_set_level(LOG_LEVEL_ERROR);
	tcase_set_timeout(tcase, 240);
	tcase_add_test(tcase, test_no_quarantine);
	tcase_add_test(tcase, test_a_loss_that_is_owed_outlives_the_run);
	return run_case(tcase);
}
