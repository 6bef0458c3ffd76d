/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What sources that see packets say of how connections went, on a real tun device: the same for all of them,
 * and what a plain observer says (daemon/bpf/control.h).
 */

#include "common/details.h"
#include "common/cleanup.h"
#include "daemon/device/control_details.h"
#include "tests/unit/daemon/device/support/tun_device.h"

#include <arpa/inet.h>
#include <check.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#define SYN CONTROL_SYN
#define ACK CONTROL_ACK
#define FIN CONTROL_FIN
#define RST CONTROL_RST

#define CONNECTIONS 50

static const uint8_t own[4] = {100, 64, 0, 1}, other[4] = {100, 64, 0, 2};

/* An IPv4 packet of a connection, without payload. Its checksums are nobody's business. */
static void send_packet(uint16_t port, uint8_t proto, bool received, uint8_t flags, uint32_t seq)
{
	uint8_t packet[40] = {0x45}, drop[64];
	uint16_t ports[2] = {htons(received ? 80 : port), htons(received ? port : 80)};
	uint8_t length = proto == IPPROTO_TCP ? 40 : 28;
	uint32_t order = htonl(seq);
	int r;

	packet[3] = length;
	packet[8] = 64;
	packet[9] = proto;
	memcpy(packet + 12, received ? other : own, 4);
	memcpy(packet + 16, received ? own : other, 4);
	memcpy(packet + 20, ports, sizeof(ports));
	if (proto == IPPROTO_TCP) {
		memcpy(packet + 24, &order, sizeof(order));
		packet[32] = 0x50;
		packet[33] = flags;
	} else {
		packet[25] = 8;
	}
	r = received ? tunnel_receive(&tun_tunnel, 0, NULL, packet, length)
		     : tunnel_transmit(&tun_tunnel, 0, NULL, packet, length);
	ck_assert_int_eq(r, 0);
	tunnel_read(&tun_tunnel, 0, drop, sizeof(drop));
}

/* All that was extracted of a connection, as one. */
static struct details details_of(const struct extraction *extraction, uint16_t port, uint8_t proto)
{
	struct details sum = {};

	for (size_t i = 0; i < extraction->flows.n; i++) {
		const struct flow *flow = &extraction->flows.items[i];

		if (flow->connection.src.port == port && flow->connection.proto == proto)
			details_add(&sum, &flow->details);
	}
	return sum;
}

static void check_details(const struct extraction *extraction, uint16_t port, const struct details *expected)
{
	const uint16_t first = DETAILS_HAS_FIRST | DETAILS_FIRST_RECEIVED | DETAILS_FIRST_EITHER;
	struct details details = details_of(extraction, port, IPPROTO_TCP);

	ck_assert_uint_eq(details.starts, expected->starts);
	ck_assert_uint_eq(details.ends, expected->ends);
	ck_assert_uint_eq(details.opener, expected->opener);
	ck_assert_uint_eq(details.bits & ~first, expected->bits);
	ck_assert_uint_eq(details.first_syn, expected->first_syn);
	ck_assert_uint_eq(details.last_syn, expected->last_syn);
	ck_assert_uint_eq(details.tx_flags, expected->tx_flags);
	ck_assert_uint_eq(details.rx_flags, expected->rx_flags);
}

START_TEST(tcp)
{
	static const uint8_t flags[] = {SYN, SYN | ACK, FIN | ACK, RST, ACK, 0xff, 0};
	struct details expected[CONNECTIONS] = {};
	struct extraction extraction = {};
	uint64_t state = 88172645463325252ULL;

	tun_details = true;
	tun_start(&(struct tunnel_options){}, 1024);
	for (unsigned int i = 0; i < 2000; i++) {
		struct details *details;
		uint16_t port;
		uint8_t flag;
		uint32_t seq;
		bool received;

		state ^= state << 13;
		state ^= state >> 7;
		state ^= state << 17;
		port = (uint16_t)(state % CONNECTIONS);
		received = state >> 8 & 1;
		flag = flags[(state >> 9) % sizeof(flags)];
		seq = state >> 20 & 3;
		send_packet((uint16_t)(1000 + port), IPPROTO_TCP, received, flag, seq);
		details = &expected[port];
		*(received ? &details->rx_flags : &details->tx_flags) |= flag;
		/* Both hand over sequence numbers as they are in the packet. */
		control_details_step(details, received, flag, htonl(seq));
	}
	tun_extract(&extraction);
	for (uint16_t port = 0; port < CONNECTIONS; port++)
		check_details(&extraction, (uint16_t)(1000 + port), &expected[port]);
	extraction_deinit(&extraction);
	/* The next window begins with nothing. */
	send_packet(1000, IPPROTO_TCP, false, ACK, 1);
	tun_extract(&extraction);
	check_details(&extraction, 1000, &(struct details){.tx_flags = ACK});
	extraction_deinit(&extraction);
	tun_stop();
}
END_TEST

/*
 * In an open connection the other end's SYN is its own attempt, and begins another one once it is answered;
 * of a new one on these ports both are openers.
 */
START_TEST(answered_or_not)
{
	struct extraction extraction = {};
	struct details details;

	tun_details = true;
	tun_start(&(struct tunnel_options){}, 1024);
	for (uint16_t port = 1000; port < 1003; port++) {
		send_packet(port, IPPROTO_TCP, false, SYN, 1);
		send_packet(port, IPPROTO_TCP, true, SYN | ACK, 5);
		if (port == 1001) {
			send_packet(port, IPPROTO_TCP, false, RST, 2);
			send_packet(port, IPPROTO_TCP, false, SYN, 9);
		}
		send_packet(port, IPPROTO_TCP, true, SYN, 7);
		send_packet(port, IPPROTO_TCP, false, port == 1002 ? SYN | ACK : ACK, 2);
	}
	tun_extract(&extraction);
	for (uint16_t port = 1000; port < 1003; port += 2) {
		details = details_of(&extraction, port, IPPROTO_TCP);
		ck_assert_uint_eq(details.starts, 2);
		ck_assert_uint_eq(details.opener, port == 1002 ? OPENER_DST : OPENER_SRC);
		ck_assert(details.bits & DETAILS_OPENERS_DIFFER);
	}
	details = details_of(&extraction, 1001, IPPROTO_TCP);
	ck_assert_uint_eq(details.starts, 2);
	ck_assert_uint_eq(details.opener, OPENER_BOTH);
	ck_assert(!(details.bits & DETAILS_ANSWERED));
	extraction_deinit(&extraction);
	tun_stop();
}
END_TEST

START_TEST(the_first_packet_of_others)
{
	struct extraction extraction = {};

	tun_details = true;
	tun_start(&(struct tunnel_options){}, 1024);
	for (uint16_t port = 1000; port < 1100; port++)
		for (int i = 0; i < 4; i++)
			send_packet(port, IPPROTO_UDP, (port + i) % 2, 0, 0);
	tun_extract(&extraction);
	for (uint16_t port = 1000; port < 1100; port++) {
		struct details details = details_of(&extraction, port, IPPROTO_UDP);

		ck_assert_uint_eq(details.bits, DETAILS_HAS_FIRST | (port % 2 ? DETAILS_FIRST_RECEIVED : 0));
		ck_assert_uint_eq(details.tx_flags | details.rx_flags | details.opener, 0);
	}
	extraction_deinit(&extraction);
	tun_stop();
}
END_TEST

/* Where nothing is read before all is there, one direction comes after the other. */
START_TEST(the_first_packet_where_directions_are_read_apart)
{
	struct sched_param urgent = {.sched_priority = 1}, normal = {};

	tun_stay_on_one_cpu();
	tun_details = true;
	tun_start(&(struct tunnel_options){}, 1024);
	for (int received = 0; received < 2; received++) {
		struct extraction extraction = {};

		ck_assert_int_eq(sched_setscheduler(0, SCHED_FIFO, &urgent), 0);
		for (int i = 0; i < 2; i++)
			send_packet(1000, IPPROTO_UDP, (received + i) % 2, 0, 0);
		ck_assert_int_eq(sched_setscheduler(0, SCHED_OTHER, &normal), 0);
		tun_extract(&extraction);
		ck_assert_uint_eq(details_of(&extraction, 1000, IPPROTO_UDP).bits,
				  DETAILS_HAS_FIRST | (received ? DETAILS_FIRST_RECEIVED : 0));
		extraction_deinit(&extraction);
	}
	tun_stop();
}
END_TEST

static void add_tests(TCase *tcase)
{
	tcase_add_test(tcase, tcp);
	tcase_add_test(tcase, answered_or_not);
	tcase_add_test(tcase, the_first_packet_of_others);
	tcase_add_test(tcase, the_first_packet_where_directions_are_read_apart);
}

int main(void)
{
	return tun_run("details", 1U << TUN_TCX | 1U << TUN_CLSACT | 1U << TUN_PACKETS, add_tests);
}
