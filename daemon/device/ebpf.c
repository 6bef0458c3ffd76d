/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The tun source `ebpf`: the counting programs on the interface's ingress and egress. The kernel does all the
 * counting; this loads and attaches the programs, and drains the side of their maps that the last flip of the
 * epoch left behind.
 */

#include "common/cleanup.h"
#include "common/log.h"
#include "daemon/bpf/tun.skel.h"
#include "daemon/device/bypass.h"
#include "daemon/device/device.h"
#include "daemon/device/epoch.h"
#include "daemon/device/hook.h"
#include "daemon/device/interface.h"
#include "daemon/device/map_memory.h"
#include "daemon/device/preemption.h"
#include "daemon/device/tun_drain.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/capability.h>

struct ebpf {
	struct device device;
	struct epoch *epoch; /* borrowed */
	struct tun *programs;
	struct tun_drain drain;
	struct ring_buffer *pressure;
	struct hook *hooks[2]; /* by enum hook_direction; NULL: not attached */
	struct interface interface;
	struct bypass bypass;
	char *name;
	bool without_tcx;
	unsigned int went_ahead;
	uint64_t memory;
};

/* Against one that does the same, ours gives up. */
#define GO_AHEAD_MAX 10

#define EBPF(pointer) ((struct ebpf *)(pointer))

_printf_(2, 0) static int ebpf_log(enum libbpf_print_level level, const char *format, va_list arguments)
{
	char text[512];
	size_t length;

	if (level == LIBBPF_DEBUG || log_get_level() < LOG_LEVEL_DEBUG)
		return 0;
	vsnprintf(text, sizeof(text), format, arguments);
	length = strlen(text);
	if (length > 0 && text[length - 1] == '\n')
		text[length - 1] = '\0';
	log_debug("%s", text);
	return 0;
}

static void ebpf_detach(struct ebpf *ebpf)
{
	for (size_t i = 0; i < ARRAY_SIZE(ebpf->hooks); i++) {
		hook_free(ebpf->hooks[i]);
		ebpf->hooks[i] = NULL;
	}
}

static void ebpf_free(struct device *device)
{
	struct ebpf *ebpf = EBPF(device);

	ebpf_detach(ebpf);
	ring_buffer__free(ebpf->pressure);
	tun__destroy(ebpf->programs);
	interface_close(&ebpf->interface);
	free(ebpf->name);
	free(ebpf);
}
DEFINE_CLEANUP(struct device *, ebpf_free);

static int ebpf_program(const struct ebpf *ebpf, enum hook_direction direction)
{
	const struct tun *programs = ebpf->programs;
	bool ethernet = ebpf->interface.l2_length > 0;

	if (direction == HOOK_INGRESS)
		return bpf_program__fd(ethernet ? programs->progs.count_ingress_ethernet
						: programs->progs.count_ingress_raw);
	return bpf_program__fd(ethernet ? programs->progs.count_egress_ethernet
					: programs->progs.count_egress_raw);
}

static int ebpf_attach(struct ebpf *ebpf)
{
	for (size_t i = 0; i < ARRAY_SIZE(ebpf->hooks); i++) {
		struct hook_options options = {
			.ifindex = ebpf->interface.index,
			.direction = (enum hook_direction)i,
			.program_fd = ebpf_program(ebpf, (enum hook_direction)i),
			.without_tcx = ebpf->without_tcx,
		};
		int r = hook_attach(&options, &ebpf->hooks[i]);

		if (r < 0) {
			ebpf_detach(ebpf);
			return r;
		}
	}
	return 0;
}

static int ebpf_set_statistics_enabled(struct device *device, bool enabled)
{
	struct ebpf *ebpf = EBPF(device);
	int r;

	if (device->enabled == enabled)
		return 0;
	if (enabled) {
		uint64_t sent = interface_sent(&ebpf->interface);
		bool asked = interface_refresh(&ebpf->interface) == 0;

		if (asked)
			sent = interface_sent(&ebpf->interface);
		r = ebpf_attach(ebpf);
		if (r < 0)
			return r;
		ebpf->bypass = (struct bypass){};
		if (asked && interface_refresh(&ebpf->interface) == 0)
			bypass_begin(&ebpf->bypass, &ebpf->interface, sent);
	} else {
		ebpf_detach(ebpf);
		/* What a running program still counts belongs to the window that ends after this. */
		r = epoch_synchronize(ebpf->epoch);
		if (r < 0)
			log_debug("%s: waiting for detached programs: %s", ebpf->name, strerror(-r));
	}
	device->enabled = enabled;
	return 0;
}

static void ebpf_before_flip(struct device *device)
{
	struct ebpf *ebpf = EBPF(device);

	if (device->enabled)
		bypass_note(&ebpf->bypass, &ebpf->interface);
}

/* 0; -ENODEV: the interface or a program is gone; or another -errno: could not ask. */
static int ebpf_check(struct ebpf *ebpf)
{
	/* By the index too, since a TCX link stays on an interface that moves to another network namespace.
	 */
	int error = interface_refresh(&ebpf->interface);

	for (size_t i = 0; i < ARRAY_SIZE(ebpf->hooks) && error != -ENODEV; i++) {
		int r = hook_check(ebpf->hooks[i]);

		if (r == -ENODEV || error == 0)
			error = r;
	}
	return error;
}

/* A program that came later may hide packets from ours. */
static void ebpf_go_ahead(struct ebpf *ebpf)
{
	for (size_t i = 0; i < ARRAY_SIZE(ebpf->hooks) && ebpf->went_ahead < GO_AHEAD_MAX; i++)
		if (hook_has_program_ahead(ebpf->hooks[i]) &&
		    hook_go_ahead(ebpf->hooks[i], ebpf_program(ebpf, (enum hook_direction)i)) == 0)
			ebpf->went_ahead++;
}

static int ebpf_extract_statistics(struct device *device, struct extraction *ret_extraction)
{
	struct ebpf *ebpf = EBPF(device);
	struct extraction extraction = {.has_totals = true, .taker = device->taker};
	unsigned int old = epoch_old_side(ebpf->epoch);
	int r;

	/* First: a request from now on may be for the side that is in use now. */
	ring_buffer__consume(ebpf->pressure);
	r = epoch_wait(ebpf->epoch);
	if (r == 0)
		r = tun_drain_side(&ebpf->drain, old, &extraction);
	/* Nothing counts any more: what a failed extraction left behind must not wait for the next one. */
	if (r == 0 && !device->enabled)
		r = tun_drain_side(&ebpf->drain, !old, &extraction);
	if (r < 0) {
		extraction.errors++;
		/* They were not read to the end, so the entries cannot be checked against them. */
		extraction.has_totals = false;
		*ret_extraction = extraction;
		return r;
	}
	extraction.bypassed = bypass_count(&ebpf->bypass, extraction.totals.tx_packets);
	if (device->enabled) {
		r = ebpf_check(ebpf);
		ebpf_go_ahead(ebpf);
	}
	/* That could not be asked says nothing about the counts. */
	extraction.errors += r < 0 && r != -ENODEV;
	*ret_extraction = extraction;
	return r == -ENODEV ? r : 0;
}

static int ebpf_find_interface(struct device *device)
{
	return device->enabled ? -EBUSY : interface_bind(&EBPF(device)->interface, EBPF(device)->name);
}

static void ebpf_get_info(struct device *device, struct device_info *ret_info)
{
	struct ebpf *ebpf = EBPF(device);
	struct device_info info = {
		.source = SOURCE_EBPF,
		.interface = ebpf->name,
		.ifindex = ebpf->interface.index,
		.memory = ebpf->memory,
		.went_ahead = ebpf->went_ahead,
		.device_drops_rx = ebpf->interface.rx_dropped,
		.device_drops_tx = ebpf->interface.tx_dropped,
	};

	if (device->enabled) {
		bool ingress = hook_has_program_ahead(ebpf->hooks[HOOK_INGRESS]);
		bool egress = hook_has_program_ahead(ebpf->hooks[HOOK_EGRESS]);

		info.attachment = hook_kind(ebpf->hooks[HOOK_INGRESS]);
		info.reason = hook_reason(ebpf->hooks[HOOK_INGRESS]);
		if (ingress)
			info.warning =
				"another program runs before netlogd's on ingress and may hide packets";
		else if (egress)
			info.warning = "another program runs before netlogd's on egress and may hide packets";
	}
	*ret_info = info;
}

static int ebpf_get_pressure_fd(struct device *device)
{
	return ring_buffer__epoll_fd(EBPF(device)->pressure);
}

static const struct device_ops ebpf_ops;

static int ebpf_take_over(struct device *device, struct device *from)
{
	struct ebpf *ebpf = EBPF(device), *other = EBPF(from);
	uint64_t sent;
	bool asked;
	int r = 0;

	if (from->ops != &ebpf_ops || !from->enabled || device->enabled ||
	    ebpf->interface.index != other->interface.index)
		return -EINVAL;
	asked = interface_refresh(&ebpf->interface) == 0;
	sent = interface_sent(&ebpf->interface);
	for (size_t i = 0; i < ARRAY_SIZE(ebpf->hooks) && r == 0; i++)
		r = hook_replace(other->hooks[i], ebpf_program(ebpf, (enum hook_direction)i));
	/* Both or none. */
	for (size_t i = 0; i < ARRAY_SIZE(ebpf->hooks) && r < 0; i++)
		hook_replace(other->hooks[i], ebpf_program(other, (enum hook_direction)i));
	if (r < 0)
		return r;
	for (size_t i = 0; i < ARRAY_SIZE(ebpf->hooks); i++)
		ebpf->hooks[i] = TAKE_PTR(other->hooks[i]);
	if (asked && interface_refresh(&ebpf->interface) == 0)
		bypass_begin(&ebpf->bypass, &ebpf->interface, sent);
	device->enabled = true;
	from->enabled = false;
	return 0;
}

static const struct device_ops ebpf_ops = {
	.name = "ebpf",
	.source = SOURCE_EBPF,
	.free = ebpf_free,
	.set_statistics_enabled = ebpf_set_statistics_enabled,
	.extract_statistics = ebpf_extract_statistics,
	.before_flip = ebpf_before_flip,
	.find_interface = ebpf_find_interface,
	.get_info = ebpf_get_info,
	.take_over = ebpf_take_over,
	.get_pressure_fd = ebpf_get_pressure_fd,
};

/* The event itself is all that counts. */
static int ebpf_on_pressure(void *context, void *data, size_t size)
{
	(void)context;
	(void)data;
	(void)size;
	return 0;
}

static int ebpf_load(struct ebpf *ebpf, uint32_t max_flows, bool details)
{
	/* A connection may have an entry on every CPU that sees it. */
	uint32_t entries = max_flows > UINT32_MAX / 2 ? UINT32_MAX : max_flows * 2;
	struct tun *programs = tun__open();
	struct bpf_map *map;
	int r;

	if (!programs)
		return -errno;
	ebpf->programs = programs;
	programs->rodata->preemptible = programs_preempt();
	r = tun_drain_prepare(programs, entries, details ? max_flows : 0);
	if (r == 0)
		r = bpf_map__reuse_fd(programs->maps.epoch, epoch_map_fd(ebpf->epoch));
	if (r == 0)
		r = tun__load(programs);
	if (r < 0)
		return r;
	tun_drain_init(&ebpf->drain, programs);
	ebpf->pressure = ring_buffer__new(bpf_map__fd(programs->maps.pressure), ebpf_on_pressure, NULL, NULL);
	if (!ebpf->pressure)
		return -errno;
	bpf_object__for_each_map(map, programs->obj) ebpf->memory += map_memory(bpf_map__fd(map));
	return 0;
}

/* The verifier is stricter then, and says so with errors that tell nothing of it. */
static bool lacks_perfmon(void)
{
	const uint32_t wanted[] = {CAP_PERFMON, CAP_SYS_ADMIN};
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {};

	if (syscall(SYS_capget, &header, data) < 0)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(wanted); i++)
		if (data[CAP_TO_INDEX(wanted[i])].effective & CAP_TO_MASK(wanted[i]))
			return false;
	return true;
}

static const char *ebpf_explain(int r)
{
	static const char lacking[] = "eBPF needs CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON";

	switch (r) {
	case -EPERM:
	case -EACCES:
		return lacking;
	case -ENOMEM:
		return "not enough memory for the maps; lower max-flows";
	case -ENODEV:
		return "no such interface";
	case -ESRCH:
		return "eBPF programs cannot be loaded";
	case -EOPNOTSUPP:
		return "the interface's link layer is neither raw IP nor Ethernet";
	case -EBUSY:
		return "no TCX on this kernel, and a qdisc `ingress` or foreign filters occupy the hook";
	}
	return lacks_perfmon() ? lacking : "the kernel rejected the eBPF programs";
}

static int ebpf_make(const struct device_options *options, struct device **ret_device)
{
	_cleanup_(ebpf_freep) struct device *device = NULL;
	struct ebpf *ebpf = calloc(1, sizeof(*ebpf));
	int r;

	if (!ebpf)
		return -ENOMEM;
	device = &ebpf->device;
	device->ops = &ebpf_ops;
	device->layer = options->layer;
	ebpf->epoch = options->epoch;
	ebpf->without_tcx = options->without_tcx;
	ebpf->name = strdup(options->interface);
	if (!ebpf->name)
		return -ENOMEM;
	r = interface_open(&ebpf->interface);
	if (r == 0 && !options->ahead)
		r = interface_bind(&ebpf->interface, ebpf->name);
	if (r == 0)
		r = ebpf_load(ebpf, options->max_flows, options->details);
	/* Fail now, not when counting starts, if the programs cannot be attached. */
	if (r == 0 && !options->ahead)
		r = ebpf_attach(ebpf);
	if (r < 0)
		return r;
	ebpf_detach(ebpf);
	*ret_device = TAKE_PTR(device);
	return 0;
}

int device_ebpf_new(const struct device_options *options, struct device **ret_device, char **ret_reason)
{
	int r;

	libbpf_set_print(ebpf_log);
	if (!options->interface)
		r = -EINVAL;
	else if (!options->epoch) /* its maps could not be made, so no others can be */
		r = -EPERM;
	else
		r = ebpf_make(options, ret_device);
	return device_explain(r, ebpf_explain(r), ret_reason);
}
