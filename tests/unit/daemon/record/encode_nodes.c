/* SPDX-License-Identifier: BSD-3-Clause */
/* srcNode and dstNodes: the nodes of a message's entries, and none that leaves no room for an entry. */

#include "tests/unit/daemon/record/random.h"

static void set_nodes(const char *text)
{
	struct node_refusal refusal = {};
	json_t *json = json_loads(text, 0, NULL);

	ck_assert_ptr_nonnull(json);
	ck_assert_int_eq(nodes_new_json(json, &nodes, &refusal), 0);
	json_decref(json);
	settings.nodes = nodes;
}

static void add_tun(const char *src, const char *dst)
{
	struct flow flow = {.connection = test_connection(src, dst, 6), .counts = {1, 40, 0, 0}};
	struct flows flows = {.items = &flow, .n = 1};

	ck_assert_int_eq(aggregate_add_tun(aggregate, &flows, routing, &gathering, NULL, NULL), 0);
}

static const char *const three_nodes =
	"{\"nodes\":[{\"nodeId\":\"nC\",\"name\":\"c.example.\",\"addresses\":[\"100.64.0.3\"],\"os\":\"linux\","
	"\"user\":\"eva\",\"tags\":[\"tag:z\",\"tag:a\",\"tag:z\"]},"
	"{\"nodeId\":\"nA\",\"addresses\":[\"100.64.0.1\"],\"user\":\"ada\"},"
	"{\"nodeId\":\"nB\",\"addresses\":[\"100.64.0.2\",\"fd7a:115c:a1e0::2\"]},"
	"{\"nodeId\":\"nD\",\"addresses\":[\"192.0.2.9\"]}]}";

#define HEAD	 "{\"logtail\":{\"client_time\":\"1970-01-01T00:00:00.000000009Z\",\"proc_id\":1,\"proc_seq\":1}"
#define TIMES	 ",\"start\":\"1970-01-01T00:00:00.000000001Z\",\"end\":\"1970-01-01T00:00:00.000000005Z\""
#define SRC_NODE ",\"srcNode\":{\"nodeId\":\"nA\",\"addresses\":[\"100.64.0.1\"],\"user\":\"ada\"}"
#define NODE_B	 "{\"nodeId\":\"nB\",\"addresses\":[\"100.64.0.2\",\"fd7a:115c:a1e0::2\"]}"
#define NODE_C                                                                                               \
	"{\"nodeId\":\"nC\",\"name\":\"c.example\",\"addresses\":[\"100.64.0.3\"],\"os\":\"linux\","         \
	"\"tags\":[\"tag:a\",\"tag:z\"]}"

static void expect_beginning(const char *text)
{
	ck_assert_uint_eq(messages.n, 1);
	ck_assert_msg(strncmp(messages.texts[0], text, strlen(text)) == 0, "%s\nshould begin with\n%s",
		      messages.texts[0], text);
}

START_TEST(nodes_of_a_message)
{
	struct flow flow = {.connection = test_connection("100.64.0.2:0", "192.0.2.9:51820", 0),
			    .counts = {1, 40, 0, 0}};
	struct flows flows = {.items = &flow, .n = 1};

	set_nodes(three_nodes);
	settings.node_id = "nA";
	add_tun("100.64.0.1:5", "100.64.0.3:22");
	add_tun("100.64.0.1:6", "100.64.0.3:22");
	add_tun("100.64.0.1:6", "100.64.0.4:22");
	ck_assert_int_eq(aggregate_add_sock(aggregate, &flows, NULL), 0);
	encode();
	/* The physical endpoint 192.0.2.9 is an address in another network, not node nD. */
	expect_beginning(HEAD ",\"nodeId\":\"nA\"" TIMES SRC_NODE ",\"dstNodes\":[" NODE_B "," NODE_C
			      "],\"virtualTraffic\":[{");
}
END_TEST

/* This node, where none of the nodes is it; and none where no node is known. */
START_TEST(this_node_by_itself)
{
	char id[] = "me";
	struct node self = {.id = id};

	ck_assert_int_eq(node_make_json(&self), 0);
	settings.node_id = "me";
	settings.self = &self;
	add_tun("100.64.0.9:5", "100.64.0.3:22");
	encode();
	expect_beginning(HEAD ",\"nodeId\":\"me\"" TIMES ",\"virtualTraffic\":[{");
	set_nodes(three_nodes);
	sequence.proc_seq = 0;
	encode();
	expect_beginning(HEAD ",\"nodeId\":\"me\"" TIMES
			      ",\"srcNode\":{\"nodeId\":\"me\"},\"dstNodes\":[" NODE_C
			      "],\"virtualTraffic\":[{");
	/* It is written as it is given, and is none of the others. */
	settings.node_id = "nC";
	sequence.proc_seq = 0;
	encode();
	expect_beginning(HEAD ",\"nodeId\":\"nC\"" TIMES
			      ",\"srcNode\":{\"nodeId\":\"me\"},\"virtualTraffic\":[{");
	settings.self = NULL;
	settings.node_id = "nA";
	sequence.proc_seq = 0;
	encode();
	expect_beginning(HEAD ",\"nodeId\":\"nA\"" TIMES SRC_NODE ",\"dstNodes\":[" NODE_C "]");
	free(self.json);
}
END_TEST

START_TEST(this_node_by_its_address)
{
	struct prefix_list local_addrs = {};

	test_list_add(&local_addrs, "10.9.9.9 100.64.0.1");
	set_nodes(three_nodes);
	settings.local_addrs = &local_addrs;
	add_tun("100.64.0.1:5", "[fd7a:115c:a1e0::2]:22");
	encode();
	expect_beginning(HEAD TIMES SRC_NODE ",\"dstNodes\":[" NODE_B "],\"virtualTraffic\":[{");
	/* A configured id that no node has: the address decides. */
	settings.node_id = "nX";
	sequence.proc_seq = 0;
	encode();
	expect_beginning(HEAD ",\"nodeId\":\"nX\"" TIMES SRC_NODE ",\"dstNodes\":[" NODE_B "]");
	prefix_list_deinit(&local_addrs);
}
END_TEST

START_TEST(a_node_that_talks_to_itself)
{
	set_nodes(three_nodes);
	add_tun("100.64.0.3:6", "100.64.0.3:7");
	encode();
	expect_beginning(HEAD TIMES ",\"dstNodes\":[" NODE_C "],\"virtualTraffic\":[{");
}
END_TEST

START_TEST(nodes_that_are_not_known)
{
	set_nodes(three_nodes);
	add_tun("10.0.0.1:5", "10.0.0.2:22");
	encode();
	expect_beginning(HEAD TIMES ",\"subnetTraffic\":[{");
	/* Without knowing which one this node is, it is one of those seen. */
	aggregate_reset(aggregate);
	add_tun("100.64.0.1:5", "100.64.0.3:22");
	sequence.proc_seq = 0;
	encode();
	expect_beginning(HEAD TIMES
			 ",\"dstNodes\":[{\"nodeId\":\"nA\",\"addresses\":[\"100.64.0.1\"],\"user\":"
			 "\"ada\"}," NODE_C "],\"virtualTraffic\":[{");
}
END_TEST

/* 250 nodes with texts of every length. */
static void set_many_nodes(size_t text_size)
{
	json_t *array = json_array(), *object = json_pack("{s:o}", "nodes", array);
	_cleanup_free_ char *text = NULL;

	for (int i = 0; i < 250; i++) {
		char id[16], address[ADDRESS_TEXT_MAX], name[NODE_TEXT_MAX + 1];

		snprintf(id, sizeof(id), "n%d", i);
		snprintf(address, sizeof(address), "100.64.0.%d", i);
		memset(name, 'x', sizeof(name));
		name[1 + (size_t)i * 7 % text_size] = '\0';
		json_array_append_new(array, json_pack("{s:s, s:s, s:[s]}", "nodeId", id, "name", name,
						       "addresses", address));
	}
	text = json_dumps(object, 0);
	json_decref(object);
	set_nodes(text);
}

/* Every node that an entry of the message names is in its dstNodes, none else, each once, sorted. */
static void check_dst_nodes(size_t i)
{
	json_t *json = messages_json(&messages, i), *expected = json_object();
	const json_t *dst_nodes = json_object_get(json, "dstNodes");
	const char *last = "";

	for (size_t list = 0; list < ARRAY_SIZE(lists); list++) {
		const json_t *array = json_object_get(json, lists[list]);

		for (size_t at = 0; at < json_array_size(array); at++) {
			const json_t *entry = json_array_get(array, at);

			for (int end = 0; end < (list == 3 ? 1 : 2); end++) {
				struct endpoint endpoint = test_endpoint(
					json_string_value(json_object_get(entry, end ? "dst" : "src")));
				const struct node *node = nodes_find_address(nodes, &endpoint.address);

				if (node && strcmp(node->id, "n1") != 0)
					json_object_set_new(expected, node->id, json_true());
			}
		}
	}
	ck_assert_uint_eq(json_array_size(dst_nodes), json_object_size(expected));
	for (size_t at = 0; at < json_array_size(dst_nodes); at++) {
		const char *id = json_string_value(json_object_get(json_array_get(dst_nodes, at), "nodeId"));

		ck_assert_ptr_nonnull(json_object_get(expected, id));
		ck_assert_int_lt(strcmp(last, id), 0);
		last = id;
	}
	json_decref(expected);
	json_decref(json);
}

static void try_random_nodes(uint64_t state)
{
	aggregate_reset(aggregate);
	nodes_unref(nodes);
	set_many_nodes(1 + state % 83 * 3);
	settings.node_id = "n1";
	settings.max_message_size = ENCODE_MESSAGE_MIN + test_random(&state) % 5000;
	add_random(test_random(&state) % 400 + 1, &state);
	aggregate_add_overflow(aggregate, &(struct counts){1, 2, 3, 4}, NULL);
	encode();
	ck_assert_uint_eq(read_back().overflows, 1);
	for (size_t i = 0; i < messages.n; i++)
		check_dst_nodes(i);
}

START_TEST(random_windows_with_nodes)
{
	for (uint64_t seed = 0; seed < 15; seed++)
		try_random_nodes(seed * 7 + 1000 * (uint64_t)_i);
}
END_TEST

/* Identities that leave no room are left out, the entries stay. */
START_TEST(nodes_that_are_too_large)
{
	json_t *tags = json_array(), *object;
	_cleanup_free_ char *text = NULL;
	char tag[NODE_TEXT_MAX + 1];

	memset(tag, 'x', sizeof(tag));
	tag[NODE_TEXT_MAX] = '\0';
	for (int i = 0; i < 30; i++) {
		tag[0] = (char)('a' + i % 26);
		tag[1] = (char)('a' + i / 26);
		json_array_append_new(tags, json_string(tag));
	}
	object = json_pack("{s:[{s:s,s:[s],s:O},{s:s,s:[s],s:o}]}", "nodes", "nodeId", "n1", "addresses",
			   "100.64.0.1", "tags", tags, "nodeId", "n2", "addresses", "100.64.0.2", "tags",
			   tags);
	text = json_dumps(object, 0);
	json_decref(object);
	set_nodes(text);
	settings.node_id = "n1";
	add_tun("100.64.0.1:5", "100.64.0.2:22");
	add_tun("100.64.0.1:5", "100.64.0.2:23");
	encode();
	read_back();
	ck_assert_uint_eq(messages.n, 1);
	ck_assert_ptr_null(strstr(messages.texts[0], "srcNode"));
	ck_assert_ptr_null(strstr(messages.texts[0], "dstNodes"));

	settings.max_message_size = 65536;
	encode();
	read_back();
	ck_assert_uint_eq(messages.n, 1);
	ck_assert_ptr_nonnull(strstr(messages.texts[0], ",\"srcNode\":{\"nodeId\":\"n1\""));
	ck_assert_ptr_nonnull(strstr(messages.texts[0], ",\"dstNodes\":[{\"nodeId\":\"n2\""));
}
END_TEST

START_TEST(a_node_id_that_is_too_large)
{
	_cleanup_free_ char *id = malloc(5001);

	memset(id, 'x', 5000);
	id[5000] = '\0';
	settings.node_id = id;
	add_tun("100.64.0.1:5", "100.64.0.2:22");
	encode();
	read_back();
	ck_assert_ptr_null(strstr(messages.texts[0], "nodeId"));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("encode_nodes");
	TCase *cases = tcase_create("encode_nodes");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(cases, setup, teardown);
	tcase_set_timeout(cases, 60);
	tcase_add_test(cases, nodes_of_a_message);
	tcase_add_test(cases, this_node_by_itself);
	tcase_add_test(cases, this_node_by_its_address);
	tcase_add_test(cases, a_node_that_talks_to_itself);
	tcase_add_test(cases, nodes_that_are_not_known);
	tcase_add_loop_test(cases, random_windows_with_nodes, 0, 4);
	tcase_add_test(cases, nodes_that_are_too_large);
	tcase_add_test(cases, a_node_id_that_is_too_large);
	suite_add_tcase(suite, cases);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
