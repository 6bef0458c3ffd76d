/* SPDX-License-Identifier: BSD-3-Clause */
/* netlogctl tail: tables, names, lines. */

#include "control/commands/commands.h"

#include "tests/unit/control/run_line.h"
#include "tests/unit/control/samples.h"

START_TEST(test_tail)
{
	const struct fake_answer answers[] = {
		{"Tail", "{'message':" SAMPLE_MESSAGE "}\n{'message':" SAMPLE_TEXT "}"}};
	_cleanup_run_ struct run run = run_with(answers, 1, "tail", ASKED("Tail"));
	_cleanup_run_ struct run named = run_with(answers, 1, "tail --resolve", ASKED("Tail"));
	_cleanup_run_ struct run lines = run_with(answers, 1, "tail --json", ASKED("Tail"));

	ck_assert_int_eq(run.status, CTL_OK);
	ck_assert_str_eq(run.out,
			 "2022-10-13T20:23:09.644Z  5 s  node n123  #7\n"
			 "   PROTO  SOURCE         DESTINATION        BYTES >   BYTES <  PKTS >  PKTS <\n"
			 "virtual: 1 connection, sent 7.95 KiB (1.59 KiB/s), received 5.04 KiB (1.01 KiB/s)\n"
			 "   tcp    100.64.0.1:22  100.64.0.2:42912  7.95 KiB  5.04 KiB      80      52\n"
			 "physical: 1 connection, sent 10.5 KiB (2.10 KiB/s), received 0 B (0 B/s)\n"
			 "   -      100.64.0.2     192.0.2.2:51820   10.5 KiB         -      81       -\n"
			 "  overflow of tun, in no entry: sent 0 packets (0 B), received 12 packets (768 B)\n"
			 "\n"
			 "2022-10-13T20:23:15Z  netlogd: stopped\n");
	assert_contains(named.out, "   tcp    me.ts.net:22  100.64.0.2:42912 ");
	{
		_cleanup_free_ char *first = strndup(lines.out, strcspn(lines.out, "\n"));
		json_t *line = json_loads(first, 0, NULL);

		assert_json(line, SAMPLE_MESSAGE);
		assert_contains(lines.out, "\"text\":\"netlogd: stopped\"}\n");
	}
}
END_TEST

/* From either end, refused, dropped before it left, and one that nothing is known of. */
#define DETAILS                                                                                              \
	"{'start':'2022-10-13T20:23:10Z','end':'2022-10-13T20:23:14.999999999Z','virtualTraffic':["          \
	"{'proto':6,'src':'100.64.0.1:22','dst':'100.64.0.2:42912','txPkts':8,'txBytes':900,'rxPkts':6,"     \
	"'rxBytes':500,'init':'dst','starts':1,'ends':1,'txFlags':27,'rxFlags':27},"                         \
	"{'proto':6,'src':'100.64.0.1:50000','dst':'100.64.0.2:80','txPkts':1,'txBytes':60,'rxPkts':1,"      \
	"'rxBytes':40,'init':'src','starts':1,'ends':1,'txFlags':2,'rxFlags':20},"                           \
	"{'proto':6,'src':'100.64.0.1:25','dst':'100.64.0.2:42913','rxPkts':2,'rxBytes':120,'init':'dst',"   \
	"'starts':1,'rxFlags':2,'rxDrops':2,'dropReason':'NETFILTER_DROP'},"                                 \
	"{'proto':17,'src':'100.64.0.1:123','dst':'100.64.0.2:123','txPkts':1,'txBytes':76}]}"

START_TEST(test_opener)
{
	const struct fake_answer answers[] = {{"Tail", "{'message':" DETAILS "}"}};
	_cleanup_run_ struct run run = run_with(answers, 1, "tail", ASKED("Tail"));
	_cleanup_run_ struct run details = run_with(answers, 1, "tail --details", ASKED("Tail"));
	_cleanup_run_ struct run lines = run_with(answers, 1, "tail --json", ASKED("Tail"));

	ck_assert_int_eq(run.status, CTL_OK);
	ck_assert_str_eq(
		run.out,
		"2022-10-13T20:23:10Z  5 s\n"
		"   PROTO  SOURCE               DESTINATION     BYTES >  BYTES <  PKTS >  PKTS <  HOW      DROPPED  REASON\n"
		"virtual: 4 connections, sent 1.01 KiB (207 B/s), received 660 B (132 B/s)\n"
		"   tcp    100.64.0.2:42912  >  100.64.0.1:22     500 B    900 B       6       8  closed\n"
		"   tcp    100.64.0.1:50000  >  100.64.0.2:80      60 B     40 B       1       1  refused\n"
		"   tcp    100.64.0.2:42913  >  100.64.0.1:25     120 B        -       2       -  dropped        2  NETFILTER_DROP\n"
		"   udp    100.64.0.1:123       100.64.0.2:123     76 B        -       1       -\n"
		"\n");
	ck_assert_int_eq(details.status, CTL_OK);
	assert_contains(details.out, "  HOW      FLAGS      BEGUN  ENDED  DROPPED  REASON\n");
	assert_contains(details.out, "  closed   SFPA/SFPA      1      1\n");
	assert_contains(details.out, "  refused  S/RA           1      1\n");
	assert_contains(details.out, "  dropped  S/-            1               2  NETFILTER_DROP\n");
	assert_json(json_loads(lines.out, 0, NULL), DETAILS);
}
END_TEST

/* What is not one connection each is not called so: folded ports, and exit traffic without the other end. */
START_TEST(test_sums)
{
	const struct fake_answer answers[] = {
		{"Tail", "{'message':{'start':'2022-10-13T20:23:10Z','end':'2022-10-13T20:23:14.999999999Z',"
			 "'virtualTraffic':[{'proto':6,'src':'100.64.0.1:22','dst':'100.64.0.2:0','txPkts':8,"
			 "'init':'dst','starts':7}],'subnetTraffic':[{'proto':1,'src':'100.64.0.1:0','dst':"
			 "'10.0.0.1:0','txPkts':8,'init':'src','starts':1}],'exitTraffic':[{'proto':0,'src':"
			 "'100.64.0.1:0','dst':'','txPkts':9},{'proto':0,'src':'','dst':'','txPkts':9}]}}"}};
	_cleanup_run_ struct run run = run_with(answers, 1, "tail", ASKED("Tail"));

	ck_assert_int_eq(run.status, CTL_OK);
	assert_contains(run.out, "virtual: 1 entry, sent ");
	assert_contains(run.out, "subnet: 1 connection, sent ");
	assert_contains(run.out, "exit: 2 entries, sent ");
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {test_tail, test_opener, test_sums};

	return run_suite("tail", tests, ARRAY_SIZE(tests));
}
