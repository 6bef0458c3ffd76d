/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* Single rtnetlink messages: a link, an address, a route, a nexthop object (man 7 rtnetlink). No I/O. */

#include "common/address.h"

#include <linux/netlink.h>
#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RTNL_KIND_MAX 16

struct rtnl_link {
	unsigned int index;
	unsigned int master; /* 0: none */
	/* Of a VLAN, macvlan or ipvlan: the interface below it; 0: none, or in another namespace. */
	unsigned int lower;
	uint16_t type;	/* ARPHRD_... */
	uint32_t flags; /* IFF_... */
	char name[IFNAMSIZ];
	char kind[RTNL_KIND_MAX]; /* "wireguard", "tun", "vlan", ...; "" for hardware */
	uint8_t mac[6];		  /* zeros: none, or of another size */
	uint64_t rx_dropped;
	uint64_t tx_dropped;
	uint64_t tx_packets;
};

struct rtnl_address {
	unsigned int index;   /* of the interface */
	struct address local; /* the interface's own */
	/* The network that it connects; of a point-to-point address, the other side's. Masked. */
	struct prefix network;
	uint8_t scope; /* RT_SCOPE_... */
};

struct rtnl_route {
	struct prefix destination;
	unsigned int index; /* of the outgoing interface; 0: none or several */
	uint32_t table;
	uint32_t priority;
	/* ID of its nexthop object; 0: none. With net.ipv4.nexthop_compat_mode = 0 the kernel names no device
	 * beside it. */
	uint32_t nexthop;
	uint8_t type; /* RTN_... */
	uint8_t tos;
	uint8_t hops;	 /* next hops by the wanted interface, 255 at most */
	bool has_source; /* a preferred source address, without which the kernel removes the route */
};

/* A nexthop object (ip-nexthop(8)): one next hop, or a group of them. */
struct rtnl_nexthop {
	uint32_t id;
	unsigned int index; /* of the outgoing interface; 0: none (a group, a blackhole, a bridge's entry) */
	bool is_group;
	const void *members; /* of a group; in the message */
	size_t n_members;
};

/* 0 or -EBADMSG, the output untouched; here and below. */
int rtnl_read_link(const struct nlmsghdr *message, struct rtnl_link *ret_link);
int rtnl_read_address(const struct nlmsghdr *message, struct rtnl_address *ret_address);
/* If the route has several next hops and one of them is the interface `wanted` (0: none), that one is taken.
 */
int rtnl_read_route(const struct nlmsghdr *message, unsigned int wanted, struct rtnl_route *ret_route);
int rtnl_read_nexthop(const struct nlmsghdr *message, struct rtnl_nexthop *ret_nexthop);
/* The ID of a group's member i. */
uint32_t rtnl_nexthop_member(const struct rtnl_nexthop *nexthop, size_t i);
