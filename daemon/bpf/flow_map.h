#pragma once

/*
 * What the counting programs and the daemon agree on: the layout of the maps. Included by both sides, so
 * only fixed-width types with no padding.
 *
 * Each map of counts exists twice. The map `epoch` (one __u32, made by the daemon and shared by all programs)
 * says which side is in use: its lowest bit.
 */

#include <linux/types.h>

/* A connection on one CPU, in the node's own view (a received packet's ends are swapped). */
struct flow_key {
	__u32 src[4]; /* network byte order; IPv4 in the first word, the rest zero */
	__u32 dst[4];
	__u16 src_port; /* network byte order */
	__u16 dst_port;
	__u16 cpu; /* keeps CPUs from meeting on one entry; merged by who reads */
	__u8 proto;
	__u8 family; /* 0 no addresses, 4, 6 */
};

struct flow_counts {
	__u64 tx_packets;
	__u64 tx_bytes;
	__u64 rx_packets;
	__u64 rx_bytes;
};

/* One side's sums on one CPU, apart from the entries. */
struct flow_totals {
	struct flow_counts totals;   /* everything, counted before the entries */
	struct flow_counts overflow; /* found no room among the entries */
	struct flow_counts
		inexact; /* large segments that could not be taken apart exactly; in the entries too */
};

/* How full one side is. */
struct flow_fill {
	__u64 inserted; /* entries made since the side was drained */
};

#define FLOW_SIDES 2
