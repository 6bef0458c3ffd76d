/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Windows that do not fit into one message: for many sizes around every limit, no message is too large,
 * no entry is lost, none comes twice, and they stay in order. With and without node identities.
 */

#include "daemon/record/encode.h"
#include "daemon/record/nodes.h"
#include "daemon/routes/routing.h"
#include "tests/unit/daemon/record/messages.h"
#include "tests/unit/daemon/record/support.h"

#include <stdlib.h>

static struct aggregate *aggregate;
static struct routing *routing;
static struct nodes *nodes;
static struct aggregate_settings gathering;
static struct encode_settings settings;
static struct encode_sequence sequence;
static struct messages messages;

static void setup(void)
{
	struct route_lists lists =
		test_lists("100.64.0.1", "100.64.0.0/10 fd7a:115c:a1e0::/48 10.0.0.0/8", "");
	struct prefix_list tailnet = {};

	test_list_add(&tailnet, "100.64.0.0/10 fd7a:115c:a1e0::/48");
	ck_assert_int_eq(routing_new(&lists, &tailnet, NULL, &routing), 0);
	test_lists_deinit(&lists);
	prefix_list_deinit(&tailnet);
	ck_assert_int_eq(aggregate_new(&aggregate), 0);
	gathering = (struct aggregate_settings){.exit_traffic = EXIT_TRAFFIC_FULL};
	settings = (struct encode_settings){.max_message_size = ENCODE_MESSAGE_MIN};
	sequence = (struct encode_sequence){.proc_id = 1};
	nodes = NULL;
}

static void teardown(void)
{
	aggregate_free(aggregate);
	routing_free(routing);
	nodes_free(nodes);
	messages_deinit(&messages);
}

static struct endpoint random_end(uint64_t *state)
{
	uint64_t random = test_random(state);
	struct endpoint end = {.port = (uint16_t)(random >> 40)};

	switch (random % 5) {
	case 0:
		end.address = address_ipv4((uint8_t[4]){100, 64, 0, (uint8_t)(random >> 8)});
		break;
	case 1:
		end.address = address_ipv4((uint8_t[4]){10, 0, 0, (uint8_t)(random >> 8)});
		break;
	case 2:
		end.address = address_ipv4((uint8_t[4]){200, (uint8_t)(random >> 8), 0, 1});
		break;
	case 3:
		end.address = address_ipv6(
			(uint8_t[16]){0xfd, 0x7a, 0x11, 0x5c, 0xa1, 0xe0, [15] = (uint8_t)(random >> 8)});
		break;
	default:
		end.port = 0;
		break;
	}
	return end;
}

/* Counts of every length. */
static struct counts random_counts(uint64_t *state)
{
	uint64_t random = test_random(state);

	return (struct counts){
		.tx_packets = test_random(state) >> (random & 63),
		.tx_bytes = test_random(state) >> (random >> 6 & 63),
		.rx_packets = random >> 12 & 1 ? 0 : test_random(state) >> (random >> 13 & 63),
		.rx_bytes = test_random(state) >> (random >> 19 & 63),
	};
}

static void add_random(size_t n, uint64_t *state)
{
	struct flows tun = {}, sock = {};

	for (size_t i = 0; i < n; i++) {
		struct connection connection = {
			.src = random_end(state), .dst = random_end(state), .proto = 6};
		struct counts counts = random_counts(state);

		ck_assert_int_eq(flows_add(i % 7 ? &tun : &sock, &connection, &counts), 0);
	}
	ck_assert_int_eq(aggregate_add_tun(aggregate, &tun, routing, &gathering, NULL, NULL), 0);
	ck_assert_int_eq(aggregate_add_sock(aggregate, &sock, NULL), 0);
	flows_deinit(&tun);
	flows_deinit(&sock);
}

static void encode(void)
{
	struct encode_times window = {.start = 1, .end = 5};

	messages_deinit(&messages);
	ck_assert_int_eq(encode_window(aggregate, &window, &settings, &sequence, 9, messages_take, &messages),
			 0);
}

/* --- reading it back --- */

static const char *const lists[] = {"virtualTraffic", "subnetTraffic", "exitTraffic", "physicalTraffic"};

struct seen {
	struct counts tun, sock;
	size_t n;
	struct flow last; /* to see that they are in order, each once */
	size_t last_list;
	size_t overflows;
};

static uint64_t read_count(const json_t *entry, const char *name)
{
	const json_t *value = json_object_get(entry, name);

	/* Zero is left out. */
	ck_assert(!value || json_integer_value(value) > 0);
	return value ? (uint64_t)json_integer_value(value) : 0;
}

static void read_entry(const json_t *entry, size_t list, struct seen *seen)
{
	struct flow flow = {
		.connection = test_connection(json_string_value(json_object_get(entry, "src")),
					      json_string_value(json_object_get(entry, "dst")),
					      (uint8_t)json_integer_value(json_object_get(entry, "proto"))),
		.counts = {read_count(entry, "txPkts"), read_count(entry, "txBytes"),
			   read_count(entry, "rxPkts"), read_count(entry, "rxBytes")},
	};

	if (seen->n && list == seen->last_list)
		ck_assert_int_lt(connection_compare(&seen->last.connection, &flow.connection), 0);
	else if (seen->n)
		ck_assert_uint_lt(seen->last_list, list);
	counts_add(list == 3 ? &seen->sock : &seen->tun, &flow.counts);
	seen->last = flow;
	seen->last_list = list;
	seen->n++;
}

static void read_message(size_t i, struct seen *seen)
{
	json_t *json = messages_json(&messages, i), *logtail = json_object_get(json, "logtail");

	ck_assert_uint_le(messages.sizes[i], settings.max_message_size);
	ck_assert_str_eq(json_string_value(json_object_get(json, "start")), "1970-01-01T00:00:00.000000001Z");
	ck_assert_str_eq(json_string_value(json_object_get(json, "end")), "1970-01-01T00:00:00.000000005Z");
	ck_assert_int_eq(json_integer_value(json_object_get(logtail, "proc_seq")),
			 (int64_t)(sequence.proc_seq - messages.n + i + 1));
	for (size_t list = 0; list < ARRAY_SIZE(lists); list++) {
		const json_t *array = json_object_get(json, lists[list]);

		ck_assert(!array || json_array_size(array) > 0);
		for (size_t at = 0; at < json_array_size(array); at++)
			read_entry(json_array_get(array, at), list, seen);
	}
	if (json_object_get(json, "overflow")) {
		ck_assert_uint_eq(i, 0);
		seen->overflows++;
	}
	json_decref(json);
}

static struct seen read_back(void)
{
	struct seen seen = {};
	struct counts tun, sock;

	for (size_t i = 0; i < messages.n; i++)
		read_message(i, &seen);
	aggregate_get_sums(aggregate, &tun, &sock);
	ck_assert(counts_equal(&seen.tun, &tun));
	ck_assert(counts_equal(&seen.sock, &sock));
	ck_assert_uint_eq(seen.n, aggregate_connections(aggregate));
	return seen;
}

/* Counts of up to 2^63: the sums of many may saturate, so keep them small here and large elsewhere. */
static struct counts small_counts(size_t i)
{
	return (struct counts){.tx_packets = i + 1, .tx_bytes = (i + 1) * 1000, .rx_bytes = i % 3};
}

static void try_random_window(uint64_t state, bool overflow)
{
	size_t n = test_random(&state) % 400 + 1;

	aggregate_reset(aggregate);
	settings.max_message_size = ENCODE_MESSAGE_MIN + test_random(&state) % 5000;
	add_random(n, &state);
	if (overflow)
		aggregate_add_overflow(aggregate, &(struct counts){1, 2, 3, 4},
				       &(struct counts){.rx_bytes = COUNT_MAX});
	encode();
	ck_assert_uint_eq(read_back().overflows, overflow);
}

START_TEST(random_windows)
{
	for (uint64_t seed = 0; seed < 25; seed++)
		try_random_window(seed + 1000 * (uint64_t)_i, seed % 2);
}
END_TEST

/* One more byte of limit at a time: the last entry that still fits moves by one at the right place. */
START_TEST(every_size_around_the_limit)
{
	size_t whole, n = 30;

	for (size_t i = 0; i < n; i++) {
		struct flow flow = {test_connection("100.64.0.1:1", "100.64.0.2:1000", 6), small_counts(i)};
		struct flows flows = {.items = &flow, .n = 1};

		flow.connection.dst.port = (uint16_t)(1000 + i * 100);
		ck_assert_int_eq(
			i % 10 == 9 ? aggregate_add_sock(aggregate, &flows, NULL)
				    : aggregate_add_tun(aggregate, &flows, routing, &gathering, NULL, NULL),
			0);
	}
	aggregate_add_overflow(aggregate, &(struct counts){1, 2, 3, 4}, NULL);
	settings.max_message_size = 262144;
	sequence.proc_seq = 1000000;
	encode();
	ck_assert_uint_eq(messages.n, 1);
	whole = messages.sizes[0];
	/* The smallest limit is ENCODE_MESSAGE_MIN, so the window must be around that. */
	for (; whole < ENCODE_MESSAGE_MIN + 200; n++) {
		struct flow flow = {test_connection("100.64.0.1:1", "100.64.0.2:1000", 6), small_counts(n)};
		struct flows flows = {.items = &flow, .n = 1};

		flow.connection.dst.port = (uint16_t)(1000 + n * 100);
		ck_assert_int_eq(aggregate_add_tun(aggregate, &flows, routing, &gathering, NULL, NULL), 0);
		encode();
		whole = messages.sizes[0];
	}

	settings.max_message_size = whole;
	encode();
	ck_assert_uint_eq(messages.n, 1);
	for (size_t limit = whole - 1; limit >= ENCODE_MESSAGE_MIN; limit--) {
		settings.max_message_size = limit;
		encode();
		ck_assert_uint_eq(messages.n, 2);
		ck_assert_uint_eq(read_back().overflows, 1);
		/* As full as it can be: no room for another entry of at most 200 bytes. */
		ck_assert_uint_gt(messages.sizes[0] + 200, limit);
	}
}
END_TEST

START_TEST(the_default_limit)
{
	struct flows flows = {};
	struct counts tun, sock;

	settings.max_message_size = 262144;
	for (size_t i = 0; i < 10000; i++) {
		struct connection connection = test_connection("100.64.0.1:1", "100.64.0.2:1", 17);
		struct counts counts = small_counts(i);

		connection.src.port = (uint16_t)(i * 7919);
		connection.dst.address.bytes[2] = (uint8_t)(i >> 8);
		connection.dst.address.bytes[3] = (uint8_t)i;
		/* Once per processor. */
		ck_assert_int_eq(flows_add(&flows, &connection, &counts), 0);
		ck_assert_int_eq(flows_add(&flows, &connection, &counts), 0);
	}
	for (size_t i = 0; i < flows.n; i += 512) {
		struct flows slice = {.items = flows.items + i, .n = MIN(flows.n - i, (size_t)512)};

		ck_assert_int_eq(aggregate_add_tun(aggregate, &slice, routing, &gathering, NULL, NULL), 0);
	}
	flows_deinit(&flows);
	aggregate_get_sums(aggregate, &tun, &sock);
	ck_assert_uint_eq(tun.tx_packets, 10000 * 10001);
	ck_assert_uint_eq(aggregate_connections(aggregate), 10000);
	encode();
	ck_assert_uint_eq(messages.n, 4);
	for (size_t i = 0; i + 1 < messages.n; i++)
		ck_assert_uint_gt(messages.sizes[i] + 200, 262144);
	read_back();
}
END_TEST

START_TEST(a_message_that_is_refused_ends_it)
{
	struct encode_times window = {.start = 1, .end = 5};
	uint64_t state = 4;

	add_random(300, &state);
	messages.fail_at = 3;
	ck_assert_int_eq(encode_window(aggregate, &window, &settings, &sequence, 9, messages_take, &messages),
			 -EIO);
	ck_assert_uint_eq(messages.n, 2);
	/* Its number is used up: whoever reads the log sees that something is missing. */
	ck_assert_uint_eq(sequence.proc_seq, 3);
	encode();
	read_back();
}
END_TEST

/* --- nodes --- */

static void set_nodes(const char *text)
{
	_cleanup_free_ char *value = NULL;
	json_t *json = json_loads(text, 0, NULL);

	ck_assert_ptr_nonnull(json);
	ck_assert_int_eq(nodes_new_json(json, &nodes, &value), 0);
	json_decref(json);
	settings.nodes = nodes;
}

static void add_tun(const char *src, const char *dst)
{
	struct flow flow = {test_connection(src, dst, 6), {1, 40, 0, 0}};
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
	struct flow flow = {test_connection("100.64.0.2:0", "192.0.2.9:51820", 0), {1, 40, 0, 0}};
	struct flows flows = {.items = &flow, .n = 1};

	set_nodes(three_nodes);
	settings.node_id = "nA";
	add_tun("100.64.0.1:5", "100.64.0.3:22");
	add_tun("100.64.0.1:6", "100.64.0.3:22");
	add_tun("100.64.0.1:6", "100.64.0.4:22");
	ck_assert_int_eq(aggregate_add_sock(aggregate, &flows, NULL), 0);
	encode();
	/* The physical endpoint 192.0.2.9 is a place, not node nD. */
	expect_beginning(HEAD ",\"nodeId\":\"nA\"" TIMES SRC_NODE ",\"dstNodes\":[" NODE_B "," NODE_C
			      "],\"virtualTraffic\":[{");
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
	nodes_free(nodes);
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

/* Identities that leave no room: they go, the entries stay. */
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
	Suite *suite = suite_create("encode");
	TCase *limits = tcase_create("limits"), *with_nodes = tcase_create("nodes");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(limits, setup, teardown);
	tcase_set_timeout(limits, 60);
	tcase_add_loop_test(limits, random_windows, 0, 4);
	tcase_add_test(limits, every_size_around_the_limit);
	tcase_add_test(limits, the_default_limit);
	tcase_add_test(limits, a_message_that_is_refused_ends_it);
	suite_add_tcase(suite, limits);
	tcase_add_checked_fixture(with_nodes, setup, teardown);
	tcase_set_timeout(with_nodes, 60);
	tcase_add_test(with_nodes, nodes_of_a_message);
	tcase_add_test(with_nodes, this_node_by_its_address);
	tcase_add_test(with_nodes, a_node_that_talks_to_itself);
	tcase_add_test(with_nodes, nodes_that_are_not_known);
	tcase_add_loop_test(with_nodes, random_windows_with_nodes, 0, 4);
	tcase_add_test(with_nodes, nodes_that_are_too_large);
	tcase_add_test(with_nodes, a_node_id_that_is_too_large);
	suite_add_tcase(suite, with_nodes);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
