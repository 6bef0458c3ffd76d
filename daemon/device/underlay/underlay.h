/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * The tunnel's datagrams on the network below it, counted for each endpoint as packets and bytes of UDP
 * payload by eBPF programs (daemon/bpf/physical.bpf.c) on the devices that lead to the peers.
 */

#include "common/cleanup.h"
#include "common/config/config.h"
#include "daemon/device/device.h"
#include "daemon/device/peers/peers.h"
#include "daemon/device/underlay/attachments.h"
#include "daemon/device/underlay/owners.h"

#include <stdint.h>

struct underlay;

struct underlay_options {
	struct epoch *epoch;	 /* borrowed */
	enum underlay_mode mode; /* UNDERLAY_AUTO or UNDERLAY_LIST */
	char *const *devices;	 /* of UNDERLAY_LIST; copied */
	unsigned int tunnel;	 /* the tunnel's interface, which is never part of its underlay; 0: none */
	uint32_t max_endpoints; /* of peers that are sure of an entry; beyond that they count as unknown peers
				   first */
	bool without_tcx;
};

/* Loads the programs; nothing is attached yet. 0, -EPERM, -EOPNOTSUPP or another -errno. */
int underlay_new(const struct underlay_options *options, struct underlay **ret_underlay);
void underlay_free(struct underlay *underlay);
DEFINE_CLEANUP(struct underlay *, underlay_free);

/* Starts counting, with these peers' endpoints, listen port and mark. 0, also when no device leads to a peer;
 * or -errno when devices do but none can be watched: it is enabled all the same, and tries again. */
int underlay_enable(struct underlay *underlay, const struct wg_peers *peers);
/*
 * As underlay_enable(), but in the places of `from`, which is enabled and has the same tunnel: of both,
 * exactly one counts each datagram. Takes `from`; its last counts are part of the next extraction. 0; or
 * -errno, and both are as before.
 */
int underlay_take_over(struct underlay *underlay, struct underlay *from, const struct wg_peers *peers);
/* Stops counting, and waits until the last program has finished. */
void underlay_disable(struct underlay *underlay);

/* What an extraction showed of one peer. */
struct underlay_peer {
	struct counts counts; /* what it handed over */
	bool elsewhere;	      /* datagrams left for its endpoint from other ports than the tunnel's */
	bool shared;	      /* other peers have its endpoint too, so nothing of it was handed over */
};

/* What an extraction showed, and what the next one has begun to show. Zero-initialised is empty. */
struct underlay_sight {
	struct endpoint_owners owners;
	struct underlay_peer *peers; /* for each peer of `after`, or of `before` if that is NULL */
	bool settled;	  /* underlay_peek() sees all of the tunnel's datagrams: neither its port nor the
			   * machine's addresses changed in the window */
	uint64_t largest; /* bytes that the tunnel's socket received at once, at most: a datagram, or several
			   * that the kernel has joined */
	bool grew;	  /* a device is watched that was not when the window before this one began */
};

void underlay_sight_deinit(struct underlay_sight *sight);

/*
 * Hands over the side that the last flip ended: an entry for each endpoint that a peer had at the window's
 * start or end, the rest as unknown; entries + unknown = totals. Then follows changes of the peers' endpoints
 * and port, and, when the kernel reported a change, of routes, devices and addresses. `after` is NULL when
 * the peers could not be read; then those of `before` stay. 0 or -errno; the extraction and the sight (to be
 * freed in any case) have what could be read.
 */
int underlay_extract(struct underlay *underlay, const struct wg_peers *before, const struct wg_peers *after,
		     struct underlay_sight *ret_sight, struct extraction *extraction);

/* Adds what has passed since the flip at the endpoint of this peer (its number in the sight), and what the
 * next extraction will hand over. */
void underlay_peek(struct underlay *underlay, const struct underlay_sight *sight, size_t number,
		   const struct wg_peer *peer, struct counts *counts);

/* Why the datagrams of a peer may not be seen, as far as the routes tell: see attachments_find_gap(). */
enum attachments_gap underlay_find_gap(const struct underlay *underlay, const struct wg_peer *peer,
				       const char **ret_device, int *ret_error);

struct underlay_info {
	/* "tcx on eth0, wlan0", or "no device leads to a peer". Owned by the underlay, valid until the next
	 * call. */
	const char *devices;
	int follow_error;    /* 0, or the first -errno of the last attempt to follow all peers and devices */
	const char *refused; /* the device that it concerns, or "" */
	uint64_t memory;     /* bytes, of the kernel */
};

void underlay_get_info(struct underlay *underlay, struct underlay_info *ret_info);
/* Readable after changes of routes, devices or addresses, at most four times a second: time for an
 * extraction, which follows them. */
int underlay_changes_fd(const struct underlay *underlay);
/* Whether that descriptor, which is readable, asks for an extraction. If not, it is no longer readable: the
 * routes that changed lead to none of the endpoints. */
bool underlay_wants_extraction(struct underlay *underlay);
