/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * Routes mode `auto`: a tunnel's addresses and routes as the machine itself knows them, in the form of the
 * three lists. They are read once, and from then on follow the kernel's notifications; what does not concern
 * the tunnel costs nothing. Only when notifications were lost, or do not say enough, everything is read
 * again, and never so often that this takes more than a hundredth of the time.
 */

#include "common/address.h"
#include "common/cleanup.h"
#include "common/config/config.h"

#include <stdbool.h>
#include <stdint.h>

struct discovery;

/*
 * Follows an interface (NULL: none), and with `connected` the networks of the machine's other interfaces. The
 * first discovery_follow() reads what there is. 0; -ENODEV when the interface does not exist; another -errno.
 */
int discovery_new(const char *interface, bool connected, struct discovery **ret_discovery);
void discovery_free(struct discovery *discovery);
DEFINE_CLEANUP(struct discovery *, discovery_free);

/* Whether it follows this. */
bool discovery_is_of(const struct discovery *discovery, const char *interface, bool connected);

/* Readable when the kernel has reported a change: call discovery_listen(). */
int discovery_fd(const struct discovery *discovery);
/* Takes the notifications that are there, without reading anything else. */
void discovery_listen(struct discovery *discovery);

/* What changed since the last discovery_follow(). Zero-initialised is nothing. */
struct discovery_changes {
	bool all; /* more than single routes: call discovery_get() */
	/* Otherwise: destinations of routes by the interface that came and went; sorted. */
	struct prefix_list came;
	struct prefix_list went;
};
void discovery_changes_deinit(struct discovery_changes *changes);

/*
 * Takes the notifications that are there, and reads what they do not tell. 0; -ENODEV when the interface is
 * gone or has another name: free the discovery. Another -errno when something could not be read: what was
 * known stays, and the next call tries again.
 */
int discovery_follow(struct discovery *discovery, struct discovery_changes *ret_changes);

/*
 * The lists, sorted, each prefix once. local_addrs: the interface's addresses. routes: the kernel's unicast
 * routes through it (in every table but `local`). subnet_routes: with `connected`, the networks of the
 * machine's other interfaces, except loopback and link-local ones. *ret_tailnet: the interface's subnets,
 * which join the tailnet ranges. The outputs are owned by the caller. 0 or -ENOMEM.
 */
int discovery_get(struct discovery *discovery, struct route_lists *ret_lists,
		  struct prefix_list *ret_tailnet);

/* Since it was made. */
struct discovery_counters {
	uint64_t dumps;	  /* times that the kernel's routes of a family were read */
	uint64_t changes; /* notifications taken */
	uint64_t missed;  /* times that the kernel had to drop some */
};
void discovery_get_counters(const struct discovery *discovery, struct discovery_counters *ret_counters);
