/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The names are kept for the life of the process: they never change while the kernel runs. Subsystems that
 * are modules have reasons of their own, in the modules' type information.
 */

#include "daemon/device/drop_reasons.h"

#include "common/cleanup.h"
#include "daemon/bpf/drops_maps.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/btf.h>
#include <bpf/libbpf.h>

#define CORE_PREFIX "SKB_DROP_REASON_"

/* By reason, sorted; written once. */
static struct {
	struct reason {
		uint16_t code;
		char *name;
	} * items;
	size_t n, allocated;
	bool loaded, has_socket;
	int error;
} reasons;

static uint16_t reason_code(uint32_t value)
{
	uint32_t subsystem = value >> 16, number = value & 0xffff;

	if (subsystem >= 1U << (16 - DROPS_SUBSYSTEM_SHIFT) || number >= 1U << DROPS_SUBSYSTEM_SHIFT)
		return DROPS_UNKNOWN_REASON;
	return (uint16_t)(subsystem << DROPS_SUBSYSTEM_SHIFT | number);
}

static int add_reason(uint16_t code, const char *name)
{
	if (reasons.n == reasons.allocated) {
		size_t more = reasons.allocated > 0 ? reasons.allocated * 2 : 256;
		struct reason *items = reallocarray(reasons.items, more, sizeof(*items));

		if (!items)
			return -ENOMEM;
		reasons.items = items;
		reasons.allocated = more;
	}
	reasons.items[reasons.n] = (struct reason){code, strdup(name)};
	return reasons.items[reasons.n].name ? (int)!++reasons.n : -ENOMEM;
}

/* The enumerators of one enum; core: of the kernel's own, else of a subsystem's. */
static int add_enum(const struct btf *btf, const struct btf_type *type, bool core)
{
	const struct btf_enum *values = btf_enum(type);
	int r = 0;

	for (unsigned int i = 0; i < btf_vlen(type) && r == 0; i++) {
		const char *name = btf__name_by_offset(btf, values[i].name_off);
		uint32_t value = (uint32_t)values[i].val;
		uint16_t code = reason_code(value);

		if (!name || code == DROPS_UNKNOWN_REASON || (value > 0xffff) == core)
			continue;
		if (strncmp(name, CORE_PREFIX, strlen(CORE_PREFIX)) == 0)
			name += strlen(CORE_PREFIX);
		else if (core && strcmp(name, "SKB_CONSUMED") != 0 &&
			 strcmp(name, "SKB_NOT_DROPPED_YET") != 0)
			continue;
		/* The end of the list is no reason. */
		if (!core || strcmp(name, "MAX") != 0)
			r = add_reason(code, name + strspn(name, "_"));
	}
	return r;
}

/* All enums of types from `first` on that hold reasons. */
static int add_enums(const struct btf *btf, uint32_t first)
{
	int r = 0;

	for (uint32_t id = first; id < btf__type_cnt(btf) && r == 0; id++) {
		const struct btf_type *type = btf__type_by_id(btf, id);
		const char *name = btf_is_enum(type) ? btf__name_by_offset(btf, type->name_off) : NULL;

		if (name && strstr(name, "drop_reason") && !strstr(name, "subsys"))
			r = add_enum(btf, type, strcmp(name, "skb_drop_reason") == 0);
	}
	return r;
}

/* A module that is not loaded, or whose types cannot be read, only leaves numbers. */
static int add_modules(struct btf *vmlinux)
{
	static const char *const modules[] = {"openvswitch", "mac80211"};
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(modules) && r == 0; i++) {
		struct btf *btf = btf__load_module_btf(modules[i], vmlinux);

		if (!btf)
			continue;
		r = add_enums(btf, btf__type_cnt(vmlinux));
		btf__free(btf);
	}
	return r;
}

/* The tracepoint's arguments: its own data, packet, place, reason, and socket. */
static bool has_socket(const struct btf *btf)
{
	int32_t id = btf__find_by_name_kind(btf, "btf_trace_kfree_skb", BTF_KIND_TYPEDEF);
	const struct btf_type *type = id > 0 ? btf__type_by_id(btf, (uint32_t)id) : NULL;

	if (type)
		type = btf__type_by_id(btf, type->type);
	if (type && btf_is_ptr(type))
		type = btf__type_by_id(btf, type->type);
	return type && btf_is_func_proto(type) && btf_vlen(type) >= 5;
}

static int compare_reasons(const void *a, const void *b)
{
	const struct reason *x = a, *y = b;

	return x->code < y->code ? -1 : x->code > y->code;
}

static int read_reasons(void)
{
	struct btf *btf = btf__load_vmlinux_btf();
	int r;

	if (!btf)
		return -errno;
	if (btf__find_by_name_kind(btf, "skb_drop_reason", BTF_KIND_ENUM) < 0) {
		r = -EOPNOTSUPP;
	} else {
		reasons.has_socket = has_socket(btf);
		r = add_enums(btf, 1);
		if (r == 0)
			r = add_modules(btf);
	}
	btf__free(btf);
	if (reasons.n > 0)
		qsort(reasons.items, reasons.n, sizeof(*reasons.items), compare_reasons);
	return r;
}

int drop_reasons_load(void)
{
	if (!reasons.loaded) {
		reasons.error = read_reasons();
		/* Without memory or a descriptor, another time may do better. */
		reasons.loaded = reasons.error == 0 || reasons.error == -EOPNOTSUPP;
	}
	return reasons.error;
}

static const char *find_name(uint16_t code)
{
	const struct reason key = {.code = code}, *found;

	if (reasons.n == 0)
		return NULL;
	found = bsearch(&key, reasons.items, reasons.n, sizeof(key), compare_reasons);
	return found ? found->name : NULL;
}

static bool has_name(const char *name)
{
	for (size_t i = 0; i < reasons.n; i++)
		if (strcmp(reasons.items[i].name, name) == 0)
			return true;
	return false;
}

const char *drop_reason_name(uint16_t reason)
{
	static _Thread_local char number[16];
	const char *name = find_name(reason);
	unsigned int subsystem = reason >> DROPS_SUBSYSTEM_SHIFT;

	if (name)
		return name;
	if (reason == DROPS_UNKNOWN_REASON)
		return "OTHER";
	snprintf(number, sizeof(number), "%u",
		 subsystem << 16 | (reason & ((1U << DROPS_SUBSYSTEM_SHIFT) - 1)));
	return number;
}

static const struct {
	const char *name; /* with '*': what begins so */
	uint16_t kind;
	const char *unless; /* not where the kernel has this reason too */
} kinds[] = {
	{"SKB_NOT_DROPPED_YET", DROPS_KIND_NONE},
	{"SKB_CONSUMED", DROPS_KIND_NONE},
	{"NOT_SPECIFIED", DROPS_KIND_VAGUE | DROPS_KIND_TAKEN},
	{"QUEUE_PURGE", DROPS_KIND_VAGUE},
	{"NOMEM", DROPS_KIND_VAGUE},
	{"CPU_BACKLOG", DROPS_KIND_BEFORE},
	{"PACKET_SOCK_ERROR", DROPS_KIND_NONE}, /* of a copy */
	{"SOCKET_FILTER", DROPS_KIND_SOCKET},
	{"SOCKET_RCVBUFF", DROPS_KIND_SOCKET | DROPS_KIND_LOCAL},
	{"FRAG_REASM_TIMEOUT", DROPS_KIND_TREE},
	{"DUP_FRAG", DROPS_KIND_NONE},
	{"TCP_OFO_QUEUE_PRUNE", DROPS_KIND_TREE},
	{"NO_SOCKET", DROPS_KIND_ABSENT | DROPS_KIND_LOCAL},
	{"TCP_OLD_DATA", DROPS_KIND_NONE},
	{"TCP_OFOMERGE", DROPS_KIND_NONE},
	{"TCP_OLD_SEQUENCE", DROPS_KIND_AGAIN},
	{"TCP_INVALID_SYN", DROPS_KIND_AGAIN},
	{"TCP_INVALID_SEQUENCE", DROPS_KIND_BARE, .unless = "TCP_OLD_SEQUENCE"},
	{"TCP_RFC7323_PAWS_ACK", DROPS_KIND_BARE}, /* a later one has overtaken it */
	{"SOCKET_BACKLOG", DROPS_KIND_LOCAL},
	{"TCP_*", DROPS_KIND_LOCAL},
	{"UDP_CSUM", DROPS_KIND_LOCAL},
	{"PROTO_MEM", DROPS_KIND_LOCAL},
	{"OTHERHOST", DROPS_KIND_LOCAL},
	{"UNHANDLED_PROTO", DROPS_KIND_LOCAL},
	{"IP_NOPROTO", DROPS_KIND_LOCAL},
	{"IP_RPFILTER", DROPS_KIND_LOCAL},
	{"IP_INNOROUTES", DROPS_KIND_LOCAL},
	{"TC_EGRESS", DROPS_KIND_DEVICE},
	{"QDISC_*", DROPS_KIND_DEVICE},
	{"FQ_*", DROPS_KIND_DEVICE},
	{"CAKE_*", DROPS_KIND_DEVICE},
	{"DUALPI2_*", DROPS_KIND_DEVICE},
	{"DEV_*", DROPS_KIND_DEVICE},
	{"TAP_*", DROPS_KIND_DEVICE},
	{"VXLAN_*", DROPS_KIND_DEVICE},
	{"TUNNEL_*", DROPS_KIND_DEVICE},
	{"FULL_RING", DROPS_KIND_DEVICE},
	{"HDR_TRUNC", DROPS_KIND_DEVICE},
	{"SKB_GSO_SEG", DROPS_KIND_DEVICE},
	{"NO_TX_TARGET", DROPS_KIND_DEVICE},
};

uint16_t drop_reason_kind(uint16_t reason)
{
	const char *name = find_name(reason);
	uint16_t kind = 0;

	for (size_t i = 0; name && i < ARRAY_SIZE(kinds); i++) {
		const char *wanted = kinds[i].name, *unless = kinds[i].unless;
		size_t length = strlen(wanted);

		if ((wanted[length - 1] == '*' ? strncmp(name, wanted, length - 1) == 0
					       : strcmp(name, wanted) == 0) &&
		    !(unless && has_name(unless)))
			kind |= kinds[i].kind;
	}
	return kind;
}

bool drop_reasons_have_socket(void)
{
	return reasons.has_socket;
}
