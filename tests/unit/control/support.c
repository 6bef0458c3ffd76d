/* SPDX-License-Identifier: BSD-3-Clause */
/* Shared by the suites of control/. */

#include "tests/unit/control/support.h"

#include "common/cleanup.h"

#include <string.h>

json_t *json_of(const char *text)
{
	_cleanup_free_ char *copy = strdup(text);
	json_error_t error;
	json_t *value;

	for (char *c = copy; *c; c++)
		if (*c == '\'')
			*c = '"';
	value = json_loads(copy, JSON_DECODE_ANY, &error);
	ck_assert_msg(value != NULL, "%s: %s", error.text, text);
	return value;
}

char *json_text_of(const char *text)
{
	json_t *value = json_of(text);
	char *out = json_dumps(value, JSON_COMPACT);

	json_decref(value);
	return out;
}

void assert_json(json_t *actual, const char *expected)
{
	json_t *value = json_of(expected);
	_cleanup_free_ char *text = json_dumps(actual, JSON_ENCODE_ANY | JSON_SORT_KEYS);

	ck_assert_msg(json_equal(actual, value), "got %s, not %s", text, expected);
	json_decref(value);
	json_decref(actual);
}

static void on_alarm(evutil_socket_t fd, short what, void *userdata)
{
	(void)fd;
	(void)what;
	(void)userdata;
}

struct event *start_alarm(struct event_base *base)
{
	struct timeval limit = {.tv_sec = 10};
	struct event *alarm = evtimer_new(base, on_alarm, NULL);

	ck_assert_ptr_nonnull(alarm);
	ck_assert_int_eq(evtimer_add(alarm, &limit), 0);
	return alarm;
}

int run_suite(const char *name, const TTest *const *tests, size_t n)
{
	Suite *suite = suite_create(name);
	TCase *test_case = tcase_create(name);
	SRunner *runner;
	int failed;

	tcase_set_timeout(test_case, 60);
	for (size_t i = 0; i < n; i++)
		tcase_add_test(test_case, tests[i]);
	suite_add_tcase(suite, test_case);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed > 0;
}
