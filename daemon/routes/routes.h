/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * The routes in force: what the configuration says, or Reconfig in its place, and in mode auto what is found
 * on the machine. A route that goes away still classifies until the window after the change has ended, so
 * that a window always uses the union of the routes at its start and at its end. Used by the logger's thread
 * alone.
 */

#include "common/cleanup.h"
#include "common/config/config.h"

#include <stdbool.h>
#include <stddef.h>

enum route_list_kind {
	ROUTE_LIST_LOCAL_ADDRS,
	ROUTE_LIST_ROUTES,
	ROUTE_LIST_SUBNET_ROUTES,
	ROUTE_LIST_TAILNET,
	N_ROUTE_LISTS
};

/* "localAddrs", "routes", "subnetRoutes", "tailnet" */
const char *route_list_name(enum route_list_kind kind);

/* Where a prefix comes from: any of these; none when it was removed and only lingers. */
#define ROUTE_ORIGIN_CONFIGURED	  1U
#define ROUTE_ORIGIN_RECONFIGURED 2U
#define ROUTE_ORIGIN_FOUND	  4U /* by the interface, the kernel's routes, or the connected networks */
#define ROUTE_ORIGIN_FOUND_PEER	  8U /* among the peers' allowed IPs */

struct routes;
struct routing;

/* Begins with the configured lists and tailnet ranges. 0 or -ENOMEM. */
int routes_new(const struct config *config, struct routes **ret_routes);
void routes_free(struct routes *routes);
DEFINE_CLEANUP(struct routes *, routes_free);

/*
 * The three ways in which routes change. Each replaces what came by the same way before; lists are copied. 0,
 * or -ENOMEM with nothing changed.
 */

/* Reload: the configuration's lists, ranges and mode; those of Reconfig end. */
int routes_set_configured(struct routes *routes, const struct config *config);
/* Reconfig: these lists in place of the configured ones, until the next Reconfig or Reload. The logger's
 * thread extracts and classifies before it calls this. */
int routes_reconfigure(struct routes *routes, const struct route_lists *lists);
/* What is on the machine now, the peers' allowed IPs, which are routes, and the tailnet ranges that follow
 * from both (these two may be NULL). In mode static only the subnet routes are taken, for the
 * configured word "connected". Called at a window's start and at its end, before the window is classified. */
int routes_set_found(struct routes *routes, const struct route_lists *lists,
		     const struct prefix_list *allowed_ips, const struct prefix_list *tailnet);

/* Of what is on the machine, only single routes by the tunnel came and went; sorted. In mode static nothing.
 */
int routes_change_found(struct routes *routes, const struct prefix_list *came,
			const struct prefix_list *went);

/* A window has ended and is classified: what was removed in the window before it is dropped. */
void routes_end_window(struct routes *routes);
/* The logger starts: what was removed cannot matter to any window. */
void routes_begin(struct routes *routes);

/*
 * The routing in force, rebuilt if something has changed; borrowed until the next call. Without memory for
 * it, the one before stays. Never NULL.
 */
const struct routing *routes_current(struct routes *routes);
/* This machine's addresses in the tunnel, sorted; borrowed until the next change. */
const struct prefix_list *routes_local_addrs(const struct routes *routes);

struct route_entry {
	enum route_list_kind list;
	struct prefix prefix; /* without host bits; a local address as a single address */
	unsigned int origins; /* ROUTE_*; 0: removed, but still classifies for a while */
};

/* Calls entry() for each prefix, by list, sorted; then for the networks that routes_current() has added to
 * the tailnet ranges. */
void routes_foreach(const struct routes *routes,
		    void (*entry)(const struct route_entry *entry, void *userdata), void *userdata);
size_t routes_count(const struct routes *routes);
/* In one list. */
size_t routes_count_of(const struct routes *routes, enum route_list_kind kind);
/* Whether the lists of Reconfig are in place of the configured ones. */
bool routes_are_reconfigured(const struct routes *routes);
