/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The set of known nodes: sorted by id, with a hash table from addresses. Every entry of every message asks
 * for both its ends, so a lookup must cost next to nothing.
 */

#include "daemon/record/nodes.h"

#include "common/invalid_value.h"
#include "daemon/record/nodes_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static uint32_t hash(const struct address *address)
{
	uint64_t a, b;

	memcpy(&a, address->bytes, sizeof(a));
	memcpy(&b, address->bytes + 8, sizeof(b));
	a = (a ^ address->family) * UINT64_C(0x9e3779b97f4a7c15);
	b = (b ^ a >> 29) * UINT64_C(0xbf58476d1ce4e5b9);
	a ^= b;
	return (uint32_t)(a ^ a >> 32);
}

static bool owns(const struct node *node, const struct address *address)
{
	for (size_t i = 0; i < node->n_addresses; i++)
		if (memcmp(&node->addresses[i], address, sizeof(*address)) == 0)
			return true;
	return false;
}

/* The slot of the node that owns the address, or the free one where it would be. */
static struct node_slot *find_slot(const struct nodes *nodes, const struct address *address,
				   uint32_t hash_value)
{
	size_t i = hash_value & (nodes->n_slots - 1);

	for (; nodes->by_address[i].node; i = (i + 1) & (nodes->n_slots - 1))
		if (nodes->by_address[i].hash == hash_value &&
		    owns(&nodes->items[nodes->by_address[i].node - 1], address))
			break;
	return &nodes->by_address[i];
}

static int invalid_address(const struct address *address, char **ret_value)
{
	char text[ADDRESS_TEXT_MAX];

	address_format(address, text);
	return invalid_value(text, ret_value);
}

static int index_addresses(struct nodes *nodes, char **ret_value)
{
	size_t n = 0;

	for (size_t i = 0; i < nodes->n; i++)
		n += nodes->items[i].n_addresses;
	for (nodes->n_slots = 16; nodes->n_slots < 2 * n;)
		nodes->n_slots *= 2;
	nodes->by_address = calloc(nodes->n_slots, sizeof(*nodes->by_address));
	if (!nodes->by_address)
		return -ENOMEM;

	for (size_t i = 0; i < nodes->n; i++) {
		const struct node *node = &nodes->items[i];

		for (size_t j = 0; j < node->n_addresses; j++) {
			uint32_t hash_value = hash(&node->addresses[j]);
			struct node_slot *slot = find_slot(nodes, &node->addresses[j], hash_value);

			if (slot->node)
				return invalid_address(&node->addresses[j], ret_value);
			*slot = (struct node_slot){.hash = hash_value, .node = (uint32_t)i + 1};
		}
	}
	return 0;
}

static int node_compare(const void *a, const void *b)
{
	const struct node *left = a, *right = b;

	return strcmp(left->id, right->id);
}

static int sort_by_id(struct nodes *nodes, char **ret_value)
{
	if (nodes->n > 1)
		qsort(nodes->items, nodes->n, sizeof(*nodes->items), node_compare);
	for (size_t i = 1; i < nodes->n; i++) {
		if (strcmp(nodes->items[i - 1].id, nodes->items[i].id) == 0)
			return invalid_value(nodes->items[i].id, ret_value);
	}
	return 0;
}

static int read_nodes(struct nodes *nodes, const json_t *array, char **ret_value)
{
	size_t n = json_array_size(array);

	nodes->items = calloc(n ? n : 1, sizeof(*nodes->items));
	if (!nodes->items)
		return -ENOMEM;
	for (; nodes->n < n; nodes->n++) {
		int r = node_from_json(json_array_get(array, nodes->n), &nodes->items[nodes->n], ret_value);

		if (r < 0)
			return r;
	}
	return 0;
}

int nodes_new_json(const json_t *object, struct nodes **ret_nodes, char **ret_value)
{
	_cleanup_(nodes_freep) struct nodes *nodes = NULL;
	const json_t *array = json_object_get(object, "nodes");
	int r;

	if (!json_is_array(array) || json_object_size(object) != 1)
		return invalid_value("an object with the one member \"nodes\", a list, is expected",
				     ret_value);
	if (json_array_size(array) > NODES_MAX)
		return invalid_value("too many nodes", ret_value);

	nodes = calloc(1, sizeof(*nodes));
	if (!nodes)
		return -ENOMEM;
	r = read_nodes(nodes, array, ret_value);
	if (r < 0)
		return r;
	r = sort_by_id(nodes, ret_value);
	if (r < 0)
		return r;
	r = index_addresses(nodes, ret_value);
	if (r < 0)
		return r;
	*ret_nodes = TAKE_PTR(nodes);
	return 0;
}

void nodes_free(struct nodes *nodes)
{
	if (!nodes)
		return;
	for (size_t i = 0; i < nodes->n; i++)
		node_deinit(&nodes->items[i]);
	free(nodes->items);
	free(nodes->by_address);
	free(nodes);
}

const struct node *nodes_find_address(const struct nodes *nodes, const struct address *address)
{
	uint32_t found;

	if (!nodes || address->family == ADDRESS_NONE)
		return NULL;
	found = find_slot(nodes, address, hash(address))->node;
	return found ? &nodes->items[found - 1] : NULL;
}

const struct node *nodes_find_id(const struct nodes *nodes, const char *id)
{
	struct node key = {.id = (char *)id};

	if (!nodes || !id)
		return NULL;
	return bsearch(&key, nodes->items, nodes->n, sizeof(*nodes->items), node_compare);
}

size_t nodes_count(const struct nodes *nodes)
{
	return nodes ? nodes->n : 0;
}

const struct node *nodes_get(const struct nodes *nodes, size_t i)
{
	return &nodes->items[i];
}

size_t nodes_index(const struct nodes *nodes, const struct node *node)
{
	return (size_t)(node - nodes->items);
}
