/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * What full windows need of memory, reckoned before anything is counted: a control group's limit ends the
 * process without a word, and only then.
 */

#include <stdbool.h>
#include <stdint.h>

struct config;

/*
 * The smallest limit of this process's control groups, from its own up to the root: memory.max (version 2)
 * and memory.limit_in_bytes (version 1). cgroup_file and root are "/proc/self/cgroup" and "/sys/fs/cgroup"
 * but in tests. UINT64_MAX: none is known. https://docs.kernel.org/admin-guide/cgroup-v2.html,
 * cgroup-v1/memory.html
 */
uint64_t memory_limit(const char *cgroup_file, const char *root);
/* Bytes that the uploader of this configuration needs. */
uint64_t memory_of_uploader(const struct config *config);
/* Bytes of the kernel's maps, whatever max-flows is; reckoned among the daemon's. */
#define MEMORY_OF_FIXED_MAPS (UINT64_C(1) << 19)
/* Bytes of kernel memory for each of max-flows; 0 where the kernel does not count. */
uint64_t memory_of_maps(const struct config *config);
/* Bytes that the daemon needs with windows of so many connections, with so many bytes of maps for each; and
 * for its uploader, if that runs in the same control group, else 0. */
uint64_t memory_needed(uint32_t max_flows, uint64_t maps, uint64_t uploader);
/* The connections for which a limit suffices, at most max_flows; 0: not even for a few. */
uint32_t memory_flows(uint64_t limit, uint32_t max_flows, uint64_t maps, uint64_t uploader);

/*
 * Lowers max-flows to what this process's limit allows, with a warning. 0; -ENOMEM, with a line in the log,
 * where not even a few connections fit.
 */
int memory_fit(struct config *config, bool with_uploader);
