/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Everything is read afresh each time: the kernel does not report changes of WireGuard's allowed IPs, so
 * nothing can be relied on in between.
 */

#include "daemon/net/discover.h"

#include "daemon/net/rtnl.h"

#include <errno.h>
#include <linux/rtnetlink.h>

struct found {
	struct route_lists lists;
	struct prefix_list tailnet;
};

static void found_deinit(struct found *found)
{
	route_lists_deinit(&found->lists);
	prefix_list_deinit(&found->tailnet);
}

static int add_addresses(struct found *found, struct rtnl *rtnl, unsigned int index, bool connected)
{
	_cleanup_(rtnl_addresses_deinit) struct rtnl_addresses addresses = {};
	int r = rtnl_get_addresses(rtnl, &addresses);

	for (size_t i = 0; r == 0 && i < addresses.n; ++i) {
		const struct rtnl_address *address = &addresses.items[i];
		struct prefix own = {.address = address->local,
				     .length = (uint8_t)address_bits(&address->local)};

		if (index && address->index == index) {
			r = prefix_list_add(&found->lists.local_addrs, &own);
			if (r == 0)
				r = prefix_list_add(&found->tailnet, &address->network);
			/* The network of a point-to-point address is the other side. */
			if (r == 0 && !prefix_contains(&address->network, &address->local))
				r = prefix_list_add(&found->tailnet, &own);
		} else if (connected && address->scope < RT_SCOPE_LINK) {
			r = prefix_list_add(&found->lists.subnet_routes, &address->network);
		}
	}
	return r;
}

static int discover(const char *interface, const struct prefix_list *allowed_ips, bool connected,
		    struct found *found)
{
	_cleanup_(rtnl_routes_deinit) struct rtnl_routes routes = {};
	_cleanup_(rtnl_freep) struct rtnl *rtnl = NULL;
	struct rtnl_link link = {};
	int r = rtnl_new(&rtnl);

	if (r == 0 && interface)
		r = rtnl_get_link(rtnl, interface, 0, &link);
	if (r == 0)
		r = add_addresses(found, rtnl, link.index, connected);
	if (r == 0 && interface)
		r = rtnl_get_routes(rtnl, link.index, &routes);
	for (size_t i = 0; r == 0 && i < routes.n; ++i)
		r = prefix_list_add(&found->lists.routes, &routes.items[i].destination);
	for (size_t i = 0; r == 0 && allowed_ips && i < allowed_ips->n; ++i)
		if (prefix_is_single(&allowed_ips->items[i]))
			r = prefix_list_add(&found->tailnet, &allowed_ips->items[i]);
	return r;
}

int discover_routes(const char *interface, const struct prefix_list *allowed_ips, bool connected,
		    struct route_lists *ret_lists, struct prefix_list *ret_tailnet)
{
	_cleanup_(found_deinit) struct found found = {};
	int r = discover(interface, allowed_ips, connected, &found);

	if (r < 0)
		return r;
	prefix_list_sort(&found.lists.local_addrs);
	prefix_list_sort(&found.lists.routes);
	prefix_list_sort(&found.lists.subnet_routes);
	prefix_list_sort(&found.tailnet);
	*ret_lists = found.lists;
	*ret_tailnet = found.tailnet;
	found = (struct found){};
	return 0;
}
