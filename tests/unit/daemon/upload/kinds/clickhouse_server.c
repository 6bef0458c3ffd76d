/* SPDX-License-Identifier: BSD-3-Clause */
/* The questions that come before an insert, and what is no answer to them. */

#include "daemon/upload/kinds/clickhouse_server.h"

#include "daemon/upload/kinds/clickhouse_answer.h"
#include "daemon/upload/kinds/clickhouse_rows.h"

#include <check.h>
#include <stdio.h>
#include <string.h>

static int64_t now;

static int64_t boot(void *userdata)
{
	(void)userdata;
	return now;
}

static uint64_t random_bits(void *userdata)
{
	(void)userdata;
	return 0x0123456789abcdef;
}

static const struct clock test_clock = {.wall = boot, .boot = boot, .random = random_bits};
#define SOLUTION "fedcba9876543210-dgolten\n"

static char *settings[] = {(char *)"max_threads=3", NULL};
static struct sink_config config = {
	.name = (char *)"ch",
	.url = (char *)"http://127.0.0.1:8123/",
	.table = (char *)"flows",
	.settings = settings,
};
static struct clickhouse_server server;
static char text[ANSWER_TEXT_MAX];

static void setup(void)
{
	now = 1;
	ck_assert_int_eq(clickhouse_server_init(&server, &config, &test_clock), 0);
}

static void teardown(void)
{
	clickhouse_server_deinit(&server);
}

static void ask(const char *expected)
{
	struct buffer url = {};

	clickhouse_server_ask(&server, &url);
	buffer_append_char(&url, '\0');
	ck_assert_int_eq(buffer_error(&url), 0);
	ck_assert_ptr_nonnull(strstr(url.data, expected));
	buffer_deinit(&url);
}

static enum verdict take_from(struct http_answer http)
{
	struct answer answer;

	http.status = http.status ? http.status : 200;
	http.retry_after = -1;
	http.length = strlen(http.body);
	clickhouse_server_take(&server, &http, &answer);
	snprintf(text, sizeof(text), "%s", answer.text);
	return answer.verdict;
}
#define TAKE(...) take_from((struct http_answer){__VA_ARGS__})

START_TEST(test_proof)
{
	static const char *const others[] = {
		"",
		"Ok.\n",
		"<html>",
		"insert_deduplication_token\n",
		"netlogd-0123456789abcdef\n",

		"fedcba9876543210-dgolte\n",
	};

	ask("reverse%28%27netlogd-0123456789abcdef%27%29");
	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		ck_assert_int_eq(TAKE(.body = others[i], .secret = true), VERDICT_MISCONFIGURED);
		ck_assert_str_eq(text, "HTTP 200 OK: " CLICKHOUSE_NOT);
	}
	ck_assert_int_eq(TAKE(.status = 202, .body = SOLUTION), VERDICT_MISCONFIGURED);
	ck_assert_int_eq(TAKE(.status = 503, .body = ""), VERDICT_RETRY);
	ck_assert_int_eq(server.next, CLICKHOUSE_ASK_SETTINGS);
	ck_assert_int_eq(
		TAKE(.body = "max_threads\n" SOLUTION "insert_deduplication_token\n", .marked = true),
		VERDICT_DELIVERED);
	ck_assert_int_eq(server.next, CLICKHOUSE_ASK_FLOWS);
	ck_assert(server.knows_tokens && server.has_mark && server.known[4] && !server.known[0]);
}
END_TEST

/* A table with these columns and kinds of default; the first `left_out` of ours are not there. */
static enum verdict take_table(const char *const names[], size_t left_out, const char *more, bool truncated)
{
	static char body[4096];
	size_t n = 0;

	for (size_t i = left_out; names[i]; i++)
		n += (size_t)snprintf(body + n, sizeof(body) - n, "%s\tString\t\t\n", names[i]);
	snprintf(body + n, sizeof(body) - n, "%s", more);
	return TAKE(.body = body, .truncated = truncated);
}

START_TEST(test_columns)
{
	ck_assert_int_eq(TAKE(.body = SOLUTION), VERDICT_DELIVERED);
	ask("DESCRIBE%20TABLE%20%60default%60.%60flows%60%20");
	ck_assert_int_eq(take_table(clickhouse_flow_columns, 2, "", false), VERDICT_MISCONFIGURED);
	ck_assert_str_eq(text, "table default.flows does not fit: it has no column node, start "
			       "(the schema is in packaging/clickhouse)");
	/* What the server computes takes no values. */
	ck_assert_int_eq(take_table(clickhouse_flow_columns, 2,
				    "node\tString\tALIAS\tx\t\nstart\tString\tMATERIALIZED\tx\t\n", false),
			 VERDICT_MISCONFIGURED);
	ck_assert_str_eq(text, "table default.flows does not fit: it computes node, start "
			       "(the schema is in packaging/clickhouse)");
	ck_assert_int_eq(TAKE(.body = "<html>\n"), VERDICT_MISCONFIGURED);
	ck_assert_int_eq(TAKE(.body = ""), VERDICT_MISCONFIGURED);
	ck_assert_int_eq(TAKE(.status = 404, .body = "Code: 60. DB::Exception: none", .secret = true),
			 VERDICT_MISCONFIGURED);
	ck_assert_str_eq(text, "HTTP 404 Not Found: Code: 60 (UNKNOWN_TABLE), DESCRIBE TABLE default.flows");
	ck_assert_int_eq(server.next, CLICKHOUSE_ASK_FLOWS);
	/* More columns than ours, and defaults of any kind, do no harm. */
	ck_assert_int_eq(take_table(clickhouse_flow_columns, 1,
				    "x\tDate\tMATERIALIZED\tnow()\nnode\tString\tDEFAULT\t\\'a\\tb\\'\n",
				    false),
			 VERDICT_DELIVERED);
	ask("DESCRIBE%20TABLE%20%60default%60.%60flows_events%60%20");
	/* Not read to its end: unknown is not missing. */
	ck_assert_int_eq(take_table(clickhouse_event_columns, 3, "cut of", true), VERDICT_DELIVERED);
	ck_assert_int_eq(server.next, CLICKHOUSE_ASKED);
}
END_TEST

/* A table of before: nothing is wrong, but its details are left out, and that is told. */
START_TEST(test_details)
{
	static const char more[] =
		"rx_drops\tUInt32\t\t\nrx_flags\tUInt8\t\t\nends\tUInt8\t\t\n"
		"starts\tUInt32\tALIAS\t1\ninit\tEnum8(\\'src\\' = 0, \\'dst\\' = 1)\t\t\n";
	char all[512] = "";

	ck_assert_int_eq(TAKE(.body = SOLUTION), VERDICT_DELIVERED);
	ck_assert_int_eq(take_table(clickhouse_flow_columns, 0, "", false), VERDICT_DELIVERED);
	ck_assert_str_eq(
		server.lacking,
		"table default.flows lacks columns init, starts, ends, tx_flags, rx_flags, tx_drops, "
		"rx_drops, drop_reason: run the migration in packaging/clickhouse; until then these "
		"details are left out");
	for (size_t i = 0; clickhouse_detail_columns[i]; i++)
		ck_assert(server.lacks[i]);
	/* What takes no values, or not all, is left out too. */
	server.next = CLICKHOUSE_ASK_FLOWS;
	ck_assert_int_eq(take_table(clickhouse_flow_columns, 0, more, false), VERDICT_DELIVERED);
	ck_assert_str_eq(
		server.lacking,
		"table default.flows lacks columns tx_flags, tx_drops, drop_reason; it computes starts; "
		"these hold not all our values: init must be Enum8 with unknown, src and dst, ends must be "
		"UInt32: rename these columns and run the migration in packaging/clickhouse; until then these "
		"details are left out");
	for (size_t i = 0; clickhouse_detail_columns[i]; i++)
		ck_assert_int_eq(server.lacks[i], strncmp(clickhouse_detail_columns[i], "rx_", 3) != 0);
	/* Migrated. */
	server.next = CLICKHOUSE_ASK_FLOWS;
	for (size_t i = 0; clickhouse_detail_columns[i]; i++)
		snprintf(all + strlen(all), sizeof(all) - strlen(all), "%s\t%s\t\t\n",
			 clickhouse_detail_columns[i],
			 i == 0 || !clickhouse_detail_columns[i + 1] ? "String" : "UInt32");
	ck_assert_int_eq(take_table(clickhouse_flow_columns, 0, all, false), VERDICT_DELIVERED);
	ck_assert_str_eq(server.lacking, "");
	for (size_t i = 0; clickhouse_detail_columns[i]; i++)
		ck_assert(!server.lacks[i]);
	/* Of events there are no details. */
	ck_assert_int_eq(take_table(clickhouse_event_columns, 0, "", false), VERDICT_DELIVERED);
	ck_assert_str_eq(server.lacking, "");
}
END_TEST

static bool question_has(const char *words)
{
	struct buffer url = {};
	bool has;

	clickhouse_server_ask(&server, &url);
	buffer_append_char(&url, '\0');
	has = strstr(url.data, words);
	buffer_deinit(&url);
	return has;
}

/* Limits of the writer's profile are lifted for questions; where that is refused, they go without. */
START_TEST(test_profile)
{
	static const char *const refusals[] = {
		"Code: 164. DB::Exception: Cannot modify 'max_result_rows' setting in readonly mode",
		"Code: 452. DB::Exception: Setting max_result_rows shouldn't be greater than 5",
		"Code: 115. DB::Exception: Unknown setting",
	};

	for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
		server.plain = false;
		ck_assert(question_has("&max_result_rows=0&") && question_has("&max_rows_to_read=0&"));
		ck_assert_int_eq(TAKE(.status = 500, .body = refusals[i]), VERDICT_DELIVERED);
		ck_assert_int_eq(server.next, CLICKHOUSE_ASK_SETTINGS);
		ck_assert(!question_has("max_result_rows"));
		ck_assert_int_eq(TAKE(.status = 500, .body = refusals[i]), VERDICT_MISCONFIGURED);
	}
	ck_assert_int_eq(TAKE(.status = 500, .body = "Code: 396. DB::Exception: Limit for result exceeded"),
			 VERDICT_MISCONFIGURED);
	ck_assert_int_eq(TAKE(.status = 500, .body = "Code: 158. DB::Exception: Limit for rows exceeded"),
			 VERDICT_MISCONFIGURED);
	/* Whatever it is, waiting does not help; the server's words may. */
	ck_assert_int_eq(TAKE(.status = 500, .body = "Code: 4711. DB::Exception: Strange"),
			 VERDICT_MISCONFIGURED);
	ck_assert_str_eq(text, "HTTP 500 Internal Server Error: Code: 4711. DB::Exception: Strange");
	ck_assert_int_eq(TAKE(.status = 500, .body = "Code: 241. DB::Exception: Memory"), VERDICT_RETRY);
	/* After a while, with them again. */
	now += INT64_C(600) * 1000000000;
	ck_assert(!clickhouse_server_is_known(&server) && question_has("max_result_rows"));
}
END_TEST

START_TEST(test_get_is_refused)
{
	ck_assert_int_eq(TAKE(.status = 405, .body = ""), VERDICT_DELIVERED);
	ck_assert(server.post && server.next == CLICKHOUSE_ASK_SETTINGS);
	ck_assert_int_eq(TAKE(.status = 405, .body = ""), VERDICT_MISCONFIGURED);
	ck_assert_str_eq(
		text,
		"HTTP 405 Method Not Allowed: it takes the questions before an insert neither as GET nor as "
		"POST: correct what stands before the server: SELECT FROM system.settings");
	ask("reverse%28%27netlogd-0123456789abcdef%27%29");
	ck_assert_int_eq(TAKE(.body = SOLUTION), VERDICT_DELIVERED);
	ck_assert_int_eq(server.next, CLICKHOUSE_ASK_FLOWS);
}
END_TEST

START_TEST(test_lines_that_end_in_crlf)
{
	ask("reverse%28%27netlogd-0123456789abcdef%27%29");
	ck_assert_int_eq(TAKE(.body = "max_threads\r\nfedcba9876543210-dgolten\r\n"
				      "insert_deduplication_token\r\n"),
			 VERDICT_DELIVERED);
	ck_assert(server.knows_tokens && server.known[4]);
	ck_assert_int_eq(
		take_table(clickhouse_flow_columns, 2, "node\tString\r\nstart\tString\tALIAS\r\n", false),
		VERDICT_MISCONFIGURED);
	ck_assert_ptr_nonnull(strstr(text, "it computes start ("));
}
END_TEST

START_TEST(test_types)
{
	ck_assert_int_eq(TAKE(.body = SOLUTION), VERDICT_DELIVERED);
	ck_assert_int_eq(take_table(clickhouse_flow_columns, 2,
				    "node\tLowCardinality(String)\t\t\nstart\tUInt32\t\t\n"
				    "tx_bytes\tUInt8\t\t\nmore\tUInt8\t\t\n",
				    false),
			 VERDICT_MISCONFIGURED);
	ck_assert_str_eq(text, "table default.flows does not fit: these hold not all our values: "
			       "start must be DateTime64, tx_bytes must be UInt64 "
			       "(the schema is in packaging/clickhouse)");
}
END_TEST

START_TEST(test_asked_again_after_a_while)
{
	ask("SELECT");
	ck_assert_int_eq(TAKE(.body = SOLUTION), VERDICT_DELIVERED);
	ck_assert_int_eq(take_table(clickhouse_flow_columns, 0, "", false), VERDICT_DELIVERED);
	ck_assert_int_eq(take_table(clickhouse_event_columns, 0, "", false), VERDICT_DELIVERED);
	ck_assert(clickhouse_server_is_known(&server));
	now += INT64_C(599) * 1000000000;
	ck_assert(clickhouse_server_is_known(&server));
	now += INT64_C(1) * 1000000000;
	ck_assert(!clickhouse_server_is_known(&server));
	ck_assert_int_eq(server.next, CLICKHOUSE_ASK_SETTINGS);
}
END_TEST

/* None that makes an answer untrue, however its value is written. */
START_TEST(test_settings_that_lose_rows)
{
	static const char *const kept[] = {
		"max_threads=3",
		"async_insert=1",
		"wait_for_async_insert=TRUE",
		"wait_for_async_insert=1",
		"wait_for_async_insert_timeout=60",
		"input_format_allow_errors_num=0",
		"insert_deduplicate=0",
		"timeout_overflow_mode=throw",
	};
	static const char *const dropped[] = {
		"wait_for_async_insert=0",
		"wait_for_async_insert=false",
		"wait_for_async_insert=False",
		"wait_for_async_insert=00",
		"wait_for_async_insert=",
		"wait_for_async_insert",
		"wait_for_async_insert=1 0",
		"input_format_allow_errors_num=10",
		"input_format_allow_errors_ratio=1",
		"materialized_views_ignore_errors=1",
		"timeout_overflow_mode=break",
		"read_overflow_mode=BREAK",
		"insert_deduplication_token=x",
		"input_format_skip_unknown_fields=0",
	};
	char *wanted[2] = {};
	struct sink_config other = config;
	struct clickhouse_server made;
	size_t own;

	other.settings = wanted;
	ck_assert_int_eq(clickhouse_server_init(&made, &other, &test_clock), 0);
	own = made.n_settings;
	clickhouse_server_deinit(&made);
	for (size_t i = 0; i < sizeof(kept) / sizeof(kept[0]); i++) {
		wanted[0] = (char *)kept[i];
		ck_assert_int_eq(clickhouse_server_init(&made, &other, &test_clock), 0);
		ck_assert_msg(made.n_settings == own + 1, "%s", kept[i]);
		ck_assert_str_eq(made.settings[own], kept[i]);
		clickhouse_server_deinit(&made);
	}
	for (size_t i = 0; i < sizeof(dropped) / sizeof(dropped[0]); i++) {
		wanted[0] = (char *)dropped[i];
		ck_assert_int_eq(clickhouse_server_init(&made, &other, &test_clock), 0);
		ck_assert_msg(made.n_settings == own, "%s", dropped[i]);
		clickhouse_server_deinit(&made);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("clickhouse_server");
	TCase *tcase = tcase_create("clickhouse_server");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, test_proof);
	tcase_add_test(tcase, test_columns);
	tcase_add_test(tcase, test_details);
	tcase_add_test(tcase, test_asked_again_after_a_while);
	tcase_add_test(tcase, test_profile);
	tcase_add_test(tcase, test_get_is_refused);
	tcase_add_test(tcase, test_lines_that_end_in_crlf);
	tcase_add_test(tcase, test_types);
	tcase_add_test(tcase, test_settings_that_lose_rows);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed > 0;
}
