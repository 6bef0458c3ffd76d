/* SPDX-License-Identifier: BSD-3-Clause */
/* All addresses in one array, sorted, equal ones in the message's order. */

#include "common/message_nodes.h"

#include "common/message.h"

#include <errno.h>
#include <stdlib.h>

static size_t count(const json_t *node)
{
	return json_array_size(json_object_get(node, "addresses"));
}

static void add(struct message_nodes *nodes, const json_t *node)
{
	const json_t *addresses = json_object_get(node, "addresses"), *item;
	const char *name = json_string_value(json_object_get(node, "name"));
	size_t i;

	if (!name)
		name = json_string_value(json_object_get(node, "nodeId"));
	json_array_foreach (addresses, i, item) {
		struct message_node *place = &nodes->items[nodes->n];
		const char *text = json_string_value(item);

		if (!name || !text || address_parse(text, &place->address) < 0 ||
		    place->address.family == ADDRESS_NONE)
			continue;
		place->name = name;
		place->order = (uint32_t)nodes->n++;
	}
}

static int compare(const void *a, const void *b)
{
	const struct message_node *x = a, *y = b;
	int order = address_compare(&x->address, &y->address);

	if (order)
		return order;
	return x->order < y->order ? -1 : x->order > y->order;
}

int message_nodes_init(struct message_nodes *nodes, const struct message *message)
{
	size_t n = count(message->src_node), i;
	const json_t *node;

	*nodes = (struct message_nodes){};
	json_array_foreach (message->dst_nodes, i, node)
		n += count(node);
	if (n == 0)
		return 0;
	nodes->items = calloc(n, sizeof(*nodes->items));
	if (!nodes->items)
		return -ENOMEM;
	add(nodes, message->src_node);
	json_array_foreach (message->dst_nodes, i, node)
		add(nodes, node);
	if (nodes->n > 1)
		qsort(nodes->items, nodes->n, sizeof(*nodes->items), compare);
	return 0;
}

void message_nodes_deinit(struct message_nodes *nodes)
{
	free(nodes->items);
	*nodes = (struct message_nodes){};
}

const char *message_nodes_name(const struct message_nodes *nodes, const struct address *address)
{
	size_t low = 0, high = nodes->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (address_compare(&nodes->items[middle].address, address) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == nodes->n || address_compare(&nodes->items[low].address, address) != 0)
		return NULL;
	return nodes->items[low].name;
}
