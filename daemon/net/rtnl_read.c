/* SPDX-License-Identifier: BSD-3-Clause */
/* An attribute of the wrong size, or an impossible value, makes the message invalid. */

#include "daemon/net/rtnl_read.h"

#include "daemon/net/netlink_attributes.h"

#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/nexthop.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <stdbool.h>

/* An address of the message's family. */
static int read_ip(const struct nlattr *attr, int family, struct address *ret_address)
{
	uint8_t bytes[16];

	if (family == AF_INET && netlink_attribute_get(attr, bytes, 4) == 0)
		*ret_address = address_ipv4(bytes);
	else if (family == AF_INET6 && netlink_attribute_get(attr, bytes, 16) == 0)
		*ret_address = address_ipv6(bytes);
	else
		return -EBADMSG;
	return 0;
}

static int read_kind(const struct nlattr *info, struct rtnl_link *link)
{
	struct netlink_attributes attributes = netlink_attributes_in(info);
	const struct nlattr *attr;
	int r;

	while ((r = netlink_attributes_next(&attributes, &attr)) > 0) {
		/* A longer kind is none of those that matter here. */
		if (mnl_attr_get_type(attr) == IFLA_INFO_KIND)
			netlink_attribute_get_text(attr, link->kind, sizeof(link->kind));
	}
	return r;
}

static void read_stats(const struct nlattr *attr, struct rtnl_link *link)
{
	struct rtnl_link_stats64 stats = {};
	size_t length = mnl_attr_get_payload_len(attr);

	/* It has grown with newer kernels. */
	memcpy(&stats, mnl_attr_get_payload(attr), length < sizeof(stats) ? length : sizeof(stats));
	link->rx_dropped = stats.rx_dropped;
	link->tx_dropped = stats.tx_dropped;
	link->tx_packets = stats.tx_packets;
}

int rtnl_read_link(const struct nlmsghdr *message, struct rtnl_link *ret_link)
{
	struct netlink_attributes attributes;
	const struct ifinfomsg *info = mnl_nlmsg_get_payload(message);
	const struct nlattr *attr;
	struct rtnl_link link = {};
	bool foreign = false;
	int r = netlink_attributes_of(message, sizeof(*info), &attributes);

	if (r < 0)
		return r;
	link.index = (unsigned int)info->ifi_index;
	link.type = info->ifi_type;
	link.flags = info->ifi_flags;
	while ((r = netlink_attributes_next(&attributes, &attr)) > 0) {
		switch (mnl_attr_get_type(attr)) {
		case IFLA_IFNAME:
			r = netlink_attribute_get_text(attr, link.name, sizeof(link.name));
			break;
		case IFLA_MASTER:
			r = netlink_attribute_get(attr, &link.master, sizeof(link.master));
			break;
		case IFLA_LINK:
			r = netlink_attribute_get(attr, &link.lower, sizeof(link.lower));
			break;
		case IFLA_ADDRESS:
			/* Sizes vary; only Ethernet's is used. */
			netlink_attribute_get(attr, link.mac, sizeof(link.mac));
			break;
		case IFLA_LINK_NETNSID:
			foreign = true;
			break;
		case IFLA_LINKINFO:
			r = read_kind(attr, &link);
			break;
		case IFLA_STATS64:
			read_stats(attr, &link);
			break;
		}
		if (r < 0)
			return r;
	}
	if (r < 0 || info->ifi_index <= 0)
		return -EBADMSG;
	/* Neither the other end of a veth pair nor a link in another namespace is below this one. */
	if (foreign || strcmp(link.kind, "veth") == 0 || link.lower == link.index)
		link.lower = 0;
	*ret_link = link;
	return 0;
}

int rtnl_read_address(const struct nlmsghdr *message, struct rtnl_address *ret_address)
{
	struct netlink_attributes attributes;
	const struct ifaddrmsg *info = mnl_nlmsg_get_payload(message);
	const struct nlattr *attr;
	struct rtnl_address address = {};
	int r = netlink_attributes_of(message, sizeof(*info), &attributes);

	if (r < 0)
		return r;
	address.index = info->ifa_index;
	address.scope = info->ifa_scope;
	address.network.length = info->ifa_prefixlen;
	while ((r = netlink_attributes_next(&attributes, &attr)) > 0) {
		if (mnl_attr_get_type(attr) == IFA_LOCAL)
			r = read_ip(attr, info->ifa_family, &address.local);
		else if (mnl_attr_get_type(attr) == IFA_ADDRESS)
			r = read_ip(attr, info->ifa_family, &address.network.address);
		if (r < 0)
			return r;
	}
	/* IPv6 sends only one of the two unless the address is point-to-point; IPv4 sends both. */
	if (!address.local.family)
		address.local = address.network.address;
	if (!address.network.address.family)
		address.network.address = address.local;
	if (r < 0 || !address.local.family || address.network.length > address_bits(&address.local))
		return -EBADMSG;
	address.network = prefix_masked(&address.network);
	*ret_address = address;
	return 0;
}

/* RTA_MULTIPATH: next hops one after another, each with its own header. */
static int read_next_hops(const struct nlattr *attr, unsigned int wanted, struct rtnl_route *route)
{
	const char *data = mnl_attr_get_payload(attr);
	size_t left = mnl_attr_get_payload_len(attr);
	struct rtnexthop hop;

	while (left >= sizeof(hop)) {
		size_t size;

		memcpy(&hop, data, sizeof(hop));
		size = MNL_ALIGN((size_t)hop.rtnh_len);
		if (hop.rtnh_len < sizeof(hop) || hop.rtnh_len > left)
			return -EBADMSG;
		if (wanted && (unsigned int)hop.rtnh_ifindex == wanted) {
			route->index = wanted;
			route->hops += route->hops < UINT8_MAX;
		}
		if (size >= left)
			break;
		data += size;
		left -= size;
	}
	return 0;
}

int rtnl_read_route(const struct nlmsghdr *message, unsigned int wanted, struct rtnl_route *ret_route)
{
	static const uint8_t zeros[16];
	struct netlink_attributes attributes;
	const struct rtmsg *info = mnl_nlmsg_get_payload(message);
	const struct nlattr *attr;
	struct rtnl_route route = {};
	int r = netlink_attributes_of(message, sizeof(*info), &attributes);

	if (r < 0)
		return r;
	route.table = info->rtm_table;
	route.type = info->rtm_type;
	route.tos = info->rtm_tos;
	route.destination.length = info->rtm_dst_len;
	/* A default route has no destination. */
	if (info->rtm_family == AF_INET)
		route.destination.address = address_ipv4(zeros);
	else if (info->rtm_family == AF_INET6)
		route.destination.address = address_ipv6(zeros);
	while ((r = netlink_attributes_next(&attributes, &attr)) > 0) {
		switch (mnl_attr_get_type(attr)) {
		case RTA_DST:
			r = read_ip(attr, info->rtm_family, &route.destination.address);
			break;
		case RTA_OIF:
			r = netlink_attribute_get(attr, &route.index, sizeof(route.index));
			break;
		case RTA_TABLE:
			r = netlink_attribute_get(attr, &route.table, sizeof(route.table));
			break;
		case RTA_MULTIPATH:
			r = read_next_hops(attr, wanted, &route);
			break;
		case RTA_PRIORITY:
			r = netlink_attribute_get(attr, &route.priority, sizeof(route.priority));
			break;
		case RTA_NH_ID:
			r = netlink_attribute_get(attr, &route.nexthop, sizeof(route.nexthop));
			break;
		case RTA_PREFSRC:
			route.has_source = true;
			break;
		}
		if (r < 0)
			return r;
	}
	if (r < 0 || !route.destination.address.family ||
	    route.destination.length > address_bits(&route.destination.address))
		return -EBADMSG;
	if (wanted && route.index == wanted && route.hops == 0)
		route.hops = 1;
	*ret_route = route;
	return 0;
}

int rtnl_read_nexthop(const struct nlmsghdr *message, struct rtnl_nexthop *ret_nexthop)
{
	struct netlink_attributes attributes;
	const struct nlattr *attr;
	struct rtnl_nexthop nexthop = {};
	bool carries = true;
	int r = netlink_attributes_of(message, sizeof(struct nhmsg), &attributes);

	if (r < 0)
		return r;
	while ((r = netlink_attributes_next(&attributes, &attr)) > 0) {
		switch (mnl_attr_get_type(attr)) {
		case NHA_ID:
			r = netlink_attribute_get(attr, &nexthop.id, sizeof(nexthop.id));
			break;
		case NHA_OIF:
			r = netlink_attribute_get(attr, &nexthop.index, sizeof(nexthop.index));
			break;
		case NHA_GROUP:
			nexthop.is_group = true;
			nexthop.members = mnl_attr_get_payload(attr);
			nexthop.n_members = mnl_attr_get_payload_len(attr) / sizeof(struct nexthop_grp);
			break;
		case NHA_BLACKHOLE:
		case NHA_FDB:
			carries = false;
			break;
		}
		if (r < 0)
			return r;
	}
	if (r < 0 || !nexthop.id)
		return -EBADMSG;
	if (!carries || nexthop.is_group)
		nexthop.index = 0;
	*ret_nexthop = nexthop;
	return 0;
}

uint32_t rtnl_nexthop_member(const struct rtnl_nexthop *nexthop, size_t i)
{
	struct nexthop_grp member;

	memcpy(&member, (const struct nexthop_grp *)nexthop->members + i, sizeof(member));
	return member.id;
}
