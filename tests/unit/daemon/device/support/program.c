/* SPDX-License-Identifier: BSD-3-Clause */
/* Loads the skeleton as for an Ethernet device, since the kernel's test run requires an Ethernet header. */

#include "tests/unit/daemon/device/support/program.h"

#include "common/cleanup.h"
#include "daemon/bpf/tun.skel.h"
#include "daemon/device/epoch.h"
#include "daemon/device/preemption.h"
#include "daemon/device/tun_drain.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#define ETHERNET_HEADER 14
#define MAX_PACKET	65536

struct program {
	struct tun *skeleton;
	struct tun_drain drain;
	struct epoch *epoch;
};

_printf_(2, 0) static int quiet(enum libbpf_print_level level, const char *format, va_list arguments)
{
	if (level == LIBBPF_WARN && getenv("NETLOGD_TEST_VERBOSE"))
		return vfprintf(stderr, format, arguments);
	return 0;
}

static int make(uint32_t max_flows, bool details, struct program **ret_program)
{
	struct program *program = calloc(1, sizeof(*program));
	int error;

	if (!program)
		return -ENOMEM;
	libbpf_set_print(quiet);
	error = epoch_new(&program->epoch);
	program->skeleton = error < 0 ? NULL : tun__open();
	if (!program->skeleton) {
		program_free(program);
		return error < 0 ? error : -errno;
	}
	program->skeleton->rodata->preemptible = programs_preempt();
	error = tun_drain_prepare(program->skeleton, max_flows, details ? max_flows : 0);
	if (error == 0)
		error = bpf_map__reuse_fd(program->skeleton->maps.epoch, epoch_map_fd(program->epoch));
	if (error == 0)
		error = tun__load(program->skeleton);
	if (error < 0) {
		program_free(program);
		return error;
	}
	tun_drain_init(&program->drain, program->skeleton);
	*ret_program = program;
	return 0;
}

int program_new(uint32_t max_flows, struct program **ret_program)
{
	return make(max_flows, false, ret_program);
}

int program_new_with_details(uint32_t max_flows, struct program **ret_program)
{
	return make(max_flows, true, ret_program);
}

void program_free(struct program *program)
{
	if (!program)
		return;
	tun__destroy(program->skeleton);
	epoch_free(program->epoch);
	free(program);
}

int program_fd(const struct program *program, bool received)
{
	return bpf_program__fd(received ? program->skeleton->progs.count_ingress_ethernet
					: program->skeleton->progs.count_egress_ethernet);
}

int program_run(struct program *program, const struct program_run *run, uint32_t *ret_ns)
{
	struct __sk_buff context = {.gso_size = run->gso_size, .gso_segs = run->gso_segs};
	LIBBPF_OPTS(bpf_test_run_opts, options, .repeat = run->repeat > 0 ? (int)run->repeat : 1);
	_cleanup_free_ uint8_t *frame = NULL;
	bool ipv6 = run->length > 0 && run->packet[0] >> 4 == 6;

	if (run->length > MAX_PACKET)
		return -E2BIG;
	frame = calloc(1, ETHERNET_HEADER + run->length);
	if (!frame)
		return -ENOMEM;
	frame[12] = ipv6 ? 0x86 : 0x08;
	frame[13] = ipv6 ? 0xdd : 0x00;
	if (run->length > 0)
		memcpy(frame + ETHERNET_HEADER, run->packet, run->length);
	options.data_in = frame;
	options.data_size_in = (uint32_t)(ETHERNET_HEADER + run->length);
	if (run->gso_size > 0) {
		options.ctx_in = &context;
		options.ctx_size_in = sizeof(context);
	}
	if (bpf_prog_test_run_opts(program_fd(program, run->received), &options))
		return -errno;
	if ((int)options.retval != -1)
		return -EPROTO;
	if (ret_ns)
		*ret_ns = options.duration;
	return 0;
}

static struct program_counts counts_of(const struct extraction *extraction)
{
	return (struct program_counts){
		.flows = extraction->flows,
		.totals = extraction->totals,
		.overflow = extraction->overflow,
		.inexact = extraction->inexact,
		.lost_details = extraction->lost_details,
	};
}

int program_extract(struct program *program, bool running, struct program_counts *ret_counts)
{
	struct extraction extraction = {};
	int error;

	epoch_flip(program->epoch);
	error = running ? epoch_wait(program->epoch) : 0;
	if (error == 0)
		error = tun_drain_side(&program->drain, epoch_old_side(program->epoch), &extraction);
	if (error < 0) {
		extraction_deinit(&extraction);
		return error;
	}
	*ret_counts = counts_of(&extraction);
	return 0;
}

int program_extract_failing(struct program *program, struct program_counts *ret_counts)
{
	struct extraction extraction = {};
	int slots = program->drain.totals, error;

	epoch_flip(program->epoch);
	program->drain.totals = -1;
	error = tun_drain_side(&program->drain, epoch_old_side(program->epoch), &extraction);
	program->drain.totals = slots;
	*ret_counts = counts_of(&extraction);
	return error;
}

void program_counts_deinit(struct program_counts *counts)
{
	flows_deinit(&counts->flows);
	*counts = (struct program_counts){};
}
