/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
#pragma once

/*
 * What the program on the underlay devices and the daemon agree on. Included by both sides, so only
 * fixed-width types with no padding. Counts are those of flow_map.h, of the tunnel's datagrams: bytes are
 * UDP payload.
 */

#include "daemon/bpf/flow.h"

#include <linux/types.h>

/* Where a peer is. Network byte order; IPv4 in the first word, the rest zero. */
struct underlay_remote {
	__u32 address[4];
	__u16 port;
	__u8 family; /* 4, 6 */
	__u8 zero;
};

/*
 * A datagram that was from or to no known peer; or (with the local end, whose address is zero if it was sent)
 * one that was not known to be the tunnel's when it was seen.
 */
struct underlay_stranger {
	struct underlay_remote remote;
	__u32 local[4];
	__u32 local_port; /* network byte order, as a __u16 */
};

/* An address of the machine. */
struct underlay_local {
	__u32 address[4];
	__u32 family;
};

/* One side's sums on one CPU, of all datagrams of the tunnel's ports, counted before the entries. */
struct underlay_totals {
	struct flow_counts totals;
	struct flow_counts unknown; /* found no room among the strangers */
};

#define UNDERLAY_PORTS 2

struct underlay_settings {
	__u16 ports[UNDERLAY_PORTS]; /* the tunnel's, now and before; network byte order; 0: none */
};

/* Of one device, by its index. */
struct underlay_device {
	__u8 mac[6];
	__u16 check_mac; /* not 0: frames with another source address pass through from a device above */
};

/* Entries that a window holds of each kind of stranger. Whoever sends from many addresses fills only his own
 * kind: received, sent, and on a port that isn't the tunnel's. */
#define UNDERLAY_STRANGERS 4096
#define UNDERLAY_LOCALS	   4096
#define UNDERLAY_DEVICES   256
