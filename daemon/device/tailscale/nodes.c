/* SPDX-License-Identifier: BSD-3-Clause */
/* Nodes lie on the heap each by itself, since others point at them; an array and an index of keys find them.
 */

#include "daemon/device/tailscale/nodes.h"

#include "common/hash_bytes.h"
#include "common/hash_index.h"
#include "common/parse.h"
#include "daemon/tailscale/form.h"

#include <errno.h>
#include <string.h>

#define KEY_PREFIX "nodekey:"

struct tailscale_nodes {
	struct tailscale_node **items;
	size_t n, allocated;
	struct hash_index index;
};

int tailscale_nodes_new(struct tailscale_nodes **ret_nodes)
{
	struct tailscale_nodes *nodes = calloc(1, sizeof(*nodes));

	if (!nodes)
		return -ENOMEM;
	*ret_nodes = nodes;
	return 0;
}

static void node_free(struct tailscale_node *node)
{
	if (!node)
		return;
	free(node->key);
	free(node->id);
	free(node->name);
	free(node->os);
	free(node->user);
	strv_free(node->tags);
	prefix_list_deinit(&node->addresses);
	prefix_list_deinit(&node->allowed_ips);
	free(node);
}
DEFINE_CLEANUP(struct tailscale_node *, node_free);

void tailscale_nodes_free(struct tailscale_nodes *nodes)
{
	if (!nodes)
		return;
	for (size_t i = 0; i < nodes->n; i++)
		node_free(nodes->items[i]);
	free(nodes->items);
	hash_index_deinit(&nodes->index);
	free(nodes);
}

size_t tailscale_nodes_count(const struct tailscale_nodes *nodes)
{
	return nodes->n;
}

struct tailscale_node *tailscale_nodes_get(const struct tailscale_nodes *nodes, size_t i)
{
	return nodes->items[i];
}

static bool index_equal(const void *owner, size_t item, const void *key)
{
	return strcmp(((struct tailscale_node *const *)owner)[item]->key, key) == 0;
}

static uint32_t key_hash(const char *key)
{
	return (uint32_t)hash_bytes(0, key, strlen(key));
}

/* The same 32 bytes are the WireGuard public key. */
static struct tailscale_node *node_new(const char *key)
{
	_cleanup_(node_freep) struct tailscale_node *node = calloc(1, sizeof(*node));

	if (!node)
		return NULL;
	node->key = strdup(key);
	node->id = strdup(key);
	node->name = strdup("");
	if (!node->key || !node->id || !node->name)
		return NULL;
	node->has_public_key =
		strncmp(key, KEY_PREFIX, strlen(KEY_PREFIX)) == 0 &&
		parse_hex(key + strlen(KEY_PREFIX), node->public_key, sizeof(node->public_key)) == 0;
	return TAKE_PTR(node);
}

struct tailscale_node *tailscale_nodes_find(struct tailscale_nodes *nodes, const char *key)
{
	uint32_t hash = key_hash(key);
	struct hash_slot *place;

	if (nodes->n == nodes->allocated) {
		size_t n = MAX(nodes->allocated * 2, (size_t)64);
		struct tailscale_node **items =
			reallocarray(nodes->items, n, sizeof(struct tailscale_node *));

		if (!items)
			return NULL;
		nodes->items = items;
		nodes->allocated = n;
	}
	if (hash_index_reserve(&nodes->index, nodes->n + 1) < 0)
		return NULL;
	place = hash_index_find(&nodes->index, hash, index_equal, nodes->items, key);
	if (!place->item) {
		struct tailscale_node *node = node_new(key);

		if (!node)
			return NULL;
		hash_slot_take(place, hash, nodes->n);
		nodes->items[nodes->n++] = node;
	}
	return nodes->items[place->item - 1];
}

/* All keys are different, and there is room. */
static void make_index(struct tailscale_nodes *nodes)
{
	hash_index_clear(&nodes->index, nodes->n);
	if (hash_index_reserve(&nodes->index, nodes->n) < 0)
		return;
	for (size_t i = 0; i < nodes->n; i++) {
		const char *key = nodes->items[i]->key;
		uint32_t hash = key_hash(key);

		hash_slot_take(hash_index_find(&nodes->index, hash, index_equal, nodes->items, key), hash, i);
	}
}

void tailscale_nodes_forget(struct tailscale_nodes *nodes, int64_t before_boot)
{
	bool too_many = nodes->n > 2 * (size_t)TAILSCALE_PEERS_MAX;
	size_t n = 0;

	for (size_t i = 0; i < nodes->n; i++) {
		struct tailscale_node *node = nodes->items[i];

		/* What it has counted is handed over first. */
		if (!node->here && counts_is_zero(&node->due) && (too_many || node->gone < before_boot))
			node_free(node);
		else
			nodes->items[n++] = node;
	}
	if (n == nodes->n)
		return;
	nodes->n = n;
	make_index(nodes);
}
