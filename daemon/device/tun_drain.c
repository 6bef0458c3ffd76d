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
#include "daemon/device/map_view.h"
#include "daemon/device/notes.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/random.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#define MAP_MAX	 (1ULL << 32) /* bytes: a place's number and more must fit 31 bits */
#define VIEW_MAX (1U << 20)   /* bytes of a map to map at once: they count as this process's memory */
#define STEP	 1024	      /* places between two looks whether there is room for their flows */

static void add_counts(struct counts *sum, const struct flow_counts *counts)
{
	counts_add(sum, &(struct counts){.tx_packets = counts->tx_packets,
					 .tx_bytes = counts->tx_bytes,
					 .rx_packets = counts->rx_packets,
					 .rx_bytes = counts->rx_bytes});
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

/* `control`: the note's place plus 1; 0: there is none. */
static void take_note(struct tun_drain *drain, uint32_t control, const union flow_head *head, uint32_t src,
		      uint32_t dst, const union flow_addresses *addresses, struct details *details)
{
	struct flow_key key = {
		.src = {src},
		.dst = {dst},
		.src_port = head->src_port,
		.dst_port = head->dst_port,
		.family = head->family,
	};

	if (control == 0)
		return;
	if (head->family == 6) {
		memcpy(key.src, addresses->src, sizeof(key.src));
		memcpy(key.dst, addresses->dst, sizeof(key.dst));
	}
	notes_take(&drain->notes, control - 1, &key, details);
}

/* Moves an entry; there is room for it. */
static void move_entry(struct tun_drain *drain, struct flow_entry *entry,
		       const union flow_addresses *addresses, struct flows *flows)
{
	struct flow *flow;

	if (entry->head.word == 0)
		return;
	flow = add_flow(flows, &entry->head);
	set_addresses(flow, &entry->head, entry->src, entry->dst, addresses);
	add_counts(&flow->counts, &entry->counts);
	add_details(drain, &entry->head, &entry->details, &flow->details);
	take_note(drain, entry->control, &entry->head, entry->src, entry->dst, addresses, &flow->details);
	memset(entry, 0, sizeof(*entry));
}

static size_t entry_size(enum flow_table table)
{
	return table == FLOW_TABLE_IPV6 ? sizeof(struct flow_entry6) : sizeof(struct flow_entry);
}

static void move_at(struct tun_drain *drain, void *data, enum flow_table table, uint64_t i,
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
static int drain_all(struct tun_drain *drain, unsigned int side, enum flow_table table,
		     struct extraction *extraction)
{
	const size_t size = entry_size(table);
	const uint64_t in_view = VIEW_MAX / size, places = drain->places[table];

	for (uint64_t i = 0; i < places; i += in_view) {
		_cleanup_(map_view_deinit) struct map_view view = {};
		uint64_t n = MIN(in_view, places - i);
		int r = map_view_init(&view, drain->entries[table], (side * places + i) * size, n * size);

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
static int drain_listed(struct tun_drain *drain, unsigned int side, enum flow_table table, uint64_t n,
			struct extraction *extraction)
{
	const size_t size = entry_size(table);
	const uint64_t places = drain->places[table];
	_cleanup_(map_view_deinit) struct map_view view = {}, list = {};
	const uint32_t *listed;
	int r;

	r = map_view_init(&list, drain->listed, side * sizeof(struct flow_list), sizeof(struct flow_list));
	if (r == 0)
		r = map_view_init(&view, drain->entries[table], side * places * size, places * size);
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

static int drain_entries(struct tun_drain *drain, unsigned int side, enum flow_table table, uint64_t taken,
			 struct extraction *extraction)
{
	if (taken == 0)
		return 0;
	if (taken <= FLOW_LISTED)
		return drain_listed(drain, side, table, taken, extraction);
	return drain_all(drain, side, table, extraction);
}

/* What waits in a CPU's batch; there is room for it. */
static void add_batch(struct tun_drain *drain, const struct flow_totals *own, struct flows *flows)
{
	for (uint64_t i = 0; i < MIN(own->n, (uint64_t)FLOW_BATCH); i++) {
		const struct flow_record *record = &own->batch[i];
		struct flow *flow = add_flow(flows, &record->head);

		set_addresses(flow, &record->head, record->src, record->dst, &own->addresses[i]);
		flow->counts = (struct counts){record->tx_packets, record->tx_bytes, record->rx_packets,
					       record->rx_bytes};
		add_details(drain, &record->head, &record->details, &flow->details);
		take_note(drain, record->control, &record->head, record->src, record->dst, &own->addresses[i],
			  &flow->details);
	}
}

/* Packets of a side, and those of them that found no entry. */
struct side_packets {
	uint64_t all, overflow;
};

static uint64_t packets_of(const struct flow_counts *counts)
{
	return counts->tx_packets + counts->rx_packets;
}

static int drain_totals(struct tun_drain *drain, unsigned int side, struct extraction *extraction,
			struct side_packets *ret_packets)
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
		extraction->lost_details += totals[i].lost_controls;
		ret_packets->all += packets_of(&totals[i].totals);
		ret_packets->overflow += packets_of(&totals[i].overflow);
	}
	return 0;
}

static void clear_seen(const struct tun_drain *drain, unsigned int side)
{
	_cleanup_(map_view_deinit) struct map_view view = {};

	if (map_view_init(&view, drain->seen, side * sizeof(struct flow_seen), sizeof(struct flow_seen)) == 0)
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

static int map_notes(struct tun_drain *drain, unsigned int side, uint64_t taken)
{
	drain->notes = (struct notes){};
	if (taken == 0)
		return 0;
	return notes_init(&drain->notes, drain->notes_map, side * drain->places[FLOW_NOTES],
			  drain->places[FLOW_NOTES]);
}

/*
 * First the counts go, and with each entry its note, then the slots, then the CPUs' blocks, and last the
 * number of entries taken. After a failure in between the side still works: entries keep their place, and the
 * next drain finds what programs add to them. Notes of entries that stay go alone, as do those of packets
 * that found no room for an entry.
 */
int tun_drain_side(struct tun_drain *drain, unsigned int side, struct extraction *extraction)
{
	struct counts *handed_over = &drain->handed_over[side], before = sum_of(extraction), moved;
	struct flow_fill fill;
	struct side_packets packets = {};
	uint64_t taken = 0;
	int r;

	drain->time = (uint32_t)(time_now_boot() / NSEC_PER_MSEC);
	if (bpf_map_lookup_elem(drain->fill, &side, &fill))
		return -errno;
	taken = fill.taken[FLOW_NOTES];
	r = map_notes(drain, side, taken);
	for (unsigned int table = 0; table < FLOW_TABLES && r == 0; table++) {
		uint64_t n = MIN(fill.taken[table], (uint64_t)drain->capacity[table]);

		taken += n;
		r = drain_entries(drain, side, (enum flow_table)table, n, extraction);
	}
	if (r == 0)
		r = drain_totals(drain, side, extraction, &packets);
	if (r < 0 || packets.overflow > 0)
		notes_take_rest(&drain->notes, extraction);
	notes_deinit(&drain->notes);
	if (r < 0) {
		moved = sum_of(extraction);
		moved = counts_difference(&moved, &before);
		counts_add(handed_over, &moved);
		counts_add(&extraction->totals, &moved);
		return r;
	}
	extraction->totals = counts_difference(&extraction->totals, handed_over);
	*handed_over = (struct counts){};
	if (drain->details && packets.all > 0)
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

/* Makes room for so many, and for those that stay unused in the CPUs' last blocks. */
static int set_room(struct tun *programs, unsigned int table, struct bpf_map *map, uint64_t wanted,
		    uint64_t threshold)
{
	/* CPUs, and levels on each, leave part of their last block unused. */
	const uint64_t rests = FLOW_BLOCK * (programs->rodata->preemptible ? FLOW_LEVELS : 1) *
			       (uint64_t)MAX(libbpf_num_possible_cpus(), 1);
	const uint64_t capacity = wanted + rests;
	/* At most two thirds are taken, so that searches are short. */
	const uint64_t places = capacity + capacity / 2;

	if (FLOW_SIDES * (places + FLOW_TAIL) > MAP_MAX / bpf_map__value_size(map))
		return -ENOMEM;
	programs->rodata->flow_capacity[table] = (uint32_t)capacity;
	programs->rodata->flow_places[table] = (uint32_t)places;
	programs->rodata->pressure_threshold[table] = threshold + rests;
	return bpf_map__set_max_entries(map, (uint32_t)(FLOW_SIDES * (places + FLOW_TAIL)));
}

int tun_drain_prepare(struct tun *programs, uint32_t max_entries, uint32_t max_notes)
{
	const uint64_t max_ipv6 = MAX(max_entries / 2, 1);
	int r;

	r = bpf_map__set_value_size(programs->maps.totals,
				    (uint32_t)(levels_of(programs) * sizeof(struct flow_totals)));
	if (r == 0)
		r = set_room(programs, FLOW_TABLE_IPV4, programs->maps.entries, max_entries,
			     (uint64_t)max_entries * 3 / 4);
	if (r == 0)
		r = set_room(programs, FLOW_TABLE_IPV6, programs->maps.entries6, max_ipv6, max_ipv6 * 3 / 4);
	/* Later, since no counts are lost for want of notes. */
	if (r == 0 && max_notes > 0)
		r = set_room(programs, FLOW_NOTES, programs->maps.notes, max_notes,
			     (uint64_t)max_notes * 7 / 8);
	if (r < 0)
		return r;
	programs->rodata->flow_details = max_notes > 0;
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
		.notes_map = bpf_map__fd(programs->maps.notes),
		.seen = bpf_map__fd(programs->maps.seen),
		.details = programs->rodata->flow_details,
		.levels = levels_of(programs),
	};
	for (unsigned int table = 0; table < FLOW_ROOMS; table++) {
		drain->capacity[table] = programs->rodata->flow_capacity[table];
		drain->places[table] = programs->rodata->flow_places[table] + FLOW_TAIL;
	}
}
