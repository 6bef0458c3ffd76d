/* SPDX-License-Identifier: BSD-3-Clause */
/* Peers as GetPeers shows them: who, where, and only what is known. */

#include "daemon/logger/peer_status.h"

#include "common/buffer.h"
#include "daemon/logger/peer_memory.h"
#include "daemon/record/nodes.h"

#include <check.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#define SECOND INT64_C(1000000000)
#define NOW    (INT64_C(1700000000) * SECOND) /* 2023-11-14T22:13:20Z */

static struct device_peer peer;
static struct prefix_list allowed_ips;
static struct peer_memory *memory;

static void foreach_peer(struct device *device, void (*take)(const struct device_peer *peer, void *userdata),
			 void *userdata)
{
	(void)device;
	take(&peer, userdata);
}

static const struct device_ops ops = {.foreach_peer = foreach_peer};
static struct device tunnel = {.ops = &ops};

static void add_prefix(struct prefix_list *list, const char *text)
{
	struct prefix prefix;

	ck_assert_int_eq(prefix_parse(text, &prefix), 0);
	ck_assert_int_eq(prefix_list_add(list, &prefix), 0);
}

static struct endpoint at(const char *text)
{
	struct endpoint endpoint;

	ck_assert_int_eq(endpoint_parse(text, &endpoint), 0);
	return endpoint;
}

static void setup(void)
{
	setenv("TZ", "UTC", 1);
	ck_assert_int_eq(peer_memory_new(&memory), 0);
	add_prefix(&allowed_ips, "100.64.0.0/24");
	add_prefix(&allowed_ips, "100.64.0.2");
	add_prefix(&allowed_ips, "fd7a::2");
	peer = (struct device_peer){.id = "n2", .name = "n2", .allowed_ips = &allowed_ips};
}

static void teardown(void)
{
	peer_memory_free(memory);
	prefix_list_deinit(&allowed_ips);
}

static void check(const struct nodes *nodes, const char *expected)
{
	_cleanup_buffer_ struct buffer text = {};
	json_t *status, *wanted = json_loads(expected, 0, NULL);

	peer_status_write(&peer, nodes, memory, &text);
	ck_assert_int_eq(buffer_error(&text), 0);
	status = json_loadb(text.data, text.length, JSON_REJECT_DUPLICATES, NULL);
	ck_assert_ptr_nonnull(wanted);
	ck_assert_msg(status && json_equal(status, wanted), "%.*s\nis not\n%s", (int)text.length, text.data,
		      expected);
	json_decref(status);
	json_decref(wanted);
}

static struct nodes *nodes_of(const char *text)
{
	json_t *object = json_loads(text, 0, NULL);
	struct node_refusal refusal = {};
	struct nodes *nodes;

	ck_assert_int_eq(nodes_new_json(object, &nodes, &refusal), 0);
	json_decref(object);
	return nodes;
}

#define OF_ALL "\"addresses\":[\"100.64.0.2\",\"fd7a::2\"],\"allowedIps\":3,\"txBytes\":0,\"rxBytes\":0"

START_TEST(test_nothing_is_known)
{
	check(NULL, "{\"nodeId\":\"n2\"," OF_ALL "}");
	/* Not all that a device tells of has lists. */
	peer.allowed_ips = NULL;
	check(NULL, "{\"nodeId\":\"n2\",\"addresses\":[],\"allowedIps\":0,\"txBytes\":0,\"rxBytes\":0}");
}
END_TEST

START_TEST(test_who)
{
	char a[] = "tag:a", b[] = "tag:b", *const tags[] = {a, b, NULL};
	struct nodes *nodes;

	peer.name = "laptop.net";
	check(NULL, "{\"nodeId\":\"n2\"," OF_ALL "}");
	peer.named = true;
	peer.os = "linux";
	peer.user = "ann";
	peer.has_public_key = true;
	check(NULL,
	      "{\"nodeId\":\"n2\",\"name\":\"laptop.net\",\"os\":\"linux\",\"user\":\"ann\",\"publicKey\":"
	      "\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\"," OF_ALL "}");
	peer.has_public_key = false;
	/* A tagged node belongs to nobody. */
	peer.tags = tags;
	check(NULL,
	      "{\"nodeId\":\"n2\",\"name\":\"laptop.net\",\"os\":\"linux\",\"tags\":[\"tag:a\",\"tag:b\"]," OF_ALL
	      "}");
	/* The operator's word goes first, as far as it goes. */
	nodes = nodes_of("{\"nodes\":[{\"nodeId\":\"x\",\"user\":\"bob\",\"addresses\":[\"fd7a::2\"]}]}");
	check(nodes, "{\"nodeId\":\"x\",\"name\":\"x\",\"os\":\"linux\",\"user\":\"bob\"," OF_ALL "}");
	nodes_unref(nodes);
	nodes = nodes_of(
		"{\"nodes\":[{\"nodeId\":\"x\",\"name\":\"gate\",\"os\":\"bsd\",\"tags\":[\"tag:c\"],"
		"\"addresses\":[\"100.64.0.2\"]}]}");
	check(nodes, "{\"nodeId\":\"x\",\"name\":\"gate\",\"os\":\"bsd\",\"tags\":[\"tag:c\"]," OF_ALL "}");
	nodes_unref(nodes);
}
END_TEST

START_TEST(test_addresses_of_its_own)
{
	struct prefix_list addresses = {};

	add_prefix(&addresses, "100.64.0.7");
	peer.addresses = &addresses;
	check(NULL, "{\"nodeId\":\"n2\",\"addresses\":[\"100.64.0.7\"],\"allowedIps\":3,\"txBytes\":0,"
		    "\"rxBytes\":0}");
	prefix_list_deinit(&addresses);
}
END_TEST

/* A path by which nothing has come yet is not told; then where it is, and where it was. */
START_TEST(test_where)
{
	peer.path = DEVICE_PATH_DERP;
	peer.via = "fra";
	peer.region = 4;
	peer.endpoint = at("127.3.3.40:4");
	check(NULL, "{\"nodeId\":\"n2\",\"endpoint\":\"127.3.3.40:4\"," OF_ALL "}");
	peer.rx_bytes = 1; /* before anybody looked */
	check(NULL,
	      "{\"nodeId\":\"n2\",\"endpoint\":\"127.3.3.40:4\",\"path\":\"derp\",\"via\":\"fra\","
	      "\"addresses\":[\"100.64.0.2\",\"fd7a::2\"],\"allowedIps\":3,\"txBytes\":0,\"rxBytes\":1}");
	peer.rx_bytes = 0;
	peer.last_handshake = NOW - 10 * SECOND;
	check(NULL, "{\"nodeId\":\"n2\",\"endpoint\":\"127.3.3.40:4\",\"path\":\"derp\",\"via\":\"fra\","
		    "\"lastHandshake\":\"2023-11-14T22:13:10Z\"," OF_ALL "}");
	peer_memory_read(memory, &tunnel, NOW, 100 * SECOND);
	check(NULL, "{\"nodeId\":\"n2\",\"endpoint\":\"127.3.3.40:4\",\"path\":\"derp\",\"via\":\"fra\","
		    "\"lastHandshake\":\"2023-11-14T22:13:10Z\",\"lastSeen\":\"2023-11-14T22:13:10Z\","
		    "\"active\":true,\"txBytesToday\":0,\"rxBytesToday\":0,"
		    "\"todaySince\":\"2023-11-14T22:13:20Z\"," OF_ALL "}");
	peer.path = DEVICE_PATH_RELAY;
	peer.via = NULL;
	peer.region = 0;
	peer.endpoint = at("[2001:db8::1]:7");
	peer.tx_bytes = 1999;
	peer.rx_bytes = 3001;
	peer_memory_read(memory, &tunnel, NOW + 2 * SECOND, 102 * SECOND);
	check(NULL,
	      "{\"nodeId\":\"n2\",\"endpoint\":\"[2001:db8::1]:7\",\"path\":\"relay\","
	      "\"lastHandshake\":\"2023-11-14T22:13:10Z\",\"lastSeen\":\"2023-11-14T22:13:22Z\","
	      "\"active\":true,\"txRate\":1000,\"rxRate\":1501,\"txBytesToday\":1999,\"rxBytesToday\":3001,"
	      "\"todaySince\":\"2023-11-14T22:13:20Z\",\"movedAt\":\"2023-11-14T22:13:22Z\","
	      "\"fromPath\":\"derp\",\"fromVia\":\"fra\",\"fromEndpoint\":\"127.3.3.40:4\","
	      "\"addresses\":[\"100.64.0.2\",\"fd7a::2\"],\"allowedIps\":3,\"txBytes\":1999,"
	      "\"rxBytes\":3001}");
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {test_nothing_is_known, test_who, test_addresses_of_its_own, test_where};
	Suite *suite = suite_create("peer_status");
	TCase *tcase = tcase_create("peer_status");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tcase, setup, teardown);
	for (size_t i = 0; i < ARRAY_SIZE(tests); i++)
		tcase_add_test(tcase, tests[i]);
	suite_add_tcase(suite, tcase);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
