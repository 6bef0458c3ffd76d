/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* Keeps notifications that cannot concern an interface from a netlink socket, so that those of a router with
 * hundreds of thousands of other routes cost nothing. */

#include <stdbool.h>

/*
 * Lets through, of links and routes: those of this interface (0: none), and what replaces a route, since the
 * kernel does not say what it led to; routes with several next hops and those that name only a nexthop
 * object; new addresses of the interface (with every_address: of all), and all that went; everything else.
 * 0 or -errno.
 */
int route_filter_attach(int fd, unsigned int index, bool every_address);
