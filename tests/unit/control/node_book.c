/* SPDX-License-Identifier: BSD-3-Clause */
/* Nodes as messages tell of them, one after the other. */

#include "control/node_book.h"

#include "common/message.h"
#include "tests/unit/control/support.h"

#include <string.h>

static void learn(struct node_book *book, const char *nodes, bool early)
{
	_cleanup_free_ char *whole = NULL, *text = NULL;
	struct message message;

	ck_assert_int_gt(
		asprintf(&whole, "{'start':'2026-11-22T20:00:00Z','end':'2026-11-22T20:00:05Z',%s}", nodes),
		0);
	text = json_text_of(whole);
	ck_assert_int_eq(message_parse(text, strlen(text), &message), 0);
	ck_assert_int_eq(early ? node_book_learn_early(book, &message) : node_book_learn(book, &message), 0);
	message_deinit(&message);
}

static struct address address_of(const char *text)
{
	struct address address;

	ck_assert_int_eq(address_parse(text, &address), 0);
	return address;
}

/* The name of the node that has an address; "" for none. */
static const char *owner(const struct node_book *book, const char *text)
{
	const struct address address = address_of(text);
	const char *label = book_node_label(node_book_find(book, &address));

	return label ? label : "";
}

static const char *first_owner(const struct node_book *book, const char *text)
{
	const struct address address = address_of(text);
	const char *label = book_node_label(node_book_find_first(book, &address));

	return label ? label : "";
}

static void assert_node(const struct node_book *book, const char *address_text, const char *expected)
{
	const struct address address = address_of(address_text);

	assert_json(book_node_json(node_book_find(book, &address)), expected);
}

#define NODE(id, name, addresses) "{'nodeId':'" id "','name':'" name "','addresses':[" addresses "]}"

START_TEST(test_names_and_addresses)
{
	_cleanup_(node_book_freep) struct node_book *book = NULL;

	ck_assert_int_eq(node_book_new(&book), 0);
	ck_assert(node_book_is_empty(book));
	ck_assert_str_eq(owner(book, "10.0.0.1"), "");
	learn(book,
	      "'srcNode':" NODE("n1", "gate", "'10.0.0.1','fd00::1'") ",'dstNodes':[" NODE(
		      "n2", "laptop", "'10.0.0.2'") ",{'nodeId':'n3','addresses':['10.0.0.3']}]",
	      false);
	ck_assert(!node_book_is_empty(book));
	ck_assert_str_eq(owner(book, "fd00::1"), "gate");
	ck_assert_str_eq(owner(book, "10.0.0.2"), "laptop");
	ck_assert_str_eq(owner(book, "10.0.0.3"), "n3");
	ck_assert_str_eq(owner(book, "10.0.0.4"), "");
	ck_assert_str_eq(owner(book, ""), "");

	/* Renamed, and with an address more; what is not in a message stays. */
	learn(book, "'dstNodes':[" NODE("n2", "desk", "'fd00::2'") "]", false);
	ck_assert_str_eq(owner(book, "10.0.0.2"), "desk");
	assert_node(book, "fd00::2", NODE("n2", "desk", "'10.0.0.2','fd00::2'"));
	assert_node(book, "10.0.0.3", "{'nodeId':'n3','addresses':['10.0.0.3']}");
	ck_assert_ptr_null(book_node_json(NULL));
}
END_TEST

/* From one node to another and back; the first one stays known as the first. */
START_TEST(test_address_moves)
{
	const struct address moving = address_of("10.0.0.1");
	_cleanup_(node_book_freep) struct node_book *book = NULL;

	ck_assert_int_eq(node_book_new(&book), 0);
	for (int round = 0; round < 100; round++) {
		learn(book, "'dstNodes':[" NODE("n1", "old", "'10.0.0.1','10.0.0.9'") "]", false);
		ck_assert_str_eq(owner(book, "10.0.0.1"), "old");
		learn(book, "'dstNodes':[" NODE("n2", "new", "'10.0.0.1'") "]", false);
		ck_assert_str_eq(owner(book, "10.0.0.1"), "new");
		ck_assert_str_eq(first_owner(book, "10.0.0.1"), "old");
	}
	assert_node(book, "10.0.0.1", NODE("n2", "new", "'10.0.0.1'"));
	assert_node(book, "10.0.0.9", NODE("n1", "old", "'10.0.0.1','10.0.0.9'"));
	/* That it comes back again and again takes no memory. */
	ck_assert_uint_le(node_book_find(book, &moving)->allocated, 4);
	/* Within a message the first has it: this node, then in the order of the list. */
	learn(book,
	      "'srcNode':" NODE("n3", "self", "'10.0.0.1'") ",'dstNodes':[" NODE(
		      "n2", "new", "'10.0.0.1','10.0.0.5'") "," NODE("n1", "old", "'10.0.0.5'") "]",
	      false);
	ck_assert_str_eq(owner(book, "10.0.0.1"), "self");
	ck_assert_str_eq(owner(book, "10.0.0.5"), "new");
}
END_TEST

/* A name is told with the id where two have it. Under one name and with an address in common it is one node.
 */
START_TEST(test_same_name)
{
	_cleanup_(node_book_freep) struct node_book *book = NULL;
	const struct address address = address_of("10.0.0.1");
	struct book_node *before;

	ck_assert_int_eq(node_book_new(&book), 0);
	learn(book,
	      "'dstNodes':[" NODE("n1", "db", "'10.0.0.1'") "," NODE("n2", "db", "'10.0.0.2'") "," NODE(
		      "n3", "web", "'10.0.0.3'") ",{'name':'web','addresses':['10.0.0.4']}]",
	      false);
	before = node_book_find(book, &address);
	ck_assert_int_eq(node_book_label(book), 0);
	ck_assert_str_eq(owner(book, "10.0.0.1"), "db (n1)");
	ck_assert_str_eq(owner(book, "10.0.0.2"), "db (n2)");
	ck_assert_str_eq(owner(book, "10.0.0.3"), "web (n3)");
	ck_assert_str_eq(owner(book, "10.0.0.4"), "web");
	ck_assert_str_eq(book_node_name(before), "db");

	/* n1 gets another id, and twice. */
	learn(book, "'dstNodes':[" NODE("n5", "db", "'fd00::1','10.0.0.1'") "]", false);
	learn(book, "'dstNodes':[" NODE("n6", "db", "'10.0.0.1'") "]", false);
	ck_assert_int_eq(node_book_label(book), 0);
	ck_assert_str_eq(owner(book, "10.0.0.1"), "db (n6)");
	ck_assert_str_eq(owner(book, "fd00::1"), "db (n6)");
	ck_assert_str_eq(first_owner(book, "10.0.0.1"), "db (n6)");
	ck_assert_ptr_eq(book_node_latest(before), node_book_find(book, &address));
	assert_node(book, "fd00::1", NODE("n6", "db", "'10.0.0.1','fd00::1'"));
	/* The old id is that node from now on. */
	learn(book, "'dstNodes':[" NODE("n1", "db", "'10.0.0.7'") "]", false);
	ck_assert_str_eq(owner(book, "10.0.0.7"), "db (n6)");
	/* No longer shared. */
	learn(book, "'dstNodes':[" NODE("n2", "db2", "") "]", false);
	ck_assert_int_eq(node_book_label(book), 0);
	ck_assert_str_eq(owner(book, "10.0.0.1"), "db");
}
END_TEST

/* Messages of anybody: what is no node, or no address, is none; the rest counts. */
START_TEST(test_foreign)
{
	_cleanup_(node_book_freep) struct node_book *book = NULL;
	_cleanup_free_ char *long_text = NULL, *nodes = NULL;

	ck_assert_int_eq(node_book_new(&book), 0);
	learn(book,
	      "'srcNode':{'nodeId':5,'name':['x'],'addresses':['10.0.0.1']},"
	      "'dstNodes':[1,null,[],{},'n',{'nodeId':'n1'},{'nodeId':'n2','name':7,'addresses':'10.0.0.2'},"
	      "{'nodeId':'n3','addresses':{'a':'10.0.0.3'}},{'nodeId':'n4','addresses':[4,'',null,'x',"
	      "'10.0.0.4/8','10.0.0.4',['10.0.0.5']]},{'nodeId':'','name':'','addresses':['10.0.0.6']}]",
	      false);
	ck_assert_str_eq(owner(book, "10.0.0.1"), "");
	ck_assert_str_eq(owner(book, "10.0.0.2"), "");
	ck_assert_str_eq(owner(book, "10.0.0.3"), "");
	ck_assert_str_eq(owner(book, "10.0.0.4"), "n4");
	ck_assert_str_eq(owner(book, "10.0.0.5"), "");
	ck_assert_str_eq(owner(book, "10.0.0.6"), "");
	assert_node(book, "10.0.0.4", "{'nodeId':'n4','addresses':['10.0.0.4']}");

	long_text = malloc(NODE_BOOK_TEXT_MAX + 2);
	memset(long_text, 'x', NODE_BOOK_TEXT_MAX + 1);
	long_text[NODE_BOOK_TEXT_MAX + 1] = '\0';
	ck_assert_int_gt(asprintf(&nodes,
				  "'dstNodes':[{'nodeId':'%s','addresses':['10.0.0.7']},"
				  "{'nodeId':'%s','addresses':['10.0.0.8']}]",
				  long_text, long_text + 1),
			 0);
	learn(book, nodes, false);
	ck_assert_str_eq(owner(book, "10.0.0.7"), "");
	ck_assert_str_eq(owner(book, "10.0.0.8"), long_text + 1);
}
END_TEST

START_TEST(test_wanted)
{
	static const struct {
		const char *text;
		bool self, laptop;
	} cases[] = {
		{"gate", true, false},
		{"GATE.example.net", true, false},
		{"gate.example", false, false},
		{"gat", false, false},
		{"n1", true, false},
		{"N1", false, false},
		{"fd00::1", true, false},
		{"10.0.0.2", false, true},
		{"old", false, true},
		{"laptop", false, true},
		{"10.0.0.9", false, false},
		{".", false, false},
		{"gate.example.net.", false, false},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(node_book_freep) struct node_book *book = NULL;
		const struct address self = address_of("10.0.0.1"), laptop = address_of("10.0.0.2"),
				     none = {}, other = address_of("10.0.0.9");
		unsigned int bit;

		ck_assert_int_eq(node_book_new(&book), 0);
		ck_assert_uint_eq(node_book_want(book, "nobody"), 1);
		bit = node_book_want(book, cases[i].text);
		learn(book,
		      "'srcNode':" NODE("n1", "gate.example.net",
					"'10.0.0.1','fd00::1'") ",'dstNodes':[" NODE("n2", "old",
										     "'10.0.0.2'") "]",
		      false);
		learn(book, "'dstNodes':[" NODE("n2", "laptop", "'10.0.0.2'") "]", false);
		ck_assert_msg(node_book_wanted(book, &self) == (cases[i].self ? bit : 0), "%s",
			      cases[i].text);
		ck_assert_msg(node_book_wanted(book, &laptop) == (cases[i].laptop ? bit : 0), "%s",
			      cases[i].text);
		ck_assert_uint_eq(node_book_wanted(book, &none), 0);
		/* An address need not be a node's. */
		ck_assert_uint_eq(node_book_wanted(book, &other),
				  strcmp(cases[i].text, "10.0.0.9") ? 0 : bit);
		ck_assert_str_eq(node_book_unknown(book), "nobody");
	}
}
END_TEST

/* Read twice: the second time each address is its first node's until another message says otherwise. */
START_TEST(test_rewind)
{
	_cleanup_(node_book_freep) struct node_book *book = NULL;

	ck_assert_int_eq(node_book_new(&book), 0);
	learn(book, "'dstNodes':[" NODE("n0", "before", "'10.0.0.1','10.0.0.2'") "]", true);
	learn(book, "'dstNodes':[" NODE("n1", "early", "'10.0.0.1'") "]", true);
	learn(book, "'dstNodes':[" NODE("n2", "first", "'10.0.0.3'") "]", false);
	learn(book, "'dstNodes':[" NODE("n3", "last", "'10.0.0.1','10.0.0.2','10.0.0.3'") "]", false);
	ck_assert_str_eq(owner(book, "10.0.0.1"), "last");
	node_book_rewind(book);
	ck_assert_str_eq(owner(book, "10.0.0.1"), "early");
	ck_assert_str_eq(owner(book, "10.0.0.2"), "before");
	ck_assert_str_eq(owner(book, "10.0.0.3"), "first");
	learn(book, "'dstNodes':[" NODE("n3", "last", "'10.0.0.1'") "]", false);
	ck_assert_str_eq(owner(book, "10.0.0.1"), "last");
	ck_assert_str_eq(owner(book, "10.0.0.3"), "first");
	ck_assert_str_eq(first_owner(book, "10.0.0.1"), "early");
}
END_TEST

/*
 * n1 and n2 are one node in the end, and so from the beginning of the second reading, under the name that
 * either has then. That n3 had n2's name when it took an address of n1 makes it none of them.
 */
START_TEST(test_rewind_joined)
{
	_cleanup_(node_book_freep) struct node_book *book = NULL;

	ck_assert_int_eq(node_book_new(&book), 0);
	for (int pass = 0; pass < 2; pass++) {
		learn(book, "'dstNodes':[" NODE("n1", "gate", "'10.0.0.1','10.0.0.2'") "]", false);
		learn(book, "'dstNodes':[" NODE("n2", "db", "'10.0.0.3'") "]", false);
		learn(book, "'dstNodes':[" NODE("n3", "db", "'10.0.0.1'") "]", false);
		learn(book, "'dstNodes':[" NODE("n2", "web", "'10.0.0.3'") "]", false);
		learn(book, "'dstNodes':[" NODE("n1", "web", "'10.0.0.3'") "]", false);
		ck_assert_str_eq(owner(book, "10.0.0.1"), "db");
		ck_assert_str_eq(owner(book, "10.0.0.2"), "web");
		ck_assert_str_eq(owner(book, "10.0.0.3"), "web");
		ck_assert_str_eq(first_owner(book, "10.0.0.1"), "web");
		assert_node(book, "10.0.0.3", NODE("n1", "web", "'10.0.0.1','10.0.0.2','10.0.0.3'"));
		node_book_rewind(book);
	}
}
END_TEST

/* As many as a nodes file may have, of a fleet that gets new ids, over and over. */
START_TEST(test_many)
{
	_cleanup_(node_book_freep) struct node_book *book = NULL;
	char nodes[200];

	ck_assert_int_eq(node_book_new(&book), 0);
	for (int i = 0; i < 20000; i++) {
		snprintf(
			nodes, sizeof(nodes),
			"'dstNodes':[{'nodeId':'n%d','name':'node%d','addresses':['10.0.%d.%d','fd00::%x']}]",
			i, i % 10000, i / 256 % 256, i % 256, i % 10000);
		learn(book, nodes, false);
	}
	ck_assert_int_eq(node_book_label(book), 0);
	ck_assert_str_eq(owner(book, "fd00::5"), "node5");
	assert_node(book, "fd00::5",
		    "{'nodeId':'n10005','name':'node5','addresses':['10.0.0.5','10.0.39.21','fd00::5']}");
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		test_names_and_addresses,
		test_address_moves,
		test_same_name,
		test_foreign,
		test_wanted,
		test_rewind,
		test_rewind_joined,
		test_many,
	};

	return run_suite("node_book", tests, ARRAY_SIZE(tests));
}
