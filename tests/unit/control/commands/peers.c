/* SPDX-License-Identifier: BSD-3-Clause */
/* netlogctl peers. */

#include "control/commands/commands.h"

#include "tests/unit/control/run_line.h"

#define PEERS                                                                                                \
	"{'peers':[{'name':'laptop','addresses':['100.64.0.2','fd7a::2'],'endpoint':'192.0.2.2:51820',"      \
	"'lastHandshake':'2020-01-01T00:00:00Z','txBytes':2048,'rxBytes':100,'publicKey':'KEY='}]}\n"        \
	"{'peers':[{'addresses':[],'txBytes':0,'rxBytes':0}]}"

START_TEST(test_peers)
{
	const struct fake_answer answers[] = {{"GetPeers", PEERS}};
	_cleanup_run_ struct run run = run_with(answers, 1, "peers", ASKED("GetPeers"));
	_cleanup_run_ struct run keys = run_with(answers, 1, "peers --keys", ASKED("GetPeers"));
	_cleanup_run_ struct run json = run_with(answers, 1, "--json peers", ASKED("GetPeers"));

	ck_assert_int_eq(run.status, CTL_OK);
	assert_contains(run.out, "PEER    ADDRESSES            ENDPOINT         HANDSHAKE");
	assert_contains(run.out, "laptop  100.64.0.2, fd7a::2  192.0.2.2:51820  ");
	assert_contains(run.out, "2.00 KiB");
	assert_contains(run.out, "never");
	ck_assert_ptr_null(strstr(run.out, "KEY"));
	assert_contains(keys.out, "KEY=");
	assert_contains(json.out, "\"txBytes\":2048");
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
		 "no WireGuard tunnel is counted: wireguard: tun0 is no ?WireGuard"},
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
		const struct fake_answer answers[] = {{"GetPeers", "{'peers':[]}"},
						      {"Status", cases[i].status}};
		_cleanup_run_ struct run run = run_with(
			answers, 2, "peers",
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
	const TTest *const tests[] = {test_peers, test_no_peers,
				      test_no_peers_for_programs_and_of_older_daemons};

	return run_suite("peers", tests, ARRAY_SIZE(tests));
}
