/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* The counting programs under the kernel's own test run: a packet in, its counts out. */

#include "common/connection.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct program;

/* 0, or -EPERM and others when programs cannot be loaded here. */
int program_new(uint32_t max_flows, struct program **ret_program);
/* The same, with the details of connections. */
int program_new_with_details(uint32_t max_flows, struct program **ret_program);
void program_free(struct program *program);

struct program_counts {
	struct flows flows;
	struct counts totals;
	struct counts overflow;
	struct counts inexact;
	uint64_t lost_details;
};

void program_counts_deinit(struct program_counts *counts);

struct program_run {
	const uint8_t *packet; /* from the IP header on */
	size_t length;
	bool received;
	uint32_t repeat; /* 0 stands for 1 */
	uint16_t gso_size;
	uint16_t gso_segs;
};

/* The descriptor of the program for a direction, borrowed: it counts frames with an Ethernet header. */
int program_fd(const struct program *program, bool received);
/* Counts a packet. 0, -EINVAL when the kernel's test run refuses it, or another -errno; the time per run in
 * ns. */
int program_run(struct program *program, const struct program_run *run, uint32_t *ret_ns);
/* Ends the window: what was counted since the last time, in *ret_counts. `running`: other threads run it
 * meanwhile, so that this must wait for the kernel. */
int program_extract(struct program *program, bool running, struct program_counts *ret_counts);
/* The same, but it fails midway: -errno, and in *ret_counts what was handed over before. */
int program_extract_failing(struct program *program, struct program_counts *ret_counts);
