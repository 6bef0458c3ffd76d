/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * What a message says of who has an address, for looking up each of its entries. A message of a hub names
 * thousands of nodes: going through them for every entry took longer than all else.
 */

#include "common/address.h"
#include "common/cleanup.h"

#include <stddef.h>
#include <stdint.h>

struct message;

/* Zero-initialised has none. */
struct message_nodes {
	struct message_node {
		struct address address;
		uint32_t order; /* of addresses in the message */
		const char *name;
	} * items;
	size_t n;
};

/*
 * The names, or else the nodeIds, of the nodes in a message, which must outlive them. Of two nodes with one
 * address the first has it, this node before the others; what is no node or no address is skipped. 0 or
 * -ENOMEM.
 */
int message_nodes_init(struct message_nodes *nodes, const struct message *message);
void message_nodes_deinit(struct message_nodes *nodes);
/* The name of the one that has an address; NULL: unknown. */
const char *message_nodes_name(const struct message_nodes *nodes, const struct address *address);
