/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What the look at dropped packets costs, by the kernel's own statistics, beside an empty program at the same
 * tracepoint: drops of the tunnel, of another interface, and in another network namespace. What an empty
 * program costs is measured by the packet's whole way, with it and without. Prints figures, without a
 * verdict.
 */

#include "daemon/device/drops.h"
#include "daemon/device/epoch.h"
#include "tests/unit/daemon/device/support/tunnel.h"

#include <linux/bpf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#define ROUNDS	100
#define PACKETS 5000
#define TURNS	40

static struct tunnel tunnel;

static _Noreturn void fail(const char *what)
{
	fprintf(stderr, "%s\n", what);
	exit(77);
}

static double cpu_ns(void)
{
	struct timespec time;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
	return (double)time.tv_sec * 1e9 + (double)time.tv_nsec;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static double median(double *values, size_t n)
{
	qsort(values, n, sizeof(*values), compare);
	return values[n / 2];
}

/* CPU time of a packet that nobody wants. */
static double receive(unsigned int n)
{
	/* UDP from 100.64.0.1 to 100.64.0.2, which is nobody. */
	static const uint8_t packet[28] = {0x45, 0, 0,	 28, 0, 1, 0,	 0,    64, 17, 0xb2, 0x4d, 100, 64,
					   0,	 1, 100, 64, 0, 2, 0x10, 0x20, 0,  53, 0,    8,	   0,	0};
	double begin = cpu_ns();

	for (unsigned int i = 0; i < n; i++)
		if (tunnel_receive(&tunnel, 0, NULL, packet, sizeof(packet)) < 0)
			fail("the tunnel takes no packets");
	return (cpu_ns() - begin) / n;
}

static int load_empty(void)
{
	static const struct bpf_insn code[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0},
		{.code = BPF_JMP | BPF_EXIT},
	};
	int id = libbpf_find_vmlinux_btf_id("kfree_skb", BPF_TRACE_RAW_TP);
	LIBBPF_OPTS(bpf_prog_load_opts, options, .expected_attach_type = BPF_TRACE_RAW_TP,
		    .attach_btf_id = (uint32_t)id);

	return id < 0 ? id
		      : bpf_prog_load(BPF_PROG_TYPE_TRACING, "empty", "GPL", code,
				      sizeof(code) / sizeof(*code), &options);
}

static int find_program(const char *name)
{
	for (int fd = 3; fd < 1024; fd++) {
		struct bpf_prog_info info = {};
		uint32_t size = sizeof(info);

		if (bpf_obj_get_info_by_fd(fd, &info, &size) == 0 && strcmp(info.name, name) == 0)
			return fd;
	}
	fail("the program cannot be found");
}

static struct bpf_prog_info read_program(int fd)
{
	struct bpf_prog_info info = {};
	uint32_t size = sizeof(info);

	if (bpf_obj_get_info_by_fd(fd, &info, &size) < 0)
		fail("no statistics");
	return info;
}

static void run(const char *name, const int programs[2])
{
	double times[2][ROUNDS], empty, ours;

	for (int round = 0; round < ROUNDS; round++) {
		struct bpf_prog_info before[2] = {read_program(programs[0]), read_program(programs[1])};

		receive(PACKETS);
		for (int i = 0; i < 2; i++) {
			struct bpf_prog_info now = read_program(programs[i]);

			times[i][round] = (double)(now.run_time_ns - before[i].run_time_ns) /
					  (double)(now.run_cnt - before[i].run_cnt);
		}
	}
	empty = median(times[0], ROUNDS);
	ours = median(times[1], ROUNDS);
	printf("drop %-32s %5.1f ns above an empty program (least %.1f)\n", name, ours - empty,
	       times[1][0] - times[0][0]);
}

/* In turn with and without it. */
static void run_empty(int empty)
{
	double differences[TURNS];

	for (int turn = 0; turn < TURNS; turn++) {
		double without = receive(PACKETS), with;
		int link = bpf_raw_tracepoint_open(NULL, empty);

		if (link < 0)
			fail("the empty program cannot be attached");
		with = receive(PACKETS);
		close(link);
		differences[turn] = with - without;
	}
	printf("an empty program                      %5.1f ns of a packet's way\n",
	       median(differences, TURNS));
}

int main(void)
{
	struct drops_counter *drops;
	struct epoch *epoch;
	int programs[2], statistics, link;

	if (!tunnel_is_possible())
		fail("skipped: no namespaces or tun devices here");
	namespace_enter();
	tunnel_init(&tunnel, &(struct tunnel_options){});
	if (epoch_new(&epoch) < 0 || drops_new(epoch, &drops, NULL) < 0)
		fail("skipped: drops cannot be counted here");
	programs[0] = load_empty();
	programs[1] = find_program("count_drop");
	if (programs[0] < 0)
		fail("the empty program cannot be loaded");
	run_empty(programs[0]);
	statistics = bpf_enable_stats(BPF_STATS_RUN_TIME);
	link = bpf_raw_tracepoint_open(NULL, programs[0]);
	drops_watch(drops, tunnel.ifindex);
	run("of the tunnel", programs);
	drops_watch(drops, tunnel.ifindex + 1);
	run("of another interface", programs);
	/* It finds its way to this machine, and no socket; then a rule drops it. */
	if (run_program((const char *const[]){"ip", "address", "add", "100.64.0.2/32", "dev", tunnel.name,
					      NULL}) != 0)
		fail("no address can be set");
	run("of another one, without a socket", programs);
	if (run_program((const char *const[]){
		    "nft",
		    "add table ip t; add chain ip t c { type filter hook input priority 0; policy drop; }",
		    NULL}) != 0)
		fail("no rule can be set");
	run("of another one, by a rule", programs);
	tunnel_deinit(&tunnel);
	namespace_enter();
	tunnel_init(&tunnel, &(struct tunnel_options){});
	drops_watch(drops, tunnel.ifindex);
	run("in another namespace", programs);
	close(link);
	close(statistics);
	drops_free(drops);
	epoch_free(epoch);
	tunnel_deinit(&tunnel);
	return 0;
}
