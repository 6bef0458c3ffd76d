/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
#pragma once

/*
 * From a packet to its connection and to the packets and bytes it stands for, inside the kernel.
 */

#include "daemon/bpf/flow.h"
#include "daemon/bpf/kernel_types.h"
#include "daemon/bpf/read.bpf.h"

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/pkt_cls.h>
#include <stdbool.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

/* After the readers that it takes. */
#include "daemon/bpf/headers.h"

/* What a packet stands for. */
struct segments {
	__u64 packets;
	__u64 bytes;
	__u64 inexact;	/* not 0: the figures are not exact */
	__u8 tcp_flags; /* control bits; 0 where there is no TCP header */
	__u32 tcp_seq;	/* network byte order */
};

/* Bytes from the outer IP header through the inner transport header; 0 if unknown. */
static __always_inline __u32 encapsulated_headers(struct __sk_buff *skb, const struct packet *packet,
						  unsigned int type)
{
	struct sk_buff *kernel_skb = (struct sk_buff *)skb;
	__u32 outer = BPF_CORE_READ(kernel_skb, network_header);
	__u32 inner = BPF_CORE_READ(kernel_skb, inner_transport_header);
	__u32 length;

	if (inner <= outer + sizeof(struct iphdr))
		return 0;
	inner -= outer;
	if (type & (GSO_TCPV4 | GSO_TCPV6)) {
		length = tcp_header_length(skb, packet, inner);
		return length ? inner + length : 0;
	}
	return type & GSO_UDP_L4 ? inner + 8 : 0;
}

static __always_inline unsigned int read_gso_type(struct __sk_buff *skb)
{
	struct sk_buff *kernel_skb = (struct sk_buff *)skb;
	struct skb_shared_info *shared =
		(void *)(BPF_CORE_READ(kernel_skb, head) + BPF_CORE_READ(kernel_skb, end));

	return BPF_CORE_READ(shared, gso_type);
}

/*
 * Bytes of headers that every packet of a large segment brings; 0 if unknown. Sets *by_count where the
 * kernel's own number of packets is the one to use.
 */
static __always_inline __u32 repeated_headers(struct __sk_buff *skb, const struct packet *packet,
					      bool *by_count)
{
	unsigned int type;
	__u32 length;

	if (packet->proto == IPPROTO_TCP) {
		length = tcp_header_length(skb, packet, packet->transport);
		return length ? packet->transport + length : 0;
	}
	if (packet->proto == IPPROTO_SCTP) {
		*by_count = true;
		return skb->gso_segs ? packet->transport + 12 : 0;
	}
	type = read_gso_type(skb);
	if (type & GSO_ENCAPSULATED) {
		*by_count = skb->gso_segs != 0;
		return encapsulated_headers(skb, packet, type);
	}
	if (packet->proto == IPPROTO_UDP && !(type & GSO_UDP))
		return packet->transport + 8;
	return 0;
}

/*
 * A packet that stands for several: with H bytes of headers in each, ceil((length - H) / size) packets and
 * H more bytes for each but the first.
 */
APART int count_large(struct __sk_buff *skb, const struct packet *packet, struct segments *ret_segments)
{
	__u32 size, count, headers, length;
	bool by_count = false;
	__u64 packets;

	if (!packet || !ret_segments)
		return 0;
	size = skb->gso_size;
	count = skb->gso_segs;
	length = packet->length;
	headers = packet->understood ? repeated_headers(skb, packet, &by_count) : 0;
	/* Only the large segment has this header. */
	if (packet->jumbo && length > 65535 && headers > 8) {
		headers -= 8;
		length -= 8;
	}
	if (!headers || headers > length || (size == GSO_SIZE_BY_FRAGMENTS && !by_count)) {
		ret_segments->inexact = 1;
		headers = 0;
		by_count = by_count || count;
	}
	packets = by_count ? count : (length - headers + size - 1) / size;
	if (!packets)
		packets = 1;
	ret_segments->packets = packets;
	ret_segments->bytes = length + (packets - 1) * headers;
	return 0;
}

static __always_inline __be16 read_type(struct __sk_buff *skb, __u32 offset)
{
	const __be16 *place = (void *)(long)skb->data + offset;
	__be16 type = 0;

	if ((void *)(place + 1) <= (void *)(long)skb->data_end)
		return *place;
	bpf_skb_load_bytes(skb, offset, &type, sizeof(type));
	return type;
}

/* VLAN tags in a frame that are stepped over; the kernel keeps one more beside it. */
#define MAX_TAGS 2

/* Where the IP header begins; false where the frame holds something else. */
static __always_inline bool find_ip(struct __sk_buff *skb, bool ethernet, struct packet *packet)
{
	__be16 type = ethernet ? read_type(skb, 12) : (__be16)skb->protocol;

	packet->start = ethernet ? ETH_HLEN : 0;
#pragma unroll
	for (int i = 0; i < MAX_TAGS && ethernet; i++) {
		if (type != bpf_htons(ETH_P_8021Q) && type != bpf_htons(ETH_P_8021AD))
			break;
		packet->start += 4;
		type = read_type(skb, packet->start - 2);
	}
	return type == bpf_htons(ETH_P_IP) || type == bpf_htons(ETH_P_IPV6);
}

static __always_inline void decode(struct __sk_buff *skb, bool ethernet, bool received, struct flow_key *key,
				   struct segments *ret_segments)
{
	struct packet packet = {};
	const __u8 *first;
	__u8 version = 0;
	bool ip;

	ip = find_ip(skb, ethernet, &packet);
	packet.length = skb->len > packet.start ? skb->len - packet.start : 0;
	first = (void *)(long)skb->data + packet.start;
	if ((void *)(first + 1) <= (void *)(long)skb->data_end)
		version = *first;
	else
		bpf_skb_load_bytes(skb, packet.start, &version, 1);
	if (ip && version >> 4 == 4)
		decode_ipv4(skb, &packet, received, key);
	else if (ip && version >> 4 == 6)
		decode_ipv6(skb, &packet, received, key);

	ret_segments->packets = 1;
	ret_segments->bytes = packet.length;
	ret_segments->inexact = 0;
	ret_segments->tcp_flags = packet.tcp_flags;
	ret_segments->tcp_seq = packet.tcp_seq;
	if (skb->gso_size)
		count_large(skb, &packet, ret_segments);
}
