/* SPDX-License-Identifier: BSD-3-Clause */
/* The user-space decoder, against the vectors, the model, and what the kernel makes of large segments. */

#include "daemon/device/decode.h"
#include "common/cleanup.h"
#include "tests/unit/daemon/device/support/model.h"
#include "tests/unit/daemon/device/support/random_packet.h"
#include "tests/unit/daemon/device/support/superpacket.h"
#include "tests/unit/daemon/device/support/vectors.h"

#include <check.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void check_packet(const char *name, const uint8_t *packet, size_t length,
			 const struct connection *expected)
{
	struct decode_input input = {.data = packet, .captured = length, .length = length};
	struct connection swapped = {expected->dst, expected->src, expected->proto};
	struct decoded decoded;

	decode_packet(&input, &decoded);
	ck_assert_msg(connection_compare(&decoded.connection, expected) == 0, "%s: proto %u, not %u", name,
		      decoded.connection.proto, expected->proto);
	ck_assert_uint_eq(decoded.packets, 1);
	ck_assert_uint_eq(decoded.bytes, length);
	ck_assert(!decoded.inexact);
	if (expected->proto == IPPROTO_TCP) {
		const uint8_t *header = model_tcp_header(packet);

		ck_assert_uint_eq(decoded.tcp_flags, header[13]);
		ck_assert_mem_eq(&decoded.tcp_seq, header + 4, 4);
	} else {
		ck_assert_uint_eq(decoded.tcp_flags, 0);
	}

	input.received = true;
	decode_packet(&input, &decoded);
	ck_assert_msg(connection_compare(&decoded.connection, &swapped) == 0, "%s: received", name);
}

START_TEST(vectors_agree)
{
	struct vectors vectors;

	vectors_load(&vectors, _i == 0 ? "decode.json" : "extra.json");
	ck_assert_uint_ge(vectors.n, 60);
	for (size_t i = 0; i < vectors.n; i++)
		check_packet(vectors.items[i].name, vectors.items[i].packet, vectors.items[i].length,
			     &vectors.items[i].connection);
	vectors_deinit(&vectors);
}
END_TEST

START_TEST(random_packets_agree_with_the_model)
{
	uint64_t state = 0x2545f4914f6cdd1dULL * (uint64_t)(_i + 1);
	uint8_t packet[RANDOM_PACKET_MAX];
	struct vectors vectors;

	vectors_load(&vectors, _i % 2 ? "decode.json" : "extra.json");
	for (unsigned int i = 0; i < 200000; i++) {
		size_t length = random_packet(&state, &vectors, packet);
		/* On the heap, so that a read beyond it is detected. */
		_cleanup_free_ uint8_t *copy = malloc(length > 0 ? length : 1);
		struct connection connection = model_decode(packet, length);
		char name[40];

		memcpy(copy, packet, length);
		snprintf(name, sizeof(name), "seed %d, packet %u", _i, i);
		check_packet(name, copy, length, &connection);
	}
	vectors_deinit(&vectors);
}
END_TEST

static struct decoded decode_large(const struct superpacket *packet, bool tcp, bool udp)
{
	struct decode_input input = {.data = packet->bytes,
				     .captured = MIN(packet->length, (size_t)192),
				     .length = packet->length,
				     .gso_size = packet->header.gso_size,
				     .gso_tcp = tcp,
				     .gso_udp = udp,
				     .inner = packet->header.csum_start};
	struct decoded decoded;

	decode_packet(&input, &decoded);
	return decoded;
}

START_TEST(large_segments)
{
	const struct superpacket_options *options = &superpackets[_i];
	static struct superpacket packet;
	struct decoded decoded;
	uint64_t packets = (options->payload + options->size - 1) / options->size;

	superpacket_make(&packet, options);
	decoded = decode_large(&packet, !options->udp, options->udp);
	ck_assert_uint_eq(decoded.packets, packets);
	ck_assert_uint_eq(decoded.bytes, options->payload + packets * packet.headers);
	ck_assert(!decoded.inexact);
	ck_assert_uint_eq(decoded.connection.src.port, 4000);

	/* The sender's claim about where the checksum begins is false. */
	packet.header.csum_start = (uint16_t)(packet.headers + 80);
	decoded = decode_large(&packet, !options->udp, options->udp);
	ck_assert_uint_eq(decoded.packets, packets);
	ck_assert_uint_eq(decoded.bytes, options->payload + packets * packet.headers);
	ck_assert(!decoded.inexact);

	/* Of a kind that is not understood. */
	decoded = decode_large(&packet, false, false);
	ck_assert(decoded.inexact);
	ck_assert_uint_eq(decoded.bytes, packet.length);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("decode");
	TCase *tcase = tcase_create("decode");
	SRunner *runner;
	int failed;

	tcase_set_timeout(tcase, 60);
	tcase_add_loop_test(tcase, vectors_agree, 0, 2);
	tcase_add_loop_test(tcase, random_packets_agree_with_the_model, 0, 2);
	tcase_add_loop_test(tcase, large_segments, 0, (int)n_superpackets);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
