/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * The routes by one interface, kept up to date from the kernel's notifications. No I/O.
 *
 * A notification names a route by its place: table, destination, tos and priority. The kernel may hold
 * several routes in one place, and then does not say which of them it removes or replaces: such a route
 * stays, and the table says that it is uncertain, until all routes are read again.
 */

#include "daemon/net/rtnl.h"

struct known_route {
	struct prefix destination;
	uint8_t tos;
	bool several; /* in this place */
	uint32_t table;
	uint32_t priority;
	uint32_t nexthop;
};

enum route_change_kind {
	ROUTE_CAME,	/* a route by the interface */
	ROUTE_CHANGED,	/* the route in this place, into one by the interface */
	ROUTE_WENT,	/* such a route was removed */
	ROUTE_REPLACED, /* the route in this place, by one that leads elsewhere */
};

struct route_change {
	struct known_route route;
	enum route_change_kind kind;
	uint32_t order;
};

/* Zero-initialised is empty. */
struct route_table {
	struct known_route *items; /* sorted by destination */
	size_t n;
	struct route_change *changes; /* that have not been applied */
	size_t n_changes, allocated_changes;
	bool uncertain;
	/* Destinations that came or went since route_table_take_changes(); may hold some more than once. */
	struct prefix_list touched;
};

void route_table_deinit(struct route_table *table);

/* Puts what was read from the kernel in place of everything before. 0 or -ENOMEM, nothing changed. */
int route_table_set(struct route_table *table, const struct rtnl_routes *routes);
/* The same, but what is missing there stays: the kernel's answer may not be complete. */
int route_table_add(struct route_table *table, const struct rtnl_routes *routes);
/* Takes a change; many of them are applied at once later, so that each costs little. 0 or -ENOMEM. */
int route_table_change(struct route_table *table, enum route_change_kind kind,
		       const struct rtnl_route *route);
/* Removes the routes that use this nexthop object. 0 or -ENOMEM. */
int route_table_drop_nexthop(struct route_table *table, uint32_t nexthop);
/*
 * The destinations that came and went since the last call, sorted, each once. 0 or -ENOMEM, and then they are
 * handed over by a later call.
 */
int route_table_take_changes(struct route_table *table, struct prefix_list *ret_came,
			     struct prefix_list *ret_went);
/* All destinations, sorted, each once. 0 or -ENOMEM. */
int route_table_get(struct route_table *table, struct prefix_list *ret_destinations);
