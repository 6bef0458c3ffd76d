/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * What the kernel knows of links, addresses and routes, read by rtnetlink (man 7 rtnetlink) in the network
 * namespace that the handle was made in. Each reading has a deadline of a second; a dump that was interrupted
 * by a change is read again a few times.
 */

#include "common/address.h"
#include "common/cleanup.h"

#include <linux/netlink.h>
#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define RTNL_KIND_MAX 16
/* More than these are not taken: -E2BIG. */
#define RTNL_LIST_MAX (1024 * 1024)

struct rtnl;

/* 0 or -errno. */
int rtnl_new(struct rtnl **ret_rtnl);
void rtnl_free(struct rtnl *rtnl);
DEFINE_CLEANUP(struct rtnl *, rtnl_free);

struct rtnl_link {
	unsigned int index;
	unsigned int master; /* 0: none */
	/* Of a VLAN or macvlan: the interface below it; 0: none, or in another namespace. */
	unsigned int lower;
	uint16_t type;	/* ARPHRD_... */
	uint32_t flags; /* IFF_... */
	char name[IFNAMSIZ];
	char kind[RTNL_KIND_MAX]; /* "wireguard", "tun", "vlan", ...; "" for hardware */
	uint8_t mac[6];		  /* zeros: none, or not of that size */
	uint64_t rx_dropped;
	uint64_t tx_dropped;
};

struct rtnl_address {
	unsigned int index;   /* of the interface */
	struct address local; /* the interface's own */
	/* What is reached by it: of a point-to-point address, the other side's; masked. */
	struct prefix network;
	uint8_t scope; /* RT_SCOPE_... */
};

struct rtnl_route {
	struct prefix destination;
	unsigned int index; /* the interface out of it; 0: none or several */
	uint32_t table;
	uint8_t type; /* RTN_... */
};

/* Lists own their arrays; zero-initialised is empty. */
struct rtnl_addresses {
	struct rtnl_address *items;
	size_t n, allocated;
};
struct rtnl_routes {
	struct rtnl_route *items;
	size_t n, allocated;
};
void rtnl_addresses_deinit(struct rtnl_addresses *addresses);
void rtnl_routes_deinit(struct rtnl_routes *routes);

/* By name, or by index where the name is NULL. 0, -ENODEV, or another -errno. */
int rtnl_get_link(struct rtnl *rtnl, const char *name, unsigned int index, struct rtnl_link *ret_link);
/* All addresses of all interfaces. 0, -E2BIG or another -errno; the list is owned by the caller, here and
 * below. */
int rtnl_get_addresses(struct rtnl *rtnl, struct rtnl_addresses *ret_addresses);
/* The unicast routes out of an interface, of both families, in every table but `local`; of routes with
 * several ways out, those of which one is this. */
int rtnl_get_routes(struct rtnl *rtnl, unsigned int index, struct rtnl_routes *ret_routes);
/* A UDP datagram whose way is asked for. */
struct rtnl_way_query {
	struct address destination;
	struct address source;	   /* none: whatever the kernel chooses */
	uint16_t destination_port; /* 0: none; the same below */
	uint16_t source_port;
	uint32_t mark;
	unsigned int index; /* the interface that it is to leave by; 0: any */
};
/* Which interface it leaves by. 0; -ENETUNREACH and others when no route leads there (out of
 * that interface). */
int rtnl_get_way(struct rtnl *rtnl, const struct rtnl_way_query *query, unsigned int *ret_index);

/* --- Pure functions over one message each, for rtnl.c, link_monitor.c and tests. 0 or -EBADMSG. --- */

int rtnl_read_link(const struct nlmsghdr *message, struct rtnl_link *ret_link);
int rtnl_read_address(const struct nlmsghdr *message, struct rtnl_address *ret_address);
/* wanted: the interface that a route of several ways is asked for; 0: none. */
int rtnl_read_route(const struct nlmsghdr *message, unsigned int wanted, struct rtnl_route *ret_route);
