/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * The devices that the tunnel's datagrams may take, by the kernel's routes. The route to an endpoint (with
 * the tunnel's mark and port) names one. Others may lead there too: the further next hops of a multipath
 * route, and, on a machine with several uplinks, the device on which answers leave, chosen by their source
 * address or by the device on which the peer's datagrams came in. So each device with an address is looked up
 * too. A peer whose endpoint is not known yet will most likely come by a default route, so as long as there
 * is one, those are looked up as well.
 */

#include "daemon/bpf/physical_maps.h"
#include "daemon/device/peers/peers.h"
#include "daemon/net/rtnl.h"

#include <stdbool.h>
#include <stddef.h>

struct endpoint_route;

/* Zero-initialise, except for the tunnel. */
struct route_lookup {
	unsigned int tunnel;	       /* the tunnel's own interface, which never counts */
	struct endpoint_route *routes; /* one for each endpoint, sorted by it */
	size_t n_routes;
	uint32_t mark;
	uint16_t port;
	unsigned int devices[UNDERLAY_DEVICES]; /* indexes, each once */
	size_t n_devices;
};

void route_lookup_deinit(struct route_lookup *lookup);
/*
 * Looks up the routes to the endpoints: to new ones, or to all if the kernel (`changed`), the mark or the
 * port changed. The addresses are the machine's. 0 or -ENOMEM; an endpoint without a route is not an error.
 */
int route_lookup_follow(struct route_lookup *lookup, struct rtnl *rtnl, const struct wg_peers *peers,
			const struct rtnl_addresses *addresses, bool changed);
/* Whether one of the endpoints lies within this destination; so they do all in a default route. */
bool route_lookup_matters(const struct route_lookup *lookup, const struct prefix *destination);
/* The device that the route to a peer's endpoint names, by the last lookup; 0: none, or it has no endpoint.
 */
unsigned int route_lookup_device(const struct route_lookup *lookup, const struct wg_peer *peer);
