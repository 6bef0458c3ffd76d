/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * Routes mode `auto`: a tunnel's addresses and routes as the machine itself knows them, in the form of the
 * three lists.
 */

#include "common/address.h"
#include "common/config/config.h"

#include <stdbool.h>

/*
 * Reads the lists for an interface, sorted, each prefix once. local_addrs: the interface's addresses. routes:
 * the kernel's unicast routes through it (in every table but `local`). subnet_routes: with `connected`, the
 * networks of the machine's other interfaces, except loopback and link-local ones. *ret_tailnet: prefixes
 * that join the tailnet ranges: the interface's subnets, and the single addresses among the peers' allowed
 * IPs (may be NULL).
 *
 * Without an interface (NULL), only subnet_routes and the allowed IPs. 0; -ENODEV when the interface does not
 * exist; another -errno. The outputs are untouched on failure, and owned by the caller.
 */
int discover_routes(const char *interface, const struct prefix_list *allowed_ips, bool connected,
		    struct route_lists *ret_lists, struct prefix_list *ret_tailnet);
