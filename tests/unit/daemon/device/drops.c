/* SPDX-License-Identifier: BSD-3-Clause */
/* Dropped packets of a tun device whose namespace wants none of them: exact, by connection and reason. */

#include "daemon/device/drops.h"
#include "common/cleanup.h"
#include "daemon/bpf/drops_maps.h"
#include "daemon/device/drop_reasons.h"
#include "daemon/device/epoch.h"
#include "tests/unit/daemon/device/support/superpacket.h"
#include "tests/unit/daemon/device/support/tunnel.h"
#include "tests/unit/daemon/device/support/vectors.h"

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#define EXIT_SKIPPED 77

static struct tunnel tunnel;
static struct epoch *epoch;
static struct drops_counter *drops;

static void start(const struct tunnel_options *options)
{
	_cleanup_free_ char *reason = NULL;
	int r;

	namespace_enter();
	tunnel_init(&tunnel, options);
	ck_assert_int_eq(epoch_new(&epoch), 0);
	r = drops_new(epoch, &drops, &reason);
	ck_assert_msg(r == 0, "%s", reason ? reason : "no reason");
	ck_assert_int_eq(drops_watch(drops, tunnel.ifindex), 0);
}

static void stop(void)
{
	drops_free(drops);
	epoch_free(epoch);
	tunnel_deinit(&tunnel);
}

/* Ends a window, takes it, and returns the sum of its entries. */
static uint64_t take(struct flows *flows)
{
	uint64_t sum = 0;

	epoch_flip(epoch);
	ck_assert_int_eq(drops_extract(drops, flows), 0);
	for (size_t i = 0; i < flows->n; i++) {
		const struct flow *flow = &flows->items[i];

		ck_assert(counts_is_zero(&flow->counts));
		sum += flow->details.tx_drops + flow->details.rx_drops;
	}
	return sum;
}

static struct drops_info info(void)
{
	struct drops_info now;

	drops_get_info(drops, &now);
	return now;
}

/* A UDP packet from one of many connections to an address that is nobody's. */
static void make_packet(uint8_t packet[static 28], uint32_t number)
{
	static const uint8_t model[28] = {0x45, 0, 0,	28, 0, 1, 0,	0,    64, 17, 0, 0, 100, 64,
					  0,	1, 100, 64, 0, 2, 0x10, 0x20, 0,  53, 0, 8, 0,	 0};
	uint32_t sum = 0;

	memcpy(packet, model, sizeof(model));
	packet[14] = (uint8_t)(number >> 16);
	packet[20] = (uint8_t)(number >> 8);
	packet[21] = (uint8_t)number;
	for (size_t i = 0; i < 20; i += 2)
		sum += (uint32_t)packet[i] << 8 | packet[i + 1];
	sum = (sum & 0xffff) + (sum >> 16);
	sum = ~(sum + (sum >> 16)) & 0xffff;
	packet[10] = (uint8_t)(sum >> 8);
	packet[11] = (uint8_t)sum;
}

static void receive(uint32_t number)
{
	uint8_t packet[28];

	make_packet(packet, number);
	ck_assert_int_eq(tunnel_receive(&tunnel, 0, NULL, packet, sizeof(packet)), 0);
}

START_TEST(one_entry_for_a_connection)
{
	struct flows flows = {};

	start(&(struct tunnel_options){});
	for (unsigned int i = 0; i < 5; i++)
		receive(7);
	receive(8);
	ck_assert_uint_eq(take(&flows), 6);
	ck_assert_uint_eq(flows.n, 2);
	for (size_t i = 0; i < flows.n; i++) {
		const struct flow *flow = &flows.items[i];

		ck_assert_uint_eq(flow->connection.src.port, 53);
		ck_assert_uint_eq(flow->details.rx_drops, flow->connection.dst.port == 7 ? 5 : 1);
		ck_assert_uint_eq(flow->details.tx_drops, 0);
		ck_assert_uint_ne(flow->details.drop_reason, 0);
	}
	flows_deinit(&flows);
	/* Nothing twice. */
	ck_assert_uint_eq(take(&flows), 0);
	receive(9);
	ck_assert_uint_eq(take(&flows), 1);
	ck_assert_uint_eq(info().rx, 7);
	ck_assert_uint_eq(info().tx, 0);
	flows_deinit(&flows);
	stop();
}
END_TEST

/* What is noted of a received TCP packet that is dropped (its checksum is wrong). */
static uint16_t bits_of(uint8_t flags)
{
	uint8_t packet[40] = {0x45, 0,	0, 40, 0,   1,	0, 0, 64, 6, 0, 0,
			      100,  64, 0, 1,  100, 64, 0, 2, 0,  7, 0, 9};
	struct flows flows = {};
	uint16_t bits;

	packet[32] = 0x50;
	packet[33] = flags;
	ck_assert_int_eq(tunnel_receive(&tunnel, 0, NULL, packet, sizeof(packet)), 0);
	take(&flows);
	ck_assert_uint_eq(flows.n, 1);
	ck_assert_uint_eq(flows.items[0].details.opener, OPENER_UNKNOWN);
	bits = flows.items[0].details.bits;
	flows_deinit(&flows);
	return bits;
}

START_TEST(a_syn_tells_who_tried)
{
	enum { FIN = 1, SYN = 2, RST = 4, ACK = 16, ECE = 64, CWR = 128 };

	start(&(struct tunnel_options){});
	ck_assert_uint_eq(bits_of(SYN), DETAILS_DST_SYN_DROPPED);
	ck_assert_uint_eq(bits_of(SYN | ECE | CWR), DETAILS_DST_SYN_DROPPED);
	ck_assert_uint_eq(bits_of(SYN | FIN), DETAILS_DST_SYN_DROPPED);
	ck_assert_uint_eq(bits_of(SYN | ACK), 0);
	ck_assert_uint_eq(bits_of(ACK), 0);
	ck_assert_uint_eq(bits_of(RST), 0);
	ck_assert_uint_eq(bits_of(0), 0);
	stop();
}
END_TEST

START_TEST(of_the_interface_that_is_watched)
{
	struct flows flows = {};

	start(&(struct tunnel_options){});
	receive(1);
	ck_assert_int_eq(drops_watch(drops, tunnel.ifindex + 1), 0);
	receive(2);
	ck_assert_uint_eq(take(&flows), 1);
	flows_deinit(&flows);
	ck_assert_int_eq(drops_watch(drops, 0), 0);
	receive(3);
	ck_assert_uint_eq(take(&flows), 0);
	ck_assert_int_eq(drops_watch(drops, tunnel.ifindex), 0);
	receive(4);
	ck_assert_uint_eq(take(&flows), 1);
	flows_deinit(&flows);
	stop();
}
END_TEST

/* What a tunnel's program writes to an interface that is down was never received, and nobody sent it. */
START_TEST(an_interface_that_is_down)
{
	struct flows flows = {};
	uint8_t packet[28];

	start(&(struct tunnel_options){});
	interface_set_up(tunnel.name, false);
	make_packet(packet, 1);
	ck_assert_int_eq(tunnel_receive(&tunnel, 0, NULL, packet, sizeof(packet)), -EIO);
	ck_assert_uint_eq(take(&flows), 0);
	interface_set_up(tunnel.name, true);
	receive(2);
	ck_assert_uint_eq(take(&flows), 1);
	ck_assert_uint_eq(info().tx, 0);
	flows_deinit(&flows);
	stop();
}
END_TEST

/* What the kernel cut off before it dropped the packet: bytes beyond the IP length. */
static bool is_cut(const struct vector *vector)
{
	const uint8_t *ip = vector->packet;

	if (vector->length >= 40 && ip[0] >> 4 == 6)
		return vector->length > 40U + (ip[4] << 8 | ip[5]);
	return vector->length >= 20 && vector->length > (unsigned int)(ip[2] << 8 | ip[3]);
}

START_TEST(the_decoder_is_the_counting_programs)
{
	static const char *const files[] = {"decode.json", "extra.json"};
	size_t dropped = 0, cut = 0;

	start(&(struct tunnel_options){});
	for (size_t i = 0; i < ARRAY_SIZE(files); i++) {
		struct vectors vectors;

		vectors_load(&vectors, files[i]);
		for (size_t j = 0; j < vectors.n; j++) {
			const struct vector *vector = &vectors.items[j];
			struct connection expected = connection_swapped(&vector->connection);
			struct flows flows = {};

			if (tunnel_receive(&tunnel, 0, NULL, vector->packet, vector->length) < 0)
				continue;
			take(&flows);
			/* Fragments wait for the rest. */
			ck_assert_uint_le(flows.n, 1);
			cut += is_cut(vector);
			if (flows.n == 1 && !is_cut(vector))
				ck_assert_msg(connection_compare(&flows.items[0].connection, &expected) == 0,
					      "%s: protocol %u, ports %u %u", vector->name,
					      flows.items[0].connection.proto,
					      flows.items[0].connection.src.port,
					      flows.items[0].connection.dst.port);
			dropped += flows.n;
			flows_deinit(&flows);
		}
		vectors_deinit(&vectors);
	}
	ck_assert_uint_ge(dropped, 60);
	ck_assert_uint_le(cut, 20);
	stop();
}
END_TEST

/* A packet that is handled as one large segment is as many as are counted for it. */
START_TEST(large_segments)
{
	static struct superpacket packet;
	const struct superpacket_options *options = &superpackets[_i];
	uint32_t expected = (options->payload + options->size - 1) / options->size;
	struct flows flows = {};
	int error;

	start(&(struct tunnel_options){.vnet = true});
	superpacket_make(&packet, options);
	error = tunnel_receive(&tunnel, 0, &packet.header, packet.bytes, packet.length);
	if (error == -EINVAL && options->udp) {
		fprintf(stderr, "%s: not on this kernel\n", options->name);
		stop();
		return;
	}
	ck_assert_msg(error == 0, "%s: %s", options->name, strerror(-error));
	take(&flows);
	ck_assert_uint_eq(flows.n, 1);
	ck_assert_msg(flows.items[0].details.rx_drops == expected, "%s: %u, not %u", options->name,
		      flows.items[0].details.rx_drops, expected);
	ck_assert_uint_ne(flows.items[0].connection.dst.port, 0);
	flows_deinit(&flows);
	stop();
}
END_TEST

#define FLOOD 300000

struct flood {
	pthread_t thread;
	int queue;
	uint32_t connections;
};

static void *run_flood(void *userdata)
{
	const struct flood *flood = userdata;
	uint8_t packet[28];
	cpu_set_t cpu;

	CPU_ZERO(&cpu);
	CPU_SET(flood->queue, &cpu);
	sched_setaffinity(0, sizeof(cpu), &cpu);
	for (uint32_t i = 0; i < FLOOD; i++) {
		make_packet(packet, i % flood->connections);
		if (tunnel_receive(&tunnel, flood->queue, NULL, packet, sizeof(packet)) < 0)
			abort();
	}
	return NULL;
}

static void flood_windows(uint32_t connections, bool overflows)
{
	struct flood floods[2] = {{.queue = 0, .connections = connections},
				  {.queue = 1, .connections = connections}};
	struct drops_info sums;
	uint64_t entries = 0;
	struct flows flows = {};

	start(&(struct tunnel_options){.two_queues = true});
	for (size_t i = 0; i < ARRAY_SIZE(floods); i++)
		ck_assert_int_eq(pthread_create(&floods[i].thread, NULL, run_flood, &floods[i]), 0);
	/* Window after window meanwhile. */
	for (unsigned int i = 0; i < 20; i++) {
		entries += take(&flows);
		flows_deinit(&flows);
		sched_yield();
	}
	for (size_t i = 0; i < ARRAY_SIZE(floods); i++)
		pthread_join(floods[i].thread, NULL);
	/* netif_rx() may still hold some. */
	for (unsigned int i = 0; i < 1000 && info().rx + info().missed < 2 * FLOOD; i++) {
		entries += take(&flows);
		flows_deinit(&flows);
	}
	sums = info();
	/* The kernel says of how many drops the program was not told. */
	ck_assert_uint_le(sums.rx, 2 * FLOOD);
	ck_assert_uint_ge(sums.rx + sums.missed, 2 * FLOOD);
	ck_assert_uint_le(sums.missed, FLOOD / 1000);
	ck_assert_uint_eq(entries + sums.overflow, sums.rx);
	ck_assert_uint_eq(sums.failures, 0);
	ck_assert(overflows == (sums.overflow > 0));
	stop();
}

START_TEST(flood_of_one_connection)
{
	flood_windows(1, false);
}
END_TEST

START_TEST(flood_of_too_many_connections)
{
	flood_windows(10 * DROPS_ENTRIES, true);
}
END_TEST

/* ---- reasons --------------------------------------------------------------------------------------- */

/* A map of this process's program, borrowed. */
static int find_map(const char *name)
{
	for (int fd = 3; fd < 1024; fd++) {
		struct bpf_map_info map = {};
		uint32_t size = sizeof(map);

		if (bpf_obj_get_info_by_fd(fd, &map, &size) == 0 && strcmp(map.name, name) == 0)
			return fd;
	}
	ck_abort_msg("no map %s", name);
}

static void count_reason(const char *name, uint64_t tx, uint64_t rx, void *userdata)
{
	uint64_t *sums = userdata;

	ck_assert_uint_gt(strlen(name), 0);
	ck_assert_uint_eq(strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_"),
			  strlen(name));
	sums[0]++;
	sums[1] += tx + rx;
}

/* As the program would have counted them: every reason there is, a subsystem's, and one that nobody knows. */
START_TEST(all_reasons_of_one_connection)
{
	static struct drops_totals totals[1024];
	uint64_t sums[2] = {}, packets = 0;
	struct flows flows = {};
	uint32_t side;
	int map, sum_map;

	start(&(struct tunnel_options){});
	ck_assert_int_le(libbpf_num_possible_cpus(), (int)ARRAY_SIZE(totals));
	side = epoch_old_side(epoch) ^ 1;
	map = find_map(side ? "drops_1" : "drops_0");
	sum_map = find_map("totals");
	for (unsigned int i = 0; i < DROPS_REASONS + 2; i++) {
		struct drops_key key = {.flow.proto = 17, .flow.family = 4};
		uint64_t n = i == 130 ? 100 : 1 + i % 3;

		key.reason = i < DROPS_REASONS ? (uint16_t)i : (i == DROPS_REASONS ? 0x2005 : 0xffff);
		key.received = i & 1;
		ck_assert_int_eq(bpf_map_update_elem(map, &key, &n, BPF_NOEXIST), 0);
		totals[0].packets[i & 1][MIN(key.reason, DROPS_OTHER_REASON)] += n;
		packets += n;
	}
	ck_assert_int_eq(bpf_map_update_elem(sum_map, &side, totals, BPF_ANY), 0);
	ck_assert_uint_eq(take(&flows), packets);
	ck_assert_uint_eq(flows.n, 1);
	ck_assert_uint_eq(flows.items[0].details.drop_reason, 130);
	drops_foreach_reason(drops, count_reason, sums);
	ck_assert_uint_eq(sums[0], DROPS_REASONS);
	ck_assert_uint_eq(sums[1], packets);
	ck_assert_uint_eq(info().tx + info().rx, packets);
	flows_deinit(&flows);
	/* Sums that the entries do not make up are a failure, once. */
	epoch_flip(epoch);
	ck_assert_int_eq(drops_extract(drops, &flows), 0);
	side = epoch_old_side(epoch) ^ 1;
	memset(totals, 0, sizeof(totals));
	totals[0].packets[1][3] = 1;
	ck_assert_int_eq(bpf_map_update_elem(sum_map, &side, totals, BPF_ANY), 0);
	epoch_flip(epoch);
	ck_assert_int_eq(drops_extract(drops, &flows), -EIO);
	ck_assert_uint_eq(info().failures, 1);
	epoch_flip(epoch);
	ck_assert_int_eq(drops_extract(drops, &flows), 0);
	flows_deinit(&flows);
	stop();
}
END_TEST

static void put(int map, uint16_t port, uint16_t reason, bool received, uint64_t packets)
{
	struct drops_key key = {
		.flow = {.proto = 17, .family = 4, .src_port = port}, .reason = reason, .received = received};

	ck_assert_int_eq(bpf_map_update_elem(map, &key, &packets, BPF_NOEXIST), 0);
}

/* Of both directions together, whatever the order in which they are read. */
START_TEST(the_reason_of_most)
{
	static struct drops_totals totals[1024];
	const uint64_t many = UINT32_MAX;
	struct flows flows = {};
	uint32_t side;
	int map;

	start(&(struct tunnel_options){});
	side = epoch_old_side(epoch) ^ 1;
	map = find_map(side ? "drops_1" : "drops_0");
	for (uint16_t port = 1; port <= 100; port++) {
		put(map, port, 4, true, 3);
		put(map, port, 5, true, 5);
		put(map, port, 4, false, 3);
	}
	/* More than fits in one entry. */
	put(map, 101, 6, true, many);
	put(map, 101, 5, true, 2);
	totals[0].packets[true][4] = totals[0].packets[false][4] = 300;
	totals[0].packets[true][5] = 502;
	totals[0].packets[true][6] = many;
	totals[0].unplaced = 7;
	ck_assert_int_eq(bpf_map_update_elem(find_map("totals"), &side, totals, BPF_ANY), 0);
	ck_assert_uint_eq(take(&flows), 1100 + many);
	ck_assert_uint_eq(flows.n, 101);
	for (size_t i = 0; i < flows.n; i++) {
		const struct details *details = &flows.items[i].details;
		bool is_small = details->drop_reason == 4;

		ck_assert_uint_eq(details->drop_reason, is_small ? 4 : 6);
		ck_assert_uint_eq(details->rx_drops, is_small ? 8 : UINT32_MAX);
		ck_assert_uint_eq(details->tx_drops, is_small ? 3 : 0);
	}
	ck_assert_uint_eq(info().rx, 802 + many);
	ck_assert_uint_eq(info().tx, 300);
	ck_assert_uint_eq(info().unplaced, 7);
	flows_deinit(&flows);
	stop();
}
END_TEST

START_TEST(names)
{
	bool netfilter = false;

	ck_assert_int_eq(drop_reasons_load(), 0);
	for (uint16_t i = 0; i < DROPS_REASONS; i++)
		netfilter = netfilter || strcmp(drop_reason_name(i), "NETFILTER_DROP") == 0;
	ck_assert(netfilter);
	/* Without a name, the kernel's number. */
	ck_assert_str_eq(drop_reason_name(4000), "4000");
	ck_assert_str_eq(drop_reason_name(0xf005), "983045"); /* 15 << 16 | 5 */
	ck_assert_str_eq(drop_reason_name(DROPS_UNKNOWN_REASON), "OTHER");
	ck_assert_uint_eq(drop_reason_kind(4000), 0);
}
END_TEST

/* What the program goes by. */
START_TEST(kinds)
{
	bool is_named = false, has_old_sequence = false;

	ck_assert_int_eq(drop_reasons_load(), 0);
	for (uint16_t i = 0; i < DROPS_OTHER_REASON; i++)
		has_old_sequence = has_old_sequence || strcmp(drop_reason_name(i), "TCP_OLD_SEQUENCE") == 0;
	for (uint16_t i = 0; i < DROPS_OTHER_REASON; i++) {
		const char *name = drop_reason_name(i);
		uint16_t kind = drop_reason_kind(i);

		if (strcmp(name, "NETFILTER_DROP") == 0)
			ck_assert_uint_eq(kind, 0);
		else if (strcmp(name, "DUP_FRAG") == 0)
			ck_assert_uint_eq(kind, DROPS_KIND_NONE);
		else if (strcmp(name, "TCP_FLAGS") == 0)
			ck_assert_uint_eq(kind, DROPS_KIND_LOCAL);
		else if (strcmp(name, "SOCKET_RCVBUFF") == 0)
			ck_assert_uint_eq(kind, DROPS_KIND_LOCAL | DROPS_KIND_SOCKET);
		else if (strcmp(name, "NOT_SPECIFIED") == 0)
			ck_assert_uint_eq(kind, DROPS_KIND_VAGUE | DROPS_KIND_TAKEN);
		else if (strcmp(name, "TCP_INVALID_SEQUENCE") == 0)
			ck_assert_uint_eq(kind, DROPS_KIND_LOCAL | (has_old_sequence ? 0 : DROPS_KIND_BARE));
		is_named = is_named || strcmp(name, "TCP_INVALID_SEQUENCE") == 0;
	}
	ck_assert(is_named);
}
END_TEST

START_TEST(without_the_kernel_side)
{
	_cleanup_free_ char *reason = NULL;

	ck_assert_int_eq(drops_new(NULL, &drops, &reason), -EPERM);
	ck_assert_ptr_nonnull(strstr(reason, "CAP_PERFMON"));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("drops");
	TCase *tcase = tcase_create("all");
	SRunner *runner;
	int failed;

	if (!tunnel_is_possible()) {
		fprintf(stderr, "skipped: no namespaces or tun devices here\n");
		return EXIT_SKIPPED;
	}
	if (drop_reasons_load() == -EOPNOTSUPP) {
		fprintf(stderr, "skipped: this kernel has no reasons for drops\n");
		return EXIT_SKIPPED;
	}
	tcase_set_timeout(tcase, 120);
	tcase_add_test(tcase, one_entry_for_a_connection);
	tcase_add_test(tcase, a_syn_tells_who_tried);
	tcase_add_test(tcase, of_the_interface_that_is_watched);
	tcase_add_test(tcase, an_interface_that_is_down);
	tcase_add_test(tcase, the_decoder_is_the_counting_programs);
	tcase_add_loop_test(tcase, large_segments, 0, (int)n_superpackets);
	tcase_add_test(tcase, flood_of_one_connection);
	tcase_add_test(tcase, flood_of_too_many_connections);
	tcase_add_test(tcase, all_reasons_of_one_connection);
	tcase_add_test(tcase, the_reason_of_most);
	tcase_add_test(tcase, names);
	tcase_add_test(tcase, kinds);
	tcase_add_test(tcase, without_the_kernel_side);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
