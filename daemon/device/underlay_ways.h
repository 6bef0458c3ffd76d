#pragma once

/*
 * Which devices the tunnel's datagrams may take, by the kernel's routes. The route to an endpoint (with the
 * tunnel's mark and port) names one. Others lead there too: the further ways of a multipath route, and the
 * way that answers take where a machine has several uplinks, by the address they are sent from or the device
 * that the peer's datagrams came in on. So each device with an address is asked for as well.
 */

#include "daemon/bpf/underlay_map.h"
#include "daemon/device/wg_peers.h"
#include "daemon/rtnl.h"

#include <stdbool.h>
#include <stddef.h>

struct underlay_way;

/* Zero-initialise, but for the tunnel. */
struct underlay_ways {
	unsigned int tunnel;	   /* the tunnel's own interface, which is no way */
	struct underlay_way *ways; /* the routes' own, by endpoint */
	size_t n_ways;
	uint32_t mark;
	uint16_t port;
	unsigned int indexes[UNDERLAY_DEVICES]; /* of the devices, each once */
	size_t n_indexes;
};

void underlay_ways_deinit(struct underlay_ways *ways);
/*
 * Looks where the endpoints' routes lead: of those that are new, or of all when something changed in the
 * kernel (or the mark, or the port). The addresses are the machine's. 0 or -ENOMEM; what leads nowhere is no
 * error.
 */
int underlay_ways_follow(struct underlay_ways *ways, struct rtnl *rtnl, const struct wg_peers *peers,
			 const struct rtnl_addresses *addresses, bool changed);
