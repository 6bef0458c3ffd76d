/* SPDX-License-Identifier: BSD-3-Clause */
/* Each answer, with every time between two tries known. */

#include "common/cleanup.h"
#include "common/file.h"
#include "script.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

START_TEST(test_hours_of_outage)
{
	static const int64_t waits[] = {1, 2, 4, 8, 16, 32, 60, 60};
	struct sink_status status;

	fill(250);
	world.server = outage;
	make_sink();
	run_until(boot_now + 6 * 3600 * SECOND);
	for (size_t i = 0; i < world.n_tries; i++) {
		int64_t wait = waits[i < 7 ? i : 7] * SECOND;

		ck_assert_uint_eq(world.tries[i].first, 1);
		ck_assert_uint_eq(world.tries[i].last, 100);
		if (i + 1 < world.n_tries)
			ck_assert_int_eq(world.tries[i + 1].at - world.tries[i].at, wait);
	}
	/* Once a minute for six hours, and six sooner. */
	ck_assert_uint_eq(world.n_tries, 6 + 1 + (6 * 3600 - 63) / 60);
	sink_get_status(world.sink, &status);
	ck_assert_int_eq(status.state, SINK_STATE_RETRYING);
	ck_assert_uint_eq(status.backlog_messages, 250);
	ck_assert_uint_eq(status.retries, world.n_tries - 1);
}
END_TEST

static struct answer wait_long(const struct batch_bounds *bounds, size_t attempt)
{
	(void)bounds;
	return attempt == 0   ? say(VERDICT_RETRY, 7 * SECOND)
	       : attempt == 1 ? say(VERDICT_RETRY, 4000 * SECOND)
	       : attempt == 2 ? say(VERDICT_RETRY, 0)
			      : say(VERDICT_DELIVERED, -1);
}

START_TEST(test_retry_after_is_kept_and_bounded)
{
	fill(3);
	world.server = wait_long;
	make_sink();
	run_until(boot_now + 3600 * SECOND);
	ck_assert_uint_eq(world.n_tries, 4);
	ck_assert_int_eq(world.tries[1].at - world.tries[0].at, 7 * SECOND);
	ck_assert_int_eq(world.tries[2].at - world.tries[1].at, 300 * SECOND);
	ck_assert_int_eq(world.tries[3].at - world.tries[2].at, SECOND / 2);
}
END_TEST

static struct answer refuse_all(const struct batch_bounds *bounds, size_t attempt)
{
	(void)bounds;
	(void)attempt;
	return say(VERDICT_REFUSED, -1);
}

START_TEST(test_all_refused_for_an_hour)
{
	struct sink_status status;
	size_t probes = 0;

	fill(40);
	world.server = refuse_all;
	make_sink();
	run_until(boot_now + 3600 * SECOND);
	for (size_t i = 1; i < world.n_tries; i++)
		if (world.tries[i].at != world.tries[0].at) {
			ck_assert_uint_eq(world.tries[i].first, 1);
			ck_assert_uint_eq(world.tries[i].messages, 1);
			ck_assert_int_eq((world.tries[i].at - world.tries[0].at) % (60 * SECOND), 0);
			probes++;
		}
	ck_assert_uint_eq(probes, 60);
	sink_get_status(world.sink, &status);
	ck_assert_int_eq(status.state, SINK_STATE_MISCONFIGURED);
	ck_assert_uint_eq(status.quarantined, 0);
	ck_assert_uint_eq(status.delivered_sequence, 0);
	world.server = accept_all;
	run_until(boot_now + 120 * SECOND);
	sink_get_status(world.sink, &status);
	ck_assert_uint_eq(status.delivered_sequence, 40);
	ck_assert_uint_eq(status.sent_messages, 40);
}
END_TEST

static struct answer certificate_trouble(const struct batch_bounds *bounds, size_t attempt)
{
	(void)bounds;
	return say(attempt < 30 ? VERDICT_MISCONFIGURED : VERDICT_DELIVERED, -1);
}

/* What only a person can fix is tried once a minute, however long it takes. */
START_TEST(test_misconfigured_each_minute)
{
	struct sink_status status;

	fill(3);
	world.server = certificate_trouble;
	make_sink();
	run_until(boot_now + 29 * 60 * SECOND + SECOND);
	ck_assert_uint_eq(world.n_tries, 30);
	for (size_t i = 1; i < world.n_tries; i++)
		ck_assert_int_eq(world.tries[i].at - world.tries[i - 1].at, 60 * SECOND);
	sink_get_status(world.sink, &status);
	ck_assert_int_eq(status.state, SINK_STATE_MISCONFIGURED);
	ck_assert_uint_eq(status.backlog_messages, 3);
	run_until(boot_now + 60 * SECOND);
	sink_get_status(world.sink, &status);
	ck_assert_int_ne(status.state, SINK_STATE_MISCONFIGURED);
	ck_assert_uint_eq(status.sent_messages, 3);
}
END_TEST

/* Another cause after three tries; then one whose text is never the same twice; then the first one again. */
static struct answer other_trouble(const struct batch_bounds *bounds, size_t attempt)
{
	struct answer answer = say(attempt < 200 ? VERDICT_MISCONFIGURED : VERDICT_DELIVERED, -1);

	(void)bounds;
	if (attempt >= 3)
		snprintf(answer.text, sizeof(answer.text), "table missing");
	if (attempt >= 6 && attempt < 106)
		snprintf(answer.text, sizeof(answer.text), "try %zu", attempt);
	return answer;
}

/* How often the log has these words. */
static int count_logged(int fd, const char *words)
{
	_cleanup_free_ char *text = NULL;
	int n = 0;

	ck_assert_int_eq(lseek(fd, 0, SEEK_SET), 0);
	ck_assert_int_eq(file_read_fd(fd, 1 << 20, &text, NULL, NULL), 0);
	for (const char *at = text; (at = strstr(at, words)); at += strlen(words))
		n++;
	return n;
}

/* One who has repaired the first cause sees the second; a text that flaps costs a line a minute. */
START_TEST(test_misconfigured_by_something_else)
{
	_cleanup_close_ int fd = memfd_create("log", MFD_CLOEXEC);
	int64_t begun = boot_now;

	ck_assert_int_eq(dup2(fd, STDERR_FILENO), STDERR_FILENO);
	unsetenv("JOURNAL_STREAM");
	program_invocation_short_name = (char *)"prog";
	fill(3);
	world.server = other_trouble;
	make_sink();
	run_until(begun + 5 * 60 * SECOND + SECOND);
	ck_assert_uint_eq(world.n_tries, 6);
	ck_assert_int_eq(count_logged(fd, "prog: error: sink fake: misconfigured: scripted\n"), 1);
	ck_assert_int_eq(count_logged(fd, "prog: error: sink fake: misconfigured: table missing\n"), 1);
	/* A hundred tries within two and a half minutes. */
	for (int i = 0; i < 100; i++) {
		sink_retry(world.sink);
		run_until(boot_now + SECOND + SECOND / 2);
	}
	ck_assert_uint_ge(world.n_tries, 106);
	ck_assert_int_le(count_logged(fd, "misconfigured: try "), 3);
	ck_assert_int_ge(count_logged(fd, "misconfigured: try "), 2);
	/* The last one is told, be it later. */
	run_until(boot_now + 120 * SECOND);
	ck_assert_int_eq(count_logged(fd, "misconfigured: table missing\n"), 2);
	run_until(boot_now + 600 * SECOND);
	ck_assert_int_eq(count_logged(fd, "misconfigured: table missing\n"), 2);
}
END_TEST

/* Refuses what holds one of these. */
static struct answer refuse_some(const struct batch_bounds *bounds, size_t attempt)
{
	static const uint64_t bad[] = {1, 2, 17, 64, 65, 66, 99};

	(void)attempt;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		if (bounds->first <= bad[i] && bad[i] <= bounds->last)
			return say(VERDICT_REFUSED, -1);
	return say(VERDICT_DELIVERED, -1);
}

START_TEST(test_refused_ones_are_found_by_halves)
{
	struct sink_status status;

	fill(100);
	world.server = refuse_some;
	make_sink();
	run_until(boot_now + 10 * SECOND);
	sink_get_status(world.sink, &status);
	ck_assert_uint_eq(status.quarantined, 7);
	ck_assert_uint_eq(status.sent_messages, 93);
	ck_assert_uint_eq(status.delivered_sequence, 100);
	ck_assert_uint_eq(status.backlog_messages, 0);
	/* Seven of a hundred: at most two batches for each of log2(100) levels, for each of them. */
	ck_assert_uint_lt(world.n_tries, 7 * 2 * 7 + 2);
}
END_TEST

static uint64_t takes_at_most;

/* A server without the memory for more, or behind a gateway that gives up. */
static struct answer take_little(const struct batch_bounds *bounds, size_t attempt)
{
	struct answer answer = say(bounds->messages > takes_at_most ? VERDICT_RETRY : VERDICT_DELIVERED, -1);

	(void)attempt;
	answer.too_large = answer.verdict == VERDICT_RETRY;
	return answer;
}

/* The cursor on disk holds the bounds of each batch before it is sent. */
static struct answer take_little_and_check(const struct batch_bounds *bounds, size_t attempt)
{
	struct cursor_state state;

	ck_assert_int_eq(cursor_read(upload_fd, "fake/cursor", &state), 0);
	ck_assert_uint_eq(state.batch.first, bounds->first);
	ck_assert_uint_eq(state.batch.last, bounds->last);
	return take_little(bounds, attempt);
}

START_TEST(test_batch_that_never_fits_is_halved)
{
	static const uint64_t sizes[] = {96, 96, 96, 48, 48, 48, 24, 24, 24, 24};
	struct sink_status status;

	fill(96);
	takes_at_most = 25;
	world.server = take_little_and_check;
	make_sink();
	run_until(boot_now + 60 * SECOND);
	ck_assert_uint_eq(world.n_tries, ARRAY_SIZE(sizes));
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
		ck_assert_uint_eq(world.tries[i].messages, sizes[i]);
	/* Three tries as after any failure, and the half when the fourth would be. */
	ck_assert_int_eq(world.tries[1].at - world.tries[0].at, SECOND);
	ck_assert_int_eq(world.tries[2].at - world.tries[1].at, 2 * SECOND);
	ck_assert_int_eq(world.tries[3].at - world.tries[2].at, 4 * SECOND);
	ck_assert_int_eq(world.tries[4].at - world.tries[3].at, SECOND);
	ck_assert_int_eq(world.tries[9].at, world.tries[6].at);
	sink_get_status(world.sink, &status);
	ck_assert_uint_eq(status.sent_messages, 96);
	ck_assert_uint_eq(status.quarantined, 0);
	ck_assert_uint_eq(status.retries, 4);
	ck_assert_str_eq(status.last_error, "");
}
END_TEST

static int64_t away_until;

/* A server that is away, behind a gateway that waits for it in vain. */
static struct answer be_away(const struct batch_bounds *bounds, size_t attempt)
{
	struct answer answer = say(boot_now < away_until ? VERDICT_RETRY : VERDICT_DELIVERED, -1);

	(void)bounds;
	(void)attempt;
	answer.too_large = answer.verdict == VERDICT_RETRY;
	return answer;
}

/* After an outage of any length, all is back to full batches within a few: size was never the reason. */
START_TEST(test_outage_does_not_leave_small_batches)
{
	static const int64_t lengths[] = {2, 10, 45, 100, 300, 1000, 5000};
	int64_t begun = boot_now;
	size_t before;

	fill(96);
	away_until = begun + lengths[_i] * SECOND;
	world.server = be_away;
	make_sink();
	run_until(away_until);
	before = world.n_tries;
	run_until(away_until + 61 * SECOND);
	/* A part that happened to go through at its first try keeps its size, but none is left of one
	 * message. */
	ck_assert_uint_le(world.n_tries - before, 9);
	fill(96);
	sink_wake(world.sink);
	before = world.n_tries;
	run_until(boot_now + 60 * SECOND);
	ck_assert_uint_le(world.n_tries - before, 9);
	/* Never more often than tries of the same batch would be. */
	for (size_t i = 3; i < before && world.tries[i].at < away_until; i++)
		ck_assert_int_ge(world.tries[i].at - world.tries[i - 3].at, 7 * SECOND);
}
END_TEST

/* The size that went through is kept for ten minutes; then it grows, up to what was too large. */
START_TEST(test_fitting_size_is_kept_for_a_while)
{
	size_t before;

	fill(96);
	takes_at_most = 25;
	world.server = take_little;
	make_sink();
	run_until(boot_now + 60 * SECOND);
	before = world.n_tries;
	fill(96);
	sink_wake(world.sink);
	run_until(boot_now + 300 * SECOND);
	ck_assert_uint_ge(world.n_tries, before + 4);
	for (size_t i = before; i < world.n_tries; i++)
		ck_assert_uint_le(world.tries[i].messages, 24);
	run_until(boot_now + 300 * SECOND);
	/* As small as before first, then twice that: which still fails. */
	before = world.n_tries;
	fill(96);
	sink_wake(world.sink);
	run_until(boot_now + 300 * SECOND);
	ck_assert_uint_le(world.tries[before].messages, 24);
	for (size_t i = 1; i <= 3; i++)
		ck_assert_uint_gt(world.tries[before + i].messages, 25);
	ck_assert_uint_le(world.tries[before + 4].messages, 25);
	/* Later the server takes everything. */
	takes_at_most = 1000;
	run_until(boot_now + 600 * SECOND);
	for (int i = 0; i < 3; i++) {
		fill(80);
		sink_wake(world.sink);
		run_until(boot_now + 60 * SECOND);
	}
	before = world.n_tries;
	fill(90);
	sink_wake(world.sink);
	run_until(boot_now + 60 * SECOND);
	check_try(before, 96 * 3 + 240 + 1, 96 * 3 + 240 + 90);
}
END_TEST

/* A killed uploader sends the same half again, and only it is known to be one. */
START_TEST(test_half_keeps_its_bounds)
{
	fill(96);
	takes_at_most = 0;
	world.server = take_little;
	make_sink();
	run_until(boot_now + 7 * SECOND);
	check_try(3, 1, 48);
	sink_free(world.sink);
	takes_at_most = 1000;
	make_sink();
	run_until(boot_now + SECOND);
	check_try(5, 49, 96);
	ck_assert_uint_eq(world.tries[4].first, 1);
	ck_assert_uint_eq(world.tries[4].last, 48);
}
END_TEST

/* A message alone cannot be made smaller: it waits like any, and is never refused for that. */
START_TEST(test_message_alone_is_not_halved)
{
	struct sink_status status;

	fill(1);
	takes_at_most = 0;
	world.server = take_little;
	make_sink();
	run_until(boot_now + 3600 * SECOND);
	for (size_t i = 7; i < world.n_tries; i++)
		ck_assert_int_eq(world.tries[i].at - world.tries[i - 1].at, 60 * SECOND);
	sink_get_status(world.sink, &status);
	ck_assert_int_eq(status.state, SINK_STATE_RETRYING);
	ck_assert_uint_eq(status.quarantined, 0);
	ck_assert_uint_eq(status.backlog_messages, 1);
}
END_TEST

int main(void)
{
	TCase *tcase = make_case("verdict");

	tcase_add_checked_fixture(tcase, setup_world, teardown_world);
	tcase_set_timeout(tcase, 60);
	tcase_add_test(tcase, test_hours_of_outage);
	tcase_add_test(tcase, test_retry_after_is_kept_and_bounded);
	tcase_add_test(tcase, test_all_refused_for_an_hour);
	tcase_add_test(tcase, test_misconfigured_each_minute);
	tcase_add_test(tcase, test_misconfigured_by_something_else);
	tcase_add_test(tcase, test_refused_ones_are_found_by_halves);
	tcase_add_test(tcase, test_batch_that_never_fits_is_halved);
	tcase_add_loop_test(tcase, test_outage_does_not_leave_small_batches, 0, 7);
	tcase_add_test(tcase, test_fitting_size_is_kept_for_a_while);
	tcase_add_test(tcase, test_half_keeps_its_bounds);
	tcase_add_test(tcase, test_message_alone_is_not_halved);
	return run_case(tcase);
}
