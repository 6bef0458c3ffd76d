/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What it costs to count a packet: the programs in the kernel's test run for one known connection; under real
 * packets of many known connections by the kernel's own statistics of programs (an idle program beside them
 * shows the cost of the two clock readings); and what it costs to drain the maps. Prints figures without a
 * verdict. With a number, only for that many connections.
 */

#include "common/cleanup.h"
#include "daemon/device/device.h"
#include "daemon/device/epoch.h"
#include "tests/unit/daemon/device/support/program.h"
#include "tests/unit/daemon/device/support/tunnel.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <bpf/bpf.h>

#define EXIT_SKIPPED 77

#define MIXED 61803 /* has no divisor in common with the numbers of connections */
#define TRAIN 8	    /* packets */

/* The order of the packets of known connections. */
enum load {
	LOAD_IN_TURN, /* as the connections began, again and again */
	LOAD_MIXED,   /* in another order, but the same one again and again */
	LOAD_RANDOM,
	LOAD_TRAINS, /* several packets each of connections at random */
	LOAD_TAILED, /* at random, a few connections with most of the packets: by rank as 1 / rank */
	N_LOADS
};

static const char *const load_names[] = {"in turn", "mixed", "at random", "in trains", "heavy-tailed"};

static int64_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static int64_t cpu_time(void)
{
	struct timespec time;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
	return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static void must(bool fine, const char *what)
{
	if (fine)
		return;
	fprintf(stderr, "%s failed\n", what);
	abort();
}

static const uint8_t ipv4_udp[64] = {0x45, 0, 0, 64,  0,  1, 0, 0,    64,   17, 0,  0, 100,
				     64,   0, 1, 100, 64, 0, 2, 0x10, 0x20, 0,	53, 0, 44};
static const uint8_t ipv6_tcp[80] = {
	0x60, 0, 0, 0, 0, 40, 6, 64, 0xfd, [23] = 1, [24] = 0xfd, [39] = 2, 0x10, 0x20, 0, 80, [52] = 0x50};

static int compare(const void *a, const void *b)
{
	const uint32_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* The median of several runs, since the machine is shared. */
static void bench_test_run(const char *name, const uint8_t *packet, size_t length, bool received)
{
	struct program_run run = {.packet = packet, .length = length, .received = received, .repeat = 1};
	struct program *program = NULL;
	uint32_t ns[9];

	must(program_new(1024, &program) == 0, "loading");
	must(program_run(program, &run, NULL) == 0, "test run");
	run.repeat = 500000;
	for (size_t i = 0; i < ARRAY_SIZE(ns); i++)
		must(program_run(program, &run, &ns[i]) == 0, "test run");
	qsort(ns, ARRAY_SIZE(ns), sizeof(ns[0]), compare);
	printf("test run, one known connection, %-22s %4u ns (lowest %u)\n", name, ns[ARRAY_SIZE(ns) / 2],
	       ns[0]);
	program_free(program);
}

/* A program that does nothing: the cost of the measurement itself. */
static int load_idle(void)
{
	static const struct bpf_insn code[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = -1},
		{.code = BPF_JMP | BPF_EXIT},
	};

	return bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "idle", "GPL", code, ARRAY_SIZE(code), NULL);
}

static void bench_idle_test_run(void)
{
	uint8_t frame[78] = {[12] = 0x08, [14] = 0x45};
	LIBBPF_OPTS(bpf_test_run_opts, options, .data_in = frame, .data_size_in = sizeof(frame),
		    .repeat = 500000);
	_cleanup_close_ int program = load_idle();
	uint32_t ns[9];

	for (size_t i = 0; i < ARRAY_SIZE(ns); i++) {
		must(bpf_prog_test_run_opts(program, &options) == 0, "test run");
		ns[i] = options.duration;
	}
	qsort(ns, ARRAY_SIZE(ns), sizeof(ns[0]), compare);
	printf("test run, a program that does nothing                  %4u ns (lowest %u)\n",
	       ns[ARRAY_SIZE(ns) / 2], ns[0]);
}

/* After ours. */
static int attach_idle(unsigned int ifindex)
{
	_cleanup_close_ int program = load_idle();

	return bpf_link_create(program, (int)ifindex, (enum bpf_attach_type)46, NULL);
}

/* Sums of the kernel's statistics over all programs of this name. */
static void program_statistics(const char *name, uint64_t *ret_ns, uint64_t *ret_runs)
{
	uint32_t id = 0;

	*ret_ns = *ret_runs = 0;
	while (bpf_prog_get_next_id(id, &id) == 0) {
		_cleanup_close_ int fd = bpf_prog_get_fd_by_id(id);
		struct bpf_prog_info info = {};
		uint32_t length = sizeof(info);

		if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &length))
			continue;
		if (strcmp(info.name, name) != 0)
			continue;
		*ret_ns += info.run_time_ns;
		*ret_runs += info.run_cnt;
	}
}

static uint32_t next_random(uint64_t *state)
{
	*state = *state * 6364136223846793005ULL + 1442695040888963407ULL;
	return (uint32_t)(*state >> 32);
}

/* The connection of the i-th packet; UINT32_MAX: the same as before. */
static uint32_t choose_connection(enum load load, uint32_t i, uint32_t connections, uint64_t *state)
{
	uint32_t rank;

	if (load == LOAD_TRAINS && i % TRAIN != 0)
		return UINT32_MAX; /* the same train */
	switch (load) {
	case LOAD_IN_TURN:
		return i % connections;
	case LOAD_TRAINS:
	case LOAD_RANDOM:
		return (uint32_t)((uint64_t)next_random(state) * connections >> 32);
	case LOAD_TAILED:
		do
			rank = next_random(state) & (uint32_t)((1ULL << next_random(state) % 21) - 1);
		while (rank >= connections);
		return (uint32_t)((uint64_t)rank * MIXED % connections);
	default:
		return (uint32_t)((uint64_t)i * MIXED % connections);
	}
}

static void send_packets(const struct tunnel *tunnel, uint32_t connections, uint32_t packets, enum load load,
			 uint64_t *state)
{
	uint8_t packet[64];

	memcpy(packet, ipv4_udp, sizeof(packet));
	for (uint32_t i = 0; i < packets; i++) {
		uint32_t n = choose_connection(load, i, connections, state);

		if (n != UINT32_MAX) {
			packet[16] = (uint8_t)(n >> 16);
			packet[20] = (uint8_t)(n >> 8);
			packet[21] = (uint8_t)n;
		}
		must(tunnel_receive(tunnel, 0, NULL, packet, sizeof(packet)) == 0, "tun write");
	}
}

/* The median of several rounds by the kernel's statistics, and the idle program's. */
static void measure_packets(const struct tunnel *tunnel, uint32_t connections, enum load load)
{
	uint64_t state = connections;
	static const char *const names[] = {"count_ingress_r", "idle"};
	uint32_t per_packet[ARRAY_SIZE(names)][9];
	const size_t rounds = ARRAY_SIZE(per_packet[0]);

	for (size_t round = 0; round < rounds; round++) {
		uint64_t ns[ARRAY_SIZE(names)], runs[ARRAY_SIZE(names)], more_ns, more_runs;

		for (size_t i = 0; i < ARRAY_SIZE(names); i++)
			program_statistics(names[i], &ns[i], &runs[i]);
		send_packets(tunnel, connections, MAX(connections, 200000U), load, &state);
		for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
			program_statistics(names[i], &more_ns, &more_runs);
			per_packet[i][round] = (uint32_t)((more_ns - ns[i]) / MAX(more_runs - runs[i], 1U));
		}
	}
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		qsort(per_packet[i], rounds, sizeof(per_packet[i][0]), compare);
	printf("real packets, %7u known connections %-12s %4u ns (lowest %u; an idle program beside it: %u)\n",
	       connections, load_names[load], per_packet[0][rounds / 2], per_packet[0][0],
	       per_packet[1][rounds / 2]);
}

static void bench_traffic(uint32_t connections)
{
	struct tunnel tunnel;
	struct device_options options = {.layer = LAYER_TUN, .max_flows = MAX(connections, 1024U)};
	_cleanup_close_ int statistics = -1;
	_cleanup_close_ int idle = -1;
	struct extraction extraction = {};
	struct epoch *epoch = NULL;
	struct device *device = NULL;
	int64_t wall, cpu;

	tunnel_init(&tunnel, &(struct tunnel_options){});
	options.interface = tunnel.name;
	must(epoch_new(&epoch) == 0, "epoch");
	options.epoch = epoch;
	options.details = getenv("DETAILS") != NULL;
	must(device_ebpf_new(&options, &device, NULL) == 0, "device");
	must(device->ops->set_statistics_enabled(device, true) == 0, "attaching");
	send_packets(&tunnel, connections, connections, LOAD_IN_TURN, NULL);
	statistics = bpf_enable_stats(BPF_STATS_RUN_TIME);
	must(statistics >= 0, "statistics");
	idle = attach_idle(tunnel.ifindex);
	for (int load = 0; load < (connections > 1 ? N_LOADS : 1); load++)
		measure_packets(&tunnel, connections, (enum load)load);
	epoch_flip(epoch);
	wall = now();
	must(epoch_wait(epoch) == 0, "wait");
	printf("wait after the flip                                  %7.1f us\n",
	       (double)(now() - wall) / 1e3);
	wall = now();
	cpu = cpu_time();
	must(device->ops->extract_statistics(device, &extraction) == 0, "extraction");
	must(extraction.flows.n >= connections, "all connections");
	printf("drain, %7zu entries                             %4lld ns each (%lld ns of CPU)\n",
	       extraction.flows.n, (long long)((now() - wall) / (int64_t)extraction.flows.n),
	       (long long)((cpu_time() - cpu) / (int64_t)extraction.flows.n));
	extraction_deinit(&extraction);
	epoch_flip(epoch);
	must(device->ops->extract_statistics(device, &extraction) == 0, "extraction");
	extraction_deinit(&extraction);
	epoch_flip(epoch);
	must(epoch_wait(epoch) == 0, "wait");
	wall = now();
	must(device->ops->extract_statistics(device, &extraction) == 0, "extraction");
	printf("extraction of an empty window                        %7.1f us\n",
	       (double)(now() - wall) / 1e3);
	extraction_deinit(&extraction);
	device_free(device);
	epoch_free(epoch);
	tunnel_deinit(&tunnel);
}

int main(int argc, char **argv)
{
	struct program *probe = NULL;
	int error = program_new(16, &probe);

	if (error < 0 || !tunnel_is_possible()) {
		fprintf(stderr, "skipped: no eBPF, tun devices or namespaces here\n");
		return EXIT_SKIPPED;
	}
	program_free(probe);
	namespace_enter();
	if (argc > 1) {
		bench_traffic((uint32_t)strtoul(argv[1], NULL, 10));
		return EXIT_SUCCESS;
	}
	bench_test_run("IPv4 UDP, transmitted", ipv4_udp, sizeof(ipv4_udp), false);
	bench_test_run("IPv4 UDP, received", ipv4_udp, sizeof(ipv4_udp), true);
	bench_test_run("IPv6 TCP, transmitted", ipv6_tcp, sizeof(ipv6_tcp), false);
	bench_idle_test_run();
	bench_traffic(1);
	bench_traffic(100000);
	bench_traffic(1000000);
	return EXIT_SUCCESS;
}
