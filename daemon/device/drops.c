/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Loading, and draining the side that the last flip of the epoch left behind. The sums are counted apart from
 * the entries and before them, so each extraction checks one against the other.
 */

#include "daemon/device/drops.h"

#include "daemon/bpf/drops.skel.h"
#include "daemon/bpf/drops_maps.h"
#include "daemon/device/device.h"
#include "daemon/device/drop_reasons.h"
#include "daemon/device/epoch.h"
#include "daemon/device/flow_key.h"
#include "daemon/device/map_memory.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71 /* Linux 5.14, newer than some headers */
#endif

/* Entries read with one call. */
#define BATCH 1024

struct drops_counter {
	struct epoch *epoch; /* borrowed */
	struct drops *programs;
	int cpus;
	uint64_t reasons[2][DROPS_REASONS]; /* packets: sent, received */
	struct drops_info info;
	/* Of each side: packets that were handed over before an extraction failed. */
	uint64_t handed_over[FLOW_SIDES];
};

/* What the map holds, as it was read. */
struct entry {
	struct drops_key key;
	uint64_t packets;
	bool syn; /* one of them was a SYN without ACK */
};

static int read_namespace(uint64_t *ret_cookie)
{
	_cleanup_close_ int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	socklen_t length = sizeof(*ret_cookie);

	if (fd < 0 || getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, ret_cookie, &length) < 0)
		return -errno;
	return 0;
}

static int load(struct drops_counter *drops)
{
	struct drops *programs = drops__open();
	uint64_t cookie;
	int r = programs ? read_namespace(&cookie) : -errno;
	struct bpf_map *map;

	drops->programs = programs;
	if (r < 0)
		return r;
	programs->rodata->drops_namespace = cookie;
	programs->rodata->drops_has_socket = drop_reasons_have_socket();
	for (uint16_t i = 0; i < DROPS_OTHER_REASON; i++)
		((uint16_t *)programs->rodata->drops_kinds)[i] = drop_reason_kind(i);
	r = bpf_map__reuse_fd(programs->maps.epoch, epoch_map_fd(drops->epoch));
	if (r == 0)
		r = drops__load(programs);
	/* Fail now, not when counting starts, if the program cannot be attached. */
	if (r == 0)
		r = drops__attach(programs);
	if (r < 0)
		return r;
	drops__detach(programs);
	bpf_object__for_each_map(map, programs->obj) drops->info.memory += map_memory(bpf_map__fd(map));
	return 0;
}

static const char *explain(int r)
{
	switch (r) {
	case -EPERM:
	case -EACCES:
		return "tracing drops needs CAP_BPF and CAP_PERFMON, and a kernel that is not locked down";
	case -EOPNOTSUPP:
		return "the kernel gives no reasons for drops (it is older than 5.17)";
	case -ENOENT:
	case -ESRCH:
		return "the program cannot be loaded";
	}
	return "the kernel rejected the program for drops";
}

int drops_new(struct epoch *epoch, struct drops_counter **ret_drops, char **ret_reason)
{
	_cleanup_(drops_freep) struct drops_counter *drops = NULL;
	int r = epoch ? 0 : -EPERM;

	if (r == 0)
		r = drop_reasons_load();
	if (r == -ENOENT) /* as libbpf says it of a program */
		r = -ESRCH;
	if (r == 0) {
		drops = calloc(1, sizeof(*drops));
		r = drops ? 0 : -ENOMEM;
	}
	if (r == 0) {
		drops->epoch = epoch;
		drops->cpus = libbpf_num_possible_cpus();
		r = drops->cpus < 0 ? drops->cpus : load(drops);
	}
	if (r < 0)
		return device_explain(r, explain(r), ret_reason);
	*ret_drops = TAKE_PTR(drops);
	return 0;
}

void drops_free(struct drops_counter *drops)
{
	if (!drops)
		return;
	drops__destroy(drops->programs);
	free(drops);
}

int drops_watch(struct drops_counter *drops, unsigned int ifindex)
{
	volatile uint32_t *device = &drops->programs->bss->drops_device;
	unsigned int before = *device;
	int r = 0;

	*device = ifindex;
	if (ifindex && !before)
		r = drops__attach(drops->programs);
	if (r < 0)
		*device = before;
	if (!ifindex && before) {
		drops__detach(drops->programs);
		epoch_synchronize(drops->epoch);
	}
	return r;
}

/* ---- extraction ------------------------------------------------------------------------------------ */

/* Takes a side's entries out of its map; what was taken before an error is in the list. */
static int take_entries(int map, struct entry **ret_entries, size_t *ret_n)
{
	struct drops_key *keys = calloc(BATCH, sizeof(*keys));
	uint64_t *packets = calloc(BATCH, sizeof(*packets));
	struct entry *entries = NULL;
	size_t n = 0;
	uint32_t place[16], *from = NULL; /* where the next batch begins: the kernel's */
	int r = keys && packets ? 0 : -ENOMEM;

	while (r == 0) {
		uint32_t count = BATCH;
		/* Room first: what has left the map must not be lost. */
		struct entry *larger = reallocarray(entries, n + BATCH, sizeof(*entries));

		if (!larger) {
			r = -ENOMEM;
			break;
		}
		entries = larger;
		r = bpf_map_lookup_and_delete_batch(map, from, place, keys, packets, &count, NULL);
		if (r < 0 && r != -ENOENT)
			break;
		for (uint32_t i = 0; i < count; i++)
			entries[n++] =
				(struct entry){keys[i], packets[i] & ~DROPS_SYN, packets[i] & DROPS_SYN};
		from = place;
	}
	free(keys);
	free(packets);
	*ret_entries = entries;
	*ret_n = n;
	return r == -ENOENT ? 0 : r; /* the end of the map */
}

/* By connection; of one connection the reasons in order. */
static int compare_entries(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;
	int order = memcmp(&x->key.flow, &y->key.flow, sizeof(x->key.flow));

	return order ? order : (int)x->key.reason - (int)y->key.reason;
}

static void add_saturated(uint32_t *sum, uint64_t packets)
{
	*sum = packets > UINT32_MAX - *sum ? UINT32_MAX : *sum + (uint32_t)packets;
}

/* A flow for each connection; there is room for them. */
static void add_flows(struct flows *flows, const struct entry *entries, size_t n)
{
	uint64_t of_reason = 0, most = 0;
	struct details *details = NULL;

	for (size_t i = 0; i < n; i++) {
		const struct entry *entry = &entries[i];

		if (i == 0 || memcmp(&entry[-1].key.flow, &entry->key.flow, sizeof(entry->key.flow)) != 0) {
			struct flow *flow = &flows->items[flows->n++];

			*flow = (struct flow){};
			flow_key_read(&entry->key.flow, &flow->connection);
			details = &flow->details;
			of_reason = most = 0;
		} else if (entry[-1].key.reason != entry->key.reason) {
			of_reason = 0;
		}
		of_reason += entry->packets;
		if (of_reason > most) {
			most = of_reason;
			details->drop_reason = entry->key.reason;
		}
		if (entry->syn)
			details->bits |=
				entry->key.received ? DETAILS_DST_SYN_DROPPED : DETAILS_SRC_SYN_DROPPED;
		add_saturated(entry->key.received ? &details->rx_drops : &details->tx_drops, entry->packets);
	}
}

/* Adds a side's sums to ours and clears them. */
static int take_sums(struct drops_counter *drops, uint32_t side, uint64_t *ret_packets,
		     uint64_t *ret_overflow)
{
	int map = bpf_map__fd(drops->programs->maps.totals);
	_cleanup_free_ struct drops_totals *sums = calloc((size_t)drops->cpus, sizeof(*sums));
	_cleanup_free_ struct drops_totals *zero = calloc((size_t)drops->cpus, sizeof(*zero));

	*ret_packets = *ret_overflow = 0;
	if (!sums || !zero)
		return -ENOMEM;
	if (bpf_map_lookup_elem(map, &side, sums) < 0 || bpf_map_update_elem(map, &side, zero, BPF_ANY) < 0)
		return -errno;
	for (int cpu = 0; cpu < drops->cpus; cpu++) {
		for (size_t way = 0; way < 2; way++) {
			for (size_t i = 0; i < DROPS_REASONS; i++) {
				uint64_t packets = sums[cpu].packets[way][i];

				drops->reasons[way][i] += packets;
				*(way ? &drops->info.rx : &drops->info.tx) += packets;
				*ret_packets += packets;
			}
			*ret_overflow += sums[cpu].overflow[way];
		}
		drops->info.unplaced += sums[cpu].unplaced;
	}
	drops->info.overflow += *ret_overflow;
	return 0;
}

static int extract_side(struct drops_counter *drops, uint32_t side, struct flows *flows)
{
	const struct bpf_map *map = side ? drops->programs->maps.drops_1 : drops->programs->maps.drops_0;
	_cleanup_free_ struct entry *entries = NULL;
	uint64_t counted, overflow;
	size_t n = 0;
	int r = take_entries(bpf_map__fd(map), &entries, &n), failed;

	for (size_t i = 0; i < n; i++)
		drops->handed_over[side] += entries[i].packets;
	if (n > 0) {
		qsort(entries, n, sizeof(*entries), compare_entries);
		failed = flows_reserve(flows, n);
		if (failed == 0)
			add_flows(flows, entries, n);
		r = r < 0 ? r : failed;
	}
	if (r == 0)
		r = take_sums(drops, side, &counted, &overflow);
	if (r < 0)
		return r;
	if (counted != drops->handed_over[side] + overflow)
		r = -EIO;
	drops->handed_over[side] = 0;
	return r;
}

int drops_extract(struct drops_counter *drops, struct flows *flows)
{
	struct bpf_prog_info program = {};
	uint32_t size = sizeof(program);
	int r = epoch_wait(drops->epoch);

	if (r == 0)
		r = extract_side(drops, epoch_old_side(drops->epoch), flows);
	drops->info.failures += r < 0;
	if (bpf_obj_get_info_by_fd(bpf_program__fd(drops->programs->progs.count_drop), &program, &size) == 0)
		drops->info.missed = program.recursion_misses;
	return r;
}

/* ---- what it says ---------------------------------------------------------------------------------- */

void drops_get_info(const struct drops_counter *drops, struct drops_info *ret_info)
{
	*ret_info = drops->info;
}

void drops_foreach_reason(const struct drops_counter *drops,
			  void (*reason)(const char *name, uint64_t tx, uint64_t rx, void *userdata),
			  void *userdata)
{
	for (uint16_t i = 0; i < DROPS_REASONS; i++)
		if (drops->reasons[0][i] || drops->reasons[1][i])
			reason(i == DROPS_OTHER_REASON ? "OTHER" : drop_reason_name(i), drops->reasons[0][i],
			       drops->reasons[1][i], userdata);
}
