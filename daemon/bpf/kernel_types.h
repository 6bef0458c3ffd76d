/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
#pragma once

/*
 * The few kernel types that the programs read, with only the members they use. CO-RE finds the real
 * offsets when a program is loaded, so these need not match any kernel's layout.
 */

#include <linux/types.h>

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct sk_buff {
	__u16 inner_transport_header;
	__u16 inner_network_header;
	__u16 network_header;
	__u8 *head;
	__u32 end; /* offset of the shared info, on 64-bit kernels */
};

struct skb_shared_info {
	unsigned int gso_type;
};

#pragma clang attribute pop

/* include/linux/skbuff.h; unchanged since 4.19. */
enum gso_type {
	GSO_TCPV4 = 1 << 0,
	GSO_TCPV6 = 1 << 4,
	GSO_GRE = 1 << 6,
	GSO_GRE_CSUM = 1 << 7,
	GSO_IPXIP4 = 1 << 8,
	GSO_IPXIP6 = 1 << 9,
	GSO_UDP_TUNNEL = 1 << 10,
	GSO_UDP_TUNNEL_CSUM = 1 << 11,
	GSO_SCTP = 1 << 14,
	GSO_UDP = 1 << 16, /* IP fragments, not datagrams */
	GSO_UDP_L4 = 1 << 17,
	GSO_ENCAPSULATED =
		GSO_GRE | GSO_GRE_CSUM | GSO_IPXIP4 | GSO_IPXIP6 | GSO_UDP_TUNNEL | GSO_UDP_TUNNEL_CSUM,
};

#define GSO_SIZE_BY_FRAGMENTS 0xffff /* the packets lie in the fragment list, each of its own size */
