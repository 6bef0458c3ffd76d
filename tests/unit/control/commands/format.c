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

/* A node's name stands for all its addresses, and for no endpoint of a tunnel, whatever its address. */
START_TEST(test_resolve)
{
	_cleanup_free_ char *message = json_text_of(
		"{'start':'2026-11-22T20:00:00Z','end':'2026-11-22T20:00:01.998Z',"
		"'srcNode':{'nodeId':'n1','name':'gate','addresses':['10.0.0.1','fd00::1']},"
		"'dstNodes':[{'nodeId':'n2','name':'db','addresses':['10.0.0.2']},"
		"{'nodeId':'n3','name':'db','addresses':['10.0.0.3']},{'nodeId':'n4','addresses':['10.0.0.4']}],"
		"'virtualTraffic':[{'proto':6,'src':'[fd00::1]:1','dst':'10.0.0.2:22'},"
		"{'proto':6,'src':'10.0.0.1:2','dst':'10.0.0.3:22'},{'proto':6,'src':'10.0.0.4:3','dst':'10.0.0.5:22'}],"
		"'physicalTraffic':[{'proto':0,'src':'10.0.0.2:0','dst':'10.0.0.1:51820'},"
		"{'proto':0,'src':'10.0.0.4:0','dst':'127.3.3.40:12'}]}");
	_cleanup_run_ struct run names = run_line(NULL, "format --resolve", message);
	_cleanup_run_ struct run addresses = run_line(NULL, "format", message);

	ck_assert_int_eq(names.status, CTL_OK);
	assert_contains(names.out, "2026-11-22T20:00:00Z  2 s\n");
	assert_contains(names.out, "   tcp    gate:1   db (n2):22 ");
	assert_contains(names.out, "   tcp    gate:2   db (n3):22 ");
	assert_contains(names.out, "   tcp    n4:3     10.0.0.5:22 ");
	assert_contains(names.out, "   -      db (n2)  10.0.0.1:51820 ");
	assert_contains(names.out, "   -      n4       DERP 12 ");
	ck_assert_int_eq(addresses.status, CTL_OK);
	assert_contains(addresses.out, "   tcp    [fd00::1]:1  10.0.0.2:22 ");
	assert_contains(addresses.out, "   -      10.0.0.4     DERP 12 ");
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
		test_resolve,
	};

	return run_suite("format", tests, ARRAY_SIZE(tests));
}
