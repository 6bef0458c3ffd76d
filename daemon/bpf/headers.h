/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
#pragma once

/*
 * From a packet to its connection: the decoder, for the counting programs and for the sources that see
 * packets in user space. Headers: RFC 791, 8200, 9293, 768, 9260.
 *
 * The including file first says how to read a packet (read.bpf.h; daemon/device/decode.c):
 *
 * - `packet_source`, the type to read from; its member gso_size is not 0 for a large segment;
 * - packet_at(source, offset): where the bytes lie;
 * - packet_holds(source, place, size): whether they can be read there, in place;
 * - packet_load(source, offset, to, size): copies bytes; not 0 where the packet ends before them;
 * - APART, what declares a function that the verifier checks by itself.
 */

#include "daemon/bpf/flow.h"

#include <linux/in.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <stdbool.h>

#include <bpf/bpf_endian.h>

#define MAX_EXTENSION_HEADERS 8
#define MIN_LATER_FRAGMENT                                                                                   \
	10 /* in units of 8 bytes; below, a fragment could hide a TCP header (RFC 1858)                      \
	    */
#define LATER_FRAGMENT	   255
#define PRIVATE_ENCRYPTION 99

/* A packet on its way through the decoder. "Length" is that of the packet from the IP header on. */
struct packet {
	__u64 start; /* of the IP header in the source; wide, so that the verifier sees its value on the stack
		      */
	__u32 length;	 /* of the packet */
	__u32 transport; /* offset of the transport header from the IP header; 0: not found */
	__u8 proto;	 /* in the transport header's place, as the packet says */
	__u8 found;	 /* without a transport header: the number for the key */
	bool jumbo;	 /* a hop-by-hop header with a jumbo length, which never reaches the wire */
	bool understood; /* the key's protocol is the packet's */
	__u8 tcp_flags;	 /* control bits; 0 where there is no TCP header */
	__u32 tcp_seq;	 /* network byte order */
};

static __always_inline void set_addresses(struct flow_key *key, bool received, const void *src,
					  const void *dst, __u32 size)
{
	const __u32 *near = received ? dst : src, *far = received ? src : dst;

	__builtin_memcpy(key->src, near, size);
	__builtin_memcpy(key->dst, far, size);
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
	case PRIVATE_ENCRYPTION:
		return 7;
	}
	return 0;
}

/*
 * The transport header begins at packet->transport and is packet->proto. `place` is where it lies if that is
 * in place at a constant offset, else NULL.
 */
static __always_inline void decode_transport(packet_source *source, struct packet *packet, bool received,
					     bool ipv6, const __u16 *place, struct flow_key *key)
{
	__u32 available = packet->length - packet->transport;
	__u8 proto = packet->proto;
	union {
		__u16 ports[2];
		struct tcphdr tcp;
	} copy;

	if (available < shortest_header(proto, ipv6) || proto == LATER_FRAGMENT)
		return;
	key->proto = proto;
	packet->understood = true;
	if (proto == IPPROTO_TCP) {
		const struct tcphdr *tcp = (const void *)place;

		if (!place || !packet_holds(source, place, sizeof(*tcp))) {
			if (packet_load(source, packet->start + packet->transport, &copy.tcp,
					sizeof(copy.tcp)))
				return;
			tcp = &copy.tcp;
		}
		set_ports(key, received, &tcp->source);
		packet->tcp_flags = ((const __u8 *)tcp)[13];
		packet->tcp_seq = tcp->seq;
		return;
	}
	if (proto != IPPROTO_UDP && proto != IPPROTO_SCTP)
		return;
	if (place && packet_holds(source, place, sizeof(copy.ports)))
		set_ports(key, received, place);
	else if (!packet_load(source, packet->start + packet->transport, copy.ports, sizeof(copy.ports)))
		set_ports(key, received, copy.ports);
}

static __always_inline void decode_ipv4(packet_source *source, struct packet *packet, bool received,
					struct flow_key *key)
{
	const struct iphdr *ip = packet_at(source, packet->start);
	__u32 total, header, fragment;
	const void *place = NULL;
	struct iphdr copy;

	if (packet->length < sizeof(*ip))
		return;
	if (packet_holds(source, ip, sizeof(*ip)))
		place = ip + 1;
	else if (!packet_load(source, packet->start, &copy, sizeof(copy)))
		ip = &copy;
	else
		return;
	total = bpf_ntohs(ip->tot_len);
	if (total == 0 && source->gso_size)
		total = packet->length; /* BIG TCP: too large for its field */
	if (packet->length < total)
		return;
	key->family = 4;
	set_addresses(key, received, &ip->saddr, &ip->daddr, sizeof(ip->saddr));
	header = ip->ihl * 4;
	if (header < sizeof(*ip) || header > total)
		return;
	fragment = bpf_ntohs(ip->frag_off);
	if (fragment & 0x1fff) {
		if ((fragment & 0x1fff) >= MIN_LATER_FRAGMENT)
			key->proto = LATER_FRAGMENT;
		return;
	}
	if (ip->protocol == PRIVATE_ENCRYPTION && fragment & 0x2000)
		return;
	packet->transport = header;
	packet->proto = ip->protocol;
	decode_transport(source, packet, received, false, header == sizeof(*ip) ? place : NULL, key);
}

/*
 * Steps over one extension header. False at the end of the chain: at the transport header, or (transport 0)
 * where none can be found and packet->found is the number for the key.
 */
static __always_inline bool step_extension(packet_source *source, struct packet *packet, bool room)
{
	__u32 available = packet->length - packet->transport, offset = packet->transport, size;
	__u8 header[8], proto = packet->proto;

	if (proto != IPPROTO_HOPOPTS && proto != IPPROTO_ROUTING && proto != IPPROTO_DSTOPTS)
		return false;
	packet->found = proto; /* its own number, unless it can be stepped over */
	packet->transport = 0;
	if (!room || available < sizeof(header) ||
	    packet_load(source, packet->start + offset, header, sizeof(header)))
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
static __always_inline bool step_fragment(packet_source *source, struct packet *packet, bool again)
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
	if (available < sizeof(header) || packet_load(source, packet->start + offset, header, sizeof(header)))
		return false;
	position = (header[2] << 8 | header[3]) >> 3;
	if (position) {
		packet->found = position >= MIN_LATER_FRAGMENT ? LATER_FRAGMENT : 0;
		return false;
	}
	packet->proto = header[0];
	packet->transport = offset + sizeof(header);
	return true;
}

/*
 * Finds the transport header behind extension headers; the packet's start and length are given. Checked
 * apart, since walking the loop from every place that reaches it is too much for the verifier.
 */
APART int walk_extensions(packet_source *source, struct packet *packet)
{
	bool fragmented = false;
	int stepped = 0;

	if (!packet)
		return 0;
	/* One round more for the Fragment header, which is not counted, and one for the ninth. */
	for (int i = 0; i < MAX_EXTENSION_HEADERS + 2; i++) {
		if (packet->proto == IPPROTO_FRAGMENT) {
			if (!step_fragment(source, packet, fragmented))
				return 0;
			fragmented = true;
		} else {
			if (!step_extension(source, packet, stepped < MAX_EXTENSION_HEADERS))
				return 0;
			stepped++;
		}
	}
	return 0;
}

static __always_inline void decode_ipv6(packet_source *source, struct packet *packet, bool received,
					struct flow_key *key)
{
	const struct ipv6hdr *ip = packet_at(source, packet->start);
	const void *place = NULL;
	struct ipv6hdr copy;

	if (packet->length < sizeof(*ip))
		return;
	if (packet_holds(source, ip, sizeof(*ip)))
		place = ip + 1;
	else if (!packet_load(source, packet->start, &copy, sizeof(copy)))
		ip = &copy;
	else
		return;
	if (packet->length < sizeof(*ip) + bpf_ntohs(ip->payload_len))
		return;
	key->family = 6;
	set_addresses(key, received, &ip->saddr, &ip->daddr, sizeof(ip->saddr));
	packet->transport = sizeof(*ip);
	packet->proto = ip->nexthdr;
	switch (ip->nexthdr) {
	case IPPROTO_HOPOPTS:
	case IPPROTO_ROUTING:
	case IPPROTO_DSTOPTS:
	case IPPROTO_FRAGMENT:
		walk_extensions(source, packet);
		if (packet->transport)
			decode_transport(source, packet, received, true, NULL, key);
		else
			key->proto = packet->found;
		return;
	}
	decode_transport(source, packet, received, true, place, key);
}

/* Length of a TCP header that begins `offset` bytes after the IP header; 0 where it has no valid one. */
static __always_inline __u32 tcp_header_length(packet_source *source, const struct packet *packet,
					       __u32 offset)
{
	__u8 data_offset;

	if (packet_load(source, packet->start + offset + 12, &data_offset, 1))
		return 0;
	data_offset = data_offset >> 4;
	return data_offset < 5 ? 0 : data_offset * 4;
}
