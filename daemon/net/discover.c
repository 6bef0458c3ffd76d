/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Finding a tunnel's routes. Everything is read anew each time: the kernel tells of no change of WireGuard's
 * allowed IPs, so there is nothing to rely on in between.
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

static struct prefix single(const struct address *address)
{
	return (struct prefix){.address = *address, .length = (uint8_t)address_bits(address)};
}

/* Of a point-to-point address the network is the other side's; one's own stands beside it. */
static int add_own_address(struct found *found, const struct rtnl_address *address)
{
	struct prefix own = single(&address->local);
	int r = prefix_list_add(&found->lists.local_addrs, &own);

	if (r == 0)
		r = prefix_list_add(&found->tailnet, &address->network);
	if (r == 0 && !prefix_contains(&address->network, &address->local))
		r = prefix_list_add(&found->tailnet, &own);
	return r;
}

static int add_addresses(struct found *found, struct rtnl *rtnl, unsigned int index, bool connected)
{
	_cleanup_(rtnl_addresses_deinit) struct rtnl_addresses addresses = {};
	int r = rtnl_get_addresses(rtnl, &addresses);

	for (size_t i = 0; r == 0 && i < addresses.n; ++i) {
		const struct rtnl_address *address = &addresses.items[i];

		if (index && address->index == index)
			r = add_own_address(found, address);
		else if (connected && address->scope < RT_SCOPE_LINK)
			r = prefix_list_add(&found->lists.subnet_routes, &address->network);
	}
	return r;
}

static int add_routes(struct found *found, struct rtnl *rtnl, unsigned int index)
{
	_cleanup_(rtnl_routes_deinit) struct rtnl_routes routes = {};
	int r = rtnl_get_routes(rtnl, index, &routes);

	for (size_t i = 0; r == 0 && i < routes.n; ++i)
		r = prefix_list_add(&found->lists.routes, &routes.items[i].destination);
	return r;
}

static int add_allowed_ips(struct found *found, const struct prefix_list *allowed_ips)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < allowed_ips->n; ++i) {
		const struct prefix *prefix = &allowed_ips->items[i];

		if (prefix_is_single(prefix))
			r = prefix_list_add(&found->tailnet, prefix);
	}
	return r;
}

static int discover(const char *interface, const struct prefix_list *allowed_ips, bool connected,
		    struct found *found)
{
	_cleanup_(rtnl_freep) struct rtnl *rtnl = NULL;
	struct rtnl_link link = {};
	int r = rtnl_new(&rtnl);

	if (r == 0 && interface)
		r = rtnl_get_link(rtnl, interface, 0, &link);
	if (r == 0)
		r = add_addresses(found, rtnl, link.index, connected);
	if (r == 0 && interface)
		r = add_routes(found, rtnl, link.index);
	if (r == 0 && allowed_ips)
		r = add_allowed_ips(found, allowed_ips);
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
