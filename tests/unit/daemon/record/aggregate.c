/* SPDX-License-Identifier: BSD-3-Clause */
/* From flows to the exact text of messages: classes, exit traffic, merging, order, sums, overflow, texts. */

#include "daemon/record/encode.h"
#include "daemon/routes/routing.h"

#include "common/time_text.h"
#include "tests/unit/daemon/record/messages.h"
#include "tests/unit/daemon/record/support.h"

#include <stdlib.h>

#define LOGTAIL                                                                                              \
	"{\"logtail\":{\"client_time\":\"2022-10-13T20:23:14.7Z\",\"proc_id\":353457853,\"proc_seq\":7}"
#define WINDOW ",\"start\":\"2022-10-13T20:23:09.644Z\",\"end\":\"2022-10-13T20:23:14.644Z\""

static struct aggregate *aggregate;
static struct routing *routing;
static struct prefix_list ignore;
static struct aggregate_settings gathering;
static struct encode_settings settings;
static struct encode_sequence sequence;
static struct encode_times window;
static int64_t client_time;
static struct messages messages;

static void setup(void)
{
	struct route_lists lists =
		test_lists("100.64.0.1 fd7a:115c:a1e0::1", "100.64.0.0/24 fd7a:115c:a1e0::/48 10.0.0.0/8",
			   "192.168.0.0/16");
	struct prefix_list tailnet = {};

	test_list_add(&tailnet, "100.64.0.0/10 fd7a:115c:a1e0::/48");
	test_list_add(&ignore, "100.100.100.100 fd7a:115c:a1e0::53");
	ck_assert_int_eq(routing_new(&lists, &tailnet, NULL, &routing), 0);
	test_lists_deinit(&lists);
	prefix_list_deinit(&tailnet);

	ck_assert_int_eq(aggregate_new(&aggregate), 0);
	gathering =
		(struct aggregate_settings){.exit_traffic = EXIT_TRAFFIC_AGGREGATE, .ignore_addrs = &ignore};
	settings = (struct encode_settings){.max_message_size = 262144};
	sequence = (struct encode_sequence){.proc_id = 353457853, .proc_seq = 6};
	ck_assert_int_eq(time_parse("2022-10-13T20:23:09.644Z", &window.start), 0);
	ck_assert_int_eq(time_parse("2022-10-13T20:23:14.644Z", &window.end), 0);
	ck_assert_int_eq(time_parse("2022-10-13T20:23:14.7Z", &client_time), 0);
}

static void teardown(void)
{
	aggregate_free(aggregate);
	routing_free(routing);
	prefix_list_deinit(&ignore);
	messages_deinit(&messages);
}

static struct counts add(const char *src, const char *dst, uint8_t proto, struct counts counts)
{
	struct flow flow = {.connection = test_connection(src, dst, proto), .counts = counts};
	struct flows flows = {.items = &flow, .n = 1};
	struct counts ignored = {99, 99, 99, 99};

	ck_assert_int_eq(aggregate_add_tun(aggregate, &flows, routing, &gathering, &ignored, NULL), 0);
	return ignored;
}

static void add_sock(const char *src, const char *dst, struct counts counts)
{
	struct flow flow = {.connection = test_connection(src, dst, 0), .counts = counts};
	struct flows flows = {.items = &flow, .n = 1};

	ck_assert_int_eq(aggregate_add_sock(aggregate, &flows, NULL), 0);
}

static void encode(void)
{
	messages_deinit(&messages);
	ck_assert_int_eq(encode_window(aggregate, &window, &settings, &sequence, client_time, messages_take,
				       &messages),
			 0);
}

static void expect_message(const char *text)
{
	encode();
	ck_assert_uint_eq(messages.n, 1);
	ck_assert_str_eq(messages.texts[0], text);
}

START_TEST(the_message_of_the_contract)
{
	struct counts tun = {.rx_packets = 12, .rx_bytes = 768};

	settings.node_id = "n123";
	add_sock("100.64.0.2:0", "192.0.2.2:51820", (struct counts){81, 10732, 0, 0});
	add("8.8.8.8:53", "9.9.9.9:53", 17, (struct counts){1, 60, 0, 0});
	add("100.64.0.1:1", "10.1.2.3:80", 6, (struct counts){0, 0, 3, 180});
	add("100.64.0.1:22", "100.64.0.2:42912", 6, (struct counts){80, 8140, 52, 5164});
	aggregate_add_overflow(aggregate, &tun, NULL);
	expect_message(
		LOGTAIL
		",\"nodeId\":\"n123\"" WINDOW
		",\"virtualTraffic\":[{\"proto\":6,\"src\":\"100.64.0.1:22\",\"dst\":\"100.64.0.2:42912\","
		"\"txPkts\":80,\"txBytes\":8140,\"rxPkts\":52,\"rxBytes\":5164}]"
		",\"subnetTraffic\":[{\"proto\":6,\"src\":\"100.64.0.1:1\",\"dst\":\"10.1.2.3:80\","
		"\"rxPkts\":3,\"rxBytes\":180}]"
		",\"exitTraffic\":[{\"proto\":0,\"src\":\"\",\"dst\":\"\",\"txPkts\":1,\"txBytes\":60}]"
		",\"physicalTraffic\":[{\"proto\":0,\"src\":\"100.64.0.2:0\",\"dst\":\"192.0.2.2:51820\","
		"\"txPkts\":81,\"txBytes\":10732}]"
		",\"overflow\":{\"tun\":{\"rxPkts\":12,\"rxBytes\":768}}}");
	ck_assert_uint_eq(sequence.proc_seq, 7);
	ck_assert_uint_eq(aggregate_connections(aggregate), 4);
}
END_TEST

START_TEST(a_window_with_nothing_makes_no_message)
{
	struct counts nothing = {};

	ck_assert(aggregate_is_empty(aggregate));
	aggregate_add_overflow(aggregate, &nothing, NULL);
	add("100.64.0.1:1", "100.64.0.2:2", 6, nothing);
	add_sock("100.64.0.2:0", "192.0.2.2:51820", nothing);
	ck_assert(aggregate_is_empty(aggregate));
	encode();
	ck_assert_uint_eq(messages.n, 0);
	ck_assert_uint_eq(sequence.proc_seq, 6);
}
END_TEST

START_TEST(overflow_alone_makes_a_message)
{
	struct counts tun = {1, 2, 3, 4}, sock = {.tx_packets = 5};

	aggregate_add_overflow(aggregate, &tun, &sock);
	aggregate_add_overflow(aggregate, &tun, NULL);
	ck_assert(!aggregate_is_empty(aggregate));
	expect_message(LOGTAIL WINDOW ",\"overflow\":{\"tun\":{\"txPkts\":2,\"txBytes\":4,\"rxPkts\":6,"
				      "\"rxBytes\":8},\"sock\":{\"txPkts\":5}}}");
	aggregate_reset(aggregate);
	ck_assert(aggregate_is_empty(aggregate));
	sequence.proc_seq = 6;
	aggregate_add_overflow(aggregate, NULL, &sock);
	expect_message(LOGTAIL WINDOW ",\"overflow\":{\"sock\":{\"txPkts\":5}}}");
}
END_TEST

START_TEST(the_largest_counts)
{
	struct counts largest = {COUNT_MAX, COUNT_MAX, COUNT_MAX, COUNT_MAX};
	struct counts tun, sock;

	add("[fd7a:115c:a1e0:ffff:ffff:ffff:ffff:ffff]:65535",
	    "[fd7a:115c:a1e0:eeee:eeee:eeee:eeee:eeee]:65535", 255, largest);
	add("[fd7a:115c:a1e0:ffff:ffff:ffff:ffff:ffff]:65535",
	    "[fd7a:115c:a1e0:eeee:eeee:eeee:eeee:eeee]:65535", 255, (struct counts){1, 1, 1, 1});
	aggregate_add_overflow(aggregate, &largest, &largest);
	aggregate_add_overflow(aggregate, &largest, &largest);
	expect_message(
		LOGTAIL WINDOW
		",\"virtualTraffic\":[{\"proto\":255,"
		"\"src\":\"[fd7a:115c:a1e0:ffff:ffff:ffff:ffff:ffff]:65535\","
		"\"dst\":\"[fd7a:115c:a1e0:eeee:eeee:eeee:eeee:eeee]:65535\","
		"\"txPkts\":9223372036854775807,\"txBytes\":9223372036854775807,"
		"\"rxPkts\":9223372036854775807,\"rxBytes\":9223372036854775807}]"
		",\"overflow\":{\"tun\":{\"txPkts\":9223372036854775807,\"txBytes\":9223372036854775807,"
		"\"rxPkts\":9223372036854775807,\"rxBytes\":9223372036854775807},"
		"\"sock\":{\"txPkts\":9223372036854775807,\"txBytes\":9223372036854775807,"
		"\"rxPkts\":9223372036854775807,\"rxBytes\":9223372036854775807}}}");
	aggregate_get_sums(aggregate, &tun, &sock);
	ck_assert(counts_equal(&tun, &largest));
	ck_assert(counts_is_zero(&sock));
}
END_TEST

START_TEST(equal_connections_of_a_class_are_one_entry)
{
	struct flow flows_items[] = {
		{test_connection("100.64.0.1:1", "100.64.0.2:2", 6), {1, 10, 0, 0}},
		{test_connection("100.64.0.1:1", "100.64.0.2:2", 17), {7, 70, 0, 0}},
		{test_connection("100.64.0.1:1", "100.64.0.2:2", 6), {0, 0, 2, 20}},
	};
	struct flows flows = {.items = flows_items, .n = 3};

	ck_assert_int_eq(aggregate_add_tun(aggregate, &flows, routing, &gathering, NULL, NULL), 0);
	add("100.64.0.1:1", "100.64.0.2:2", 6, (struct counts){3, 30, 0, 0});
	/* The same text in another class is another entry. */
	add_sock("100.64.0.1:1", "100.64.0.2:2", (struct counts){1, 1, 1, 1});
	add_sock("100.64.0.1:1", "100.64.0.2:2", (struct counts){1, 1, 1, 1});
	ck_assert_uint_eq(aggregate_connections(aggregate), 3);
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
		{test_connection("100.64.0.1:1", "100.64.0.2:1", 6), {1, 10, 0, 0}},
		{test_connection("100.64.0.1:1", "100.64.0.2:2", 6), {1, 10, 0, 0}},
		{test_connection("100.64.0.1:1", "100.64.0.2:3", 6), {5, 50, 6, 60}},
		{test_connection("100.64.0.1:1", "100.64.0.2:1", 6), {1, 10, 0, 0}},
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
	struct flow flow = {test_connection("100.64.0.1:1", "100.64.0.2:2", 6), {2, 20, 0, 0}};
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

static void add_exit_traffic(void)
{
	add("100.64.0.1:1000", "8.8.8.8:53", 17, (struct counts){1, 10, 0, 0});
	add("100.64.0.1:1001", "8.8.4.4:443", 6, (struct counts){0, 0, 2, 20});
	add("1.1.1.1:53", "100.64.0.2:7", 17, (struct counts){4, 40, 0, 0});
	add("1.1.1.1:53", "9.9.9.9:7", 17, (struct counts){8, 80, 0, 0});
	add("", "", 0, (struct counts){16, 160, 0, 0});
}

START_TEST(exit_aggregate)
{
	add_exit_traffic();
	expect_message(LOGTAIL WINDOW
		       ",\"exitTraffic\":[{\"proto\":0,\"src\":\"\",\"dst\":\"\",\"txPkts\":29,"
		       "\"txBytes\":290,\"rxPkts\":2,\"rxBytes\":20}]}");
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
	ck_assert_uint_eq(aggregate_connections(aggregate), 2);
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

START_TEST(sorted_as_numbers)
{
	/* in the order that is expected */
	static const char *const ends[][2] = {
		{"", ""},
		{"", "9.0.0.1:1"},
		{"9.0.0.1:10", "10.0.0.1:2"},
		{"10.0.0.1:9", "10.0.0.1:2"},
		{"10.0.0.1:10", "10.0.0.1:2"},
		{"10.0.0.1:10", "10.0.0.1:10"},
		{"10.0.0.1:10", "10.0.0.1:256"},
		{"10.0.0.1:10", "100.0.0.1:1"},
		{"10.0.0.1:10", "[::1]:1"},
		{"10.0.0.1:256", "10.0.0.1:2"},
		{"10.0.1.0:1", "10.0.0.1:2"},
		{"200.0.0.1:1", "10.0.0.1:2"},
		{"[::]:1", "10.0.0.1:2"},
		{"[::ffff:1.2.3.4]:1", "10.0.0.1:2"},
		{"[2001:db8::1]:1", "10.0.0.1:2"},
		{"[fe80::1]:1", "10.0.0.1:2"},
	};
	json_t *json, *list;

	gathering.exit_traffic = EXIT_TRAFFIC_FULL;
	for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
		size_t at = i * 7 % ARRAY_SIZE(ends);

		add_sock(ends[at][0], ends[at][1], (struct counts){.tx_packets = at + 1});
	}
	encode();
	ck_assert_uint_eq(messages.n, 1);
	json = messages_json(&messages, 0);
	list = json_object_get(json, "physicalTraffic");
	ck_assert_uint_eq(json_array_size(list), ARRAY_SIZE(ends));
	for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
		json_t *entry = json_array_get(list, i);

		ck_assert_str_eq(json_string_value(json_object_get(entry, "src")), ends[i][0]);
		ck_assert_str_eq(json_string_value(json_object_get(entry, "dst")), ends[i][1]);
		ck_assert_int_eq(json_integer_value(json_object_get(entry, "txPkts")), (int)i + 1);
	}
	json_decref(json);
}
END_TEST

START_TEST(a_port_without_an_address_counts_for_nothing)
{
	struct flow flows_items[] = {
		{test_connection("", "192.0.2.1:5", 0), {1, 10, 0, 0}},
		{test_connection("", "192.0.2.1:5", 0), {2, 20, 0, 0}},
	};
	struct flows flows = {.items = flows_items, .n = 2};

	flows_items[1].connection.src.port = 77;
	ck_assert_int_eq(aggregate_add_sock(aggregate, &flows, NULL), 0);
	expect_message(LOGTAIL WINDOW
		       ",\"physicalTraffic\":[{\"proto\":0,\"src\":\"\",\"dst\":\"192.0.2.1:5\","
		       "\"txPkts\":3,\"txBytes\":30}]}");
}
END_TEST

START_TEST(node_id_is_escaped)
{
	settings.node_id = "a\"b\\c\n\xff";
	add_sock("", "192.0.2.1:5", (struct counts){.tx_bytes = 1});
	expect_message(LOGTAIL ",\"nodeId\":\"a\\\"b\\\\c\\n\xef\xbf\xbd\"" WINDOW
			       ",\"physicalTraffic\":[{\"proto\":0,\"src\":\"\",\"dst\":\"192.0.2.1:5\","
			       "\"txBytes\":1}]}");
}
END_TEST

START_TEST(encoding_leaves_the_entries)
{
	_cleanup_free_ char *first = NULL;

	add_exit_traffic();
	encode();
	first = strdup(messages.texts[0]);
	sequence.proc_seq = 6;
	expect_message(first);
	aggregate_reset(aggregate);
	encode();
	ck_assert_uint_eq(messages.n, 0);
}
END_TEST

START_TEST(text_messages)
{
	_cleanup_buffer_ struct buffer message = {};

	ck_assert_int_eq(encode_text(&message, &sequence, client_time, "started \"0.1\""), 0);
	ck_assert_int_eq(buffer_error(&message), 0);
	buffer_append_char(&message, '\0');
	ck_assert_str_eq(message.data, LOGTAIL ",\"text\":\"netlogd: started \\\"0.1\\\"\"}");
	ck_assert_uint_eq(sequence.proc_seq, 7);
}
END_TEST

START_TEST(long_text_messages_are_cut_between_characters)
{
	_cleanup_buffer_ struct buffer message = {};
	char text[2 * ENCODE_TEXT_MAX], *end;
	size_t n;

	/* One byte, then characters of two: the bound falls into one. */
	for (n = 1; n + 2 < sizeof(text); n += 2)
		memcpy(text + n, "\xc3\xa4", 2);
	text[0] = 'x';
	text[n] = '\0';
	ck_assert_int_eq(encode_text(&message, &sequence, client_time, text), 0);
	buffer_append_char(&message, '\0');
	end = strstr(message.data, "netlogd: x");
	ck_assert_ptr_nonnull(end);
	ck_assert_uint_eq(strlen(end), strlen("netlogd: ") + ENCODE_TEXT_MAX - 1 + strlen("\"}"));
	ck_assert_str_eq(end + strlen(end) - 4, "\xc3\xa4\"}");

	/* The worst to escape still fits into the smallest message. */
	memset(text, '\x01', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	buffer_reset(&message);
	ck_assert_int_eq(encode_text(&message, &sequence, client_time, text), 0);
	ck_assert_uint_le(message.length, ENCODE_MESSAGE_MIN);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("record");
	TCase *cases = tcase_create("messages");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(cases, setup, teardown);
	tcase_add_test(cases, the_message_of_the_contract);
	tcase_add_test(cases, a_window_with_nothing_makes_no_message);
	tcase_add_test(cases, overflow_alone_makes_a_message);
	tcase_add_test(cases, the_largest_counts);
	tcase_add_test(cases, equal_connections_of_a_class_are_one_entry);
	tcase_add_test(cases, a_connection_may_be_in_two_classes);
	tcase_add_test(cases, exit_aggregate);
	tcase_add_test(cases, exit_aggregate_stands_outside_the_bound);
	tcase_add_test(cases, exit_anonymize);
	tcase_add_test(cases, exit_full);
	tcase_add_test(cases, ignored_by_destination_alone);
	tcase_add_test(cases, many_ignored_addresses);
	tcase_add_test(cases, sums_per_layer);
	tcase_add_test(cases, sorted_as_numbers);
	tcase_add_test(cases, a_port_without_an_address_counts_for_nothing);
	tcase_add_test(cases, node_id_is_escaped);
	tcase_add_test(cases, beyond_the_bound_is_overflow);
	tcase_add_test(cases, encoding_leaves_the_entries);
	tcase_add_test(cases, text_messages);
	tcase_add_test(cases, long_text_messages_are_cut_between_characters);
	suite_add_tcase(suite, cases);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
