#pragma once

/* Between the two halves of the nodes: the set with its lookups (nodes.c), and reading JSON (nodes_json.c).
 */

#include "daemon/nodes.h"

#include <stdint.h>

struct nodes {
	struct node *items;
	size_t n;
	uint32_t *by_address; /* hash table: index of a node's address owner + 1; 0 free */
	size_t n_slots;	      /* power of two */
};

/* Reads one node; 0, -ENOMEM, or -EINVAL with *ret_value. Makes its JSON too. */
int node_from_json(const json_t *object, struct node *ret_node, char **ret_value);
void node_deinit(struct node *node);
