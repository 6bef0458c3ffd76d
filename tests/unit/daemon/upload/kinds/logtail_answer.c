/* SPDX-License-Identifier: BSD-3-Clause */
/* What a log collector answers, and what only looks like success. */

#include "daemon/upload/kinds/logtail_answer.h"

#include <check.h>
#include <string.h>

static const char *const good[] = {
	"",
	"\n",
	"{}",
	" [ ] \r\n",
	"{\"ok\":true}",
	"null",
	"{\"error\":null}",
	"{\"error\":\"\"}",
	"ok",
	"OK\n",
	"\"accepted\"",
	"Accepted 3 messages",
	"Log entry stored.\r\n",
	"{}\n{}\n",
	"{\"ok\":true}\r\n{\"ok\":true}",
	"200 OK",
	"a8f3-17",
	"true",
	"7",
	"\"Log entry stored.\"",
	"\"\\u2713\" \n",
	"{\"error\":false,\"errors\":[ ],\"failed\":0,\"rejected\":{}}",
	"{\"success\":true,\"status\":\"ok\",\"code\":0,\"message\":\"3 messages\"}",
	"{\"status\":200,\"code\":1000,\"accepted\":3}",
	"[{\"status\":201},{\"status\":201}]",
	"{\"note\":\"no error at all\",\"inner\":{\"error\":\"x\"}}",
};
static const char *const bad[] = {
	"<html>",
	"<!DOCTYPE html><title>Log in</title>",
	"Welcome to the proxy",
	" \n<p>",
	"{\"error\":\"invalid collection name\"}",
	"{\"status\":1, \"error\":\"x\"}",
	"{\"a\":",
	"It works!",
	"ok\nok",
	"\x01",
	"\xef\xbb\xbf<html>",
	"{} {}",
	"{\"errors\":\"x\"}",
	"Unauthorized",
	"unauthorized\n",
	"false",
	"Error: not accepted",
	"Messages not stored",
	"\"Unauthorized\"",
	"{\"success\":false,\"reason\":\"quota\"}",
	"{\"Success\": false}",
	"{\"ok\":0}",
	"{\"status\":\"error\"}",
	"{\"status\":\"Failed\"}",
	"{\"errors\":[\"bad\"]}",
	"{\"errors\":true}",
	"{\"error\":{\"code\":3}}",
	"{\"error\":1}",
	"{\"statusCode\":401}",
	"{\"code\":503,\"text\":\"busy\"}",
	"{\"message\":\"Forbidden\"}",
	"{\"failed\":3}",
	"[{\"status\":201},{\"status\":500}]",
	"[{},{\"error\":\"x\"}]",
	"{}\n{\"error\":\"x\"}\n",
	"{}\n<html>",
	"{}}",
	"<ok>",
	"Please log in",
};

START_TEST(test_answers)
{
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		ck_assert_msg(logtail_is_answer(good[i], strlen(good[i])), "%s", good[i]);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert_msg(!logtail_is_answer(bad[i], strlen(bad[i])), "%s", bad[i]);
	ck_assert(!logtail_is_answer("\0", 1));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("logtail_answer");
	TCase *tcase = tcase_create("logtail_answer");
	SRunner *runner;
	int failed;

	tcase_add_test(tcase, test_answers);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed > 0;
}
