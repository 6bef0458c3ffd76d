/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
#pragma once

/*
 * The few kernel types that the programs read, with only the members they use. CO-RE finds the real
 * offsets when a program is loaded, so these need not match any kernel's layout.
 */

#include <linux/types.h>

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct net {
	__u64 net_cookie;
	struct net_device *loopback_dev;
};

typedef struct {
	struct net *net;
} possible_net_t;

struct net_device {
	int ifindex;
	possible_net_t nd_net;
};

struct sock_common {
	unsigned short skc_family;
	volatile unsigned char skc_state;
	possible_net_t skc_net;
};

struct sock {
	struct sock_common __sk_common;
	__u16 sk_type;
};

/* What is left of a TCP socket when its connection has ended: smaller than a socket. */
struct inet_timewait_sock {
	unsigned char tw_substate;
};

struct dst_entry {
	struct net_device *dev;
};

struct sk_buff {
	struct net_device
		*dev; /* no pointer while a socket holds the packet: other members share its place */
	struct sock *sk;
	unsigned long _skb_refdst; /* a struct dst_entry, and a flag in the lowest bit */
	unsigned int len;
	int skb_iif; /* index of the device that received it; 0: none did */
	__u8 pkt_type : 3;
	__be16 protocol;
	__u16 inner_transport_header;
	__u16 inner_network_header;
	__u16 network_header;
	__u8 *head, *data;
	__u32 tail; /* offset where the linear part ends, on 64-bit kernels */
	__u32 end;  /* offset of the shared info, on 64-bit kernels */
};

struct skb_shared_info {
	unsigned short gso_size;
	unsigned short gso_segs;
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
