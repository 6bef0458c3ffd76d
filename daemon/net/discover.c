/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Notifications are exact for what is added, and for most of what goes (see route_table.h). But the kernel
 * removes routes without a word when a link goes down, an address goes that routes use as their source, or a
 * nexthop object is changed: then everything is read again.
 */

#include "daemon/net/discover.h"

#include "common/log.h"
#include "common/time_text.h"
#include "daemon/net/changes.h"
#include "daemon/net/route_filter.h"
#include "daemon/net/route_table.h"
#include "daemon/net/rtnl.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/rtnetlink.h>
#include <string.h>
#include <sys/socket.h>

/* Reading everything takes at most this part of the time. */
#define READING_SHARE 100
/* Per call; the descriptor stays readable while there is more. */
#define DATAGRAMS_AT_ONCE 65536
#define DATAGRAM_MAX	  (32 * 1024)

struct discovery {
	struct rtnl *rtnl;
	int fd;
	char *interface;     /* NULL: none */
	char name[IFNAMSIZ]; /* the kernel's first name for it; that above may be an alternative one */
	unsigned int index;
	bool connected;
	uint8_t *buffer;

	struct rtnl_addresses addresses;
	struct rtnl_nexthop_ids nexthops;
	struct route_table routes;
	bool has_sources; /* a route has a preferred source address */

	bool gone;
	bool addresses_stale;
	bool routes_stale;
	bool all_changed;      /* since the last discovery_follow() */
	int64_t read_again_at; /* boot time: not before */
	uint64_t changes, missed;
};

void discovery_free(struct discovery *discovery)
{
	if (!discovery)
		return;
	rtnl_free(discovery->rtnl);
	safe_close(discovery->fd);
	free(discovery->interface);
	free(discovery->buffer);
	rtnl_addresses_deinit(&discovery->addresses);
	rtnl_nexthop_ids_deinit(&discovery->nexthops);
	route_table_deinit(&discovery->routes);
	free(discovery);
}

void discovery_changes_deinit(struct discovery_changes *changes)
{
	prefix_list_deinit(&changes->came);
	prefix_list_deinit(&changes->went);
	*changes = (struct discovery_changes){};
}

static int open_notifications(struct discovery *discovery)
{
	int r = net_changes_open(NET_CHANGES_ALL & ~NET_CHANGES_RULES, &discovery->fd);

	if (r < 0)
		return r;
	/* Without it, everything is looked at here. */
	r = route_filter_attach(discovery->fd, discovery->index, discovery->connected);
	if (r < 0)
		log_debug("no filter for routes of other interfaces: %s", strerror(-r));
	return 0;
}

int discovery_new(const char *interface, bool connected, struct discovery **ret_discovery)
{
	_cleanup_(discovery_freep) struct discovery *discovery = calloc(1, sizeof(*discovery));
	struct rtnl_link link = {};
	int r;

	if (!discovery)
		return -ENOMEM;
	discovery->fd = -1;
	discovery->connected = connected;
	discovery->buffer = malloc(DATAGRAM_MAX);
	if (!discovery->buffer || (interface && !(discovery->interface = strdup(interface))))
		return -ENOMEM;
	r = rtnl_new(&discovery->rtnl);
	if (r == 0 && interface)
		r = rtnl_get_link(discovery->rtnl, interface, 0, &link);
	discovery->index = link.index;
	/* Before anything is read, so that no change falls in between. */
	if (r == 0)
		r = open_notifications(discovery);
	/* The interface may have gone before it was listened to. */
	if (r == 0 && interface)
		r = rtnl_get_link(discovery->rtnl, interface, 0, &link);
	if (r == 0 && link.index != discovery->index)
		r = -ENODEV;
	if (r < 0)
		return r;
	memcpy(discovery->name, link.name, sizeof(discovery->name));
	discovery->addresses_stale = discovery->routes_stale = discovery->all_changed = true;
	*ret_discovery = TAKE_PTR(discovery);
	return 0;
}

bool discovery_is_of(const struct discovery *discovery, const char *interface, bool connected)
{
	if (discovery->connected != connected || !discovery->interface != !interface)
		return false;
	return !interface || strcmp(discovery->interface, interface) == 0;
}

int discovery_fd(const struct discovery *discovery)
{
	return discovery->fd;
}

/* --- notifications --- */

/* A message that can't be read, or for which there is no memory: what it says is found by reading again. */
static void doubt(struct discovery *discovery, int error)
{
	if (error < 0)
		discovery->routes_stale = discovery->addresses_stale = true;
}

static void take_link(struct discovery *discovery, const struct nlmsghdr *message)
{
	struct rtnl_link link;
	int r = rtnl_read_link(message, &link);

	if (r < 0 || !discovery->index || link.index != discovery->index) {
		doubt(discovery, r);
		return;
	}
	if (message->nlmsg_type == RTM_DELLINK || strcmp(link.name, discovery->name) != 0)
		discovery->gone = true;
	/* Its routes go silently when it goes down. */
	discovery->routes_stale = discovery->addresses_stale = true;
}

static void take_address(struct discovery *discovery, const struct nlmsghdr *message)
{
	struct rtnl_address address;
	int r = rtnl_read_address(message, &address);
	bool ours = r == 0 && discovery->index && address.index == discovery->index;

	doubt(discovery, r);
	if (ours || discovery->connected)
		discovery->addresses_stale = true;
	if (message->nlmsg_type == RTM_DELADDR && (ours || discovery->has_sources))
		discovery->routes_stale = true;
}

static void take_route(struct discovery *discovery, const struct nlmsghdr *message)
{
	struct rtnl_route route;
	int by, r = 0;

	if (!discovery->index)
		return;
	by = rtnl_route_is_by(message, discovery->index, &discovery->nexthops, &route);
	if (by < 0) {
		doubt(discovery, by);
		return;
	}
	if (message->nlmsg_flags & NLM_F_REPLACE && route.destination.address.family &&
	    message->nlmsg_type == RTM_NEWROUTE)
		r = route_table_change(&discovery->routes, by ? ROUTE_CHANGED : ROUTE_REPLACED, &route);
	else if (by)
		r = route_table_change(&discovery->routes,
				       message->nlmsg_type == RTM_NEWROUTE ? ROUTE_CAME : ROUTE_WENT, &route);
	if (by && route.has_source)
		discovery->has_sources = true;
	doubt(discovery, r);
}

static bool nexthop_is_by(const struct discovery *discovery, const struct rtnl_nexthop *nexthop)
{
	if (!nexthop->is_group)
		return nexthop->index && nexthop->index == discovery->index;
	for (size_t i = 0; i < nexthop->n_members; i++)
		if (rtnl_nexthop_ids_hold(&discovery->nexthops, rtnl_nexthop_member(nexthop, i)))
			return true;
	return false;
}

/* Routes that use a nexthop object change with it, and with the members of a group; of that there is no other
 * notification. */
static void take_nexthop(struct discovery *discovery, const struct nlmsghdr *message)
{
	struct rtnl_nexthop nexthop;
	bool was, is;
	int r = rtnl_read_nexthop(message, &nexthop);

	if (r < 0 || !discovery->index) {
		doubt(discovery, r);
		return;
	}
	was = rtnl_nexthop_ids_hold(&discovery->nexthops, nexthop.id);
	is = message->nlmsg_type == RTM_NEWNEXTHOP && nexthop_is_by(discovery, &nexthop);
	if (is && !was) {
		r = rtnl_nexthop_ids_add(&discovery->nexthops, nexthop.id);
		/* A new one has no routes yet. */
		if (!(message->nlmsg_flags & NLM_F_EXCL))
			discovery->routes_stale = true;
	} else if (was && !is) {
		rtnl_nexthop_ids_remove(&discovery->nexthops, nexthop.id);
		r = route_table_drop_nexthop(&discovery->routes, nexthop.id);
		/* It may be a member of groups, which are not told of its new device. */
		if (message->nlmsg_type == RTM_NEWNEXTHOP && !nexthop.is_group)
			discovery->routes_stale = true;
	}
	doubt(discovery, r);
}

static void take_message(struct discovery *discovery, const struct nlmsghdr *message)
{
	discovery->changes++;
	switch (message->nlmsg_type) {
	case RTM_NEWLINK:
	case RTM_DELLINK:
		take_link(discovery, message);
		break;
	case RTM_NEWADDR:
	case RTM_DELADDR:
		take_address(discovery, message);
		break;
	case RTM_NEWROUTE:
	case RTM_DELROUTE:
		take_route(discovery, message);
		break;
	case RTM_NEWNEXTHOP:
	case RTM_DELNEXTHOP:
		take_nexthop(discovery, message);
		break;
	}
}

void discovery_listen(struct discovery *discovery)
{
	for (unsigned int i = 0; i < DATAGRAMS_AT_ONCE; i++) {
		ssize_t n = net_changes_receive(discovery->fd, discovery->buffer, DATAGRAM_MAX);
		int left = (int)n;

		if (n == -EAGAIN)
			return;
		if (n < 0) {
			discovery->missed += n == -ENOBUFS;
			discovery->routes_stale = discovery->addresses_stale = true;
			if (n != -ENOBUFS && n != -EMSGSIZE)
				return;
			continue;
		}
		for (const struct nlmsghdr *message = (const void *)discovery->buffer;
		     left >= (int)sizeof(*message) && message->nlmsg_len >= sizeof(*message) &&
		     message->nlmsg_len <= (uint32_t)left;
		     message = mnl_nlmsg_next(message, &left))
			take_message(discovery, message);
	}
}

/* --- reading --- */

static int read_addresses(struct discovery *discovery)
{
	struct rtnl_addresses addresses;
	int r = rtnl_get_addresses(discovery->rtnl, discovery->connected ? 0 : discovery->index, &addresses);

	if (r < 0)
		return r;
	rtnl_addresses_deinit(&discovery->addresses);
	discovery->addresses = addresses;
	discovery->addresses_stale = false;
	discovery->all_changed = true;
	return 0;
}

static int read_routes(struct discovery *discovery)
{
	_cleanup_(rtnl_nexthop_ids_deinit) struct rtnl_nexthop_ids nexthops = {}, old;
	_cleanup_(rtnl_routes_deinit) struct rtnl_routes routes = {};
	bool interrupted = false;
	int r = rtnl_get_nexthops(discovery->rtnl, discovery->index, &nexthops, &interrupted);

	if (r == 0)
		r = rtnl_get_routes(discovery->rtnl, discovery->index, &nexthops, &routes, &interrupted);
	/* What may be incomplete takes nothing away. */
	if (r == 0 && interrupted)
		r = route_table_add(&discovery->routes, &routes);
	else if (r == 0)
		r = route_table_set(&discovery->routes, &routes);
	if (r < 0)
		return r;
	discovery->has_sources = false;
	for (size_t i = 0; i < routes.n; i++)
		discovery->has_sources = discovery->has_sources || routes.items[i].has_source;
	old = discovery->nexthops;
	discovery->nexthops = nexthops;
	nexthops = old;
	old = (struct rtnl_nexthop_ids){};
	discovery->routes_stale = interrupted;
	return 0;
}

int discovery_follow(struct discovery *discovery, struct discovery_changes *ret_changes)
{
	struct discovery_changes changes = {};
	int r = 0;

	discovery_listen(discovery);
	if (discovery->gone)
		return -ENODEV;
	if (discovery->addresses_stale)
		r = read_addresses(discovery);
	discovery->routes_stale = discovery->routes_stale || discovery->routes.uncertain;
	if (r == 0 && discovery->index && discovery->routes_stale &&
	    time_now_boot() >= discovery->read_again_at) {
		int64_t begun = time_now_boot(), ended;

		r = read_routes(discovery);
		ended = time_now_boot();
		discovery->read_again_at = ended + READING_SHARE * (ended - begun);
	}
	if (r == 0)
		r = route_table_take_changes(&discovery->routes, &changes.came, &changes.went);
	if (r < 0)
		return r;
	changes.all = discovery->all_changed;
	discovery->all_changed = false;
	*ret_changes = changes;
	return 0;
}

int discovery_get(struct discovery *discovery, struct route_lists *ret_lists, struct prefix_list *ret_tailnet)
{
	_cleanup_(route_lists_deinit) struct route_lists lists = {};
	_cleanup_(prefix_list_deinit) struct prefix_list tailnet = {};
	int r = route_table_get(&discovery->routes, &lists.routes);

	for (size_t i = 0; r == 0 && i < discovery->addresses.n; ++i) {
		const struct rtnl_address *address = &discovery->addresses.items[i];
		struct prefix own = {.address = address->local,
				     .length = (uint8_t)address_bits(&address->local)};

		if (discovery->index && address->index == discovery->index) {
			r = prefix_list_add(&lists.local_addrs, &own);
			if (r == 0)
				r = prefix_list_add(&tailnet, &address->network);
			/* The network of a point-to-point address is the other side. */
			if (r == 0 && !prefix_contains(&address->network, &address->local))
				r = prefix_list_add(&tailnet, &own);
		} else if (discovery->connected && address->scope < RT_SCOPE_LINK) {
			r = prefix_list_add(&lists.subnet_routes, &address->network);
		}
	}
	if (r < 0)
		return r;
	prefix_list_sort(&lists.local_addrs);
	prefix_list_sort(&lists.subnet_routes);
	prefix_list_sort(&tailnet);
	*ret_lists = lists;
	*ret_tailnet = tailnet;
	lists = (struct route_lists){};
	tailnet = (struct prefix_list){};
	return 0;
}

void discovery_get_counters(const struct discovery *discovery, struct discovery_counters *ret_counters)
{
	*ret_counters = (struct discovery_counters){
		.dumps = rtnl_route_dumps(discovery->rtnl),
		.changes = discovery->changes,
		.missed = discovery->missed,
	};
}
