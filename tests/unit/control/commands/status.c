/* SPDX-License-Identifier: BSD-3-Clause */
/* netlogctl status: the page, line by line, and the same as JSON. */

#include "control/commands/commands.h"

#include "tests/unit/control/run_line.h"
#include "tests/unit/control/samples.h"

START_TEST(test_status)
{
	const struct fake_answer answers[] = {{"Status", SAMPLE_STATUS}};
	_cleanup_run_ struct run run = run_with(answers, 1, "status", ASKED("Status"));

	ck_assert_int_eq(run.status, CTL_OK);
	ck_assert_str_eq(run.err, "");
	assert_contains(run.out, "netlogd 0.1.0  running since 2026-11-22T20:00:01Z");
	assert_contains(run.out, "process     4711, 5.00 MiB resident\n");
	assert_contains(run.out, "log ID      ab12\n");
	assert_contains(run.out, "120 connections, 1 message, 3 ms of CPU time\n");
	assert_contains(run.out, "1234 messages (97.7 KiB) of 1230 windows, all counts add up\n");
	assert_contains(run.out, "auto: 1 local-addr, 1 route, 0 subnet-route\n");
	assert_contains(run.out, "tun     counting  ebpf (auto)  tcx       wg0                117  2.00 KiB");
	assert_contains(run.out, "sock    waiting   wireguard ");
	assert_contains(run.out, "  sock: wg0 is not there yet\n");
	assert_contains(run.out, "  sock: look at this\n");
	assert_contains(run.out, "12 messages, 3.40 MiB of 512 MiB\n");
	assert_contains(run.out, "DISK        No space left on device\n");
	assert_contains(run.out, "LOST        5 messages, 4.88 KiB, before they reached the disk\n");
	assert_contains(run.out, "process 4712, restarted 2 times\n");
	/* A server's words cannot steer the terminal. */
	assert_contains(run.out, "503 ?[31mbusy\n");
	assert_contains(run.out, "\n  main: table ? lacks columns\n");
	ck_assert_ptr_null(strchr(run.out, '\033'));
}
END_TEST

/* One of each. */
START_TEST(test_status_of_one)
{
	static const char one[] =
		"{'status':{'running':true,'version':'0.1.0','pid':4711,'startedAt':'2026-11-22T20:00:00Z',"
		"'window':{'periodMs':5000,'lastEnd':'2026-11-22T20:23:14Z','lastConnections':1,'lastMessages':1},"
		"'tun':{'state':'stopped','configured':'none','source':'none'},"
		"'sock':{'state':'stopped','configured':'none','source':'none'},"
		"'routes':{'mode':'auto','reconfigured':false,'localAddrs':[],'routes':[],'subnetRoutes':[],"
		"'localAddrsTotal':1,'routesTotal':1,'tailnet':[],'tailnetExclude':[]},"
		"'record':{'messages':1,'bytes':1,'windows':1,'conservationFailures':1,"
		"'ignored':{'txPkts':1,'txBytes':1,'rxPkts':0,'rxBytes':0}},"
		"'spool':{'directory':'/nowhere/spool','messages':1,'bytes':0,'maxSize':1,'firstSequence':0,"
		"'lastSequence':0,'waitingMessages':1,'waitingBytes':0,'lostMessages':1,'lostBytes':0,"
		"'removedMessages':1,'removedBytes':0,'damagedFrames':1},"
		"'uploader':{'connected':true,'restarts':1},'sinks':[]}}";
	const struct fake_answer answers[] = {{"Status", one}};
	_cleanup_run_ struct run run = run_with(answers, 1, "status", ASKED("Status"));

	ck_assert_int_eq(run.status, CTL_OK);
	assert_contains(run.out, "1 message (1 B) of 1 window, 1 packet ignored, 1 window with COUNTS");
	assert_contains(run.out, ": 1 connection, 1 message\n");
	assert_contains(run.out, "holds       1 message, 0 B of 1 B\n");
	assert_contains(run.out, "1 message, 0 B, waiting for the disk\n");
	assert_contains(run.out, "1 message, 0 B, before it reached the disk\n");
	assert_contains(run.out, "1 message, 0 B, to stay within the maximum size\n");
	assert_contains(run.out, "1 damaged part was skipped\n");
	assert_contains(run.out, "restarted 1 time\n");
}
END_TEST

/* The sample's status with this in it. */
static struct run run_with_drops(const char *drops)
{
	_cleanup_free_ char *status = NULL;
	struct fake_answer answers[] = {{.method = "Status"}};

	ck_assert_int_gt(
		asprintf(&status, "%.*s,'drops':%s}}", (int)strlen(SAMPLE_STATUS) - 2, SAMPLE_STATUS, drops),
		0);
	answers[0].parameters = status;
	return run_with(answers, 1, "status", ASKED("Status"));
}

START_TEST(test_drops)
{
	static const struct {
		const char *drops, *line;
	} cases[] = {
		{"{'state':'counting','txPkts':0,'rxPkts':0,'reasons':[]}",
		 "\n  dropped     0 received and 0 outgoing packets, by the kernel\n"},
		{"{'state':'waiting','txPkts':9,'rxPkts':1234,'overflow':2,'unplaced':7,'missed':1,'errors':1,'reasons':["
		 "{'reason':'A','txPkts':0,'rxPkts':1},{'reason':'B','txPkts':5,'rxPkts':0},"
		 "{'reason':'C','txPkts':1,'rxPkts':1228},{'reason':'D','txPkts':1,'rxPkts':2},"
		 "{'reason':'E','txPkts':1,'rxPkts':1},{'reason':'F','txPkts':1,'rxPkts':2}]}",
		 "\n  dropped     1234 received and 9 outgoing packets, by the kernel: C 1229, B 5, D 3, F 3, E 2, "
		 "…; not counted now; 2 of them in no entry; 7 more may be the tunnel's; 1 drop on this machine missed; "
		 "of 1 window not all could be read\n"},
		{"{'state':'unavailable','reason':'no \\u001b[31mright'}",
		 "\n  dropped     not counted: no ?[31mright\n"},
		{"{'state':'off','txPkts':1,'rxPkts':0,'overflow':1}",
		 "\n  dropped     not counted: drops = no\n"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_run_ struct run run = run_with_drops(cases[i].drops);

		assert_contains(run.out, cases[i].line);
	}
}
END_TEST

/* The sample's status with these members of the object that begins so, before the others. */
static struct run run_with_members(const char *before, const char *members)
{
	static const char sample[] = SAMPLE_STATUS;
	const char *place = strstr(sample, before);
	struct fake_answer answers[] = {{.method = "Status"}};
	_cleanup_free_ char *status = NULL;

	ck_assert_ptr_nonnull(place);
	place += strlen(before);
	ck_assert_int_gt(asprintf(&status, "%.*s%s,%s", (int)(place - sample), sample, members, place), 0);
	answers[0].parameters = status;
	return run_with(answers, 1, "status", ASKED("Status"));
}

/* Who serves the tunnel, unless there is something else to say: it may have gone. */
START_TEST(test_backend)
{
	static const char backend[] = "'backend':'tailscaled 1 \\u001b[31m: Running'";
	_cleanup_run_ struct run tun = run_with_members("'tun':{", backend);
	_cleanup_run_ struct run sock = run_with_members("'sock':{", backend);

	assert_contains(tun.out, "\n  tun: tailscaled 1 ?[31m: Running\n");
	assert_contains(sock.out, "\n  sock: wg0 is not there yet\n");
	ck_assert_ptr_null(strstr(sock.out, "tailscaled"));
}
END_TEST

START_TEST(test_forgotten_connections)
{
	_cleanup_run_ struct run run = run_with_members(
		"'record':{", "'live':{'connections':5,'maxConnections':9,'forgotten':7,'memory':1}");

	assert_contains(run.out, "all counts add up, 7 live connections forgotten for want of room "
				 "(raise max-flows)\n");
	/* An older daemon does not say whether they are on. */
	ck_assert_ptr_null(strstr(run.out, "  details  "));
}
END_TEST

START_TEST(test_details)
{
	static const struct {
		const char *members, *line;
	} cases[] = {
		{"'details':false,'foldPorts':false", "all counts add up\n  details     off: details = no\n"},
		{"'details':true,'foldPorts':false,"
		 "'live':{'connections':1,'maxConnections':9,'forgotten':0,'memory':1}",
		 "\n  details     on, 1 live connection remembered\n"},
		{"'details':true,'foldPorts':true,"
		 "'live':{'connections':2,'maxConnections':9,'forgotten':0,'memory':1}",
		 "\n  details     on, 2 live connections remembered, ports of openers folded\n"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_run_ struct run run = run_with_members("'record':{", cases[i].members);

		assert_contains(run.out, cases[i].line);
	}
}
END_TEST

START_TEST(test_status_json)
{
	const struct fake_answer answers[] = {{"Status", SAMPLE_STATUS}};
	_cleanup_run_ struct run run = run_with(answers, 1, "status --json", ASKED("Status"));
	json_t *status = json_loads(run.out, 0, NULL), *expected = json_of(SAMPLE_STATUS);

	ck_assert_int_eq(run.status, CTL_OK);
	ck_assert(json_equal(status, json_object_get(expected, "status")));
	json_decref(status);
	json_decref(expected);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		test_status,  test_status_of_one, test_drops, test_backend, test_forgotten_connections,
		test_details, test_status_json,
	};

	return run_suite("status", tests, ARRAY_SIZE(tests));
}
