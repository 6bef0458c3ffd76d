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
	ck_assert_int_eq(clickhouse_classify(691), VERDICT_MISCONFIGURED);
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

static struct answer insert(struct http_answer http, bool marked)
{
	struct answer answer;

	http.retry_after = -1;
	http.body = http.body ? http.body : "";
	http.length = strlen(http.body);
	http.wire_bytes = 100;
	clickhouse_judge_insert(&http, "INSERT INTO a.b", marked, &answer);
	return answer;
}
#define INSERT(marked, ...) insert((struct http_answer){__VA_ARGS__}, marked)

/* Delivered is what a ClickHouse says is stored, and nothing else that looks like success. */
START_TEST(test_only_a_clickhouse_stores)
{
	struct answer answer;

	ck_assert_int_eq(INSERT(true, .status = 200, .marked = true).verdict, VERDICT_DELIVERED);
	ck_assert_int_eq(INSERT(true, .status = 200, .marked = true, .body = "\n").verdict,
			 VERDICT_DELIVERED);
	/* A proxy that removes headers has removed them from the answers to questions too. */
	ck_assert_int_eq(INSERT(false, .status = 200).verdict, VERDICT_DELIVERED);
	ck_assert_int_eq(INSERT(true, .status = 200).verdict, VERDICT_MISCONFIGURED);
	ck_assert_int_eq(INSERT(true, .status = 202, .marked = true).verdict, VERDICT_MISCONFIGURED);
	ck_assert_int_eq(INSERT(true, .status = 204, .marked = true).verdict, VERDICT_MISCONFIGURED);
	ck_assert_int_eq(INSERT(true, .status = 200, .marked = true, .body = "Ok.\n").verdict,
			 VERDICT_MISCONFIGURED);
	answer = INSERT(false, .status = 200, .body = "<html>Please log in");
	ck_assert_int_eq(answer.verdict, VERDICT_MISCONFIGURED);
	ck_assert_str_eq(answer.text, "HTTP 200 OK: " CLICKHOUSE_NOT ": <html>Please log in");
	answer = INSERT(true, .status = 200, .body = "<html>Please log in", .secret = true);
	ck_assert_str_eq(answer.text, "HTTP 200 OK: " CLICKHOUSE_NOT);
	/* An exception after the status. */
	ck_assert_int_eq(
		INSERT(true, .status = 200, .marked = true, .body = "Code: 241. DB::Exception: Memory")
			.verdict,
		VERDICT_RETRY);
	ck_assert_int_eq(INSERT(true, .status = 200, .marked = true, .watched = "27").verdict,
			 VERDICT_REFUSED);
	/* 18.16's code for an Enum without the word; the same code for anything else passes. */
	ck_assert_int_eq(
		INSERT(true, .status = 500, .marked = true,
		       .body = "Code: 49, e.displayText() = DB::Exception: Unknown element 'virtual' "
			       "for type Enum8('nothing' = 1)")
			.verdict,
		VERDICT_MISCONFIGURED);
	ck_assert_int_eq(INSERT(true, .status = 500, .marked = true,
				.body = "Code: 49, e.displayText() = DB::Exception: Cannot find column")
				 .verdict,
			 VERDICT_RETRY);
	/* What answers instead of it while it is away. */
	ck_assert_int_eq(INSERT(true, .status = 502, .body = "<html>Bad Gateway").verdict, VERDICT_RETRY);
}
END_TEST

/* Fewer rows may go through. */
START_TEST(test_what_may_be_too_large)
{
	ck_assert(INSERT(true, .status = 500, .body = "Code: 241. DB::Exception: Memory limit").too_large);
	ck_assert(INSERT(true, .status = 408, .body = "Code: 159. DB::Exception: Timeout").too_large);
	ck_assert(INSERT(true, .status = 500, .watched = "209").too_large);
	ck_assert(INSERT(true, .status = 504, .body = "<html>").too_large);
	/* That there are too many parts does not come from their size. */
	ck_assert(!INSERT(true, .status = 504, .watched = "252").too_large);
	ck_assert(!INSERT(true, .status = 500, .body = "Code: 4711. DB::Exception").too_large);
}
END_TEST

static void check_behind(const char *body, bool secret, enum verdict verdict, const char *text)
{
	struct answer answer = INSERT(true, .status = 500, .body = body, .secret = secret);

	ck_assert_int_eq(answer.verdict, verdict);
	ck_assert_str_eq(answer.text, text);
}

/* The rows are right, and so is the table: the operator looks for what is wrong there otherwise. */
START_TEST(test_what_is_behind_the_table)
{
	check_behind(
		"Code: 395, e.displayText() = DB::Exception: non zero: while pushing to view a.mv", false,
		VERDICT_MISCONFIGURED,
		"HTTP 500 Internal Server Error: Code: 395, e.displayText() = DB::Exception: non zero: "
		"while pushing to view a.mv; a materialized view behind the table fails: correct or drop it");
	check_behind("Code: 6. DB::Exception: Cannot parse s3cret: while pushing to view a.mv", true,
		     VERDICT_MISCONFIGURED,
		     "HTTP 500 Internal Server Error: Code: 6 (CANNOT_PARSE_TEXT), INSERT INTO a.b; "
		     "a materialized view behind the table fails: correct or drop it");
	check_behind("Code: 241. DB::Exception: Memory: while pushing to view a.mv", true, VERDICT_RETRY,
		     "HTTP 500 Internal Server Error: Code: 241 (MEMORY_LIMIT_EXCEEDED), INSERT INTO a.b; "
		     "a materialized view behind the table fails: correct or drop it");
	check_behind(
		"Code: 60. DB::Exception: Table a.`.inner.mv` doesn't exist", true, VERDICT_MISCONFIGURED,
		"HTTP 500 Internal Server Error: Code: 60 (UNKNOWN_TABLE), INSERT INTO a.b; the table is "
		"right, but not what is behind it (a materialized view, another table)");
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
	tcase_add_test(tcase, test_only_a_clickhouse_stores);
	tcase_add_test(tcase, test_what_may_be_too_large);
	tcase_add_test(tcase, test_what_is_behind_the_table);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed > 0;
}
