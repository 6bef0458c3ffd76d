/* SPDX-License-Identifier: BSD-3-Clause */
/* Sums of many messages. */

#include "control/flow_sum.h"
#include "common/buffer.h"

#include "common/message.h"
#include "tests/unit/control/support.h"

#include <errno.h>
#include <string.h>

/* Many rows: the hash grows, is sorted and added to again, and nothing is lost. */
START_TEST(test_sum_grows)
{
	const struct flow_filter all = {.since = INT64_MIN, .until = INT64_MAX};
	const struct flow_row *rows;
	struct flow_sum *sum;
	uint64_t bytes = 0;
	size_t n;

	ck_assert_int_eq(flow_sum_new(&(struct flow_view){}, NULL, &sum), 0);
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 5000; i++) {
			_cleanup_free_ char *text = NULL;
			struct message message;

			ck_assert_int_gt(
				asprintf(
					&text,
					"{\"start\":\"2026-11-22T20:00:00Z\",\"end\":\"2026-11-22T20:00:05Z\","
					"\"virtualTraffic\":[{\"proto\":6,\"src\":\"100.64.0.1:%d\","
					"\"dst\":\"100.64.0.2:22\",\"txBytes\":%d}]}",
					i + 1, i + 1),
				0);
			ck_assert_int_eq(message_parse(text, strlen(text), &message), 0);
			ck_assert_int_eq(flow_sum_add(sum, &message, &all), 1);
			message_deinit(&message);
		}
		ck_assert_int_eq(flow_sum_sorted(sum, &rows, &n), 0);
		ck_assert_uint_eq(n, 5000);
		ck_assert_uint_eq(rows[0].counts.tx_bytes, 5000u * (unsigned int)(round + 1));
		ck_assert_uint_eq(rows[4999].counts.tx_bytes, (unsigned int)round + 1);
	}
	for (size_t i = 0; i < n; i++)
		bytes += rows[i].counts.tx_bytes;
	ck_assert_uint_eq(bytes, 3u * 5000 * 5001 / 2);
	flow_sum_free(sum);
}
END_TEST

static void add(struct flow_sum *sum, const char *entries)
{
	const struct flow_filter all = {.since = INT64_MIN, .until = INT64_MAX};
	_cleanup_free_ char *wrapped = NULL, *text = NULL;
	struct message message;

	ck_assert_int_gt(asprintf(&wrapped,
				  "{'start':'2026-11-22T20:00:00Z','end':'2026-11-22T20:00:05Z',"
				  "'virtualTraffic':[%s]}",
				  entries),
			 0);
	text = json_text_of(wrapped);
	ck_assert_int_eq(message_parse(text, strlen(text), &message), 0);
	ck_assert_int_gt(flow_sum_add(sum, &message, &all), 0);
	message_deinit(&message);
}

/* As many rows as the index holds before it grows, and then one of them again. */
START_TEST(test_sum_at_the_edge)
{
	const struct flow_row *rows;
	struct flow_sum *sum;
	size_t n;

	for (int edge = 766; edge <= 770; edge++) {
		ck_assert_int_eq(flow_sum_new(&(struct flow_view){}, NULL, &sum), 0);
		for (int i = 0; i <= edge; i++) {
			char entry[100];

			snprintf(entry, sizeof(entry),
				 "{'proto':6,'src':'100.64.0.1:%d','dst':'100.64.0.2:22','txBytes':1}",
				 i % edge + 1);
			add(sum, entry);
		}
		ck_assert_int_eq(flow_sum_sorted(sum, &rows, &n), 0);
		ck_assert_uint_eq(n, edge);
		ck_assert_uint_eq(rows[0].counts.tx_bytes, 2);
		flow_sum_free(sum);
	}
}
END_TEST

#define OPENED_THERE "{'proto':6,'src':'100.64.0.1:22','dst':'100.64.0.2:21','rxBytes':1,'init':'dst'"
#define OPENED_HERE  "{'proto':6,'src':'100.64.0.1:22','dst':'100.64.0.2:21','txBytes':1,'init':'src'"
#define NOT_KNOWN    "{'proto':6,'src':'100.64.0.1:22','dst':'100.64.0.2:21','txBytes':1"

/* One row, whatever single windows know of its opener. */
START_TEST(test_opener)
{
	static const struct {
		const char *entries[3];
		enum opener opener;
		uint64_t starts;
	} cases[] = {
		{{NOT_KNOWN "}"}, OPENER_UNKNOWN, 0},
		{{OPENED_THERE ",'starts':1}", OPENED_THERE "}", NOT_KNOWN "}"}, OPENER_DST, 1},
		{{NOT_KNOWN "}", OPENED_HERE "}"}, OPENER_SRC, 0},
		/* One after the other, or at once: a later window does not decide it. */
		{{OPENED_THERE ",'starts':1}", OPENED_HERE ",'starts':1}"}, OPENER_UNKNOWN, 2},
		{{NOT_KNOWN ",'starts':2}", OPENED_HERE "}"}, OPENER_UNKNOWN, 2},
		/* More than one window can tell. */
		{{OPENED_HERE ",'starts':4294967295}", OPENED_HERE ",'starts':2}"}, OPENER_SRC, UINT32_MAX},
	};
	const struct flow_row *rows;
	struct flow_sum *sum;
	struct flow flow;
	size_t n;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		ck_assert_int_eq(flow_sum_new(&(struct flow_view){}, NULL, &sum), 0);
		for (size_t j = 0; j < 3 && cases[i].entries[j]; j++)
			add(sum, cases[i].entries[j]);
		ck_assert_int_eq(flow_sum_sorted(sum, &rows, &n), 0);
		ck_assert_uint_eq(n, 1);
		flow = flow_row_flow(rows);
		ck_assert_msg(flow.details.opener == cases[i].opener, "case %zu: %u", i, flow.details.opener);
		ck_assert_uint_eq(flow.details.starts, cases[i].starts);
		ck_assert_uint_eq(flow.connection.src.port, 22);
		flow_sum_free(sum);
	}
}
END_TEST

/* The opener decides which port is the service's, and which end the client; else the lower port does. */
START_TEST(test_service)
{
	static const struct {
		const char *entry;
		uint16_t port;
		bool here; /* the service */
	} cases[] = {
		{OPENED_THERE "}", 22, true},
		{OPENED_HERE "}", 21, false},
		{NOT_KNOWN "}", 21, false},
		{"{'proto':17,'src':'100.64.0.1:9','dst':'100.64.0.2:1000'}", 9, true},
		/* Folded ports. */
		{"{'proto':6,'src':'100.64.0.1:0','dst':'100.64.0.2:8080','init':'src'}", 8080, false},
		{"{'proto':1,'src':'100.64.0.1:0','dst':'100.64.0.2:0','init':'dst'}", 0, true},
		{"{'proto':1,'src':'100.64.0.1:0','dst':'100.64.0.2:0'}", 0, false},
	};
	static const enum flow_group groups[] = {FLOW_BY_PORT, FLOW_BY_SERVICE, FLOW_BY_CLIENT};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		for (size_t j = 0; j < ARRAY_SIZE(groups); j++) {
			const struct flow_row *rows;
			struct flow_sum *sum;
			uint8_t last;
			size_t n;

			ck_assert_int_eq(flow_sum_new(&(struct flow_view){.group = groups[j]}, NULL, &sum),
					 0);
			add(sum, cases[i].entry);
			ck_assert_int_eq(flow_sum_sorted(sum, &rows, &n), 0);
			ck_assert_uint_eq(n, 1);
			ck_assert_uint_eq(rows->connection.dst.port,
					  groups[j] == FLOW_BY_CLIENT ? 0 : cases[i].port);
			ck_assert_uint_eq(rows->connection.src.port, 0);
			last = rows->connection.dst.address.bytes[3];
			if (groups[j] == FLOW_BY_SERVICE)
				ck_assert_uint_eq(last, cases[i].here ? 1 : 2);
			last = rows->connection.src.address.bytes[3];
			if (groups[j] == FLOW_BY_CLIENT)
				ck_assert_uint_eq(last, cases[i].here ? 2 : 1);
			flow_sum_free(sum);
		}
}
END_TEST

/* One row, told from the end that opened what is known of; also on a node that relays, which sees both ends.
 */
START_TEST(test_pair)
{
	static const struct {
		const char *entries;
		enum opener opener;
		uint64_t tx_bytes, rx_bytes, refused;
	} cases[] = {
		{NOT_KNOWN "}", OPENER_UNKNOWN, 1, 0, 0},
		{OPENED_THERE "}," NOT_KNOWN "}", OPENER_DST, 1, 1, 0},
		{OPENED_THERE ",'starts':1}," OPENED_HERE ",'starts':1}", OPENER_UNKNOWN, 1, 1, 0},
		/* .2 opens, .1 answers: received from .2, and sent on to .1 as .2's. */
		{OPENED_THERE ",'txBytes':5},"
			      "{'proto':6,'src':'100.64.0.2:21','dst':'100.64.0.1:22','txBytes':1,"
			      "'rxBytes':5,'init':'src'}",
		 OPENER_DST, 10, 2, 0},
		/* Refused is said of the entry as it is logged. */
		{"{'proto':6,'src':'100.64.0.1:9','dst':'100.64.0.2:21'},"
		 "{'proto':6,'src':'100.64.0.2:9','dst':'100.64.0.1:80','txBytes':1,'rxBytes':2,'init':'src',"
		 "'starts':3,'ends':3,'txFlags':2,'rxFlags':20}",
		 OPENER_DST, 2, 1, 3},
		{"{'proto':0,'src':'','dst':'','txBytes':1},{'proto':0,'src':'','dst':'','txBytes':1}",
		 OPENER_UNKNOWN, 2, 0, 0},
	};
	const struct flow_row *rows;
	struct flow_sum *sum;
	size_t n;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		ck_assert_int_eq(flow_sum_new(&(struct flow_view){.group = FLOW_BY_PAIR}, NULL, &sum), 0);
		add(sum, cases[i].entries);
		ck_assert_int_eq(flow_sum_sorted(sum, &rows, &n), 0);
		ck_assert_uint_eq(n, 1);
		ck_assert_msg(flow_row_flow(rows).details.opener == cases[i].opener, "case %zu", i);
		ck_assert_uint_eq(rows->counts.tx_bytes, cases[i].tx_bytes);
		ck_assert_uint_eq(rows->counts.rx_bytes, cases[i].rx_bytes);
		ck_assert_uint_eq(rows->refused, cases[i].refused);
		flow_sum_free(sum);
	}
}
END_TEST

/* The drops of a connection that was chosen, in a pair that is told from the other end. */
START_TEST(test_pair_of_chosen)
{
	const struct flow_view view = {.group = FLOW_BY_PAIR, .how = COURSE_DROPPED};
	const struct flow_row *rows;
	struct flow_sum *sum;
	size_t n;

	ck_assert_int_eq(flow_sum_new(&view, NULL, &sum), 0);
	add(sum, "{'proto':17,'src':'100.64.0.1:9','dst':'100.64.0.2:21','rxPkts':3,'rxDrops':3},"
		 "{'proto':17,'src':'100.64.0.2:9','dst':'100.64.0.1:80','rxPkts':5,'rxDrops':5},"
		 "{'proto':17,'src':'100.64.0.2:9','dst':'100.64.0.1:81','txDrops':7}");
	ck_assert_int_eq(flow_sum_sorted(sum, &rows, &n), 0);
	ck_assert_uint_eq(n, 1);
	ck_assert_uint_eq(rows->tx_drops + rows->rx_drops, 15);
	/* Whichever of them is first. */
	ck_assert_uint_eq(rows->rx_drops, rows->counts.rx_packets == 3 ? 10 : 5);
	ck_assert_uint_eq(rows->counts.tx_packets + rows->counts.rx_packets, 8);
	flow_sum_free(sum);
}
END_TEST

#define TRIED	 "{'proto':6,'src':'100.64.0.1:50000','dst':'100.64.0.2:21','txBytes':3,'init':'src'"
#define ANSWERED "{'proto':6,'src':'100.64.0.1:50001','dst':'100.64.0.2:21','txBytes':5,'init':'src'"

/* A connection is chosen by how it went in all of the time; sums of groups then hold all of it. */
START_TEST(test_how)
{
	static const struct {
		enum course how;
		uint64_t bytes;
	} cases[] = {{COURSE_UNKNOWN, 16}, {COURSE_REFUSED, 6}, {COURSE_OPENED, 10}, {COURSE_UNANSWERED, 0}};
	const struct flow_row *rows;
	struct flow_sum *sum;
	size_t n;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct flow_view view = {.group = FLOW_BY_PEER, .how = cases[i].how};

		ck_assert_int_eq(flow_sum_new(&view, NULL, &sum), 0);
		add(sum, TRIED ",'starts':1,'txFlags':2}," ANSWERED ",'starts':1,'txFlags':2}");
		add(sum, TRIED ",'ends':1,'rxFlags':20}," ANSWERED ",'txFlags':16,'rxFlags':18}");
		/* Reading is no end. */
		for (int again = 0; again < 2; again++) {
			ck_assert_int_eq(flow_sum_sorted(sum, &rows, &n), 0);
			ck_assert_uint_eq(n, cases[i].bytes > 0);
			if (n > 0)
				ck_assert_uint_eq(rows->counts.tx_bytes, cases[i].bytes);
			if (n > 0)
				ck_assert_uint_eq(rows->refused, cases[i].how == COURSE_REFUSED);
		}
		flow_sum_reset(sum);
		ck_assert_int_eq(flow_sum_sorted(sum, &rows, &n), 0);
		ck_assert_uint_eq(n, 0);
		flow_sum_free(sum);
	}
}
END_TEST

/* A flood is dropped for hours: more packets than one window can tell. */
START_TEST(test_many_drops)
{
	static const enum flow_group groups[] = {FLOW_BY_CONNECTION, FLOW_BY_PAIR, FLOW_BY_CLASS};
	const struct flow_row *rows;
	struct flow_sum *sum;
	size_t n;

	for (size_t i = 0; i < ARRAY_SIZE(groups); i++)
		for (unsigned int more = 0; more < 2; more++) {
			const struct flow_view view = {.group = groups[i], .how = COURSE_DROPPED};

			ck_assert_int_eq(flow_sum_new(&view, NULL, &sum), 0);
			for (int window = 0; window < 3; window++)
				add(sum,
				    "{'proto':17,'src':'100.64.0.1:9','dst':'100.64.0.2:1','rxPkts':4294967295,"
				    "'rxDrops':4294967295}");
			if (more)
				add(sum, "{'proto':17,'src':'100.64.0.1:9','dst':'100.64.0.2:1','rxPkts':1}");
			ck_assert_int_eq(flow_sum_sorted(sum, &rows, &n), 0);
			/* One packet arrived. */
			ck_assert_uint_eq(n, 1 - more);
			if (n > 0)
				ck_assert_uint_eq(rows->rx_drops, 3 * UINT64_C(4294967295));
			flow_sum_free(sum);
		}
}
END_TEST

START_TEST(test_sort)
{
	static const struct {
		const char *sort;
		unsigned int ports[3];
	} cases[] = {
		{"bytes", {3, 2, 1}},	{"packets", {2, 3, 1}}, {"begun", {1, 3, 2}},
		{"refused", {1, 3, 2}}, {"dropped", {2, 3, 1}},
	};
	struct flow_view view = {.group = FLOW_BY_PORT};
	const struct flow_row *rows;
	struct flow_sum *sum;
	size_t n;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		ck_assert_int_eq(flow_sort_parse(cases[i].sort, &view.sort), 0);
		ck_assert_int_eq(flow_sum_new(&view, NULL, &sum), 0);
		add(sum,
		    "{'proto':6,'src':'100.64.0.1:9','dst':'100.64.0.2:1','rxBytes':1,'init':'src','starts':4,"
		    "'ends':4,'txFlags':2,'rxFlags':20},"
		    "{'proto':6,'src':'100.64.0.1:9','dst':'100.64.0.2:2','rxBytes':2,'rxPkts':2,'txDrops':1},"
		    "{'proto':6,'src':'100.64.0.1:9','dst':'100.64.0.2:3','rxBytes':3,'init':'src','starts':2}");
		ck_assert_int_eq(flow_sum_sorted(sum, &rows, &n), 0);
		ck_assert_uint_eq(n, 3);
		for (size_t j = 0; j < n; j++)
			ck_assert_uint_eq(rows[j].connection.dst.port, cases[i].ports[j]);
		flow_sum_free(sum);
	}
	ck_assert_int_eq(flow_sort_parse("name", &view.sort), -EINVAL);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		test_sum_grows, test_sum_at_the_edge, test_opener, test_service,
		test_pair,	test_pair_of_chosen,  test_how,	   test_many_drops,
		test_sort,
	};

	return run_suite("flow_sum", tests, ARRAY_SIZE(tests));
}
