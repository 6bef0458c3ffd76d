/* SPDX-License-Identifier: BSD-3-Clause */
/* What keeps a request from being sent, in words. */

#include "daemon/upload/http/http.h"

#include "daemon/upload/http/curl_loop.h"

#include <check.h>
#include <curl/curl.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool no_memory;
static char reason[256];

struct curl_slist *__real_curl_slist_append(struct curl_slist *list, const char *line);
struct curl_slist *__wrap_curl_slist_append(struct curl_slist *list, const char *line);

struct curl_slist *__wrap_curl_slist_append(struct curl_slist *list, const char *line)
{
	return no_memory ? NULL : __real_curl_slist_append(list, line);
}

static void on_answer(const struct http_answer *answer, void *userdata)
{
	(void)userdata;
	ck_assert_int_ne(answer->curl_code, CURLE_OK);
	snprintf(reason, sizeof(reason), "%s", answer->reason ? answer->reason : "");
}

/* The reason is that of this request, not of an earlier one. */
START_TEST(test_reason_of_each_request)
{
	struct sink_config config = {
		.name = (char *)"s",
		.url = (char *)"http://127.0.0.1:1",
		.bearer_token_file = (char *)"/nonexistent/token",
		.timeout = 1000000000,
	};
	struct sink_context context = {.config = &config, .clock = &clock_system};
	const struct http_request request = {.url = config.url};
	struct event_base *base = event_base_new();
	struct http_client *client;

	ck_assert_int_eq(curl_loop_new(base, &context.curl), 0);
	ck_assert_int_eq(http_client_new(&context, NULL, NULL, &client), 0);
	http_client_send(client, &request, on_answer, NULL);
	ck_assert_str_eq(reason, "/nonexistent/token: No such file or directory");
	no_memory = true;
	http_client_send(client, &request, on_answer, NULL);
	ck_assert_str_eq(reason, "Cannot allocate memory");
	http_client_free(client);
	curl_loop_free(context.curl);
	event_base_free(base);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("http");
	TCase *tcase = tcase_create("http");
	SRunner *runner;
	int failed;

	tcase_add_test(tcase, test_reason_of_each_request);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed > 0;
}
