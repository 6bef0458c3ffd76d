/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The set of known nodes: sorted by id, with an index of addresses. Both ends of every entry of every message
 * are looked up, so a lookup must cost next to nothing. A set above another one is made anew whenever a peer
 * changes; what it costs follows from the peers, not from the nodes below.
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
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* An address takes some twelve bytes of a file. */
#define NODES_VALUES_MAX (NODES_FILE_MAX / 11)

struct nodes {
	unsigned int references; /* atomic */
	struct nodes *below;	 /* NULL: none */
	size_t n_hidden;	 /* of those below, by one of these with the same id */
	const struct node *self; /* NULL: not known */
	struct node *items;
	size_t n;
	struct hash_index by_address; /* a slot for each address of each node */
};

/* Each bit of the address is in the low bits of the hash, which choose a slot: nodes are often numbered, from
 * fd00::1 on. */
static uint32_t hash(const struct address *address)
{
	const uint64_t odd = UINT64_C(0x9e3779b97f4a7c15), other = UINT64_C(0xbf58476d1ce4e5b9);
	uint64_t a, b;

	memcpy(&a, address->bytes, sizeof(a));
	memcpy(&b, address->bytes + 8, sizeof(b));
	a = (a ^ address->family) * odd;
	a = (a ^ a >> 32 ^ b) * other;
	a = (a ^ a >> 32) * odd;
	return (uint32_t)(a ^ a >> 32);
}

static bool owns(const void *nodes, size_t item, const void *address)
{
	return node_has_address(&((const struct nodes *)nodes)->items[item], address);
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
				snprintf(ret_refusal->names, sizeof(ret_refusal->names),
					 "is an address of two nodes, %.50s and %.50s",
					 nodes->items[slot->item - 1].id, node->id);
				plain_text_clean(ret_refusal->names);
				return refuse(text, ret_refusal->names, ret_refusal);
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
	_cleanup_(nodes_unrefp) struct nodes *nodes = NULL;
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
	nodes->references = 1;
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

/* What is not nodes at all may be millions of empty values, of which each takes a hundred times its text
 * once it is parsed: NULL, or why it is not. */
static const char *find_excess(const char *text, size_t n)
{
	size_t objects = 0, commas = 0;
	bool in_string = false;

	for (size_t i = 0; i < n; i++) {
		if (text[i] == '"')
			in_string = !in_string;
		else if (in_string)
			i += text[i] == '\\';
		else if (text[i] == '{')
			objects++;
		else if (text[i] == ',')
			commas++;
	}
	if (objects > NODES_MAX + 1)
		return "has more than 100000 nodes";
	return commas > NODES_VALUES_MAX ? "has more values than any nodes can have" : NULL;
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
	const char *excess;
	size_t n = 0;
	int r;

	r = file_read(AT_FDCWD, path, NODES_FILE_MAX, &text, &n, NULL);
	if (r < 0)
		return fail(path, 0, owner_error_text(path, r), ret_error) == -ENOMEM ? -ENOMEM : r;

	excess = find_excess(text, n);
	if (excess)
		return fail(path, 0, strdup(excess), ret_error);
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

/* --- above others --- */

/* Ids, each once, and addresses: those of a node that another one has are left out. */
static int settle(struct nodes *nodes)
{
	size_t n = 0, kept = 0;

	if (nodes->n > 1)
		qsort(nodes->items, nodes->n, sizeof(*nodes->items), node_compare);
	for (size_t i = 0; i < nodes->n; i++) {
		struct node node = nodes->items[i];

		nodes->items[i] = (struct node){};
		if (kept && node_compare(&nodes->items[kept - 1], &node) == 0)
			node_deinit(&node);
		else
			nodes->items[kept++] = node;
	}
	nodes->n = kept;
	for (size_t i = 0; i < nodes->n; i++)
		n += nodes->items[i].n_addresses;
	if (hash_index_reserve(&nodes->by_address, n) < 0)
		return -ENOMEM;
	for (size_t i = 0; i < nodes->n; i++) {
		struct node *node = &nodes->items[i];
		size_t n_addresses = node->n_addresses;

		/* While it is gone through, it has only the addresses that are its own. */
		node->n_addresses = 0;
		for (size_t j = 0; j < n_addresses; j++) {
			struct address address = node->addresses[j];
			uint32_t hash_value = hash(&address);
			struct hash_slot *slot =
				hash_index_find(&nodes->by_address, hash_value, owns, nodes, &address);

			if (slot->item)
				continue;
			node->addresses[node->n_addresses++] = address;
			hash_slot_take(slot, hash_value, i);
		}
		if (node_make_json(node) < 0)
			return -ENOMEM;
		nodes->n_hidden += nodes_find_id(nodes->below, node->id) != NULL;
	}
	return 0;
}

int nodes_new_above(struct nodes *below, struct node *items, size_t n, const char *self,
		    struct nodes **ret_nodes)
{
	_cleanup_(nodes_unrefp) struct nodes *nodes = calloc(1, sizeof(*nodes));
	int r;

	if (!nodes) {
		for (size_t i = 0; i < n; i++)
			node_deinit(&items[i]);
		free(items);
		return -ENOMEM;
	}
	*nodes = (struct nodes){.references = 1, .below = nodes_ref(below), .items = items, .n = n};
	r = settle(nodes);
	if (r < 0)
		return r;
	nodes->self = nodes_find_id(nodes, self);
	*ret_nodes = TAKE_PTR(nodes);
	return 0;
}

/* Adds the node with the addresses that nobody has now, if it has lost any, or has gone. */
static int add_gone(const struct nodes *now, const struct node *node, struct node *items, size_t *n)
{
	const struct node *left = nodes_find_id(now, node->id);
	size_t lost = 0;
	int r;

	for (size_t i = 0; i < node->n_addresses; i++)
		lost += nodes_find_address(now, &node->addresses[i]) == NULL;
	if (lost == 0)
		return 0;
	r = node_copy(left ? left : node, left ? lost : 0, &items[*n]);
	if (r < 0)
		return r;
	if (!left)
		items[*n].n_addresses = 0;
	for (size_t i = 0; i < node->n_addresses; i++)
		if (!nodes_find_address(now, &node->addresses[i]))
			items[*n].addresses[items[*n].n_addresses++] = node->addresses[i];
	++*n;
	return 0;
}

int nodes_new_with_gone(struct nodes *now, const struct nodes *before, struct nodes **ret_nodes)
{
	struct node *items = calloc(before->n + 1, sizeof(*items));
	int r = items ? 0 : -ENOMEM;
	size_t n = 0;

	for (size_t i = 0; r == 0 && i < before->n; i++)
		r = add_gone(now, &before->items[i], items, &n);
	if (r == 0 && n > 0)
		return nodes_new_above(now, items, n, now && now->self ? now->self->id : NULL, ret_nodes);
	if (r == 0)
		*ret_nodes = nodes_ref(now);
	for (size_t i = 0; i < n; i++)
		node_deinit(&items[i]);
	free(items);
	return r;
}

/* --- all --- */

struct nodes *nodes_ref(struct nodes *nodes)
{
	if (nodes)
		__atomic_add_fetch(&nodes->references, 1, __ATOMIC_RELAXED);
	return nodes;
}

void nodes_unref(struct nodes *nodes)
{
	if (!nodes || __atomic_sub_fetch(&nodes->references, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	for (size_t i = 0; i < nodes->n; i++)
		node_deinit(&nodes->items[i]);
	free(nodes->items);
	hash_index_deinit(&nodes->by_address);
	nodes_unref(nodes->below);
	free(nodes);
}

const struct node *nodes_find_address(const struct nodes *nodes, const struct address *address)
{
	const struct hash_slot *slot;

	for (; nodes; nodes = nodes->below) {
		if (nodes->by_address.n_slots == 0)
			continue;
		slot = hash_index_find(&nodes->by_address, hash(address), owns, nodes, address);
		if (slot->item)
			return &nodes->items[slot->item - 1];
	}
	return NULL;
}

const struct node *nodes_find_id(const struct nodes *nodes, const char *id)
{
	const struct node *node = NULL;
	struct node key = {.id = (char *)id};

	for (; id && nodes && !node; nodes = nodes->below)
		if (nodes->n > 0)
			node = bsearch(&key, nodes->items, nodes->n, sizeof(*nodes->items), node_compare);
	return node;
}

const struct node *nodes_self(const struct nodes *nodes, const char *id, const struct prefix_list *addresses)
{
	const struct node *node = nodes_find_id(nodes, id);

	if (!node && nodes)
		node = nodes->self;
	for (size_t i = 0; !node && addresses && i < addresses->n; i++)
		node = nodes_find_address(nodes, &addresses->items[i].address);
	return node;
}

size_t nodes_count(const struct nodes *nodes)
{
	return nodes ? nodes->n + nodes_count(nodes->below) - nodes->n_hidden : 0;
}

const struct node *nodes_next(const struct nodes *nodes, struct nodes_place *place)
{
	const struct nodes *below = nodes ? nodes->below : NULL;
	const struct node *above = nodes && place->above < nodes->n ? &nodes->items[place->above] : NULL;
	const struct node *other = below && place->below < below->n ? &below->items[place->below] : NULL;
	int order = above && other ? node_compare(above, other) : above ? -1 : 1;

	/* One that stands in the place of another passes both. */
	place->above += above && order <= 0;
	place->below += other && order >= 0;
	return order <= 0 ? above : other;
}

size_t nodes_number(const struct nodes *nodes, const struct node *node)
{
	if (node >= nodes->items && node < nodes->items + nodes->n)
		return (size_t)(node - nodes->items);
	return nodes->n + nodes_number(nodes->below, node);
}

size_t nodes_numbers(const struct nodes *nodes)
{
	return nodes ? nodes->n + nodes_numbers(nodes->below) : 0;
}
