/* SPDX-License-Identifier: BSD-3-Clause */
/* Peers are copied as they come, and brought together with the operator's nodes in the end. */

#include "daemon/record/peer_nodes.h"

#include "common/parse.h"
#include "common/plain_text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void peer_nodes_deinit(struct peer_nodes *peers)
{
	for (size_t i = 0; i < peers->n; i++)
		node_deinit(&peers->items[i]);
	free(peers->items);
	free(peers->self);
	*peers = (struct peer_nodes){};
}

/* --- copies --- */

/* NULL for what is empty. */
static int copy_text(const char *text, char **ret_copy)
{
	size_t n = text ? strnlen(text, NODE_TEXT_MAX) : 0;

	/* Cut between characters. */
	if (n == NODE_TEXT_MAX && text[n])
		while (n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80)
			n--;
	if (n == 0)
		return 0;
	*ret_copy = strndup(text, n);
	if (!*ret_copy)
		return -ENOMEM;
	plain_text_clean(*ret_copy);
	return 0;
}

static int compare_texts(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int copy_tags(char *const *tags, char ***ret_tags)
{
	size_t n = 0, kept = 0;
	char **copy;
	int r = 0;

	while (tags && tags[n] && n < NODE_TAGS_MAX)
		n++;
	if (n == 0)
		return 0;
	copy = *ret_tags = calloc(n + 1, sizeof(*copy));
	if (!copy)
		return -ENOMEM;
	for (size_t i = 0; r == 0 && i < n; i++) {
		r = copy_text(tags[i], &copy[kept]);
		kept += copy[kept] != NULL;
	}
	n = kept;
	qsort(copy, n, sizeof(*copy), compare_texts);
	for (size_t i = kept = MIN(n, (size_t)1); i < n; i++) {
		char *tag = copy[i];

		copy[i] = NULL;
		if (strcmp(copy[kept - 1], tag) == 0)
			free(tag);
		else
			copy[kept++] = tag;
	}
	return r;
}

static int copy_addresses(const struct peer_identity *peer, struct node *node)
{
	static const struct prefix_list none;
	const struct prefix_list *from = peer->addresses ? peer->addresses : &none;

	node->addresses = calloc(from->n + 1, sizeof(*node->addresses));
	if (!node->addresses)
		return -ENOMEM;
	for (size_t i = 0; i < from->n; i++)
		if (prefix_is_single(&from->items[i]))
			node->addresses[node->n_addresses++] = from->items[i].address;
	if (peer->source.family)
		node->addresses[node->n_addresses++] = peer->source;
	return 0;
}

static int copy_peer(const struct peer_identity *peer, struct node *ret_node)
{
	_cleanup_(node_deinit) struct node node = {};
	size_t n;
	int r = copy_text(peer->id, &node.id);

	if (r == 0)
		r = copy_text(peer->name, &node.name);
	if (r == 0)
		r = copy_text(peer->os, &node.os);
	if (r == 0)
		r = copy_tags(peer->tags, &node.tags);
	/* A tagged node belongs to nobody. */
	if (r == 0 && !node.tags)
		r = copy_text(peer->user, &node.user);
	if (r == 0)
		r = copy_addresses(peer, &node);
	if (r < 0)
		return r;
	n = node.name ? strlen(node.name) : 0;
	while (n && node.name[n - 1] == '.')
		node.name[--n] = '\0';
	node.nameless = !peer->named;
	*ret_node = node;
	node = (struct node){};
	return 0;
}

int peer_nodes_add(struct peer_nodes *peers, const struct peer_identity *peer)
{
	int r;

	if (!peer->id || !*peer->id)
		return 0;
	if (peers->n == peers->allocated) {
		size_t allocated = peers->allocated ? peers->allocated * 2 : 64;
		struct node *items = reallocarray(peers->items, allocated, sizeof(*items));

		if (!items)
			return -ENOMEM;
		peers->items = items;
		peers->allocated = allocated;
	}
	r = copy_peer(peer, &peers->items[peers->n]);
	if (r < 0)
		return r;
	if (peer->self && !peers->self) {
		peers->self = strdup(peers->items[peers->n].id);
		r = peers->self ? 0 : -ENOMEM;
	}
	peers->n++;
	return r;
}

/* --- together --- */

/* The operator's node that is this peer: by its id, else by the first address that one has. */
static const struct node *find_owner(const struct nodes *below, const struct node *peer)
{
	const struct node *owner = nodes_find_id(below, peer->id);

	for (size_t i = 0; !owner && i < peer->n_addresses; i++)
		owner = nodes_find_address(below, &peer->addresses[i]);
	return owner;
}

/* What the operator did not say. */
static void fill_in(struct node *node, struct node *peer)
{
	if (!node->name && !peer->nameless)
		node->name = TAKE_PTR(peer->name);
	if (!node->os)
		node->os = TAKE_PTR(peer->os);
	if (!node->user && !node->tags) {
		node->user = TAKE_PTR(peer->user);
		node->tags = TAKE_PTR(peer->tags);
	}
}

struct claim {
	const struct node *owner;
	size_t peer;
};

static int compare_claims(const void *a, const void *b)
{
	const struct claim *left = a, *right = b;

	if (left->owner != right->owner)
		return left->owner < right->owner ? -1 : 1;
	return left->peer < right->peer ? -1 : left->peer > right->peer;
}

/* Several peers may be one node of the operator's: claims[0] to claims[n - 1]. */
static int bring_together(struct peer_nodes *peers, const struct nodes *below, const struct claim *claims,
			  size_t n, struct node *ret_node)
{
	const struct node *owner = claims[0].owner;
	struct node node;
	size_t more = 0;
	int r;

	for (size_t i = 0; i < n; i++)
		more += peers->items[claims[i].peer].n_addresses;
	r = node_copy(owner, more, &node);
	if (r < 0)
		return r;
	for (size_t i = 0; i < n; i++) {
		struct node *peer = &peers->items[claims[i].peer];

		for (size_t j = 0; j < peer->n_addresses; j++)
			if (!nodes_find_address(below, &peer->addresses[j]))
				node.addresses[node.n_addresses++] = peer->addresses[j];
		fill_in(&node, peer);
		/* It is this node under the operator's id. */
		if (peers->self && strcmp(peers->self, peer->id) == 0) {
			free(peers->self);
			peers->self = strdup(owner->id);
			r = peers->self ? r : -ENOMEM;
		}
		node_deinit(peer);
	}
	*ret_node = node;
	return r;
}

int peer_nodes_finish(struct peer_nodes *peers, struct nodes *below, struct nodes **ret_nodes)
{
	_cleanup_free_ struct claim *claims = calloc(peers->n + 1, sizeof(*claims));
	size_t n = 0, kept = 0;
	int r = claims ? 0 : -ENOMEM;

	for (size_t i = 0; r == 0 && i < peers->n; i++) {
		const struct node *owner = find_owner(below, &peers->items[i]);

		if (owner)
			claims[n++] = (struct claim){owner, i};
	}
	if (n > 1)
		qsort(claims, n, sizeof(*claims), compare_claims);
	for (size_t i = 0, j; r == 0 && i < n; i = j) {
		struct node node = {};

		for (j = i + 1; j < n && claims[j].owner == claims[i].owner; j++)
			;
		r = bring_together(peers, below, &claims[i], j - i, &node);
		peers->items[claims[i].peer] = node;
	}
	/* Those that went into others are empty. */
	for (size_t i = 0; i < peers->n; i++) {
		struct node node = peers->items[i];

		peers->items[i] = (struct node){};
		if (node.id)
			peers->items[kept++] = node;
	}
	peers->n = kept;
	if (r == 0)
		r = nodes_new_above(below, TAKE_PTR(peers->items), kept, peers->self, ret_nodes);
	if (!peers->items)
		peers->n = 0;
	peer_nodes_deinit(peers);
	return r;
}
