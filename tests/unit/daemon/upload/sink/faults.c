/* SPDX-License-Identifier: BSD-3-Clause */
/* Each system call of a sink fails in its turn: once, or all of its kind for a while. */

#include "common/log.h"
#include "scenario.h"

#include <errno.h>

/* The traffic of a few minutes: refusals, halves, a loss, batches built ahead, outages, a restart in between.
 */
static void play(void)
{
	run_for(2 * SECOND);
	fill_padded(10);
	run_for(2 * SECOND);
	end_sink();
	run_for(SECOND);
	fill_padded(MESSAGES - 36);
	run_for(300 * SECOND);
	ck_assert_ptr_nonnull(scenario.sink);
}

static void check_outcome(void)
{
	struct sink_status status;

	sink_get_status(scenario.sink, &status);
	for (uint64_t i = 1; i <= MESSAGES; i++) {
		ck_assert_msg(scenario.accepted[i] + is_quarantined(i) == (i != DAMAGED),
			      "message %llu: accepted %d, in quarantine %d", (unsigned long long)i,
			      scenario.accepted[i], is_quarantined(i));
		if (i != DAMAGED)
			ck_assert_int_eq(is_quarantined(i), is_refused(i) || i == UNSENDABLE);
	}
	ck_assert_uint_eq(status.delivered_sequence, MESSAGES);
	ck_assert_uint_eq(status.cursor_violations, 0);
	ck_assert_uint_eq(status.backlog_messages, 0);
	ck_assert_uint_eq(status.lost_messages, 1);
	/* More than once only when the batch that reports it is sent again. */
	ck_assert_uint_ge(scenario.lost, 1);
	ck_assert_int_eq(status.state, SINK_STATE_IDLE);
	ck_assert_str_eq(status.last_error, "");
}

static const struct {
	enum fault_kind kind;
	int error;
	bool lasting;
} cases[] = {
	{FAULT_OPEN, EMFILE, false},	 {FAULT_OPEN, EMFILE, true},	 {FAULT_OPEN, EIO, false},
	{FAULT_OPEN, EIO, true},	 {FAULT_OPEN, ENOMEM, false},	 {FAULT_OPEN, ENOMEM, true},
	{FAULT_OPEN, EACCES, false},	 {FAULT_OPEN, EACCES, true},	 {FAULT_READ, EIO, false},
	{FAULT_READ, EIO, true},	 {FAULT_READ, ENOMEM, false},	 {FAULT_READ, ENOMEM, true},
	{FAULT_LIST, EIO, false},	 {FAULT_LIST, EIO, true},	 {FAULT_LIST, ENOMEM, false},
	{FAULT_LIST, ENOMEM, true},	 {FAULT_WRITE, ENOSPC, false},	 {FAULT_WRITE, ENOSPC, true},
	{FAULT_WRITE, EIO, false},	 {FAULT_WRITE, EIO, true},	 {FAULT_SYNC, EIO, false},
	{FAULT_SYNC, EIO, true},	 {FAULT_RENAME, EIO, false},	 {FAULT_RENAME, ENOSPC, true},
	{FAULT_ALLOCATE, ENOMEM, false}, {FAULT_ALLOCATE, ENOMEM, true},
};

START_TEST(test_each_call_in_its_turn)
{
	unsigned int at = 0;

	do {
		setup_scenario();
		fault.kind = cases[_i].kind;
		fault.error = cases[_i].error;
		fault.lasting = cases[_i].lasting;
		fault.at = ++at;
		play();
		/* The checks are not to be failed. */
		fault.at = 0;
		check_outcome();
		teardown_scenario();
	} while (fault.hit);
	/* The scenario makes some of each, or nothing was tested. */
	ck_assert_uint_gt(at, 4);
}
END_TEST

/* A spool that is gone is a fault; only one that was never opened is waited for in silence. */
START_TEST(test_spool_that_is_gone)
{
	struct sink_status status;

	setup_scenario();
	ck_assert_int_eq(make_sink(), 0);
	fault.kind = FAULT_OPEN;
	fault.error = ENOENT;
	fault.lasting = true;
	fault.at = 1;
	run_for(2 * SECOND);
	ck_assert(fault.hit);
	sink_get_status(scenario.sink, &status);
	ck_assert_int_eq(status.state, SINK_STATE_RETRYING);
	ck_assert_str_eq(status.last_error, "spool: No such file or directory");
	teardown_scenario();
}
END_TEST

int main(void)
{
	TCase *tcase = make_case("faults");

	/* The same warnings come thousands of times. */
	log_set_level(LOG_LEVEL_ERROR);
	tcase_set_timeout(tcase, 240);
	tcase_add_test(tcase, test_spool_that_is_gone);
	tcase_add_loop_test(tcase, test_each_call_in_its_turn, 0, ARRAY_SIZE(cases));
	return run_case(tcase);
}
