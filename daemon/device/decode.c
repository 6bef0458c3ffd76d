/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The programs' decoder over what was captured of a packet. Every read is checked against what was captured,
 * every length against what the packet has.
 */

#include "daemon/device/decode.h"

#include "common/cleanup.h"
#include "daemon/device/flow_key.h"

#include <netinet/in.h>
#include <string.h>

typedef const struct decode_input packet_source;

#define APART static

static const void *packet_at(packet_source *input, uint32_t offset)
{
	return input->data + offset;
}

/* Never in place: the bytes may lie at any address, and copying a header costs next to nothing. */
static bool packet_holds(packet_source *input, const void *place, uint32_t size)
{
	(void)input;
	(void)place;
	(void)size;
	return false;
}

static int packet_load(packet_source *input, uint32_t offset, void *to, uint32_t size)
{
	if (offset > input->captured || input->captured - offset < size)
		return -1;
	memcpy(to, input->data + offset, size);
	return 0;
}

#include "daemon/bpf/headers.h"

/*
 * Whether the header of this protocol at `offset` lies inside another encapsulation: right in front of it an
 * IP header ends that names the protocol and whose packet ends where the segment does. The offset is the
 * sender's claim (where its checksum begins), so the headers themselves must bear it out.
 */
static bool is_encapsulated(const struct decode_input *input, const struct packet *packet, uint32_t offset,
			    uint8_t proto)
{
	if (packet->proto == IPPROTO_TCP || offset > input->captured)
		return false;
	for (uint32_t size = 20; size <= 60 && packet->transport + size <= offset; size += 4) {
		const uint8_t *ip = input->data + offset - size;
		uint32_t length = (uint32_t)ip[2] << 8 | ip[3];

		if (ip[0] == (0x40 | size / 4) && ip[9] == proto &&
		    (length == 0 || offset - size + length == input->length))
			return true;
		length = (uint32_t)ip[4] << 8 | ip[5];
		if (size == 40 && ip[0] >> 4 == 6 && ip[6] == proto &&
		    (length == 0 || offset + length == input->length))
			return true;
	}
	return false;
}

/* Bytes of headers that every packet of a large segment brings; 0 where they are not known. */
static uint32_t repeated_headers(const struct decode_input *input, const struct packet *packet)
{
	uint8_t proto = input->gso_tcp ? IPPROTO_TCP : IPPROTO_UDP;
	uint32_t offset = packet->transport, length;

	if (!packet->understood || (!input->gso_tcp && !input->gso_udp))
		return 0;
	/* With another encapsulation, it is the inner payload that is cut. */
	if (is_encapsulated(input, packet, input->inner, proto))
		offset = input->inner;
	else if (packet->proto != proto)
		return 0;
	if (proto == IPPROTO_UDP)
		return offset + 8;
	length = tcp_header_length(input, packet, offset);
	return length ? offset + length : 0;
}

void decode_packet(const struct decode_input *input, struct decoded *ret_decoded)
{
	struct packet packet = {.length = (uint32_t)input->length};
	struct flow_key key = {};
	size_t headers, length;

	*ret_decoded = (struct decoded){.packets = 1, .bytes = input->length};
	if (input->captured > 0 && input->data[0] >> 4 == 4)
		decode_ipv4(input, &packet, input->received, &key);
	else if (input->captured > 0 && input->data[0] >> 4 == 6)
		decode_ipv6(input, &packet, input->received, &key);
	flow_key_read(&key, &ret_decoded->connection);
	ret_decoded->tcp_flags = packet.tcp_flags;
	ret_decoded->tcp_seq = packet.tcp_seq;
	if (input->gso_size > 0) {
		headers = repeated_headers(input, &packet);
		length = input->length;
		/* Only the large segment has this header. */
		if (packet.jumbo && length > 65535 && headers > 8) {
			headers -= 8;
			length -= 8;
		}
		if (headers == 0 || headers > length) {
			ret_decoded->inexact = true;
			headers = 0;
		}
		ret_decoded->packets = (length - headers + input->gso_size - 1) / input->gso_size;
		if (ret_decoded->packets == 0)
			ret_decoded->packets = 1;
		ret_decoded->bytes = length + (ret_decoded->packets - 1) * headers;
	}
}
