/* SPDX-License-Identifier: BSD-3-Clause */
/* The tunnel's peers above the operator's nodes: one node for each, and whose word goes first. */

#include "daemon/record/peer_nodes.h"
#include "tests/unit/daemon/record/support.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct nodes *below, *nodes;
static struct peer_nodes peers;

static void operator_says(const char *text)
{
	struct node_refusal refusal = {};
	json_t *json = json_loads(text, 0, NULL);

	ck_assert_ptr_nonnull(json);
	ck_assert_int_eq(nodes_new_json(json, &below, &refusal), 0);
	json_decref(json);
}

static void add(struct peer_identity peer, const char *addresses)
{
	struct prefix_list list = {};

	test_list_add(&list, addresses);
	peer.addresses = &list;
	ck_assert_int_eq(peer_nodes_add(&peers, &peer), 0);
	prefix_list_deinit(&list);
}

/* A peer with a name. */
static void add_named(const char *id, const char *name, const char *addresses)
{
	add((struct peer_identity){.id = id, .name = name, .named = true}, addresses);
}

/* All nodes as they are written, one a line. */
static void expect(const char *expected)
{
	_cleanup_free_ char *text = calloc(1, 1);
	struct nodes_place place = {};
	const struct node *node;
	size_t n = 0;

	if (!nodes)
		ck_assert_int_eq(peer_nodes_finish(&peers, below, &nodes), 0);
	for (; (node = nodes_next(nodes, &place)); n++) {
		char *more;

		ck_assert_int_gt(asprintf(&more, "%s%s\n", text, node->json), 0);
		free(text);
		text = more;
		/* What is listed is what is found. */
		ck_assert_ptr_eq(nodes_find_id(nodes, node->id), node);
		for (size_t i = 0; i < node->n_addresses; i++)
			ck_assert_ptr_eq(nodes_find_address(nodes, &node->addresses[i]), node);
		ck_assert_uint_lt(nodes_number(nodes, node), nodes_numbers(nodes));
	}
	ck_assert_uint_eq(nodes_count(nodes), n);
	ck_assert_str_eq(text, expected);
}

START_TEST(peers_alone)
{
	char a[] = "tag:a", b[] = "tag:b";
	char *const tags[] = {b, a, b, NULL};

	add_named("keyB", "phone.", "100.64.0.3/32 fd7a::3/128 10.0.0.0/24");
	add((struct peer_identity){.id = "keyA1234", .name = "keyA", .named = false}, "100.64.0.2/32");
	add((struct peer_identity){.id = "n3", .os = "linux", .user = "eva", .tags = tags}, "");
	add((struct peer_identity){.id = "n4", .user = "ada"}, "");
	add((struct peer_identity){.id = "n5", .source = test_address("10.50.0.0")}, "10.50.0.0/16");
	expect("{\"nodeId\":\"keyA1234\",\"name\":\"keyA\",\"addresses\":[\"100.64.0.2\"]}\n"
	       "{\"nodeId\":\"keyB\",\"name\":\"phone\",\"addresses\":[\"100.64.0.3\",\"fd7a::3\"]}\n"
	       "{\"nodeId\":\"n3\",\"os\":\"linux\",\"tags\":[\"tag:a\",\"tag:b\"]}\n"
	       "{\"nodeId\":\"n4\",\"user\":\"ada\"}\n"
	       "{\"nodeId\":\"n5\",\"addresses\":[\"10.50.0.0\"]}\n");
	ck_assert(nodes_find_id(nodes, "keyA1234")->nameless);
	ck_assert(!nodes_find_id(nodes, "keyB")->nameless);
	ck_assert_ptr_null(nodes_self(nodes, NULL, NULL));
}
END_TEST

/* One of a peer's addresses is enough to take all of them; the operator's words stay. */
START_TEST(a_node_of_the_operators_takes_the_peers_addresses)
{
	struct address address = test_address("fd7a::2");

	operator_says("{\"nodes\":[{\"nodeId\":\"laptop\",\"name\":\"Anna\",\"addresses\":[\"100.64.0.2\"]},"
		      "{\"nodeId\":\"other\",\"addresses\":[\"100.64.0.9\"]}]}");
	add((struct peer_identity){.id = "keyA", .name = "x", .named = true, .os = "linux", .user = "anna"},
	    "100.64.0.2/32 fd7a::2/128");
	expect("{\"nodeId\":\"laptop\",\"name\":\"Anna\",\"addresses\":[\"100.64.0.2\",\"fd7a::2\"],"
	       "\"os\":\"linux\",\"user\":\"anna\"}\n"
	       "{\"nodeId\":\"other\",\"addresses\":[\"100.64.0.9\"]}\n");
	ck_assert_str_eq(nodes_find_address(nodes, &address)->id, "laptop");
	ck_assert_ptr_null(nodes_find_id(nodes, "keyA"));
	/* The operator's own are as they were. */
	ck_assert_ptr_null(nodes_find_address(below, &address));
	ck_assert_uint_eq(nodes_count(below), 2);
}
END_TEST

START_TEST(a_node_with_the_id_of_a_peer)
{
	operator_says("{\"nodes\":[{\"nodeId\":\"keyA\",\"tags\":[\"tag:x\"]}]}");
	add((struct peer_identity){.id = "keyA", .name = "laptop", .named = true, .user = "anna"},
	    "100.64.0.2/32");
	expect("{\"nodeId\":\"keyA\",\"name\":\"laptop\",\"addresses\":[\"100.64.0.2\"],\"tags\":[\"tag:x\"]}\n");
}
END_TEST

/* Each address stays with the node that the operator gave it to. */
START_TEST(two_nodes_of_the_operators_for_one_peer)
{
	operator_says("{\"nodes\":[{\"nodeId\":\"a\",\"addresses\":[\"100.64.0.2\"]},"
		      "{\"nodeId\":\"b\",\"addresses\":[\"fd7a::2\"]}]}");
	add_named("keyA", "x", "100.64.0.2/32 100.64.0.3/32 fd7a::2/128");
	expect("{\"nodeId\":\"a\",\"name\":\"x\",\"addresses\":[\"100.64.0.2\",\"100.64.0.3\"]}\n"
	       "{\"nodeId\":\"b\",\"addresses\":[\"fd7a::2\"]}\n");
}
END_TEST

START_TEST(two_peers_that_are_one_node)
{
	operator_says("{\"nodes\":[{\"nodeId\":\"site\",\"addresses\":[\"100.64.0.2\",\"100.64.0.4\"]}]}");
	add_named("keyA", "one", "100.64.0.2/32 100.64.0.3/32");
	add_named("keyB", "two", "100.64.0.4/32 100.64.0.5/32");
	add_named("keyC", "three", "100.64.0.6/32");
	expect("{\"nodeId\":\"keyC\",\"name\":\"three\",\"addresses\":[\"100.64.0.6\"]}\n"
	       "{\"nodeId\":\"site\",\"name\":\"one\",\"addresses\":[\"100.64.0.2\",\"100.64.0.4\",\"100.64.0.3\","
	       "\"100.64.0.5\"]}\n");
}
END_TEST

START_TEST(an_unknown_name_fills_no_gap)
{
	operator_says("{\"nodes\":[{\"nodeId\":\"a\",\"addresses\":[\"100.64.0.2\"]}]}");
	add((struct peer_identity){.id = "keyA1234", .name = "keyA", .named = false}, "100.64.0.2/32");
	expect("{\"nodeId\":\"a\",\"addresses\":[\"100.64.0.2\"]}\n");
}
END_TEST

START_TEST(this_node)
{
	add((struct peer_identity){.id = "me", .name = "gate", .named = true, .self = true}, "100.64.0.1/32");
	expect("{\"nodeId\":\"me\",\"name\":\"gate\",\"addresses\":[\"100.64.0.1\"]}\n");
	ck_assert_str_eq(nodes_self(nodes, NULL, NULL)->id, "me");
	nodes_unref(TAKE_PTR(nodes));
	/* Under the operator's id. */
	operator_says("{\"nodes\":[{\"nodeId\":\"hub\",\"addresses\":[\"100.64.0.1\"]}]}");
	add((struct peer_identity){.id = "me", .name = "gate", .named = true, .self = true},
	    "100.64.0.1/32 fd7a::1/128");
	expect("{\"nodeId\":\"hub\",\"name\":\"gate\",\"addresses\":[\"100.64.0.1\",\"fd7a::1\"]}\n");
	ck_assert_str_eq(nodes_self(nodes, NULL, NULL)->id, "hub");
}
END_TEST

/* A tunnel that says the same twice; and names with signs, from a tunnel that may say anything. */
START_TEST(what_cannot_be)
{
	char long_name[2 * NODE_TEXT_MAX];

	memset(long_name, 'x', sizeof(long_name) - 1);
	long_name[sizeof(long_name) - 1] = '\0';
	add_named("a", "b\033[2J\"", "100.64.0.2/32 100.64.0.2/32");
	add_named("a", "second", "100.64.0.7/32");
	add_named("b", "thief", "100.64.0.2/32");
	add_named("", "nobody", "100.64.0.8/32");
	expect("{\"nodeId\":\"a\",\"name\":\"b?[2J\\\"\",\"addresses\":[\"100.64.0.2\"]}\n"
	       "{\"nodeId\":\"b\",\"name\":\"thief\"}\n");
	nodes_unref(TAKE_PTR(nodes));
	add_named("a", long_name, "");
	ck_assert_int_eq(peer_nodes_finish(&peers, below, &nodes), 0);
	ck_assert_uint_eq(strlen(nodes_find_id(nodes, "a")->name), NODE_TEXT_MAX);
}
END_TEST

/* Of a thousand addresses all are found, and the first ones written. */
START_TEST(many_addresses)
{
	struct prefix_list list = {};
	struct address last;
	json_t *json;

	for (unsigned int i = 0; i < 1000; i++) {
		const uint8_t bytes[] = {100, 64, (uint8_t)(i >> 8), (uint8_t)i};
		struct prefix prefix = {.address = last = address_ipv4(bytes), .length = 32};

		ck_assert_int_eq(prefix_list_add(&list, &prefix), 0);
	}
	ck_assert_int_eq(peer_nodes_add(&peers, &(struct peer_identity){.id = "a", .addresses = &list}), 0);
	prefix_list_deinit(&list);
	ck_assert_int_eq(peer_nodes_finish(&peers, below, &nodes), 0);
	ck_assert_str_eq(nodes_find_address(nodes, &last)->id, "a");
	json = json_loads(nodes_find_id(nodes, "a")->json, 0, NULL);
	ck_assert_uint_eq(json_array_size(json_object_get(json, "addresses")), NODE_ADDRESSES_MAX);
	json_decref(json);
}
END_TEST

static void teardown(void)
{
	peer_nodes_deinit(&peers);
	nodes_unref(TAKE_PTR(nodes));
	nodes_unref(TAKE_PTR(below));
}

int main(void)
{
	Suite *suite = suite_create("peer_nodes");
	TCase *cases = tcase_create("peer_nodes");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(cases, NULL, teardown);
	tcase_add_test(cases, peers_alone);
	tcase_add_test(cases, a_node_of_the_operators_takes_the_peers_addresses);
	tcase_add_test(cases, a_node_with_the_id_of_a_peer);
	tcase_add_test(cases, two_nodes_of_the_operators_for_one_peer);
	tcase_add_test(cases, two_peers_that_are_one_node);
	tcase_add_test(cases, an_unknown_name_fills_no_gap);
	tcase_add_test(cases, this_node);
	tcase_add_test(cases, what_cannot_be);
	tcase_add_test(cases, many_addresses);
	suite_add_tcase(suite, cases);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
