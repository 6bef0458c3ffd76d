/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * There may be thousands of endpoints and, on a machine that runs containers, hundreds of devices. So each
 * endpoint costs a single lookup, and whether a further device leads anywhere is tried with a few endpoints.
 */

#include "daemon/device/underlay/route_lookup.h"

#include "common/cleanup.h"

#include <errno.h>
#include <stdlib.h>

/* Tried for each device that no endpoint's own route names. */
#define ENDPOINTS_TRIED 32
#define ADDRESSES_TRIED 4
/* Of these lookups altogether, which take some microseconds each. */
#define LOOKUPS_MAX 4096

#define LOOPBACK_INDEX 1

/* Where a default route leads: no network has a more specific route to these. 0.0.0.1 and 240.0.0.1 are in
 * the two halves of IPv4 (RFC 1122, 3.2.1.3; RFC 1112, 4); 3fff::/20 is for documentation (RFC 9637). */
static const struct endpoint default_endpoints[] = {
	{.address = {ADDRESS_IPV4, {[3] = 1}}},
	{.address = {ADDRESS_IPV4, {240, [3] = 1}}},
	{.address = {ADDRESS_IPV6, {0x3f, 0xff, [15] = 1}}},
};

struct endpoint_route {
	struct endpoint endpoint;
	unsigned int link;   /* of a link-local endpoint, as in struct wg_peer */
	unsigned int device; /* index; 0: no route */
};

void route_lookup_deinit(struct route_lookup *lookup)
{
	free(lookup->routes);
	*lookup = (struct route_lookup){};
}

static int compare_routes(const void *a, const void *b)
{
	const struct endpoint_route *one = a, *two = b;
	int order = endpoint_compare(&one->endpoint, &two->endpoint);

	return order ? order : (one->link > two->link) - (one->link < two->link);
}

static const struct endpoint_route *find_route(const struct route_lookup *lookup,
					       const struct endpoint_route *wanted)
{
	return lookup->n_routes
		       ? bsearch(wanted, lookup->routes, lookup->n_routes, sizeof(*wanted), compare_routes)
		       : NULL;
}

unsigned int route_lookup_device(const struct route_lookup *lookup, const struct wg_peer *peer)
{
	const struct endpoint_route wanted = {.endpoint = peer->endpoint, .link = peer->link};
	const struct endpoint_route *found = find_route(lookup, &wanted);

	return found ? found->device : 0;
}

static struct rtnl_datagram datagram_to(const struct route_lookup *lookup, const struct endpoint_route *route)
{
	return (struct rtnl_datagram){
		.destination = route->endpoint.address,
		.destination_port = route->endpoint.port,
		.source_port = lookup->port,
		.mark = lookup->mark,
		.device = route->link,
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

/* The endpoints of the peers, and the default ones if a peer has none. Returns how many. */
static size_t list_endpoints(const struct wg_peers *peers, struct endpoint_route *routes)
{
	bool missing = false;
	size_t n = 0;

	for (size_t i = 0; i < peers->n; i++) {
		const struct wg_peer *peer = &peers->items[i];

		if (peer->endpoint.address.family)
			routes[n++] = (struct endpoint_route){peer->endpoint, peer->link, 0};
		else
			missing = true;
	}
	for (size_t i = 0; missing && i < ARRAY_SIZE(default_endpoints); i++)
		routes[n++].endpoint = default_endpoints[i];
	return n;
}

/* What is no answer of the kernel's routes. (Its own words for "no route" are many: those of unreachable,
 * prohibit and blackhole routes, too.) */
static bool could_not_ask(int r)
{
	return r == -ENOMEM || r == -ENOBUFS || r == -ETIMEDOUT || r == -EBADMSG || r == -EINTR;
}

/* The endpoints' own routes; those that are known are looked up again only with `all`. *ret_same: the
 * endpoints have not changed. */
static int look_up_routes(struct route_lookup *lookup, struct rtnl *rtnl, const struct wg_peers *peers,
			  bool all, bool *ret_same)
{
	struct endpoint_route *routes = calloc(peers->n + ARRAY_SIZE(default_endpoints), sizeof(*routes));
	bool same = true;
	size_t n;

	if (!routes)
		return -ENOMEM;
	n = list_endpoints(peers, routes);
	for (size_t i = 0; i < n; i++) {
		const struct endpoint_route *old = find_route(lookup, &routes[i]);
		struct rtnl_datagram datagram = datagram_to(lookup, &routes[i]);

		same = same && old;
		if (old && !all)
			routes[i].device = old->device;
		else if (could_not_ask(rtnl_find_device(rtnl, &datagram, &routes[i].device)) && old)
			routes[i].device = old->device;
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
 * link-local endpoint may not say on which link it is, so all of those are tried. */
static bool leads_to_an_endpoint(const struct route_lookup *lookup, struct rtnl *rtnl,
				 const struct rtnl_address *address, unsigned int *lookups)
{
	size_t step = MAX(lookup->n_routes / ENDPOINTS_TRIED, (size_t)1);

	for (size_t i = 0; i < lookup->n_routes && *lookups < LOOKUPS_MAX; i++) {
		const struct endpoint_route *route = &lookup->routes[i];
		const struct address *to = &route->endpoint.address;
		struct rtnl_datagram datagram = datagram_to(lookup, route);
		unsigned int device;

		if (to->family != address->local.family || (i % step && !address_is_link_local(to)) ||
		    (route->link && route->link != address->index))
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
