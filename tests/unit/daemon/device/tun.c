/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the sources `ebpf` and `packet` have in common, on a real tun device: what goes through it in either
 * direction, starts and stops, and an interface that goes away.
 */

#include "common/cleanup.h"
#include "daemon/device/device.h"
#include "daemon/device/epoch.h"
#include "tests/unit/daemon/device/support/model.h"
#include "tests/unit/daemon/device/support/random_packet.h"
#include "tests/unit/daemon/device/support/tun_device.h"
#include "tests/unit/daemon/device/support/vectors.h"

#include <arpa/inet.h>
#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

static void check_vector(const struct vector *vector, bool received)
{
	struct connection expected = received ? connection_swapped(&vector->connection) : vector->connection;
	struct extraction extraction = {};
	struct counts counts = {};
	int error;

	error = received ? tunnel_receive(&tun_tunnel, 0, NULL, vector->packet, vector->length)
			 : tunnel_transmit(&tun_tunnel, 0, NULL, vector->packet, vector->length);
	ck_assert_msg(error == 0, "%s: %s", vector->name, strerror(-error));
	if (received) {
		counts.rx_packets = 1;
		counts.rx_bytes = vector->bytes;
	} else {
		counts.tx_packets = 1;
		counts.tx_bytes = vector->bytes;
	}
	tun_extract(&extraction);
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

	tun_start(&(struct tunnel_options){}, 1024);
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		vectors_load(&vectors, files[i]);
		for (size_t j = 0; j < vectors.n; j++)
			check_vector(&vectors.items[j], _i == 1);
		vectors_deinit(&vectors);
	}
	tun_stop();
}
END_TEST

#define BATCH 400

/* Sends what a real device lets through, and notes the counts to expect. */
static void send_random(uint64_t *state, const struct vectors *vectors, struct flows *expected)
{
	uint8_t packet[RANDOM_PACKET_MAX], drop[RANDOM_PACKET_MAX];

	for (unsigned int i = 0; i < BATCH; i++) {
		size_t length = random_packet(state, vectors, packet);
		struct connection connection = model_decode(packet, length);
		bool received = i % 2;
		struct counts counts = received ? (struct counts){.rx_packets = 1, .rx_bytes = length}
						: (struct counts){.tx_packets = 1, .tx_bytes = length};
		int error = received ? tunnel_receive(&tun_tunnel, 0, NULL, packet, length)
				     : tunnel_transmit(&tun_tunnel, 0, NULL, packet, length);

		if (error < 0)
			continue;
		tunnel_read(&tun_tunnel, 0, drop, sizeof(drop));
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
	tun_start(&(struct tunnel_options){}, 1024);
	for (int batch = 0; batch < 8; batch++) {
		struct flows expected = {};
		struct extraction extraction = {};

		send_random(&state, &vectors, &expected);
		ck_assert_uint_ge(expected.n, BATCH / 2);
		tun_extract(&extraction);
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
	tun_stop();
}
END_TEST

/* An Ethernet frame on a tap device: counted from its IP header on. */
START_TEST(ethernet_header_is_not_counted)
{
	struct extraction extraction = {};
	uint8_t frame[14 + 28] = {[12] = 0x08};

	tun_start(&(struct tunnel_options){.ethernet = true}, 1024);
	tun_packet(frame + 14, 7);
	ck_assert_int_eq(tunnel_receive(&tun_tunnel, 0, NULL, frame, sizeof(frame)), 0);
	tun_extract(&extraction);
	ck_assert_uint_eq(extraction.flows.n, 1);
	ck_assert_uint_eq(extraction.flows.items[0].connection.dst.port, 7);
	ck_assert_uint_eq(extraction.flows.items[0].counts.rx_bytes, 28);
	extraction_deinit(&extraction);

	frame[12] = 0x08;
	frame[13] = 0x06; /* ARP: no IP, though its first byte may look like it */
	ck_assert_int_eq(tunnel_transmit(&tun_tunnel, 0, NULL, frame, sizeof(frame)), 0);
	tun_extract(&extraction);
	ck_assert_uint_eq(extraction.flows.n, 1);
	ck_assert_uint_eq(extraction.flows.items[0].connection.proto, 0);
	ck_assert_int_eq(extraction.flows.items[0].connection.src.address.family, ADDRESS_NONE);
	ck_assert_uint_eq(extraction.flows.items[0].counts.tx_bytes, 28);
	extraction_deinit(&extraction);
	tun_stop();
}
END_TEST

/* A frame with tags in front of IPv6 with 256 bytes of destination options, and UDP from port 0 to 7. Its
 * length. */
static size_t tagged_frame(uint8_t frame[static 400], unsigned int tags, bool service)
{
	size_t at = 12;
	uint8_t *ip;

	memset(frame, 0, 400);
	for (unsigned int i = 0; i < tags; i++, at += 4) {
		bool last = i + 1 == tags;

		frame[at] = service && !last ? 0x88 : 0x81;
		frame[at + 1] = service && !last ? 0xa8 : 0x00;
		frame[at + 3] = (uint8_t)(5 + i);
	}
	frame[at] = 0x86;
	frame[at + 1] = 0xdd;
	ip = frame + at + 2;
	ip[0] = 0x60;
	ip[4] = 1;
	ip[5] = 8;
	ip[6] = 60;
	ip[40] = 17;
	ip[41] = 31;
	ip[40 + 256 + 3] = 7;
	return at + 2 + 40 + 256 + 8;
}

/* The kernel removes the first tag of incoming frames, and none of those a packet socket sends. */
START_TEST(tags_that_stay_in_the_frame)
{
	const bool service = _i == 1;
	struct extraction extraction = {};
	uint8_t frame[400];

	tun_start(&(struct tunnel_options){.ethernet = true}, 1024);
	for (unsigned int tags = 0; tags <= 3; tags++) {
		size_t n = tagged_frame(frame, tags, service);

		ck_assert_int_eq(tunnel_receive(&tun_tunnel, 0, NULL, frame, n), 0);
		if (tags <= 2)
			ck_assert_int_eq(tunnel_transmit(&tun_tunnel, 0, NULL, frame, n), 0);
		tun_extract(&extraction);
		for (size_t i = 0; i < extraction.flows.n; i++) {
			const struct flow *flow = &extraction.flows.items[i];

			ck_assert_uint_eq(flow->connection.proto, 17);
			ck_assert_uint_eq(flow->connection.src.port + flow->connection.dst.port, 7);
		}
		ck_assert_uint_eq(extraction.totals.rx_packets, 1);
		ck_assert_uint_eq(extraction.totals.rx_bytes, 40 + 256 + 8);
		ck_assert_uint_eq(extraction.totals.tx_packets, tags <= 2);
		ck_assert_uint_eq(extraction.totals.tx_bytes, tags <= 2 ? 40 + 256 + 8 : 0);
		extraction_deinit(&extraction);
	}
	tun_stop();
}
END_TEST

/* An MPLS label may begin like an IP header; the kernel knows better what a packet without a link header is.
 */
START_TEST(a_label_that_looks_like_ip)
{
	struct sockaddr_ll address = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_MPLS_UC)};
	struct extraction extraction = {};
	uint8_t packet[28];
	int fd;

	tun_start(&(struct tunnel_options){}, 1024);
	fd = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	ck_assert_int_ge(fd, 0);
	address.sll_ifindex = (int)tun_tunnel.ifindex;
	tun_packet(packet, 7);
	ck_assert_int_eq(sendto(fd, packet, sizeof(packet), 0, (struct sockaddr *)&address, sizeof(address)),
			 sizeof(packet));
	tun_extract(&extraction);
	ck_assert_uint_eq(extraction.flows.n, 1);
	ck_assert_uint_eq(extraction.flows.items[0].connection.proto, 0);
	ck_assert_int_eq(extraction.flows.items[0].connection.src.address.family, ADDRESS_NONE);
	ck_assert_uint_eq(extraction.flows.items[0].counts.tx_bytes, sizeof(packet));
	extraction_deinit(&extraction);
	tun_stop();
	close(fd);
}
END_TEST

static void read_all(void)
{
	uint8_t packet[2048];

	while (tunnel_read(&tun_tunnel, 0, packet, sizeof(packet)) > 0)
		continue;
}

/* What is sent past the queues passes no place where it could be counted; the device's own counter tells. */
START_TEST(packets_that_bypass_the_queues)
{
	struct sockaddr_ll address = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_IP)};
	struct extraction extraction = {};
	int fd, on = 1;
	uint8_t packet[28];

	tun_start(&(struct tunnel_options){}, 1024);
	fd = socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(setsockopt(fd, SOL_PACKET, PACKET_QDISC_BYPASS, &on, sizeof(on)), 0);
	address.sll_ifindex = (int)tun_tunnel.ifindex;
	tun_packet(packet, 7);
	for (int i = 0; i < 100; i++) {
		ck_assert_int_eq(tunnel_transmit(&tun_tunnel, 0, NULL, packet, sizeof(packet)), 0);
		ck_assert_int_eq(
			sendto(fd, packet, sizeof(packet), 0, (struct sockaddr *)&address, sizeof(address)),
			sizeof(packet));
		read_all();
	}
	tun_extract(&extraction);
	ck_assert_uint_eq(extraction.totals.tx_packets, 100);
	ck_assert_uint_eq(extraction.bypassed, 100);
	extraction_deinit(&extraction);
	/* Once. */
	ck_assert_int_eq(tunnel_transmit(&tun_tunnel, 0, NULL, packet, sizeof(packet)), 0);
	read_all();
	tun_extract(&extraction);
	ck_assert_uint_eq(extraction.totals.tx_packets, 1);
	ck_assert_uint_eq(extraction.bypassed, 0);
	extraction_deinit(&extraction);
	tun_stop();
	close(fd);
}
END_TEST

/* So are packets that an XDP program redirects into the device: here, those that come out of it. */
START_TEST(packets_that_xdp_redirects)
{
	struct bpf_insn code[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_1},
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_2},
		{.code = BPF_JMP | BPF_CALL, .imm = BPF_FUNC_redirect},
		{.code = BPF_JMP | BPF_EXIT},
	};
	struct extraction extraction = {};
	uint8_t frame[14 + 28] = {[12] = 0x08};
	int fd;

	tun_start(&(struct tunnel_options){.ethernet = true}, 1024);
	code[0].imm = (int)tun_tunnel.ifindex;
	fd = bpf_prog_load(BPF_PROG_TYPE_XDP, "redirect", "GPL", code, ARRAY_SIZE(code), NULL);
	if (fd < 0 || bpf_xdp_attach((int)tun_tunnel.ifindex, fd, 0, NULL) < 0) {
		fprintf(stderr, "no XDP on this kernel\n");
	} else {
		tun_packet(frame + 14, 7);
		for (int i = 0; i < 10; i++) {
			ck_assert_int_eq(tunnel_receive(&tun_tunnel, 0, NULL, frame, sizeof(frame)), 0);
			read_all();
		}
		tun_extract(&extraction);
		ck_assert_uint_eq(extraction.totals.rx_packets, 0);
		ck_assert_uint_eq(extraction.totals.tx_packets, 0);
		ck_assert_uint_eq(extraction.bypassed, 10);
		extraction_deinit(&extraction);
	}
	tun_stop();
	if (fd >= 0)
		close(fd);
}
END_TEST

/* Without a descriptor, nothing can be asked that needs one; no device is given up for that. */
START_TEST(out_of_descriptors)
{
	struct rlimit before, none = {.rlim_cur = 3};
	struct extraction extraction = {};
	uint8_t packet[28];

	tun_start(&(struct tunnel_options){}, 1024);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
	none.rlim_max = before.rlim_max;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
	tun_packet(packet, 7);
	for (int i = 0; i < 3; i++) {
		ck_assert_int_eq(tunnel_receive(&tun_tunnel, 0, NULL, packet, sizeof(packet)), 0);
		/* And without an error. */
		tun_extract(&extraction);
		ck_assert_uint_eq(extraction.totals.rx_packets, 1);
		extraction_deinit(&extraction);
	}
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
	tun_stop();
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

	tun_start(&(struct tunnel_options){}, 1024);
	tun_packet(packet, 1);
	before = open_descriptors();
	for (int i = 0; i < 10; i++) {
		ck_assert_int_eq(tun_device->ops->set_statistics_enabled(tun_device, false), 0);
		ck_assert_int_eq(tunnel_receive(&tun_tunnel, 0, NULL, packet, sizeof(packet)), 0);
		ck_assert_int_eq(tun_device->ops->set_statistics_enabled(tun_device, false), 0);
		ck_assert_int_eq(tun_device->ops->set_statistics_enabled(tun_device, true), 0);
		ck_assert_int_eq(tunnel_receive(&tun_tunnel, 0, NULL, packet, sizeof(packet)), 0);
		ck_assert_int_eq(tun_device->ops->set_statistics_enabled(tun_device, true), 0);
		tun_extract(&extraction);
		ck_assert_uint_eq(extraction.totals.rx_packets, 1);
		extraction_deinit(&extraction);
	}
	ck_assert_uint_eq(open_descriptors(), before);
	device_free(tun_device);
	tun_device = NULL;
	ck_assert_uint_lt(open_descriptors(), before);
	tun_stop();
}
END_TEST

START_TEST(an_interface_that_goes_hands_over_its_counts)
{
	struct extraction extraction = {};
	uint8_t packet[28];

	tun_start(&(struct tunnel_options){}, 1024);
	tun_packet(packet, 9);
	ck_assert_int_eq(tunnel_receive(&tun_tunnel, 0, NULL, packet, sizeof(packet)), 0);
	tunnel_deinit(&tun_tunnel);
	epoch_flip(tun_epoch);
	ck_assert_int_eq(tun_device->ops->extract_statistics(tun_device, &extraction), -ENODEV);
	ck_assert_uint_eq(extraction.flows.n, 1);
	ck_assert_uint_eq(extraction.totals.rx_packets, 1);
	ck_assert_uint_eq(extraction.errors, 0);
	extraction_deinit(&extraction);
	ck_assert_int_eq(tun_device->ops->set_statistics_enabled(tun_device, false), 0);
	device_free(tun_device);
	tun_device = NULL;

	snprintf(tun_tunnel.name, sizeof(tun_tunnel.name), "nl%d", getpid());
	ck_assert_int_eq(tun_make(1024), -ENODEV);
	tunnel_init(&tun_tunnel, &(struct tunnel_options){});
	ck_assert_int_eq(tun_make(1024), 0);
	ck_assert_int_eq(tun_device->ops->set_statistics_enabled(tun_device, true), 0);
	ck_assert_int_eq(tunnel_receive(&tun_tunnel, 0, NULL, packet, sizeof(packet)), 0);
	tun_extract(&extraction);
	ck_assert_uint_eq(extraction.totals.rx_packets, 1);
	extraction_deinit(&extraction);
	tun_stop();
}
END_TEST

static void add_tests(TCase *tcase)
{
	tcase_add_loop_test(tcase, vectors_through_the_device, 0, 2);
	tcase_add_test(tcase, random_packets_agree_with_the_model);
	tcase_add_test(tcase, ethernet_header_is_not_counted);
	tcase_add_loop_test(tcase, tags_that_stay_in_the_frame, 0, 2);
	tcase_add_test(tcase, a_label_that_looks_like_ip);
	tcase_add_test(tcase, packets_that_bypass_the_queues);
	tcase_add_test(tcase, packets_that_xdp_redirects);
	tcase_add_test(tcase, out_of_descriptors);
	tcase_add_test(tcase, starts_and_stops_leak_nothing);
	tcase_add_test(tcase, an_interface_that_goes_hands_over_its_counts);
}

int main(void)
{
	return tun_run("tun", 1U << TUN_TCX | 1U << TUN_CLSACT | 1U << TUN_PACKETS, add_tests);
}
