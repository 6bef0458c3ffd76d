/* SPDX-License-Identifier: BSD-3-Clause */
/* netlogctl routes. */

#include "control/commands/commands.h"

#include "tests/unit/control/run_line.h"
#include "tests/unit/control/samples.h"

#define ROUTES_SHOWN                                                                                         \
	"mode auto\n"                                                                                        \
	"LIST             PREFIX           ORIGIN      FOUND BY\n"                                           \
	"local-addr       100.64.0.1       found       interface\n"                                          \
	"route            10.0.0.0/8       configured\n"                                                     \
	"tailnet          100.64.0.0/10\n"                                                                   \
	"tailnet-exclude  100.115.92.0/23\n"

/* In two parts. */
START_TEST(test_routes_show)
{
	const struct fake_answer answers[] = {
		{"GetRoutes",
		 "{'routes':[{'list':'localAddrs','prefix':'100.64.0.1','origin':'found','foundBy':'interface'}]}\n"
		 "{'routes':[{'list':'routes','prefix':'10.0.0.0/8','origin':'configured'},"
		 "{'list':'tailnet','prefix':'100.64.0.0/10','origin':'configured'},"
		 "{'list':'tailnetExclude','prefix':'100.115.92.0/23','origin':'configured'}]}"},
		{"Status", SAMPLE_STATUS_WITHOUT_LISTS}};
	struct fake_daemon *daemon = fake_daemon_start(answers, 2);
	_cleanup_run_ struct run run = run_line(fake_daemon_socket(daemon), "routes show", NULL);
	_cleanup_run_ struct run json = run_line(fake_daemon_socket(daemon), "--json routes show", NULL);

	json_decref(fake_daemon_stop(daemon));
	ck_assert_str_eq(run.err, "");
	ck_assert_int_eq(run.status, CTL_OK);
	ck_assert_str_eq(run.out, ROUTES_SHOWN);
	assert_contains(json.out, "\"routes\":[{\"prefix\":\"10.0.0.0/8\",\"origin\":\"configured\"}]");
	assert_contains(json.out, "\"tailnet\":[\"100.64.0.0/10\"]");
}
END_TEST

/* Of a daemon without GetRoutes: its Status has the lists. */
START_TEST(test_routes_show_of_an_older_daemon)
{
	const struct fake_answer answers[] = {
		{"GetRoutes", "{'method':'GetRoutes'}", "org.varlink.service.MethodNotFound"},
		{"Status", SAMPLE_STATUS}};
	_cleanup_run_ struct run run = run_with(answers, 2, "routes show",
						"[{'method':'GetRoutes','parameters':{}},"
						"{'method':'Status','parameters':{}}]");

	ck_assert_int_eq(run.status, CTL_OK);
	ck_assert_str_eq(run.out, ROUTES_SHOWN);
}
END_TEST

START_TEST(test_routes_show_to_others)
{
	const struct fake_answer answers[] = {{"GetRoutes", "{}", "org.varlink.service.PermissionDenied"}};
	_cleanup_run_ struct run run = run_with(answers, 1, "routes show", ASKED("GetRoutes"));

	ck_assert_int_eq(run.status, CTL_FAILED);
	assert_contains(run.err, "its operators may do this");
}
END_TEST

START_TEST(test_routes_set)
{
	const struct fake_answer answers[] = {{"Reconfig", "{}"}};
	const struct fake_answer refused[] = {
		{"Reconfig", "{'value':'x'}", "org.netlogd.control.InvalidRoute"}};
	_cleanup_run_ struct run run =
		run_with(answers, 1,
			 "routes set --route 10.0.0.0/8,fd00::/8 --route 192.0.2.1 --local-addr 100.64.0.1",
			 "[{'method':'Reconfig','parameters':{'routes':{'localAddrs':['100.64.0.1'],"
			 "'routes':['10.0.0.0/8','fd00::/8','192.0.2.1'],'subnetRoutes':[]}}}]");
	_cleanup_run_ struct run none = run_line("/nowhere", "routes set", NULL);
	_cleanup_run_ struct run wrong = run_line("/nowhere", "routes set --route 10.0.0.0/33", NULL);
	_cleanup_run_ struct run both = run_line("/nowhere", "routes set --file - --route ::1", NULL);
	_cleanup_run_ struct run no =
		run_with(refused, 1, "routes set --route=",
			 "[{'method':'Reconfig','parameters':{'routes':{'localAddrs':[],"
			 "'routes':[],'subnetRoutes':[]}}}]");

	ck_assert_int_eq(run.status, CTL_OK);
	ck_assert_str_eq(run.out, "routes set\n");
	ck_assert_int_eq(none.status, CTL_USAGE);
	ck_assert_int_eq(wrong.status, CTL_USAGE);
	assert_contains(wrong.err, "--route: \"10.0.0.0/33\" is not a prefix");
	ck_assert_int_eq(both.status, CTL_USAGE);
	ck_assert_int_eq(no.status, CTL_FAILED);
	assert_contains(no.err, "\"x\" is not a prefix");
}
END_TEST

START_TEST(test_routes_set_file)
{
	static const char routes[] = "{\"localAddrs\":[],\n\"routes\":[\"10.0.0.0/8\"],\"subnetRoutes\":[]}";
	const struct fake_answer answers[] = {{"Reconfig", "{}"}};
	struct fake_daemon *daemon = fake_daemon_start(answers, 1);
	_cleanup_run_ struct run run = run_line(fake_daemon_socket(daemon), "routes set --file -", routes);
	_cleanup_run_ struct run wrong = run_line("/nowhere", "routes set --file -", "{\n}}");

	assert_json(fake_daemon_stop(daemon), "[{'method':'Reconfig','parameters':{'routes':{'localAddrs':[],"
					      "'routes':['10.0.0.0/8'],'subnetRoutes':[]}}}]");
	ck_assert_int_eq(run.status, CTL_OK);
	ck_assert_int_eq(wrong.status, CTL_FAILED);
	assert_contains(wrong.err, "standard input:2:");
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		test_routes_show,	    test_routes_show_of_an_older_daemon,
		test_routes_show_to_others, test_routes_set,
		test_routes_set_file,
	};

	return run_suite("routes", tests, ARRAY_SIZE(tests));
}
