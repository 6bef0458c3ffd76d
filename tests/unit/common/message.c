/* SPDX-License-Identifier: BSD-3-Clause */
/* Messages read back: heads, entries, and what is refused. */

#include "common/message.h"
#include "common/cleanup.h"
#include "common/time_text.h"
#include "tests/unit/common/support.h"

#include <errno.h>
#include <string.h>

/* A message with every member of SPEC. */
static const char whole[] =
	"{\"logtail\":{\"client_time\":\"2022-10-13T20:23:14.7Z\",\"proc_id\":353457853,\"proc_seq\":7},"
	"\"nodeId\":\"n123\",\"start\":\"2022-10-13T20:23:09.644Z\",\"end\":\"2022-10-13T20:23:14.644Z\","
	"\"srcNode\":{\"nodeId\":\"n123\",\"name\":\"a.example.net\",\"addresses\":[\"100.64.0.1\"]},"
	"\"dstNodes\":[{\"nodeId\":\"n124\",\"addresses\":[\"100.64.0.2\",\"fd7a:115c:a1e0::2\"],\"tags\":[\"tag:x\"]}],"
	"\"virtualTraffic\":[{\"proto\":6,\"src\":\"100.64.0.1:22\",\"dst\":\"100.64.0.2:42912\",\"txPkts\":80,"
	"\"txBytes\":8140,\"rxPkts\":52,\"rxBytes\":5164},"
	"{\"proto\":17,\"src\":\"[fd7a:115c:a1e0::1]:53\",\"dst\":\"[fd7a:115c:a1e0::2]:1\",\"rxBytes\":1}],"
	"\"exitTraffic\":[{\"proto\":0,\"src\":\"\",\"dst\":\"\",\"txPkts\":1,\"txBytes\":9223372036854775807}],"
	"\"physicalTraffic\":[{\"proto\":0,\"src\":\"100.64.0.2:0\",\"dst\":\"192.0.2.2:51820\",\"txPkts\":81,"
	"\"txBytes\":10732}],"
	"\"overflow\":{\"tun\":{\"rxPkts\":12,\"rxBytes\":768},\"sock\":{\"txPkts\":1}}}";

static int64_t time_of(const char *text)
{
	int64_t wall;

	ck_assert_int_eq(time_parse(text, &wall), 0);
	return wall;
}

START_TEST(test_head)
{
	struct message message;

	ck_assert_int_eq(message_parse(whole, strlen(whole), &message), 0);
	ck_assert_int_eq(message.client_time, time_of("2022-10-13T20:23:14.7Z"));
	ck_assert_uint_eq(message.proc_id, 353457853);
	ck_assert_uint_eq(message.proc_seq, 7);
	ck_assert_str_eq(message.node_id, "n123");
	ck_assert(message.has_window);
	ck_assert_int_eq(message.start, time_of("2022-10-13T20:23:09.644Z"));
	ck_assert_int_eq(message.end, time_of("2022-10-13T20:23:14.644Z"));
	ck_assert_ptr_null(message.text);
	ck_assert(message_is_known(&message));
	ck_assert_uint_eq(json_array_size(message.dst_nodes), 1);
	ck_assert(counts_equal(&message.overflow_tun, &(struct counts){.rx_packets = 12, .rx_bytes = 768}));
	ck_assert(counts_equal(&message.overflow_sock, &(struct counts){.tx_packets = 1}));
	message_deinit(&message);
}
END_TEST

static void assert_entry(struct message_entries *entries, enum traffic_class class, const char *src,
			 const char *dst, unsigned int proto, const struct counts *counts)
{
	char src_text[ENDPOINT_TEXT_MAX], dst_text[ENDPOINT_TEXT_MAX];
	enum traffic_class actual;
	struct flow flow;

	ck_assert_int_eq(message_entries_next(entries, &actual, &flow), 1);
	ck_assert_int_eq(actual, class);
	endpoint_format(&flow.connection.src, src_text);
	endpoint_format(&flow.connection.dst, dst_text);
	ck_assert_str_eq(src_text, src);
	ck_assert_str_eq(dst_text, dst);
	ck_assert_uint_eq(flow.connection.proto, proto);
	ck_assert(counts_equal(&flow.counts, counts));
}

START_TEST(test_entries)
{
	struct message_entries entries;
	enum traffic_class class;
	struct message message;
	struct flow flow;

	ck_assert_int_eq(message_parse(whole, strlen(whole), &message), 0);
	entries = message_entries(&message);
	assert_entry(&entries, CLASS_VIRTUAL, "100.64.0.1:22", "100.64.0.2:42912", 6,
		     &(struct counts){80, 8140, 52, 5164});
	assert_entry(&entries, CLASS_VIRTUAL, "[fd7a:115c:a1e0::1]:53", "[fd7a:115c:a1e0::2]:1", 17,
		     &(struct counts){.rx_bytes = 1});
	assert_entry(&entries, CLASS_EXIT, "", "", 0, &(struct counts){1, COUNT_MAX, 0, 0});
	assert_entry(&entries, CLASS_PHYSICAL, "100.64.0.2:0", "192.0.2.2:51820", 0,
		     &(struct counts){81, 10732, 0, 0});
	ck_assert_int_eq(message_entries_next(&entries, &class, &flow), 0);
	ck_assert_int_eq(message_entries_next(&entries, &class, &flow), 0);
	message_deinit(&message);
}
END_TEST

START_TEST(test_details)
{
	static const char json[] =
		"{\"virtualTraffic\":["
		"{\"proto\":6,\"src\":\"1.2.3.4:5\",\"dst\":\"1.2.3.4:6\",\"rxPkts\":1,\"init\":\"dst\",\"starts\":4294967295,"
		"\"ends\":2,\"txFlags\":255,\"rxFlags\":4,\"txDrops\":5,\"rxDrops\":6,\"dropReason\":\"NO_SOCKET\"},"
		"{\"proto\":6,\"src\":\"1.2.3.4:5\",\"dst\":\"1.2.3.4:7\",\"init\":\"src\",\"later\":[{}],\"starts\":1},"
		"{\"proto\":6,\"src\":\"1.2.3.4:5\",\"dst\":\"1.2.3.4:8\"}]}";
	const struct details first = {.starts = UINT32_MAX,
				      .ends = 2,
				      .tx_drops = 5,
				      .rx_drops = 6,
				      .tx_flags = 255,
				      .rx_flags = 4,
				      .opener = OPENER_DST};
	const struct details second = {.starts = 1, .opener = OPENER_SRC};
	struct message_entries entries;
	enum traffic_class class;
	struct message message;
	struct flow flow;

	ck_assert_int_eq(message_parse(json, strlen(json), &message), 0);
	entries = message_entries(&message);
	ck_assert_int_eq(message_entries_next(&entries, &class, &flow), 1);
	ck_assert_mem_eq(&flow.details, &first, sizeof(first));
	ck_assert_uint_eq(entries.drop_reason.length, 9);
	ck_assert_mem_eq(entries.drop_reason.data, "NO_SOCKET", 9);
	ck_assert_int_eq(message_entries_next(&entries, &class, &flow), 1);
	ck_assert_mem_eq(&flow.details, &second, sizeof(second));
	ck_assert_uint_eq(entries.drop_reason.length, 0);
	ck_assert_int_eq(message_entries_next(&entries, &class, &flow), 1);
	ck_assert_mem_eq(&flow.details, &(struct details){}, sizeof(second));
	ck_assert_int_eq(message_entries_next(&entries, &class, &flow), 0);
	message_deinit(&message);
}
END_TEST

START_TEST(test_text)
{
	static const char json[] =
		" { \"logtail\" : {\"client_time\":\"2022-10-13T20:23:14Z\",\"proc_id\":1},\r\n"
		"\t\"more\":[{\"a\":[1,-2.5e+3,null,{\"b\":\"\\u00e4\\\"]\"}]},true],"
		"\"text\":\"netlogd: \\u00e4 \\\"x\\\"\"} \n";
	struct message_entries entries;
	enum traffic_class class;
	struct message message;
	struct flow flow;

	ck_assert_int_eq(message_parse(json, strlen(json), &message), 0);
	ck_assert_str_eq(message.text, "netlogd: \u00e4 \"x\"");
	ck_assert(!message.has_window);
	ck_assert(message_is_known(&message));
	ck_assert_uint_eq(message.proc_seq, 0);
	entries = message_entries(&message);
	ck_assert_int_eq(message_entries_next(&entries, &class, &flow), 0);
	message_deinit(&message);
}
END_TEST

/* Every message cut short is refused; *ret_message stays as it was. */
START_TEST(test_cut)
{
	for (size_t n = 0; n < strlen(whole); n++) {
		_cleanup_free_ char *part = malloc(n ? n : 1);
		struct message message = {.proc_seq = 42};

		memcpy(part, whole, n);
		ck_assert_int_eq(message_parse(part, n, &message), -EBADMSG);
		ck_assert_uint_eq(message.proc_seq, 42);
		ck_assert_ptr_null(message.node_id);
	}
}
END_TEST

static const char *const wrong_messages[] = {
	"",
	"[]",
	"null",
	"\"text\"",
	"{}x",
	"{,}",
	"{\"text\":\"a\",}",
	"{\"text\":1}",
	"{\"text\":\"a\",\"text\":\"b\"}",
	"{\"text\":\"\\ud800\"}",
	"{\"text\":\"\xff\"}",
	"{\"nodeId\":null}",
	"{\"nodeId\":\"a\",\"start\":\"2022-10-13T20:23:14Z\"}",
	"{\"start\":\"today\",\"end\":\"2022-10-13T20:23:14Z\"}",
	"{\"start\":5,\"end\":6}",
	"{\"logtail\":[]}",
	"{\"logtail\":{\"proc_id\":4294967296}}",
	"{\"logtail\":{\"proc_id\":-1}}",
	"{\"logtail\":{\"proc_seq\":1.0}}",
	"{\"logtail\":{\"proc_seq\":01}}",
	"{\"logtail\":{\"proc_seq\":9223372036854775808}}",
	"{\"virtualTraffic\":{}}",
	"{\"virtualTraffic\":[1,]}",
	"{\"virtualTraffic\":[],\"virtualTraffic\":[]}",
	"{\"overflow\":{\"tun\":[]}}",
	"{\"srcNode\":[]}",
	"{\"dstNodes\":{}}",
	"{\"x\":tru}",
	"{\"x\":\"\\x\"}",
	"{\"x\":\"\t\"}",
	"{\"x\":+1}",
	"{\"x\":.5}",
	"{\"x\":1.}",
	"{\"x\":1e}",
	"{\"x\":-}",
	"{x:1}",
	"{\"x\":[1}",
};

START_TEST(test_wrong_messages)
{
	struct message message;
	const char *text = wrong_messages[_i];

	ck_assert_msg(message_parse(text, strlen(text), &message) == -EBADMSG, "%s", text);
}
END_TEST

static const char *const wrong_entries[] = {
	"1",
	"{}",
	"{\"proto\":6,\"src\":\"1.2.3.4:5\"}",
	"{\"proto\":256,\"src\":\"\",\"dst\":\"\"}",
	"{\"proto\":-1,\"src\":\"\",\"dst\":\"\"}",
	"{\"proto\":\"6\",\"src\":\"\",\"dst\":\"\"}",
	"{\"proto\":6,\"proto\":6,\"src\":\"\",\"dst\":\"\"}",
	"{\"proto\":6,\"src\":\"1.2.3.4\",\"dst\":\"\"}",
	"{\"proto\":6,\"src\":\"1.2.3.4:\\u0035\",\"dst\":\"\"}",
	"{\"proto\":6,\"src\":null,\"dst\":\"\"}",
	"{\"proto\":6,\"src\":\"\",\"dst\":\"\",\"txPkts\":-1}",
	"{\"proto\":6,\"src\":\"\",\"dst\":\"\",\"rxPkts\":1.5}",
	"{\"proto\":6,\"src\":\"\",\"dst\":\"\",\"rxBytes\":1,\"rxBytes\":1}",
	"{\"proto\":6,\"src\":\"\",\"dst\":\"\",\"txBytes\":9223372036854775808}",
	"{\"proto\":6,\"src\":\"\",\"dst\":\"\",\"init\":\"both\"}",
	"{\"proto\":6,\"src\":\"\",\"dst\":\"\",\"init\":1}",
	"{\"proto\":6,\"src\":\"\",\"dst\":\"\",\"init\":\"src\",\"init\":\"src\"}",
	"{\"proto\":6,\"src\":\"\",\"dst\":\"\",\"starts\":4294967296}",
	"{\"proto\":6,\"src\":\"\",\"dst\":\"\",\"ends\":-1}",
	"{\"proto\":6,\"src\":\"\",\"dst\":\"\",\"ends\":1,\"starts\":1,\"ends\":1}",
	"{\"proto\":6,\"src\":\"\",\"dst\":\"\",\"txFlags\":256}",
	"{\"proto\":6,\"src\":\"\",\"dst\":\"\",\"rxFlags\":\"1\"}",
	"{\"proto\":6,\"src\":\"\",\"dst\":\"\",\"rxDrops\":1,\"rxDrops\":1}",
	"{\"proto\":6,\"src\":\"\",\"dst\":\"\",\"txDrops\":1.5}",
	"{\"proto\":6,\"src\":\"\",\"dst\":\"\",\"dropReason\":7}",
	"{\"proto\":6,\"src\":\"\",\"dst\":\"\",\"dropReason\":\"A\",\"dropReason\":\"A\"}",
	"{\"proto\":6,\"src\":\"\",\"dst\":\"\",\"dropReason\":\"\\u0041\"}",
};

START_TEST(test_wrong_entries)
{
	_cleanup_free_ char *text = NULL;
	struct message_entries entries;
	enum traffic_class class;
	struct message message;
	struct flow flow;

	ck_assert_int_gt(
		asprintf(&text,
			 "{\"subnetTraffic\":[{\"proto\":1,\"src\":\"\",\"dst\":\"\",\"later\":[]},%s]}",
			 wrong_entries[_i]),
		0);
	ck_assert_int_eq(message_parse(text, strlen(text), &message), 0);
	entries = message_entries(&message);
	ck_assert_int_eq(message_entries_next(&entries, &class, &flow), 1);
	ck_assert_int_eq(class, CLASS_SUBNET);
	ck_assert_msg(message_entries_next(&entries, &class, &flow) == -EBADMSG, "%s", text);
	ck_assert_int_eq(message_entries_next(&entries, &class, &flow), -EBADMSG);
	message_deinit(&message);
}
END_TEST

START_TEST(test_depth)
{
	char text[2 * JSON_SCAN_DEPTH_MAX + 16];

	for (int depth = JSON_SCAN_DEPTH_MAX; depth <= JSON_SCAN_DEPTH_MAX + 1; depth++) {
		struct message message;
		int n = 0;

		n += sprintf(text, "{\"x\":");
		for (int i = 0; i < depth; i++)
			text[n++] = '[';
		for (int i = 0; i < depth; i++)
			text[n++] = ']';
		text[n++] = '}';
		if (depth == JSON_SCAN_DEPTH_MAX) {
			ck_assert_int_eq(message_parse(text, (size_t)n, &message), 0);
			ck_assert(!message_is_known(&message));
			message_deinit(&message);
		} else {
			ck_assert_int_eq(message_parse(text, (size_t)n, &message), -EBADMSG);
		}
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("message");
	TCase *test_case = tcase_create("message");

	tcase_add_test(test_case, test_head);
	tcase_add_test(test_case, test_entries);
	tcase_add_test(test_case, test_details);
	tcase_add_test(test_case, test_text);
	tcase_add_test(test_case, test_cut);
	tcase_add_loop_test(test_case, test_wrong_messages, 0, ARRAY_SIZE(wrong_messages));
	tcase_add_loop_test(test_case, test_wrong_entries, 0, ARRAY_SIZE(wrong_entries));
	tcase_add_test(test_case, test_depth);
	suite_add_tcase(suite, test_case);
	return run_suite(suite);
}
