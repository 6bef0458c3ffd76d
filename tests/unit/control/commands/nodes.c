/* SPDX-License-Identifier: BSD-3-Clause */
/* netlogctl nodes. */

#include "control/commands/commands.h"

#include "tests/unit/control/run_line.h"
#include "tests/unit/control/samples.h"

START_TEST(test_nodes)
{
	const struct fake_answer answers[] = {
		{"GetNodes", "{'nodes':[{'nodeId':'n5','name':'a.ts.net','addresses':['100.64.0.5'],"
			     "'tags':['tag:x','tag:y']}]}"},
		{"SetNodes", "{}"}};
	struct fake_daemon *daemon = fake_daemon_start(answers, 2);
	const char *socket = fake_daemon_socket(daemon);
	_cleanup_run_ struct run show = run_line(socket, "nodes show", NULL);
	_cleanup_run_ struct run json = run_line(socket, "nodes show --json", NULL);
	/* What is shown can be set again. */
	_cleanup_run_ struct run set = run_line(socket, "nodes set -", json.out);
	_cleanup_run_ struct run wrong = run_line(socket, "nodes set -", "[]");

	assert_json(fake_daemon_stop(daemon),
		    "[{'method':'GetNodes','parameters':{}},{'method':'GetNodes','parameters':{}},"
		    "{'method':'SetNodes','parameters':{'nodes':[{'nodeId':'n5','name':'a.ts.net',"
		    "'addresses':['100.64.0.5'],'tags':['tag:x','tag:y']}]}}]");
	ck_assert_str_eq(show.out, "NODE  NAME      ADDRESSES   TAGS\n"
				   "n5    a.ts.net  100.64.0.5  tag:x, tag:y\n");
	ck_assert_str_eq(set.out, "1 node set\n");
	ck_assert_int_eq(wrong.status, CTL_FAILED);
	assert_contains(wrong.err, "expected {\"nodes\":[...]}");
}
END_TEST

START_TEST(test_nodes_of_an_older_daemon)
{
	const struct fake_answer answers[] = {
		{"GetNodes", "{'method':'GetNodes'}", "org.varlink.service.MethodNotFound"},
		{"Status", SAMPLE_STATUS},
		{"SetNodes", "{}"}};
	struct fake_daemon *daemon = fake_daemon_start(answers, 3);
	const char *socket = fake_daemon_socket(daemon);
	_cleanup_run_ struct run show = run_line(socket, "nodes show", NULL);
	_cleanup_run_ struct run json = run_line(socket, "nodes show --json", NULL);
	/* What is shown can be set again. */
	_cleanup_run_ struct run set = run_line(socket, "nodes set -", json.out);
	_cleanup_run_ struct run wrong = run_line(socket, "nodes set -", "[]");

	assert_json(fake_daemon_stop(daemon),
		    "[{'method':'GetNodes','parameters':{}},{'method':'Status','parameters':{}},"
		    "{'method':'GetNodes','parameters':{}},{'method':'Status','parameters':{}},"
		    "{'method':'SetNodes','parameters':{'nodes':[{'nodeId':'n5','name':'a.ts.net',"
		    "'addresses':['100.64.0.5'],'tags':['tag:x','tag:y']}]}}]");
	ck_assert_str_eq(show.out, "NODE  NAME      ADDRESSES   TAGS\n"
				   "n5    a.ts.net  100.64.0.5  tag:x, tag:y\n");
	ck_assert_str_eq(set.out, "1 node set\n");
	ck_assert_int_eq(wrong.status, CTL_FAILED);
	assert_contains(wrong.err, "expected {\"nodes\":[...]}");
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {test_nodes, test_nodes_of_an_older_daemon};

	return run_suite("nodes", tests, ARRAY_SIZE(tests));
}
