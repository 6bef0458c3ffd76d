/* SPDX-License-Identifier: BSD-3-Clause */
/* Devices that fail, disappear, appear, and are replaced. */

#include "tests/unit/daemon/logger/support.h"

#include <errno.h>
#include <string.h>

START_TEST(test_device_that_is_gone)
{
	start();
	will_extract(LAYER_TUN, "100.64.0.1:1", "100.64.0.2:2", 5, 500);
	extract_error[LAYER_TUN] = -ENODEV;
	log_text[0] = '\0';
	pass(SECOND);
	logger_end_window(logger);
	/* Traffic since the window's end is counted before the device is closed; then it is opened again. */
	ck_assert_str_eq(log_text, "tun.extract sock.extract tun.extract sock.extract tun.enable");
	ck_assert_ptr_nonnull(strstr(messages(), "\"txPkts\":5"));
	ck_assert_ptr_nonnull(strstr(messages(), "device lost: tun /x"));
	ck_assert_ptr_nonnull(strstr(messages(), "device back: tun /x by stats (test)"));
	ck_assert_int_eq(status_number("tun", "errors"), 0);
}
END_TEST

START_TEST(test_failing_extraction_is_counted)
{
	start();
	/* A device may have had more of them than the one that it returns, or leave the counting to others.
	 */
	extract_error[LAYER_SOCK] = extract_error[LAYER_TUN] = -EIO;
	next[LAYER_SOCK].errors = 3;
	logger_end_window(logger);
	ck_assert_int_eq(status_number("sock", "errors"), 3);
	ck_assert_int_eq(status_number("tun", "errors"), 1);
}
END_TEST

START_TEST(test_device_that_does_not_work)
{
	const char *layer = NULL;
	char *reason = NULL;

	make_error[LAYER_SOCK] = -EPERM;
	ck_assert_int_eq(logger_start(logger, NULL, NULL, &layer, &reason), -EPERM);
	ck_assert_str_eq(layer, "sock");
	ck_assert_str_eq(reason, "stats: the test says no");
	free(reason);
	ck_assert(!logger_is_running(logger));
	/* The one that came first does not go on counting. */
	ck_assert_str_eq(log_text, "tun.enable tun.extract tun.disable");
	ck_assert_int_eq(logger_start_anyway(logger), 0);
	ck_assert(logger_is_running(logger));
	make_error[LAYER_SOCK] = 0;
	log_text[0] = '\0';
	logger_end_window(logger);
	ck_assert_str_eq(log_text, "tun.extract sock.enable");
	ck_assert_ptr_nonnull(strstr(messages(), "device found: sock /y by stats (test)"));
}
END_TEST

START_TEST(test_auto_takes_a_better_source_when_it_comes)
{
	make_error[LAYER_SOCK] = -EOPNOTSUPP;
	config->sock.source = SOURCE_AUTO;
	start();
	logger_end_window(logger);
	ck_assert_ptr_nonnull(strstr(messages(), "sock none"));
	make_error[LAYER_SOCK] = 0;
	logger_end_window(logger);
	ck_assert_ptr_nonnull(strstr(messages(), "device found: sock /y by stats (test)"));
	will_extract(LAYER_SOCK, "100.64.0.2:0", "192.0.2.1:51820", 6, 660);
	logger_end_window(logger);
	ck_assert_ptr_nonnull(strstr(messages(), "\"txBytes\":660"));
}
END_TEST

START_TEST(test_reload_exchanges_a_changed_device_at_a_windows_end)
{
	struct config *old = config;

	start();
	will_extract(LAYER_TUN, "100.64.0.1:1", "100.64.0.2:2", 5, 500);
	config = make_config("[record]\nperiod=1s\n");
	free(config->tun.stats_socket);
	config->tun.stats_socket = strdup("/z");
	log_text[0] = '\0';
	pass(SECOND);
	ck_assert_int_eq(logger_apply(logger, config, NULL), 0);
	config_free(old);
	/* The new one counts before the old one ends. The window's end takes the old one's counts and throws
	 * away the new one's. Then the old one ends, the new one begins, and the old one's last counts are
	 * taken. */
	ck_assert_str_eq(log_text, "tun.enable tun.extract tun.extract sock.extract "
				   "tun.disable tun.extract tun.extract sock.extract");
	ck_assert_ptr_nonnull(strstr(messages(), "\"txPkts\":5"));
	ck_assert_ptr_nonnull(strstr(messages(), "device changed: tun /z by stats (test)"));
}
END_TEST

/* A VPN that is asked by both has one set of counts: nothing is thrown away, and it is not told to stop. */
START_TEST(test_reload_asks_the_same_vpn)
{
	start();
	will_extract(LAYER_TUN, "100.64.0.1:1", "100.64.0.2:2", 5, 500);
	log_text[0] = '\0';
	pass(SECOND);
	reload(100, ROUTES_MODE_STATIC);
	ck_assert_str_eq(log_text,
			 "tun.enable sock.enable tun.extract sock.extract tun.extract sock.extract");
	ck_assert_ptr_nonnull(strstr(messages(), "\"txPkts\":5"));
}
END_TEST

/* For what was too much beside the old device there may be room without it. */
START_TEST(test_reload_tries_again_without_the_old_device)
{
	start();
	make_error[LAYER_TUN] = -ENOMEM;
	make_error_once = true;
	reload(100, ROUTES_MODE_STATIC);
	ck_assert_ptr_nonnull(strstr(messages(), "device changed: tun /x by stats (test)"));
	ck_assert_int_eq(status_number("tun", "maxFlows"), 100);
}
END_TEST

/* A device that counts nothing has nothing to exchange. */
START_TEST(test_another_bound_changes_no_device_that_is_none)
{
	struct config *other = make_config("");

	other->sock.source = SOURCE_AUTO;
	other->max_flows = 100;
	make_error[LAYER_SOCK] = -EOPNOTSUPP;
	config->sock.source = SOURCE_AUTO;
	start();
	ck_assert_int_eq(logger_apply(logger, other, NULL), 0);
	config_free(config);
	config = other;
	ck_assert_ptr_nonnull(strstr(messages(), "device changed: tun"));
	ck_assert_ptr_null(strstr(messages(), "device changed: sock"));
	ck_assert_int_eq(status_number("sock", "maxFlows"), 100);
}
END_TEST

/* Without a descriptor, the old device stays, and a worse source is not taken instead. */
START_TEST(test_reload_without_descriptors_changes_nothing)
{
	struct config *other = make_config("");

	start();
	other->max_flows = 100;
	make_error[LAYER_TUN] = -EMFILE;
	ck_assert_int_eq(logger_apply(logger, other, NULL), -EMFILE);
	ck_assert_int_eq(status_number("tun", "maxFlows"), (int)config->max_flows);
	will_extract(LAYER_TUN, "100.64.0.1:1", "100.64.0.2:2", 5, 500);
	pass(SECOND);
	logger_end_window(logger);
	ck_assert_ptr_nonnull(strstr(messages(), "\"txPkts\":5"));
	ck_assert_ptr_null(strstr(messages(), "device changed"));
	config_free(other);
}
END_TEST

/* Counts that cannot be read at once stay with the layer, whatever replaces the device meanwhile. */
START_TEST(test_last_counts_are_taken_when_they_can_be_read)
{
	struct config *old;

	takes_over[LAYER_TUN] = true;
	start();
	reload(100, ROUTES_MODE_STATIC);
	extract_error[LAYER_TUN] = -EIO;
	pass(SECOND);
	logger_end_window(logger);
	/* One that takes over, and one that does not. */
	reload(200, ROUTES_MODE_STATIC);
	takes_over[LAYER_TUN] = false;
	old = config;
	config = make_config("[record]\nperiod=1s\n");
	free(config->tun.stats_socket);
	config->tun.stats_socket = strdup("/z");
	ck_assert_int_eq(logger_apply(logger, config, NULL), 0);
	config_free(old);
	extract_error[LAYER_TUN] = 0;
	log_text[0] = '\0';
	logger_end_window(logger);
	/* The current one, and the two that others took over from. */
	ck_assert_str_eq(log_text, "tun.extract tun.extract tun.extract sock.extract");
	log_text[0] = '\0';
	logger_end_window(logger);
	ck_assert_str_eq(log_text, "tun.extract sock.extract");
}
END_TEST

/* They do not pile up. */
START_TEST(test_last_counts_that_can_never_be_read_are_given_up)
{
	takes_over[LAYER_TUN] = true;
	start();
	extract_error[LAYER_TUN] = -EIO;
	for (uint32_t i = 0; i < 10; i++)
		reload(100 + i, ROUTES_MODE_STATIC);
	log_text[0] = '\0';
	logger_end_window(logger);
	ck_assert_str_eq(log_text,
			 "tun.extract tun.extract tun.extract tun.extract tun.extract sock.extract");
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		test_device_that_is_gone,
		test_failing_extraction_is_counted,
		test_device_that_does_not_work,
		test_auto_takes_a_better_source_when_it_comes,
		test_reload_exchanges_a_changed_device_at_a_windows_end,
		test_reload_asks_the_same_vpn,
		test_reload_tries_again_without_the_old_device,
		test_another_bound_changes_no_device_that_is_none,
		test_reload_without_descriptors_changes_nothing,
		test_last_counts_are_taken_when_they_can_be_read,
		test_last_counts_that_can_never_be_read_are_given_up,
		NULL,
	};

	return logger_run_tests("layer", tests);
}
