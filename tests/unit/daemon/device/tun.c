/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The sources `ebpf` and `packet` on a real tun device: what goes through it in either direction, full maps,
 * starts and stops, an interface that goes away, and exact sums while windows change under load from both
 * CPUs.
 */

#include "common/cleanup.h"
#include "daemon/bpf/tun_maps.h"
#include "daemon/device/device.h"
#include "daemon/device/epoch.h"
#include "tests/unit/daemon/device/support/model.h"
#include "tests/unit/daemon/device/support/random_packet.h"
#include "tests/unit/daemon/device/support/tunnel.h"
#include "tests/unit/daemon/device/support/vectors.h"

#include <arpa/inet.h>
#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <net/if.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#define EXIT_SKIPPED 77

static struct tunnel tunnel;
static struct epoch *epoch;
static struct device *device;
/* What is under test: `ebpf` by TCX or by what stands in for it, or `packet`. */
static enum { TCX, CLSACT, PACKETS } variant;

static int make_device(uint32_t max_flows)
{
	_cleanup_free_ char *reason = NULL;
	struct device_options options = {
		.layer = LAYER_TUN,
		.interface = tunnel.name,
		.max_flows = max_flows,
		.epoch = epoch,
		.without_tcx = variant == CLSACT,
	};
	int error = variant == PACKETS ? device_packet_new(&options, &device, &reason)
				       : device_ebpf_new(&options, &device, &reason);

	if (error < 0)
		fprintf(stderr, "%s\n", reason ? reason : "no reason");
	return error;
}

static void start(const struct tunnel_options *options, uint32_t max_flows)
{
	namespace_enter();
	tunnel_init(&tunnel, options);
	ck_assert_int_eq(epoch_new(&epoch), 0);
	ck_assert_int_eq(make_device(max_flows), 0);
	ck_assert_int_eq(device->ops->set_statistics_enabled(device, true), 0);
}

static void stop(void)
{
	device_free(device);
	epoch_free(epoch);
	tunnel_deinit(&tunnel);
}

static void extract(struct extraction *extraction)
{
	epoch_flip(epoch);
	ck_assert_int_eq(device->ops->extract_statistics(device, extraction), 0);
	ck_assert_uint_eq(extraction->errors, 0);
}

/* An IPv4 UDP packet of 28 bytes, one of 65536 connections. */
static void make_packet(uint8_t packet[static 28], uint16_t number)
{
	static const uint8_t model[28] = {0x45, 0, 0,	28, 0, 1, 0,	0,    64, 17, 0, 0, 100, 64,
					  0,	1, 100, 64, 0, 2, 0x10, 0x20, 0,  53, 0, 8, 0,	 0};
	uint16_t port = htons(number);

	memcpy(packet, model, sizeof(model));
	memcpy(packet + 20, &port, sizeof(port));
}

static void check_vector(const struct vector *vector, bool received)
{
	struct connection expected = received ? connection_swapped(&vector->connection) : vector->connection;
	struct extraction extraction = {};
	struct counts counts = {};
	int error;

	error = received ? tunnel_receive(&tunnel, 0, NULL, vector->packet, vector->length)
			 : tunnel_transmit(&tunnel, 0, NULL, vector->packet, vector->length);
	ck_assert_msg(error == 0, "%s: %s", vector->name, strerror(-error));
	if (received) {
		counts.rx_packets = 1;
		counts.rx_bytes = vector->bytes;
	} else {
		counts.tx_packets = 1;
		counts.tx_bytes = vector->bytes;
	}
	extract(&extraction);
	ck_assert_msg(extraction.flows.n == 1, "%s: %zu flows", vector->name, extraction.flows.n);
	ck_assert_msg(connection_compare(&extraction.flows.items[0].connection, &expected) == 0,
		      "%s: proto %u", vector->name, extraction.flows.items[0].connection.proto);
	ck_assert_msg(counts_equal(&extraction.flows.items[0].counts, &counts), "%s", vector->name);
	ck_assert_msg(counts_equal(&extraction.totals, &counts), "%s", vector->name);
	extraction_deinit(&extraction);
}

START_TEST(vectors_through_the_device)
{
	static const char *const files[] = {"decode.json", "extra.json"};
	struct vectors vectors;

	start(&(struct tunnel_options){}, 1024);
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		vectors_load(&vectors, files[i]);
		for (size_t j = 0; j < vectors.n; j++)
			check_vector(&vectors.items[j], _i == 1);
		vectors_deinit(&vectors);
	}
	stop();
}
END_TEST

#define BATCH 400

/* Sends what a real device lets through, and notes what must be counted for it. */
static void send_random(uint64_t *state, const struct vectors *vectors, struct flows *expected)
{
	uint8_t packet[RANDOM_PACKET_MAX], drop[RANDOM_PACKET_MAX];

	for (unsigned int i = 0; i < BATCH; i++) {
		size_t length = random_packet(state, vectors, packet);
		struct connection connection = model_decode(packet, length);
		bool received = i % 2;
		struct counts counts = received ? (struct counts){.rx_packets = 1, .rx_bytes = length}
						: (struct counts){.tx_packets = 1, .tx_bytes = length};
		int error = received ? tunnel_receive(&tunnel, 0, NULL, packet, length)
				     : tunnel_transmit(&tunnel, 0, NULL, packet, length);

		if (error < 0)
			continue;
		tunnel_read(&tunnel, 0, drop, sizeof(drop));
		if (received)
			connection = connection_swapped(&connection);
		ck_assert_int_eq(flows_add(expected, &connection, &counts), 0);
	}
}

static struct counts sum_of(const struct flows *flows, const struct connection *connection)
{
	struct counts sum = {};

	for (size_t i = 0; i < flows->n; i++)
		if (connection_compare(&flows->items[i].connection, connection) == 0)
			counts_add(&sum, &flows->items[i].counts);
	return sum;
}

START_TEST(random_packets_agree_with_the_model)
{
	uint64_t state = 0x853c49e6748fea9bULL;
	struct vectors vectors;

	vectors_load(&vectors, "extra.json");
	start(&(struct tunnel_options){}, 1024);
	for (int batch = 0; batch < 8; batch++) {
		struct flows expected = {};
		struct extraction extraction = {};

		send_random(&state, &vectors, &expected);
		ck_assert_uint_ge(expected.n, BATCH / 2);
		extract(&extraction);
		ck_assert_uint_eq(extraction.totals.rx_packets + extraction.totals.tx_packets, expected.n);
		for (size_t i = 0; i < expected.n; i++) {
			const struct connection *connection = &expected.items[i].connection;
			struct counts wanted = sum_of(&expected, connection);
			struct counts found = sum_of(&extraction.flows, connection);

			ck_assert_msg(counts_equal(&wanted, &found), "batch %d, packet %zu, proto %u", batch,
				      i, connection->proto);
		}
		extraction_deinit(&extraction);
		flows_deinit(&expected);
	}
	vectors_deinit(&vectors);
	stop();
}
END_TEST

START_TEST(tells_what_it_is)
{
	struct device_info info;

	start(&(struct tunnel_options){}, 1000);
	device->ops->get_info(device, &info);
	ck_assert_int_eq(info.source, SOURCE_EBPF);
	ck_assert_str_eq(info.attachment, variant == CLSACT ? "clsact" : "tcx");
	ck_assert_str_eq(info.interface, tunnel.name);
	ck_assert_uint_eq(info.ifindex, tunnel.ifindex);
	ck_assert_ptr_null(info.warning);
	ck_assert_int_eq(info.reason != NULL, variant == CLSACT);
	/* Two sides of 2000 entries with 40 bytes of key and 32 of counts at the least. */
	ck_assert_uint_ge(info.memory, 2 * 2000 * 72);
	ck_assert_uint_le(info.memory, 2 * 2000 * 200);
	stop();
}
END_TEST

/* An Ethernet frame on a tap device: counted from its IP header on. */
START_TEST(ethernet_header_is_not_counted)
{
	struct extraction extraction = {};
	uint8_t frame[14 + 28] = {[12] = 0x08};

	start(&(struct tunnel_options){.ethernet = true}, 1024);
	make_packet(frame + 14, 7);
	ck_assert_int_eq(tunnel_receive(&tunnel, 0, NULL, frame, sizeof(frame)), 0);
	extract(&extraction);
	ck_assert_uint_eq(extraction.flows.n, 1);
	ck_assert_uint_eq(extraction.flows.items[0].connection.dst.port, 7);
	ck_assert_uint_eq(extraction.flows.items[0].counts.rx_bytes, 28);
	extraction_deinit(&extraction);

	frame[12] = 0x08;
	frame[13] = 0x06; /* ARP: no IP, though its first byte may look like it */
	ck_assert_int_eq(tunnel_transmit(&tunnel, 0, NULL, frame, sizeof(frame)), 0);
	extract(&extraction);
	ck_assert_uint_eq(extraction.flows.n, 1);
	ck_assert_uint_eq(extraction.flows.items[0].connection.proto, 0);
	ck_assert_int_eq(extraction.flows.items[0].connection.src.address.family, ADDRESS_NONE);
	ck_assert_uint_eq(extraction.flows.items[0].counts.tx_bytes, 28);
	extraction_deinit(&extraction);
	stop();
}
END_TEST

static void stay_on_one_cpu(void)
{
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(0, &cpus);
	ck_assert_int_eq(sched_setaffinity(0, sizeof(cpus), &cpus), 0);
}

/* The kernel takes off the first tag of what comes in, and none of what a packet socket sends. */
START_TEST(a_tag_that_stays_in_the_frame)
{
	/* Two tags; IPv6 with 256 bytes of destination options, and UDP behind. */
	uint8_t frame[22 + 40 + 256 + 8] = {[12] = 0x81, [15] = 5, [19] = 6, [20] = 0x86, [21] = 0xdd};
	uint8_t *ip = frame + 22;
	struct extraction extraction = {};

	frame[16] = _i == 0 ? 0x81 : 0x88;
	frame[17] = _i == 0 ? 0x00 : 0xa8;
	ip[0] = 0x60;
	ip[4] = 1;
	ip[5] = 8;
	ip[6] = 60;
	ip[40] = 17;
	ip[41] = 31;
	ip[40 + 256 + 3] = 7;
	start(&(struct tunnel_options){.ethernet = true}, 1024);
	ck_assert_int_eq(tunnel_receive(&tunnel, 0, NULL, frame, sizeof(frame)), 0);
	extract(&extraction);
	ck_assert_uint_eq(extraction.flows.n, 1);
	ck_assert_uint_eq(extraction.flows.items[0].connection.proto, 17);
	ck_assert_uint_eq(extraction.flows.items[0].connection.src.port, 7);
	ck_assert_uint_eq(extraction.flows.items[0].counts.rx_bytes, sizeof(frame) - 22);
	extraction_deinit(&extraction);

	/* With the second alone. */
	memmove(frame + 12, frame + 16, sizeof(frame) - 16);
	ck_assert_int_eq(tunnel_transmit(&tunnel, 0, NULL, frame, sizeof(frame) - 4), 0);
	extract(&extraction);
	ck_assert_uint_eq(extraction.flows.n, 1);
	ck_assert_uint_eq(extraction.flows.items[0].connection.proto, 17);
	ck_assert_uint_eq(extraction.flows.items[0].connection.dst.port, 7);
	ck_assert_uint_eq(extraction.flows.items[0].counts.tx_bytes, sizeof(frame) - 22);
	extraction_deinit(&extraction);
	stop();
}
END_TEST

START_TEST(overflow_is_counted_exactly)
{
	/* Twice the connections, and the rest of a block for each CPU. */
	const unsigned int room = 2 * 50 + FLOW_BLOCK * (unsigned int)libbpf_num_possible_cpus();
	struct extraction extraction = {};
	struct counts sum = {};
	uint8_t packet[28];

	stay_on_one_cpu();
	start(&(struct tunnel_options){}, 50);
	for (uint16_t i = 0; i < 2 * (room + 50); i++) {
		make_packet(packet, (uint16_t)(i % (room + 50)));
		ck_assert_int_eq(tunnel_receive(&tunnel, 0, NULL, packet, sizeof(packet)), 0);
	}
	for (uint16_t i = 0; i < 40; i++) {
		make_packet(packet, (uint16_t)(10000 + i));
		ck_assert_int_eq(tunnel_transmit(&tunnel, 0, NULL, packet, sizeof(packet)), 0);
	}
	extract(&extraction);
	ck_assert_uint_eq(extraction.flows.n, room);
	for (size_t i = 0; i < extraction.flows.n; i++)
		counts_add(&sum, &extraction.flows.items[i].counts);
	ck_assert_uint_eq(sum.rx_packets, 2 * room);
	ck_assert_uint_eq(extraction.overflow.rx_packets, 100);
	ck_assert_uint_eq(extraction.overflow.rx_bytes, 100 * 28);
	ck_assert_uint_eq(extraction.overflow.tx_packets, 40);
	ck_assert_uint_eq(extraction.overflow.tx_bytes, 40 * 28);
	counts_add(&sum, &extraction.overflow);
	ck_assert(counts_equal(&sum, &extraction.totals));
	extraction_deinit(&extraction);

	/* The next window begins empty. */
	make_packet(packet, 1);
	ck_assert_int_eq(tunnel_receive(&tunnel, 0, NULL, packet, sizeof(packet)), 0);
	extract(&extraction);
	ck_assert_uint_eq(extraction.flows.n, 1);
	ck_assert(counts_is_zero(&extraction.overflow));
	ck_assert_uint_eq(extraction.totals.rx_packets, 1);
	extraction_deinit(&extraction);
	stop();
}
END_TEST

START_TEST(the_cap_makes_overflow)
{
	struct extraction extraction = {};
	uint8_t packet[28];

	start(&(struct tunnel_options){}, 50);
	for (uint16_t i = 0; i < 300; i++) {
		make_packet(packet, (uint16_t)(i % 150));
		ck_assert_int_eq(tunnel_receive(&tunnel, 0, NULL, packet, sizeof(packet)), 0);
		ck_assert_int_eq(tunnel_transmit(&tunnel, 0, NULL, packet, sizeof(packet)), 0);
	}
	extract(&extraction);
	/* Either direction's connections have their ends the other way round. */
	ck_assert_uint_eq(extraction.flows.n, 50);
	ck_assert_uint_eq(extraction.totals.rx_packets, 300);
	ck_assert_uint_eq(extraction.totals.tx_packets, 300);
	ck_assert_uint_eq(extraction.overflow.rx_packets + extraction.overflow.tx_packets, 500);
	ck_assert_uint_eq(extraction.overflow.rx_bytes + extraction.overflow.tx_bytes, 500 * 28);
	extraction_deinit(&extraction);
	stop();
}
END_TEST

/* More than the ring holds, in one direction, before the reader can have a turn on the only CPU. */
START_TEST(what_the_ring_drops_is_overflow)
{
	struct sched_param urgent = {.sched_priority = 1}, normal = {};
	struct extraction extraction = {};
	struct counts entries = {};
	const uint64_t sent = 60000;
	static uint8_t packet[9000];
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(0, &cpus);
	ck_assert_int_eq(sched_setaffinity(0, sizeof(cpus), &cpus), 0);
	start(&(struct tunnel_options){}, 50);
	make_packet(packet, 1);
	/* Only a packet with extension headers is captured whole. */
	packet[0] = 0x60;
	packet[6] = 60;
	packet[4] = packet[5] = 0;
	ck_assert_int_eq(sched_setscheduler(0, SCHED_FIFO, &urgent), 0);
	for (uint64_t i = 0; i < sent; i++)
		ck_assert_int_eq(tunnel_receive(&tunnel, 0, NULL, packet, sizeof(packet)), 0);
	ck_assert_int_eq(sched_setscheduler(0, SCHED_OTHER, &normal), 0);
	extract(&extraction);
	for (size_t i = 0; i < extraction.flows.n; i++)
		counts_add(&entries, &extraction.flows.items[i].counts);
	ck_assert_uint_eq(extraction.totals.rx_packets, sent);
	ck_assert_uint_gt(extraction.overflow.rx_packets, 0);
	ck_assert_uint_eq(extraction.overflow.tx_packets, 0);
	ck_assert_uint_eq(entries.rx_packets + extraction.overflow.rx_packets, sent);
	ck_assert_uint_eq(entries.rx_bytes, entries.rx_packets * sizeof(packet));
	ck_assert(extraction.packets_only);
	extraction_deinit(&extraction);
	stop();
}
END_TEST

static bool has_pressure(int timeout_ms)
{
	struct pollfd poll_fd = {.fd = device->ops->get_pressure_fd(device), .events = POLLIN};

	return poll(&poll_fd, 1, timeout_ms) == 1;
}

START_TEST(asks_for_an_early_extraction_at_three_quarters)
{
	/* The first entry of the block that ends at three quarters of 1024 entries, beside the rest of a
	 * block for each CPU. */
	const uint16_t last = (uint16_t)(768 + FLOW_BLOCK * (libbpf_num_possible_cpus() - 1));
	struct extraction extraction = {};
	uint8_t packet[28];

	stay_on_one_cpu();
	start(&(struct tunnel_options){}, 512);
	for (int round = 0; round < 3; round++) {
		for (uint16_t i = 0; i < last; i++) {
			make_packet(packet, i);
			ck_assert_int_eq(tunnel_receive(&tunnel, 0, NULL, packet, sizeof(packet)), 0);
		}
		ck_assert(!has_pressure(0));
		make_packet(packet, last);
		ck_assert_int_eq(tunnel_receive(&tunnel, 0, NULL, packet, sizeof(packet)), 0);
		ck_assert(has_pressure(5000));
		extract(&extraction);
		ck_assert_uint_eq(extraction.flows.n, last + 1U);
		extraction_deinit(&extraction);
		ck_assert(!has_pressure(0));
	}
	stop();
}
END_TEST

/* CPUs take a block at once: a few connections on each, in a small table, are no reason to ask. */
START_TEST(asks_for_nothing_while_there_is_room)
{
	uint8_t packet[28];

	start(&(struct tunnel_options){}, 1);
	make_packet(packet, 1);
	ck_assert_int_eq(tunnel_receive(&tunnel, 0, NULL, packet, sizeof(packet)), 0);
	ck_assert(!has_pressure(0));
	stop();
}
END_TEST

/* The next window's map fills up while this window's is being emptied. */
START_TEST(asks_also_when_an_extraction_is_under_way)
{
	const uint16_t last = (uint16_t)(80 + FLOW_BLOCK * libbpf_num_possible_cpus());
	struct extraction extraction = {};
	uint8_t packet[28];

	stay_on_one_cpu();
	start(&(struct tunnel_options){}, 50);
	epoch_flip(epoch);
	for (uint16_t i = 0; i < last; i++) {
		make_packet(packet, i);
		ck_assert_int_eq(tunnel_receive(&tunnel, 0, NULL, packet, sizeof(packet)), 0);
	}
	ck_assert_int_eq(device->ops->extract_statistics(device, &extraction), 0);
	ck_assert_uint_eq(extraction.flows.n, 0);
	extraction_deinit(&extraction);
	make_packet(packet, last);
	ck_assert_int_eq(tunnel_receive(&tunnel, 0, NULL, packet, sizeof(packet)), 0);
	ck_assert(has_pressure(0));
	extract(&extraction);
	ck_assert_uint_eq(extraction.flows.n, last + 1U);
	extraction_deinit(&extraction);
	ck_assert(!has_pressure(0));
	stop();
}
END_TEST

/* A window that could not be taken is in the next but one, or, if it is the last but one, in the last. */
START_TEST(what_a_failed_extraction_left_comes_with_the_last)
{
	struct extraction extraction = {};
	uint8_t packet[28];

	start(&(struct tunnel_options){}, 50);
	make_packet(packet, 1);
	ck_assert_int_eq(tunnel_receive(&tunnel, 0, NULL, packet, sizeof(packet)), 0);
	epoch_flip(epoch); /* and no extraction */
	make_packet(packet, 2);
	ck_assert_int_eq(tunnel_receive(&tunnel, 0, NULL, packet, sizeof(packet)), 0);
	ck_assert_int_eq(device->ops->set_statistics_enabled(device, false), 0);
	extract(&extraction);
	ck_assert_uint_eq(extraction.flows.n, 2);
	ck_assert_uint_eq(extraction.totals.rx_packets, 2);
	extraction_deinit(&extraction);
	stop();
}
END_TEST

static size_t open_descriptors(void)
{
	DIR *directory = opendir("/proc/self/fd");
	size_t n = 0;

	ck_assert_ptr_nonnull(directory);
	while (readdir(directory))
		n++;
	closedir(directory);
	return n;
}

START_TEST(starts_and_stops_leak_nothing)
{
	struct extraction extraction = {};
	uint8_t packet[28];
	size_t before;

	start(&(struct tunnel_options){}, 1024);
	make_packet(packet, 1);
	before = open_descriptors();
	for (int i = 0; i < 10; i++) {
		ck_assert_int_eq(device->ops->set_statistics_enabled(device, false), 0);
		ck_assert_int_eq(tunnel_receive(&tunnel, 0, NULL, packet, sizeof(packet)), 0);
		ck_assert_int_eq(device->ops->set_statistics_enabled(device, false), 0);
		ck_assert_int_eq(device->ops->set_statistics_enabled(device, true), 0);
		ck_assert_int_eq(tunnel_receive(&tunnel, 0, NULL, packet, sizeof(packet)), 0);
		ck_assert_int_eq(device->ops->set_statistics_enabled(device, true), 0);
		extract(&extraction);
		ck_assert_uint_eq(extraction.totals.rx_packets, 1);
		extraction_deinit(&extraction);
	}
	ck_assert_uint_eq(open_descriptors(), before);
	device_free(device);
	device = NULL;
	ck_assert_uint_lt(open_descriptors(), before);
	stop();
}
END_TEST

START_TEST(an_interface_that_goes_hands_over_its_counts)
{
	struct extraction extraction = {};
	uint8_t packet[28];

	start(&(struct tunnel_options){}, 1024);
	make_packet(packet, 9);
	ck_assert_int_eq(tunnel_receive(&tunnel, 0, NULL, packet, sizeof(packet)), 0);
	tunnel_deinit(&tunnel);
	epoch_flip(epoch);
	ck_assert_int_eq(device->ops->extract_statistics(device, &extraction), -ENODEV);
	ck_assert_uint_eq(extraction.flows.n, 1);
	ck_assert_uint_eq(extraction.totals.rx_packets, 1);
	ck_assert_uint_eq(extraction.errors, 0);
	extraction_deinit(&extraction);
	ck_assert_int_eq(device->ops->set_statistics_enabled(device, false), 0);
	device_free(device);
	device = NULL;

	snprintf(tunnel.name, sizeof(tunnel.name), "nl%d", getpid());
	ck_assert_int_eq(make_device(1024), -ENODEV);
	tunnel_init(&tunnel, &(struct tunnel_options){});
	ck_assert_int_eq(make_device(1024), 0);
	ck_assert_int_eq(device->ops->set_statistics_enabled(device, true), 0);
	ck_assert_int_eq(tunnel_receive(&tunnel, 0, NULL, packet, sizeof(packet)), 0);
	extract(&extraction);
	ck_assert_uint_eq(extraction.totals.rx_packets, 1);
	extraction_deinit(&extraction);
	stop();
}
END_TEST

/* One CPU's sender: changing connections in both directions, some shared with the other CPU. */
struct sender {
	pthread_t thread;
	int queue;
	int64_t until; /* CLOCK_MONOTONIC, ns */
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
		make_packet(packet, (uint16_t)(i * 7 % 3000));
		if (tunnel_receive(&tunnel, sender->queue, NULL, packet, sizeof(packet)) == 0) {
			sender->sent.rx_packets++;
			sender->sent.rx_bytes += sizeof(packet);
		}
		if (tunnel_transmit(&tunnel, sender->queue, NULL, packet, sizeof(packet)) == 0) {
			sender->sent.tx_packets++;
			sender->sent.tx_bytes += sizeof(packet);
		}
		tunnel_read(&tunnel, sender->queue, drop, sizeof(drop));
	}
	return NULL;
}

/* Takes windows as fast as it can until then, one at least, and adds up what they hold. */
static unsigned int take_windows(int64_t until, struct counts *entries, struct counts *totals)
{
	struct extraction extraction = {};
	unsigned int windows = 0;

	do {
		struct counts sum = {};

		extract(&extraction);
		for (size_t i = 0; i < extraction.flows.n; i++)
			counts_add(&sum, &extraction.flows.items[i].counts);
		counts_add(&sum, &extraction.overflow);
		ck_assert_uint_eq(sum.rx_packets, extraction.totals.rx_packets);
		ck_assert_uint_eq(sum.tx_packets, extraction.totals.tx_packets);
		/* The size of what a ring dropped is not known. */
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

	/* Room for less than there is in some windows, so that overflow is part of it. */
	start(&(struct tunnel_options){.two_queues = true}, 2000);
	for (int i = 0; i < 2; i++) {
		senders[i] = (struct sender){.queue = i, .until = INT64_MAX};
		ck_assert_int_eq(pthread_create(&senders[i].thread, NULL, sender_run, &senders[i]), 0);
	}
	/* Two seconds are enough on any machine but an emulated one. */
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
	if (variant != PACKETS) {
		ck_assert(counts_equal(&entries, &sent));
		ck_assert(counts_equal(&totals, &sent));
	}
	stop();
}
END_TEST

static void *receive_until_it_fails(void *userdata)
{
	struct sender *sender = userdata;
	uint8_t packet[28];

	for (unsigned int i = 0; now() < sender->until; i++) {
		make_packet(packet, (uint16_t)(i * 7 % 3000));
		if (tunnel_receive(&tunnel, sender->queue, NULL, packet, sizeof(packet)) < 0)
			break;
		sender->sent.rx_packets++;
		sender->sent.rx_bytes += sizeof(packet);
	}
	return NULL;
}

/* What was taken from the senders until the interface went is counted, and nothing else. */
START_TEST(an_interface_that_goes_under_load)
{
	struct counts sent = {}, entries = {}, totals = {};
	struct extraction extraction = {};
	struct sender senders[2] = {};
	int64_t begin;

	start(&(struct tunnel_options){.two_queues = true}, 2000);
	begin = now();
	for (int i = 0; i < 2; i++) {
		senders[i] = (struct sender){.queue = i, .until = begin + 30000000000LL};
		ck_assert_int_eq(
			pthread_create(&senders[i].thread, NULL, receive_until_it_fails, &senders[i]), 0);
	}
	take_windows(begin + 500000000LL, &entries, &totals);
	ck_assert_int_eq(run_program((const char *const[]){"ip", "link", "del", tunnel.name, NULL}), 0);
	for (int i = 0; i < 2; i++) {
		pthread_join(senders[i].thread, NULL);
		counts_add(&sent, &senders[i].sent);
	}
	ck_assert_int_lt(now(), begin + 30000000000LL);
	epoch_flip(epoch);
	ck_assert_int_eq(device->ops->extract_statistics(device, &extraction), -ENODEV);
	ck_assert_uint_eq(extraction.errors, 0);
	for (size_t i = 0; i < extraction.flows.n; i++)
		counts_add(&entries, &extraction.flows.items[i].counts);
	counts_add(&entries, &extraction.overflow);
	counts_add(&totals, &extraction.totals);
	extraction_deinit(&extraction);
	ck_assert_uint_ge(sent.rx_packets, 1000);
	ck_assert_uint_eq(totals.rx_packets, sent.rx_packets);
	ck_assert_uint_eq(entries.rx_packets, sent.rx_packets);
	ck_assert(variant == PACKETS || counts_equal(&entries, &sent));
	stop();
}
END_TEST

/* TCX knows its attach types: a query for the loopback device's programs works. */
static bool has_tcx(void)
{
	uint32_t ids[1], count = 0, flags = 0;

	return bpf_prog_query((int)if_nametoindex("lo"), (enum bpf_attach_type)46, 0, &flags, ids, &count) ==
	       0;
}

static void with_tcx(void)
{
	variant = TCX;
}

static void with_clsact(void)
{
	variant = CLSACT;
}

static void with_packets(void)
{
	variant = PACKETS;
}

static void receive_some(unsigned int n)
{
	uint8_t packet[28];

	make_packet(packet, 7);
	for (unsigned int i = 0; i < n; i++)
		ck_assert_int_eq(tunnel_receive(&tunnel, 0, NULL, packet, sizeof(packet)), 0);
}

/* Each packet is counted by one of two, and what the first one counted can still be had. */
START_TEST(another_takes_over)
{
	struct extraction extraction = {};
	struct device *first;

	start(&(struct tunnel_options){}, 64);
	first = device;
	receive_some(10);
	ck_assert_int_eq(make_device(128), 0);
	/* What making it counted belongs to no window. */
	extract(&extraction);
	extraction_deinit(&extraction);
	receive_some(3);
	ck_assert_int_eq(device->ops->take_over(device, first), 0);
	ck_assert(device->enabled && !first->enabled);
	ck_assert_int_eq(device->ops->take_over(device, first), -EINVAL);
	receive_some(7);
	extract(&extraction);
	ck_assert_uint_eq(extraction.totals.rx_packets, 7);
	ck_assert_uint_eq(extraction.flows.n, 1);
	extraction_deinit(&extraction);
	ck_assert_int_eq(first->ops->extract_statistics(first, &extraction), 0);
	ck_assert_uint_eq(extraction.totals.rx_packets, 13);
	extraction_deinit(&extraction);
	device_free(first);
	receive_some(5);
	extract(&extraction);
	ck_assert_uint_eq(extraction.totals.rx_packets, 5);
	extraction_deinit(&extraction);
	stop();
}
END_TEST

static TCase *make_case(const char *name, void (*setup)(void))
{
	TCase *tcase = tcase_create(name);

	tcase_set_timeout(tcase, 60);
	tcase_add_checked_fixture(tcase, setup, NULL);
	tcase_add_loop_test(tcase, vectors_through_the_device, 0, 2);
	tcase_add_test(tcase, random_packets_agree_with_the_model);
	tcase_add_test(tcase, ethernet_header_is_not_counted);
	tcase_add_loop_test(tcase, a_tag_that_stays_in_the_frame, 0, 2);
	if (setup == with_packets) {
		tcase_add_test(tcase, the_cap_makes_overflow);
		tcase_add_test(tcase, what_the_ring_drops_is_overflow);
	} else {
		tcase_add_test(tcase, tells_what_it_is);
		tcase_add_test(tcase, another_takes_over);
		tcase_add_test(tcase, overflow_is_counted_exactly);
		tcase_add_test(tcase, asks_for_an_early_extraction_at_three_quarters);
		tcase_add_test(tcase, asks_for_nothing_while_there_is_room);
		tcase_add_test(tcase, asks_also_when_an_extraction_is_under_way);
		tcase_add_test(tcase, what_a_failed_extraction_left_comes_with_the_last);
	}
	tcase_add_test(tcase, starts_and_stops_leak_nothing);
	tcase_add_test(tcase, an_interface_that_goes_hands_over_its_counts);
	tcase_add_test(tcase, exact_under_load_from_both_cpus);
	if (run_program((const char *const[]){"ip", "-V", NULL}) == 0)
		tcase_add_test(tcase, an_interface_that_goes_under_load);
	return tcase;
}

int main(void)
{
	struct epoch *probe = NULL;
	SRunner *runner;
	int error = epoch_new(&probe), failed;
	Suite *suite;

	if (error < 0 || !tunnel_is_possible()) {
		fprintf(stderr, "skipped: no eBPF maps, tun devices or namespaces here\n");
		return EXIT_SKIPPED;
	}
	epoch_free(probe);
	suite = suite_create("tun");
	if (has_tcx())
		suite_add_tcase(suite, make_case("tcx", with_tcx));
	else
		fprintf(stderr, "no TCX on this kernel: only clsact is tested\n");
	suite_add_tcase(suite, make_case("clsact", with_clsact));
	suite_add_tcase(suite, make_case("packet", with_packets));
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
