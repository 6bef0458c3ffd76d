/* SPDX-License-Identifier: BSD-3-Clause */
/* The exact text of messages: members, order, largest counts, escapes; and text messages. */

#include "daemon/record/encode.h"

#include "tests/unit/daemon/record/exact.h"

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
	ck_assert_uint_eq(aggregate_entries(aggregate), 4);
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
		{.connection = test_connection("", "192.0.2.1:5", 0), .counts = {1, 10, 0, 0}},
		{.connection = test_connection("", "192.0.2.1:5", 0), .counts = {2, 20, 0, 0}},
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

struct taken {
	size_t n;
	uint64_t tx_bytes;
	char source[ADDRESS_TEXT_MAX];
};

static void take(const struct entry *entry, void *userdata)
{
	struct taken *taken = userdata;
	struct address address;

	memcpy(&address, entry->key.bytes + ENTRY_SRC, sizeof(address));
	address_format(&address, taken->source);
	taken->tx_bytes += entry->counts.tx_bytes;
	taken->n++;
}

START_TEST(sums_are_of_what_is_in_messages)
{
	struct encode_sums sums = {};
	struct taken taken = {};

	settings.sums = &sums;
	settings.take_physical = take;
	settings.take_userdata = &taken;
	/* Many messages: what does not fit into one any more counts once all the same. */
	settings.max_message_size = ENCODE_MESSAGE_MIN;
	gathering.details = true;
	for (unsigned int i = 0; i < 100; i++) {
		char dst[32];

		snprintf(dst, sizeof(dst), "100.64.0.2:%u", i + 1);
		add_details("100.64.0.1:1", dst, (struct counts){1, 2, 3, 4}, (struct details){.starts = 2});
	}
	add("100.64.0.1:1", "10.1.2.3:80", 6, (struct counts){0, 0, 3, 180});
	add("8.8.8.8:53", "9.9.9.9:53", 17, (struct counts){1, 60, 0, 0});
	add_sock("100.64.0.9:0", "192.0.2.2:51820", (struct counts){81, 10732, 0, 0});
	add_sock("100.64.0.9:0", "192.0.2.3:51820", (struct counts){1, 100, 0, 5});
	encode();
	ck_assert_uint_ge(messages.n, 2);
	ck_assert(counts_equal(&sums.counts[CLASS_VIRTUAL], &(struct counts){100, 200, 300, 400}));
	ck_assert_uint_eq(sums.entries[CLASS_VIRTUAL], 100);
	ck_assert_uint_eq(sums.starts[CLASS_VIRTUAL], 200);
	ck_assert(counts_equal(&sums.counts[CLASS_SUBNET], &(struct counts){0, 0, 3, 180}));
	ck_assert(counts_equal(&sums.counts[CLASS_EXIT], &(struct counts){1, 60, 0, 0}));
	ck_assert_uint_eq(sums.starts[CLASS_EXIT], 0);
	ck_assert(counts_equal(&sums.counts[CLASS_PHYSICAL], &(struct counts){82, 10832, 0, 5}));
	ck_assert_uint_eq(sums.entries[CLASS_PHYSICAL], 2);
	ck_assert_uint_eq(taken.n, 2);
	ck_assert_uint_eq(taken.tx_bytes, 10832);
	ck_assert_str_eq(taken.source, "100.64.0.9");
}
END_TEST

START_TEST(text_messages)
{
	_cleanup_buffer_ struct buffer message = {};

	ck_assert_int_eq(encode_text(&message, &sequence, client_time, "started \"0.1\"", NULL), 0);
	ck_assert_int_eq(buffer_error(&message), 0);
	buffer_append_char(&message, '\0');
	ck_assert_str_eq(message.data, LOGTAIL ",\"text\":\"netlogd: started \\\"0.1\\\"\"}");
	ck_assert_uint_eq(sequence.proc_seq, 7);
}
END_TEST

START_TEST(text_messages_with_an_event)
{
	_cleanup_buffer_ struct buffer message = {};
	char long_text[ENCODE_MESSAGE_MIN], control[ENCODE_TEXT_MAX + 1];
	json_t *event = json_pack("{sssi}", "type", "heartbeat", "silentSeconds", 900);

	ck_assert_int_eq(encode_text(&message, &sequence, client_time, "running", event), 0);
	buffer_append_char(&message, '\0');
	ck_assert_str_eq(message.data, LOGTAIL ",\"text\":\"netlogd: running\","
					       "\"event\":{\"type\":\"heartbeat\",\"silentSeconds\":900}}");

	/* One that is too large: its type alone, also behind the longest text. */
	memset(long_text, 'x', sizeof(long_text) - 1);
	long_text[sizeof(long_text) - 1] = '\0';
	json_object_set_new(event, "peer", json_string(long_text));
	memset(control, '\x01', sizeof(control) - 1);
	control[sizeof(control) - 1] = '\0';
	buffer_reset(&message);
	ck_assert_int_eq(encode_text(&message, &sequence, client_time, control, event), 0);
	ck_assert_uint_le(message.length, ENCODE_MESSAGE_MIN);
	buffer_append_char(&message, '\0');
	ck_assert_ptr_nonnull(strstr(message.data, "\",\"event\":{\"type\":\"heartbeat\"}}"));
	json_decref(event);
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
	ck_assert_int_eq(encode_text(&message, &sequence, client_time, text, NULL), 0);
	buffer_append_char(&message, '\0');
	end = strstr(message.data, "netlogd: x");
	ck_assert_ptr_nonnull(end);
	ck_assert_uint_eq(strlen(end), strlen("netlogd: ") + ENCODE_TEXT_MAX - 1 + strlen("\"}"));
	ck_assert_str_eq(end + strlen(end) - 4, "\xc3\xa4\"}");

	/* The worst to escape still fits into the smallest message. */
	memset(text, '\x01', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	buffer_reset(&message);
	ck_assert_int_eq(encode_text(&message, &sequence, client_time, text, NULL), 0);
	ck_assert_uint_le(message.length, ENCODE_MESSAGE_MIN);
}
END_TEST

static const char *drop_reason(uint16_t reason)
{
	static const char *const names[] = {
		"NO_SOCKET", "A_NAME_OF_SEVENTY_LETTERS_WHICH_NO_KERNEL_HAS_BUT_A_MODULE_MAY_HAVE_XYZ"};

	return reason == 7 || reason == 8 ? names[reason - 7] : NULL;
}

START_TEST(details_come_after_the_counts)
{
	const struct counts counts = {1, 60, 0, 0};
	const struct details all = {.starts = 2,
				    .ends = 1,
				    .tx_drops = 3,
				    .rx_drops = UINT32_MAX,
				    .drop_reason = 7,
				    .tx_flags = 27,
				    .rx_flags = 255,
				    .opener = OPENER_SRC};

	gathering.details = true;
	settings.drop_reason_name = drop_reason;
	add_details("100.64.0.1:1", "100.64.0.2:1", counts, all);
	add_details("100.64.0.1:1", "100.64.0.2:2", counts, (struct details){.opener = OPENER_DST});
	/* Neither of two ends opened it. */
	add_details("100.64.0.1:1", "100.64.0.2:3", counts,
		    (struct details){.opener = OPENER_BOTH, .ends = 1});
	add_details("100.64.0.1:1", "100.64.0.2:4", counts,
		    (struct details){.opener = OPENER_SRC, .bits = DETAILS_OPENERS_DIFFER, .starts = 2});
	/* Only drops are known, */
	add_details("100.64.0.1:1", "100.64.0.2:5", (struct counts){},
		    (struct details){.tx_drops = 1, .drop_reason = 8});
	/* and not why. */
	add_details("100.64.0.1:1", "100.64.0.2:6", (struct counts){},
		    (struct details){.rx_drops = 1, .drop_reason = 9});
	add_details("100.64.0.1:1", "100.64.0.2:7", (struct counts){}, (struct details){});
#define ENTRY(port) "{\"proto\":6,\"src\":\"100.64.0.1:1\",\"dst\":\"100.64.0.2:" port "\""
#define COUNTS	    ",\"txPkts\":1,\"txBytes\":60"
	expect_message(
		LOGTAIL WINDOW ",\"virtualTraffic\":[" ENTRY("1") COUNTS
		",\"init\":\"src\",\"starts\":2,\"ends\":1,\"txFlags\":27,\"rxFlags\":255,"
		"\"txDrops\":3,\"rxDrops\":4294967295,\"dropReason\":\"NO_SOCKET\"}," ENTRY("2") COUNTS
		",\"init\":\"dst\"}," ENTRY("3") COUNTS ",\"ends\":1}," ENTRY("4") COUNTS
		",\"starts\":2}," ENTRY(
			"5") ",\"txDrops\":1,\"dropReason\":\""
			     "A_NAME_OF_SEVENTY_LETTERS_WHICH_NO_KERNEL_HAS_BUT_A_MODULE_MAY_H\"}," ENTRY(
				     "6") ",\"rxDrops\":1}]}");
}
END_TEST

START_TEST(no_details_without_the_setting)
{
	add_details("100.64.0.1:1", "100.64.0.2:1", (struct counts){1, 60, 0, 0},
		    (struct details){.starts = 1, .tx_flags = 2});
	add_details("100.64.0.1:1", "100.64.0.2:2", (struct counts){}, (struct details){.tx_drops = 1});
	expect_message(LOGTAIL WINDOW ",\"virtualTraffic\":[" ENTRY("1") COUNTS "}]}");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("encode");
	TCase *cases = tcase_create("encode");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(cases, setup, teardown);
	tcase_add_test(cases, the_message_of_the_contract);
	tcase_add_test(cases, a_window_with_nothing_makes_no_message);
	tcase_add_test(cases, overflow_alone_makes_a_message);
	tcase_add_test(cases, the_largest_counts);
	tcase_add_test(cases, sorted_as_numbers);
	tcase_add_test(cases, a_port_without_an_address_counts_for_nothing);
	tcase_add_test(cases, node_id_is_escaped);
	tcase_add_test(cases, encoding_leaves_the_entries);
	tcase_add_test(cases, details_come_after_the_counts);
	tcase_add_test(cases, no_details_without_the_setting);
	tcase_add_test(cases, sums_are_of_what_is_in_messages);
	tcase_add_test(cases, text_messages);
	tcase_add_test(cases, text_messages_with_an_event);
	tcase_add_test(cases, long_text_messages_are_cut_between_characters);
	suite_add_tcase(suite, cases);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
