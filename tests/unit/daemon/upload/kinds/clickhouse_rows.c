/* SPDX-License-Identifier: BSD-3-Clause */
/* Rows for ClickHouse: the exact bytes, and what is left out. */

#include "daemon/upload/kinds/clickhouse_rows.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define SPOOL "00112233445566778899aabbccddeeff"

static const struct log_id public_id = {.bytes = {0xab}};

static int add(struct clickhouse_rows *rows, const char *text, const char *loss)
{
	struct spool_message message = {.sequence = 5, .data = text, .length = strlen(text)};
	struct batch_item item = {
		.message = &message,
		.loss = loss,
		.loss_length = loss ? strlen(loss) : 0,
	};

	return clickhouse_rows_add(rows, &item, SPOOL, &public_id);
}

static void check_text(const struct buffer *buffer, const char *expected)
{
	ck_assert_uint_eq(buffer->length, strlen(expected));
	ck_assert_mem_eq(buffer->data, expected, buffer->length);
}

#define HEAD   "{\"node\":\"n\\\"1\",\"spool\":\"" SPOOL "\",\"seq\":5,\"proc_id\":9,\"proc_seq\":7"
#define WINDOW ",\"start\":\"2022-10-13 20:23:09.644\",\"end\":\"2022-10-13 20:23:14\""

START_TEST(test_flows)
{
	struct clickhouse_rows rows = {};

	ck_assert_int_eq(
		add(&rows,
		    "{\"logtail\":{\"client_time\":\"2022-10-13T20:23:14.7Z\",\"proc_id\":9,\"proc_seq\":7},"
		    "\"nodeId\":\"n\\\"1\",\"start\":\"2022-10-13T20:23:09.644Z\",\"end\":\"2022-10-13T20:23:14Z\","
		    "\"virtualTraffic\":[{\"proto\":6,\"src\":\"100.64.0.1:22\",\"dst\":\"[fd7a::2]:42912\","
		    "\"txPkts\":80,\"txBytes\":8140,\"rxPkts\":52,\"rxBytes\":5164}],"
		    "\"exitTraffic\":[{\"proto\":0,\"src\":\"\",\"dst\":\"\",\"txBytes\":9223372036854775807}]}",
		    NULL),
		0);
	check_text(&rows.flows, HEAD WINDOW
		   ",\"class\":\"virtual\",\"proto\":6,\"src\":\"::ffff:100.64.0.1\",\"src_port\":22,"
		   "\"dst\":\"fd7a::2\",\"dst_port\":42912,\"tx_pkts\":80,\"tx_bytes\":8140,\"rx_pkts\":52,"
		   "\"rx_bytes\":5164}\n" HEAD WINDOW
		   ",\"idx\":1,\"class\":\"exit\",\"tx_bytes\":9223372036854775807}\n");
	ck_assert_uint_eq(rows.n_flows, 2);
	ck_assert_uint_eq(rows.n_events, 0);
	clickhouse_rows_deinit(&rows);
}
END_TEST

/* How connections went; what is not known is left out. */
START_TEST(test_details)
{
	struct clickhouse_rows rows = {};

	ck_assert_int_eq(
		add(&rows,
		    "{\"logtail\":{\"client_time\":\"2022-10-13T20:23:14.7Z\",\"proc_id\":9,\"proc_seq\":7},"
		    "\"nodeId\":\"n\\\"1\",\"start\":\"2022-10-13T20:23:09.644Z\",\"end\":\"2022-10-13T20:23:14Z\","
		    "\"virtualTraffic\":[{\"proto\":6,\"src\":\"\",\"dst\":\"\",\"txPkts\":80,\"init\":\"dst\",\"starts\":"
		    "4294967295,\"ends\":4294967294,\"txFlags\":255,\"rxFlags\":18,\"txDrops\":4294967293,"
		    "\"rxDrops\":3,\"dropReason\":\"NETFILTER_DROP\"},"
		    "{\"proto\":6,\"src\":\"\",\"dst\":\"\",\"init\":\"src\"}]}",
		    NULL),
		0);
	check_text(
		&rows.flows, HEAD WINDOW
		",\"class\":\"virtual\",\"proto\":6,\"tx_pkts\":80,\"init\":\"dst\",\"starts\":4294967295,"
		"\"ends\":4294967294,\"tx_flags\":255,\"rx_flags\":18,\"tx_drops\":4294967293,\"rx_drops\":3,"
		"\"drop_reason\":\"NETFILTER_DROP\"}\n" HEAD WINDOW
		",\"idx\":1,\"class\":\"virtual\",\"proto\":6,\"init\":\"src\"}\n");
	ck_assert(rows.has_details);
	clickhouse_rows_reset(&rows);
	ck_assert_int_eq(
		add(&rows,
		    "{\"logtail\":{\"client_time\":\"2022-10-13T20:23:14.7Z\",\"proc_id\":9,\"proc_seq\":7},"
		    "\"start\":\"2022-10-13T20:23:09.644Z\",\"end\":\"2022-10-13T20:23:14Z\","
		    "\"virtualTraffic\":[{\"proto\":6,\"src\":\"\",\"dst\":\"\",\"txPkts\":80}]}",
		    NULL),
		0);
	ck_assert(!rows.has_details);
	clickhouse_rows_deinit(&rows);
}
END_TEST

/* All that a row can hold at once, and a reason that no kernel has. */
START_TEST(test_longest_row)
{
	char text[4096], reason[2001];
	struct clickhouse_rows rows = {};

	memset(reason, 'R', 2000);
	reason[2000] = '\0';
	snprintf(
		text, sizeof(text),
		"{\"logtail\":{\"client_time\":\"2022-10-13T20:23:14.7Z\",\"proc_id\":4294967295,"
		"\"proc_seq\":9223372036854775807},\"start\":\"2022-10-13T20:23:09.123456789Z\","
		"\"end\":\"2022-10-13T20:23:14.123456789Z\","
		"\"physicalTraffic\":[{\"proto\":255,\"src\":\"[2001:1db8:1111:2222:3333:4444:5555:6666]:65535\","
		"\"dst\":\"[2001:1db8:1111:2222:3333:4444:5555:7777]:65535\",\"txPkts\":9223372036854775807,"
		"\"txBytes\":9223372036854775807,\"rxPkts\":9223372036854775807,\"rxBytes\":9223372036854775807,"
		"\"init\":\"dst\",\"starts\":4294967295,\"ends\":4294967295,\"txFlags\":255,\"rxFlags\":255,"
		"\"txDrops\":4294967295,\"rxDrops\":4294967295,\"dropReason\":\"%s\"}]}",
		reason);
	ck_assert_int_eq(add(&rows, text, NULL), 0);
	ck_assert_ptr_nonnull(memmem(rows.flows.data, rows.flows.length,
				     "\"rx_drops\":4294967295,\"drop_reason\":\"R",
				     strlen("\"rx_drops\":4294967295,\"drop_reason\":\"R")));
	ck_assert_mem_eq(rows.flows.data + rows.flows.length - 4, "R\"}\n", 4);
	clickhouse_rows_deinit(&rows);
}
END_TEST

START_TEST(test_text_loss_and_overflow)
{
	struct clickhouse_rows rows = {};

	ck_assert_int_eq(
		add(&rows,
		    "{\"logtail\":{\"client_time\":\"2022-10-13T20:23:14.7Z\",\"proc_id\":9,\"proc_seq\":7},"
		    "\"text\":\"netlogd: started\",\"overflow\":{\"tun\":{\"rxPkts\":12}}}",
		    "{\"logtail\":{\"client_time\":\"2022-10-13T20:23:15Z\",\"proc_id\":8},"
		    "\"text\":\"netlogd: lost 3 messages (9 bytes): spool full\"}"),
		0);
	check_text(
		&rows.events,
		"{\"node\":\"ab00000000000000000000000000000000000000000000000000000000000000\",\"spool\":\"" SPOOL
		"\",\"seq\":5,\"proc_id\":8,\"idx\":1,\"time\":\"2022-10-13 20:23:15\",\"kind\":\"loss\","
		"\"text\":\"netlogd: lost 3 messages (9 bytes): spool full\"}\n"
		"{\"node\":\"ab00000000000000000000000000000000000000000000000000000000000000\",\"spool\":\"" SPOOL
		"\",\"seq\":5,\"proc_id\":9,\"proc_seq\":7,\"time\":\"2022-10-13 20:23:14.7\",\"kind\":\"text\","
		"\"text\":\"netlogd: started\"}\n"
		"{\"node\":\"ab00000000000000000000000000000000000000000000000000000000000000\",\"spool\":\"" SPOOL
		"\",\"seq\":5,\"proc_id\":9,\"proc_seq\":7,\"idx\":2,\"time\":\"2022-10-13 20:23:14.7\","
		"\"kind\":\"overflow\",\"text\":\"tun\",\"rx_pkts\":12}\n");
	ck_assert_uint_eq(rows.n_flows, 0);
	ck_assert_uint_eq(rows.n_events, 3);
	clickhouse_rows_deinit(&rows);
}
END_TEST

START_TEST(test_names)
{
	struct clickhouse_rows rows = {};

	ck_assert_int_eq(
		add(&rows,
		    "{\"logtail\":{\"client_time\":\"2022-10-13T20:23:14.7Z\",\"proc_id\":9,\"proc_seq\":7},"
		    "\"nodeId\":\"n\\\"1\",\"start\":\"2022-10-13T20:23:09.644Z\",\"end\":\"2022-10-13T20:23:14Z\","
		    "\"dstNodes\":[{\"nodeId\":\"n2\",\"name\":\"db\",\"addresses\":[\"100.64.0.2\"]}],"
		    "\"virtualTraffic\":[{\"proto\":1,\"src\":\"100.64.0.1:0\",\"dst\":\"100.64.0.2:0\"}],"
		    "\"physicalTraffic\":[{\"proto\":0,\"src\":\"100.64.0.2:0\",\"dst\":\"100.64.0.2:5\"}]}",
		    NULL),
		0);
	/* A peer's endpoint is no node, whatever its address. */
	check_text(&rows.flows,
		   HEAD WINDOW ",\"class\":\"virtual\",\"proto\":1,\"src\":\"::ffff:100.64.0.1\","
			       "\"dst\":\"::ffff:100.64.0.2\",\"dst_node\":\"db\"}\n" HEAD WINDOW
			       ",\"idx\":1,\"class\":\"physical\",\"src\":\"::ffff:100.64.0.2\","
			       "\"dst\":\"::ffff:100.64.0.2\",\"dst_port\":5,\"src_node\":\"db\"}\n");
	clickhouse_rows_deinit(&rows);
}
END_TEST

START_TEST(test_every_message_leaves_a_row)
{
	struct clickhouse_rows rows = {};

	ck_assert_int_eq(
		add(&rows,
		    "{\"logtail\":{\"client_time\":\"2022-10-13T20:23:14.7Z\",\"proc_id\":9,\"proc_seq\":7},"
		    "\"start\":\"2022-10-13T20:23:09.644Z\",\"end\":\"2022-10-13T20:23:14Z\"}",
		    NULL),
		0);
	ck_assert_uint_eq(rows.n_flows, 0);
	ck_assert_uint_eq(rows.n_events, 1);
	clickhouse_rows_deinit(&rows);
}
END_TEST

START_TEST(test_nonsense)
{
	static const char *const texts[] = {
		"",
		"{",
		"[]",
		"{}",
		"{\"logtail\":{}}",
		"{\"logtail\":{\"client_time\":\"2022-10-13T20:23:14.7Z\",\"proc_id\":9,\"proc_seq\":7},"
		"\"start\":\"2022-10-13T20:23:09.644Z\",\"end\":\"2022-10-13T20:23:14Z\","
		"\"virtualTraffic\":[{\"proto\":6,\"src\":\"nowhere\",\"dst\":\"\"}]}",
	};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct clickhouse_rows rows = {};

		ck_assert_int_eq(add(&rows, texts[i], NULL), -EBADMSG);
		clickhouse_rows_deinit(&rows);
	}
}
END_TEST

/* Marks the columns that rows have values for; each must be one. */
static void mark_columns(const struct buffer *rows, const char *const names[], bool used[])
{
	const char *at = rows->data, *end = at + rows->length;
	char name[32];

	while ((at = memmem(at, (size_t)(end - at), "\":", 2))) {
		const char *begin = at;
		size_t i = 0;

		while (begin > rows->data && begin[-1] != '"')
			begin--;
		/* Not within a text. */
		if (begin >= rows->data + 2 && strchr("{,", begin[-2])) {
			snprintf(name, sizeof(name), "%.*s", (int)(at - begin), begin);
			while (names[i] && strcmp(names[i], name) != 0)
				i++;
			ck_assert_msg(names[i] != NULL, "%s is no column", name);
			used[i] = true;
		}
		at += 2;
	}
}

/* An insert names these, and the table must have them: no more and no fewer than rows may hold. */
START_TEST(test_columns)
{
	struct clickhouse_rows rows = {};
	bool flows[CLICKHOUSE_COLUMNS_MAX] = {}, events[CLICKHOUSE_COLUMNS_MAX] = {};
	const char *names[CLICKHOUSE_COLUMNS_MAX + 1] = {};
	size_t n = 0;

	ck_assert_int_eq(
		add(&rows,
		    "{\"logtail\":{\"client_time\":\"2022-10-13T20:23:14.7Z\",\"proc_id\":9,\"proc_seq\":7},"
		    "\"nodeId\":\"n1\",\"start\":\"2022-10-13T20:23:09.644Z\",\"end\":\"2022-10-13T20:23:14Z\","
		    "\"srcNode\":{\"nodeId\":\"n1\",\"name\":\"a\",\"addresses\":[\"100.64.0.1\"]},"
		    "\"dstNodes\":[{\"nodeId\":\"n2\",\"name\":\"b\",\"addresses\":[\"100.64.0.2\"]}],"
		    "\"virtualTraffic\":[{\"proto\":6,\"src\":\"100.64.0.1:22\",\"dst\":\"100.64.0.2:42912\","
		    "\"txPkts\":80,\"txBytes\":8140,\"rxPkts\":52,\"rxBytes\":5164},"
		    "{\"proto\":6,\"src\":\"100.64.0.1:22\",\"dst\":\"100.64.0.2:42913\",\"txPkts\":1,\"txBytes\":1,"
		    "\"init\":\"src\",\"starts\":1,\"ends\":1,\"txFlags\":2,\"rxFlags\":20,\"txDrops\":1,\"rxDrops\":1,"
		    "\"dropReason\":\"NO_SOCKET\"}],"
		    "\"overflow\":{\"tun\":{\"txPkts\":1,\"txBytes\":2,\"rxPkts\":3,\"rxBytes\":4},"
		    "\"sock\":{\"txPkts\":1,\"txBytes\":2,\"rxPkts\":3,\"rxBytes\":4}}}",
		    NULL),
		0);
	for (size_t i = 0; clickhouse_flow_columns[i]; i++)
		names[n++] = clickhouse_flow_columns[i];
	for (size_t i = 0; clickhouse_detail_columns[i]; i++) {
		ck_assert_uint_lt(i, CLICKHOUSE_DETAILS_MAX);
		names[n++] = clickhouse_detail_columns[i];
	}
	mark_columns(&rows.flows, names, flows);
	mark_columns(&rows.events, clickhouse_event_columns, events);
	for (size_t i = 0; names[i]; i++)
		ck_assert_msg(flows[i], "%s", names[i]);
	for (size_t i = 0; clickhouse_event_columns[i]; i++)
		ck_assert_msg(events[i], "%s", clickhouse_event_columns[i]);
	clickhouse_rows_deinit(&rows);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("clickhouse_rows");
	TCase *tcase = tcase_create("rows");
	SRunner *runner;
	int failed;

	tcase_add_test(tcase, test_flows);
	tcase_add_test(tcase, test_details);
	tcase_add_test(tcase, test_longest_row);
	tcase_add_test(tcase, test_text_loss_and_overflow);
	tcase_add_test(tcase, test_names);
	tcase_add_test(tcase, test_every_message_leaves_a_row);
	tcase_add_test(tcase, test_nonsense);
	tcase_add_test(tcase, test_columns);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed > 0;
}
