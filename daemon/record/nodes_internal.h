/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* Between the two halves of the nodes: the set with its lookups (nodes.c), and reading JSON
 * (nodes_json.c). */

#include "daemon/record/nodes.h"

#include <stdint.h>

/* The hash tells most other addresses apart without a look at the node. */
struct node_slot {
	uint32_t hash;
	uint32_t node; /* index + 1; 0 free */
};

struct nodes {
	struct node *items;
	size_t n;
	struct node_slot *by_address; /* hash table, one slot for each address of each node */
	size_t n_slots;		      /* power of two */
};

/* Reads one node; 0, -ENOMEM, or -EINVAL with *ret_value. Makes its JSON too. */
int node_from_json(const json_t *object, struct node *ret_node, char **ret_value);
void node_deinit(struct node *node);
