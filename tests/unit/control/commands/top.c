/* SPDX-License-Identifier: BSD-3-Clause */
/* netlogctl top: windows made of several messages. */

#include "control/commands/commands.h"

#include "tests/unit/control/run_line.h"
#include "tests/unit/control/samples.h"

START_TEST(test_top)
{
	/* Two messages of one window, a text, and a second window. */
	const struct fake_answer answers[] = {
		{"Tail",
		 "{'message':" SAMPLE_MESSAGE "}\n{'message':" SAMPLE_MESSAGE "}\n{'message':" SAMPLE_TEXT
		 "}\n"
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

int main(void)
{
	const TTest *const tests[] = {test_top};

	return run_suite("top", tests, ARRAY_SIZE(tests));
}
