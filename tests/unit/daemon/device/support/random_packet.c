/* SPDX-License-Identifier: BSD-3-Clause */
/* Packets that are wrong in all ways that matter to a decoder. */

#include "tests/unit/daemon/device/support/random_packet.h"

#include "common/cleanup.h"

#include <string.h>

uint32_t random_next(uint64_t *state)
{
	*state ^= *state >> 12;
	*state ^= *state << 25;
	*state ^= *state >> 27;
	return (uint32_t)(*state * 0x2545f4914f6cdd1dULL >> 32);
}

/* IPv6 with a chain of headers of random kinds and sizes, mostly whole. */
static size_t random_chain(uint64_t *state, uint8_t *packet)
{
	static const uint8_t kinds[] = {0, 0, 43, 60, 60, 44, 6, 17, 58, 132, 99, 59, 255};
	size_t length = 40, n = random_next(state) % 12;
	uint8_t *next = &packet[6];
	unsigned int payload;

	packet[0] = 0x60;
	for (size_t i = 0; i < n && length + 24 < RANDOM_PACKET_MAX - 40; i++) {
		*next = kinds[random_next(state) % 6];
		next = &packet[length];
		packet[length + 1] =
			(uint8_t)(random_next(state) % 8 ? random_next(state) % 3 : random_next(state));
		if (random_next(state) % 4)
			packet[length + 2] = packet[length + 3] = 0;
		length += *next == 44 || packet[length + 1] > 2 ? 8 : (packet[length + 1] + 1U) * 8;
	}
	*next = kinds[random_next(state) % sizeof(kinds)];
	length += random_next(state) % 40;
	payload = (unsigned int)length - 40 - (random_next(state) % 4 ? 0 : random_next(state) % 5);
	packet[4] = (uint8_t)(payload >> 8);
	packet[5] = (uint8_t)payload;
	return length;
}

/* A vector with a few bytes changed, cut short or made longer. */
static size_t random_mutation(uint64_t *state, const struct vectors *vectors, uint8_t *packet)
{
	const struct vector *vector = &vectors->items[random_next(state) % vectors->n];
	size_t length = MIN(vector->length, (size_t)RANDOM_PACKET_MAX);

	memcpy(packet, vector->packet, length);
	for (uint32_t i = random_next(state) % 4; i > 0; i--)
		packet[random_next(state) % MIN(length, (size_t)64)] = (uint8_t)random_next(state);
	switch (random_next(state) % 4) {
	case 0:
		return length - random_next(state) % MIN(length, (size_t)30);
	case 1:
		return MIN(length + random_next(state) % 20, (size_t)RANDOM_PACKET_MAX);
	}
	return length;
}

size_t random_packet(uint64_t *state, const struct vectors *vectors, uint8_t *packet)
{
	for (size_t i = 0; i < RANDOM_PACKET_MAX; i++)
		packet[i] = (uint8_t)random_next(state);
	switch (random_next(state) % 4) {
	case 0:
		packet[0] = (uint8_t)((random_next(state) % 2 ? 0x40 : 0x60) | (random_next(state) & 15));
		packet[2] = 0;
		packet[4] = 0;
		return 20 + random_next(state) % (RANDOM_PACKET_MAX - 20);
	case 1:
		return random_chain(state, packet);
	}
	return random_mutation(state, vectors, packet);
}
