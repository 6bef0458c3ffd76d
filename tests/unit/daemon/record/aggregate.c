/* SPDX-License-Identifier: BSD-3-Clause */
/* From flows to entries: classes, exit traffic, merging, ignored addresses, bounds and sums. */

#include "daemon/record/aggregate.h"
#include "daemon/record/live.h"

#include "tests/unit/daemon/record/exact.h"

#include <stdlib.h>

START_TEST(equal_connections_of_a_class_are_one_entry)
{
	struct flow flows_items[] = {
		{.connection = test_connection("100.64.0.1:1", "100.64.0.2:2", 6), .counts = {1, 10, 0, 0}},
		{.connection = test_connection("100.64.0.1:1", "100.64.0.2:2", 17), .counts = {7, 70, 0, 0}},
		{.connection = test_connection("100.64.0.1:1", "100.64.0.2:2", 6), .counts = {0, 0, 2, 20}},
	};
	struct flows flows = {.items = flows_items, .n = 3};

	ck_assert_int_eq(aggregate_add_tun(aggregate, &flows, routing, &gathering, NULL, NULL), 0);
	add("100.64.0.1:1", "100.64.0.2:2", 6, (struct counts){3, 30, 0, 0});
	/* The same text in another class is another entry. */
	add_sock("100.64.0.1:1", "100.64.0.2:2", (struct counts){1, 1, 1, 1});
	add_sock("100.64.0.1:1", "100.64.0.2:2", (struct counts){1, 1, 1, 1});
	ck_assert_uint_eq(aggregate_entries(aggregate), 3);
	expect_message(LOGTAIL WINDOW
		       ",\"virtualTraffic\":[{\"proto\":6,\"src\":\"100.64.0.1:1\",\"dst\":\"100.64.0.2:2\","
		       "\"txPkts\":4,\"txBytes\":40,\"rxPkts\":2,\"rxBytes\":20},"
		       "{\"proto\":17,\"src\":\"100.64.0.1:1\",\"dst\":\"100.64.0.2:2\","
		       "\"txPkts\":7,\"txBytes\":70}]"
		       ",\"physicalTraffic\":[{\"proto\":0,\"src\":\"100.64.0.1:1\",\"dst\":\"100.64.0.2:2\","
		       "\"txPkts\":2,\"txBytes\":2,\"rxPkts\":2,\"rxBytes\":2}]}");
}
END_TEST

START_TEST(beyond_the_bound_is_overflow)
{
	struct flow flows_items[] = {
		{.connection = test_connection("100.64.0.1:1", "100.64.0.2:1", 6), .counts = {1, 10, 0, 0}},
		{.connection = test_connection("100.64.0.1:1", "100.64.0.2:2", 6), .counts = {1, 10, 0, 0}},
		{.connection = test_connection("100.64.0.1:1", "100.64.0.2:3", 6), .counts = {5, 50, 6, 60}},
		{.connection = test_connection("100.64.0.1:1", "100.64.0.2:1", 6), .counts = {1, 10, 0, 0}},
	};
	struct flows flows = {.items = flows_items, .n = 4};
	struct counts overflow, tun, sock;

	aggregate_set_bound(aggregate, 2);
	ck_assert_int_eq(aggregate_add_tun(aggregate, &flows, routing, &gathering, NULL, &overflow), 0);
	ck_assert(counts_equal(&overflow, &(struct counts){5, 50, 6, 60}));
	aggregate_get_sums(aggregate, &tun, &sock);
	ck_assert(counts_equal(&tun, &(struct counts){3, 30, 0, 0}));
	/* Each layer has its own bound. */
	add_sock("100.64.0.2:0", "192.0.2.1:1", (struct counts){1, 1, 0, 0});
	expect_message(LOGTAIL WINDOW
		       ",\"virtualTraffic\":[{\"proto\":6,\"src\":\"100.64.0.1:1\",\"dst\":\"100.64.0.2:1\","
		       "\"txPkts\":2,\"txBytes\":20},"
		       "{\"proto\":6,\"src\":\"100.64.0.1:1\",\"dst\":\"100.64.0.2:2\","
		       "\"txPkts\":1,\"txBytes\":10}]"
		       ",\"physicalTraffic\":[{\"proto\":0,\"src\":\"100.64.0.2:0\",\"dst\":\"192.0.2.1:1\","
		       "\"txPkts\":1,\"txBytes\":1}]"
		       ",\"overflow\":{\"tun\":{\"txPkts\":5,\"txBytes\":50,\"rxPkts\":6,\"rxBytes\":60}}}");
	/* The next window begins with room. */
	aggregate_reset(aggregate);
	ck_assert_int_eq(aggregate_add_tun(aggregate, &flows, routing, &gathering, NULL, &overflow), 0);
	ck_assert(counts_equal(&overflow, &(struct counts){5, 50, 6, 60}));
}
END_TEST

/* A route change in the middle of a window: the same connection in two classes. */
START_TEST(a_connection_may_be_in_two_classes)
{
	struct route_lists none = {};
	_cleanup_(routing_freep) struct routing *after = NULL;
	struct flow flow = {.connection = test_connection("100.64.0.1:1", "100.64.0.2:2", 6),
			    .counts = {2, 20, 0, 0}};
	struct flows flows = {.items = &flow, .n = 1};

	ck_assert_int_eq(routing_new(&none, NULL, NULL, &after), 0);
	gathering.exit_traffic = EXIT_TRAFFIC_FULL;
	add("100.64.0.1:1", "100.64.0.2:2", 6, (struct counts){1, 10, 0, 0});
	ck_assert_int_eq(aggregate_add_tun(aggregate, &flows, after, &gathering, NULL, NULL), 0);
	expect_message(LOGTAIL WINDOW
		       ",\"virtualTraffic\":[{\"proto\":6,\"src\":\"100.64.0.1:1\",\"dst\":\"100.64.0.2:2\","
		       "\"txPkts\":1,\"txBytes\":10}]"
		       ",\"exitTraffic\":[{\"proto\":6,\"src\":\"100.64.0.1:1\",\"dst\":\"100.64.0.2:2\","
		       "\"txPkts\":2,\"txBytes\":20}]}");
}
END_TEST

START_TEST(exit_aggregate)
{
	add_exit_traffic();
	expect_message(LOGTAIL WINDOW
		       ",\"exitTraffic\":[{\"proto\":0,\"src\":\"\",\"dst\":\"\",\"txPkts\":29,"
		       "\"txBytes\":290,\"rxPkts\":2,\"rxBytes\":20}]}");
}
END_TEST

START_TEST(drops_beyond_the_bound_are_counted)
{
	const struct details dropped = {.tx_drops = 3, .rx_drops = 4};

	aggregate_set_bound(aggregate, 1);
	gathering.details = true;
	add_details("100.64.0.1:1", "100.64.0.2:1", (struct counts){1, 10, 0, 0}, dropped);
	ck_assert_uint_eq(aggregate_lost_drops(aggregate), 0);
	/* With counts and without. */
	add_details("100.64.0.1:1", "100.64.0.2:2", (struct counts){1, 10, 0, 0}, dropped);
	add_details("100.64.0.1:1", "100.64.0.2:3", (struct counts){}, dropped);
	ck_assert_uint_eq(aggregate_lost_drops(aggregate), 14);
	/* The bound is each window's; the sum is all windows'. */
	aggregate_reset(aggregate);
	add_details("100.64.0.1:1", "100.64.0.2:2", (struct counts){}, dropped);
	ck_assert_uint_eq(aggregate_lost_drops(aggregate), 14);
}
END_TEST

START_TEST(exit_aggregate_stands_outside_the_bound)
{
	aggregate_set_bound(aggregate, 1);
	add("100.64.0.1:1", "100.64.0.2:2", 6, (struct counts){1, 10, 0, 0});
	add_exit_traffic();
	add_exit_traffic();
	expect_message(LOGTAIL WINDOW
		       ",\"virtualTraffic\":[{\"proto\":6,\"src\":\"100.64.0.1:1\",\"dst\":\"100.64.0.2:2\","
		       "\"txPkts\":1,\"txBytes\":10}]"
		       ",\"exitTraffic\":[{\"proto\":0,\"src\":\"\",\"dst\":\"\",\"txPkts\":58,"
		       "\"txBytes\":580,\"rxPkts\":4,\"rxBytes\":40}]}");
}
END_TEST

START_TEST(exit_anonymize)
{
	gathering.exit_traffic = EXIT_TRAFFIC_ANONYMIZE;
	add_exit_traffic();
	expect_message(LOGTAIL WINDOW
		       ",\"exitTraffic\":["
		       "{\"proto\":0,\"src\":\"\",\"dst\":\"\",\"txPkts\":24,\"txBytes\":240},"
		       "{\"proto\":0,\"src\":\"\",\"dst\":\"100.64.0.2:0\",\"txPkts\":4,\"txBytes\":40},"
		       "{\"proto\":0,\"src\":\"100.64.0.1:0\",\"dst\":\"\",\"txPkts\":1,\"txBytes\":10,"
		       "\"rxPkts\":2,\"rxBytes\":20}]}");
}
END_TEST

START_TEST(exit_full)
{
	gathering.exit_traffic = EXIT_TRAFFIC_FULL;
	add_exit_traffic();
	expect_message(
		LOGTAIL WINDOW
		",\"exitTraffic\":[{\"proto\":0,\"src\":\"\",\"dst\":\"\",\"txPkts\":16,\"txBytes\":160},"
		"{\"proto\":17,\"src\":\"1.1.1.1:53\",\"dst\":\"9.9.9.9:7\",\"txPkts\":8,\"txBytes\":80},"
		"{\"proto\":17,\"src\":\"1.1.1.1:53\",\"dst\":\"100.64.0.2:7\",\"txPkts\":4,\"txBytes\":40},"
		"{\"proto\":17,\"src\":\"100.64.0.1:1000\",\"dst\":\"8.8.8.8:53\",\"txPkts\":1,\"txBytes\":10},"
		"{\"proto\":6,\"src\":\"100.64.0.1:1001\",\"dst\":\"8.8.4.4:443\",\"rxPkts\":2,\"rxBytes\":20}]}");
}
END_TEST

START_TEST(ignored_by_destination_alone)
{
	struct counts counts = {1, 2, 3, 4}, nothing = {}, ignored, tun, sock;

	ignored = add("100.64.0.1:5", "100.100.100.100:53", 17, counts);
	ck_assert(counts_equal(&ignored, &counts));
	ignored = add("[fd7a:115c:a1e0::1]:5", "[fd7a:115c:a1e0::53]:53", 17, counts);
	ck_assert(counts_equal(&ignored, &counts));
	ck_assert(aggregate_is_empty(aggregate));
	ignored = add("[fd7a:115c:a1e0::53]:53", "[fd7a:115c:a1e0::1]:5", 17, counts);
	ck_assert(counts_equal(&ignored, &nothing));
	ignored = add("100.64.0.1:5", "100.100.100.101:53", 17, counts);
	ck_assert(counts_equal(&ignored, &nothing));
	ck_assert_uint_eq(aggregate_entries(aggregate), 2);
	aggregate_get_sums(aggregate, &tun, &sock);
	ck_assert_uint_eq(tun.tx_packets, 2);
	ck_assert_uint_eq(tun.rx_bytes, 8);
}
END_TEST

START_TEST(many_ignored_addresses)
{
	struct counts counts = {1, 2, 3, 4}, ignored;

	for (unsigned int i = 0; i < 300; i++) {
		char text[PREFIX_TEXT_MAX];

		snprintf(text, sizeof(text), "100.64.%u.%u", i / 100, 2 * (i % 100));
		test_list_add(&ignore, text);
	}
	ignored = add("100.64.0.1:5", "100.64.1.98:53", 17, counts);
	ck_assert_uint_eq(ignored.rx_bytes, 4);
	ignored = add("100.64.0.1:5", "100.64.1.99:53", 17, counts);
	ck_assert_uint_eq(ignored.rx_bytes, 0);
}
END_TEST

START_TEST(sums_per_layer)
{
	struct counts tun, sock;

	add_exit_traffic();
	add("100.64.0.1:1", "100.64.0.2:2", 6, (struct counts){100, 1000, 0, 0});
	add_sock("100.64.0.2:0", "192.0.2.2:51820", (struct counts){5, 50, 6, 60});
	add_sock("", "192.0.2.2:51820", (struct counts){5, 50, 6, 60});
	aggregate_get_sums(aggregate, &tun, &sock);
	ck_assert_uint_eq(tun.tx_packets, 129);
	ck_assert_uint_eq(tun.tx_bytes, 1290);
	ck_assert_uint_eq(tun.rx_packets, 2);
	ck_assert_uint_eq(tun.rx_bytes, 20);
	ck_assert_uint_eq(sock.tx_packets, 10);
	ck_assert_uint_eq(sock.rx_bytes, 120);
	aggregate_reset(aggregate);
	aggregate_get_sums(aggregate, &tun, &sock);
	ck_assert(counts_is_zero(&tun) && counts_is_zero(&sock));
}
END_TEST

/* Parts of a flow are joined, also after they waited for a class; the parts of reduced exit traffic are not.
 */
START_TEST(details_are_joined)
{
	const struct details syn = {.starts = 1, .opener = OPENER_SRC, .tx_flags = 2};
	const struct details end = {.ends = 1, .rx_flags = 1};
	struct flow flow = {.connection = test_connection("100.64.0.1:1", "100.64.0.2:2", 6),
			    .counts = {2, 20, 0, 0},
			    .details = syn};
	struct flows flows = {.items = &flow, .n = 1};
	struct counts overflow;

	gathering.details = true;
	ck_assert_int_eq(aggregate_hold_tun(aggregate, &flows, &gathering, NULL), 0);
	flow.details = end;
	flow.counts = (struct counts){};
	ck_assert_int_eq(aggregate_hold_tun(aggregate, &flows, &gathering, NULL), 0);
	aggregate_classify(aggregate, routing, EXIT_TRAFFIC_AGGREGATE, &overflow);
	add_details("100.64.0.1:1", "100.64.0.2:2", (struct counts){}, (struct details){.ends = 1});
	add_details("100.64.0.1:1", "8.8.8.8:2", (struct counts){1, 2, 0, 0}, syn);
	add_details("100.64.0.1:1", "8.8.8.8:3", (struct counts){}, syn);
	expect_message(LOGTAIL WINDOW
		       ",\"virtualTraffic\":[{\"proto\":6,\"src\":\"100.64.0.1:1\",\"dst\":\"100.64.0.2:2\","
		       "\"txPkts\":2,\"txBytes\":20,\"init\":\"src\",\"starts\":1,\"ends\":2,\"txFlags\":2,"
		       "\"rxFlags\":1}],"
		       "\"exitTraffic\":[{\"proto\":0,\"src\":\"\",\"dst\":\"\",\"txPkts\":1,"
		       "\"txBytes\":2}]}");
}
END_TEST

START_TEST(no_details_of_anonymized_traffic)
{
	const struct details syn = {.starts = 1, .opener = OPENER_SRC, .tx_flags = 2};

	gathering.details = true;
	gathering.exit_traffic = EXIT_TRAFFIC_ANONYMIZE;
	add_details("100.64.0.1:1", "8.8.8.8:2", (struct counts){1, 2, 0, 0}, syn);
	add_details("100.64.0.2:1", "8.8.8.8:3", (struct counts){}, syn);
	expect_message(LOGTAIL WINDOW ",\"exitTraffic\":[{\"proto\":0,\"src\":\"100.64.0.1:0\",\"dst\":\"\","
				      "\"txPkts\":1,\"txBytes\":2}]}");
	aggregate_reset(aggregate);
	sequence.proc_seq = 6;
	gathering.exit_traffic = EXIT_TRAFFIC_FULL;
	add_details("100.64.0.1:1", "8.8.8.8:2", (struct counts){1, 2, 0, 0}, syn);
	expect_message(LOGTAIL WINDOW
		       ",\"exitTraffic\":[{\"proto\":6,\"src\":\"100.64.0.1:1\",\"dst\":\"8.8.8.8:2\","
		       "\"txPkts\":1,\"txBytes\":2,\"init\":\"src\",\"starts\":1,\"txFlags\":2}]}");
}
END_TEST

static void finish(bool fold_ports)
{
	_cleanup_(live_freep) struct live *live = NULL;

	ck_assert_int_eq(live_new(1000, &live), 0);
	live_begin(live, 0);
	live_begin_window(live, 1, 2);
	aggregate_finish(aggregate, live, fold_ports);
}

/* Only the port of the end that is known to have opened a connection. */
START_TEST(folded_ports)
{
	const struct counts counts = {1, 60, 2, 80};
	const struct details by_src = {.starts = 1, .opener = OPENER_SRC, .tx_flags = 2};
	const struct details by_dst = {.starts = 1, .opener = OPENER_DST, .rx_flags = 4, .rx_drops = 1};
	const struct details refused = {.opener = OPENER_SRC, .tx_drops = 3, .drop_reason = 7};

	gathering.details = true;
	add_details("100.64.0.1:1001", "100.64.0.2:80", counts, by_src);
	add_details("100.64.0.1:1002", "100.64.0.2:80", counts, by_src);
	add_details("100.64.0.1:1003", "100.64.0.2:80", (struct counts){}, refused);
	add_details("100.64.0.1:1004", "100.64.0.3:80", counts, by_src);
	add_details("100.64.0.1:22", "100.64.0.2:3000", counts, by_dst);
	add_details("100.64.0.1:22", "100.64.0.2:3001", counts, by_dst);
	add_details("100.64.0.1:1005", "100.64.0.2:80", counts, (struct details){.ends = 1});
	add_details("100.64.0.1:1006", "100.64.0.2:80", counts, (struct details){.opener = OPENER_BOTH});
	add_details("100.64.0.1:1007", "100.64.0.2:80", counts,
		    (struct details){.starts = 2, .opener = OPENER_SRC, .bits = DETAILS_OPENERS_DIFFER});
	add_sock("100.64.0.1:1008", "100.64.0.2:80", counts);
	finish(true);
	ck_assert_uint_eq(aggregate_entries(aggregate), 7);
#define ENTRY(src, dst) "{\"proto\":6,\"src\":\"100.64.0.1:" src "\",\"dst\":\"100.64.0." dst "\""
#define ONCE		",\"txPkts\":1,\"txBytes\":60,\"rxPkts\":2,\"rxBytes\":80"
#define TWICE		",\"txPkts\":2,\"txBytes\":120,\"rxPkts\":4,\"rxBytes\":160"
	expect_message(LOGTAIL WINDOW ",\"virtualTraffic\":[" ENTRY("0", "2:80") TWICE
		       ",\"init\":\"src\",\"starts\":2,\"txFlags\":2,\"txDrops\":3}," ENTRY("0", "3:80") ONCE
		       ",\"init\":\"src\",\"starts\":1,\"txFlags\":2}," ENTRY("22", "2:0") TWICE
		       ",\"init\":\"dst\",\"starts\":2,\"rxFlags\":4,\"rxDrops\":2}," ENTRY("1005", "2:80")
			       ONCE ",\"ends\":1}," ENTRY("1006", "2:80") ONCE "}," ENTRY("1007", "2:80") ONCE
		       ",\"starts\":2}],\"physicalTraffic\":[{\"proto\":0,\"src\":\"100.64.0.1:1008\","
		       "\"dst\":\"100.64.0.2:80\"" ONCE "}]}");
}
END_TEST

START_TEST(folding_many)
{
	struct counts tun, sock;
	struct entry entry;
	unsigned int n = 0;

	gathering.details = true;
	for (unsigned int i = 0; i < 10000; i++) {
		char src[32], dst[32];

		snprintf(src, sizeof(src), "100.64.0.1:%u", 1 + i);
		snprintf(dst, sizeof(dst), "100.64.0.2:%u", i % 10);
		add_details(src, dst, (struct counts){1, i, 0, 0},
			    (struct details){.starts = 1,
					     .ends = 1,
					     .first_syn = 5,
					     .last_syn = 5,
					     .opener = OPENER_SRC,
					     .bits = DETAILS_HAS_SYN | DETAILS_ENDED});
	}
	ck_assert_uint_eq(aggregate_entries(aggregate), 10000);
	finish(true);
	ck_assert_uint_eq(aggregate_entries(aggregate), 10);
	aggregate_get_sums(aggregate, &tun, &sock);
	ck_assert(counts_equal(&tun, &(struct counts){10000, 49995000, 0, 0}));
	for (size_t i = 0; i < entries_slots(&aggregate->entries); i++) {
		if (!entries_read(&aggregate->entries, i, &entry))
			continue;
		/* Equal numbers of their SYNs mean nothing. */
		ck_assert_uint_eq(entry.details.starts, 1000);
		ck_assert_uint_eq(entry.details.ends, 1000);
		ck_assert_uint_eq(entry.counts.tx_packets, 1000);
		n++;
	}
	ck_assert_uint_eq(n, 10);
}
END_TEST

/* What says nothing that a message would tell is left out. */
START_TEST(entries_that_become_empty)
{
	const struct details syn = {
		.starts = 1, .first_syn = 5, .last_syn = 5, .opener = OPENER_SRC, .bits = DETAILS_HAS_SYN};

	gathering.details = true;
	add_details("100.64.0.1:1", "100.64.0.2:1", (struct counts){}, (struct details){.bits = 8});
	add_details("100.64.0.1:1", "100.64.0.2:2", (struct counts){}, syn);
	add_details("100.64.0.1:1", "100.64.0.2:3", (struct counts){}, (struct details){.bits = 8});
	finish(false);
	ck_assert_uint_eq(aggregate_entries(aggregate), 1);
	expect_message(LOGTAIL WINDOW
		       ",\"virtualTraffic\":[" ENTRY("1", "2:2") ",\"init\":\"src\",\"starts\":1}]}");
}
END_TEST

/* However many parts of it the device hands over, and whatever the log keeps of it. */
START_TEST(each_connection_counts_once)
{
	const struct counts some = {1, 60, 0, 0}, none = {};
	const struct details syn = {.starts = 1, .opener = OPENER_SRC};

	gathering.details = true;
	/* Two processors' parts, and what is noted of its SYN. */
	add("100.64.0.1:1", "100.64.0.2:1", 6, some);
	add("100.64.0.1:1", "100.64.0.2:1", 6, some);
	add_details("100.64.0.1:1", "100.64.0.2:1", none, syn);
	add_details("100.64.0.1:2", "100.64.0.2:1", some, syn);
	add_details("100.64.0.1:3", "100.64.0.2:1", none, (struct details){.bits = 8});
	add_sock("100.64.0.2:0", "192.0.2.1:1", some);
	add_sock("100.64.0.2:0", "192.0.2.1:1", some);
	finish(true);
	ck_assert_uint_eq(aggregate_connections(aggregate, LAYER_TUN), 2);
	ck_assert_uint_eq(aggregate_connections(aggregate, LAYER_SOCK), 1);
	ck_assert_uint_eq(aggregate_entries(aggregate), 2);
	aggregate_reset(aggregate);
	ck_assert_uint_eq(aggregate_connections(aggregate, LAYER_TUN), 0);
	ck_assert_uint_eq(aggregate_connections(aggregate, LAYER_SOCK), 0);
}
END_TEST

/* Traffic of which only sums are logged. */
START_TEST(connections_of_reduced_exit_traffic)
{
	const struct counts some = {1, 60, 0, 0};

	for (int i = 0; i < 2; i++) {
		gathering.exit_traffic = i == 0 ? EXIT_TRAFFIC_AGGREGATE : EXIT_TRAFFIC_ANONYMIZE;
		for (unsigned int j = 0; j < 20000; j++) {
			char src[32];

			snprintf(src, sizeof(src), "100.64.0.1:%u", 1 + j % 10000);
			add(src, "8.8.8.8:443", 6, some);
		}
		add("100.64.0.1:1", "100.64.0.2:1", 6, some);
		add("100.64.0.1:1", "100.100.100.100:53", 17, some);
		ck_assert_uint_eq(aggregate_connections(aggregate, LAYER_TUN), 10001);
		ck_assert_uint_eq(aggregate_entries(aggregate), 2);
		aggregate_reset(aggregate);
	}
	gathering.exit_traffic = EXIT_TRAFFIC_AGGREGATE;
	/* What only drops are known of has no traffic. */
	gathering.details = true;
	add_details("100.64.0.1:1", "8.8.8.8:443", (struct counts){}, (struct details){.tx_drops = 1});
	ck_assert_uint_eq(aggregate_connections(aggregate, LAYER_TUN), 0);
	/* Not without bounds. */
	aggregate_set_bound(aggregate, 100);
	for (unsigned int j = 1; j < 1000; j++) {
		char src[32];

		snprintf(src, sizeof(src), "100.64.0.1:%u", j);
		add(src, "8.8.8.8:443", 6, some);
	}
	ck_assert_uint_eq(aggregate_connections(aggregate, LAYER_TUN), 400);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("aggregate");
	TCase *cases = tcase_create("aggregate");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(cases, setup, teardown);
	tcase_add_test(cases, equal_connections_of_a_class_are_one_entry);
	tcase_add_test(cases, a_connection_may_be_in_two_classes);
	tcase_add_test(cases, exit_aggregate);
	tcase_add_test(cases, exit_aggregate_stands_outside_the_bound);
	tcase_add_test(cases, exit_anonymize);
	tcase_add_test(cases, exit_full);
	tcase_add_test(cases, ignored_by_destination_alone);
	tcase_add_test(cases, many_ignored_addresses);
	tcase_add_test(cases, sums_per_layer);
	tcase_add_test(cases, beyond_the_bound_is_overflow);
	tcase_add_test(cases, drops_beyond_the_bound_are_counted);
	tcase_add_test(cases, details_are_joined);
	tcase_add_test(cases, no_details_of_anonymized_traffic);
	tcase_add_test(cases, folded_ports);
	tcase_add_test(cases, folding_many);
	tcase_add_test(cases, entries_that_become_empty);
	tcase_add_test(cases, each_connection_counts_once);
	tcase_add_test(cases, connections_of_reduced_exit_traffic);
	suite_add_tcase(suite, cases);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
