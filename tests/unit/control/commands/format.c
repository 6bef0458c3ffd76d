/* SPDX-License-Identifier: BSD-3-Clause */
/* netlogctl format: messages wrapped in all sorts of JSON. */

#include "control/commands/commands.h"

#include "tests/unit/control/run_line.h"
#include "tests/unit/control/samples.h"

START_TEST(test_format)
{
	_cleanup_free_ char *message = json_text_of(SAMPLE_MESSAGE), *text = json_text_of(SAMPLE_TEXT);
	static const struct {
		const char *before, *between, *after;
		int status;
	} wrappings[] = {
		{"", "\n", "\n", CTL_OK},
		{"[", ",", "]", CTL_OK},
		{"", "", "", CTL_OK},
		{"{\"logs\":[{\"x\":[", ",", "]}],\"more\":1}", CTL_OK},
		{"[[", "],[", "]]\n[]", CTL_OK},
		{"no JSON at all\n", "\n", "", CTL_FAILED},
		{"", "\n{\"broken\":\n", "", CTL_FAILED},
	};

	for (size_t i = 0; i < ARRAY_SIZE(wrappings); i++) {
		_cleanup_free_ char *input = NULL;
		struct run run;

		ck_assert_int_gt(asprintf(&input, "%s%s%s%s%s", wrappings[i].before, message,
					  wrappings[i].between, text, wrappings[i].after),
				 0);
		run = run_line(NULL, "format", input);
		ck_assert_int_eq(run.status, wrappings[i].status);
		assert_contains(run.out, "   tcp    100.64.0.1:22  100.64.0.2:42912 ");
		if (wrappings[i].status == CTL_OK)
			assert_contains(run.out, "netlogd: stopped\n");
		run_deinit(&run);
	}
}
END_TEST

/* The text is shown, whatever the event is: a newer daemon has other types. */
START_TEST(test_events)
{
	static const char *const events[] = {
		"{'type':'stopped'}",
		"{'type':'not known yet','text':'no','logtail':{'client_time':1},'list':[{'text':'no'}]}",
		"{}",
		"'stopped'",
		"null",
	};

	for (size_t i = 0; i < ARRAY_SIZE(events); i++) {
		_cleanup_free_ char *line = NULL, *input = NULL;
		_cleanup_run_ struct run run = {};

		ck_assert_int_gt(asprintf(&line,
					  "{'logtail':{'client_time':'2022-10-13T20:23:15Z','proc_id':5},"
					  "'text':'netlogd: what it says','event':%s}",
					  events[i]),
				 0);
		input = json_text_of(line);
		run = run_line(NULL, "format", input);
		ck_assert_int_eq(run.status, CTL_OK);
		ck_assert_str_eq(run.out, "2022-10-13T20:23:15Z  netlogd: what it says\n");
	}
}
END_TEST

START_TEST(test_format_nothing)
{
	_cleanup_run_ struct run run = run_line(NULL, "format", "{\"a\":[1,2]}");

	ck_assert_int_eq(run.status, CTL_FAILED);
	ck_assert_str_eq(run.err, "netlogctl: no messages on standard input\n");
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		test_format,
		test_events,
		test_format_nothing,
	};

	return run_suite("format", tests, ARRAY_SIZE(tests));
}
