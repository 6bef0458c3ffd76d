/*
 * The routes to the endpoints. There may be thousands of endpoints and, on a machine that runs containers,
 * hundreds of devices, so only the endpoint's own route is looked up for each; whether a further device leads
 * anywhere is asked for a few of them.
 */

#include "daemon/device/underlay_ways.h"

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

void underlay_ways_deinit(struct underlay_ways *ways)
{
	free(ways->ways);
	*ways = (struct underlay_ways){};
}

static int compare_ways(const void *a, const void *b)
{
	return endpoint_compare(&((const struct underlay_way *)a)->endpoint,
				&((const struct underlay_way *)b)->endpoint);
}

static struct rtnl_way_query query_for(const struct underlay_ways *ways, const struct endpoint *endpoint)
{
	return (struct rtnl_way_query){
		.destination = endpoint->address,
		.destination_port = endpoint->port,
		.source_port = ways->port,
		.mark = ways->mark,
	};
}

static bool has_index(const struct underlay_ways *ways, unsigned int index)
{
	for (size_t i = 0; i < ways->n_indexes; i++)
		if (ways->indexes[i] == index)
			return true;
	return false;
}

static void add_index(struct underlay_ways *ways, unsigned int index)
{
	if (index && index != ways->tunnel && ways->n_indexes < ARRAY_SIZE(ways->indexes) &&
	    !has_index(ways, index))
		ways->indexes[ways->n_indexes++] = index;
}

/* The endpoints' own routes, taking over what is known unless all is to be looked at. *ret_same: they are
 * those of the last time. */
static int follow_routes(struct underlay_ways *ways, struct rtnl *rtnl, const struct wg_peers *peers,
			 bool all, bool *ret_same)
{
	struct underlay_way *items = calloc(peers->n + 1, sizeof(*items));
	size_t n = 0;
	bool same = true;

	if (!items)
		return -ENOMEM;
	for (size_t i = 0; i < peers->n; i++) {
		struct underlay_way *way = &items[n], *old = NULL;
		struct rtnl_way_query query;

		way->endpoint = peers->items[i].endpoint;
		if (!way->endpoint.address.family)
			continue;
		n++;
		if (ways->n_ways)
			old = bsearch(way, ways->ways, ways->n_ways, sizeof(*way), compare_ways);
		same = same && old;
		query = query_for(ways, &way->endpoint);
		if (old && !all)
			way->index = old->index;
		else if (rtnl_get_way(rtnl, &query, &way->index) < 0)
			way->index = 0;
	}
	if (n > 1)
		qsort(items, n, sizeof(*items), compare_ways);
	*ret_same = same && n == ways->n_ways;
	free(ways->ways);
	ways->ways = items;
	ways->n_ways = n;
	return 0;
}

static bool is_link_local(const struct address *address)
{
	return address->family == ADDRESS_IPV6 && address->bytes[0] == 0xfe &&
	       (address->bytes[1] & 0xc0) == 0x80;
}

/* Whether a device leads to one of the endpoints when they are sent to from its address. A link-local one
 * says nothing of which link it is on, so each of those is asked for. */
static bool leads_to_some(const struct underlay_ways *ways, struct rtnl *rtnl,
			  const struct rtnl_address *address, unsigned int *lookups)
{
	size_t step = MAX(ways->n_ways / ENDPOINTS_ASKED, (size_t)1);

	for (size_t i = 0; i < ways->n_ways && *lookups < LOOKUPS_MAX; i++) {
		const struct endpoint *endpoint = &ways->ways[i].endpoint;
		struct rtnl_way_query query = query_for(ways, endpoint);
		unsigned int index;

		if (endpoint->address.family != address->local.family ||
		    (i % step && !is_link_local(&endpoint->address)))
			continue;
		query.source = address->local;
		query.index = address->index;
		++*lookups;
		if (rtnl_get_way(rtnl, &query, &index) == 0)
			return true;
	}
	return false;
}

static void ask_devices(struct underlay_ways *ways, struct rtnl *rtnl, const struct rtnl_addresses *addresses)
{
	unsigned int lookups = 0, last = 0, asked = 0;

	/* A device's addresses come one after the other. */
	for (size_t i = 0; i < addresses->n; i++) {
		const struct rtnl_address *address = &addresses->items[i];

		asked = address->index == last ? asked + 1 : 0;
		last = address->index;
		if (address->index == LOOPBACK_INDEX || address->index == ways->tunnel ||
		    asked >= ADDRESSES_ASKED || has_index(ways, address->index))
			continue;
		if (leads_to_some(ways, rtnl, address, &lookups))
			add_index(ways, address->index);
	}
}

int underlay_ways_follow(struct underlay_ways *ways, struct rtnl *rtnl, const struct wg_peers *peers,
			 const struct rtnl_addresses *addresses, bool changed)
{
	bool same;
	int r;

	changed = changed || peers->fwmark != ways->mark || peers->listen_port != ways->port;
	ways->mark = peers->fwmark;
	ways->port = peers->listen_port;
	r = follow_routes(ways, rtnl, peers, changed, &same);
	if (r < 0 || (same && !changed))
		return r;
	ways->n_indexes = 0;
	for (size_t i = 0; i < ways->n_ways; i++)
		add_index(ways, ways->ways[i].index);
	ask_devices(ways, rtnl, addresses);
	return 0;
}
