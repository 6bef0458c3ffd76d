/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The packet decoder: it never reads beyond what was captured, and a packet stands for at least one packet
 * and for at least its own bytes (but the 8 of a header that never reaches the wire).
 */

#include "daemon/device/decode.h"
#include "tests/fuzz/fuzz_support.h"

/* Before the packet: two bytes of segment size, one of flags, two of the inner header's offset, and two that
 * say how much longer the packet is than what was captured of it. */
#define PREFIX 7

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct decode_input input;
	struct decoded decoded;
	uint8_t *packet;

	if (size < PREFIX)
		return 0;
	/* A block of its own, so that a read beyond it is detected. */
	packet = malloc(size - PREFIX + 1);
	if (!packet)
		return 0;
	memcpy(packet, data + PREFIX, size - PREFIX);
	input = (struct decode_input){
		.data = packet,
		.captured = size - PREFIX,
		.length = size - PREFIX + (data[5] << 8 | data[6]),
		.gso_size = (uint16_t)(data[0] << 8 | data[1]),
		.gso_tcp = data[2] & 1,
		.gso_udp = data[2] & 2,
		.inner = (uint16_t)(data[3] << 8 | data[4]),
	};
	decode_packet(&input, &decoded);
	REQUIRE(decoded.packets >= 1 && decoded.bytes + 8 >= input.length);
	if (input.gso_size == 0)
		REQUIRE(decoded.packets == 1 && decoded.bytes == input.length && !decoded.inexact);
	if (decoded.connection.src.address.family == ADDRESS_NONE)
		REQUIRE(decoded.connection.proto == 0);
	free(packet);
	return 0;
}
