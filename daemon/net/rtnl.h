/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * The kernel's links, addresses and routes, in the network namespace in which the handle was made. Each
 * request has a deadline of a second; a dump that was interrupted by a change is repeated a few times.
 */

#include "common/address.h"
#include "common/cleanup.h"
#include "daemon/net/rtnl_read.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Longer lists are refused: -E2BIG. */
#define RTNL_LIST_MAX (1024 * 1024)

struct rtnl;

/* 0 or -errno. */
int rtnl_new(struct rtnl **ret_rtnl);
void rtnl_free(struct rtnl *rtnl);
DEFINE_CLEANUP(struct rtnl *, rtnl_free);

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

/* By name, or by index if the name is NULL. 0, -ENODEV, or another -errno. */
int rtnl_get_link(struct rtnl *rtnl, const char *name, unsigned int index, struct rtnl_link *ret_link);
/* The addresses of an interface, or of all (0). 0; -E2BIG; -EAGAIN: they changed during every try, so some
 * may be missing; or another -errno. The list is owned by the caller, here and below. */
int rtnl_get_addresses(struct rtnl *rtnl, unsigned int index, struct rtnl_addresses *ret_addresses);

/* IDs of nexthop objects, sorted. Zero-initialised is empty. */
struct rtnl_nexthop_ids {
	uint32_t *items;
	size_t n, allocated;
};
void rtnl_nexthop_ids_deinit(struct rtnl_nexthop_ids *ids);
bool rtnl_nexthop_ids_hold(const struct rtnl_nexthop_ids *ids, uint32_t id);
/* Adds or removes an ID. 0 or -ENOMEM. */
int rtnl_nexthop_ids_add(struct rtnl_nexthop_ids *ids, uint32_t id);
void rtnl_nexthop_ids_remove(struct rtnl_nexthop_ids *ids, uint32_t id);

/*
 * The nexthop objects that leave by this interface, and the groups of which one is a member. Empty on a
 * kernel without nexthop objects (before 5.3). *ret_interrupted: the kernel's list changed during every
 * attempt to read it, so that some may be missing; here and below.
 */
int rtnl_get_nexthops(struct rtnl *rtnl, unsigned int index, struct rtnl_nexthop_ids *ret_ids,
		      bool *ret_interrupted);
/*
 * The unicast routes of both families that leave by this interface, or have it as one of several next hops,
 * or use one of these nexthop objects (NULL: none), in every table but `local`.
 */
int rtnl_get_routes(struct rtnl *rtnl, unsigned int index, const struct rtnl_nexthop_ids *nexthops,
		    struct rtnl_routes *ret_routes, bool *ret_interrupted);
/*
 * Whether a message (RTM_NEWROUTE, RTM_DELROUTE) is of such a route, which is stored in *ret_route. 1, 0, or
 * -EBADMSG. Of a route that is not, destination, table, priority and tos are stored all the same.
 */
int rtnl_route_is_by(const struct nlmsghdr *message, unsigned int index,
		     const struct rtnl_nexthop_ids *nexthops, struct rtnl_route *ret_route);
/* How often routes were dumped since the start, of either family. */
uint64_t rtnl_route_dumps(const struct rtnl *rtnl);

/* A UDP datagram that is to be routed. */
struct rtnl_datagram {
	struct address destination;
	struct address source;	   /* none: the kernel chooses */
	uint16_t destination_port; /* 0: none; the same below */
	uint16_t source_port;
	uint32_t mark;
	unsigned int device; /* index of the interface that it must leave by; 0: any */
};
/* The index of the interface by which the kernel would send this datagram. 0; -ENETUNREACH or another -errno
 * when there is no route (by that interface). */
int rtnl_find_device(struct rtnl *rtnl, const struct rtnl_datagram *datagram, unsigned int *ret_index);
