/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* Single rtnetlink messages: a link, an address, a route (man 7 rtnetlink). No I/O. */

#include "common/address.h"

#include <linux/netlink.h>
#include <net/if.h>
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
	uint8_t type; /* RTN_... */
};

/* 0 or -EBADMSG, the output untouched; here and below. */
int rtnl_read_link(const struct nlmsghdr *message, struct rtnl_link *ret_link);
int rtnl_read_address(const struct nlmsghdr *message, struct rtnl_address *ret_address);
/* If the route has several next hops and one of them is the interface `wanted` (0: none), that one is taken.
 */
int rtnl_read_route(const struct nlmsghdr *message, unsigned int wanted, struct rtnl_route *ret_route);
