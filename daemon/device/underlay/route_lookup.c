/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The routes to the endpoints. There may be thousands of endpoints and, on a machine that runs containers,
 * hundreds of devices, so only the endpoint's own route is looked up for each; whether a further device leads
 * anywhere is asked for a few of them.
 */

#include "daemon/device/underlay/route_lookup.h"

#include <errno.h>
#include <stdlib.h>

/* Asked of each device that is not yet known to lead to one. */
#define ENDPOINTS_ASKED 32
#define ADDRESSES_ASKED 4
/* Lookups in all, of some microseconds each. */
#define LOOKUPS_MAX 4096

#define LOOPBACK_INDEX 1

struct underlay_way {
	struct endpoint endpoint;
	unsigned int index; /* 0: no way */
};

void route_lookup_deinit(struct route_lookup *lookup)
{
	free(lookup->ways);
	*lookup = (struct route_lookup){};
}

static int compare_ways(const void *a, const void *b)
{
	return endpoint_compare(&((const struct underlay_way *)a)->endpoint,
				&((const struct underlay_way *)b)->endpoint);
}

static struct rtnl_datagram query_for(const struct route_lookup *lookup, const struct endpoint *endpoint)
{
	return (struct rtnl_datagram){
		.destination = endpoint->address,
		.destination_port = endpoint->port,
		.source_port = lookup->port,
		.mark = lookup->mark,
	};
}

static bool has_index(const struct route_lookup *lookup, unsigned int index)
{
	for (size_t i = 0; i < lookup->n_indexes; i++)
		if (lookup->indexes[i] == index)
			return true;
	return false;
}

static void add_index(struct route_lookup *lookup, unsigned int index)
{
	if (index && index != lookup->tunnel && lookup->n_indexes < ARRAY_SIZE(lookup->indexes) &&
	    !has_index(lookup, index))
		lookup->indexes[lookup->n_indexes++] = index;
}

/* The endpoints' own routes, taking over what is known unless all is to be looked at. *ret_same: they are
 * those of the last time. */
static int follow_routes(struct route_lookup *lookup, struct rtnl *rtnl, const struct wg_peers *peers,
			 bool all, bool *ret_same)
{
	struct underlay_way *items = calloc(peers->n + 1, sizeof(*items));
	size_t n = 0;
	bool same = true;

	if (!items)
		return -ENOMEM;
	for (size_t i = 0; i < peers->n; i++) {
		struct underlay_way *way = &items[n], *old = NULL;
		struct rtnl_datagram query;

		way->endpoint = peers->items[i].endpoint;
		if (!way->endpoint.address.family)
			continue;
		n++;
		if (lookup->n_ways)
			old = bsearch(way, lookup->ways, lookup->n_ways, sizeof(*way), compare_ways);
		same = same && old;
		query = query_for(lookup, &way->endpoint);
		if (old && !all)
			way->index = old->index;
		else if (rtnl_find_device(rtnl, &query, &way->index) < 0)
			way->index = 0;
	}
	if (n > 1)
		qsort(items, n, sizeof(*items), compare_ways);
	*ret_same = same && n == lookup->n_ways;
	free(lookup->ways);
	lookup->ways = items;
	lookup->n_ways = n;
	return 0;
}

static bool is_link_local(const struct address *address)
{
	return address->family == ADDRESS_IPV6 && address->bytes[0] == 0xfe &&
	       (address->bytes[1] & 0xc0) == 0x80;
}

/* Whether a device leads to one of the endpoints when they are sent to from its address. A link-local one
 * says nothing of which link it is on, so each of those is asked for. */
static bool leads_to_some(const struct route_lookup *lookup, struct rtnl *rtnl,
			  const struct rtnl_address *address, unsigned int *lookups)
{
	size_t step = MAX(lookup->n_ways / ENDPOINTS_ASKED, (size_t)1);

	for (size_t i = 0; i < lookup->n_ways && *lookups < LOOKUPS_MAX; i++) {
		const struct endpoint *endpoint = &lookup->ways[i].endpoint;
		struct rtnl_datagram query = query_for(lookup, endpoint);
		unsigned int index;

		if (endpoint->address.family != address->local.family ||
		    (i % step && !is_link_local(&endpoint->address)))
			continue;
		query.source = address->local;
		query.device = address->index;
		++*lookups;
		if (rtnl_find_device(rtnl, &query, &index) == 0)
			return true;
	}
	return false;
}

static void ask_devices(struct route_lookup *lookup, struct rtnl *rtnl,
			const struct rtnl_addresses *addresses)
{
	unsigned int lookups = 0, last = 0, asked = 0;

	/* A device's addresses come one after the other. */
	for (size_t i = 0; i < addresses->n; i++) {
		const struct rtnl_address *address = &addresses->items[i];

		asked = address->index == last ? asked + 1 : 0;
		last = address->index;
		if (address->index == LOOPBACK_INDEX || address->index == lookup->tunnel ||
		    asked >= ADDRESSES_ASKED || has_index(lookup, address->index))
			continue;
		if (leads_to_some(lookup, rtnl, address, &lookups))
			add_index(lookup, address->index);
	}
}

int route_lookup_follow(struct route_lookup *lookup, struct rtnl *rtnl, const struct wg_peers *peers,
			const struct rtnl_addresses *addresses, bool changed)
{
	bool same;
	int r;

	changed = changed || peers->fwmark != lookup->mark || peers->listen_port != lookup->port;
	lookup->mark = peers->fwmark;
	lookup->port = peers->listen_port;
	r = follow_routes(lookup, rtnl, peers, changed, &same);
	if (r < 0 || (same && !changed))
		return r;
	lookup->n_indexes = 0;
	for (size_t i = 0; i < lookup->n_ways; i++)
		add_index(lookup, lookup->ways[i].index);
	ask_devices(lookup, rtnl, addresses);
	return 0;
}
