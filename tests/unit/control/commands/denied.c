/* SPDX-License-Identifier: BSD-3-Clause */
/* netlogctl denied: live and from a spool. */

#include "control/commands/commands.h"

#include "tests/unit/control/run_line.h"
#include "tests/unit/control/sample_spool.h"
#include "tests/unit/control/samples.h"

#define WINDOW(second)                                                                                       \
	"'logtail':{'client_time':'2026-11-22T20:00:0" second "Z','proc_id':5,'proc_seq':7},"                \
	"'start':'2026-11-22T20:00:0" second "Z','end':'2026-11-22T20:00:0" second ".9Z',"                   \
	"'srcNode':{'nodeId':'n1','name':'gate','addresses':['100.64.0.1']},"                                \
	"'dstNodes':[{'nodeId':'n2','name':'laptop','addresses':['100.64.0.2']}],"

/* A client's attempts at two services; one that this node made; a connection whose end is dropped. */
#define DROPS                                                                                                \
	"{" WINDOW(                                                                                          \
		"1") "'virtualTraffic':["                                                                    \
		     "{'proto':6,'src':'100.64.0.1:22','dst':'100.64.0.2:40000','rxPkts':2,'rxBytes':80,"    \
		     "'rxDrops':2,'dropReason':'NETFILTER_DROP'},"                                           \
		     "{'proto':6,'src':'100.64.0.1:22','dst':'100.64.0.2:40001','rxPkts':1,'rxBytes':40,"    \
		     "'rxDrops':1,'dropReason':'NETFILTER_DROP'},"                                           \
		     "{'proto':17,'src':'100.64.0.1:53','dst':'100.64.0.2:40001','rxPkts':1,'rxBytes':40,"   \
		     "'rxDrops':1,'dropReason':'NO_SOCKET'},"                                                \
		     "{'proto':17,'src':'100.64.0.1:123','dst':'100.64.0.2:123','rxPkts':9,'rxBytes':90},"   \
		     "{'proto':6,'src':'100.64.0.1:50000','dst':'100.64.0.2:80','init':'src','rxPkts':5,"    \
		     "'rxBytes':200,'rxDrops':4,'dropReason':'4000'},"                                       \
		     "{'proto':1,'src':'100.64.0.1:0','dst':'100.64.0.9:0','txDrops':7}]}"

#define NOTHING                                                                                              \
	"{" WINDOW("2") "'virtualTraffic':[{'proto':6,'src':'100.64.0.1:22','dst':'100.64.0.2:40000',"       \
			"'rxPkts':2,'rxBytes':80}]}"

#define TABLE                                                                                                \
	"PROTO  FROM        TO             RX DROPPED  TX DROPPED  REASON\n"                                 \
	"icmp   100.64.0.1  100.64.0.9              -           7  -\n"                                      \
	"tcp    100.64.0.1  100.64.0.2:80           4           -  4000\n"                                   \
	"tcp    100.64.0.2  100.64.0.1:22           3           -  NETFILTER_DROP\n"                         \
	"udp    100.64.0.2  100.64.0.1:53           1           -  NO_SOCKET\n"

/* What is asked by it. */
#define LIVE "[{'method':'Status','parameters':{}},{'method':'Tail','parameters':{}}]"

#define COUNTING                                                                                             \
	{                                                                                                    \
		"Status", SAMPLE_STATUS_WITH("'drops':{'state':'counting'},")                                \
	}

START_TEST(test_live)
{
	const struct fake_answer answers[] = {
		COUNTING, {"Tail", "{'message':" DROPS "}\n{'message':" NOTHING "}\n{'message':" DROPS "}"}};
	_cleanup_run_ struct run run = run_with(answers, 2, "denied", LIVE);
	_cleanup_run_ struct run one = run_with(answers, 2, "denied --count 1 --resolve --limit 3", LIVE);
	_cleanup_run_ struct run json =
		run_with(answers, 2, "denied --json --count 1 --addr 100.64.0.9", LIVE);

	ck_assert_int_eq(run.status, CTL_OK);
	/* The window without drops shows nothing. */
	ck_assert_str_eq(run.out, "2026-11-22T20:00:01Z\n" TABLE "\n2026-11-22T20:00:01Z\n" TABLE "\n");
	ck_assert_str_eq(one.out, "2026-11-22T20:00:01Z\n"
				  "PROTO  FROM    TO          RX DROPPED  TX DROPPED  REASON\n"
				  "icmp   gate    100.64.0.9           -           7  -\n"
				  "tcp    gate    laptop:80            4           -  4000\n"
				  "tcp    laptop  gate:22              3           -  NETFILTER_DROP\n"
				  "… and 1 more\n\n");
	ck_assert_str_eq(
		json.out,
		"{\"start\":\"2026-11-22T20:00:01Z\",\"end\":\"2026-11-22T20:00:01.9Z\",\"rows\":["
		"{\"class\":\"virtual\",\"proto\":1,\"from\":\"100.64.0.1\",\"to\":\"100.64.0.9\","
		"\"fromName\":\"gate\",\"reason\":\"-\",\"txDrops\":7,\"rxDrops\":0,"
		"\"first\":\"2026-11-22T20:00:01Z\",\"last\":\"2026-11-22T20:00:01.9Z\","
		"\"fromNode\":{\"nodeId\":\"n1\",\"name\":\"gate\",\"addresses\":[\"100.64.0.1\"]}}]}\n");
}
END_TEST

/* Nothing will come, and why. */
START_TEST(test_not_counted)
{
	static const struct {
		const char *drops, *note;
	} cases[] = {
		{"{'state':'off'}", "dropped packets are not counted (drops = no)\n"},
		{"{'state':'unavailable','reason':'no right'}",
		 "dropped packets are not counted: no right\n"},
		{"{'state':'waiting'}",
		 "dropped packets are not counted: the tun device (source ebpf) has no "
		 "interface now whose packets it sees\n"},
		{"{'state':'counting'}", NULL},
		/* An older daemon. */
		{"null", "this daemon does not count dropped packets (another version?)\n"},
		{"{'state':'waiting'},'running':false", "nothing is counted: the logger is stopped; "},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_free_ char *status = NULL;
		struct fake_answer answers[] = {{.method = "Status"}, {"Tail", "{'message':" NOTHING "}"}};
		_cleanup_run_ struct run run = {};

		ck_assert_int_gt(asprintf(&status, "%.*s,'drops':%s}}", (int)strlen(SAMPLE_STATUS) - 2,
					  SAMPLE_STATUS, cases[i].drops),
				 0);
		answers[0].parameters = status;
		run = run_with(answers, 2, "denied", LIVE);

		ck_assert_int_eq(run.status, CTL_OK);
		ck_assert_str_eq(run.out, "");
		if (cases[i].note)
			assert_contains(run.err, cases[i].note);
		else
			ck_assert_str_eq(run.err, "");
	}
}
END_TEST

START_TEST(test_many_reasons)
{
	_cleanup_free_ char *text = calloc(1, 65536);
	const struct fake_answer answers[] = {COUNTING, {"Tail", text}};
	size_t length = (size_t)sprintf(text, "{'message':{" WINDOW("1") "'virtualTraffic':[");

	for (int i = 0; i < 300; i++)
		length +=
			(size_t)sprintf(text + length,
					"%s{'proto':6,'src':'100.64.0.1:%d','dst':'100.64.0.2:1','rxDrops':1,"
					"'dropReason':'REASON_%d'}",
					i ? "," : "", i + 1, i);
	sprintf(text + length, "]}}");
	{
		_cleanup_run_ struct run run = run_with(answers, 2, "denied", LIVE);
		size_t lines = 0;

		ck_assert_int_eq(run.status, CTL_OK);
		for (const char *c = run.out; *c; c++)
			lines += *c == '\n';
		ck_assert_uint_eq(lines, 300 + 3);
	}
}
END_TEST

/* The sample has no drops. */
START_TEST(test_spool)
{
	struct sample_spool place = sample_spool_make();
	struct run run = sample_spool_run(&place, "denied --since 2026-11-22T20:00:00Z");

	sample_spool_remove(&place);
	ck_assert_int_eq(run.status, CTL_OK);
	ck_assert_str_eq(run.out, "");
	assert_contains(run.err, "nothing was dropped");
	run_deinit(&run);
}
END_TEST

#define DROPPED_OF(name)                                                                                     \
	"{'logtail':{'client_time':'2026-11-22T20:00:01Z','proc_id':5,'proc_seq':7},"                        \
	"'start':'2026-11-22T20:00:01Z','end':'2026-11-22T20:00:02Z',"                                       \
	"'dstNodes':[{'nodeId':'n2','name':'" name "','addresses':['100.64.0.2']}],"                         \
	"'virtualTraffic':[{'proto':17,'src':'100.64.0.1:53','dst':'100.64.0.2:9','rxDrops':1,"              \
	"'dropReason':'NO_SOCKET'}]}"

/* A node has the name that it had last, as in flows. */
START_TEST(test_renamed)
{
	static const char *const messages[] = {DROPPED_OF("laptop"), DROPPED_OF("desk")};
	struct sample_spool place = sample_spool_make_of(messages, ARRAY_SIZE(messages));
	struct run run = sample_spool_run(&place, "denied --resolve");

	sample_spool_remove(&place);
	ck_assert_int_eq(run.status, CTL_OK);
	assert_contains(run.out, "\nudp    desk  100.64.0.1:53           2           -  NO_SOCKET  ");
	run_deinit(&run);
}
END_TEST

#define DROPPED_AT(second)                                                                                   \
	"{" WINDOW(second) "'virtualTraffic':[{'proto':17,'src':'100.64.0.1:53','dst':'100.64.0.2:9',"       \
			   "'rxDrops':1,'dropReason':'NO_SOCKET'}]}"

/* A row's times are those of all its windows, whatever their order. */
START_TEST(test_times)
{
	static const char *const messages[] = {DROPPED_AT("3"), DROPPED_AT("1"), DROPPED_AT("5"),
					       DROPPED_AT("4")};
	struct sample_spool place = sample_spool_make_of(messages, ARRAY_SIZE(messages));
	_cleanup_run_ struct run run = sample_spool_run(&place, "denied --json");

	sample_spool_remove(&place);
	ck_assert_int_eq(run.status, CTL_OK);
	assert_contains(run.out, "\"rxDrops\":4,\"first\":\"2026-11-22T20:00:01Z\","
				 "\"last\":\"2026-11-22T20:00:05.9Z\"");
}
END_TEST

START_TEST(test_usage)
{
	static const char *const lines[] = {
		"denied --since x",    "denied --count 0", "denied --since 1h --count 2",
		"denied --class none", "denied here",	   "denied --limit x",
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
	const TTest *const tests[] = {test_live,    test_not_counted, test_many_reasons, test_spool,
				      test_renamed, test_times,	      test_usage};

	return run_suite("denied", tests, ARRAY_SIZE(tests));
}
