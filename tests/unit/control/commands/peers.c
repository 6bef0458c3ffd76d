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

START_TEST(test_no_peers)
{
	const struct fake_answer none[] = {{"GetPeers", "{'peers':[]}"}};
	const struct fake_answer older[] = {
		{"GetPeers", "{'method':'GetPeers'}", "org.varlink.service.MethodNotFound"}};
	_cleanup_run_ struct run run = run_with(none, 1, "peers", ASKED("GetPeers"));
	_cleanup_run_ struct run old = run_with(older, 1, "peers", ASKED("GetPeers"));

	ck_assert_str_eq(run.out, "no peers are known\n");
	ck_assert_int_eq(old.status, CTL_FAILED);
	assert_contains(old.err, "does not know GetPeers");
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {test_peers, test_no_peers};

	return run_suite("peers", tests, ARRAY_SIZE(tests));
}
