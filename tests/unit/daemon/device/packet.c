/* SPDX-License-Identifier: BSD-3-Clause */
/* The source `packet` on a real tun device: where its table and its rings are full. */

#include "daemon/device/device.h"
#include "tests/unit/daemon/device/support/tun_device.h"

#include <check.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

START_TEST(the_cap_makes_overflow)
{
	struct extraction extraction = {};
	uint8_t packet[28];

	tun_start(&(struct tunnel_options){}, 50);
	for (uint16_t i = 0; i < 300; i++) {
		tun_packet(packet, (uint16_t)(i % 150));
		ck_assert_int_eq(tunnel_receive(&tun_tunnel, 0, NULL, packet, sizeof(packet)), 0);
		ck_assert_int_eq(tunnel_transmit(&tun_tunnel, 0, NULL, packet, sizeof(packet)), 0);
	}
	tun_extract(&extraction);
	/* The two directions' connections have their ends swapped. */
	ck_assert_uint_eq(extraction.flows.n, 50);
	ck_assert_uint_eq(extraction.totals.rx_packets, 300);
	ck_assert_uint_eq(extraction.totals.tx_packets, 300);
	ck_assert_uint_eq(extraction.overflow.rx_packets + extraction.overflow.tx_packets, 500);
	ck_assert_uint_eq(extraction.overflow.rx_bytes + extraction.overflow.tx_bytes, 500 * 28);
	extraction_deinit(&extraction);
	tun_stop();
}
END_TEST

/* More than the ring holds, in one direction, before the reader gets its turn on the only CPU. */
START_TEST(what_the_ring_drops_is_overflow)
{
	struct sched_param urgent = {.sched_priority = 1}, normal = {};
	struct extraction extraction = {};
	struct counts entries = {};
	const uint64_t sent = 60000;
	static uint8_t packet[9000];

	tun_stay_on_one_cpu();
	tun_start(&(struct tunnel_options){}, 50);
	tun_packet(packet, 1);
	/* Only a packet with extension headers is captured whole. */
	packet[0] = 0x60;
	packet[6] = 60;
	packet[4] = packet[5] = 0;
	ck_assert_int_eq(sched_setscheduler(0, SCHED_FIFO, &urgent), 0);
	for (uint64_t i = 0; i < sent; i++)
		ck_assert_int_eq(tunnel_receive(&tun_tunnel, 0, NULL, packet, sizeof(packet)), 0);
	ck_assert_int_eq(sched_setscheduler(0, SCHED_OTHER, &normal), 0);
	tun_extract(&extraction);
	for (size_t i = 0; i < extraction.flows.n; i++)
		counts_add(&entries, &extraction.flows.items[i].counts);
	ck_assert_uint_eq(extraction.totals.rx_packets, sent);
	ck_assert_uint_gt(extraction.overflow.rx_packets, 0);
	ck_assert_uint_eq(extraction.overflow.tx_packets, 0);
	ck_assert_uint_eq(entries.rx_packets + extraction.overflow.rx_packets, sent);
	ck_assert_uint_eq(entries.rx_bytes, entries.rx_packets * sizeof(packet));
	ck_assert(extraction.packets_only);
	extraction_deinit(&extraction);
	tun_stop();
}
END_TEST

#define ASKED 20000

/* Asks in one connection after the other, and is answered. */
static void *converse(void *userdata)
{
	uint8_t packet[28];
	atomic_bool *done = userdata;
	bool sent = true;

	for (unsigned int i = 0; i < ASKED && sent; i++) {
		tun_packet(packet, (uint16_t)i);
		sent = tunnel_transmit(&tun_tunnel, 0, NULL, packet, sizeof(packet)) == 0 &&
		       tunnel_receive(&tun_tunnel, 0, NULL, packet, sizeof(packet)) == 0;
	}
	*done = true;
	return sent ? done : NULL;
}

/* Sockets are read one after the other, but what came before a window's end is in it in both directions. */
START_TEST(no_answer_is_in_a_window_before_its_question)
{
	static unsigned int asked[ASKED], answered[ASKED];
	struct counts lost = {};
	atomic_bool done = false;
	uint64_t missing = 0;
	bool last = false;
	pthread_t thread;
	void *result;

	tun_start(&(struct tunnel_options){}, 2 * ASKED);
	ck_assert_int_eq(pthread_create(&thread, NULL, converse, &done), 0);
	for (unsigned int window = 1; !last; window++) {
		struct extraction extraction = {};

		last = done;
		tun_extract(&extraction);
		for (size_t i = 0; i < extraction.flows.n; i++) {
			const struct flow *flow = &extraction.flows.items[i];

			if (flow->counts.tx_packets > 0)
				asked[flow->connection.src.port] = window;
			else
				answered[flow->connection.dst.port] = window;
		}
		counts_add(&lost, &extraction.overflow);
		extraction_deinit(&extraction);
	}
	ck_assert_int_eq(pthread_join(thread, &result), 0);
	ck_assert_ptr_nonnull(result);
	/* A slow machine's rings may have been full. */
	for (unsigned int i = 0; i < ASKED; i++) {
		missing += (asked[i] == 0) + (answered[i] == 0);
		if (answered[i] > 0)
			ck_assert_uint_ge(answered[i], asked[i]);
	}
	ck_assert_uint_eq(missing, lost.tx_packets + lost.rx_packets);
	tun_stop();
}
END_TEST

static void add_tests(TCase *tcase)
{
	tcase_add_test(tcase, no_answer_is_in_a_window_before_its_question);
	tcase_add_test(tcase, the_cap_makes_overflow);
	tcase_add_test(tcase, what_the_ring_drops_is_overflow);
}

int main(void)
{
	return tun_run("packet", 1U << TUN_PACKETS, add_tests);
}
