/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Empties the tun programs' table. It reads and clears the arrays as mapped memory, one part at a time: this
 * needs neither a system call for each entry nor the whole table in this process's memory. Blocks that no CPU
 * has taken since the last drain are not read.
 */

#include "daemon/device/tun_drain.h"

#include "common/cleanup.h"
#include "daemon/bpf/tun.skel.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#define MAP_MAX	 (1ULL << 32) /* bytes: a place's number and more must fit 31 bits */
#define VIEW_MAX (1U << 20)   /* bytes of a map to map at once: they count as this process's memory */

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

static struct flow *add_flow(struct flows *flows, const union flow_head *head)
{
	struct flow *flow = &flows->items[flows->n++];

	*flow = (struct flow){
		.connection =
			{
				.proto = head->proto,
				.src.port = ntohs(head->src_port),
				.dst.port = ntohs(head->dst_port),
			},
	};
	return flow;
}

static void set_addresses(struct flow *flow, const union flow_head *head, uint32_t src, uint32_t dst,
			  const struct flow_addresses *addresses)
{
	struct connection *connection = &flow->connection;

	if (head->family == 4) {
		connection->src.address = address_ipv4((const uint8_t *)&src);
		connection->dst.address = address_ipv4((const uint8_t *)&dst);
	} else if (head->family == 6) {
		connection->src.address = address_ipv6((const uint8_t *)addresses->src);
		connection->dst.address = address_ipv6((const uint8_t *)addresses->dst);
	}
}

/* Moves an entry; there is room for it. */
static void move_entry(struct flow_entry *entry, const struct flow_addresses *addresses, struct flows *flows)
{
	struct flow *flow;

	if (entry->head.word == 0)
		return;
	flow = add_flow(flows, &entry->head);
	set_addresses(flow, &entry->head, entry->src, entry->dst, addresses);
	add_counts(&flow->counts, &entry->counts);
	memset(entry, 0, sizeof(*entry));
}

static size_t entry_size(enum flow_table table)
{
	return table == FLOW_TABLE_IPV6 ? sizeof(struct flow_entry6) : sizeof(struct flow_entry);
}

static void move_at(void *data, enum flow_table table, uint64_t i, struct flows *flows)
{
	if (table == FLOW_TABLE_IPV6) {
		struct flow_entry6 *entry = &((struct flow_entry6 *)data)[i];

		move_entry(&entry->entry, &entry->addresses, flows);
	} else {
		move_entry(&((struct flow_entry *)data)[i], NULL, flows);
	}
}

/* All places of a side, one part after the other. */
static int drain_all(const struct tun_drain *drain, unsigned int side, enum flow_table table,
		     struct flows *flows)
{
	const size_t size = entry_size(table);
	const uint64_t in_view = VIEW_MAX / size, places = drain->places[table];

	for (uint64_t i = 0; i < places; i += in_view) {
		_cleanup_(view_deinit) struct view view = {};
		uint64_t n = MIN(in_view, places - i);
		int r = view_init(&view, drain->entries[table], (side * places + i) * size, n * size);

		if (r < 0)
			return r;
		for (uint64_t j = 0; j < n; j++)
			move_at(view.data, table, j, flows);
	}
	return 0;
}

/* The places that are listed: no more than so many. */
static int drain_listed(const struct tun_drain *drain, unsigned int side, enum flow_table table, uint64_t n,
			struct flows *flows)
{
	const size_t size = entry_size(table);
	const uint64_t places = drain->places[table];
	_cleanup_(view_deinit) struct view view = {}, list = {};
	const uint32_t *listed;
	int r;

	r = view_init(&list, drain->listed, side * sizeof(struct flow_list), sizeof(struct flow_list));
	if (r == 0)
		r = view_init(&view, drain->entries[table], side * places * size, places * size);
	if (r < 0)
		return r;
	listed = ((const struct flow_list *)list.data)->places[table];
	for (uint64_t i = 0; i < n; i++)
		if (listed[i] - side * places < places)
			move_at(view.data, table, listed[i] - side * places, flows);
	return 0;
}

static int drain_entries(const struct tun_drain *drain, unsigned int side, enum flow_table table,
			 uint64_t taken, struct flows *flows)
{
	/* Room first: counts that have left the map must not be lost. */
	int r = flows_reserve(flows, taken);

	if (r < 0 || taken == 0)
		return r;
	if (taken <= FLOW_LISTED)
		return drain_listed(drain, side, table, taken, flows);
	return drain_all(drain, side, table, flows);
}

/* What waits in a CPU's batch; there is room for it. */
static void add_batch(const struct flow_totals *own, struct flows *flows)
{
	for (uint64_t i = 0; i < MIN(own->n, (uint64_t)FLOW_BATCH); i++) {
		const struct flow_record *record = &own->batch[i];
		struct flow *flow = add_flow(flows, &record->head);

		set_addresses(flow, &record->head, record->src, record->dst, &own->addresses[i]);
		flow->counts = (struct counts){record->tx_packets, record->tx_bytes, record->rx_packets,
					       record->rx_bytes};
	}
}

static int drain_totals(int fd, unsigned int side, struct extraction *extraction)
{
	_cleanup_free_ struct flow_totals *totals = NULL, *zero = NULL;
	int cpus = libbpf_num_possible_cpus();

	if (cpus < 0)
		return cpus;
	totals = calloc((size_t)cpus, sizeof(*totals));
	zero = calloc((size_t)cpus, sizeof(*zero));
	if (!totals || !zero || flows_reserve(&extraction->flows, (size_t)cpus * FLOW_BATCH) < 0)
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
		add_batch(&totals[i], &extraction->flows);
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
	uint64_t taken = 0;
	int r = 0;

	if (bpf_map_lookup_elem(drain->fill, &side, &fill))
		return -errno;
	for (unsigned int table = 0; table < FLOW_TABLES && r == 0; table++) {
		uint64_t n = MIN(fill.taken[table], (uint64_t)drain->capacity[table]);

		taken += n;
		r = drain_entries(drain, side, (enum flow_table)table, n, &extraction->flows);
	}
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
	fill = (struct flow_fill){};
	return bpf_map_update_elem(drain->fill, &side, &fill, BPF_ANY) ? -errno : 0;
}

int tun_drain_prepare(struct tun *programs, uint32_t max_entries)
{
	/* CPUs leave part of their last block unused. */
	const uint64_t rests = (uint64_t)FLOW_BLOCK * (uint64_t)MAX(libbpf_num_possible_cpus(), 1);
	uint64_t places;
	int r;

	for (unsigned int table = 0; table < FLOW_TABLES; table++) {
		const uint64_t wanted = table == FLOW_TABLE_IPV6 ? MAX(max_entries / 2, 1) : max_entries;
		const uint64_t capacity = wanted + rests;

		/* At most two thirds are taken, so that searches are short. */
		places = capacity + capacity / 2;
		if (FLOW_SIDES * (places + FLOW_TAIL) > MAP_MAX / entry_size((enum flow_table)table))
			return -ENOMEM;
		programs->rodata->flow_capacity[table] = (uint32_t)capacity;
		programs->rodata->flow_places[table] = (uint32_t)places;
		programs->rodata->pressure_threshold[table] = wanted * 3 / 4 + rests;
		r = bpf_map__set_max_entries(table == FLOW_TABLE_IPV6 ? programs->maps.entries6
								      : programs->maps.entries,
					     (uint32_t)(FLOW_SIDES * (places + FLOW_TAIL)));
		if (r < 0)
			return r;
	}
	if (getrandom((void *)programs->rodata->flow_seeds, sizeof(programs->rodata->flow_seeds), 0) !=
	    sizeof(programs->rodata->flow_seeds))
		return -EIO;
	return 0;
}

void tun_drain_init(struct tun_drain *drain, const struct tun *programs)
{
	*drain = (struct tun_drain){
		.entries = {bpf_map__fd(programs->maps.entries), bpf_map__fd(programs->maps.entries6)},
		.listed = bpf_map__fd(programs->maps.listed),
		.totals = bpf_map__fd(programs->maps.totals),
		.fill = bpf_map__fd(programs->maps.fill),
	};
	for (unsigned int table = 0; table < FLOW_TABLES; table++) {
		drain->capacity[table] = programs->rodata->flow_capacity[table];
		drain->places[table] = programs->rodata->flow_places[table] + FLOW_TAIL;
	}
}
