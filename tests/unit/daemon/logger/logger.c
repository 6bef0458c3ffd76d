/* SPDX-License-Identifier: BSD-3-Clause */
/* Windows: the order of the logger's steps, and every text message that it writes by itself. */

#include "tests/unit/daemon/logger/support.h"

#include "common/parse.h"
#include "daemon/logger/run_mark.h"

#include <errno.h>
#include <string.h>
#include <sys/resource.h>

#define HEARTBEAT                                                                                            \
	"{\"text\":\"netlogd: running, nothing logged for 900 s\","                                          \
	"\"event\":{\"type\":\"heartbeat\",\"silentSeconds\":900}}\n"

START_TEST(test_start_and_stop_order)
{
	start();
	ck_assert_str_eq(log_text, "tun.enable tun.extract sock.enable sock.extract");
	log_text[0] = '\0';
	logger_stop(logger);
	ck_assert_str_eq(log_text, "tun.disable tun.extract sock.extract sock.disable");
	ck_assert_str_eq(messages(),
			 STARTED "{\"text\":\"netlogd: stopped\",\"event\":{\"type\":\"stopped\"}}\n");
}
END_TEST

START_TEST(test_ten_starts_and_stops)
{
	const char *layer;
	char *reason;

	for (int i = 0; i < 10; i++) {
		start();
		ck_assert_int_eq(logger_start(logger, NULL, NULL, &layer, &reason), -EALREADY);
		logger_stop(logger);
		logger_stop(logger);
	}
	ck_assert_uint_eq(state_changes[LAYER_TUN], 20);
	ck_assert_uint_eq(state_changes[LAYER_SOCK], 20);
}
END_TEST

START_TEST(test_what_was_held_before_the_start_is_thrown_away)
{
	will_extract(LAYER_TUN, "100.64.0.1:1", "100.64.0.2:2", 5, 500);
	will_extract(LAYER_SOCK, "100.64.0.2:0", "192.0.2.1:51820", 5, 500);
	start();
	extraction_deinit(&next[0]);
	pass(5 * SECOND);
	logger_end_window(logger);
	ck_assert_str_eq(messages(), STARTED);
}
END_TEST

START_TEST(test_window)
{
	start();
	will_extract(LAYER_TUN, "100.64.0.1:1", "100.64.0.2:2", 5, 500);
	will_extract(LAYER_SOCK, "100.64.0.2:0", "192.0.2.1:51820", 6, 660);
	pass(5 * SECOND);
	logger_end_window(logger);
	ck_assert_str_eq(messages(), STARTED
			 "{\"start\":\"2023-11-14T22:13:20Z\",\"end\":\"2023-11-14T22:13:25Z\","
			 "\"virtualTraffic\":[{\"proto\":6,\"src\":\"100.64.0.1:1\",\"dst\":\"100.64.0.2:2\","
			 "\"txPkts\":5,\"txBytes\":500}],"
			 "\"physicalTraffic\":[{\"proto\":0,\"src\":\"100.64.0.2:0\","
			 "\"dst\":\"192.0.2.1:51820\",\"txPkts\":6,\"txBytes\":660}]}\n");
	pass(5 * SECOND);
	will_extract(LAYER_TUN, "100.64.0.1:1", "100.64.0.2:2", 1, 50);
	logger_end_window(logger);
	ck_assert_ptr_nonnull(strstr(messages(), "\"start\":\"2023-11-14T22:13:25.000000001Z\","
						 "\"end\":\"2023-11-14T22:13:30Z\""));
}
END_TEST

START_TEST(test_clock_step_is_told_in_between)
{
	start();
	will_extract(LAYER_TUN, "100.64.0.1:1", "100.64.0.2:2", 5, 500);
	pass(5 * SECOND);
	wall += 100 * SECOND;
	logger_end_window(logger);
	will_extract(LAYER_TUN, "100.64.0.1:1", "100.64.0.2:2", 1, 100);
	pass(5 * SECOND);
	logger_end_window(logger);
	const char *text = messages();
	const char *first = strstr(text, "\"end\":\"2023-11-14T22:13:25Z\"");
	const char *step = strstr(text, "netlogd: the wall clock stepped by +100.000 s");
	const char *second =
		strstr(text, "\"start\":\"2023-11-14T22:15:05Z\",\"end\":\"2023-11-14T22:15:10Z\"");

	ck_assert_ptr_nonnull(first);
	ck_assert_ptr_nonnull(step);
	ck_assert_ptr_nonnull(second);
	ck_assert(first < step && step < second);
}
END_TEST

START_TEST(test_end_without_a_stop_is_told_once)
{
	run_mark_set(directory, true);
	start();
	ck_assert_ptr_nonnull(strstr(messages(), "previous run did not shut down cleanly"));
	logger_stop(logger);
	ck_assert(!run_mark_is_set(directory));
	start();
	ck_assert_ptr_null(strstr(strstr(messages(), "stopped"), "shut down cleanly"));
	ck_assert(run_mark_is_set(directory));
}
END_TEST

START_TEST(test_a_mark_that_cannot_be_looked_for)
{
	struct rlimit before, none;
	int r;

	run_mark_set(directory, false);
	ck_assert_int_eq(run_mark_is_set("/dev/null"), -ENOTDIR);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
	none = (struct rlimit){.rlim_max = before.rlim_max};
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
	r = run_mark_is_set(directory);
	/* The leak checker, which comes when the test ends, needs descriptors. */
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
	ck_assert_int_eq(r, -EMFILE);
}
END_TEST

START_TEST(test_heartbeat)
{
	start();
	pass(899 * SECOND);
	logger_end_window(logger);
	ck_assert_str_eq(messages(), STARTED);
	pass(SECOND);
	logger_end_window(logger);
	ck_assert_str_eq(messages(), STARTED HEARTBEAT);
	pass(899 * SECOND);
	logger_end_window(logger);
	ck_assert_str_eq(messages(), STARTED HEARTBEAT);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		test_start_and_stop_order,
		test_ten_starts_and_stops,
		test_what_was_held_before_the_start_is_thrown_away,
		test_window,
		test_clock_step_is_told_in_between,
		test_end_without_a_stop_is_told_once,
		test_a_mark_that_cannot_be_looked_for,
		test_heartbeat,
		NULL,
	};

	return logger_run_tests("logger", tests);
}
