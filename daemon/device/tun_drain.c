/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Emptying the tun programs' table. Its arrays are read and cleared as memory, a part in view at a time, so
 * that neither a call for each entry nor the whole table in this process's memory is needed. What was not
 * taken since the last time is not looked at.
 */

#include "daemon/device/tun_drain.h"

#include "common/cleanup.h"
#include "daemon/bpf/tun.skel.h"
#include "daemon/device/flow_key.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#define FEW	 512	    /* entries; below, clearing single slots costs less than clearing all */
#define VIEW_MAX (1U << 20) /* bytes of a map in view at once: they count as this process's memory */

static void counts_from_kernel(const struct flow_counts *counts, struct counts *sum)
{
	counts_add(sum, &(struct counts){.tx_packets = counts->tx_packets,
					 .tx_bytes = counts->tx_bytes,
					 .rx_packets = counts->rx_packets,
					 .rx_bytes = counts->rx_bytes});
}

/* A part of a map, as memory. */
struct view {
	void *pages;
	size_t length;
	void *data;
};

static void view_deinit(struct view *view)
{
	if (view->pages)
		munmap(view->pages, view->length);
}

/* Bytes from `first` on; the map must be BPF_F_MMAPABLE. */
static int view_init(struct view *view, int fd, uint64_t first, size_t length)
{
	size_t before = (size_t)(first % (uint64_t)sysconf(_SC_PAGESIZE));
	void *pages =
		mmap(NULL, before + length, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)(first - before));

	if (pages == MAP_FAILED)
		return -errno;
	*view = (struct view){pages, before + length, (uint8_t *)pages + before};
	return 0;
}

/* A block's unused rest, and what was handed over before a failure, have no counts. */
static void hand_over(struct flow_entry *entries, size_t n, struct flows *flows)
{
	for (size_t i = 0; i < n; i++) {
		struct flow_entry *entry = &entries[i];
		struct flow *flow = &flows->items[flows->n];

		if (entry->counts.tx_packets == 0 && entry->counts.rx_packets == 0)
			continue;
		flow_key_read(&entry->key, &flow->connection);
		flow->counts = (struct counts){};
		counts_from_kernel(&entry->counts, &flow->counts);
		entry->counts = (struct flow_counts){};
		flows->n++;
	}
}

static int drain_entries(const struct tun_maps *maps, unsigned int side, uint64_t taken, struct flows *flows)
{
	const uint64_t at_once = VIEW_MAX / sizeof(struct flow_entry);
	int error;

	/* Room first: what has left the map must not be lost. */
	error = flows_reserve(flows, taken);
	if (error < 0)
		return error;
	for (uint64_t i = 0; i < taken; i += at_once) {
		_cleanup_(view_deinit) struct view view = {};
		uint64_t n = MIN(at_once, taken - i);

		error = view_init(&view, maps->entries,
				  (side * (uint64_t)maps->capacity + i) * sizeof(struct flow_entry),
				  n * sizeof(struct flow_entry));
		if (error < 0)
			return error;
		hand_over(view.data, n, flows);
	}
	return 0;
}

static int drain_totals(int fd, unsigned int side, struct extraction *extraction)
{
	_cleanup_free_ struct flow_totals *totals = NULL, *zero = NULL;
	int cpus = libbpf_num_possible_cpus();

	if (cpus < 0)
		return cpus;
	totals = calloc((size_t)cpus, sizeof(*totals));
	zero = calloc((size_t)cpus, sizeof(*zero));
	if (!totals || !zero)
		return -ENOMEM;
	if (bpf_map_lookup_elem(fd, &side, totals))
		return -errno;
	/* Counted only when they are gone from there, so never twice. */
	if (bpf_map_update_elem(fd, &side, zero, BPF_ANY))
		return -errno;
	for (int i = 0; i < cpus; i++) {
		counts_from_kernel(&totals[i].totals, &extraction->totals);
		counts_from_kernel(&totals[i].overflow, &extraction->overflow);
		counts_from_kernel(&totals[i].inexact, &extraction->inexact);
	}
	return 0;
}

/* The slots of few entries, each by its line: less than to clear all memory of the map. */
static int clear_few_slots(const struct tun_maps *maps, unsigned int side, uint64_t taken)
{
	_cleanup_(view_deinit) struct view view = {};
	const struct flow_line empty = {};
	const struct flow_entry *entries;
	int error;

	error = view_init(&view, maps->entries, side * (uint64_t)maps->capacity * sizeof(struct flow_entry),
			  taken * sizeof(struct flow_entry));
	if (error < 0)
		return error;
	entries = view.data;
	for (uint64_t i = 0; i < taken; i++) {
		uint32_t at = ((side << maps->slot_bits) + entries[i].slot) / FLOW_LINE;

		if (bpf_map_update_elem(maps->slots, &at, &empty, BPF_ANY))
			return -errno;
	}
	return 0;
}

static int clear_slots(const struct tun_maps *maps, unsigned int side)
{
	const uint64_t bytes = sizeof(uint32_t) << maps->slot_bits;

	for (uint64_t at = 0; at < bytes; at += VIEW_MAX) {
		_cleanup_(view_deinit) struct view view = {};
		size_t n = (size_t)MIN((uint64_t)VIEW_MAX, bytes - at);
		int error = view_init(&view, maps->slots, side * bytes + at, n);

		if (error < 0)
			return error;
		memset(view.data, 0, n);
	}
	return 0;
}

/*
 * First the counts go, then the slots, then the CPUs' blocks, at last the mark of how many were taken. After
 * a failure in between the side is as good as before: entries keep their place, and what programs add to them
 * is found the next time.
 */
int tun_drain(struct tun_maps *maps, unsigned int side, struct extraction *extraction)
{
	struct counts *handed_over = &maps->handed_over[side];
	size_t first = extraction->flows.n;
	struct flow_fill fill;
	uint64_t taken;
	int error;

	if (bpf_map_lookup_elem(maps->fill, &side, &fill))
		return -errno;
	taken = MIN(fill.taken, (uint64_t)maps->capacity);
	error = drain_entries(maps, side, taken, &extraction->flows);
	if (error == 0 && taken > 0)
		error = taken <= FEW ? clear_few_slots(maps, side, taken) : clear_slots(maps, side);
	if (error == 0)
		error = drain_totals(maps->totals, side, extraction);
	if (error < 0) {
		for (size_t i = first; i < extraction->flows.n; i++) {
			counts_add(handed_over, &extraction->flows.items[i].counts);
			counts_add(&extraction->totals, &extraction->flows.items[i].counts);
		}
		return error;
	}
	extraction->totals = counts_difference(&extraction->totals, handed_over);
	*handed_over = (struct counts){};
	if (taken == 0)
		return 0;
	fill.taken = 0;
	return bpf_map_update_elem(maps->fill, &side, &fill, BPF_ANY) ? -errno : 0;
}

/* A power of two: twice the entries, so that runs of taken slots are short, with the rests of blocks. */
static unsigned int slot_bits_for(uint64_t max_entries, uint64_t capacity)
{
	unsigned int bits = 4; /* a line */

	while (1ULL << bits < MAX(2 * max_entries, capacity + capacity / 2))
		bits++;
	return bits;
}

int tun_maps_prepare(struct tun *programs, uint32_t max_entries)
{
	/* CPUs leave part of their last block unused. */
	const uint64_t rests = (uint64_t)FLOW_BLOCK * (uint64_t)MAX(libbpf_num_possible_cpus(), 1);
	uint64_t capacity = max_entries + rests;
	unsigned int bits = slot_bits_for(max_entries, capacity);
	int error;

	/* A slot must have bits for the hash beside those for the number. */
	if (bits > 28)
		return -ENOMEM;
	programs->rodata->flow_capacity = (uint32_t)capacity;
	programs->rodata->flow_slot_bits = bits;
	programs->rodata->flow_number_bits = bits;
	programs->rodata->pressure_threshold = (uint64_t)max_entries * 3 / 4 + rests;
	if (getrandom((void *)programs->rodata->flow_seeds, sizeof(programs->rodata->flow_seeds), 0) !=
	    sizeof(programs->rodata->flow_seeds))
		return -EIO;
	error = bpf_map__set_max_entries(programs->maps.entries, (uint32_t)(FLOW_SIDES * capacity));
	if (error == 0)
		error = bpf_map__set_max_entries(programs->maps.slots,
						 (uint32_t)((FLOW_SIDES << bits) / FLOW_LINE));
	return error;
}

struct tun_maps tun_maps_of(const struct tun *programs)
{
	return (struct tun_maps){
		.entries = bpf_map__fd(programs->maps.entries),
		.slots = bpf_map__fd(programs->maps.slots),
		.totals = bpf_map__fd(programs->maps.totals),
		.fill = bpf_map__fd(programs->maps.fill),
		.capacity = programs->rodata->flow_capacity,
		.slot_bits = programs->rodata->flow_slot_bits,
	};
}

uint64_t map_memory(int fd)
{
	_cleanup_fclose_ FILE *file = NULL;
	unsigned long long bytes = 0;
	char path[40], line[128];

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	file = fopen(path, "re");
	if (!file)
		return 0;
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, "memlock: %llu", &bytes) == 1)
			break;
	return bytes;
}
