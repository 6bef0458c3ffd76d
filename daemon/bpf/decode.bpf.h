/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
#pragma once

/*
 * From a packet to its connection and to the packets and bytes it stands for, inside the kernel.
 *
 * Headers are read in place where they lie in the linear part, which they nearly always do; the rest, and
 * all that is rare (IPv4 options, IPv6 extension headers), goes through bpf_skb_load_bytes(). "Length" is
 * always that of the buffer from the IP header on.
 */

#include "daemon/bpf/flow.h"
#include "daemon/bpf/kernel_types.h"

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/pkt_cls.h>
#include <linux/tcp.h>
#include <stdbool.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define MAX_EXTENSION_HEADERS 8
/* In units of 8 bytes; below, a fragment could hide a TCP header (RFC 1858). */
#define MIN_LATER_FRAGMENT 10

/* Bytes in front of the IP header: 0 on a tunnel, 14 on Ethernet; set before loading. */
const volatile __u32 l2_length = 0;

/* What a packet stands for. */
struct segments {
	__u64 packets;
	__u64 bytes;
	__u64 inexact; /* not 0: not told exactly */
};

/* A packet on its way through the decoder. */
struct packet {
	__u32 start;	 /* of the IP header in the buffer */
	__u32 length;	 /* of the buffer from there */
	__u32 transport; /* offset of the transport header from the IP header; 0: not found */
	__u8 proto;	 /* in the transport header's place, as the packet says */
	__u8 found;	 /* the number for the key where there is no transport header to look at */
	bool jumbo;	 /* a hop-by-hop header that stands for a length and is gone before the wire */
	bool understood; /* the key's protocol is the packet's */
};

static __always_inline void set_addresses(struct flow_key *key, bool received, const void *src,
					  const void *dst, int words)
{
	const __u32 *near = received ? dst : src, *far = received ? src : dst;

#pragma unroll
	for (int i = 0; i < words; i++) {
		key->src[i] = near[i];
		key->dst[i] = far[i];
	}
}

static __always_inline void set_ports(struct flow_key *key, bool received, const __u16 *ports)
{
	key->src_port = ports[received];
	key->dst_port = ports[!received];
}

/* How many bytes of its header a protocol must bring. */
static __always_inline __u32 shortest_header(__u8 proto, bool ipv6)
{
	switch (proto) {
	case IPPROTO_TCP:
		return 20;
	case IPPROTO_UDP:
		return 8;
	case IPPROTO_SCTP:
		return 12;
	case IPPROTO_ICMP:
		return ipv6 ? 0 : 4;
	case IPPROTO_ICMPV6:
		return ipv6 ? 4 : 0;
	case IPPROTO_IGMP:
		return ipv6 ? 0 : 8;
	case 99:
		return 7;
	}
	return 0;
}

/*
 * The transport header begins at packet->transport and is packet->proto. `place` is where it lies if that is
 * in the linear part at a constant offset, else NULL.
 */
static __always_inline void decode_transport(struct __sk_buff *skb, struct packet *packet, bool received,
					     bool ipv6, const __u16 *place, struct flow_key *key)
{
	const void *end = (void *)(long)skb->data_end;
	__u32 available = packet->length - packet->transport;
	__u8 proto = packet->proto;
	__u16 ports[2];

	if (available < shortest_header(proto, ipv6) || proto == 255)
		return;
	key->proto = proto;
	packet->understood = true;
	if (proto != IPPROTO_TCP && proto != IPPROTO_UDP && proto != IPPROTO_SCTP)
		return;
	if (place && (void *)(place + 2) <= end)
		set_ports(key, received, place);
	else if (!bpf_skb_load_bytes(skb, packet->start + packet->transport, ports, sizeof(ports)))
		set_ports(key, received, ports);
}

static __always_inline void decode_ipv4(struct __sk_buff *skb, struct packet *packet, bool received,
					struct flow_key *key)
{
	const void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	const struct iphdr *ip = data + packet->start;
	__u32 total, header, fragment;
	struct iphdr copy;
	bool direct = true;

	if (packet->length < sizeof(*ip))
		return;
	if ((void *)(ip + 1) > end) {
		if (bpf_skb_load_bytes(skb, packet->start, &copy, sizeof(copy)))
			return;
		ip = &copy;
		direct = false;
	}
	total = bpf_ntohs(ip->tot_len);
	if (total == 0 && skb->gso_size)
		total = packet->length; /* too large for its field: BIG TCP */
	if (packet->length < total)
		return;
	key->family = 4;
	set_addresses(key, received, &ip->saddr, &ip->daddr, 1);
	header = ip->ihl * 4;
	if (header < sizeof(*ip) || header > total)
		return;
	fragment = bpf_ntohs(ip->frag_off);
	if (fragment & 0x1fff) {
		if ((fragment & 0x1fff) >= MIN_LATER_FRAGMENT)
			key->proto = 255;
		return;
	}
	if (ip->protocol == 99 && fragment & 0x2000)
		return;
	packet->transport = header;
	packet->proto = ip->protocol;
	decode_transport(skb, packet, received, false,
			 direct && header == sizeof(*ip) ? data + packet->start + sizeof(*ip) : NULL, key);
}

/*
 * Steps over one extension header. False at the end of the way: at the transport header, or (transport 0)
 * where there is none to be found and packet->found is the number for the key.
 */
static __always_inline bool step_extension(struct __sk_buff *skb, struct packet *packet, bool room)
{
	__u32 available = packet->length - packet->transport, offset = packet->transport, size;
	__u8 header[8], proto = packet->proto;

	if (proto != IPPROTO_HOPOPTS && proto != IPPROTO_ROUTING && proto != IPPROTO_DSTOPTS)
		return false;
	packet->found = proto; /* its own number, unless it can be stepped over */
	packet->transport = 0;
	if (!room || available < sizeof(header) ||
	    bpf_skb_load_bytes(skb, packet->start + offset, header, sizeof(header)))
		return false;
	size = (header[1] + 1) * 8;
	if (available < size)
		return false;
	/* RFC 2675; the kernel puts one in front of a BIG TCP packet. */
	if (proto == IPPROTO_HOPOPTS && size == 8 && header[2] == 0xc2)
		packet->jumbo = true;
	packet->found = 0;
	packet->proto = header[0];
	packet->transport = offset + size;
	return true;
}

/* As above for the Fragment header. */
static __always_inline bool step_fragment(struct __sk_buff *skb, struct packet *packet, bool again)
{
	__u32 available = packet->length - packet->transport, offset = packet->transport;
	__u8 header[8];
	__u32 position;

	packet->transport = 0;
	if (again) {
		packet->found = IPPROTO_FRAGMENT;
		return false;
	}
	packet->found = 0;
	if (available < sizeof(header) ||
	    bpf_skb_load_bytes(skb, packet->start + offset, header, sizeof(header)))
		return false;
	position = (header[2] << 8 | header[3]) >> 3;
	if (position) {
		packet->found = position >= MIN_LATER_FRAGMENT ? 255 : 0;
		return false;
	}
	packet->proto = header[0];
	packet->transport = offset + sizeof(header);
	return true;
}

/*
 * Finds the transport header behind extension headers. A function of its own to the verifier, since walking
 * it from every place it can be reached from is too much for it; the packet's start and length are given.
 */
__noinline int walk_extensions(struct __sk_buff *skb, struct packet *packet)
{
	bool fragmented = false;
	int stepped = 0;

	if (!packet)
		return 0;
	/* One round more for the Fragment header, which is not counted, and one for the ninth. */
	for (int i = 0; i < MAX_EXTENSION_HEADERS + 2; i++) {
		if (packet->proto == IPPROTO_FRAGMENT) {
			if (!step_fragment(skb, packet, fragmented))
				return 0;
			fragmented = true;
		} else {
			if (!step_extension(skb, packet, stepped < MAX_EXTENSION_HEADERS))
				return 0;
			stepped++;
		}
	}
	return 0;
}

static __always_inline void decode_ipv6(struct __sk_buff *skb, struct packet *packet, bool received,
					struct flow_key *key)
{
	const void *data = (void *)(long)skb->data, *end = (void *)(long)skb->data_end;
	const struct ipv6hdr *ip = data + packet->start;
	struct ipv6hdr copy;
	bool direct = true;

	if (packet->length < sizeof(*ip))
		return;
	if ((void *)(ip + 1) > end) {
		if (bpf_skb_load_bytes(skb, packet->start, &copy, sizeof(copy)))
			return;
		ip = &copy;
		direct = false;
	}
	if (packet->length < sizeof(*ip) + bpf_ntohs(ip->payload_len))
		return;
	key->family = 6;
	set_addresses(key, received, &ip->saddr, &ip->daddr, 4);
	packet->transport = sizeof(*ip);
	packet->proto = ip->nexthdr;
	switch (ip->nexthdr) {
	case IPPROTO_HOPOPTS:
	case IPPROTO_ROUTING:
	case IPPROTO_DSTOPTS:
	case IPPROTO_FRAGMENT:
		walk_extensions(skb, packet);
		if (packet->transport)
			decode_transport(skb, packet, received, true, NULL, key);
		else
			key->proto = packet->found;
		return;
	}
	decode_transport(skb, packet, received, true, direct ? data + packet->start + sizeof(*ip) : NULL,
			 key);
}

/* Length of a TCP header that begins `offset` bytes after the IP header; 0 if it can't be. */
static __always_inline __u32 tcp_header_length(struct __sk_buff *skb, const struct packet *packet,
					       __u32 offset)
{
	__u8 data_offset;

	if (bpf_skb_load_bytes(skb, packet->start + offset + 12, &data_offset, 1))
		return 0;
	data_offset = data_offset >> 4;
	return data_offset < 5 ? 0 : data_offset * 4;
}

/* Bytes from the outer IP header through the inner transport header; 0 if that is not known. */
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
 * Bytes of headers that every packet of a large segment brings, 0 if that can't be told.
 * *by_count is set where the kernel's own number of packets is to be used.
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
 * H more bytes for each but the first. A function of its own to the verifier, as above.
 */
__noinline int count_large(struct __sk_buff *skb, const struct packet *packet, struct segments *ret_segments)
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
	/* Only the large segment has it. */
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

/* Where the IP header begins; false on Ethernet when the frame holds something else. */
static __always_inline bool find_ip(struct __sk_buff *skb, struct packet *packet)
{
	__be16 type;

	packet->start = l2_length;
	if (l2_length != ETH_HLEN)
		return true;
	type = read_type(skb, 12);
	if (type == bpf_htons(ETH_P_8021Q) || type == bpf_htons(ETH_P_8021AD)) {
		packet->start += 4;
		type = read_type(skb, 16);
	}
	return type == bpf_htons(ETH_P_IP) || type == bpf_htons(ETH_P_IPV6);
}

static __always_inline void decode(struct __sk_buff *skb, bool received, struct flow_key *key,
				   struct segments *ret_segments)
{
	struct packet packet = {};
	const __u8 *first;
	__u8 version = 0;
	bool ip;

	ip = find_ip(skb, &packet);
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
	if (skb->gso_size)
		count_large(skb, &packet, ret_segments);
}
