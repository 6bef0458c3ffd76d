/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * From one reading of a tailnet's nodes to the next: what their counters moved by, by which path, and what is
 * worth an event. No I/O and no clock, so that every case can be tested.
 */

#include "daemon/device/tailscale/nodes.h"

#include <stdbool.h>
#include <stdint.h>

/* As for WireGuard: a session ends after 180 s without a handshake. */
#define TAILSCALE_SILENT_AFTER (INT64_C(180) * 1000000000)

enum tailscale_step {
	TAILSCALE_STEP_BASELINE, /* counters count from here */
	TAILSCALE_STEP_GO_ON,
	TAILSCALE_STEP_RESTARTED, /* another tailscaled: its counters began at zero */
};

/* Takes a complete reading into account: what came since the last one is due. */
void tailscale_account_step(struct tailscale_nodes *nodes, enum tailscale_step step, int64_t now_wall,
			    int64_t now_boot);

/*
 * Hands over what is due, each at the node's path as last read, and calls back for each event. Entries that
 * find no memory are overflow.
 */
void tailscale_account_extract(struct tailscale_nodes *nodes, int64_t now_boot, struct extraction *extraction,
			       void (*event)(const struct device_event *event, void *userdata),
			       void *userdata);

/* Its address in the tailnet: the first of IPv4, else of IPv6, else none. */
struct address tailscale_node_address(const struct tailscale_node *node);
