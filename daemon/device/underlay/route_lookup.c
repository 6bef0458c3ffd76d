/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * There may be thousands of endpoints and, on a machine that runs containers, hundreds of devices. So each
 * endpoint costs a single lookup, and whether a further device leads anywhere is tried with a few endpoints.
 */

#include "daemon/device/underlay/route_lookup.h"

#include <errno.h>
#include <stdlib.h>

/* Tried for each device that no endpoint's own route names. */
#define ENDPOINTS_TRIED 32
#define ADDRESSES_TRIED 4
/* Of these lookups altogether, which take some microseconds each. */
#define LOOKUPS_MAX 4096

#define LOOPBACK_INDEX 1

struct endpoint_route {
	struct endpoint endpoint;
	unsigned int device; /* index; 0: no route */
};

void route_lookup_deinit(struct route_lookup *lookup)
{
	free(lookup->routes);
	*lookup = (struct route_lookup){};
}

static int compare_routes(const void *a, const void *b)
{
	return endpoint_compare(&((const struct endpoint_route *)a)->endpoint,
				&((const struct endpoint_route *)b)->endpoint);
}

static struct rtnl_datagram datagram_to(const struct route_lookup *lookup, const struct endpoint *endpoint)
{
	return (struct rtnl_datagram){
		.destination = endpoint->address,
		.destination_port = endpoint->port,
		.source_port = lookup->port,
		.mark = lookup->mark,
	};
}

static bool has_device(const struct route_lookup *lookup, unsigned int device)
{
	for (size_t i = 0; i < lookup->n_devices; i++)
		if (lookup->devices[i] == device)
			return true;
	return false;
}

static void add_device(struct route_lookup *lookup, unsigned int device)
{
	if (device && device != lookup->tunnel && lookup->n_devices < ARRAY_SIZE(lookup->devices) &&
	    !has_device(lookup, device))
		lookup->devices[lookup->n_devices++] = device;
}

/* The endpoints' own routes; those that are known are looked up again only with `all`. *ret_same: the
 * endpoints have not changed. */
static int look_up_routes(struct route_lookup *lookup, struct rtnl *rtnl, const struct wg_peers *peers,
			  bool all, bool *ret_same)
{
	struct endpoint_route *routes = calloc(peers->n + 1, sizeof(*routes));
	bool same = true;
	size_t n = 0;

	if (!routes)
		return -ENOMEM;
	for (size_t i = 0; i < peers->n; i++) {
		struct endpoint_route *route = &routes[n], *old = NULL;
		struct rtnl_datagram datagram;

		route->endpoint = peers->items[i].endpoint;
		if (!route->endpoint.address.family)
			continue;
		n++;
		if (lookup->n_routes)
			old = bsearch(route, lookup->routes, lookup->n_routes, sizeof(*route),
				      compare_routes);
		same = same && old;
		datagram = datagram_to(lookup, &route->endpoint);
		if (old && !all)
			route->device = old->device;
		else if (rtnl_find_device(rtnl, &datagram, &route->device) < 0)
			route->device = 0;
	}
	if (n > 1)
		qsort(routes, n, sizeof(*routes), compare_routes);
	*ret_same = same && n == lookup->n_routes;
	free(lookup->routes);
	lookup->routes = routes;
	lookup->n_routes = n;
	return 0;
}

/* Whether a datagram with this source address can leave by the address's device to one of the endpoints. A
 * link-local endpoint does not say on which link it is, so all of those are tried. */
static bool leads_to_an_endpoint(const struct route_lookup *lookup, struct rtnl *rtnl,
				 const struct rtnl_address *address, unsigned int *lookups)
{
	size_t step = MAX(lookup->n_routes / ENDPOINTS_TRIED, (size_t)1);

	for (size_t i = 0; i < lookup->n_routes && *lookups < LOOKUPS_MAX; i++) {
		const struct endpoint *endpoint = &lookup->routes[i].endpoint;
		struct rtnl_datagram datagram = datagram_to(lookup, endpoint);
		unsigned int device;

		if (endpoint->address.family != address->local.family ||
		    (i % step && !address_is_link_local(&endpoint->address)))
			continue;
		datagram.source = address->local;
		datagram.device = address->index;
		++*lookups;
		if (rtnl_find_device(rtnl, &datagram, &device) == 0)
			return true;
	}
	return false;
}

int route_lookup_follow(struct route_lookup *lookup, struct rtnl *rtnl, const struct wg_peers *peers,
			const struct rtnl_addresses *addresses, bool changed)
{
	unsigned int lookups = 0, last = 0, tried = 0;
	bool same;
	int r;

	changed = changed || peers->fwmark != lookup->mark || peers->listen_port != lookup->port;
	lookup->mark = peers->fwmark;
	lookup->port = peers->listen_port;
	r = look_up_routes(lookup, rtnl, peers, changed, &same);
	if (r < 0 || (same && !changed))
		return r;
	lookup->n_devices = 0;
	for (size_t i = 0; i < lookup->n_routes; i++)
		add_device(lookup, lookup->routes[i].device);
	/* A device's addresses follow one another. */
	for (size_t i = 0; i < addresses->n; i++) {
		const struct rtnl_address *address = &addresses->items[i];

		tried = address->index == last ? tried + 1 : 0;
		last = address->index;
		if (address->index == LOOPBACK_INDEX || address->index == lookup->tunnel ||
		    tried >= ADDRESSES_TRIED || has_device(lookup, address->index))
			continue;
		if (leads_to_an_endpoint(lookup, rtnl, address, &lookups))
			add_device(lookup, address->index);
	}
	return 0;
}

bool route_lookup_matters(const struct route_lookup *lookup, const struct prefix *destination)
{
	struct prefix masked = prefix_masked(destination);
	size_t low = 0, high = lookup->n_routes;

	if (destination->length == 0)
		return true;
	/* The first endpoint that is not below the destination's first address. */
	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (address_compare(&lookup->routes[middle].endpoint.address, &masked.address) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low < lookup->n_routes && prefix_contains(&masked, &lookup->routes[low].endpoint.address);
}
