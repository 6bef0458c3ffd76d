/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Empties the tun programs' table. It reads and clears the arrays as mapped memory, one part at a time: this
 * needs neither a system call for each entry nor the whole table in this process's memory. Blocks that no CPU
 * has taken since the last drain are not read.
 */

#include "daemon/device/tun_drain.h"

#include "common/cleanup.h"
#include "daemon/bpf/tun.skel.h"
#include "daemon/device/flow_key.h"

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#define FEW	 512	    /* entries; up to here, clearing single slots costs less than clearing all */
#define VIEW_MAX (1U << 20) /* bytes of a map to map at once: they count as this process's memory */

static void add_counts(struct counts *sum, const struct flow_counts *counts)
{
	counts_add(sum, &(struct counts){.tx_packets = counts->tx_packets,
					 .tx_bytes = counts->tx_bytes,
					 .rx_packets = counts->rx_packets,
					 .rx_bytes = counts->rx_bytes});
}

/* A part of a map, mapped. */
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

static int drain_entries(const struct tun_drain *drain, unsigned int side, uint64_t taken,
			 struct flows *flows)
{
	const uint64_t in_view = VIEW_MAX / sizeof(struct flow_entry);
	struct flow_entry *entries;
	int r;

	/* Room first: counts that have left the map must not be lost. */
	r = flows_reserve(flows, taken);
	if (r < 0)
		return r;
	for (uint64_t i = 0; i < taken; i += in_view) {
		_cleanup_(view_deinit) struct view view = {};
		uint64_t n = MIN(in_view, taken - i);

		r = view_init(&view, drain->entries,
			      (side * (uint64_t)drain->capacity + i) * sizeof(struct flow_entry),
			      n * sizeof(struct flow_entry));
		if (r < 0)
			return r;
		entries = view.data;
		for (uint64_t j = 0; j < n; j++) {
			struct flow *flow = &flows->items[flows->n];

			/* The unused rest of a block, or handed over before a failure. */
			if (entries[j].counts.tx_packets == 0 && entries[j].counts.rx_packets == 0)
				continue;
			flow_key_read(&entries[j].key, &flow->connection);
			flow->counts = (struct counts){};
			add_counts(&flow->counts, &entries[j].counts);
			entries[j].counts = (struct flow_counts){};
			flows->n++;
		}
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
	/* Counted only once they are gone from the map, so never twice. */
	if (bpf_map_update_elem(fd, &side, zero, BPF_ANY))
		return -errno;
	for (int i = 0; i < cpus; i++) {
		add_counts(&extraction->totals, &totals[i].totals);
		add_counts(&extraction->overflow, &totals[i].overflow);
		add_counts(&extraction->inexact, &totals[i].inexact);
	}
	return 0;
}

/* Clears the lines that few entries use, which costs less than clearing the whole map. */
static int clear_few_slots(const struct tun_drain *drain, unsigned int side, uint64_t taken)
{
	_cleanup_(view_deinit) struct view view = {};
	const struct flow_line empty = {};
	const struct flow_entry *entries;
	int r;

	r = view_init(&view, drain->entries, side * (uint64_t)drain->capacity * sizeof(struct flow_entry),
		      taken * sizeof(struct flow_entry));
	if (r < 0)
		return r;
	entries = view.data;
	for (uint64_t i = 0; i < taken; i++) {
		uint32_t at = ((side << drain->slot_bits) + entries[i].slot) / FLOW_LINE;

		if (bpf_map_update_elem(drain->slots, &at, &empty, BPF_ANY))
			return -errno;
	}
	return 0;
}

static int clear_slots(const struct tun_drain *drain, unsigned int side)
{
	const uint64_t bytes = sizeof(uint32_t) << drain->slot_bits;

	for (uint64_t at = 0; at < bytes; at += VIEW_MAX) {
		_cleanup_(view_deinit) struct view view = {};
		size_t n = (size_t)MIN((uint64_t)VIEW_MAX, bytes - at);
		int r = view_init(&view, drain->slots, side * bytes + at, n);

		if (r < 0)
			return r;
		memset(view.data, 0, n);
	}
	return 0;
}

/*
 * First the counts go, then the slots, then the CPUs' blocks, and last the number of entries taken. After a
 * failure in between the side still works: entries keep their place, and the next drain finds what programs
 * add to them.
 */
int tun_drain_side(struct tun_drain *drain, unsigned int side, struct extraction *extraction)
{
	struct counts *handed_over = &drain->handed_over[side];
	size_t first = extraction->flows.n;
	struct flow_fill fill;
	uint64_t taken;
	int r;

	if (bpf_map_lookup_elem(drain->fill, &side, &fill))
		return -errno;
	taken = MIN(fill.taken, (uint64_t)drain->capacity);
	r = drain_entries(drain, side, taken, &extraction->flows);
	if (r == 0 && taken > 0)
		r = taken <= FEW ? clear_few_slots(drain, side, taken) : clear_slots(drain, side);
	if (r == 0)
		r = drain_totals(drain->totals, side, extraction);
	if (r < 0) {
		for (size_t i = first; i < extraction->flows.n; i++) {
			counts_add(handed_over, &extraction->flows.items[i].counts);
			counts_add(&extraction->totals, &extraction->flows.items[i].counts);
		}
		return r;
	}
	extraction->totals = counts_difference(&extraction->totals, handed_over);
	*handed_over = (struct counts){};
	if (taken == 0)
		return 0;
	fill.taken = 0;
	return bpf_map_update_elem(drain->fill, &side, &fill, BPF_ANY) ? -errno : 0;
}

int tun_drain_prepare(struct tun *programs, uint32_t max_entries)
{
	/* CPUs leave part of their last block unused. */
	const uint64_t rests = (uint64_t)FLOW_BLOCK * (uint64_t)MAX(libbpf_num_possible_cpus(), 1);
	uint64_t capacity = max_entries + rests;
	unsigned int bits = 4; /* a line */
	int r;

	/* Twice the entries, so that runs of taken slots are short, with the rests of blocks. */
	while (1ULL << bits < MAX(2ULL * max_entries, capacity + capacity / 2))
		bits++;
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
	r = bpf_map__set_max_entries(programs->maps.entries, (uint32_t)(FLOW_SIDES * capacity));
	if (r == 0)
		r = bpf_map__set_max_entries(programs->maps.slots,
					     (uint32_t)((FLOW_SIDES << bits) / FLOW_LINE));
	return r;
}

void tun_drain_init(struct tun_drain *drain, const struct tun *programs)
{
	*drain = (struct tun_drain){
		.entries = bpf_map__fd(programs->maps.entries),
		.slots = bpf_map__fd(programs->maps.slots),
		.totals = bpf_map__fd(programs->maps.totals),
		.fill = bpf_map__fd(programs->maps.fill),
		.capacity = programs->rodata->flow_capacity,
		.slot_bits = programs->rodata->flow_slot_bits,
	};
}
