/* SPDX-License-Identifier: BSD-3-Clause */
/* netlogctl's commands against a daemon that answers from a table: requests, output, exit statuses. */

#include "control/ctl.h"
#include "common/cleanup.h"
#include "common/file.h"
#include "tests/unit/control/fake_daemon.h"
#include "tests/unit/control/run_line.h"
#include "tests/unit/control/support.h"

#include <fcntl.h>
#include <string.h>

/* Runs it against a daemon with these answers; asserts what it asked. */
static struct run run_with(const struct fake_answer *answers, size_t n, const char *line, const char *asked)
{
	struct fake_daemon *daemon = fake_daemon_start(answers, n);
	struct run run = run_line(fake_daemon_socket(daemon), line, NULL);

	assert_json(fake_daemon_stop(daemon), asked);
	return run;
}

#define STATUS                                                                                                \
	"{'status':{'running':true,'publicId':'ab12','version':'0.1.0','pid':4711,"                           \
	"'startedAt':'2026-11-22T20:00:00Z','runningSince':'2026-11-22T20:00:01Z',"                           \
	"'configurationFile':'/tmp/n.conf','nodeId':'n123','nodes':1,'memory':5242880,"                       \
	"'nodeList':[{'nodeId':'n5','name':'a.ts.net','addresses':['100.64.0.5'],'tags':['tag:x','tag:y']}]," \
	"'window':{'periodMs':5000,'lastEnd':'2026-11-22T20:23:14Z','lastConnections':120,'lastMessages':1,"  \
	"'lastCpuUs':3200},"                                                                                  \
	"'tun':{'state':'counting','configured':'auto','source':'ebpf','attachment':'tcx','interface':'wg0'," \
	"'ifindex':7,'lastConnections':117,'totals':{'txPkts':10,'txBytes':2048,'rxPkts':1,'rxBytes':64},"    \
	"'overflow':{'txPkts':3,'txBytes':180,'rxPkts':0,'rxBytes':0},'memory':18874368},"                    \
	"'sock':{'state':'waiting','configured':'wireguard','source':'wireguard',"                            \
	"'reason':'wg0 is not there yet','warnings':['look at this']},"                                       \
	"'routes':{'mode':'auto','reconfigured':false,'localAddrs':[{'prefix':'100.64.0.1',"                  \
	"'origin':'found','foundBy':'interface'}],'routes':[{'prefix':'10.0.0.0/8','origin':'configured'}],"  \
	"'subnetRoutes':[],'tailnet':['100.64.0.0/10'],'tailnetExclude':['100.115.92.0/23']},"                \
	"'record':{'messages':1234,'bytes':99999,'windows':1230,'conservationFailures':0},"                   \
	"'spool':{'directory':'/nowhere/spool','messages':12,'bytes':3565158,'maxSize':536870912,"            \
	"'firstSequence':1,'lastSequence':12,'waitingMessages':2,'waitingBytes':100,'lostMessages':5,"        \
	"'lostBytes':5000,'removedMessages':0,'removedBytes':0,'damagedFrames':0,"                            \
	"'error':'No space left on device'},"                                                                 \
	"'uploader':{'connected':true,'pid':4712,'restarts':2},"                                              \
	"'sinks':[{'name':'main','type':'logtail','state':'retrying','backlogMessages':9,"                    \
	"'backlogBytes':1536,'lastError':'503 \\u001b[31mbusy','retries':4}]}}"

#define ASKED(method) "[{'method':'" method "','parameters':{}}]"

START_TEST(test_status)
{
	const struct fake_answer answers[] = {{"Status", STATUS}};
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
	assert_contains(run.out, "LOST        5 messages, 4.88 KiB, before they were on disk\n");
	assert_contains(run.out, "process 4712, started again 2 times\n");
	/* What a server wrote can't play with the terminal. */
	assert_contains(run.out, "503 ?[31mbusy\n");
	ck_assert_ptr_null(strchr(run.out, '\033'));
}
END_TEST

START_TEST(test_status_json)
{
	const struct fake_answer answers[] = {{"Status", STATUS}};
	_cleanup_run_ struct run run = run_with(answers, 1, "status --json", ASKED("Status"));
	json_t *status = json_loads(run.out, 0, NULL), *expected = json_of(STATUS);

	ck_assert_int_eq(run.status, CTL_OK);
	ck_assert(json_equal(status, json_object_get(expected, "status")));
	json_decref(status);
	json_decref(expected);
}
END_TEST

START_TEST(test_no_daemon)
{
	static const char *const lines[] = {"status", "start",	     "stop", "reload",
					    "flush",  "routes show", "tail", "metrics"};

	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		_cleanup_run_ struct run run = run_line("/nowhere/control.sock", lines[i], NULL);

		ck_assert_int_eq(run.status, CTL_FAILED);
		ck_assert_str_eq(run.out, "");
		assert_contains(run.err,
				"netlogctl: no daemon answers at /nowhere/control.sock. Start it with");
	}
}
END_TEST

START_TEST(test_errors)
{
	static const struct {
		const char *error, *parameters, *message;
	} errors[] = {
		{"org.netlogd.control.AlreadyRunning", "{'publicId':'ab'}", "already running, for log ID ab"},
		{"org.netlogd.control.DeviceUnavailable", "{'device':'tun','reason':'no such thing'}",
		 "the tun device can't be used: no such thing"},
		{"org.netlogd.control.Failed", "{'reason':'so it is'}",
		 "the daemon could not do that: so it is"},
		{"org.netlogd.control.Failed", "{'reason':'a\\u001b[31mb'}", "could not do that: a?[31mb"},
		{"org.varlink.service.PermissionDenied", "{}", "the daemon permits this to root"},
		{"org.varlink.service.MethodNotImplemented", "{'method':'a.b'}", "does not know a.b"},
		{"org.example.Else", "{}", "answers with org.example.Else"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(errors); i++) {
		const struct fake_answer answers[] = {{"Start", errors[i].parameters, errors[i].error}};
		_cleanup_run_ struct run run = run_with(answers, 1, "start", ASKED("Start"));

		ck_assert_int_eq(run.status, CTL_FAILED);
		ck_assert_str_eq(run.out, "");
		assert_contains(run.err, errors[i].message);
	}
}
END_TEST

/* A stats socket alone means the source stats; a file that holds no log ID goes nowhere. */
START_TEST(test_start_with_less)
{
	const struct fake_answer answers[] = {{"Start", "{'publicId':'ab12'}"}};
	_cleanup_run_ struct run run =
		run_with(answers, 1, "start --tun-stats-socket /s",
			 "[{'method':'Start','parameters':{'tun':{'source':'stats','statsSocket':'/s'}}}]");
	_cleanup_run_ struct run wrong =
		run_line("/nowhere/control.sock", "start --log-id-file /dev/null", NULL);

	ck_assert_int_eq(run.status, CTL_OK);
	ck_assert_int_eq(wrong.status, CTL_FAILED);
	assert_contains(wrong.err, "netlogctl: /dev/null does not hold a private log ID (64 hex digits)");
}
END_TEST

START_TEST(test_start)
{
	const struct fake_answer answers[] = {{"Start", "{'publicId':'ab12'}"}};
	_cleanup_run_ struct run run =
		run_with(answers, 1, "start --tun-interface wg0 --sock-source=none",
			 "[{'method':'Start','parameters':{'tun':{'source':'auto','interface':'wg0'},"
			 "'sock':{'source':'none'}}}]");

	ck_assert_int_eq(run.status, CTL_OK);
	ck_assert_str_eq(run.out, "started for log ID ab12\n");
}
END_TEST

START_TEST(test_stop)
{
	static const struct {
		const char *line, *reply, *asked, *out;
	} cases[] = {
		{"stop", "{'pendingMessages':0,'pendingBytes':0}", "{}",
		 "stopped; nothing waits to be delivered\n"},
		{"stop --deadline 2", "{'pendingMessages':1,'pendingBytes':2048}", "{'deadlineMs':2000}",
		 "stopped; 1 message (2.00 KiB) waits in the spool to be delivered\n"},
		{"stop --deadline=250ms", "{'pendingMessages':3,'pendingBytes':10}", "{'deadlineMs':250}",
		 "stopped; 3 messages (10 B) wait in the spool to be delivered\n"},
		{"--json stop", "{'pendingMessages':3,'pendingBytes':10}", "{}",
		 "{\"pendingMessages\":3,\"pendingBytes\":10}\n"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct fake_answer answers[] = {{"Stop", cases[i].reply}};
		_cleanup_free_ char *asked = NULL;
		struct run run;

		ck_assert_int_gt(asprintf(&asked, "[{'method':'Stop','parameters':%s}]", cases[i].asked), 0);
		run = run_with(answers, 1, cases[i].line, asked);
		ck_assert_int_eq(run.status, CTL_OK);
		ck_assert_str_eq(run.out, cases[i].out);
		run_deinit(&run);
	}
}
END_TEST

START_TEST(test_flush_not_running)
{
	const struct fake_answer answers[] = {{"Flush", "{}", "org.netlogd.control.NotRunning"}};
	_cleanup_run_ struct run run = run_with(answers, 1, "flush", ASKED("Flush"));

	ck_assert_int_eq(run.status, CTL_FAILED);
	assert_contains(run.err, "the logger is stopped; \"netlogctl start\" starts it");
}
END_TEST

START_TEST(test_reload)
{
	const struct fake_answer good[] = {{"Reload", "{}"}};
	const struct fake_answer bad[] = {{"Reload", "{'file':'/x.conf','line':7,'reason':'no such key'}",
					   "org.netlogd.control.ConfigurationInvalid"}};
	_cleanup_run_ struct run run = run_with(good, 1, "reload", ASKED("Reload"));
	_cleanup_run_ struct run failed = run_with(bad, 1, "reload", ASKED("Reload"));

	ck_assert_int_eq(run.status, CTL_OK);
	ck_assert_str_eq(run.out, "configuration read again\n");
	ck_assert_int_eq(failed.status, CTL_FAILED);
	ck_assert_str_eq(failed.err, "netlogctl: /x.conf:7: no such key; nothing was changed\n");
}
END_TEST

START_TEST(test_routes_show)
{
	const struct fake_answer answers[] = {{"Status", STATUS}};
	_cleanup_run_ struct run run = run_with(answers, 1, "routes show", ASKED("Status"));

	ck_assert_int_eq(run.status, CTL_OK);
	ck_assert_str_eq(run.out, "mode auto\n"
				  "LIST             PREFIX           ORIGIN      FOUND BY\n"
				  "local-addr       100.64.0.1       found       interface\n"
				  "route            10.0.0.0/8       configured\n"
				  "tailnet          100.64.0.0/10\n"
				  "tailnet-exclude  100.115.92.0/23\n");
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
	assert_contains(wrong.err, "--route: \"10.0.0.0/33\" is no prefix");
	ck_assert_int_eq(both.status, CTL_USAGE);
	ck_assert_int_eq(no.status, CTL_FAILED);
	assert_contains(no.err, "\"x\" is no prefix");
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

START_TEST(test_nodes)
{
	const struct fake_answer answers[] = {{"Status", STATUS}, {"SetNodes", "{}"}};
	struct fake_daemon *daemon = fake_daemon_start(answers, 2);
	const char *socket = fake_daemon_socket(daemon);
	_cleanup_run_ struct run show = run_line(socket, "nodes show", NULL);
	_cleanup_run_ struct run json = run_line(socket, "nodes show --json", NULL);
	/* What is shown can be set again. */
	_cleanup_run_ struct run set = run_line(socket, "nodes set -", json.out);
	_cleanup_run_ struct run wrong = run_line(socket, "nodes set -", "[]");

	assert_json(fake_daemon_stop(daemon),
		    "[{'method':'Status','parameters':{}},{'method':'Status','parameters':{}},"
		    "{'method':'SetNodes','parameters':{'nodes':[{'nodeId':'n5','name':'a.ts.net',"
		    "'addresses':['100.64.0.5'],'tags':['tag:x','tag:y']}]}}]");
	ck_assert_str_eq(show.out, "NODE  NAME      ADDRESSES   TAGS\n"
				   "n5    a.ts.net  100.64.0.5  tag:x, tag:y\n");
	ck_assert_str_eq(set.out, "1 nodes set\n");
	ck_assert_int_eq(wrong.status, CTL_FAILED);
	assert_contains(wrong.err, "expected {\"nodes\":[...]}");
}
END_TEST

#define MESSAGE                                                                                              \
	"{'logtail':{'client_time':'2022-10-13T20:23:14.7Z','proc_id':5,'proc_seq':7},'nodeId':'n123',"      \
	"'start':'2022-10-13T20:23:09.644Z','end':'2022-10-13T20:23:14.644Z',"                               \
	"'srcNode':{'nodeId':'n123','name':'me.ts.net','addresses':['100.64.0.1']},"                         \
	"'virtualTraffic':[{'proto':6,'src':'100.64.0.1:22','dst':'100.64.0.2:42912','txPkts':80,"           \
	"'txBytes':8140,'rxPkts':52,'rxBytes':5164}],"                                                       \
	"'physicalTraffic':[{'proto':0,'src':'100.64.0.2:0','dst':'192.0.2.2:51820','txPkts':81,"            \
	"'txBytes':10732}],'overflow':{'tun':{'rxPkts':12,'rxBytes':768}}}"
#define TEXT                                                                                                 \
	"{'logtail':{'client_time':'2022-10-13T20:23:15Z','proc_id':5,'proc_seq':8},'text':'netlogd: stopped'}"

START_TEST(test_tail)
{
	const struct fake_answer answers[] = {{"Tail", "{'message':" MESSAGE "}\n{'message':" TEXT "}"}};
	_cleanup_run_ struct run run = run_with(answers, 1, "tail", ASKED("Tail"));
	_cleanup_run_ struct run named = run_with(answers, 1, "tail --resolve", ASKED("Tail"));
	_cleanup_run_ struct run lines = run_with(answers, 1, "tail --json", ASKED("Tail"));

	ck_assert_int_eq(run.status, CTL_OK);
	ck_assert_str_eq(run.out,
			 "2022-10-13T20:23:09.644Z  5 s  node n123  #7\n"
			 "   PROTO  SOURCE         DESTINATION       TX PKTS  TX BYTES  RX PKTS  RX BYTES\n"
			 "virtual: 1 connection, sent 7.95 KiB (1.59 KiB/s), received 5.04 KiB (1.01 KiB/s)\n"
			 "   tcp    100.64.0.1:22  100.64.0.2:42912       80  7.95 KiB       52  5.04 KiB\n"
			 "physical: 1 connection, sent 10.5 KiB (2.10 KiB/s), received 0 B (0 B/s)\n"
			 "   -      100.64.0.2     192.0.2.2:51820        81  10.5 KiB        -         -\n"
			 "  overflow of tun, in no entry: sent 0 packets (0 B), received 12 packets (768 B)\n"
			 "\n"
			 "2022-10-13T20:23:15Z  netlogd: stopped\n");
	assert_contains(named.out, "   tcp    me.ts.net:22  100.64.0.2:42912 ");
	{
		_cleanup_free_ char *first = strndup(lines.out, strcspn(lines.out, "\n"));
		json_t *line = json_loads(first, 0, NULL);

		assert_json(line, MESSAGE);
		assert_contains(lines.out, "\"text\":\"netlogd: stopped\"}\n");
	}
}
END_TEST

START_TEST(test_top)
{
	/* Two messages of one window, a text, and a second window. */
	const struct fake_answer answers[] = {
		{"Tail",
		 "{'message':" MESSAGE "}\n{'message':" MESSAGE "}\n{'message':" TEXT "}\n"
		 "{'message':{'start':'2022-10-13T20:23:14.644000001Z','end':'2022-10-13T20:23:19.644Z',"
		 "'exitTraffic':[{'proto':0,'src':'','dst':'','txBytes':5120}]}}"}};
	_cleanup_run_ struct run run = run_with(answers, 1, "top", ASKED("Tail"));
	_cleanup_run_ struct run one = run_with(answers, 1, "top --count 1 --by class", ASKED("Tail"));
	_cleanup_run_ struct run json = run_with(answers, 1, "top --json --class exit", ASKED("Tail"));
	_cleanup_run_ struct run wrong = run_line("/nowhere", "top --count 0", NULL);

	ck_assert_int_eq(run.status, CTL_OK);
	ck_assert_str_eq(
		run.out,
		"2022-10-13T20:23:09.644Z  5 s\n"
		"CLASS     CONNECTION                              TX RATE     RX RATE      SENT  RECEIVED  TX PKTS  RX PKTS\n"
		"virtual   tcp me.ts.net:22 > 100.64.0.2:42912  3.18 KiB/s  2.02 KiB/s  15.9 KiB  10.1 KiB      160      104\n"
		"physical  - 100.64.0.2 > 192.0.2.2:51820       4.19 KiB/s       0 B/s  21.0 KiB       0 B      162        0\n"
		"\n"
		"2022-10-13T20:23:14.644000001Z  5 s\n"
		"CLASS  CONNECTION     TX RATE  RX RATE      SENT  RECEIVED  TX PKTS  RX PKTS\n"
		"exit   all         1.00 KiB/s    0 B/s  5.00 KiB       0 B        0        0\n"
		"\n");
	ck_assert_int_eq(one.status, CTL_OK);
	assert_contains(one.out, "virtual   all      3.18 KiB/s");
	ck_assert_ptr_null(strstr(one.out, "exit"));
	ck_assert_int_eq(json.status, CTL_OK);
	assert_contains(json.out,
			"{\"start\":\"2022-10-13T20:23:14.644000001Z\",\"end\":\"2022-10-13T20:23:19.644Z\","
			"\"rows\":[{\"class\":\"exit\",\"label\":\"all\",\"txPkts\":0,\"txBytes\":5120,");
	ck_assert_int_eq(wrong.status, CTL_USAGE);
}
END_TEST

/* The completion knows every command, and every option that a command's help names. */
START_TEST(test_completion)
{
	_cleanup_free_ char *script = NULL;
	size_t size;

	ck_assert_int_eq(file_read(AT_FDCWD, COMPLETION, 65536, &script, &size, NULL), 0);
	for (const struct ctl_command *command = ctl_commands; command->name; command++) {
		_cleanup_free_ char *line = NULL, *word = strndup(command->name, strcspn(command->name, " "));
		struct run run;

		ck_assert_msg(strstr(script, word) != NULL, "%s", command->name);
		ck_assert_int_gt(asprintf(&line, "help %s", command->name), 0);
		run = run_line(NULL, line, NULL);
		for (const char *at = run.out; (at = strstr(at, "--")); at += 2) {
			_cleanup_free_ char *option = strndup(at, strspn(at, "-abcdefghijklmnopqrstuvwxyz"));

			ck_assert_msg(strstr(script, option) != NULL, "%s %s", command->name, option);
		}
		run_deinit(&run);
	}
}
END_TEST

START_TEST(test_metrics)
{
	const struct fake_answer answers[] = {{"Metrics", "{'text':'netlogd_up 1\\n'}"}};
	_cleanup_run_ struct run run = run_with(answers, 1, "metrics", ASKED("Metrics"));

	ck_assert_int_eq(run.status, CTL_OK);
	ck_assert_str_eq(run.out, "netlogd_up 1\n");
}
END_TEST

/* The message in JSON, with double quotes. */
static char *json_text_of(const char *text)
{
	json_t *value = json_of(text);
	char *out = json_dumps(value, JSON_COMPACT);

	json_decref(value);
	return out;
}

START_TEST(test_format)
{
	_cleanup_free_ char *message = json_text_of(MESSAGE), *text = json_text_of(TEXT);
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

START_TEST(test_format_nothing)
{
	_cleanup_run_ struct run run = run_line(NULL, "format", "{\"a\":[1,2]}");

	ck_assert_int_eq(run.status, CTL_FAILED);
	ck_assert_str_eq(run.err, "netlogctl: no messages on standard input\n");
}
END_TEST

START_TEST(test_usage)
{
	static const char *const lines[] = {
		"",
		"nonsense",
		"routes",
		"routes nonsense",
		"status extra",
		"status --no",
		"stop --deadline",
		"stop --deadline x",
		"stop --json=1",
		"stop --deadline 7200",
		"id new",
		"id public a b",
		"nodes set",
		"--socket",
		"-x status",
	};

	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		_cleanup_run_ struct run run = run_line(NULL, lines[i], NULL);

		ck_assert_msg(run.status == CTL_USAGE, "%s: %d", lines[i], run.status);
		ck_assert_str_eq(run.out, "");
		ck_assert_int_eq(strncmp(run.err, "netlogctl: ", 11), 0);
	}
}
END_TEST

/* Every command explains itself, and is known to the help. */
START_TEST(test_help)
{
	_cleanup_run_ struct run all = run_line(NULL, "--help", NULL);

	ck_assert_int_eq(all.status, CTL_OK);
	for (const struct ctl_command *command = ctl_commands; command->name; command++) {
		_cleanup_free_ char *line = NULL, *usage = NULL;
		struct run run;

		ck_assert_int_gt(asprintf(&line, "%s --help", command->name), 0);
		ck_assert_int_gt(asprintf(&usage, "usage: netlogctl %s", command->name), 0);
		run = run_line(NULL, line, NULL);
		ck_assert_int_eq(run.status, CTL_OK);
		ck_assert_str_eq(run.err, "");
		assert_contains(run.out, usage);
		assert_contains(run.out, command->summary);
		assert_contains(all.out, command->name);
		run_deinit(&run);
	}
}
END_TEST

START_TEST(test_id)
{
	char directory[] = "/tmp/netlogd-test-XXXXXX";
	_cleanup_free_ char *file = NULL, *make = NULL, *show = NULL;
	struct run made, again, shown, none;

	ck_assert_ptr_nonnull(mkdtemp(directory));
	ck_assert_int_gt(asprintf(&file, "%s/id", directory), 0);
	ck_assert_int_gt(asprintf(&make, "id new %s", file), 0);
	ck_assert_int_gt(asprintf(&show, "id public %s", file), 0);
	none = run_line(NULL, show, NULL);
	made = run_line(NULL, make, NULL);
	again = run_line(NULL, make, NULL);
	shown = run_line(NULL, show, NULL);
	unlink(file);
	rmdir(directory);
	ck_assert_int_eq(none.status, CTL_FAILED);
	ck_assert_int_eq(made.status, CTL_OK);
	ck_assert_uint_eq(strspn(made.out, "0123456789abcdef"), 64);
	ck_assert_str_eq(made.out + 64, "\n");
	ck_assert_int_eq(again.status, CTL_FAILED);
	assert_contains(again.err, "is there already");
	ck_assert_int_eq(shown.status, CTL_OK);
	ck_assert_str_eq(shown.out, made.out);
	run_deinit(&none);
	run_deinit(&made);
	run_deinit(&again);
	run_deinit(&shown);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		test_status,
		test_status_json,
		test_no_daemon,
		test_errors,
		test_start_with_less,
		test_start,
		test_stop,
		test_flush_not_running,
		test_reload,
		test_routes_show,
		test_routes_set,
		test_routes_set_file,
		test_nodes,
		test_tail,
		test_metrics,
		test_top,
		test_completion,
		test_format,
		test_format_nothing,
		test_usage,
		test_help,
		test_id,
	};

	return run_suite("netlogctl", tests, ARRAY_SIZE(tests));
}
