/* SPDX-License-Identifier: BSD-3-Clause */
/* ClickHouse's answers: its error codes, the verdict that each gives, and what is shown of them. */

#include "daemon/upload/kinds/clickhouse_answer.h"

#include <check.h>
#include <string.h>

START_TEST(test_codes)
{
	static const char old[] = "Code: 27, e.displayText() = DB::Exception: Cannot parse input";
	static const char new[] = "Code: 60. DB::Exception: Table default.x doesn't exist";
	static const char late[] = "12\n34\nCode: 241. DB::Exception: Memory limit";

	ck_assert_int_eq(clickhouse_find_code(old, strlen(old)), 27);
	ck_assert_int_eq(clickhouse_find_code(new, strlen(new)), 60);
	ck_assert_int_eq(clickhouse_find_code(late, strlen(late)), 241);
	ck_assert_int_eq(clickhouse_find_code("", 0), 0);
	ck_assert_int_eq(clickhouse_find_code("Code: ", 6), 0);
	ck_assert_int_eq(clickhouse_find_code("Code: 12", 8), 0);
	ck_assert_int_eq(clickhouse_find_code("Code: 99999999999999 DB::", 25), 0);
	ck_assert_int_eq(clickhouse_classify(27), VERDICT_REFUSED);
	ck_assert_int_eq(clickhouse_classify(60), VERDICT_MISCONFIGURED);
	ck_assert_int_eq(clickhouse_classify(516), VERDICT_MISCONFIGURED);
	ck_assert_int_eq(clickhouse_classify(241), VERDICT_RETRY);
	ck_assert_int_eq(clickhouse_classify(252), VERDICT_RETRY);
	ck_assert_int_eq(clickhouse_classify(4711), VERDICT_RETRY);
}
END_TEST

START_TEST(test_texts)
{
	struct http_answer http = {
		.status = 404, .retry_after = -1, .body = "Code: 60. DB::Exception: s3cret", .length = 31};
	struct answer answer;

	clickhouse_judge(&http, "INSERT INTO a.b", &answer);
	ck_assert_str_eq(answer.text, "HTTP 404 Not Found: Code: 60. DB::Exception: s3cret");
	http.secret = true;
	clickhouse_judge(&http, "INSERT INTO a.b", &answer);
	ck_assert_str_eq(answer.text, "HTTP 404 Not Found: Code: 60 (UNKNOWN_TABLE), INSERT INTO a.b");
	http.watched = "4711";
	clickhouse_judge(&http, "INSERT INTO a.b", &answer);
	ck_assert_str_eq(answer.text, "HTTP 404 Not Found: Code: 4711, INSERT INTO a.b");
	http.watched = "12345";
	clickhouse_judge(&http, "INSERT INTO a.b", &answer);
	ck_assert_str_eq(answer.text, "HTTP 404 Not Found: Code: 60 (UNKNOWN_TABLE), INSERT INTO a.b");
}
END_TEST

static enum verdict judge(long status, const char *watched, const char *body)
{
	struct http_answer http = {
		.status = status,
		.retry_after = -1,
		.body = body,
		.length = strlen(body),
		.watched = watched,
	};
	struct answer answer;

	clickhouse_judge(&http, "INSERT", &answer);
	return answer.verdict;
}

START_TEST(test_code_goes_before_status)
{
	ck_assert_int_eq(judge(200, NULL, ""), VERDICT_DELIVERED);
	ck_assert_int_eq(judge(200, "27", ""), VERDICT_REFUSED);
	ck_assert_int_eq(judge(200, NULL, "Code: 241. DB::Exception: Memory"), VERDICT_RETRY);
	ck_assert_int_eq(judge(500, NULL, "Code: 27, e.displayText() = DB::Exception"), VERDICT_REFUSED);
	ck_assert_int_eq(judge(500, "60", "Code: 60. DB::Exception"), VERDICT_MISCONFIGURED);
	ck_assert_int_eq(judge(404, "202", ""), VERDICT_RETRY);
	ck_assert_int_eq(judge(200, "?", ""), VERDICT_RETRY);
	ck_assert_int_eq(judge(413, NULL, "<html>"), VERDICT_REFUSED);
	ck_assert_int_eq(judge(503, NULL, "busy"), VERDICT_RETRY);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("clickhouse_answer");
	TCase *tcase = tcase_create("clickhouse_answer");
	SRunner *runner;
	int failed;

	tcase_add_test(tcase, test_codes);
	tcase_add_test(tcase, test_texts);
	tcase_add_test(tcase, test_code_goes_before_status);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed > 0;
}
