/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The set of known nodes: sorted by id, with an index of addresses. Both ends of every entry of every message
 * are looked up, so a lookup must cost next to nothing.
 */

#include "daemon/record/nodes.h"

#include "common/config/error.h"
#include "common/file.h"
#include "common/hash_index.h"
#include "common/invalid_value.h"
#include "common/owner.h"
#include "common/plain_text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

struct nodes {
	struct node *items;
	size_t n;
	struct hash_index by_address; /* a slot for each address of each node */
};

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

static bool owns(const void *nodes, size_t item, const void *address)
{
	const struct node *node = &((const struct nodes *)nodes)->items[item];

	for (size_t i = 0; i < node->n_addresses; i++)
		if (memcmp(&node->addresses[i], address, sizeof(struct address)) == 0)
			return true;
	return false;
}

static int refuse(const char *value, const char *reason, struct node_refusal *ret_refusal)
{
	ret_refusal->reason = reason;
	return invalid_value(value, &ret_refusal->value);
}

static int index_addresses(struct nodes *nodes, struct node_refusal *ret_refusal)
{
	size_t n = 0;

	for (size_t i = 0; i < nodes->n; i++)
		n += nodes->items[i].n_addresses;
	if (hash_index_reserve(&nodes->by_address, n) < 0)
		return -ENOMEM;

	for (size_t i = 0; i < nodes->n; i++) {
		const struct node *node = &nodes->items[i];

		for (size_t j = 0; j < node->n_addresses; j++) {
			const struct address *address = &node->addresses[j];
			uint32_t hash_value = hash(address);
			struct hash_slot *slot =
				hash_index_find(&nodes->by_address, hash_value, owns, nodes, address);

			if (slot->item) {
				char text[ADDRESS_TEXT_MAX];

				address_format(address, text);
				return refuse(text, "is an address of two nodes", ret_refusal);
			}
			hash_slot_take(slot, hash_value, i);
		}
	}
	return 0;
}

static int node_compare(const void *a, const void *b)
{
	const struct node *left = a, *right = b;

	return strcmp(left->id, right->id);
}

int nodes_new_json(const json_t *object, struct nodes **ret_nodes, struct node_refusal *ret_refusal)
{
	_cleanup_(nodes_freep) struct nodes *nodes = NULL;
	const json_t *array = json_object_get(object, "nodes");
	size_t n = json_array_size(array);
	int r;

	if (!json_is_array(array) || json_object_size(object) != 1)
		return refuse("nodes", "must be a list, and the only member", ret_refusal);
	if (n > NODES_MAX)
		return refuse("nodes", "has more than 100000 items", ret_refusal);

	nodes = calloc(1, sizeof(*nodes));
	if (!nodes)
		return -ENOMEM;
	nodes->items = calloc(MAX(n, (size_t)1), sizeof(*nodes->items));
	if (!nodes->items)
		return -ENOMEM;
	for (; nodes->n < n; nodes->n++) {
		r = node_from_json(json_array_get(array, nodes->n), &nodes->items[nodes->n], ret_refusal);
		if (r < 0)
			return r;
	}
	qsort(nodes->items, n, sizeof(*nodes->items), node_compare);
	for (size_t i = 1; i < n; i++)
		if (node_compare(&nodes->items[i - 1], &nodes->items[i]) == 0)
			return refuse(nodes->items[i].id, "is the nodeId of two nodes", ret_refusal);
	r = index_addresses(nodes, ret_refusal);
	if (r < 0)
		return r;
	*ret_nodes = TAKE_PTR(nodes);
	return 0;
}

/* Takes the reason. */
static int fail(const char *path, unsigned int line, char *reason, struct config_error *ret_error)
{
	*ret_error = (struct config_error){.file = strdup(path), .line = line, .reason = reason};
	return ret_error->file && reason ? -EINVAL : -ENOMEM;
}

int nodes_load(const char *path, struct nodes **ret_nodes, struct config_error *ret_error)
{
	_cleanup_free_ char *text = NULL;
	struct node_refusal refusal = {};
	char *reason = NULL;
	json_error_t error;
	json_t *object;
	size_t n = 0;
	int r;

	r = file_read(AT_FDCWD, path, NODES_FILE_MAX, &text, &n, NULL);
	if (r < 0)
		return fail(path, 0, owner_error_text(path, r), ret_error) == -ENOMEM ? -ENOMEM : r;

	object = json_loadb(text, n, JSON_REJECT_DUPLICATES, &error);
	if (!object)
		return fail(path, (unsigned int)MAX(error.line, 0), strdup(error.text), ret_error);
	r = nodes_new_json(object, ret_nodes, &refusal);
	json_decref(object);
	if (r == 0)
		return 0;
	if (r == -EINVAL &&
	    asprintf(&reason, "not a valid node: \"%s\" %s", refusal.value, refusal.reason) < 0)
		reason = NULL;
	free(refusal.value);
	if (reason)
		plain_text_clean(reason);
	return fail(path, 0, reason, ret_error);
}

void nodes_free(struct nodes *nodes)
{
	if (!nodes)
		return;
	for (size_t i = 0; i < nodes->n; i++)
		node_deinit(&nodes->items[i]);
	free(nodes->items);
	hash_index_deinit(&nodes->by_address);
	free(nodes);
}

const struct node *nodes_find_address(const struct nodes *nodes, const struct address *address)
{
	uint32_t item;

	if (!nodes || address->family == ADDRESS_NONE)
		return NULL;
	item = hash_index_find(&nodes->by_address, hash(address), owns, nodes, address)->item;
	return item ? &nodes->items[item - 1] : NULL;
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
