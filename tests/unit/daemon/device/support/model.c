/* SPDX-License-Identifier: BSD-3-Clause */
/* The model, from top to bottom in the table's order. */

#include "tests/unit/daemon/device/support/model.h"

#include <stdbool.h>

enum {
	ICMP = 1,
	IGMP = 2,
	TCP = 6,
	UDP = 17,
	ROUTING = 43,
	FRAGMENT = 44,
	ICMPV6 = 58,
	DESTINATION = 60,
	SCTP = 132
};

/* The state of the walk through the headers. */
struct walk {
	const uint8_t *next; /* the next header */
	size_t left;	     /* bytes of the buffer from there on */
	uint8_t proto;	     /* its number */
	bool ipv6;
	bool more_fragments;
};

static unsigned int number16(const uint8_t *bytes)
{
	return (unsigned int)bytes[0] << 8 | bytes[1];
}

static void ports(const struct walk *walk, struct connection *connection)
{
	connection->src.port = (uint16_t)number16(walk->next);
	connection->dst.port = (uint16_t)number16(walk->next + 2);
}

static void transport(const struct walk *walk, struct connection *connection)
{
	connection->proto = 0;
	switch (walk->proto) {
	case TCP:
		if (walk->left < 20)
			return;
		ports(walk, connection);
		break;
	case UDP:
		if (walk->left < 8)
			return;
		ports(walk, connection);
		break;
	case SCTP:
		if (walk->left < 12)
			return;
		ports(walk, connection);
		break;
	case ICMP:
		if (!walk->ipv6 && walk->left < 4)
			return;
		break;
	case ICMPV6:
		if (walk->ipv6 && walk->left < 4)
			return;
		break;
	case IGMP:
		if (!walk->ipv6 && walk->left < 8)
			return;
		break;
	case 99:
		if (walk->left < 7)
			return;
		if (!walk->ipv6 && walk->more_fragments)
			return;
		break;
	case 255:
		return;
	}
	connection->proto = walk->proto;
}

static uint8_t later_fragment(unsigned int offset)
{
	return offset >= 10 ? 255 : 0;
}

static void ipv4(const uint8_t *packet, size_t length, struct connection *connection)
{
	unsigned int header, total, fragment;
	struct walk walk;

	if (length < 20)
		return;
	total = number16(packet + 2);
	if (length < total)
		return;
	connection->src.address = address_ipv4(packet + 12);
	connection->dst.address = address_ipv4(packet + 16);
	header = (packet[0] & 15U) * 4;
	if (header < 20 || header > total)
		return;
	fragment = number16(packet + 6);
	if (fragment & 0x1fff) {
		connection->proto = later_fragment(fragment & 0x1fff);
		return;
	}
	walk = (struct walk){
		.next = packet + header,
		.left = length - header,
		.proto = packet[9],
		.more_fragments = fragment & 0x2000,
	};
	transport(&walk, connection);
}

static bool is_extension(uint8_t proto)
{
	return proto == 0 || proto == ROUTING || proto == DESTINATION;
}

static void ipv6(const uint8_t *packet, size_t length, struct connection *connection)
{
	struct walk walk = {.ipv6 = true};
	bool fragmented = false;
	int stepped_over = 0;

	if (length < 40 || length < 40 + number16(packet + 4))
		return;
	connection->src.address = address_ipv6(packet + 8);
	connection->dst.address = address_ipv6(packet + 24);
	walk.next = packet + 40;
	walk.left = length - 40;
	walk.proto = packet[6];
	for (;;) {
		size_t size = 8;

		if (walk.proto == FRAGMENT) {
			unsigned int offset;

			if (fragmented) {
				connection->proto = FRAGMENT;
				return;
			}
			fragmented = true;
			if (walk.left < 8)
				return;
			offset = number16(walk.next + 2) >> 3;
			if (offset > 0) {
				connection->proto = later_fragment(offset);
				return;
			}
		} else if (is_extension(walk.proto)) {
			if (walk.left >= 2)
				size = (walk.next[1] + 1U) * 8;
			if (stepped_over == 8 || walk.left < size) {
				connection->proto = walk.proto;
				return;
			}
			stepped_over++;
		} else {
			break;
		}
		walk.proto = walk.next[0];
		walk.next += size;
		walk.left -= size;
	}
	transport(&walk, connection);
}

struct connection model_decode(const uint8_t *packet, size_t length)
{
	struct connection connection = {};

	if (length > 0 && packet[0] >> 4 == 4)
		ipv4(packet, length, &connection);
	else if (length > 0 && packet[0] >> 4 == 6)
		ipv6(packet, length, &connection);
	return connection;
}

const uint8_t *model_tcp_header(const uint8_t *packet)
{
	const uint8_t *next = packet + 40;
	uint8_t proto = packet[6];

	if (packet[0] >> 4 == 4)
		return packet + (packet[0] & 15U) * 4;
	while (proto == FRAGMENT || is_extension(proto)) {
		size_t size = proto == FRAGMENT ? 8 : (next[1] + 1U) * 8;

		proto = next[0];
		next += size;
	}
	return next;
}
