/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The figures are measured ones, rounded up. For a window of 65536 connections and overflow, on two CPUs, the
 * maps took 48 MiB (60 with details), the daemon 38 at its peak, and the uploader 12. Reckoned are 124 MiB
 * (136), of which 32 are for what waits for the window's routes (logger/gather.c).
 */

#include "daemon/memory_limit.h"

#include "common/config/config.h"
#include "common/log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MIB (UINT64_C(1) << 20)
/* Idle, and while the programs are loaded; with the maps that are always as large. */
#define DAEMON_BYTES (10 * MIB)
/* Of the uploader, and of each sink for a batch: as text and, the compressed one being less, once more. */
#define UPLOADER_BYTES	  (8 * MIB)
#define BATCH_BYTES(sink) ((sink)->max_batch_size / 2 * 3)
/* Of a connection, on each of two sides: two entries of IPv4 and one of IPv6 in tables a third of which stays
 * empty; with details, a note of TCP's SYN, FIN and RST in such a table; */
#define MAP_BYTES     (2 * (2 * 64 + 128) * 3 / 2)
#define CONTROL_BYTES (2 * 64 * 3 / 2)
/* as a flow, as an entry with its place in the index and in the order, and as text on its way to the disk. */
#define WINDOW_BYTES 352
/* Of twice as many, that are remembered while they live. */
#define LIVE_BYTES (2 * 26)
/* Of four times as many that were extracted early: what is held of each until the window ends. */
#define HELD_BYTES (4 * 128)
#define FLOW_BYTES (WINDOW_BYTES + LIVE_BYTES + HELD_BYTES)
/* Fewer are of no use. */
#define FLOWS_LEAST 1024

/* A limit's file: a number, or "max". */
static uint64_t read_limit(const char *directory, const char *name)
{
	char *path = NULL, text[32] = {}, *end;
	uint64_t limit = UINT64_MAX;
	FILE *file;

	if (asprintf(&path, "%s/%s", directory, name) < 0)
		return UINT64_MAX;
	file = fopen(path, "re");
	free(path);
	if (!file)
		return UINT64_MAX;
	if (fgets(text, sizeof(text), file) && *text >= '0' && *text <= '9') {
		errno = 0;
		limit = strtoull(text, &end, 10);
		if (errno != 0)
			limit = UINT64_MAX;
	}
	fclose(file);
	return limit;
}

/* The smallest limit in a control group and those above it. */
static uint64_t smallest_limit(const char *root, const char *group, const char *name)
{
	_cleanup_free_ char *path = NULL;
	uint64_t least = UINT64_MAX;
	size_t bare = strlen(root);

	if (asprintf(&path, "%s%s", root, group) < 0) {
		path = NULL;
		return least;
	}
	for (;;) {
		uint64_t limit = read_limit(path, name);
		char *slash = strrchr(path, '/');

		least = MIN(least, limit);
		if (!slash || (size_t)(slash - path) < bare)
			return least;
		*slash = '\0';
	}
}

/* One line of the file: "number:controllers:/group", of version 2 "0::/group". */
static uint64_t limit_of_line(char *line, const char *root)
{
	char *controllers = strchr(line, ':'), *group = controllers ? strchr(controllers + 1, ':') : NULL;
	uint64_t limit, beside;
	char path[256];

	if (!group)
		return UINT64_MAX;
	*group++ = '\0';
	controllers++;
	group[strcspn(group, "\n")] = '\0';
	if (!*controllers) {
		/* Version 2, also where it stands beside version 1. */
		snprintf(path, sizeof(path), "%s/unified", root);
		limit = smallest_limit(root, group, "memory.max");
		beside = smallest_limit(path, group, "memory.max");
		return MIN(limit, beside);
	}
	for (char *rest = controllers, *one; (one = strsep(&rest, ","));)
		if (strcmp(one, "memory") == 0) {
			snprintf(path, sizeof(path), "%s/memory", root);
			return smallest_limit(path, group, "memory.limit_in_bytes");
		}
	return UINT64_MAX;
}

uint64_t memory_limit(const char *cgroup_file, const char *root)
{
	_cleanup_fclose_ FILE *file = fopen(cgroup_file, "re");
	_cleanup_free_ char *line = NULL;
	uint64_t least = UINT64_MAX;
	size_t allocated = 0;

	while (file && getline(&line, &allocated, file) > 0) {
		uint64_t limit = limit_of_line(line, root);

		least = MIN(least, limit);
	}
	/* What version 1 says when there is none. */
	return least < UINT64_C(1) << 60 ? least : UINT64_MAX;
}

uint64_t memory_of_uploader(const struct config *config)
{
	uint64_t bytes = UPLOADER_BYTES;

	for (size_t i = 0; i < config->n_sinks; i++)
		bytes += BATCH_BYTES(&config->sinks[i]);
	return bytes;
}

uint64_t memory_of_maps(const struct config *config)
{
	if (config->tun.source != SOURCE_AUTO && config->tun.source != SOURCE_EBPF)
		return 0;
	return MAP_BYTES + (config->details ? CONTROL_BYTES : 0);
}

uint64_t memory_needed(uint32_t max_flows, uint64_t maps, uint64_t uploader)
{
	return DAEMON_BYTES + uploader + max_flows * (FLOW_BYTES + maps);
}

uint32_t memory_flows(uint64_t limit, uint32_t max_flows, uint64_t maps, uint64_t uploader)
{
	uint64_t fixed = DAEMON_BYTES + uploader, flows;

	if (limit == UINT64_MAX)
		return max_flows;
	flows = limit <= fixed ? 0 : (limit - fixed) / (FLOW_BYTES + maps);
	if (flows < MIN(max_flows, FLOWS_LEAST))
		return 0;
	return (uint32_t)MIN(flows, max_flows);
}

int memory_fit(struct config *config, bool with_uploader)
{
	uint64_t uploader = with_uploader ? memory_of_uploader(config) : 0;
	uint64_t limit = memory_limit("/proc/self/cgroup", "/sys/fs/cgroup");
	uint64_t maps = memory_of_maps(config);
	uint64_t needed = memory_needed(config->max_flows, maps, uploader);
	uint32_t flows;

	if (config->tun.source == SOURCE_NONE)
		return 0;
	flows = memory_flows(limit, config->max_flows, maps, uploader);
	if (flows == config->max_flows)
		return 0;
	if (flows == 0) {
		log_error("the control group's memory limit of %" PRIu64
			  " MiB is too small: netlogd needs %" PRIu64 " MiB for [tun] max-flows = %" PRIu32
			  ", and %" PRIu64 " MiB at least",
			  limit / MIB, (needed + MIB - 1) / MIB, config->max_flows,
			  memory_needed(FLOWS_LEAST, maps, uploader) / MIB + 1);
		return -ENOMEM;
	}
	log_warning("the control group's memory limit of %" PRIu64
		    " MiB is too small for [tun] max-flows = %" PRIu32 ", which needs %" PRIu64
		    " MiB: using max-flows = %" PRIu32
		    "; raise the limit (MemoryMax= of the unit) or lower max-flows",
		    limit / MIB, config->max_flows, (needed + MIB - 1) / MIB, flows);
	config->max_flows = flows;
	return 0;
}
