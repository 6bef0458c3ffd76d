/* SPDX-License-Identifier: BSD-3-Clause */
/* netlogctl flows over a spool. */

#include "control/commands/commands.h"

#include "tests/unit/control/sample_spool.h"

static const struct {
	const char *line, *out;
} of_flows[] = {
	{"flows", "CLASS     CONNECTION                           BYTES >  BYTES <  PKTS >  PKTS <\n"
		  "virtual   tcp 100.64.0.1:40000 <> server:22   1.00 KiB    500 B      11       5\n"
		  "virtual   tcp 100.64.0.1:40001 <> server:22        0 B     40 B       0       1\n"
		  "subnet    udp 100.64.0.1:5000 <> 10.1.0.9:53      60 B    120 B       1       1\n"
		  "exit      all                                     60 B      0 B       1       0\n"
		  "physical  - server <> 192.0.2.2:51820         1.46 KiB      0 B      12       0\n"},
	{"flows --by class", "CLASS     TRAFFIC      SENT  RECEIVED  TX PKTS  RX PKTS\n"
			     "virtual   all      1.00 KiB     540 B       11        6\n"
			     "subnet    all          60 B     120 B        1        1\n"
			     "exit      all          60 B       0 B        1        0\n"
			     "physical  all      1.46 KiB       0 B       12        0\n"},
	{"flows --by peer --class virtual", "CLASS    PEER        SENT  RECEIVED  TX PKTS  RX PKTS\n"
					    "virtual  server  1.00 KiB     540 B       11        6\n"},
	{"flows --by peer --class physical", "CLASS     PEER        SENT  RECEIVED  TX PKTS  RX PKTS\n"
					     "physical  server  1.46 KiB       0 B       12        0\n"},
	{"flows --by pair", "CLASS     PAIR                     BYTES >  BYTES <  PKTS >  PKTS <\n"
			    "virtual   100.64.0.1 <> server    1.00 KiB    540 B      11       6\n"
			    "subnet    100.64.0.1 <> 10.1.0.9      60 B    120 B       1       1\n"
			    "exit      all                         60 B      0 B       1       0\n"
			    "physical  this node <> server     1.46 KiB      0 B      12       0\n"},
	/* Of the node, also where only a later message says whose the address is. */
	{"flows --by peer --node server", "CLASS     PEER        SENT  RECEIVED  TX PKTS  RX PKTS\n"
					  "virtual   server  1.00 KiB     540 B       11        6\n"
					  "physical  server  1.46 KiB       0 B       12        0\n"},
	{"flows --by class --addr n2 --until 2026-11-22T20:00:05Z",
	 "CLASS     TRAFFIC      SENT  RECEIVED  TX PKTS  RX PKTS\n"
	 "virtual   all        1000 B     500 B       10        5\n"
	 "physical  all      1.46 KiB       0 B       12        0\n"},
	{"flows --by class --node n2 --addr 100.64.0.9", ""},
	{"flows --by class --node 10.1.0.9 --addr 100.64.0.1",
	 "CLASS   TRAFFIC  SENT  RECEIVED  TX PKTS  RX PKTS\n"
	 "subnet  all      60 B     120 B        1        1\n"},
	{"flows --by node --addr 10.0.0.0/8", "CLASS   NODE        SENT  RECEIVED  TX PKTS  RX PKTS\n"
					      "subnet  100.64.0.1  60 B     120 B        1        1\n"},
	{"flows --by port --class virtual", "CLASS    PORT        SENT  RECEIVED  TX PKTS  RX PKTS\n"
					    "virtual  tcp/22  1.00 KiB     540 B       11        6\n"},
	{"flows --by class --since 2026-11-22T20:01:00Z",
	 "CLASS  TRAFFIC  SENT  RECEIVED  TX PKTS  RX PKTS\n"
	 "exit   all      60 B       0 B        1        0\n"},
	{"flows --by class --until 2026-11-22T20:00:05Z",
	 "CLASS     TRAFFIC      SENT  RECEIVED  TX PKTS  RX PKTS\n"
	 "virtual   all        1000 B     500 B       10        5\n"
	 "physical  all      1.46 KiB       0 B       12        0\n"},
	{"flows --limit 1 --class virtual",
	 "CLASS    CONNECTION                          BYTES >  BYTES <  PKTS >  PKTS <\n"
	 "virtual  tcp 100.64.0.1:40000 <> server:22  1.00 KiB    500 B      11       5\n"
	 "… and 1 more\n"},
	{"flows --addr 192.0.2.77", ""},
};

START_TEST(test_flows)
{
	struct sample_spool place = sample_spool_make();
	struct run runs[ARRAY_SIZE(of_flows)];

	for (size_t i = 0; i < ARRAY_SIZE(of_flows); i++)
		runs[i] = sample_spool_run(&place, of_flows[i].line);
	sample_spool_remove(&place);
	for (size_t i = 0; i < ARRAY_SIZE(of_flows); i++) {
		ck_assert_int_eq(runs[i].status, CTL_OK);
		ck_assert_msg(strcmp(runs[i].out, of_flows[i].out) == 0, "%s gave\n%s", of_flows[i].line,
			      runs[i].out);
		run_deinit(&runs[i]);
	}
}
END_TEST

START_TEST(test_lines)
{
	static const struct {
		const char *line;
		unsigned int messages; /* bits */
	} cases[] = {
		{"flows --json", 0xf},
		{"flows --json --class virtual", 0x3},
		{"flows --json --class subnet", 0x2},
		{"flows --json --addr 192.0.2.2", 0x1},
		{"flows --json --since 2026-11-22T20:00:11Z --until 2026-11-22T20:00:13Z", 0x4},
	};
	struct sample_spool place = sample_spool_make();

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_lines(&place, cases[i].line, cases[i].messages);
	sample_spool_remove(&place);
}
END_TEST

static const struct {
	const char *line, *out;
} of_details[] = {
	{"flows",
	 "CLASS    CONNECTION                            BYTES >  BYTES <  PKTS >  PKTS <  HOW      DROPPED\n"
	 "virtual  tcp laptop:443 > 100.64.0.1:8080        580 B   1000 B       8      10  closed\n"
	 "virtual  udp 100.64.0.1:53 <> laptop:52            0 B     90 B       0       3  dropped        3\n"
	 "virtual  tcp laptop:50000 > 100.64.0.1:80         40 B     40 B       1       1  refused\n"
	 "virtual  tcp 100.64.0.1:50001 > 100.64.0.3:81     40 B     40 B       1       1  refused\n"},
	{"flows --details",
	 "CLASS    CONNECTION                            BYTES >  BYTES <  PKTS >  PKTS <  HOW      FLAGS      BEGUN  ENDED  DROPPED\n"
	 "virtual  tcp laptop:443 > 100.64.0.1:8080        580 B   1000 B       8      10  closed   SFPA/SFPA      1      1\n"
	 "virtual  udp 100.64.0.1:53 <> laptop:52            0 B     90 B       0       3  dropped                                 3\n"
	 "virtual  tcp laptop:50000 > 100.64.0.1:80         40 B     40 B       1       1  refused  S/RA           1      1\n"
	 "virtual  tcp 100.64.0.1:50001 > 100.64.0.3:81     40 B     40 B       1       1  refused  S/RA           1      1\n"},
	{"flows --how refused",
	 "CLASS    CONNECTION                            BYTES >  BYTES <  PKTS >  PKTS <  HOW\n"
	 "virtual  tcp laptop:50000 > 100.64.0.1:80         40 B     40 B       1       1  refused\n"
	 "virtual  tcp 100.64.0.1:50001 > 100.64.0.3:81     40 B     40 B       1       1  refused\n"},
	{"flows --by client",
	 "CLASS    CLIENT          SENT  RECEIVED  TX PKTS  RX PKTS  BEGUN  REFUSED  DROPPED\n"
	 "virtual  laptop      1.02 KiB     620 B       11        9      2\n"
	 "virtual  100.64.0.1      40 B     130 B        1        4      1        1        3\n"},
	{"flows --by client --how refused --sort begun",
	 "CLASS    CLIENT      SENT  RECEIVED  TX PKTS  RX PKTS  BEGUN  REFUSED\n"
	 "virtual  100.64.0.1  40 B      40 B        1        1      1        1\n"
	 "virtual  laptop      40 B      40 B        1        1      1        1\n"},
	{"flows --by service --sort dropped",
	 "CLASS    SERVICE                SENT  RECEIVED  TX PKTS  RX PKTS  BEGUN  REFUSED  DROPPED\n"
	 "virtual  udp laptop:52           0 B      90 B        0        3                        3\n"
	 "virtual  tcp 100.64.0.1:8080  1000 B     580 B       10        8      1\n"
	 "virtual  tcp 100.64.0.1:80      40 B      40 B        1        1      1\n"
	 "virtual  tcp 100.64.0.3:81      40 B      40 B        1        1      1        1\n"},
	{"flows --by port --how refused --details",
	 "CLASS    PORT    SENT  RECEIVED  TX PKTS  RX PKTS  BEGUN  ENDED  REFUSED\n"
	 "virtual  tcp/80  40 B      40 B        1        1      1      1        1\n"
	 "virtual  tcp/81  40 B      40 B        1        1      1      1        1\n"},
	{"flows --by pair",
	 "CLASS    PAIR                     BYTES >   BYTES <  PKTS >  PKTS <  BEGUN  REFUSED  DROPPED\n"
	 "virtual  laptop > 100.64.0.1        710 B  1.02 KiB      12      11      2                 3\n"
	 "virtual  100.64.0.1 > 100.64.0.3     40 B      40 B       1       1      1        1\n"},
	{"flows --by pair --how refused",
	 "CLASS    PAIR                     BYTES >  BYTES <  PKTS >  PKTS <  BEGUN  REFUSED\n"
	 "virtual  laptop > 100.64.0.1         40 B     40 B       1       1      1        1\n"
	 "virtual  100.64.0.1 > 100.64.0.3     40 B     40 B       1       1      1        1\n"},
	{"flows --by class",
	 "CLASS    TRAFFIC      SENT  RECEIVED  TX PKTS  RX PKTS  BEGUN  REFUSED  DROPPED\n"
	 "virtual  all      1.05 KiB     750 B       12       13      3        1        3\n"},
	{"flows --how reset", ""},
};

/* What messages say is summed up, and told from the ends that opened the connections. */
START_TEST(test_details)
{
	struct sample_spool place = sample_spool_make_of(sample_spool_details, SAMPLE_SPOOL_DETAILS);
	struct run runs[ARRAY_SIZE(of_details)];

	for (size_t i = 0; i < ARRAY_SIZE(of_details); i++)
		runs[i] = sample_spool_run(&place, of_details[i].line);
	sample_spool_remove(&place);
	for (size_t i = 0; i < ARRAY_SIZE(of_details); i++) {
		ck_assert_int_eq(runs[i].status, CTL_OK);
		ck_assert_msg(strcmp(runs[i].out, of_details[i].out) == 0, "%s gave\n%s", of_details[i].line,
			      runs[i].out);
		run_deinit(&runs[i]);
	}
}
END_TEST

/* A line is a window, and chosen by what it says itself: the second has a RST, but not the SYN before it. */
START_TEST(test_lines_by_how)
{
	const struct {
		const char *line, *expected;
	} cases[] = {
		{"flows --json --how refused", sample_spool_details[0]},
		{"flows --json --how closed", sample_spool_details[1]},
		{"flows --json --how refused --addr 100.64.0.2", NULL},
		{"flows --json --how half-open", NULL},
	};
	struct sample_spool place = sample_spool_make_of(sample_spool_details, SAMPLE_SPOOL_DETAILS);
	struct run runs[ARRAY_SIZE(cases)];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		runs[i] = sample_spool_run(&place, cases[i].line);
	sample_spool_remove(&place);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		ck_assert_int_eq(runs[i].status, CTL_OK);
		if (cases[i].expected)
			assert_json(json_loads(runs[i].out, 0, NULL), cases[i].expected);
		else
			ck_assert_str_eq(runs[i].out, "");
		run_deinit(&runs[i]);
	}
}
END_TEST

/* With --by, JSON is the sums. */
START_TEST(test_json_sums)
{
	struct sample_spool place = sample_spool_make();
	struct run peers = sample_spool_run(&place, "flows --json --by peer --class virtual");
	struct run none = sample_spool_run(&place, "flows --json --by peer --addr 10.9.9.9");
	struct run first =
		sample_spool_run(&place, "flows --json --by class --limit 1 --until 2026-11-22T20:00:07Z");

	sample_spool_remove(&place);
	ck_assert_int_eq(peers.status, CTL_OK);
	assert_json(
		json_loads(peers.out, 0, NULL),
		"{'start':'2026-11-22T20:00:00Z','end':'2026-11-22T20:00:10Z','rows':[{'class':'virtual',"
		"'label':'100.64.0.2','dstName':'server','txPkts':11,'txBytes':1024,'rxPkts':6,'rxBytes':540,"
		"'first':'2026-11-22T20:00:00Z','last':'2026-11-22T20:00:10Z',"
		"'dstNode':{'nodeId':'n2','name':'server','addresses':['100.64.0.2']}}]}");
	ck_assert_int_eq(none.status, CTL_OK);
	assert_json(json_loads(none.out, 0, NULL), "{'rows':[]}");
	assert_contains(first.out, "{\"class\":\"virtual\",\"label\":\"all\",\"txPkts\":11,");
	assert_contains(first.out, "{\"class\":\"physical\",\"label\":\"all\",\"txPkts\":12,");
	run_deinit(&peers);
	run_deinit(&none);
	run_deinit(&first);
}
END_TEST

/* A name that no message tells is a mistake; nothing is printed as if it were an answer. */
START_TEST(test_unknown_node)
{
	static const char *const lines[] = {"flows --node serve", "flows --addr serve",
					    "flows --json --node serve", "denied --node serve",
					    "report --node serve"};
	struct sample_spool place = sample_spool_make();
	struct run runs[ARRAY_SIZE(lines)];

	for (size_t i = 0; i < ARRAY_SIZE(lines); i++)
		runs[i] = sample_spool_run(&place, lines[i]);
	sample_spool_remove(&place);
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		ck_assert_msg(runs[i].status == CTL_FAILED, "%s", lines[i]);
		ck_assert_str_eq(runs[i].out, "");
		assert_contains(runs[i].err, " names a node \"serve\"\n");
		run_deinit(&runs[i]);
	}
}
END_TEST

START_TEST(test_usage)
{
	static const char *const lines[] = {
		"flows --since x",
		"flows --until 25:00",
		"flows --class none",
		"flows --addr 10.0.0.0/x",
		"flows --by day",
		"flows --limit some",
		"flows here",
		"flows --since now --until 1h",
		"flows --how lost",
		"flows --sort name",
		"flows --addr fd00::1/129",
		"flows --node=",
	};

	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		_cleanup_run_ struct run run = run_line(NULL, lines[i], NULL);

		ck_assert_msg(run.status == CTL_USAGE, "%s: %d", lines[i], run.status);
		ck_assert_str_eq(run.out, "");
	}
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		test_flows,	test_lines,	   test_details, test_lines_by_how,
		test_json_sums, test_unknown_node, test_usage,
	};

	return run_suite("flows", tests, ARRAY_SIZE(tests));
}
