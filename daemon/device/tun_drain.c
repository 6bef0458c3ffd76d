/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Empties the tun programs' table. It reads and clears the arrays as mapped memory, one part at a time: this
 * needs neither a system call for each entry nor the whole table in this process's memory. Blocks that no CPU
 * has taken since the last drain are not read.
 */

#include "daemon/device/tun_drain.h"

#include "common/cleanup.h"
#include "common/time_text.h"
#include "daemon/bpf/tun.skel.h"
#include "daemon/device/control_details.h"
#include "daemon/device/flow_key.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#define MAP_MAX	 (1ULL << 32) /* bytes: a place's number and more must fit 31 bits */
#define CONTROLS 4096	      /* to take at once; more than share a bucket */
#define VIEW_MAX (1U << 20)   /* bytes of a map to map at once: they count as this process's memory */
#define STEP	 1024	      /* places between two looks whether there is room for their flows */

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
			  const union flow_addresses *addresses)
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

/* What is noted beside counts. Parts of a drain have one time, but for the first packet of all. */
static void add_details(const struct tun_drain *drain, const union flow_head *head,
			const struct flow_details *noted, struct details *details)
{
	if (!drain->details)
		return;
	details->tx_flags = noted->tx_flags;
	details->rx_flags = noted->rx_flags;
	if (head->proto == IPPROTO_TCP)
		return;
	details->first_time = drain->time << 1 | !noted->first_of_all;
	details->bits = DETAILS_HAS_FIRST | (noted->first_received ? DETAILS_FIRST_RECEIVED : 0);
}

/* Moves an entry; there is room for it. */
static void move_entry(const struct tun_drain *drain, struct flow_entry *entry,
		       const union flow_addresses *addresses, struct flows *flows)
{
	struct flow *flow;

	if (entry->head.word == 0)
		return;
	flow = add_flow(flows, &entry->head);
	set_addresses(flow, &entry->head, entry->src, entry->dst, addresses);
	add_counts(&flow->counts, &entry->counts);
	add_details(drain, &entry->head, &entry->details, &flow->details);
	memset(entry, 0, sizeof(*entry));
}

static size_t entry_size(enum flow_table table)
{
	return table == FLOW_TABLE_IPV6 ? sizeof(struct flow_entry6) : sizeof(struct flow_entry);
}

static void move_at(const struct tun_drain *drain, void *data, enum flow_table table, uint64_t i,
		    struct flows *flows)
{
	if (table == FLOW_TABLE_IPV6) {
		struct flow_entry6 *entry = &((struct flow_entry6 *)data)[i];

		move_entry(drain, &entry->entry, &entry->addresses, flows);
	} else {
		move_entry(drain, &((struct flow_entry *)data)[i], NULL, flows);
	}
}

/* All places of a side, one part after the other. */
static int drain_all(const struct tun_drain *drain, unsigned int side, enum flow_table table,
		     struct extraction *extraction)
{
	const size_t size = entry_size(table);
	const uint64_t in_view = VIEW_MAX / size, places = drain->places[table];

	for (uint64_t i = 0; i < places; i += in_view) {
		_cleanup_(view_deinit) struct view view = {};
		uint64_t n = MIN(in_view, places - i);
		int r = view_init(&view, drain->entries[table], (side * places + i) * size, n * size);

		if (r < 0)
			return r;
		for (uint64_t j = 0; j < n; j++) {
			/* Room first: counts that have left the map must not be lost. */
			if (j % STEP == 0)
				r = extraction_reserve(extraction, STEP);
			if (r < 0)
				return r;
			move_at(drain, view.data, table, j, &extraction->flows);
		}
	}
	return 0;
}

/* The places that are listed: no more than so many. */
static int drain_listed(const struct tun_drain *drain, unsigned int side, enum flow_table table, uint64_t n,
			struct extraction *extraction)
{
	const size_t size = entry_size(table);
	const uint64_t places = drain->places[table];
	_cleanup_(view_deinit) struct view view = {}, list = {};
	const uint32_t *listed;
	int r;

	r = view_init(&list, drain->listed, side * sizeof(struct flow_list), sizeof(struct flow_list));
	if (r == 0)
		r = view_init(&view, drain->entries[table], side * places * size, places * size);
	if (r == 0)
		r = extraction_reserve(extraction, n);
	if (r < 0)
		return r;
	listed = ((const struct flow_list *)list.data)->places[table];
	for (uint64_t i = 0; i < n; i++)
		if (listed[i] - side * places < places)
			move_at(drain, view.data, table, listed[i] - side * places, &extraction->flows);
	return 0;
}

static int drain_entries(const struct tun_drain *drain, unsigned int side, enum flow_table table,
			 uint64_t taken, struct extraction *extraction)
{
	if (taken == 0)
		return 0;
	if (taken <= FLOW_LISTED)
		return drain_listed(drain, side, table, taken, extraction);
	return drain_all(drain, side, table, extraction);
}

/* What waits in a CPU's batch; there is room for it. */
static void add_batch(const struct tun_drain *drain, const struct flow_totals *own, struct flows *flows)
{
	for (uint64_t i = 0; i < MIN(own->n, (uint64_t)FLOW_BATCH); i++) {
		const struct flow_record *record = &own->batch[i];
		struct flow *flow = add_flow(flows, &record->head);

		set_addresses(flow, &record->head, record->src, record->dst, &own->addresses[i]);
		flow->counts = (struct counts){record->tx_packets, record->tx_bytes, record->rx_packets,
					       record->rx_bytes};
		add_details(drain, &record->head, &record->details, &flow->details);
	}
}

/* Packets of a side that may have left notes: all, and TCP's SYN, FIN and RST. */
struct noted {
	uint64_t packets, controls;
};

static int drain_totals(const struct tun_drain *drain, unsigned int side, struct extraction *extraction,
			struct noted *ret_noted)
{
	_cleanup_free_ struct flow_totals *totals = NULL, *zero = NULL;
	int cpus = libbpf_num_possible_cpus();
	size_t n;

	if (cpus < 0)
		return cpus;
	n = (size_t)cpus * drain->levels;
	totals = calloc(n, sizeof(*totals));
	zero = calloc(n, sizeof(*zero));
	if (!totals || !zero || extraction_reserve(extraction, n * FLOW_BATCH) < 0)
		return -ENOMEM;
	if (bpf_map_lookup_elem(drain->totals, &side, totals))
		return -errno;
	/* Counted only once they are gone from the map, so never twice. */
	if (bpf_map_update_elem(drain->totals, &side, zero, BPF_ANY))
		return -errno;
	for (size_t i = 0; i < n; i++) {
		add_counts(&extraction->totals, &totals[i].totals);
		add_counts(&extraction->overflow, &totals[i].overflow);
		add_counts(&extraction->inexact, &totals[i].inexact);
		add_batch(drain, &totals[i], &extraction->flows);
		ret_noted->packets += totals[i].totals.tx_packets + totals[i].totals.rx_packets;
		ret_noted->controls += totals[i].controls;
		extraction->lost_details += totals[i].lost_controls;
	}
	return 0;
}

/* Takes the notes of a batch of TCP connections. */
static void add_controls(const struct flow_key *keys, const struct flow_control *controls, size_t n,
			 struct extraction *extraction)
{
	if (extraction_reserve(extraction, n) < 0) {
		extraction->lost_details += n;
		return;
	}
	for (size_t i = 0; i < n; i++) {
		struct flow *flow = &extraction->flows.items[extraction->flows.n++];

		*flow = (struct flow){};
		flow_key_read(&keys[i], &flow->connection);
		control_details(&controls[i], &flow->details);
	}
}

/* Details cost no counts: what fails here is told as lost. */
static void drain_controls(int fd, uint64_t most, struct extraction *extraction)
{
	_cleanup_free_ struct flow_control *controls = malloc(CONTROLS * sizeof(*controls));
	_cleanup_free_ struct flow_key *keys = malloc(CONTROLS * sizeof(*keys));
	LIBBPF_OPTS(bpf_map_batch_opts, options);
	uint32_t place, *from = NULL, n;
	int r = 0;

	if (!keys || !controls) {
		extraction->lost_details += most;
		return;
	}
	while (r == 0) {
		n = CONTROLS;
		r = bpf_map_lookup_and_delete_batch(fd, from, &place, keys, controls, &n, &options);
		from = &place;
		/* ENOENT: these were the last ones. */
		if (r == 0 || errno == ENOENT)
			add_controls(keys, controls, n, extraction);
		else
			extraction->lost_details++;
	}
}

static void clear_seen(const struct tun_drain *drain, unsigned int side)
{
	_cleanup_(view_deinit) struct view view = {};

	if (view_init(&view, drain->seen, side * sizeof(struct flow_seen), sizeof(struct flow_seen)) == 0)
		memset(view.data, 0, sizeof(struct flow_seen));
}

/* Of all flows so far. */
static struct counts sum_of(const struct extraction *extraction)
{
	struct counts sum = extraction->taken;

	for (size_t i = 0; i < extraction->flows.n; i++)
		counts_add(&sum, &extraction->flows.items[i].counts);
	return sum;
}

/*
 * First the counts go, then the slots, then the CPUs' blocks, and last the number of entries taken. After a
 * failure in between the side still works: entries keep their place, and the next drain finds what programs
 * add to them.
 */
int tun_drain_side(struct tun_drain *drain, unsigned int side, struct extraction *extraction)
{
	struct counts *handed_over = &drain->handed_over[side], before = sum_of(extraction), moved;
	struct flow_fill fill;
	struct noted noted = {};
	uint64_t taken = 0;
	int r = 0;

	drain->time = (uint32_t)(time_now_boot() / NSEC_PER_MSEC);
	if (bpf_map_lookup_elem(drain->fill, &side, &fill))
		return -errno;
	for (unsigned int table = 0; table < FLOW_TABLES && r == 0; table++) {
		uint64_t n = MIN(fill.taken[table], (uint64_t)drain->capacity[table]);

		taken += n;
		r = drain_entries(drain, side, (enum flow_table)table, n, extraction);
	}
	if (r == 0)
		r = drain_totals(drain, side, extraction, &noted);
	if (r < 0) {
		moved = sum_of(extraction);
		moved = counts_difference(&moved, &before);
		counts_add(handed_over, &moved);
		counts_add(&extraction->totals, &moved);
		return r;
	}
	extraction->totals = counts_difference(&extraction->totals, handed_over);
	*handed_over = (struct counts){};
	if (noted.controls > 0)
		drain_controls(drain->controls[side], noted.controls, extraction);
	if (drain->details && noted.packets > 0)
		clear_seen(drain, side);
	if (taken == 0)
		return 0;
	fill = (struct flow_fill){};
	return bpf_map_update_elem(drain->fill, &side, &fill, BPF_ANY) ? -errno : 0;
}

static size_t levels_of(const struct tun *programs)
{
	return programs->rodata->preemptible ? FLOW_LEVELS + 1 : 1;
}

int tun_drain_prepare(struct tun *programs, uint32_t max_entries, bool details)
{
	uint64_t rests, places;
	int r;

	r = bpf_map__set_value_size(programs->maps.totals,
				    (uint32_t)(levels_of(programs) * sizeof(struct flow_totals)));
	if (r < 0)
		return r;
	/* CPUs, and levels on each, leave part of their last block unused. */
	rests = FLOW_BLOCK * (programs->rodata->preemptible ? FLOW_LEVELS : 1) *
		(uint64_t)MAX(libbpf_num_possible_cpus(), 1);
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
	programs->rodata->flow_details = details;
	if (details) {
		r = bpf_map__set_max_entries(programs->maps.controls0, max_entries);
		r = r ?: bpf_map__set_max_entries(programs->maps.controls1, max_entries);
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
		.controls = {bpf_map__fd(programs->maps.controls0), bpf_map__fd(programs->maps.controls1)},
		.seen = bpf_map__fd(programs->maps.seen),
		.details = programs->rodata->flow_details,
		.levels = levels_of(programs),
	};
	for (unsigned int table = 0; table < FLOW_TABLES; table++) {
		drain->capacity[table] = programs->rodata->flow_capacity[table];
		drain->places[table] = programs->rodata->flow_places[table] + FLOW_TAIL;
	}
}
