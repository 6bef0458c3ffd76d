/* SPDX-License-Identifier: BSD-3-Clause */
/* What goes into a batch, also into one that is built while another is under way. */

#include "script.h"

#include <unistd.h>

START_TEST(test_interrupted_batch_is_the_same)
{
	fill(30);
	world.server = outage;
	world.batch_max = 8;
	make_sink();
	run_until(boot_now);
	ck_assert_uint_eq(world.tries[0].last, 8);
	sink_free(world.sink);
	/* More would fit now, but the batch has its bounds. */
	world.batch_max = 20;
	world.server = accept_all;
	make_sink();
	run_until(boot_now + SECOND);
	ck_assert_uint_eq(world.n_tries, 4);
	ck_assert_uint_eq(world.tries[1].first, 1);
	ck_assert_uint_eq(world.tries[1].last, 8);
	ck_assert_uint_eq(world.tries[2].first, 9);
	ck_assert_uint_eq(world.tries[2].last, 28);
	ck_assert_uint_eq(world.tries[3].last, 30);
}
END_TEST

static void begin_ahead(void)
{
	world.makes_ahead = world.has_room = true;
	make_sink();
	run_until(boot_now);
	check_try(0, 1, 100);
	/* The second is built, and not sent. */
	ck_assert_int_ne(world.made, world.sent);
	ck_assert_uint_eq(world.batches[world.made].first, 101);
}

START_TEST(test_next_batch_is_built_meanwhile)
{
	struct sink_status status;

	fill(250);
	begin_ahead();
	ck_assert_uint_eq(world.batches[world.made].last, 200);
	sink_get_status(world.sink, &status);
	ck_assert_uint_eq(status.delivered_sequence, 0);
	ck_assert_uint_eq(status.backlog_messages, 250);
	answer_now(VERDICT_DELIVERED);
	check_try(1, 101, 200);
	sink_get_status(world.sink, &status);
	ck_assert_uint_eq(status.delivered_sequence, 100);
	ck_assert_uint_eq(status.sent_messages, 100);
	/* The end of the spool: what is there is built, and takes its turn after the answer. */
	ck_assert_uint_eq(world.batches[world.made].last, 250);
	fill(20);
	answer_now(VERDICT_DELIVERED);
	check_try(2, 201, 270);
	answer_now(VERDICT_DELIVERED);
	ck_assert_uint_eq(world.n_tries, 3);
	sink_get_status(world.sink, &status);
	ck_assert_uint_eq(status.delivered_sequence, 270);
	ck_assert_uint_eq(status.sent_messages, 270);
	ck_assert(sink_is_settled(world.sink));
}
END_TEST

/* Any answer but delivered: the same batch again, or its halves, then what follows, each once and in order.
 */
START_TEST(test_what_was_built_meanwhile_is_dropped)
{
	static const enum verdict verdicts[] = {VERDICT_RETRY, VERDICT_MISCONFIGURED, VERDICT_REFUSED};
	enum verdict verdict = verdicts[_i];
	struct sink_status status;
	uint64_t next = 1;

	fill(250);
	begin_ahead();
	answer_now(verdict);
	ck_assert_int_eq(world.made, world.sent);
	run_until(boot_now + 120 * SECOND);
	check_try(1, 1, verdict == VERDICT_REFUSED ? 50 : 100);
	ck_assert_uint_eq(world.tries[1].messages, world.tries[1].last);
	for (size_t i = 1; next <= 250; i++) {
		ck_assert_uint_eq(world.n_tries, i + 1);
		ck_assert_uint_eq(world.tries[i].first, next);
		next = world.tries[i].last + 1;
		answer_now(VERDICT_DELIVERED);
	}
	sink_get_status(world.sink, &status);
	ck_assert_uint_eq(status.delivered_sequence, 250);
	ck_assert_uint_eq(status.sent_messages, 250);
	ck_assert_uint_eq(status.quarantined, 0);
}
END_TEST

/* What was only built is nowhere on disk: the one under way is sent again, the same. */
START_TEST(test_ended_with_a_batch_made_meanwhile)
{
	fill(250);
	begin_ahead();
	answer_now(VERDICT_DELIVERED);
	check_try(1, 101, 200);
	sink_free(world.sink);
	world.made = world.sent = 0;
	world.batch_max = 150;
	make_sink();
	run_until(boot_now);
	check_try(2, 101, 200);
	answer_now(VERDICT_DELIVERED);
	check_try(3, 201, 250);
}
END_TEST

START_TEST(test_no_room_for_a_second_batch)
{
	fill(250);
	world.makes_ahead = true;
	make_sink();
	run_until(boot_now);
	check_try(0, 1, 100);
	ck_assert_int_eq(world.made, world.sent);
	answer_now(VERDICT_DELIVERED);
	check_try(1, 101, 200);
	answer_now(VERDICT_DELIVERED);
	check_try(2, 201, 250);
}
END_TEST

/* A loss ends what is built meanwhile, and is reported once, at the beginning of the batch after it. */
START_TEST(test_loss_in_a_batch_made_meanwhile)
{
	struct sink_status status;

	fill(250);
	damage_message(150);
	begin_ahead();
	ck_assert_uint_eq(world.batches[world.made].last, 149);
	answer_now(VERDICT_DELIVERED);
	check_try(1, 101, 149);
	answer_now(VERDICT_DELIVERED);
	check_try(2, 151, 250);
	sink_get_status(world.sink, &status);
	ck_assert_uint_eq(status.lost_messages, 1);
	answer_now(VERDICT_DELIVERED);
	sink_get_status(world.sink, &status);
	ck_assert_uint_eq(status.delivered_sequence, 250);
	ck_assert_uint_eq(status.lost_messages, 1);
	ck_assert_uint_eq(status.sent_messages, 249);
}
END_TEST

/* Removes the segment that begins with this message. */
static void remove_segment(uint64_t first)
{
	char name[SPOOL_NAME_MAX];

	spool_name_format(first, 0, name);
	ck_assert_int_eq(unlinkat(spool_fd, name, 0), 0);
}

/* What is no longer in the spool was removed for its cap, unless what is left tells that it was not. */
START_TEST(test_reasons_of_a_loss)
{
	static const struct {
		bool keeps_first; /* the segment before the gap */
		int after;	  /* segments behind it */
		uint64_t max_size;
		enum cursor_loss_reason reason;
	} cases[] = {
		{true, 1, 64 << 20, CURSOR_LOSS_CUT_OUT},
		{true, 9, 0, CURSOR_LOSS_CUT_OUT},
		{false, 1, 64 << 20, CURSOR_LOSS_GONE},
		{false, 8, UINT64_C(64) << 20, CURSOR_LOSS_SPOOL_FULL},
		{false, 8, UINT64_C(1) << 30, CURSOR_LOSS_GONE},
		{false, 1, 0, CURSOR_LOSS_SPOOL_FULL},
	};
	struct cursor_state state;

	world.spool_max_size = cases[_i].max_size;
	world.server = accept_all;
	fill(3);
	make_sink();
	run_until(boot_now + SECOND);
	fill(2);
	for (int i = 0; i < cases[_i].after; i++)
		fill(1);
	remove_segment(4);
	if (!cases[_i].keeps_first)
		remove_segment(1);
	world.server = outage;
	sink_wake(world.sink);
	run_until(boot_now + SECOND);
	ck_assert_uint_eq(world.tries[world.n_tries - 1].first, 6);
	ck_assert_int_eq(cursor_read(upload_fd, "fake/" CURSOR_NAME, &state), 0);
	ck_assert_uint_eq(state.loss.messages, 2);
	ck_assert_int_eq(state.loss.reason, cases[_i].reason);
}
END_TEST

int main(void)
{
	TCase *tcase = make_case("batch");

	tcase_add_checked_fixture(tcase, setup_world, teardown_world);
	tcase_set_timeout(tcase, 60);
	tcase_add_test(tcase, test_interrupted_batch_is_the_same);
	tcase_add_test(tcase, test_next_batch_is_built_meanwhile);
	tcase_add_loop_test(tcase, test_what_was_built_meanwhile_is_dropped, 0, 3);
	tcase_add_test(tcase, test_ended_with_a_batch_made_meanwhile);
	tcase_add_test(tcase, test_no_room_for_a_second_batch);
	tcase_add_test(tcase, test_loss_in_a_batch_made_meanwhile);
	tcase_add_loop_test(tcase, test_reasons_of_a_loss, 0, 6);
	return run_case(tcase);
}
