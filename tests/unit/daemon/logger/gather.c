/* SPDX-License-Identifier: BSD-3-Clause */
/* What becomes of the counts that devices hand over, and that they add up. */

#include "tests/unit/daemon/logger/support.h"

#include "daemon/logger/gather.h"
#include "daemon/logger/state.h"

#include <string.h>

static void reconfigure(const char *route)
{
	struct route_lists lists = {};
	struct prefix prefix;

	ck_assert_int_eq(prefix_parse(route, &prefix), 0);
	ck_assert_int_eq(prefix_list_add(&lists.routes, &prefix), 0);
	ck_assert_int_eq(logger_reconfigure(logger, &lists), 0);
	route_lists_deinit(&lists);
}

START_TEST(test_route_change_in_the_middle)
{
	start();
	will_extract(LAYER_TUN, "100.64.0.1:1", "10.1.1.1:2", 5, 500);
	pass(SECOND);
	log_text[0] = '\0';
	reconfigure("172.16.0.0/12");
	ck_assert_str_eq(log_text, "tun.extract sock.extract");
	will_extract(LAYER_TUN, "100.64.0.1:1", "10.1.1.1:2", 3, 300); /* the old route still classifies */
	will_extract(LAYER_TUN, "100.64.0.1:1", "172.16.0.9:2", 1, 100);
	pass(SECOND);
	logger_end_window(logger);
	ck_assert_str_eq(messages(), STARTED
			 "{\"start\":\"2023-11-14T22:13:20Z\",\"end\":\"2023-11-14T22:13:22Z\","
			 "\"subnetTraffic\":[{\"proto\":6,\"src\":\"100.64.0.1:1\",\"dst\":\"10.1.1.1:2\","
			 "\"txPkts\":8,\"txBytes\":800},"
			 "{\"proto\":6,\"src\":\"100.64.0.1:1\",\"dst\":\"172.16.0.9:2\","
			 "\"txPkts\":1,\"txBytes\":100}]}\n");
	/* And through the window after it. */
	for (int window = 0; window < 2; window++) {
		will_extract(LAYER_TUN, "100.64.0.1:1", "10.1.1.1:2", 3, 300);
		logger_end_window(logger);
		ck_assert_int_eq(strstr(messages(), "exitTraffic") != NULL, window);
	}
}
END_TEST

START_TEST(test_conservation_is_checked)
{
	start();
	will_extract(LAYER_TUN, "100.64.0.1:1", "100.64.0.2:2", 5, 500);
	logger_end_window(logger);
	ck_assert_int_eq(status_number("record", "conservationFailures"), 0);
	will_extract(LAYER_TUN, "100.64.0.1:1", "100.64.0.2:2", 5, 500);
	next[LAYER_TUN].totals.tx_packets++;
	logger_end_window(logger);
	ck_assert_int_eq(status_number("record", "conservationFailures"), 1);
	ck_assert_int_eq(status_number("tun", "conservationFailures"), 1);
	ck_assert_int_eq(status_number("sock", "conservationFailures"), 0);
}
END_TEST

START_TEST(test_ignored_and_overflow_count_for_conservation)
{
	start();
	will_extract(LAYER_TUN, "100.64.0.1:1", "100.100.100.100:53", 5, 500);
	next[LAYER_TUN].overflow = (struct counts){.rx_packets = 12, .rx_bytes = 768};
	counts_add(&next[LAYER_TUN].totals, &next[LAYER_TUN].overflow);
	pass(SECOND);
	logger_end_window(logger);
	ck_assert_int_eq(status_number("record", "conservationFailures"), 0);
	ck_assert_str_eq(messages(),
			 STARTED "{\"start\":\"2023-11-14T22:13:20Z\",\"end\":\"2023-11-14T22:13:21Z\","
				 "\"overflow\":{\"tun\":{\"rxPkts\":12,\"rxBytes\":768}}}\n");
	ck_assert_int_eq(status_packets("tun", "overflow", "rxPkts"), 12);
}
END_TEST

START_TEST(test_unknown_counts_for_conservation)
{
	start();
	will_extract(LAYER_SOCK, "100.64.0.2:0", "192.0.2.1:51820", 6, 660);
	next[LAYER_SOCK].unknown = (struct counts){.rx_packets = 7, .rx_bytes = 70};
	counts_add(&next[LAYER_SOCK].totals, &next[LAYER_SOCK].unknown);
	next[LAYER_SOCK].inexact = (struct counts){.tx_packets = 2, .tx_bytes = 220};
	pass(SECOND);
	logger_end_window(logger);
	ck_assert_int_eq(status_number("record", "conservationFailures"), 0);
	ck_assert_int_eq(status_packets("sock", "unknown", "rxPkts"), 7);
	ck_assert_int_eq(status_packets("sock", "inexact", "txPkts"), 2);
	ck_assert_int_eq(status_packets("sock", "totals", "rxPkts"), 7);
	ck_assert_int_eq(status_packets("sock", "totals", "txPkts"), 6);
}
END_TEST

/* What a kernel drops has no size. */
START_TEST(test_conservation_in_packets_only)
{
	start();
	for (int window = 0; window < 2; window++) {
		will_extract(LAYER_TUN, "100.64.0.1:1", "100.64.0.2:2", 5, 500);
		next[LAYER_TUN].totals.tx_bytes += 10;
		next[LAYER_TUN].totals.tx_packets += (uint64_t)window;
		next[LAYER_TUN].packets_only = true;
		logger_end_window(logger);
		ck_assert_int_eq(status_number("tun", "conservationFailures"), window);
	}
}
END_TEST

/* What a window can't hold, of either device, by the bound that holds since the reload. */
START_TEST(test_connections_beyond_the_bound)
{
	start();
	reload(1, ROUTES_MODE_STATIC);
	pass(SECOND);
	for (int half = 0; half < 2; half++) {
		will_extract(LAYER_TUN, "100.64.0.1:1", half ? "100.64.0.2:3" : "100.64.0.2:2", 5, 500);
		will_extract(LAYER_SOCK, "100.64.0.2:0", half ? "192.0.2.2:1" : "192.0.2.1:1", 6, 660);
		if (half == 0)
			gather_counts(logger);
	}
	logger_end_window(logger);
	ck_assert_ptr_nonnull(strstr(messages(), "\"overflow\":{\"tun\":{\"txPkts\":5,\"txBytes\":500},"
						 "\"sock\":{\"txPkts\":6,\"txBytes\":660}}"));
	ck_assert_int_eq(status_packets("tun", "overflow", "txPkts"), 5);
	ck_assert_int_eq(status_packets("sock", "overflow", "txPkts"), 6);
	ck_assert_int_eq(status_number("record", "conservationFailures"), 0);
}
END_TEST

/* An early extraction, and what came with and without a route that is known at one of the window's ends. */
static void check_union(const char *at_start, const char *at_end, uint32_t max_flows, const char *expected)
{
	reload(max_flows, ROUTES_MODE_AUTO);
	allowed_ip = at_start;
	start();
	for (int part = 0; part < 3; part++) {
		will_extract(LAYER_TUN, "100.64.0.1:1", "172.16.0.9:2", 5, 500);
		will_extract(LAYER_TUN, "100.64.0.1:1", "100.100.100.100:53", 1, 100); /* ignored */
		if (part == 2)
			break;
		gather_early(logger);
		allowed_ip = at_end;
	}
	pass(SECOND);
	logger_end_window(logger);
	ck_assert_msg(strstr(messages(), expected) != NULL, "%s", messages());
	ck_assert_int_eq(status_number("record", "conservationFailures"), 0);
	ck_assert_int_eq(status_packets("record", "ignored", "txPkts"), 3);
}

#define ALL_SUBNET                                                                                           \
	"\"end\":\"2023-11-14T22:13:21Z\",\"subnetTraffic\":["                                               \
	"{\"proto\":6,\"src\":\"100.64.0.1:1\",\"dst\":\"172.16.0.9:2\",\"txPkts\":15,\"txBytes\":1500}]}\n"

START_TEST(test_a_later_route_holds_for_an_early_extraction)
{
	check_union(NULL, "172.16.0.0/12", 100, ALL_SUBNET);
	ck_assert_int_eq(status_number("record", "classifiedEarly"), 0);
}
END_TEST

START_TEST(test_a_removed_route_holds_for_a_window_with_early_extractions)
{
	check_union("172.16.0.0/12", NULL, 100, ALL_SUBNET);
}
END_TEST

/* Reconfig comes between an early extraction and the window's end. */
START_TEST(test_reconfig_after_an_early_extraction)
{
	reload(100, ROUTES_MODE_AUTO);
	start();
	will_extract(LAYER_TUN, "100.64.0.1:1", "172.16.0.9:2", 5, 500);
	gather_early(logger);
	reconfigure("172.16.0.0/12");
	will_extract(LAYER_TUN, "100.64.0.1:1", "172.16.0.9:2", 3, 300);
	logger_end_window(logger);
	ck_assert_ptr_nonnull(strstr(messages(), "\"dst\":\"172.16.0.9:2\",\"txPkts\":3,\"txBytes\":300}],"
						 "\"exitTraffic\":[{\"proto\":0,\"src\":\"\",\"dst\":\"\","
						 "\"txPkts\":5,\"txBytes\":500}]"));
}
END_TEST

/* More than may wait: four times the bound. The rest is exact, and the last of it has the later route. */
START_TEST(test_more_early_connections_than_may_wait)
{
	char text[32];

	reload(1, ROUTES_MODE_AUTO);
	start();
	for (int i = 0; i < 5; i++) {
		snprintf(text, sizeof(text), "172.16.0.9:%d", i);
		will_extract(LAYER_TUN, "100.64.0.1:1", text, 5, 500);
		gather_early(logger);
	}
	ck_assert_int_eq(aggregate_held(logger->aggregate), 0);
	allowed_ip = "172.16.0.0/12";
	will_extract(LAYER_TUN, "100.64.0.1:1", "172.16.0.9:9", 7, 700);
	logger_end_window(logger);
	ck_assert_ptr_nonnull(strstr(messages(),
				     "172.16.0.9:9\",\"txPkts\":7,\"txBytes\":700}],\"exitTraffic\":"
				     "[{\"proto\":0,\"src\":\"\",\"dst\":\"\",\"txPkts\":25,"
				     "\"txBytes\":2500}]"));
	ck_assert_int_eq(status_number("record", "classifiedEarly"), 1);
	ck_assert_int_eq(status_number("record", "conservationFailures"), 0);
}
END_TEST

/* What is held is bound by max-flows once it has a class. */
START_TEST(test_held_connections_beyond_the_bound)
{
	check_union(NULL, "172.16.0.0/12", 1, ALL_SUBNET);
	will_extract(LAYER_TUN, "100.64.0.1:1", "172.16.0.9:1", 5, 500);
	will_extract(LAYER_TUN, "100.64.0.1:1", "172.16.0.9:2", 6, 600);
	gather_early(logger);
	allowed_ip = "172.16.0.0/12";
	logger_end_window(logger);
	ck_assert_ptr_nonnull(strstr(messages(), "\"txPkts\":5,\"txBytes\":500}],"
						 "\"overflow\":{\"tun\":{\"txPkts\":6,\"txBytes\":600}}}"));
	ck_assert_int_eq(status_packets("tun", "overflow", "txPkts"), 6);
	ck_assert_int_eq(status_number("record", "conservationFailures"), 0);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		test_route_change_in_the_middle,
		test_conservation_is_checked,
		test_ignored_and_overflow_count_for_conservation,
		test_unknown_counts_for_conservation,
		test_conservation_in_packets_only,
		test_connections_beyond_the_bound,
		test_a_later_route_holds_for_an_early_extraction,
		test_a_removed_route_holds_for_a_window_with_early_extractions,
		test_reconfig_after_an_early_extraction,
		test_more_early_connections_than_may_wait,
		test_held_connections_beyond_the_bound,
		NULL,
	};

	return logger_run_tests("gather", tests);
}
