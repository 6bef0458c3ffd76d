/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
#pragma once

/*
 * The maps that the program on the underlay's devices shares with the daemon. Both sides include this file,
 * so it has only fixed-width types without padding. Counts (flow.h) are of the tunnel's datagrams: bytes are
 * UDP payload.
 */

#include "daemon/bpf/flow.h"

#include <linux/types.h>

/* The remote end of a datagram. Network byte order; IPv4 in the first word, the rest zero. */
struct underlay_remote {
	__u32 address[4];
	__u16 port;
	__u8 family; /* 4, 6 */
	__u8 zero;
	/* Link-local addresses repeat on each link: the index of the interface behind which this one is. 0:
	 * of any other address, and of a peer whose link is not known. */
	__u32 link;
};

/*
 * The ends of a datagram whose remote end is not a known peer's endpoint (then `local` is zero), or of one
 * that was not known to be the tunnel's when it passed (then the address of `local` is zero if it was sent).
 */
struct underlay_unknown_peer {
	struct underlay_remote remote;
	__u32 local[4];
	__u32 local_port; /* network byte order, as a __u16 */
};

/* An address of the machine. */
struct underlay_local {
	__u32 address[4];
	__u32 family;
};

/* One side's sums on one CPU, over all datagrams of the tunnel's ports; counted before the entries. */
struct underlay_totals {
	struct flow_counts totals;
	struct flow_counts unknown; /* found no room among the unknown peers */
	__u64 largest;		    /* bytes received at once */
};

#define UNDERLAY_PORTS 2

struct underlay_settings {
	__u16 ports[UNDERLAY_PORTS]; /* the tunnel's current and previous one; network byte order; 0: none */
};

/* Of one device; the key is its index. */
struct underlay_device {
	__u8 mac[6];
	__u16 check_mac; /* not 0: frames with another source address come from a device above this one */
};

/* Entries per window in each of the maps `received`, `sent` and `others`. A flood from many addresses fills
 * only the map that it belongs to. */
#define UNDERLAY_UNKNOWN_PEERS 4096
#define UNDERLAY_LOCALS	       4096
#define UNDERLAY_DEVICES       256
