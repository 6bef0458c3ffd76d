/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * The routes as one lookup structure, and the class of a connection by it. A routing is built once from
 * lists, never changes, and a lookup takes logarithmic time in the number of prefixes.
 */

#include "common/cleanup.h"
#include "common/config/config.h"
#include "common/connection.h"

#include <stdbool.h>

struct routing;

/* Built from lists, which are not kept; the last two may be NULL. Default routes are ignored, also as two
 * halves. 0 or -ENOMEM. */
int routing_new(const struct route_lists *lists, const struct prefix_list *tailnet,
		const struct prefix_list *tailnet_exclude, struct routing **ret_routing);
void routing_free(struct routing *routing);
DEFINE_CLEANUP(struct routing *, routing_free);

/* The flags of an address. A node address is always within the routes. */
#define ROUTING_WITHIN 1U
#define ROUTING_NODE   2U

/* The flags of an address; 0 for one outside the routes, and for none. */
unsigned int routing_lookup(const struct routing *routing, const struct address *address);
bool routing_contains(const struct routing *routing, const struct address *address);
bool routing_is_node_address(const struct routing *routing, const struct address *address);
/* The class of an entry of the tun device. */
enum traffic_class routing_classify(const struct routing *routing, const struct connection *connection);

/* The class by the flags of both ends. */
static inline enum traffic_class routing_class(unsigned int src, unsigned int dst)
{
	if (src & dst & ROUTING_NODE)
		return CLASS_VIRTUAL;
	if ((src & (ROUTING_WITHIN | ROUTING_NODE)) == ROUTING_WITHIN ||
	    (dst & (ROUTING_WITHIN | ROUTING_NODE)) == ROUTING_WITHIN)
		return CLASS_SUBNET;
	return CLASS_EXIT;
}
