/* SPDX-License-Identifier: BSD-3-Clause */
/* The decoder. Every read is checked against what was captured, every length against what the packet has. */

#include "daemon/device/decode.h"

#include <netinet/in.h>
#include <string.h>

#define IPV4_HEADER	      20
#define IPV6_HEADER	      40
#define MAX_EXTENSION_HEADERS 8
#define MIN_LATER_FRAGMENT    10 /* in units of 8 bytes */
#define LATER_FRAGMENT	      255
#define PRIVATE_ENCRYPTION    99

struct decoder {
	const struct decode_input *input;
	struct connection *connection;
	size_t transport; /* offset of the transport header; 0: not found */
	uint8_t proto;	  /* that is there */
	bool ipv6;
	bool more_fragments;
	bool jumbo; /* RFC 2675, in front of a BIG TCP packet only: gone before the wire */
};

/* The bytes at an offset, or NULL where the packet or what was captured of it ends before. */
static const uint8_t *read_at(const struct decoder *decoder, size_t offset, size_t size)
{
	if (offset > decoder->input->captured || decoder->input->captured - offset < size)
		return NULL;
	return decoder->input->data + offset;
}

static unsigned int read16(const uint8_t *bytes)
{
	return (unsigned int)bytes[0] << 8 | bytes[1];
}

static size_t shortest_header(uint8_t proto, bool ipv6)
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

static void decode_transport(struct decoder *decoder)
{
	size_t available = decoder->input->length - decoder->transport;
	const uint8_t *ports;

	if (available < shortest_header(decoder->proto, decoder->ipv6) || decoder->proto == LATER_FRAGMENT ||
	    (decoder->proto == PRIVATE_ENCRYPTION && !decoder->ipv6 && decoder->more_fragments)) {
		decoder->transport = 0;
		return;
	}
	decoder->connection->proto = decoder->proto;
	if (decoder->proto != IPPROTO_TCP && decoder->proto != IPPROTO_UDP && decoder->proto != IPPROTO_SCTP)
		return;
	ports = read_at(decoder, decoder->transport, 4);
	if (!ports)
		return;
	decoder->connection->src.port = (uint16_t)read16(ports);
	decoder->connection->dst.port = (uint16_t)read16(ports + 2);
}

static void decode_ipv4(struct decoder *decoder)
{
	const uint8_t *ip = read_at(decoder, 0, IPV4_HEADER);
	size_t total, header;
	unsigned int fragment;

	if (!ip)
		return;
	total = read16(ip + 2);
	if (total == 0 && decoder->input->gso_size > 0)
		total = decoder->input->length; /* BIG TCP: too large for its field */
	if (decoder->input->length < total)
		return;
	decoder->connection->src.address = address_ipv4(ip + 12);
	decoder->connection->dst.address = address_ipv4(ip + 16);
	header = (ip[0] & 15U) * 4;
	if (header < IPV4_HEADER || header > total)
		return;
	fragment = read16(ip + 6);
	if (fragment & 0x1fff) {
		if ((fragment & 0x1fff) >= MIN_LATER_FRAGMENT)
			decoder->connection->proto = LATER_FRAGMENT;
		return;
	}
	decoder->more_fragments = fragment & 0x2000;
	decoder->transport = header;
	decoder->proto = ip[9];
	decode_transport(decoder);
}

/* Steps over a Fragment header. False when there is nothing more to be found. */
static bool step_fragment(struct decoder *decoder, bool again)
{
	const uint8_t *header = read_at(decoder, decoder->transport, 8);
	unsigned int offset;

	if (again)
		decoder->connection->proto = IPPROTO_FRAGMENT;
	if (again || !header)
		return false;
	offset = read16(header + 2) >> 3;
	if (offset > 0) {
		if (offset >= MIN_LATER_FRAGMENT)
			decoder->connection->proto = LATER_FRAGMENT;
		return false;
	}
	decoder->proto = header[0];
	decoder->transport += 8;
	return true;
}

static bool step_extension(struct decoder *decoder, bool room)
{
	const uint8_t *header = read_at(decoder, decoder->transport, 8);
	size_t size;

	/* Its own number, unless it can be stepped over. */
	decoder->connection->proto = decoder->proto;
	if (!room || !header)
		return false;
	size = (header[1] + 1U) * 8;
	if (decoder->input->length - decoder->transport < size)
		return false;
	if (decoder->proto == IPPROTO_HOPOPTS && size == 8 && header[2] == 0xc2)
		decoder->jumbo = true;
	decoder->connection->proto = 0;
	decoder->proto = header[0];
	decoder->transport += size;
	return true;
}

static void decode_extensions(struct decoder *decoder)
{
	bool fragmented = false, more = true;
	unsigned int stepped = 0;

	while (more) {
		switch (decoder->proto) {
		case IPPROTO_FRAGMENT:
			more = step_fragment(decoder, fragmented);
			fragmented = true;
			break;
		case IPPROTO_HOPOPTS:
		case IPPROTO_ROUTING:
		case IPPROTO_DSTOPTS:
			more = step_extension(decoder, stepped < MAX_EXTENSION_HEADERS);
			stepped++;
			break;
		default:
			decode_transport(decoder);
			return;
		}
	}
	decoder->transport = 0;
}

static void decode_ipv6(struct decoder *decoder)
{
	const uint8_t *ip = read_at(decoder, 0, IPV6_HEADER);

	if (!ip || decoder->input->length < IPV6_HEADER + read16(ip + 4))
		return;
	decoder->connection->src.address = address_ipv6(ip + 8);
	decoder->connection->dst.address = address_ipv6(ip + 24);
	decoder->ipv6 = true;
	decoder->transport = IPV6_HEADER;
	decoder->proto = ip[6];
	decode_extensions(decoder);
}

/* Bytes of headers that every packet of a large segment brings; 0 if that can't be told. */
static size_t repeated_headers(const struct decoder *decoder)
{
	const struct decode_input *input = decoder->input;
	uint8_t proto = input->gso_tcp ? IPPROTO_TCP : IPPROTO_UDP;
	const uint8_t *header;
	size_t offset;

	if (decoder->transport == 0 || (!input->gso_tcp && !input->gso_udp))
		return 0;
	/* Encapsulated once more, it is not the outer header's payload that is cut. */
	offset = input->inner > decoder->transport ? input->inner : decoder->transport;
	if (offset == decoder->transport && decoder->proto != proto)
		return 0;
	if (proto == IPPROTO_UDP)
		return offset + 8;
	header = read_at(decoder, offset + 12, 1);
	if (!header || header[0] >> 4 < 5)
		return 0;
	return offset + (size_t)(header[0] >> 4) * 4;
}

static void decode_large(const struct decoder *decoder, struct decoded *decoded)
{
	size_t headers = repeated_headers(decoder), length = decoder->input->length;

	if (decoder->jumbo && length > 65535 && headers > 8) {
		headers -= 8;
		length -= 8;
	}
	if (headers == 0 || headers > length) {
		decoded->inexact = true;
		headers = 0;
	}
	decoded->packets = (length - headers + decoder->input->gso_size - 1) / decoder->input->gso_size;
	if (decoded->packets == 0)
		decoded->packets = 1;
	decoded->bytes = length + (decoded->packets - 1) * headers;
}

void decode_packet(const struct decode_input *input, struct decoded *ret_decoded)
{
	struct decoder decoder = {.input = input, .connection = &ret_decoded->connection};

	*ret_decoded = (struct decoded){.packets = 1, .bytes = input->length};
	if (input->captured > 0 && input->data[0] >> 4 == 4)
		decode_ipv4(&decoder);
	else if (input->captured > 0 && input->data[0] >> 4 == 6)
		decode_ipv6(&decoder);
	if (input->gso_size > 0)
		decode_large(&decoder, ret_decoded);
}
