/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * Routes mode `auto`: what the machine itself knows of a tunnel's addresses and routes, in the form of the
 * three lists.
 */

#include "common/address.h"
#include "common/config/config.h"

#include <stdbool.h>

/*
 * What is found for an interface, sorted, each prefix once:
 * local_addrs: the interface's addresses. routes: the kernel's unicast routes through it (every table but
 * `local`). subnet_routes: with `connected`, the networks of the machine's other interfaces, but for loopback
 * and link-local ones. *ret_tailnet: the interface's subnets and, of the peers' allowed IPs (may be NULL),
 * the single addresses, which join the tailnet ranges.
 *
 * 0; -ENODEV without that interface (interface NULL: no interface is looked at, the rest is); another
 * -errno. The outputs are untouched unless 0 is returned, and owned by the caller.
 */
int discover_routes(const char *interface, const struct prefix_list *allowed_ips, bool connected,
		    struct route_lists *ret_lists, struct prefix_list *ret_tailnet);
