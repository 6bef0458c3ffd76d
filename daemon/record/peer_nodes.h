/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * A tunnel's peers as nodes, above those that the operator has named. What the operator says comes first: an
 * address belongs to the operator's node that has it. A node of the operator's that has the id of a peer, or
 * one of its addresses, is that peer: it takes the addresses that no other one has, so that it is one node
 * everywhere, and what the operator did not say of it (name, OS, user or tags) is the tunnel's word.
 */

#include "daemon/record/nodes.h"

#include <stdbool.h>

/* A peer, or this node itself. Borrowed; members may be NULL. */
struct peer_identity {
	const char *id;
	const char *name; /* cleaned text */
	bool named;	  /* the name is known; if not, it stands for one where there is none */
	bool self;
	const char *os, *user;
	char *const *tags;		     /* NULL-terminated */
	const struct prefix_list *addresses; /* prefixes that are none are left out */
	struct address source;		     /* of its physical entries, where it is none of those; or none */
};

/* Zero-initialised is empty. */
struct peer_nodes {
	struct node *items;
	size_t n, allocated;
	char *self;
};

void peer_nodes_deinit(struct peer_nodes *peers);
/* Texts that are longer than a node's may be are cut, as are longer lists of tags. 0 or -ENOMEM. */
int peer_nodes_add(struct peer_nodes *peers, const struct peer_identity *peer);
/* Empties the list. below: the operator's nodes, or NULL. 0 or -ENOMEM. */
int peer_nodes_finish(struct peer_nodes *peers, struct nodes *below, struct nodes **ret_nodes);
