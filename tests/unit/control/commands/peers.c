/* SPDX-License-Identifier: BSD-3-Clause */
/* netlogctl peers. */

#include "control/commands/commands.h"

#include "tests/unit/control/run_line.h"

/* A peer by each path, one without a name or traffic so far, and one of an older daemon. */
#define LAPTOP                                                                                               \
	"{'name':'laptop.net','nodeId':'n1','addresses':['100.64.0.2','fd7a::2'],"                           \
	"'endpoint':'192.0.2.2:51820','path':'direct','lastHandshake':'2020-01-01T00:00:00Z',"               \
	"'lastSeen':'2020-01-01T00:00:00Z','active':true,'txBytes':2048,'rxBytes':100,'txRate':1024,"        \
	"'rxRate':7,'txBytesToday':512,'rxBytesToday':30,'todaySince':'2020-01-01T00:00:00Z',"               \
	"'movedAt':'2020-01-01T12:00:00Z','fromPath':'derp','fromEndpoint':'127.3.3.40:4','fromVia':'fra',"  \
	"'os':'linux','tags':['tag:a','tag:b'],'publicKey':'KEY='}"
#define PHONE                                                                                                \
	"{'name':'Phone','nodeId':'n2','addresses':['100.64.0.3'],'endpoint':'127.3.3.40:4','path':'derp',"  \
	"'via':'fra','lastSeen':'2020-01-02T03:04:00Z','active':false,'txBytes':0,'rxBytes':0,'txRate':0,"   \
	"'rxRate':0,'txBytesToday':900,'rxBytesToday':9000,'user':'ann'}"
#define SERVER                                                                                               \
	"{'name':'server','nodeId':'n3','addresses':['100.64.0.4'],'endpoint':'192.0.2.9:7777',"             \
	"'path':'relay','lastSeen':'2020-01-03T00:00:00Z','lastHandshake':'2020-01-03T00:00:00Z',"           \
	"'active':true,'txBytes':1,'rxBytes':1,'txRate':1,'rxRate':100000}"
#define NAMELESS                                                                                             \
	"{'nodeId':'abcdefghijklmnop=','addresses':['10.0.0.9'],'endpoint':'127.3.3.40:4','active':false,"   \
	"'txBytes':0,'rxBytes':0,"                                                                           \
	"'publicKey':'abcdefghijklmnop='}"
#define OLDER "{'addresses':['10.0.0.8'],'endpoint':'192.0.2.8:1','txBytes':0,'rxBytes':0}"
#define PEERS "{'peers':[" NAMELESS "," PHONE "]}\n{'peers':[" SERVER "," LAPTOP "," OLDER "]}"

static const struct fake_answer answers[] = {{"GetPeers", PEERS}};

static struct run run_peers(const char *line)
{
	setenv("TZ", "XYZ-1", 1);
	return run_with(answers, 1, line, ASKED("GetPeers"));
}

static void assert_same(const char *actual, const char *expected)
{
	ck_assert_str_eq(actual, expected);
}

/* The first words of the lines after the title. */
static void assert_order(const char *line, const char *expected)
{
	_cleanup_run_ struct run run = run_peers(line);
	char order[200] = "";

	ck_assert_int_eq(run.status, CTL_OK);
	for (const char *at = strchr(run.out, '\n'); at && at[1]; at = strchr(at + 1, '\n'))
		snprintf(order + strlen(order), sizeof(order) - strlen(order), "%.*s ",
			 (int)strcspn(at + 1, " \n"), at + 1);
	ck_assert_str_eq(order, expected);
}

START_TEST(test_table)
{
	_cleanup_run_ struct run run = run_peers("peers");
	_cleanup_run_ struct run keys = run_peers("peers --keys");

	ck_assert_int_eq(run.status, CTL_OK);
	assert_contains(run.out,
			"PEER        PATH      ENDPOINT         STATE                          SEEN ");
	assert_contains(run.out, "\nlaptop.net  direct    192.0.2.2:51820  active                         ");
	assert_contains(run.out,
			"  1.00 KiB/s       7 B/s       512 B            30 B  100.64.0.2, fd7a::2\n");
	assert_contains(run.out, "\nserver      relay     192.0.2.9:7777   active                         ");
	assert_contains(run.out, "\nPhone       DERP fra                   silent since 2020-01-02 04:04  ");
	assert_contains(run.out, "       900 B        8.79 KiB  100.64.0.3\n");
	assert_contains(run.out,
			"\nabcdefgh                               never seen                     never");
	assert_contains(run.out,
			"\n10.0.0.8              192.0.2.8:1                                     never");
	ck_assert_ptr_null(strstr(run.out, "KEY"));
	ck_assert_ptr_null(strstr(run.out, "Bytes of today"));
	assert_contains(keys.out, "100.64.0.2, fd7a::2  KEY=\n");
}
END_TEST

START_TEST(test_order)
{
	_cleanup_run_ struct run wrong = run_line("/nowhere", "peers --sort size", NULL);

	assert_order("peers", "laptop.net server 10.0.0.8 abcdefgh Phone ");
	assert_order("peers --sort active", "laptop.net server 10.0.0.8 abcdefgh Phone ");
	assert_order("peers --sort name", "10.0.0.8 abcdefgh laptop.net Phone server ");
	assert_order("peers --sort seen", "server Phone laptop.net 10.0.0.8 abcdefgh ");
	assert_order("peers --sort handshake", "server laptop.net 10.0.0.8 abcdefgh Phone ");
	assert_order("peers --sort rate", "server laptop.net 10.0.0.8 abcdefgh Phone ");
	assert_order("peers --sort today", "Phone laptop.net 10.0.0.8 abcdefgh server ");
	ck_assert_int_eq(wrong.status, CTL_USAGE);
	assert_contains(wrong.err, "--sort: one of active, name, seen, handshake, rate, today");
}
END_TEST

/* What follows a line's name, up to its end. */
static void assert_line(const char *text, const char *name, const char *expected)
{
	_cleanup_free_ char *line = NULL;

	ck_assert_int_gt(asprintf(&line, "\n  %-12s%s\n", name, expected), 0);
	assert_contains(text, line);
}

START_TEST(test_one_peer)
{
	_cleanup_run_ struct run run = run_peers("peers laptop");
	_cleanup_run_ struct run phone = run_peers("peers n2");

	ck_assert_int_eq(run.status, CTL_OK);
	ck_assert_int_eq(strncmp(run.out, "laptop.net\n", 11), 0);
	assert_line(run.out, "path", "direct, 192.0.2.2:51820");
	assert_line(run.out, "moved", "2020-01-01 13:00, from DERP fra");
	assert_line(run.out, "state", "active");
	assert_line(run.out, "rate", "sent 1.00 KiB/s, received 7 B/s");
	assert_line(run.out, "today", "sent 512 B, received 30 B since 2020-01-01 01:00");
	assert_line(run.out, "in all", "sent 2.00 KiB, received 100 B");
	assert_line(run.out, "addresses", "100.64.0.2, fd7a::2");
	assert_line(run.out, "tags", "tag:a, tag:b");
	assert_line(run.out, "OS", "linux");
	assert_line(run.out, "node ID", "n1");
	assert_line(run.out, "public key", "KEY=");
	ck_assert_ptr_null(strstr(run.out, "owner"));
	assert_line(phone.out, "path", "DERP fra");
	assert_line(phone.out, "state", "silent since 2020-01-02 04:04");
	assert_line(phone.out, "handshake", "never");
	assert_line(phone.out, "owner", "ann");
	ck_assert_ptr_null(strstr(phone.out, "moved"));
}
END_TEST

/* A peer's name in any case, its first label, its ID or key, and what the table shows; and nothing else. */
START_TEST(test_who_is_meant)
{
	static const char *const words[] = {
		"LAPTOP",  "laptop.net",	"n1",	    "KEY=",	"100.64.0.2",
		"FD7A::2", "abcdefghijklmnop=", "abcdefgh", "10.0.0.8",
	};
	static const char *const none[] = {"lap", "laptop.ne", "abcdefghi", "100.64.0", "N1", "key="};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		char line[80];
		struct run run;

		snprintf(line, sizeof(line), "--json peers %s", words[i]);
		run = run_peers(line);
		ck_assert_int_eq(run.status, CTL_OK);
		ck_assert_msg(strncmp(run.out, "{\"peers\":[{", 11) == 0 && !strstr(run.out, "},{"), "%s: %s",
			      words[i], run.out);
		run_deinit(&run);
	}
	for (size_t i = 0; i < ARRAY_SIZE(none); i++) {
		char line[80], error[120];
		struct run run;

		snprintf(line, sizeof(line), "peers %s", none[i]);
		snprintf(
			error, sizeof(error),
			"netlogctl: none of the tunnel's 5 peers is \"%s\" (\"netlogctl peers\" shows them)\n",
			none[i]);
		run = run_peers(line);
		ck_assert_int_eq(run.status, CTL_FAILED);
		assert_same(run.err, error);
		assert_same(run.out, "");
		run_deinit(&run);
	}
}
END_TEST

/* As in the sums of traffic, their IDs tell those apart that have the same name. */
START_TEST(test_same_name)
{
	const struct fake_answer same[] = {
		{"GetPeers", "{'peers':[{'addresses':[],'name':'a','nodeId':'n1','txBytes':0,'rxBytes':0},"
			     "{'addresses':[],'name':'b','nodeId':'n2','txBytes':0,'rxBytes':0}]}\n"
			     "{'peers':[{'addresses':[],'name':'a','nodeId':'n3','txBytes':0,'rxBytes':0},"
			     "{'addresses':[],'name':'a','txBytes':0,'rxBytes':0}]}"}};
	_cleanup_run_ struct run run = run_with(same, 1, "peers", ASKED("GetPeers"));

	assert_contains(run.out, "\na (n1) ");
	assert_contains(run.out, "\na (n3) ");
	assert_contains(run.out, "\na  ");
	assert_contains(run.out, "\nb  ");
}
END_TEST

/* The bytes of today begin to count when the daemon begins; then a line says so. */
START_TEST(test_today)
{
	const struct fake_answer today[] = {
		{"GetPeers",
		 "{'peers':[{'addresses':[],'name':'a','txBytes':0,'rxBytes':0,'txBytesToday':1,"
		 "'rxBytesToday':1,'todaySince':'2200-01-01T10:20:00Z'},{'addresses':[],'name':'b',"
		 "'txBytes':0,'rxBytes':0,'todaySince':'2200-01-01T09:10:00Z'}]}"}};
	struct run run;

	setenv("TZ", "XYZ-1", 1);
	run = run_with(today, 1, "peers", ASKED("GetPeers"));
	assert_contains(run.out,
			"\nBytes of today: since 2200-01-01 10:10, when netlogd began to see them\n");
	run_deinit(&run);
}
END_TEST

/* What a peer says of itself cannot steer the terminal. */
START_TEST(test_hostile_names)
{
	const struct fake_answer hostile[] = {
		{"GetPeers",
		 "{'peers':[{'name':'a\\u001b[2J\\u202eb','addresses':['1\\n2'],'via':'\\u0007',"
		 "'path':'derp','os':'\\u001b','tags':['\\r'],'user':'\\n','txBytes':0,'rxBytes':0,"
		 "'nodeId':'a','active':true}]}"}};
	static const char *const lines[] = {"peers", "peers a"};

	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		_cleanup_run_ struct run run = run_with(hostile, 1, lines[i], ASKED("GetPeers"));

		ck_assert_int_eq(run.status, CTL_OK);
		ck_assert_int_eq(strcspn(run.out, "\033\a\r"), strlen(run.out));
		ck_assert_ptr_null(strstr(run.out, "\u202e"));
	}
}
END_TEST

/* Of the status, what the tests are about; the rest as it must be. */
#define STATUS(running, window, sock)                                                                        \
	"{'status':{'running':" running ",'version':'0.1.0','pid':4711,'startedAt':'2026-11-22T20:00:00Z',"  \
	"'window':{'periodMs':5000" window                                                                   \
	"},'tun':{'state':'stopped','configured':'none','source':'none'},"                                   \
	"'sock':{" sock "},'routes':{'mode':'auto','reconfigured':false,'localAddrs':[],'routes':[],"        \
	"'subnetRoutes':[],'localAddrsTotal':1,'routesTotal':1,'tailnet':[],'tailnetExclude':[]},"           \
	"'record':{'messages':0,'bytes':0,'windows':0,'conservationFailures':0},"                            \
	"'spool':{'directory':'/nowhere/spool','messages':0,'bytes':0,'maxSize':1,'firstSequence':0,"        \
	"'lastSequence':0,'waitingMessages':0,'waitingBytes':0,'lostMessages':0,'lostBytes':0,"              \
	"'removedMessages':0,'removedBytes':0,'damagedFrames':0},'sinks':[]}}"
#define ENDED ",'lastEnd':'2026-11-22T20:00:05Z'"

/* An empty list tells why. */
START_TEST(test_no_peers)
{
	static const struct {
		const char *status, *reason;
	} cases[] = {
		{STATUS("false", "", "'state':'stopped','configured':'auto','source':'auto'"),
		 "the logger is stopped (\"netlogctl start\" starts it)"},
		{STATUS("true", ENDED, "'state':'counting','configured':'none','source':'none'"),
		 "with [sock] source=none the tunnel is not asked for them"},
		{STATUS("true", ENDED,
			"'state':'waiting','configured':'auto','source':'auto','interface':'wg0',"
			"'reason':'waiting for interface wg0'"),
		 "waiting for interface wg0"},
		{STATUS("true", ENDED,
			"'state':'counting','configured':'auto','source':'none','interface':'tun0',"
			"'reason':'wireguard: tun0 is no \\u001bWireGuard'"),
		 "no WireGuard or Tailscale tunnel is counted: wireguard: tun0 is no ?WireGuard"},
		{STATUS("true", ENDED, "'state':'counting','configured':'stats','source':'stats'"),
		 "the source stats does not name a tunnel's peers"},
		{STATUS("true", "",
			"'state':'counting','configured':'auto','source':'wireguard','interface':'wg0'"),
		 "no window has ended yet (\"netlogctl flush\" ends this one)"},
		{STATUS("true", ENDED,
			"'state':'counting','configured':'auto','source':'wireguard','interface':'wg0'"),
		 "wg0 had none at the end of the last window"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct fake_answer none[] = {{"GetPeers", "{'peers':[]}"}, {"Status", cases[i].status}};
		_cleanup_run_ struct run run = run_with(
			none, 2, "peers",
			"[{'method':'GetPeers','parameters':{}},{'method':'Status','parameters':{}}]");
		_cleanup_free_ char *expected = NULL;

		ck_assert_int_gt(asprintf(&expected, "no peers are known: %s\n", cases[i].reason), 0);
		ck_assert_str_eq(run.out, expected);
		ck_assert_int_eq(run.status, CTL_OK);
	}
}
END_TEST

START_TEST(test_no_peers_for_programs_and_of_older_daemons)
{
	const struct fake_answer none[] = {{"GetPeers", "{'peers':[]}"}};
	const struct fake_answer older[] = {
		{"GetPeers", "{'method':'GetPeers'}", "org.varlink.service.MethodNotFound"}};
	_cleanup_run_ struct run json = run_with(none, 1, "--json peers", ASKED("GetPeers"));
	_cleanup_run_ struct run old = run_with(older, 1, "peers", ASKED("GetPeers"));

	ck_assert_str_eq(json.out, "{\"peers\":[]}\n");
	ck_assert_int_eq(old.status, CTL_FAILED);
	assert_contains(old.err, "does not know GetPeers");
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		test_table,	    test_order,	    test_one_peer,
		test_who_is_meant,  test_same_name, test_today,
		test_hostile_names, test_no_peers,  test_no_peers_for_programs_and_of_older_daemons,
	};

	return run_suite("peers", tests, ARRAY_SIZE(tests));
}
