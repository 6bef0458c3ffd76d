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
#include <linux/nexthop.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <string.h>

#define TIMEOUT_MS 1000
#define TRIES	   4
/* Further members of a group of nexthop objects are not asked about. */
#define GROUP_MAX 64

struct rtnl {
	struct netlink *netlink;
	uint64_t route_dumps;
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
 * kept, and *ret_interrupted (may be NULL) says that something may be missing. */
static int dump(struct rtnl *rtnl, struct nlmsghdr *request, netlink_message_fn message,
		void (*empty)(void *), void *list, bool *ret_interrupted)
{
	bool interrupted = true;
	int r = 0;

	for (unsigned int i = 0; i < TRIES && interrupted && r == 0; ++i) {
		empty(list);
		if (request->nlmsg_type == RTM_GETROUTE)
			rtnl->route_dumps++;
		r = netlink_request(rtnl->netlink, request, TIMEOUT_MS, message, list, &interrupted);
	}
	if (r == 0 && ret_interrupted)
		*ret_interrupted = *ret_interrupted || interrupted;
	return r;
}

uint64_t rtnl_route_dumps(const struct rtnl *rtnl)
{
	return rtnl->route_dumps;
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

int rtnl_get_addresses(struct rtnl *rtnl, unsigned int index, struct rtnl_addresses *ret_addresses)
{
	char buffer[NETLINK_REQUEST_MAX] __attribute__((aligned(8)));
	_cleanup_(rtnl_addresses_deinit) struct rtnl_addresses addresses = {};
	struct nlmsghdr *request;
	struct ifaddrmsg *info = put_request(buffer, RTM_GETADDR, NLM_F_DUMP, sizeof(*info), &request);
	bool interrupted = false;
	size_t kept = 0;
	int r;

	if (netlink_is_strict(rtnl->netlink))
		info->ifa_index = index;
	r = dump(rtnl, request, add_address, empty_addresses, &addresses, &interrupted);
	if (r == 0 && interrupted)
		r = -EAGAIN;
	if (r < 0)
		return r;
	for (size_t i = 0; i < addresses.n; i++)
		if (index == 0 || addresses.items[i].index == index)
			addresses.items[kept++] = addresses.items[i];
	addresses.n = kept;
	*ret_addresses = addresses;
	addresses = (struct rtnl_addresses){};
	return 0;
}

/* --- nexthop objects --- */

void rtnl_nexthop_ids_deinit(struct rtnl_nexthop_ids *ids)
{
	free(ids->items);
	*ids = (struct rtnl_nexthop_ids){};
}

/* The place of an ID, or where it belongs. */
static size_t find_nexthop(const struct rtnl_nexthop_ids *ids, uint32_t id)
{
	size_t low = 0, high = ids->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (ids->items[middle] < id)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

bool rtnl_nexthop_ids_hold(const struct rtnl_nexthop_ids *ids, uint32_t id)
{
	size_t i = find_nexthop(ids, id);

	return i < ids->n && ids->items[i] == id;
}

int rtnl_nexthop_ids_add(struct rtnl_nexthop_ids *ids, uint32_t id)
{
	size_t i = find_nexthop(ids, id);
	int r;

	if (i < ids->n && ids->items[i] == id)
		return 0;
	r = reserve((void **)&ids->items, ids->n, &ids->allocated, sizeof(*ids->items));
	if (r < 0)
		return r;
	memmove(&ids->items[i + 1], &ids->items[i], (ids->n - i) * sizeof(*ids->items));
	ids->items[i] = id;
	ids->n++;
	return 0;
}

void rtnl_nexthop_ids_remove(struct rtnl_nexthop_ids *ids, uint32_t id)
{
	size_t i = find_nexthop(ids, id);

	if (i == ids->n || ids->items[i] != id)
		return;
	ids->n--;
	memmove(&ids->items[i], &ids->items[i + 1], (ids->n - i) * sizeof(*ids->items));
}

struct nexthop_query {
	unsigned int index;
	struct rtnl_nexthop_ids *ids;
	bool groups; /* the second dump looks for groups of what the first one found */
};

/* What a try before this one has added stays: an ID too many costs nothing but time. */
static void empty_nexthops(void *userdata)
{
	(void)userdata;
}

static int add_nexthop(const struct nlmsghdr *message, void *userdata)
{
	struct nexthop_query *query = userdata;
	struct rtnl_nexthop nexthop;
	int r = message->nlmsg_type == RTM_NEWNEXTHOP ? rtnl_read_nexthop(message, &nexthop) : -EBADMSG;

	if (r < 0)
		return r;
	if (!query->groups)
		return nexthop.index == query->index ? rtnl_nexthop_ids_add(query->ids, nexthop.id) : 0;
	for (size_t i = 0; i < nexthop.n_members; i++)
		if (rtnl_nexthop_ids_hold(query->ids, rtnl_nexthop_member(&nexthop, i)))
			return rtnl_nexthop_ids_add(query->ids, nexthop.id);
	return 0;
}

int rtnl_get_nexthops(struct rtnl *rtnl, unsigned int index, struct rtnl_nexthop_ids *ret_ids,
		      bool *ret_interrupted)
{
	_cleanup_(rtnl_nexthop_ids_deinit) struct rtnl_nexthop_ids ids = {};
	struct nexthop_query query = {.index = index, .ids = &ids};

	/* Members first: a group may have a lower ID than they. */
	for (int pass = 0; pass < 2 && (pass == 0 || ids.n > 0); pass++) {
		char buffer[NETLINK_REQUEST_MAX] __attribute__((aligned(8)));
		struct nlmsghdr *request;
		int r;

		query.groups = pass == 1;
		put_request(buffer, RTM_GETNEXTHOP, NLM_F_DUMP, sizeof(struct nhmsg), &request);
		if (query.groups)
			mnl_attr_put(request, NHA_GROUPS, 0, NULL);
		else
			mnl_attr_put_u32(request, NHA_OIF, index);
		r = dump(rtnl, request, add_nexthop, empty_nexthops, &query, ret_interrupted);
		if (r == -EOPNOTSUPP)
			break;
		if (r < 0)
			return r;
	}
	*ret_ids = ids;
	ids = (struct rtnl_nexthop_ids){};
	return 0;
}

/* --- routes --- */

int rtnl_route_is_by(const struct nlmsghdr *message, unsigned int index,
		     const struct rtnl_nexthop_ids *nexthops, struct rtnl_route *ret_route)
{
	const struct rtmsg *info = mnl_nlmsg_get_payload(message);
	int r;

	if (mnl_nlmsg_get_payload_len(message) < sizeof(*info))
		return -EBADMSG;
	/* Cloned routes are the kernel's cache; bridges and others have routes in families of their own. */
	*ret_route = (struct rtnl_route){};
	if (info->rtm_flags & RTM_F_CLONED || (info->rtm_family != AF_INET && info->rtm_family != AF_INET6))
		return 0;
	r = rtnl_read_route(message, index, ret_route);
	if (r < 0)
		return r;
	if (ret_route->table == RT_TABLE_LOCAL || ret_route->type != RTN_UNICAST)
		return 0;
	return ret_route->index == index ||
	       (ret_route->nexthop && nexthops && rtnl_nexthop_ids_hold(nexthops, ret_route->nexthop));
}

struct route_query {
	unsigned int index;
	unsigned char family;
	const struct rtnl_nexthop_ids *nexthops;
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
	int r = message->nlmsg_type == RTM_NEWROUTE
			? rtnl_route_is_by(message, query->index, query->nexthops, &route)
			: -EBADMSG;

	if (r <= 0)
		return r;
	/* Asked for a family that it lacks, the kernel answers with all that it has. */
	if (info->rtm_family != query->family)
		return 0;
	r = reserve((void **)&routes->items, routes->n, &routes->allocated, sizeof(*routes->items));
	if (r == 0)
		routes->items[routes->n++] = route;
	return r;
}

static int get_routes(struct rtnl *rtnl, unsigned char family, struct route_query *query,
		      bool *ret_interrupted)
{
	char buffer[NETLINK_REQUEST_MAX] __attribute__((aligned(8)));
	struct nlmsghdr *request;
	struct rtmsg *info = put_request(buffer, RTM_GETROUTE, NLM_F_DUMP, sizeof(*info), &request);

	info->rtm_family = query->family = family;
	query->before = query->routes->n;
	/* The kernel looks into nexthop objects, too. */
	if (netlink_is_strict(rtnl->netlink)) {
		info->rtm_type = RTN_UNICAST;
		mnl_attr_put_u32(request, RTA_OIF, query->index);
	}
	return dump(rtnl, request, add_route, empty_routes, query, ret_interrupted);
}

int rtnl_get_routes(struct rtnl *rtnl, unsigned int index, const struct rtnl_nexthop_ids *nexthops,
		    struct rtnl_routes *ret_routes, bool *ret_interrupted)
{
	_cleanup_(rtnl_routes_deinit) struct rtnl_routes routes = {};
	struct route_query query = {.index = index, .nexthops = nexthops, .routes = &routes};
	int r = index ? get_routes(rtnl, AF_INET, &query, ret_interrupted) : -EINVAL;

	if (r == 0)
		r = get_routes(rtnl, AF_INET6, &query, ret_interrupted);
	/* A kernel without IPv6. */
	if (r == -EAFNOSUPPORT || r == -EOPNOTSUPP)
		r = 0;
	if (r < 0)
		return r;
	*ret_routes = routes;
	routes = (struct rtnl_routes){};
	return 0;
}

/* A nexthop object; of a group, the members. */
struct nexthop_object {
	unsigned int index; /* 0: leads nowhere, or a group */
	uint32_t members[GROUP_MAX];
	size_t n_members;
};

static int take_object(const struct nlmsghdr *message, void *userdata)
{
	struct nexthop_object *object = userdata;
	struct rtnl_nexthop nexthop;
	int r = message->nlmsg_type == RTM_NEWNEXTHOP ? rtnl_read_nexthop(message, &nexthop) : -EBADMSG;

	if (r < 0)
		return r;
	object->index = nexthop.index;
	object->n_members = MIN(nexthop.n_members, ARRAY_SIZE(object->members));
	for (size_t i = 0; i < object->n_members; i++)
		object->members[i] = rtnl_nexthop_member(&nexthop, i);
	return 0;
}

static int get_object(struct rtnl *rtnl, uint32_t id, struct nexthop_object *ret_object)
{
	char buffer[NETLINK_REQUEST_MAX] __attribute__((aligned(8)));
	struct nlmsghdr *request;

	put_request(buffer, RTM_GETNEXTHOP, 0, sizeof(struct nhmsg), &request);
	mnl_attr_put_u32(request, NHA_ID, id);
	return netlink_request(rtnl->netlink, request, TIMEOUT_MS, take_object, ret_object, NULL);
}

/* 0 if this object or a member of it leads to the wanted device; else -ENETUNREACH or another -errno. */
static int ask_object(struct rtnl *rtnl, uint32_t id, unsigned int wanted)
{
	struct nexthop_object object = {}, member = {};
	int r = get_object(rtnl, id, &object);
	bool found = object.index == wanted;

	/* A group has no groups in it. */
	for (size_t i = 0; r == 0 && !found && i < object.n_members; i++) {
		r = get_object(rtnl, object.members[i], &member);
		found = member.index == wanted;
	}
	return r < 0 ? r : found ? 0 : -ENETUNREACH;
}

struct device_query {
	unsigned int wanted; /* 0: any */
	unsigned int index;
	uint32_t nexthop; /* with `wanted`: the answer names only this object */
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
	if (route.type != RTN_UNICAST && route.type != RTN_LOCAL)
		return -ENETUNREACH;
	/* So it is with net.ipv4.nexthop_compat_mode=0. */
	if (query->wanted && !route.index && route.nexthop) {
		query->nexthop = route.nexthop;
		return 0;
	}
	if (!route.index || (query->wanted && route.index != query->wanted))
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
	if (r == 0 && query.nexthop) {
		query.index = query.wanted;
		r = ask_object(rtnl, query.nexthop, query.wanted);
	}
	if (r == 0)
		*ret_index = query.index;
	return r;
}
