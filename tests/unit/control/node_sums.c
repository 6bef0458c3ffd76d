/* SPDX-License-Identifier: BSD-3-Clause */
/* One node, one row: whatever its addresses, and whichever messages tell them. */

#include "control/denied_sum.h"
#include "control/flow_sum.h"
#include "control/flow_table.h"

#include "common/message.h"
#include "tests/unit/control/support.h"

#include <string.h>

#define MESSAGES_MAX 6

/* Learns and adds the members of a window, its 5 s later than the one before. */
static void take(struct node_book *book, struct flow_sum *flows, struct denied_sum *denied,
		 unsigned int number, const char *members)
{
	const struct flow_filter all = {.since = INT64_MIN, .until = INT64_MAX};
	_cleanup_free_ char *whole = NULL, *text = NULL;
	struct message message;

	ck_assert_int_gt(asprintf(&whole,
				  "{'start':'2026-11-22T20:%02u:00Z','end':'2026-11-22T20:%02u:05Z',%s}",
				  number, number, members),
			 0);
	text = json_text_of(whole);
	ck_assert_int_eq(message_parse(text, strlen(text), &message), 0);
	ck_assert_int_eq(node_book_learn(book, &message), 0);
	if (flows)
		ck_assert_int_gt(flow_sum_add(flows, &message, &all), 0);
	if (denied)
		ck_assert_int_gt(denied_sum_add(denied, &message, &all), 0);
	message_deinit(&message);
}

/* "label sent/received; label sent/received" of all rows. */
static char *rows_text(enum flow_group group, struct flow_sum *sum)
{
	const struct flow_row *rows;
	char *text = NULL;
	size_t n, size;
	FILE *file = open_memstream(&text, &size);

	ck_assert_int_eq(flow_sum_sorted(sum, &rows, &n), 0);
	for (size_t i = 0; i < n; i++) {
		_cleanup_free_ char *label = flow_row_label(group, &rows[i], true);

		fprintf(file, "%s%s %llu/%llu", i ? "; " : "", label,
			(unsigned long long)rows[i].counts.tx_bytes,
			(unsigned long long)rows[i].counts.rx_bytes);
	}
	fclose(file);
	return text;
}

struct sums_case {
	enum flow_group group;
	const char *messages[MESSAGES_MAX];
	const char *rows;
};

/* read: rows are read after each message, which must change nothing. */
static void check(const struct sums_case *one, enum course how, bool read)
{
	const struct flow_view view = {.group = one->group, .how = how};
	_cleanup_(node_book_freep) struct node_book *book = NULL;
	_cleanup_(flow_sum_freep) struct flow_sum *sum = NULL;
	_cleanup_free_ char *text = NULL;
	const struct flow_row *rows;
	size_t n;

	ck_assert_int_eq(node_book_new(&book), 0);
	ck_assert_int_eq(flow_sum_new(&view, book, &sum), 0);
	for (unsigned int i = 0; i < MESSAGES_MAX && one->messages[i]; i++) {
		take(book, sum, NULL, i, one->messages[i]);
		if (read)
			ck_assert_int_eq(flow_sum_sorted(sum, &rows, &n), 0);
	}
	text = rows_text(one->group, sum);
	ck_assert_msg(strcmp(text, one->rows) == 0, "got %s, not %s", text, one->rows);
	text[0] = '\0';
}

#define NODE(id, name, addresses) "{'nodeId':'" id "','name':'" name "','addresses':[" addresses "]}"
#define GATE			  "'srcNode':" NODE("n1", "gate", "'10.0.0.1','fd00::1'")
#define LAPTOP			  NODE("n2", "laptop", "'10.0.0.2','fd00::2'")
#define PEERS(nodes)		  "'dstNodes':[" nodes "]"
#define TRAFFIC(entries)	  "'virtualTraffic':[" entries "]"
#define ENTRY(src, dst, tx, rx)                                                                              \
	"{'proto':6,'src':'" src "','dst':'" dst "','txBytes':" #tx ",'rxBytes':" #rx "}"
#define V4(tx, rx) ENTRY("10.0.0.1:40000", "10.0.0.2:22", tx, rx)
#define V6(tx, rx) ENTRY("[fd00::1]:40000", "[fd00::2]:22", tx, rx)

/* Both ends have two addresses each. */
#define BOTH GATE "," PEERS(LAPTOP) "," TRAFFIC(V4(100, 10) "," V6(200, 20))

static const struct sums_case cases[] = {
	{FLOW_BY_NODE, {BOTH}, "gate 300/30"},
	{FLOW_BY_PEER, {BOTH}, "laptop 300/30"},
	{FLOW_BY_PAIR, {BOTH}, "gate <> laptop 300/30"},
	{FLOW_BY_CLIENT, {BOTH}, "gate 300/30"},
	{FLOW_BY_SERVICE, {BOTH}, "tcp laptop:22 300/30"},
	{FLOW_BY_PORT, {BOTH}, "tcp/22 300/30"},
	/* A connection has its addresses. */
	{FLOW_BY_CONNECTION,
	 {BOTH},
	 "tcp gate:40000 <> laptop:22 200/20; tcp gate:40000 <> laptop:22 100/10"},

	/* The node is known later, or in between. */
	{FLOW_BY_PEER,
	 {TRAFFIC(V4(1, 2)), TRAFFIC(V6(4, 8)), PEERS(LAPTOP) "," TRAFFIC(V6(16, 32)), TRAFFIC(V4(64, 128))},
	 "laptop 85/170"},
	{FLOW_BY_NODE, {TRAFFIC(V4(1, 2)), TRAFFIC(V6(4, 8)), GATE "," TRAFFIC(V6(16, 32))}, "gate 21/42"},
	{FLOW_BY_PAIR,
	 {TRAFFIC(V4(1, 2)), GATE "," TRAFFIC(V6(4, 8)), PEERS(LAPTOP) "," TRAFFIC(V4(16, 32))},
	 "gate <> laptop 21/42"},
	{FLOW_BY_CONNECTION,
	 {TRAFFIC(V4(1, 2)), BOTH, TRAFFIC(V4(4, 8))},
	 "tcp gate:40000 <> laptop:22 200/20; tcp gate:40000 <> laptop:22 105/20"},
	/* Two daemons' messages, from both sides. */
	{FLOW_BY_PAIR,
	 {GATE "," PEERS(LAPTOP) "," TRAFFIC(V4(100, 10)),
	  "'srcNode':" LAPTOP "," PEERS(NODE("n1", "gate", "'10.0.0.1','fd00::1'")) "," TRAFFIC(
		  ENTRY("[fd00::2]:22", "[fd00::1]:40000", 20, 200))},
	 "gate <> laptop 300/30"},
	{FLOW_BY_PEER,
	 {GATE "," PEERS(LAPTOP) "," TRAFFIC(V4(100, 10)),
	  "'srcNode':" LAPTOP "," PEERS(NODE("n1", "gate", "'10.0.0.1','fd00::1'")) "," TRAFFIC(
		  ENTRY("[fd00::2]:22", "[fd00::1]:40000", 20, 201))},
	 "gate 20/201; laptop 100/10"},
	/* The one daemon knows a peer by its key, the other itself by its host name. */
	{FLOW_BY_PEER,
	 {PEERS(NODE("cHVi", "laptop", "'10.0.0.2'")) "," TRAFFIC(V4(100, 10)),
	  PEERS(NODE("laptop", "laptop", "'10.0.0.2','fd00::2'")) "," TRAFFIC(V6(200, 20)),
	  PEERS(NODE("cHVi", "laptop", "'10.0.0.2'")) "," TRAFFIC(V4(1, 1))},
	 "laptop 301/31"},

	/* Renamed. */
	{FLOW_BY_PEER,
	 {PEERS(NODE("n2", "old", "'10.0.0.2'")) "," TRAFFIC(V4(1, 2)),
	  PEERS(NODE("n2", "new", "'10.0.0.2'")) "," TRAFFIC(V4(4, 8))},
	 "new 5/10"},
	/* The address goes from one node to another; who had it before anybody said so is the first. */
	{FLOW_BY_PEER,
	 {TRAFFIC(V4(1, 2)), PEERS(NODE("n2", "first", "'10.0.0.2'")) "," TRAFFIC(V4(4, 8)),
	  TRAFFIC(V4(16, 32)), PEERS(NODE("n3", "second", "'10.0.0.2'")) "," TRAFFIC(V4(100, 200)),
	  TRAFFIC(V4(400, 800))},
	 "second 500/1000; first 21/42"},
	{FLOW_BY_CONNECTION,
	 {PEERS(NODE("n2", "first", "'10.0.0.2'")) "," TRAFFIC(V4(4, 8)),
	  PEERS(NODE("n3", "second", "'10.0.0.2'")) "," TRAFFIC(V4(100, 200))},
	 "tcp 10.0.0.1:40000 <> second:22 100/200; tcp 10.0.0.1:40000 <> first:22 4/8"},
	/* Two of one name. */
	{FLOW_BY_PEER,
	 {PEERS(NODE("n2", "db", "'10.0.0.2'") "," NODE("n3", "db", "'fd00::2'")) "," TRAFFIC(
		 V4(1, 2) "," V6(4, 8))},
	 "db (n3) 4/8; db (n2) 1/2"},
	/* A node that talks to itself. */
	{FLOW_BY_PAIR, {GATE "," TRAFFIC(ENTRY("10.0.0.1:1", "[fd00::1]:2", 1, 2))}, "gate <> gate 1/2"},

	/* Physical traffic: the peer is a node, its endpoint is an address in another network. */
	{FLOW_BY_PEER,
	 {PEERS(LAPTOP) ",'physicalTraffic':[" ENTRY("10.0.0.2:0", "10.0.0.1:51820", 1, 2) "," ENTRY(
		 "[fd00::2]:0", "192.0.2.1:51820", 4, 8) "]"},
	 "laptop 5/10"},
	{FLOW_BY_SERVICE,
	 {GATE "," PEERS(LAPTOP) ",'physicalTraffic':[" ENTRY("10.0.0.2:0", "10.0.0.1:51820", 1, 2) "," ENTRY(
		 "10.0.0.2:0", "127.3.3.40:4", 4, 8) "]"},
	 "tcp DERP 4 4/8; tcp 10.0.0.1:51820 1/2"},
	{FLOW_BY_CONNECTION,
	 {GATE "," PEERS(LAPTOP) ",'physicalTraffic':[" ENTRY("10.0.0.2:0", "10.0.0.1:51820", 1, 2) "," ENTRY(
		 "10.0.0.2:0", "127.3.3.40:4", 4, 8) "]"},
	 "tcp laptop <> DERP 4 4/8; tcp laptop <> 10.0.0.1:51820 1/2"},
	{FLOW_BY_PAIR,
	 {PEERS(LAPTOP) ",'physicalTraffic':[" ENTRY("10.0.0.2:0", "10.0.0.1:51820", 1, 2) "]"},
	 "this node <> laptop 1/2"},
	/* No address is no node. */
	{FLOW_BY_PAIR, {GATE ",'exitTraffic':[" ENTRY("", "", 1, 2) "]"}, "all 1/2"},
};

START_TEST(test_one_row)
{
	check(&cases[_i], COURSE_UNKNOWN, false);
	check(&cases[_i], COURSE_UNKNOWN, true);
}
END_TEST

/* Seen first from the other end, by another address: the end that is told first stays so. */
START_TEST(test_turned)
{
	static const struct sums_case one = {FLOW_BY_PAIR,
					     {TRAFFIC(ENTRY("[fd00::2]:22", "[fd00::1]:9", 1, 2)),
					      TRAFFIC(V4(16, 32)),
					      GATE "," PEERS(LAPTOP) "," TRAFFIC(V4(64, 128))},
					     "laptop <> gate 161/82"};

	check(&one, COURSE_UNKNOWN, false);
}
END_TEST

#define TRIED(src, dst, more) "{'proto':6,'src':'" src "','dst':'" dst "','txBytes':1,'init':'src'" more "}"

/* Chosen by how they went: the node is known only when the connection ends. */
START_TEST(test_how)
{
	static const struct sums_case one = {
		FLOW_BY_PEER,
		{TRAFFIC(TRIED("10.0.0.1:1", "10.0.0.2:21", ",'starts':1,'txFlags':2")),
		 PEERS(LAPTOP) "," TRAFFIC(
			 TRIED("10.0.0.1:1", "10.0.0.2:21", ",'ends':1,'rxFlags':20") "," TRIED(
				 "[fd00::1]:1", "[fd00::2]:21", ",'starts':1,'txFlags':2,'rxFlags':20")),
		 TRAFFIC(TRIED("10.0.0.1:2", "10.0.0.2:21", ",'starts':1,'txFlags':2"))},
		"laptop 3/0"};

	check(&one, COURSE_REFUSED, false);
	check(&one, COURSE_REFUSED, true);
}
END_TEST

/* All that a row tells is added up, and is told from one end. */
START_TEST(test_all_of_a_row)
{
	static const char *const parts[] = {
		TRAFFIC("{'proto':6,'src':'[fd00::2]:22','dst':'[fd00::1]:9','txPkts':1,'txBytes':2,'rxPkts':3,"
			"'rxBytes':4,'init':'dst','starts':5,'ends':6,'txFlags':1,'rxFlags':2,'txDrops':7,"
			"'rxDrops':8}"),
		TRAFFIC("{'proto':6,'src':'10.0.0.1:9','dst':'10.0.0.2:22','txPkts':10,'txBytes':20,'rxPkts':30,"
			"'rxBytes':40,'init':'src','starts':50,'ends':60,'txFlags':16,'rxFlags':32,'txDrops':70,"
			"'rxDrops':80}"),
	};
	_cleanup_(node_book_freep) struct node_book *book = NULL;
	_cleanup_(flow_sum_freep) struct flow_sum *sum = NULL;
	const struct flow_row *row;
	size_t n;

	ck_assert_int_eq(node_book_new(&book), 0);
	ck_assert_int_eq(flow_sum_new(&(struct flow_view){.group = FLOW_BY_PAIR}, book, &sum), 0);
	take(book, sum, NULL, 1, parts[0]);
	take(book, sum, NULL, 0, parts[1]);
	take(book, sum, NULL, 2, GATE "," PEERS(LAPTOP) "," TRAFFIC(V4(0, 0)));
	ck_assert_int_eq(flow_sum_sorted(sum, &row, &n), 0);
	ck_assert_uint_eq(n, 1);
	assert_json(flow_row_json(FLOW_BY_PAIR, row),
		    "{'class':'virtual','label':'10.0.0.1 > 10.0.0.2','srcName':'laptop','dstName':'gate',"
		    "'txPkts':31,'txBytes':42,'rxPkts':13,'rxBytes':24,'first':'2026-11-22T20:00:00Z',"
		    "'last':'2026-11-22T20:02:05Z','src':'10.0.0.2:0','dst':'10.0.0.1:0','init':'dst',"
		    "'srcNode':{'nodeId':'n2','name':'laptop','addresses':['10.0.0.2','fd00::2']},"
		    "'dstNode':{'nodeId':'n1','name':'gate','addresses':['10.0.0.1','fd00::1']},"
		    "'starts':55,'ends':66,'txDrops':87,'rxDrops':78}");
	ck_assert_uint_eq(row->tx_flags, 33);
	ck_assert_uint_eq(row->rx_flags, 18);
	ck_assert_uint_eq(row->entries, 3);
}
END_TEST

#define DROPPED(src, dst, drops) "{'proto':17,'src':'" src "','dst':'" dst "','rxDrops':" #drops "}"

START_TEST(test_denied)
{
	_cleanup_(node_book_freep) struct node_book *book = NULL;
	_cleanup_(denied_sum_freep) struct denied_sum *sum = NULL;
	const struct denied_row *rows;
	size_t n;

	ck_assert_int_eq(node_book_new(&book), 0);
	ck_assert_int_eq(denied_sum_new(book, &sum), 0);
	take(book, NULL, sum, 2, TRAFFIC(DROPPED("[fd00::1]:53", "[fd00::2]:9", 1)));
	take(book, NULL, sum, 1, PEERS(LAPTOP) "," TRAFFIC(DROPPED("10.0.0.1:53", "10.0.0.2:9", 2)));
	take(book, NULL, sum, 3, GATE "," TRAFFIC(DROPPED("10.0.0.1:53", "10.0.0.2:8", 4)));
	/* Another port, and another node at the same address. */
	take(book, NULL, sum, 4, TRAFFIC(DROPPED("10.0.0.1:54", "10.0.0.2:8", 3)));
	take(book, NULL, sum, 5,
	     PEERS(NODE("n3", "new", "'10.0.0.2'")) "," TRAFFIC(DROPPED("10.0.0.1:53", "10.0.0.2:9", 2)));
	ck_assert_int_eq(denied_sum_sorted(sum, &rows, &n), 0);
	ck_assert_uint_eq(n, 3);
	ck_assert_uint_eq(rows[0].received, 7);
	ck_assert_uint_eq(rows[0].entries, 3);
	ck_assert(rows[0].from_several && rows[0].to_several);
	ck_assert_str_eq(book_node_label(rows[0].from_node), "laptop");
	ck_assert_str_eq(book_node_label(rows[0].to_node), "gate");
	ck_assert_uint_eq(rows[0].to.port, 53);
	ck_assert_uint_eq(rows[0].from.bytes[3], 2);
	ck_assert_uint_eq(rows[0].to.address.bytes[3], 1);
	ck_assert_int_eq(rows[0].last - rows[0].first, INT64_C(125) * 1000000000);
	ck_assert_uint_eq(rows[1].received, 3);
	ck_assert_uint_eq(rows[1].to.port, 54);
	ck_assert(!rows[1].from_several && !rows[1].to_several);
	ck_assert_uint_eq(rows[2].received, 2);
	ck_assert_str_eq(book_node_label(rows[2].from_node), "new");
}
END_TEST

int main(void)
{
	TCase *one_row = tcase_create("one_row"), *others = tcase_create("others");
	Suite *suite = suite_create("node_sums");
	SRunner *runner;
	int failed;

	tcase_add_loop_test(one_row, test_one_row, 0, ARRAY_SIZE(cases));
	tcase_add_test(others, test_turned);
	tcase_add_test(others, test_how);
	tcase_add_test(others, test_all_of_a_row);
	tcase_add_test(others, test_denied);
	suite_add_tcase(suite, one_row);
	suite_add_tcase(suite, others);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed > 0;
}
