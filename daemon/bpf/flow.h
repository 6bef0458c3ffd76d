/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
#pragma once

/*
 * What all counting programs and the daemon share: a connection and its counts as the maps hold them. Only
 * fixed-width types with no padding, since both sides include this.
 *
 * Everything that counts exists twice. The map `epoch` (one __u32, made by the daemon and shared by all
 * programs) says which side is in use: its lowest bit.
 */

#include <linux/types.h>

/* A connection on one CPU, in the node's own view (a received packet's ends are swapped). */
struct flow_key {
	__u32 src[4]; /* network byte order; IPv4 in the first word, the rest zero */
	__u32 dst[4];
	__u16 src_port; /* network byte order */
	__u16 dst_port;
	__u16 cpu; /* each CPU has its own entry; the reader adds them up */
	__u8 proto;
	__u8 family; /* 0 no addresses, 4, 6 */
} __attribute__((aligned(8)));

struct flow_counts {
	__u64 tx_packets;
	__u64 tx_bytes;
	__u64 rx_packets;
	__u64 rx_bytes;
};

#define FLOW_SIDES 2
