/* SPDX-License-Identifier: BSD-3-Clause */
/* Answers: every status, Retry-After in all its forms, and what is shown of them. */

#include "daemon/upload/http/answer.h"

#include <check.h>
#include <curl/curl.h>
#include <errno.h>
#include <string.h>

#define SECOND INT64_C(1000000000)
/* 2022-10-13T20:23:14Z */
#define NOW (INT64_C(1665692594) * SECOND)

static enum verdict expected(long status)
{
	if (status >= 200 && status < 300)
		return VERDICT_DELIVERED;
	if (status == 408 || status == 425 || status == 429)
		return VERDICT_RETRY;
	if (status == 400 || status == 413 || status == 422)
		return VERDICT_REFUSED;
	if (status >= 300 && status < 500)
		return VERDICT_MISCONFIGURED;
	return VERDICT_RETRY;
}

START_TEST(test_every_status)
{
	for (long status = 0; status < 1000; status++)
		ck_assert_int_eq(answer_classify_status(status), expected(status));
}
END_TEST

START_TEST(test_transfers)
{
	ck_assert_int_eq(answer_classify_transfer(CURLE_PEER_FAILED_VERIFICATION), VERDICT_MISCONFIGURED);
	ck_assert_int_eq(answer_classify_transfer(CURLE_SSL_CACERT_BADFILE), VERDICT_MISCONFIGURED);
	ck_assert_int_eq(answer_classify_transfer(CURLE_SSL_CERTPROBLEM), VERDICT_MISCONFIGURED);
	ck_assert_int_eq(answer_classify_transfer(CURLE_COULDNT_RESOLVE_HOST), VERDICT_RETRY);
	ck_assert_int_eq(answer_classify_transfer(CURLE_COULDNT_CONNECT), VERDICT_RETRY);
	ck_assert_int_eq(answer_classify_transfer(CURLE_SSL_CONNECT_ERROR), VERDICT_RETRY);
	ck_assert_int_eq(answer_classify_transfer(CURLE_OPERATION_TIMEDOUT), VERDICT_RETRY);
	ck_assert_int_eq(answer_classify_transfer(CURLE_GOT_NOTHING), VERDICT_RETRY);
	ck_assert_int_eq(answer_classify_transfer(CURLE_UNSUPPORTED_PROTOCOL), VERDICT_RETRY);
}
END_TEST

START_TEST(test_files)
{
	ck_assert_int_eq(answer_classify_error(-EMFILE), VERDICT_RETRY);
	ck_assert_int_eq(answer_classify_error(-ENOMEM), VERDICT_RETRY);
	ck_assert_int_eq(answer_classify_error(-EIO), VERDICT_RETRY);
	ck_assert_int_eq(answer_classify_error(-EPIPE), VERDICT_RETRY);
	ck_assert_int_eq(answer_classify_error(-ENOENT), VERDICT_MISCONFIGURED);
	ck_assert_int_eq(answer_classify_error(-EACCES), VERDICT_MISCONFIGURED);
	ck_assert_int_eq(answer_classify_error(-EPERM), VERDICT_MISCONFIGURED);
	ck_assert_int_eq(answer_classify_error(-EINVAL), VERDICT_MISCONFIGURED);
}
END_TEST

static int64_t retry_after(const char *text)
{
	return answer_parse_retry_after(text, strlen(text), NOW);
}

START_TEST(test_retry_after_seconds)
{
	ck_assert_int_eq(retry_after("0"), 0);
	ck_assert_int_eq(retry_after("7"), 7 * SECOND);
	ck_assert_int_eq(retry_after(" 120 "), 120 * SECOND);
	ck_assert_int_eq(retry_after("300"), 300 * SECOND);
	ck_assert_int_eq(retry_after("301"), 300 * SECOND);
	ck_assert_int_eq(retry_after("99999999999999999999999999999999999"), 300 * SECOND);
}
END_TEST

START_TEST(test_retry_after_date)
{
	ck_assert_int_eq(retry_after("Thu, 13 Oct 2022 20:24:14 GMT"), 60 * SECOND);
	ck_assert_int_eq(retry_after("Thursday, 13-Oct-22 20:24:14 GMT"), 60 * SECOND);
	ck_assert_int_eq(retry_after("Thu Oct 13 20:24:14 2022"), 60 * SECOND);
	ck_assert_int_eq(retry_after("Thu, 13 Oct 2022 20:20:14 GMT"), 0);
	ck_assert_int_eq(retry_after("Thu, 13 Oct 2022 23:24:14 GMT"), 300 * SECOND);
	ck_assert_int_eq(retry_after("Fri, 31 Dec 9999 23:59:59 GMT"), 300 * SECOND);
}
END_TEST

START_TEST(test_retry_after_nonsense)
{
	ck_assert_int_eq(retry_after(""), -1);
	ck_assert_int_eq(retry_after("   "), -1);
	ck_assert_int_eq(retry_after("soon"), -1);
	ck_assert_int_eq(retry_after("-5"), -1);
	ck_assert_int_eq(retry_after("1.5"), -1);
	ck_assert_int_eq(retry_after("10 s"), -1);
	ck_assert_int_eq(retry_after("tomorrow"), -1);
	ck_assert_int_eq(retry_after("Thu"), -1);
	ck_assert_int_eq(answer_parse_retry_after("1\0002", 3, NOW), -1);
}
END_TEST

START_TEST(test_text_hides_ids)
{
	char body[400] = "no page /c/x/";
	struct answer answer = {};

	memset(body + 13, 'a', 64);
	strcpy(body + 77, " here");
	answer_describe(&answer, "HTTP 404", body, strlen(body));
	ck_assert_str_eq(answer.text, "HTTP 404: no page /c/x/# here");
	answer_describe(&answer, "HTTP 500", " a\r\n\tb\x01\xff ", 9);
	ck_assert_str_eq(answer.text, "HTTP 500: a b??");
	answer_describe(&answer, "HTTP 204", "", 0);
	ck_assert_str_eq(answer.text, "HTTP 204");
	/* An ID that begins near the end of what is shown is not shown in part. */
	memset(body, 'x', 190);
	memset(body + 190, '0', 64);
	answer_describe(&answer, "HTTP 404", body, 254);
	ck_assert_ptr_null(strstr(answer.text, "00"));
	memset(body, 'x', 300);
	answer_describe(&answer, "HTTP 404", body, 300);
	ck_assert_uint_eq(strlen(answer.text), strlen("HTTP 404: ") + 200);
}
END_TEST

static void describe(long status, bool secret, const char *body, const char *meaning,
		     const char *expected_text)
{
	struct http_answer http = {.status = status, .secret = secret, .body = body, .length = strlen(body)};
	struct answer answer = {};

	http_answer_describe(&http, meaning, &answer);
	ck_assert_str_eq(answer.text, expected_text);
}

/* Nothing of the server's where it was told a secret; else its words before ours. */
START_TEST(test_text_of_answers)
{
	describe(404, false, "no such page", NULL, "HTTP 404 Not Found: no such page");
	describe(404, false, "no such page", "no table", "HTTP 404 Not Found: no such page");
	describe(404, false, "", "no table", "HTTP 404 Not Found: no table");
	describe(404, true, "your password is x", NULL, "HTTP 404 Not Found");
	describe(404, true, "your password is x", "no table \xc3\xa4", "HTTP 404 Not Found: no table ??");
	describe(599, true, "x", NULL, "HTTP 599");
}
END_TEST

static void judge_as(long status, struct http_answer http, const char *expected_text)
{
	struct answer answer;

	http.status = status;
	http.retry_after = -1;
	http.body = http.body ? http.body : "";
	http.length = strlen(http.body);
	http_answer_judge(&http, &answer);
	ck_assert_str_eq(answer.text, expected_text);
}
#define JUDGE(status, text, ...) judge_as(status, (struct http_answer){__VA_ARGS__}, text)

/* The operator has to know where it leads; of an answer to a secret, only to which server. */
START_TEST(test_text_of_redirections)
{
	JUDGE(302,
	      "HTTP 302 Found: redirected to https://portal.example/login?u=1, which is not followed: correct url",
	      .redirect = "https://portal.example/login?u=1");
	JUDGE(302,
	      "HTTP 302 Found: redirected to https://p.example:8443, which is not followed: correct url: moved",
	      .redirect = "https://p.example:8443", .body = "moved");
	JUDGE(307,
	      "HTTP 307 Temporary Redirect: redirected to https://p.example:8443, which is not followed: correct url",
	      .redirect = "https://p.example:8443/c/s3cret?copyId=s3cret", .secret = true, .body = "s3cret");
	JUDGE(308,
	      "HTTP 308 Permanent Redirect: redirected to http://[2001:db8::1]:80, which is not followed: correct url",
	      .redirect = "http://[2001:db8::1]:80#s3cret", .secret = true);
	JUDGE(301, "HTTP 301 Moved Permanently: redirected, which is not followed: correct url",
	      .redirect = "https://user:s3cret@p.example/", .secret = true);
	JUDGE(301, "HTTP 301 Moved Permanently: redirected, which is not followed: correct url",
	      .redirect = "https://aVeryLongSecretInOneLabel.example/", .secret = true);
	JUDGE(303, "HTTP 303 See Other: redirected without a Location, which is not followed: correct url",
	      .secret = true);
	JUDGE(304, "HTTP 304", .secret = true);
}
END_TEST

START_TEST(test_text_of_refused_compression)
{
	JUDGE(415, "HTTP 415 Unsupported Media Type: it does not take bodies in zstd: set compression = none",
	      .encoding = "zstd", .secret = true, .body = "s3cret");
	JUDGE(415,
	      "HTTP 415 Unsupported Media Type: it does not take bodies in gzip: set compression = none: what?",
	      .encoding = "gzip", .body = "what?");
	JUDGE(415, "HTTP 415 Unsupported Media Type", .secret = true);
}
END_TEST

static bool too_large(struct http_answer http)
{
	struct answer answer;

	http.body = "";
	http.wire_bytes = 100;
	http_answer_judge(&http, &answer);
	ck_assert_int_eq(answer.verdict, VERDICT_RETRY);
	return answer.too_large;
}

/* Somebody gave up waiting for the end of this body, or of what is done with it. */
START_TEST(test_what_may_be_too_large)
{
	ck_assert(too_large((struct http_answer){.status = 504}));
	ck_assert(too_large((struct http_answer){.status = 524}));
	ck_assert(too_large((struct http_answer){.status = 408}));
	ck_assert(too_large((struct http_answer){.curl_code = CURLE_OPERATION_TIMEDOUT, .connected = true}));
	ck_assert(!too_large((struct http_answer){.curl_code = CURLE_OPERATION_TIMEDOUT}));
	ck_assert(!too_large((struct http_answer){.curl_code = CURLE_COULDNT_CONNECT}));
	ck_assert(!too_large((struct http_answer){.status = 503}));
	ck_assert(!too_large((struct http_answer){.status = 500}));
}
END_TEST

static void transfer(CURLcode code, const char *error, const char *expected_text)
{
	struct http_answer http = {
		.curl_code = (int)code, .retry_after = -1, .body = "secret", .length = 6, .error = error};
	struct answer answer;

	http_answer_judge(&http, &answer);
	ck_assert_str_eq(answer.text, expected_text);
}

/* libcurl quotes servers in some of its texts. */
START_TEST(test_text_of_failed_transfers)
{
	transfer(
		CURLE_COULDNT_CONNECT,
		"Failed to connect to localhost port 1 after 0 ms: Couldn't connect to server",
		"Couldn't connect to server: Failed to connect to localhost port 1 after 0 ms: Couldn't connect to server");
	transfer(
		CURLE_PEER_FAILED_VERIFICATION, "SSL certificate problem: certificate has expired",
		"SSL peer certificate or SSH remote key was not OK: SSL certificate problem: certificate has expired");
	transfer(CURLE_PEER_FAILED_VERIFICATION,
		 "SSL: certificate subject name 's3cret' does not match target host name 'localhost'",
		 "SSL peer certificate or SSH remote key was not OK");
	transfer(CURLE_WEIRD_SERVER_REPLY, "Invalid Content-Length: value s3cret", "Weird server reply");
	transfer(CURLE_GOT_NOTHING, NULL, "Server returned nothing (no headers, no data)");
	transfer(CURLE_GOT_NOTHING, "", "Server returned nothing (no headers, no data)");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("answer");
	TCase *tcase = tcase_create("answer");
	SRunner *runner;
	int failed;

	tcase_add_test(tcase, test_every_status);
	tcase_add_test(tcase, test_transfers);
	tcase_add_test(tcase, test_files);
	tcase_add_test(tcase, test_retry_after_seconds);
	tcase_add_test(tcase, test_retry_after_date);
	tcase_add_test(tcase, test_retry_after_nonsense);
	tcase_add_test(tcase, test_text_hides_ids);
	tcase_add_test(tcase, test_text_of_answers);
	tcase_add_test(tcase, test_text_of_redirections);
	tcase_add_test(tcase, test_text_of_refused_compression);
	tcase_add_test(tcase, test_what_may_be_too_large);
	tcase_add_test(tcase, test_text_of_failed_transfers);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed > 0;
}
