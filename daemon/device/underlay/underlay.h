/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * The tunnel's datagrams on the real network, counted by eBPF programs on the devices that lead to the peers
 * (daemon/bpf/physical.bpf.c), as packets and bytes of UDP payload for each endpoint.
 */

#include "common/cleanup.h"
#include "common/config/config.h"
#include "daemon/device/device.h"
#include "daemon/device/peers/peers.h"

#include <stdint.h>

struct underlay;

struct underlay_options {
	struct epoch *epoch;	 /* borrowed */
	enum underlay_mode mode; /* UNDERLAY_AUTO or UNDERLAY_LIST */
	char *const *devices;	 /* of UNDERLAY_LIST; copied */
	unsigned int tunnel;	 /* the tunnel's interface, which is no underlay of its own; 0: none */
	uint32_t max_endpoints;	 /* peers' endpoints that have a sure place; others share a bounded one */
	bool without_tcx;
};

/* Loads the programs; nothing is attached yet. 0, -EPERM, -EOPNOTSUPP or another -errno. */
int underlay_new(const struct underlay_options *options, struct underlay **ret_underlay);
void underlay_free(struct underlay *underlay);
DEFINE_CLEANUP(struct underlay *, underlay_free);

/* Begins to count, with these peers' endpoints, listen port and mark. 0, also while no device leads to a
 * peer; or -errno when none of those that do can be watched (nothing is attached then). */
int underlay_enable(struct underlay *underlay, const struct wg_peers *peers);
/* Stops; waits until no program runs any more. */
void underlay_disable(struct underlay *underlay);

/*
 * Hands over what the side of the last flip holds: an entry for each endpoint that a peer had at the
 * window's start or end, the rest as unknown; entries + unknown = totals. Then follows the peers' endpoints
 * and port, and, when something changed in the kernel, routes, devices and addresses. `after` may be NULL
 * when the peers could not be read: then all stays as it was. 0 or -errno, with what could be read in the
 * extraction.
 */
int underlay_extract(struct underlay *underlay, const struct wg_peers *before, const struct wg_peers *after,
		     struct extraction *extraction);

/* "tcx on eth0, wlan0", or "no device leads to a peer". Owned by the underlay, valid until the next call. */
const char *underlay_describe(struct underlay *underlay);
/* Why some device that leads to a peer, or some peer, could not be followed at the last look; 0 if
 * all could. */
int underlay_follow_error(const struct underlay *underlay);
/* Bytes of kernel memory. */
uint64_t underlay_memory(const struct underlay *underlay);
/* Becomes readable when routes, devices or addresses changed, at most four times a second: what is extracted
 * then follows them. */
int underlay_changes_fd(const struct underlay *underlay);
