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
		"CLASS     CONNECTION                                RATE >      RATE <   BYTES >   BYTES <  PKTS >  PKTS <\n"
		"virtual   tcp me.ts.net:22 <> 100.64.0.2:42912  3.18 KiB/s  2.02 KiB/s  15.9 KiB  10.1 KiB     160     104\n"
		"physical  - 100.64.0.2 <> 192.0.2.2:51820       4.19 KiB/s       0 B/s  21.0 KiB       0 B     162       0\n"
		"\n"
		"2022-10-13T20:23:14.644000001Z  5 s\n"
		"CLASS  CONNECTION      RATE >  RATE <   BYTES >  BYTES <  PKTS >  PKTS <\n"
		"exit   all         1.00 KiB/s   0 B/s  5.00 KiB      0 B       -       0\n"
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

/* Rows as objects have a message's own view and members; only the label is told from the opener. */
START_TEST(test_details)
{
	const struct fake_answer answers[] = {
		{"Tail",
		 "{'message':{'start':'2022-10-13T20:23:10Z','end':'2022-10-13T20:23:15Z','virtualTraffic':["
		 "{'proto':6,'src':'100.64.0.1:22','dst':'100.64.0.2:40000','txPkts':1,'rxPkts':2,'init':'dst',"
		 "'starts':1,'ends':1,'txFlags':20,'rxFlags':2,'rxDrops':1},"
		 "{'proto':6,'src':'100.64.0.1:22','dst':'100.64.0.2:40001','txPkts':9}]}}"}};
	_cleanup_run_ struct run json = run_with(answers, 1, "top --json --how refused", ASKED("Tail"));
	_cleanup_run_ struct run sums = run_with(answers, 1, "top --json --by class", ASKED("Tail"));
	_cleanup_run_ struct run pairs = run_with(answers, 1, "top --json --by pair", ASKED("Tail"));
	_cleanup_run_ struct run first = run_with(answers, 1, "top --json --limit 1", ASKED("Tail"));
	_cleanup_run_ struct run table = run_with(answers, 1, "top --details --sort begun", ASKED("Tail"));

	assert_json(
		json_loads(json.out, 0, NULL),
		"{'start':'2022-10-13T20:23:10Z','end':'2022-10-13T20:23:15Z','rows':["
		"{'class':'virtual','label':'tcp 100.64.0.2:40000 > 100.64.0.1:22','txPkts':1,'txBytes':0,"
		"'rxPkts':2,'rxBytes':0,'first':'2022-10-13T20:23:10Z','last':'2022-10-13T20:23:15Z',"
		"'proto':6,'src':'100.64.0.1:22','dst':'100.64.0.2:40000','init':'dst','how':'refused',"
		"'txFlags':20,'rxFlags':2,'starts':1,'ends':1,'rxDrops':1}]}");
	assert_contains(sums.out, "\"refused\":1,\"starts\":1,\"ends\":1,\"rxDrops\":1}]}\n");
	assert_contains(first.out, "100.64.0.2:40000");
	ck_assert_ptr_null(strstr(first.out, "100.64.0.2:40001"));
	assert_contains(pairs.out, "\"label\":\"100.64.0.2 > 100.64.0.1\",\"txPkts\":10,");
	assert_contains(pairs.out,
			"\"src\":\"100.64.0.1:0\",\"dst\":\"100.64.0.2:0\",\"init\":\"dst\",\"refused\":1,");
	assert_contains(table.out, "PKTS >  PKTS <  HOW      FLAGS  BEGUN  ENDED  DROPPED\n"
				   "virtual  tcp 100.64.0.2:40000 > 100.64.0.1:22");
	assert_contains(table.out, "       2       1  refused  S/RA       1      1        1\n");
}
END_TEST

#define NODE_WINDOW(second, nodes, address)                                                                  \
	"{'message':{'start':'2022-10-13T20:23:1" second "Z','end':'2022-10-13T20:23:1" second               \
	".998Z'," nodes "'virtualTraffic':[{'proto':6,'src':'100.64.0.1:22','dst':'" address                 \
	":9','txBytes':1024},"                                                                               \
	"{'proto':6,'src':'100.64.0.1:22','dst':'100.64.0.9:9','txBytes':1}]}}"

/* A node is known from the window on that names it, by each of its addresses. */
START_TEST(test_nodes)
{
	const struct fake_answer answers[] = {
		{"Tail",
		 NODE_WINDOW("0", "", "100.64.0.2") "\n" NODE_WINDOW(
			 "2",
			 "'dstNodes':[{'nodeId':'n2','name':'laptop','addresses':['100.64.0.2','fd00::2']}],",
			 "100.64.0.2") "\n" NODE_WINDOW("4", "", "[fd00::2]")}};
	_cleanup_run_ struct run all = run_with(answers, 1, "top --by peer --limit 1", ASKED("Tail"));
	_cleanup_run_ struct run one = run_with(answers, 1, "top --by peer --node laptop", ASKED("Tail"));

	assert_contains(all.out, "2022-10-13T20:23:10Z  998 ms\nCLASS    PEER            SENT/S ");
	assert_contains(all.out, "\nvirtual  100.64.0.2  1.00 KiB/s ");
	assert_contains(all.out, "2022-10-13T20:23:12Z  998 ms\nCLASS    PEER        SENT/S ");
	assert_contains(all.out, "2022-10-13T20:23:14Z  998 ms\nCLASS    PEER        SENT/S ");
	assert_contains(strstr(all.out, ":14Z"), "\nvirtual  laptop  1.00 KiB/s ");
	ck_assert_int_eq(one.status, CTL_OK);
	ck_assert_ptr_null(strstr(one.out, "100.64.0.9"));
	ck_assert_ptr_null(strstr(one.out, "100.64.0.2"));
	assert_contains(strstr(one.out, ":14Z"), "\nvirtual  laptop  1.00 KiB/s ");
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {test_top, test_details, test_nodes};

	return run_suite("top", tests, ARRAY_SIZE(tests));
}
