/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a window costs from the interface to the spool: packets through a real tun device, counted by the
 * programs, and the logger that drains, merges, classifies, sorts, encodes and stores. With connections that
 * live for long, and with as many that begin and end in the window. Prints figures, without a verdict. With a
 * number, only for that many connections.
 */

#include "common/cleanup.h"
#include "common/clock.h"
#include "common/config/load.h"
#include "common/time_text.h"
#include "daemon/device/epoch.h"
#include "daemon/logger/logger.h"
#include "daemon/spool/writer.h"
#include "tests/unit/daemon/device/support/program.h"
#include "tests/unit/daemon/device/support/tunnel.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include <bpf/bpf.h>

#define EXIT_SKIPPED 77

#define ROUNDS 7
#define MIXED  61803 /* has no divisor in common with the numbers of connections */

enum { FIN = 0x01, SYN = 0x02, ACK = 0x10 };

struct stage {
	char directory[64];
	struct tunnel tunnel;
	struct config *config;
	struct epoch *epoch;
	struct spool_writer *spool;
	struct logger *logger;
	uint32_t seq;
};

static void must(bool fine, const char *what)
{
	if (fine)
		return;
	fprintf(stderr, "%s failed\n", what);
	abort();
}

static int64_t cpu_time(void)
{
	struct timespec time;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
	return time.tv_sec * NSEC_PER_SEC + time.tv_nsec;
}

static void stored(uint64_t sequence, void *userdata)
{
	(void)sequence;
	(void)userdata;
}

static void lost(const struct spool_loss *loss, void *userdata)
{
	(void)loss;
	(void)userdata;
}

static struct config *make_config(const struct stage *stage, uint32_t max_flows, bool details)
{
	struct config_error error = {};
	struct config *config = NULL;
	char path[80];
	FILE *file;

	snprintf(path, sizeof(path), "%s/conf", stage->directory);
	file = fopen(path, "we");
	must(file != NULL, path);
	fprintf(file,
		"[netlogd]\nstate-directory=%s\n[tun]\nsource=ebpf\ninterface=%s\nmax-flows=%u\n"
		"[sock]\nsource=none\n[routes]\nmode=static\nlocal-addr=100.64.0.1\nroute=100.64.0.0/10\n"
		"[record]\ndetails=%s\ndrops=no\n",
		stage->directory, stage->tunnel.name, max_flows, details ? "yes" : "no");
	fclose(file);
	if (config_load(path, &config, &error) < 0) {
		fprintf(stderr, "%s:%u: %s\n", path, error.line, error.reason);
		abort();
	}
	return config;
}

static void stage_init(struct stage *stage, uint32_t connections, bool details)
{
	static const struct spool_writer_ops ops = {stored, lost};
	struct spool_writer_options options = {
		.max_size = 1 << 30, .sync_interval = NSEC_PER_SEC, .file_mode = 0600};
	struct logger_options logger = {.clock = &clock_system, .proc_id = 77};
	char spool[80], *reason = NULL;
	const char *layer;

	*stage = (struct stage){};
	snprintf(stage->directory, sizeof(stage->directory), "%s/netlogd-bench-XXXXXX",
		 getenv("TMPDIR") ?: "/tmp");
	must(mkdtemp(stage->directory) != NULL, stage->directory);
	tunnel_init(&stage->tunnel, &(struct tunnel_options){});
	stage->config = make_config(stage, MAX(connections * 5 / 4, 1024U), details);
	must(epoch_new(&stage->epoch) == 0, "epoch");
	snprintf(spool, sizeof(spool), "%s/spool", stage->directory);
	options.directory = spool;
	options.upload_directory = stage->directory;
	must(spool_writer_new(&options, &ops, NULL, &stage->spool, &reason) == 0, "spool");
	logger.config = stage->config;
	logger.epoch = stage->epoch;
	logger.spool = stage->spool;
	must(logger_new(&logger, &stage->logger) == 0, "logger");
	must(logger_start(stage->logger, NULL, NULL, &layer, &reason) == 0, "start");
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *walk)
{
	(void)status;
	(void)type;
	(void)walk;
	return remove(path);
}

static void stage_deinit(struct stage *stage)
{
	logger_stop(stage->logger);
	logger_free(stage->logger);
	spool_writer_free(stage->spool);
	epoch_free(stage->epoch);
	config_free(stage->config);
	tunnel_deinit(&stage->tunnel);
	nftw(stage->directory, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void send_packet(const struct stage *stage, uint32_t n, bool received, uint8_t flags)
{
	uint8_t packet[40] = {0x45, 0, 0, 40, 0, 1, 0, 0, 64, 6}, drop[64];
	uint8_t *own = packet + (received ? 16 : 12), *other = packet + (received ? 12 : 16);

	memcpy(own, (const uint8_t[]){100, 64, 0, 1}, 4);
	memcpy(other, (const uint8_t[]){100, 64, (uint8_t)(2 + (n >> 16)), 2}, 4);
	packet[received ? 20 : 22] = (uint8_t)(n >> 8);
	packet[received ? 21 : 23] = (uint8_t)n;
	packet[received ? 23 : 21] = 80;
	memcpy(packet + 24, &stage->seq, sizeof(stage->seq));
	packet[32] = 0x50;
	packet[33] = flags;
	if (received) {
		must(tunnel_receive(&stage->tunnel, 0, NULL, packet, sizeof(packet)) == 0, "tun write");
	} else {
		must(tunnel_transmit(&stage->tunnel, 0, NULL, packet, sizeof(packet)) == 0, "sending");
		must(tunnel_read(&stage->tunnel, 0, drop, sizeof(drop)) == sizeof(packet), "tun read");
	}
}

/* Four packets of each connection; one packet of each before the second of any. */
static void send_all(struct stage *stage, uint32_t connections, const uint8_t flags[static 4])
{
	stage->seq++;
	for (unsigned int i = 0; i < 4; i++)
		for (uint32_t n = 0; n < connections; n++)
			send_packet(stage, (uint32_t)((uint64_t)n * MIXED % connections), i % 2 == 0,
				    flags[i]);
}

static uint32_t map_id(int fd)
{
	struct bpf_map_info info = {};
	uint32_t length = sizeof(info);

	must(bpf_obj_get_info_by_fd(fd, &info, &length) == 0, "map");
	return info.id;
}

static bool uses_map(int program, uint32_t map)
{
	uint32_t ids[64] = {}, length = sizeof(struct bpf_prog_info);
	struct bpf_prog_info info = {.nr_map_ids = ARRAY_SIZE(ids), .map_ids = (uint64_t)(uintptr_t)ids};

	if (bpf_obj_get_info_by_fd(program, &info, &length))
		return false;
	for (uint32_t i = 0; i < MIN(info.nr_map_ids, (uint32_t)ARRAY_SIZE(ids)); i++)
		if (ids[i] == map)
			return true;
	return false;
}

/* Sums of the kernel's statistics over all programs of this stage. */
static void program_statistics(const struct stage *stage, uint64_t *ret_ns, uint64_t *ret_runs)
{
	const uint32_t epoch = map_id(epoch_map_fd(stage->epoch));
	uint32_t id = 0;

	*ret_ns = *ret_runs = 0;
	while (bpf_prog_get_next_id(id, &id) == 0) {
		_cleanup_close_ int fd = bpf_prog_get_fd_by_id(id);
		struct bpf_prog_info info = {};
		uint32_t length = sizeof(info);

		if (fd < 0 || !uses_map(fd, epoch) || bpf_obj_get_info_by_fd(fd, &info, &length))
			continue;
		*ret_ns += info.run_time_ns;
		*ret_runs += info.run_cnt;
	}
}

static int compare(const void *a, const void *b)
{
	const double *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

static void measure(struct stage *stage, const char *what, uint32_t connections,
		    const uint8_t flags[static 4])
{
	double packet[ROUNDS], window[ROUNDS];

	/* The first one is not measured: memory is new. */
	for (int round = -1; round < ROUNDS; round++) {
		uint64_t ns, runs, more_ns, more_runs;
		int64_t begin;

		program_statistics(stage, &ns, &runs);
		send_all(stage, connections, flags);
		program_statistics(stage, &more_ns, &more_runs);
		begin = cpu_time();
		logger_end_window(stage->logger);
		must(spool_writer_sync(stage->spool, 60000) == 0, "spool");
		if (round < 0)
			continue;
		must(more_runs - runs >= 4ULL * connections, "all packets");
		packet[round] = (double)(more_ns - ns) / (double)(more_runs - runs);
		window[round] = (double)(cpu_time() - begin) / connections;
	}
	qsort(packet, ROUNDS, sizeof(packet[0]), compare);
	qsort(window, ROUNDS, sizeof(window[0]), compare);
	printf("%7u %s: in the kernel %4.0f ns a packet (lowest %.0f); window's end %5.0f ns of CPU a connection (lowest %.0f)\n",
	       connections, what, packet[ROUNDS / 2], packet[0], window[ROUNDS / 2], window[0]);
}

static void bench(uint32_t connections)
{
	static const uint8_t old[4] = {ACK, ACK, ACK, ACK};
	static const uint8_t begin_and_end[4] = {SYN, SYN | ACK, FIN | ACK, FIN | ACK};
	struct stage stage;

	stage_init(&stage, connections, false);
	measure(&stage, "old TCP connections, no details", connections, old);
	stage_deinit(&stage);
	stage_init(&stage, connections, true);
	measure(&stage, "old TCP connections, details   ", connections, old);
	measure(&stage, "new TCP connections, details   ", connections, begin_and_end);
	stage_deinit(&stage);
}

int main(int argc, char **argv)
{
	_cleanup_close_ int statistics = -1;
	struct program *probe = NULL;
	int error = program_new(16, &probe);

	if (error < 0 || !tunnel_is_possible()) {
		fprintf(stderr, "skipped: no eBPF, tun devices or namespaces here\n");
		return EXIT_SKIPPED;
	}
	program_free(probe);
	namespace_enter();
	statistics = bpf_enable_stats(BPF_STATS_RUN_TIME);
	must(statistics >= 0, "statistics");
	if (argc > 1) {
		bench((uint32_t)strtoul(argv[1], NULL, 10));
		return EXIT_SUCCESS;
	}
	bench(1000);
	bench(100000);
	return EXIT_SUCCESS;
}
