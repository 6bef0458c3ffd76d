/* SPDX-License-Identifier: BSD-3-Clause */
/* Requests to the metrics port: the status that each gets. */

#include "daemon/upload/metrics_http.h"

#include "common/cleanup.h"

#include <check.h>
#include <errno.h>
#include <event2/event.h>
#include <string.h>

START_TEST(test_status_of_requests)
{
	static const struct {
		const char *head;
		int status;
		bool is_head;
	} requests[] = {
		{"GET /metrics HTTP/1.1\r\n\r\n", 200, false},
		{"GET /metrics HTTP/1.0\n\n", 200, false},
		{"GET /metrics?a=b HTTP/1.1\r\nHost: x\r\n\r\n", 200, false},
		{"HEAD /metrics HTTP/1.1\r\n\r\n", 200, true},
		{"HEAD / HTTP/1.1\r\n\r\n", 404, true},
		{"GET / HTTP/1.1\r\n\r\n", 404, false},
		{"GET /metricsx HTTP/1.1\r\n\r\n", 404, false},
		{"GET /metric HTTP/1.1\r\n\r\n", 404, false},
		{"POST /metrics HTTP/1.1\r\n\r\n", 405, false},
		{"get /metrics HTTP/1.1\r\n\r\n", 405, false},
		{"GET /metrics HTTP/2\r\n\r\n", 400, false},
		{"GET /metrics\r\n\r\n", 400, false},
		{"GET  HTTP/1.1\r\n\r\n", 400, false},
		{" /metrics HTTP/1.1\r\n\r\n", 400, false},
		{"\r\n\r\n", 400, false},
		{"GET /metrics HTTP/1.1", 400, false},
		{"", 400, false},
		/* Whatever is wrong with it, a HEAD gets no body. */
		{"HEAD /metrics\r\n\r\n", 400, true},
		{"HEAD /metrics HTTP/2\r\n\r\n", 400, true},
		{"HEAD  HTTP/1.1\r\n\r\n", 400, true},
		{"HEAD /metrics HTTP/1.1", 400, true},
		{"HEADER /metrics HTTP/1.1\r\n\r\n", 405, false},
	};

	for (size_t i = 0; i < ARRAY_SIZE(requests); i++) {
		bool is_head = true;

		ck_assert_int_eq(metrics_http_judge(requests[i].head, strlen(requests[i].head), &is_head),
				 requests[i].status);
		ck_assert_int_eq(is_head, requests[i].is_head);
	}
}
END_TEST

START_TEST(test_addresses)
{
	struct event_base *base = event_base_new();
	struct metrics_http *metrics = NULL;

	ck_assert_int_eq(metrics_http_new(base, "localhost:9000", &metrics), -EINVAL);
	ck_assert_int_eq(metrics_http_new(base, "127.0.0.1", &metrics), -EINVAL);
	ck_assert_ptr_null(metrics);
	/* Of the documentation's network (RFC 5737), so not this machine's. */
	ck_assert_int_eq(metrics_http_new(base, "192.0.2.1:9000", &metrics), -EADDRNOTAVAIL);
	ck_assert_ptr_null(metrics);
	metrics_http_set_text(NULL, "x");
	metrics_http_free(NULL);
	event_base_free(base);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("metrics_http");
	TCase *tcase = tcase_create("metrics_http");
	SRunner *runner;
	int failed;

	tcase_add_test(tcase, test_status_of_requests);
	tcase_add_test(tcase, test_addresses);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed > 0;
}
