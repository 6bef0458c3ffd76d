/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * What the routes found on a machine mean together. VPN programs tell the kernel less than they know: a node
 * has an address without its network, and a default route comes in parts.
 */

#include "common/address.h"

/*
 * The routes of a tunnel without the parts of a default route: when those that lie in no other one make up
 * more than half of the Internet (of 0.0.0.0/0, of 2000::/3), each of them is a part but single addresses and
 * networks of private addresses. That is how "everything but 10.0.0.0/8" looks, and what OpenVPN makes of
 * redirect-gateway ipv6. The two halves of a default route are left in. routes: sorted, each once, without
 * host bits. 0 or -ENOMEM.
 */
int found_without_default(const struct prefix_list *routes, struct prefix_list *ret_rest);

/*
 * The networks of the nodes: of each of this node's addresses the narrowest of the tunnel's routes in which
 * it lies, if there is one. An IPv4 route shorter than /8 or an IPv6 one shorter than /16 is no VPN's
 * network. 0 or -ENOMEM.
 */
int found_own_networks(const struct prefix_list *addresses, const struct prefix_list *routes,
		       struct prefix_list *ret_networks);
