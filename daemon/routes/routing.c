/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which class a connection belongs to. "Within the routes" and "in the tailnet" are computed for all
 * addresses at once when the routing is made; what remains for each connection is to look up its two ends.
 */

#include "daemon/routes/routing.h"

#include "common/cleanup.h"
#include "daemon/routes/ranges.h"

#include <errno.h>
#include <stdlib.h>

enum {
	SET_WITHIN,  /* a single address of any list, or in a prefix of routes or subnetRoutes */
	SET_TAILNET, /* in the ranges from which nodes get their addresses */
	SET_EXCLUDE, /* but not in these */
};

struct routing {
	struct ranges ranges;
};

static uint8_t resolve(unsigned int sets)
{
	uint8_t flags = 0;

	if (sets & 1U << SET_WITHIN) {
		flags |= ROUTING_WITHIN;
		if ((sets & 1U << SET_TAILNET) && !(sets & 1U << SET_EXCLUDE))
			flags |= ROUTING_NODE;
	}
	return flags;
}

/* Which halves of a default route exist: bit 0 the lower, bit 1 the upper one. */
struct halves {
	unsigned int ipv4;
	unsigned int ipv6;
};

static void find_halves(const struct prefix_list *list, struct halves *halves)
{
	for (size_t i = 0; i < list->n; i++) {
		const struct prefix *prefix = &list->items[i];
		unsigned int half = prefix->address.bytes[0] & 0x80 ? 2 : 1;

		if (prefix->length != 1)
			continue;
		if (prefix->address.family == ADDRESS_IPV4)
			halves->ipv4 |= half;
		else if (prefix->address.family == ADDRESS_IPV6)
			halves->ipv6 |= half;
	}
}

/* All but default routes, which do not say what is within the VPN. */
static int add_routes(struct ranges_builder *builder, const struct prefix_list *list,
		      const struct halves *halves)
{
	for (size_t i = 0; i < list->n; i++) {
		const struct prefix *prefix = &list->items[i];
		bool ipv4 = prefix->address.family == ADDRESS_IPV4;
		int r;

		if (prefix->length == 0 || (prefix->length == 1 && (ipv4 ? halves->ipv4 : halves->ipv6) == 3))
			continue;
		r = ranges_builder_add(builder, SET_WITHIN, prefix);
		if (r < 0)
			return r;
	}
	return 0;
}

static int add_ranges(struct ranges_builder *builder, unsigned int set, const struct prefix_list *list)
{
	for (size_t i = 0; list && i < list->n; i++) {
		int r = ranges_builder_add(builder, set, &list->items[i]);

		if (r < 0)
			return r;
	}
	return 0;
}

int routing_new(const struct route_lists *lists, const struct prefix_list *tailnet,
		const struct prefix_list *tailnet_exclude, struct routing **ret_routing)
{
	_cleanup_(ranges_builder_deinit) struct ranges_builder builder = {};
	_cleanup_(routing_freep) struct routing *routing = calloc(1, sizeof(*routing));
	struct halves halves = {};
	int r;

	if (!routing)
		return -ENOMEM;
	for (size_t i = 0; i < lists->local_addrs.n; i++) {
		struct prefix single = lists->local_addrs.items[i];

		single.length = (uint8_t)address_bits(&single.address);
		r = ranges_builder_add(&builder, SET_WITHIN, &single);
		if (r < 0)
			return r;
	}
	find_halves(&lists->routes, &halves);
	find_halves(&lists->subnet_routes, &halves);
	r = add_routes(&builder, &lists->routes, &halves);
	if (r < 0)
		return r;
	r = add_routes(&builder, &lists->subnet_routes, &halves);
	if (r < 0)
		return r;
	r = add_ranges(&builder, SET_TAILNET, tailnet);
	if (r < 0)
		return r;
	r = add_ranges(&builder, SET_EXCLUDE, tailnet_exclude);
	if (r < 0)
		return r;
	r = ranges_build(&builder, resolve, &routing->ranges);
	if (r < 0)
		return r;
	*ret_routing = TAKE_PTR(routing);
	return 0;
}

void routing_free(struct routing *routing)
{
	if (!routing)
		return;
	ranges_deinit(&routing->ranges);
	free(routing);
}

unsigned int routing_lookup(const struct routing *routing, const struct address *address)
{
	return ranges_lookup(&routing->ranges, address);
}

bool routing_contains(const struct routing *routing, const struct address *address)
{
	return routing_lookup(routing, address) & ROUTING_WITHIN;
}

bool routing_is_node_address(const struct routing *routing, const struct address *address)
{
	return routing_lookup(routing, address) & ROUTING_NODE;
}

enum traffic_class routing_classify(const struct routing *routing, const struct connection *connection)
{
	return routing_class(routing_lookup(routing, &connection->src.address),
			     routing_lookup(routing, &connection->dst.address));
}
