/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The programs on a real tun device under packets from both CPUs: not sums, but each connection's packets and
 * bytes. Once in every window, with senders that wait during the extraction and then begin in the same way;
 * once over all windows, which end at any moment. NETLOGD_TEST_SECONDS=600 runs longer than usual.
 */

#include "common/cleanup.h"
#include "daemon/bpf/tun_maps.h"
#include "daemon/device/device.h"
#include "daemon/device/epoch.h"
#include "daemon/device/hook.h"
#include "tests/unit/daemon/device/support/program.h"
#include "tests/unit/daemon/device/support/tunnel.h"

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <bpf/libbpf.h>

#define EXIT_SKIPPED 77

/* Connections 0 to SHARED are on both CPUs, and as many more on each alone. */
#define SHARED	    32
#define CONNECTIONS (3 * SHARED)

#define ETHERNET 14
#define HEADERS	 28

static struct tunnel tunnel;

static int64_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static int64_t seconds_wanted(int usual)
{
	const char *text = getenv("NETLOGD_TEST_SECONDS");

	return (text ? atoi(text) : usual) * 1000000000LL;
}

/* One CPU's sender. */
struct sender {
	pthread_t thread;
	int queue;
	bool stops;
	uint64_t sent[CONNECTIONS]; /* since the last comparison */
};

static struct sender senders[2];

/* The connection of a CPU's i-th packet. */
static unsigned int choose_connection(const struct sender *sender, unsigned int i)
{
	i %= 2 * SHARED;
	return i < SHARED ? i : i + (unsigned int)sender->queue * SHARED;
}

static size_t packet_size(unsigned int connection)
{
	return HEADERS + connection;
}

/* An IPv4 UDP packet in a frame, with the connection's number in its port, and in its size too. */
static void send_packet(struct sender *sender, unsigned int connection)
{
	uint8_t frame[ETHERNET + HEADERS + CONNECTIONS] = {[12] = 0x08, 0,  0x45, 0, 0, 0,   0,	 1, 0,
							   0,		64, 17,	  0, 0, 100, 64, 0, 1,
							   100,		64, 0,	  2, 0, 0,   0,	 53};
	size_t size = packet_size(connection);

	frame[ETHERNET + 3] = (uint8_t)size;
	frame[ETHERNET + 21] = (uint8_t)connection;
	frame[ETHERNET + 25] = (uint8_t)(size - 20);
	ck_assert_int_eq(tunnel_receive(&tunnel, sender->queue, NULL, frame, ETHERNET + size), 0);
	sender->sent[connection]++;
}

/* Adds the counts, and checks that they are consistent. */
static void add_up(const struct flows *flows, const struct counts *totals,
		   uint64_t received[static CONNECTIONS])
{
	struct counts sum = {};

	for (size_t i = 0; i < flows->n; i++) {
		const struct flow *flow = &flows->items[i];
		unsigned int connection = flow->connection.dst.port;

		ck_assert_uint_lt(connection, CONNECTIONS);
		ck_assert_uint_eq(flow->counts.rx_bytes, flow->counts.rx_packets * packet_size(connection));
		received[connection] += flow->counts.rx_packets;
		counts_add(&sum, &flow->counts);
	}
	ck_assert(counts_equal(&sum, totals));
}

/* Compares the counts with what was sent since the last time. */
static void compare(unsigned int window, const uint64_t received[static CONNECTIONS])
{
	for (unsigned int i = 0; i < CONNECTIONS; i++) {
		uint64_t sent = senders[0].sent[i] + senders[1].sent[i];

		ck_assert_msg(received[i] == sent, "window %u: connection %u has %llu packets, not %llu",
			      window, i, (unsigned long long)received[i], (unsigned long long)sent);
	}
	for (int i = 0; i < 2; i++)
		memset(senders[i].sent, 0, sizeof(senders[i].sent));
}

static void stay_on(int cpu)
{
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(cpu, &cpus);
	ck_assert_int_eq(pthread_setaffinity_np(pthread_self(), sizeof(cpus), &cpus), 0);
}

static void start_senders(void *(*run)(void *userdata))
{
	for (int i = 0; i < 2; i++)
		senders[i] = (struct sender){.queue = i};
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(pthread_create(&senders[i].thread, NULL, run, &senders[i]), 0);
}

static void join_senders(void)
{
	for (int i = 0; i < 2; i++)
		pthread_join(senders[i].thread, NULL);
}

/* --- window by window: both senders wait during the extraction, so that it need not wait for the kernel ---
 */

static struct program *program;
static unsigned int arrivals;
static int64_t end;

/* Waits for the other one without sleeping, so that both continue together. */
static void meet(unsigned int *meetings)
{
	unsigned int all = 2 * ++*meetings;

	__atomic_fetch_add(&arrivals, 1, __ATOMIC_SEQ_CST);
	for (unsigned int i = 0; __atomic_load_n(&arrivals, __ATOMIC_SEQ_CST) < all; i++)
		if (i % 4096 == 4095)
			sched_yield();
}

static void take_window(unsigned int window)
{
	uint64_t received[CONNECTIONS] = {};
	struct program_counts counts;

	ck_assert_int_eq(program_extract(program, false, &counts), 0);
	ck_assert(counts_is_zero(&counts.overflow));
	add_up(&counts.flows, &counts.totals, received);
	compare(window, received);
	program_counts_deinit(&counts);
}

/* Each sender begins every window with the same connections in the same order. */
static void *send_windows(void *userdata)
{
	struct sender *sender = userdata;
	unsigned int window = 0, meetings = 0;

	stay_on(sender->queue);
	do {
		/* Several blocks of entries on each CPU, taken in changing order. */
		unsigned int packets = FLOW_BLOCK + window * 7 % (4 * FLOW_BLOCK);

		meet(&meetings);
		for (unsigned int i = 0; i < packets; i++)
			send_packet(sender, choose_connection(sender, i));
		meet(&meetings);
		if (sender->queue == 0) {
			take_window(window);
			senders[0].stops = senders[1].stops = now() >= end && window > 10;
		}
		window++;
		meet(&meetings);
	} while (!sender->stops);
	if (sender->queue == 0)
		fprintf(stderr, "%u windows in lockstep\n", window);
	return NULL;
}

START_TEST(each_connection_in_each_window)
{
	struct hook_options options = {.direction = HOOK_INGRESS};
	struct hook *hook;

	namespace_enter();
	tunnel_init(&tunnel, &(struct tunnel_options){.ethernet = true, .two_queues = true});
	ck_assert_int_eq(program_new(4096, &program), 0);
	options.ifindex = tunnel.ifindex;
	options.program_fd = program_fd(program, true);
	ck_assert_int_eq(hook_attach(&options, &hook), 0);
	arrivals = 0;
	end = now() + seconds_wanted(10);
	start_senders(send_windows);
	join_senders();
	hook_free(hook);
	program_free(program);
	tunnel_deinit(&tunnel);
}
END_TEST

/* --- at full speed: windows end at any moment, and what was sent is compared at the end --- */

static void *send_on(void *userdata)
{
	struct sender *sender = userdata;

	stay_on(sender->queue);
	for (unsigned int i = 0; !__atomic_load_n(&sender->stops, __ATOMIC_RELAXED); i++)
		send_packet(sender, choose_connection(sender, i));
	return NULL;
}

static void extract(struct epoch *epoch, struct device *device, uint64_t received[static CONNECTIONS])
{
	struct extraction extraction = {};

	epoch_flip(epoch);
	ck_assert_int_eq(device->ops->extract_statistics(device, &extraction), 0);
	ck_assert(counts_is_zero(&extraction.overflow));
	add_up(&extraction.flows, &extraction.totals, received);
	extraction_deinit(&extraction);
}

START_TEST(each_connection_at_full_speed)
{
	struct device_options options = {.layer = LAYER_TUN, .interface = tunnel.name, .max_flows = 4096};
	uint64_t received[CONNECTIONS] = {}, packets = 0;
	unsigned int windows = 0;
	struct device *device;
	struct epoch *epoch;

	namespace_enter();
	tunnel_init(&tunnel, &(struct tunnel_options){.ethernet = true, .two_queues = true});
	ck_assert_int_eq(epoch_new(&epoch), 0);
	options.epoch = epoch;
	ck_assert_int_eq(device_ebpf_new(&options, &device, NULL), 0);
	ck_assert_int_eq(device->ops->set_statistics_enabled(device, true), 0);
	end = now() + seconds_wanted(8);
	start_senders(send_on);
	while (now() < end || windows < 10) {
		extract(epoch, device, received);
		windows++;
	}
	for (int i = 0; i < 2; i++)
		__atomic_store_n(&senders[i].stops, true, __ATOMIC_RELAXED);
	join_senders();
	extract(epoch, device, received);
	for (unsigned int i = 0; i < CONNECTIONS; i++)
		packets += received[i];
	fprintf(stderr, "%u windows at full speed, %llu packets\n", windows, (unsigned long long)packets);
	compare(windows, received);
	device_free(device);
	epoch_free(epoch);
	tunnel_deinit(&tunnel);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("windows");
	TCase *lockstep = tcase_create("lockstep"), *full_speed = tcase_create("full speed");
	SRunner *runner;
	int failed;

	if (!tunnel_is_possible() || libbpf_num_possible_cpus() < 2) {
		fprintf(stderr, "skipped: no tun devices or namespaces here, or only one CPU\n");
		return EXIT_SKIPPED;
	}
	tcase_set_timeout(lockstep, 60 + (double)seconds_wanted(60) / 1e9);
	tcase_set_timeout(full_speed, 60 + (double)seconds_wanted(60) / 1e9);
	tcase_add_test(lockstep, each_connection_in_each_window);
	tcase_add_test(full_speed, each_connection_at_full_speed);
	suite_add_tcase(suite, lockstep);
	suite_add_tcase(suite, full_speed);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
