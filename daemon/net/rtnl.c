/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A dump names what it wants, and a kernel with strict checking (4.20) sends only that; what an older one
 * sends in addition is dropped here. So a machine with a million routes costs little.
 */

#include "daemon/net/rtnl.h"

#include "daemon/net/netlink.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/if_addr.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <string.h>

#define TIMEOUT_MS 1000
#define TRIES	   4

struct rtnl {
	struct netlink *netlink;
};

int rtnl_new(struct rtnl **ret_rtnl)
{
	_cleanup_(rtnl_freep) struct rtnl *rtnl = calloc(1, sizeof(*rtnl));
	int r = rtnl ? netlink_new(NETLINK_ROUTE, &rtnl->netlink) : -ENOMEM;

	if (r < 0)
		return r;
	*ret_rtnl = TAKE_PTR(rtnl);
	return 0;
}

void rtnl_free(struct rtnl *rtnl)
{
	if (!rtnl)
		return;
	netlink_free(rtnl->netlink);
	free(rtnl);
}

void rtnl_addresses_deinit(struct rtnl_addresses *addresses)
{
	free(addresses->items);
	*addresses = (struct rtnl_addresses){};
}

void rtnl_routes_deinit(struct rtnl_routes *routes)
{
	free(routes->items);
	*routes = (struct rtnl_routes){};
}

/* Makes room for one more item of this size. 0, -E2BIG or -ENOMEM. */
static int reserve(void **items, size_t n, size_t *allocated, size_t size)
{
	size_t wanted = *allocated ? *allocated * 2 : 16;
	void *larger;

	if (n < *allocated)
		return 0;
	if (n >= RTNL_LIST_MAX)
		return -E2BIG;
	larger = reallocarray(*items, wanted, size);
	if (!larger)
		return -ENOMEM;
	*items = larger;
	*allocated = wanted;
	return 0;
}

static void *put_request(char *buffer, uint16_t type, uint16_t flags, size_t header,
			 struct nlmsghdr **ret_message)
{
	struct nlmsghdr *message = mnl_nlmsg_put_header(buffer);

	message->nlmsg_type = type;
	message->nlmsg_flags = NLM_F_REQUEST | flags;
	*ret_message = message;
	return mnl_nlmsg_put_extra_header(message, header);
}

/* Reads a whole list; starts over, after `empty`, when it changed meanwhile. After the last try the list is
 * kept all the same: one that changes all the time is better than none. */
static int dump(struct rtnl *rtnl, struct nlmsghdr *request, netlink_message_fn message,
		void (*empty)(void *), void *list)
{
	bool interrupted = true;
	int r = 0;

	for (unsigned int i = 0; i < TRIES && interrupted && r == 0; ++i) {
		empty(list);
		r = netlink_request(rtnl->netlink, request, TIMEOUT_MS, message, list, &interrupted);
	}
	return r;
}

/* --- links --- */

static int take_link(const struct nlmsghdr *message, void *userdata)
{
	return message->nlmsg_type == RTM_NEWLINK ? rtnl_read_link(message, userdata) : -EBADMSG;
}

int rtnl_get_link(struct rtnl *rtnl, const char *name, unsigned int index, struct rtnl_link *ret_link)
{
	char buffer[NETLINK_REQUEST_MAX] __attribute__((aligned(8)));
	struct nlmsghdr *request;
	struct ifinfomsg *info = put_request(buffer, RTM_GETLINK, 0, sizeof(*info), &request);

	if (name && (!*name || strlen(name) >= IFNAMSIZ))
		return -ENODEV;
	if (name)
		mnl_attr_put_strz(request, IFLA_IFNAME, name);
	else
		info->ifi_index = (int)index;
	return netlink_request(rtnl->netlink, request, TIMEOUT_MS, take_link, ret_link, NULL);
}

/* --- addresses --- */

static void empty_addresses(void *list)
{
	((struct rtnl_addresses *)list)->n = 0;
}

static int add_address(const struct nlmsghdr *message, void *userdata)
{
	struct rtnl_addresses *addresses = userdata;
	const struct ifaddrmsg *info = mnl_nlmsg_get_payload(message);
	int r;

	if (message->nlmsg_type != RTM_NEWADDR || mnl_nlmsg_get_payload_len(message) < sizeof(*info))
		return -EBADMSG;
	if (info->ifa_family != AF_INET && info->ifa_family != AF_INET6)
		return 0;
	r = reserve((void **)&addresses->items, addresses->n, &addresses->allocated,
		    sizeof(*addresses->items));
	if (r == 0)
		r = rtnl_read_address(message, &addresses->items[addresses->n]);
	if (r == 0)
		++addresses->n;
	return r;
}

int rtnl_get_addresses(struct rtnl *rtnl, struct rtnl_addresses *ret_addresses)
{
	char buffer[NETLINK_REQUEST_MAX] __attribute__((aligned(8)));
	_cleanup_(rtnl_addresses_deinit) struct rtnl_addresses addresses = {};
	struct nlmsghdr *request;
	int r;

	put_request(buffer, RTM_GETADDR, NLM_F_DUMP, sizeof(struct ifaddrmsg), &request);
	r = dump(rtnl, request, add_address, empty_addresses, &addresses);
	if (r < 0)
		return r;
	*ret_addresses = addresses;
	addresses = (struct rtnl_addresses){};
	return 0;
}

/* --- routes --- */

struct route_query {
	unsigned int index;
	struct rtnl_routes *routes;
	size_t before; /* routes of the other family, which has been read already */
};

static void empty_routes(void *userdata)
{
	struct route_query *query = userdata;

	query->routes->n = query->before;
}

static int add_route(const struct nlmsghdr *message, void *userdata)
{
	struct route_query *query = userdata;
	struct rtnl_routes *routes = query->routes;
	const struct rtmsg *info = mnl_nlmsg_get_payload(message);
	struct rtnl_route route;
	int r;

	if (message->nlmsg_type != RTM_NEWROUTE || mnl_nlmsg_get_payload_len(message) < sizeof(*info))
		return -EBADMSG;
	/* Cloned routes are the kernel's cache; bridges and others have routes in families of their own. */
	if (info->rtm_flags & RTM_F_CLONED || (info->rtm_family != AF_INET && info->rtm_family != AF_INET6))
		return 0;
	r = rtnl_read_route(message, query->index, &route);
	if (r < 0)
		return r;
	if (route.index != query->index || route.table == RT_TABLE_LOCAL || route.type != RTN_UNICAST)
		return 0;
	r = reserve((void **)&routes->items, routes->n, &routes->allocated, sizeof(*routes->items));
	if (r == 0)
		routes->items[routes->n++] = route;
	return r;
}

static int get_routes(struct rtnl *rtnl, int family, struct route_query *query)
{
	char buffer[NETLINK_REQUEST_MAX] __attribute__((aligned(8)));
	struct nlmsghdr *request;
	struct rtmsg *info = put_request(buffer, RTM_GETROUTE, NLM_F_DUMP, sizeof(*info), &request);

	info->rtm_family = (unsigned char)family;
	query->before = query->routes->n;
	if (netlink_is_strict(rtnl->netlink)) {
		info->rtm_type = RTN_UNICAST;
		mnl_attr_put_u32(request, RTA_OIF, query->index);
	}
	return dump(rtnl, request, add_route, empty_routes, query);
}

int rtnl_get_routes(struct rtnl *rtnl, unsigned int index, struct rtnl_routes *ret_routes)
{
	_cleanup_(rtnl_routes_deinit) struct rtnl_routes routes = {};
	struct route_query query = {.index = index, .routes = &routes};
	int r = index ? get_routes(rtnl, AF_INET, &query) : -EINVAL;

	if (r == 0)
		r = get_routes(rtnl, AF_INET6, &query);
	/* A kernel without IPv6. */
	if (r == -EAFNOSUPPORT || r == -EOPNOTSUPP)
		r = 0;
	if (r < 0)
		return r;
	*ret_routes = routes;
	routes = (struct rtnl_routes){};
	return 0;
}

struct device_query {
	unsigned int wanted; /* 0: any */
	unsigned int index;
};

static int take_device(const struct nlmsghdr *message, void *userdata)
{
	struct device_query *query = userdata;
	struct rtnl_route route;
	int r = message->nlmsg_type == RTM_NEWROUTE ? rtnl_read_route(message, query->wanted, &route)
						    : -EBADMSG;

	if (r < 0)
		return r;
	/* "unreachable" and "blackhole" are routes too. */
	if (!route.index || (route.type != RTN_UNICAST && route.type != RTN_LOCAL) ||
	    (query->wanted && route.index != query->wanted))
		return -ENETUNREACH;
	query->index = route.index;
	return 0;
}

static void put_address(struct nlmsghdr *request, uint16_t type, const struct address *address)
{
	mnl_attr_put(request, type, address_bits(address) / 8U, address->bytes);
}

int rtnl_find_device(struct rtnl *rtnl, const struct rtnl_datagram *datagram, unsigned int *ret_index)
{
	char buffer[NETLINK_REQUEST_MAX] __attribute__((aligned(8)));
	struct device_query query = {.wanted = datagram->device};
	struct nlmsghdr *request;
	struct rtmsg *info = put_request(buffer, RTM_GETROUTE, 0, sizeof(*info), &request);
	int r;

	if (!datagram->destination.family)
		return -EINVAL;
	info->rtm_family = datagram->destination.family == ADDRESS_IPV4 ? AF_INET : AF_INET6;
	info->rtm_dst_len = (unsigned char)address_bits(&datagram->destination);
	put_address(request, RTA_DST, &datagram->destination);
	if (datagram->source.family) {
		info->rtm_src_len = info->rtm_dst_len;
		put_address(request, RTA_SRC, &datagram->source);
	}
	mnl_attr_put_u8(request, RTA_IP_PROTO, IPPROTO_UDP);
	if (datagram->source_port)
		mnl_attr_put_u16(request, RTA_SPORT, htons(datagram->source_port));
	if (datagram->destination_port)
		mnl_attr_put_u16(request, RTA_DPORT, htons(datagram->destination_port));
	if (datagram->mark)
		mnl_attr_put_u32(request, RTA_MARK, datagram->mark);
	if (datagram->device) {
		/* Otherwise the kernel assumes that a destination without a route is on the link. */
		info->rtm_flags = RTM_F_FIB_MATCH;
		mnl_attr_put_u32(request, RTA_OIF, datagram->device);
	}
	r = netlink_request(rtnl->netlink, request, TIMEOUT_MS, take_device, &query, NULL);
	if (r == 0)
		*ret_index = query.index;
	return r;
}
