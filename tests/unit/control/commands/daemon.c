/* SPDX-License-Identifier: BSD-3-Clause */
/* netlogctl start, stop, flush, reload, metrics: requests, output, exit statuses. */

#include "control/commands/commands.h"

#include "tests/unit/control/run_line.h"

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

/* Told by netlogctl itself, with what it takes; no daemon is asked. */
START_TEST(test_start_with_wrong_values)
{
	static const struct {
		const char *line, *words;
	} cases[] = {
		{"start --tun-source foo",
		 "netlogctl: --tun-source: \"foo\": expected auto, ebpf, packet, stats "
		 "or none\nTry \"netlogctl start --help\".\n"},
		{"start --sock-source=ebpf",
		 "netlogctl: --sock-source: \"ebpf\": expected auto, wireguard, tailscale, stats or none\n"},
		{"start --tun-source tailscale",
		 "netlogctl: --tun-source: \"tailscale\": expected auto, ebpf"},
		{"start --tun-interface a/b", "netlogctl: --tun-interface: \"a/b\": expected "},
		{"start --sock-stats-socket s.sock", "netlogctl: --sock-stats-socket: \"s.sock\": expected "},
		{"flows --class foo", "netlogctl: --class: one of virtual, subnet, exit, physical\n"},
		{"flows --by foo",
		 "netlogctl: --by: one of connection, node, peer, pair, client, service, port, class\n"},
		{"top --by foo", "netlogctl: --by: one of "},
		{"report --class foo", "netlogctl: --class: one of "},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_run_ struct run run = run_line("/nowhere/control.sock", cases[i].line, NULL);

		assert_contains(run.err, cases[i].words);
		ck_assert_int_eq(run.status, CTL_USAGE);
		ck_assert_str_eq(run.out, "");
	}
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
	const struct fake_answer whole[] = {{"Reload",
					     "{'file':'/x.conf','line':0,'reason':'cannot be read'}",
					     "org.netlogd.control.ConfigurationInvalid"}};
	_cleanup_run_ struct run run = run_with(good, 1, "reload", ASKED("Reload"));
	_cleanup_run_ struct run failed = run_with(bad, 1, "reload", ASKED("Reload"));
	_cleanup_run_ struct run failed_whole = run_with(whole, 1, "reload", ASKED("Reload"));

	ck_assert_int_eq(run.status, CTL_OK);
	ck_assert_str_eq(run.out, "configuration reloaded\n");
	ck_assert_int_eq(failed.status, CTL_FAILED);
	ck_assert_str_eq(failed.err, "netlogctl: /x.conf:7: no such key; nothing was changed\n");
	ck_assert_str_eq(failed_whole.err, "netlogctl: /x.conf: cannot be read; nothing was changed\n");
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

int main(void)
{
	const TTest *const tests[] = {
		test_start,   test_start_with_less,   test_start_with_wrong_values,
		test_stop,    test_flush_not_running, test_reload,
		test_metrics,
	};

	return run_suite("daemon", tests, ARRAY_SIZE(tests));
}
