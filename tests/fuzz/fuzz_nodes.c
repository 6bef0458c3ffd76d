/* SPDX-License-Identifier: BSD-3-Clause */
/* Node identities: what is accepted is bounded, sorted, found again, and its text reads as the same node. */

#include "common/cleanup.h"
#include "daemon/record/nodes.h"
#include "tests/fuzz/fuzz_support.h"

static void check_tags(const struct node *node)
{
	for (char **tag = node->tags; tag && *tag; tag++)
		REQUIRE(tag == node->tags || strcmp(tag[-1], *tag) < 0);
	REQUIRE(!node->tags || !node->user);
}

/* The text of a node, read again, makes the same text. */
static void check_text(const struct node *node)
{
	json_t *json = json_loadb(node->json, node->json_length, JSON_REJECT_DUPLICATES, NULL);
	json_t *object = json_pack("{s:[o]}", "nodes", json);
	struct nodes_place first = {};
	struct nodes *again = NULL;
	struct node_refusal refusal = {};

	REQUIRE(json && object);
	REQUIRE(nodes_new_json(object, &again, &refusal) == 0);
	REQUIRE(strcmp(nodes_next(again, &first)->json, node->json) == 0);
	nodes_unref(again);
	json_decref(object);
}

static void check_nodes(const struct nodes *nodes)
{
	const struct node *node, *before = NULL;
	struct nodes_place place = {};
	size_t n = 0;

	for (; (node = nodes_next(nodes, &place)); before = node, n++) {
		REQUIRE(nodes_number(nodes, node) == n && n < nodes_numbers(nodes));
		REQUIRE(*node->id && strlen(node->id) <= NODE_TEXT_MAX);
		REQUIRE(nodes_find_id(nodes, node->id) == node);
		REQUIRE(!before || strcmp(before->id, node->id) < 0);
		for (size_t j = 0; j < node->n_addresses; j++)
			REQUIRE(nodes_find_address(nodes, &node->addresses[j]) == node);
		check_tags(node);
		check_text(node);
	}
	REQUIRE(n == nodes_count(nodes));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	json_t *json = json_loadb((const char *)data, size, JSON_DECODE_ANY, NULL);
	struct nodes *nodes = NULL;
	struct node_refusal refusal = {};
	int r;

	if (!json)
		return 0;
	r = nodes_new_json(json, &nodes, &refusal);
	REQUIRE((r == 0) == !!nodes);
	REQUIRE((r < 0) == !!refusal.value);
	if (r == 0)
		check_nodes(nodes);
	nodes_unref(nodes);
	free(refusal.value);
	json_decref(json);
	return 0;
}
