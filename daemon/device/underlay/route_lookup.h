/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * Which devices the tunnel's datagrams may take, by the kernel's routes. The route to an endpoint (with the
 * tunnel's mark and port) names one. Others lead there too: the further ways of a multipath route, and the
 * way that answers take where a machine has several uplinks, by the address they are sent from or the device
 * that the peer's datagrams came in on. So each device with an address is asked for as well.
 */

#include "daemon/bpf/physical_maps.h"
#include "daemon/device/peers/peers.h"
#include "daemon/net/rtnl.h"

#include <stdbool.h>
#include <stddef.h>

struct underlay_way;

/* Zero-initialise, but for the tunnel. */
struct route_lookup {
	unsigned int tunnel;	   /* the tunnel's own interface, which is no way */
	struct underlay_way *ways; /* the routes' own, by endpoint */
	size_t n_ways;
	uint32_t mark;
	uint16_t port;
	unsigned int indexes[UNDERLAY_DEVICES]; /* of the devices, each once */
	size_t n_indexes;
};

void route_lookup_deinit(struct route_lookup *lookup);
/*
 * Looks where the endpoints' routes lead: of those that are new, or of all when something changed in the
 * kernel (or the mark, or the port). The addresses are the machine's. 0 or -ENOMEM; what leads nowhere is no
 * error.
 */
int route_lookup_follow(struct route_lookup *lookup, struct rtnl *rtnl, const struct wg_peers *peers,
			const struct rtnl_addresses *addresses, bool changed);
