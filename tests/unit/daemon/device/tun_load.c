/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The sources `ebpf` and `packet` under load from both CPUs on a real tun device: exact sums while windows
 * change, and when the interface goes away.
 */

#include "daemon/device/device.h"
#include "daemon/device/epoch.h"
#include "tests/unit/daemon/device/support/tun_device.h"

#include <check.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* One CPU's sender: changing connections in both directions, some shared with the other CPU. */
struct sender {
	pthread_t thread;
	int queue;
	int64_t until; /* CLOCK_MONOTONIC, ns */
	int priority;  /* 0: an ordinary one; else of real time, 1 to 3 */
	struct counts sent;
};

static int64_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static void *sender_run(void *userdata)
{
	struct sender *sender = userdata;
	cpu_set_t cpus;
	uint8_t packet[28], drop[64];

	CPU_ZERO(&cpus);
	CPU_SET(sender->queue, &cpus);
	pthread_setaffinity_np(pthread_self(), sizeof(cpus), &cpus);
	for (unsigned int i = 0; now() < __atomic_load_n(&sender->until, __ATOMIC_RELAXED); i++) {
		tun_packet(packet, (uint16_t)(i * 7 % 3000));
		if (tunnel_receive(&tun_tunnel, sender->queue, NULL, packet, sizeof(packet)) == 0) {
			sender->sent.rx_packets++;
			sender->sent.rx_bytes += sizeof(packet);
		}
		if (tunnel_transmit(&tun_tunnel, sender->queue, NULL, packet, sizeof(packet)) == 0) {
			sender->sent.tx_packets++;
			sender->sent.tx_bytes += sizeof(packet);
		}
		tunnel_read(&tun_tunnel, sender->queue, drop, sizeof(drop));
	}
	return NULL;
}

/* Extracts windows as fast as possible until then, at least one, and adds them up. */
static unsigned int take_windows(int64_t until, struct counts *entries, struct counts *totals)
{
	struct extraction extraction = {};
	unsigned int windows = 0;

	do {
		struct counts sum = {};

		tun_extract(&extraction);
		for (size_t i = 0; i < extraction.flows.n; i++)
			counts_add(&sum, &extraction.flows.items[i].counts);
		counts_add(&sum, &extraction.overflow);
		ck_assert_uint_eq(sum.rx_packets, extraction.totals.rx_packets);
		ck_assert_uint_eq(sum.tx_packets, extraction.totals.tx_packets);
		/* The size of packets that a ring dropped is unknown. */
		ck_assert(extraction.packets_only || counts_equal(&sum, &extraction.totals));
		counts_add(entries, &sum);
		counts_add(totals, &extraction.totals);
		extraction_deinit(&extraction);
		windows++;
	} while (now() < until);
	return windows;
}

START_TEST(exact_under_load_from_both_cpus)
{
	struct counts sent = {}, entries = {}, totals = {};
	struct sender senders[2] = {};
	unsigned int windows = 0;

	/* Too little room for some windows, so that there is overflow too. */
	tun_start(&(struct tunnel_options){.two_queues = true}, 2000);
	for (int i = 0; i < 2; i++) {
		senders[i] = (struct sender){.queue = i, .until = INT64_MAX};
		ck_assert_int_eq(pthread_create(&senders[i].thread, NULL, sender_run, &senders[i]), 0);
	}
	/* Two seconds are enough but on an emulated machine. */
	do {
		windows += take_windows(now() + 2000000000LL, &entries, &totals);
	} while (windows < 10 || totals.rx_packets < 10000);
	for (int i = 0; i < 2; i++)
		__atomic_store_n(&senders[i].until, 0, __ATOMIC_RELAXED);
	for (int i = 0; i < 2; i++) {
		pthread_join(senders[i].thread, NULL);
		counts_add(&sent, &senders[i].sent);
	}
	take_windows(0, &entries, &totals);
	fprintf(stderr, "%u windows, %llu received, %llu transmitted\n", windows,
		(unsigned long long)sent.rx_packets, (unsigned long long)sent.tx_packets);
	ck_assert_uint_ge(windows, 10);
	ck_assert_uint_ge(sent.rx_packets, 10000);
	ck_assert_uint_eq(totals.rx_packets, sent.rx_packets);
	ck_assert_uint_eq(totals.tx_packets, sent.tx_packets);
	if (tun_variant != TUN_PACKETS) {
		ck_assert(counts_equal(&entries, &sent));
		ck_assert(counts_equal(&totals, &sent));
	}
	tun_stop();
}
END_TEST

static void *receive_until_it_fails(void *userdata)
{
	struct sender *sender = userdata;
	uint8_t packet[28];

	for (unsigned int i = 0; now() < sender->until; i++) {
		tun_packet(packet, (uint16_t)(i * 7 % 3000));
		if (tunnel_receive(&tun_tunnel, sender->queue, NULL, packet, sizeof(packet)) < 0)
			break;
		sender->sent.rx_packets++;
		sender->sent.rx_bytes += sizeof(packet);
	}
	return NULL;
}

/* Exactly what the senders could send before the interface went is counted. */
START_TEST(an_interface_that_goes_under_load)
{
	struct counts sent = {}, entries = {}, totals = {};
	struct extraction extraction = {};
	struct sender senders[2] = {};
	int64_t begin;

	tun_start(&(struct tunnel_options){.two_queues = true}, 2000);
	begin = now();
	for (int i = 0; i < 2; i++) {
		senders[i] = (struct sender){.queue = i, .until = begin + 30000000000LL};
		ck_assert_int_eq(
			pthread_create(&senders[i].thread, NULL, receive_until_it_fails, &senders[i]), 0);
	}
	take_windows(begin + 500000000LL, &entries, &totals);
	ck_assert_int_eq(run_program((const char *const[]){"ip", "link", "del", tun_tunnel.name, NULL}), 0);
	for (int i = 0; i < 2; i++) {
		pthread_join(senders[i].thread, NULL);
		counts_add(&sent, &senders[i].sent);
	}
	ck_assert_int_lt(now(), begin + 30000000000LL);
	epoch_flip(tun_epoch);
	ck_assert_int_eq(tun_device->ops->extract_statistics(tun_device, &extraction), -ENODEV);
	ck_assert_uint_eq(extraction.errors, 0);
	for (size_t i = 0; i < extraction.flows.n; i++)
		counts_add(&entries, &extraction.flows.items[i].counts);
	counts_add(&entries, &extraction.overflow);
	counts_add(&totals, &extraction.totals);
	extraction_deinit(&extraction);
	ck_assert_uint_ge(sent.rx_packets, 1000);
	ck_assert_uint_eq(totals.rx_packets, sent.rx_packets);
	ck_assert_uint_eq(entries.rx_packets, sent.rx_packets);
	ck_assert(tun_variant == TUN_PACKETS || counts_equal(&entries, &sent));
	tun_stop();
}
END_TEST

/*
 * On one CPU, a sender that never rests and others of higher priorities, which wake at random moments: with
 * PREEMPT_RT also while a program counts a packet of the first.
 */
static void *send_at_random_moments(void *userdata)
{
	struct sender *sender = userdata;
	const struct sched_param priority = {.sched_priority = 10 * sender->priority};
	unsigned int seed = (unsigned int)sender->priority;
	uint8_t packet[28], drop[64];
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(0, &cpus);
	pthread_setaffinity_np(pthread_self(), sizeof(cpus), &cpus);
	if (sender->priority)
		pthread_setschedparam(pthread_self(), SCHED_FIFO, &priority);
	for (unsigned int i = 0; __atomic_load_n(&sender->until, __ATOMIC_RELAXED); i++) {
		if (sender->priority && i % 4 == 0)
			clock_nanosleep(CLOCK_MONOTONIC, 0,
					&(struct timespec){.tv_nsec = 20000 + rand_r(&seed) % 100000}, NULL);
		tun_packet(packet, (uint16_t)(i * 7 % 300));
		if (tunnel_receive(&tun_tunnel, 0, NULL, packet, sizeof(packet)) == 0) {
			sender->sent.rx_packets++;
			sender->sent.rx_bytes += sizeof(packet);
		}
		if (tunnel_transmit(&tun_tunnel, 0, NULL, packet, sizeof(packet)) == 0) {
			sender->sent.tx_packets++;
			sender->sent.tx_bytes += sizeof(packet);
		}
		tunnel_read(&tun_tunnel, 0, drop, sizeof(drop));
	}
	return NULL;
}

START_TEST(exact_where_senders_preempt_each_other)
{
	const char *seconds = getenv("NETLOGD_TEST_SECONDS");
	struct counts sent = {}, entries = {}, totals = {};
	struct sender senders[4] = {};
	unsigned int windows = 0;

	tun_start(&(struct tunnel_options){}, 2000);
	for (int i = 0; i < 4; i++) {
		senders[i] = (struct sender){.until = INT64_MAX, .priority = i};
		ck_assert_int_eq(
			pthread_create(&senders[i].thread, NULL, send_at_random_moments, &senders[i]), 0);
	}
	do {
		windows +=
			take_windows(now() + (seconds ? atoi(seconds) : 2) * 1000000000LL, &entries, &totals);
	} while (windows < 10 || totals.rx_packets < 10000);
	for (int i = 0; i < 4; i++)
		__atomic_store_n(&senders[i].until, 0, __ATOMIC_RELAXED);
	for (int i = 0; i < 4; i++) {
		pthread_join(senders[i].thread, NULL);
		counts_add(&sent, &senders[i].sent);
	}
	take_windows(0, &entries, &totals);
	fprintf(stderr, "%u windows, %llu received, %llu transmitted; of the highest priority %llu\n",
		windows, (unsigned long long)sent.rx_packets, (unsigned long long)sent.tx_packets,
		(unsigned long long)senders[3].sent.rx_packets);
	ck_assert_uint_gt(senders[3].sent.rx_packets, 0);
	ck_assert_uint_eq(totals.rx_packets, sent.rx_packets);
	ck_assert_uint_eq(totals.tx_packets, sent.tx_packets);
	ck_assert(tun_variant == TUN_PACKETS || counts_equal(&entries, &sent));
	tun_stop();
}
END_TEST

static void add_tests(TCase *tcase)
{
	tcase_add_test(tcase, exact_under_load_from_both_cpus);
	tcase_add_test(tcase, exact_where_senders_preempt_each_other);
	if (run_program((const char *const[]){"ip", "-V", NULL}) == 0)
		tcase_add_test(tcase, an_interface_that_goes_under_load);
}

int main(void)
{
	return tun_run("tun_load", 1U << TUN_TCX | 1U << TUN_CLSACT | 1U << TUN_PACKETS, add_tests);
}
