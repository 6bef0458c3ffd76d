/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
#pragma once

/*
 * The table of connections that the tun programs count in (tun_maps.h). What a packet costs is the memory
 * that it waits for, so an IPv4 connection is one cache line, at the place that its hash leads to or behind
 * it, and packets are counted in batches: each only notes its connection and its size in a buffer of its CPU,
 * and when the buffer is full, the lines of all are touched before the first is counted, so that their waits
 * overlap. A packet of the same connection as the one before it joins that one's record. What waits in a
 * buffer when its side is left is handed over by the daemon, as entries are.
 *
 * Nanoseconds above an idle program (bench_count, 100,000 connections, medians, one run on a quiet machine):
 *
 *					in turn  at random  trains  heavy-tailed
 *	entries in order of arrival,
 *	found by slots, the entry behind
 *	the last one guessed		     24        309      70           139
 *	in place, each packet by itself     202        176      42            76
 *	batches of 8			     71         69      29            55
 *	batches of 16			     71         66      27            54
 *	batches of 32			     64         61      28            45
 *
 * The guess paid only in an order that no traffic has. Batches of 32 gained nothing on the way through a tun
 * device (130 ns against 135 added to a packet, shuffled). Of 1, 1,000 and 10,000 connections a packet costs
 * 21, 35 and 40 ns, and details 3 to 5 more. Memory in larger pages would not help: a chain of loads over
 * 25 MB waits 167 ns each in pages of 4 KiB, and 157 in pages of 2 MiB.
 *
 * While programs run an entry is made but never removed. It belongs to the CPU that its head names, which
 * made it by changing the head from 0 (compare and swap), and no other CPU reads or writes what follows the
 * head; user space does only when no program uses the side any more (epoch_wait()). So counts are exact
 * without locks: programs run with softirqs off, so none interrupts another on the same CPU; where one may
 * (PREEMPT_RT), each has a part of the CPU's memory and entries of its own (FLOW_LEVELS).
 *
 * On CPUs of any memory order: epoch_wait() is a grace period of RCU, which orders all that the programs
 * wrote before what user space then reads. The other way, user space clears a side before the store that
 * switches to it (a release), and a program's addresses in entries and totals are computed from the epoch
 * that it read, so that it cannot read them first.
 */

#include "daemon/bpf/control_table.bpf.h"
#include "daemon/bpf/flow_place.bpf.h"
#include "daemon/bpf/tun_maps.h"

#include <linux/bpf.h>
#include <linux/in.h>
#include <stdbool.h>

#include <bpf/bpf_helpers.h>

/* Set before loading. */
const volatile bool flow_details = false; /* note them */

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 2); /* set before loading */
	__type(key, __u32);
	__type(value, struct flow_entry);
} entries SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 2); /* set before loading */
	__type(key, __u32);
	__type(value, struct flow_entry6);
} entries6 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, FLOW_SIDES);
	__type(key, __u32);
	__type(value, struct flow_list);
} listed SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, FLOW_SIDES);
	__type(key, __u32);
	__type(value, struct flow_seen);
} seen SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, FLOW_SIDES);
	__type(key, __u32);
	__type(value, struct flow_totals);
} totals SEC(".maps");

static __always_inline bool is_ipv6(union flow_head head)
{
	return head.family == 6;
}

static __always_inline struct flow_entry *entry_at(bool ipv6, __u32 at)
{
	if (ipv6) {
		struct flow_entry6 *entry = bpf_map_lookup_elem(&entries6, &at);

		/* Keeps the compiler from making one lookup of both, in a map that it first chooses: the
		 * verifier replaces a lookup by its code only in a known map. */
		asm volatile("" ::: "memory");
		return entry ? &entry->entry : NULL;
	}
	return bpf_map_lookup_elem(&entries, &at);
}

/* Without a branch for each word, which the verifier would follow one by one. */
static __always_inline bool same_addresses(const union flow_addresses *a, const union flow_addresses *b)
{
	return !((a->words[0] ^ b->words[0]) | (a->words[1] ^ b->words[1]) | (a->words[2] ^ b->words[2]) |
		 (a->words[3] ^ b->words[3]));
}

/* Whether the entry at this place is the record's. */
static __always_inline bool is_of(const struct flow_entry *entry, __u32 place,
				  const struct flow_record *record, const union flow_addresses *addresses,
				  bool ipv6)
{
	const struct flow_entry6 *entry6;

	/* Only what this CPU has claimed is read further. */
	if (entry->head.word != record->head.word || entry->pair != record->pair)
		return false;
	if (!ipv6)
		return true;
	entry6 = bpf_map_lookup_elem(&entries6, &place);
	return entry6 && same_addresses(&entry6->addresses, addresses);
}

static __always_inline void note_place(__u32 side, __u32 table, __u32 number, __u32 place)
{
	struct flow_list *list = bpf_map_lookup_elem(&listed, &side);

	if (list && number < FLOW_LISTED)
		list->places[table][number] = place;
}

/* Fills in an entry that this CPU has claimed. */
static __always_inline void name_entry(struct flow_entry *entry, __u32 place,
				       const struct flow_record *record,
				       const union flow_addresses *addresses, bool ipv6)
{
	struct flow_entry6 *entry6;

	entry->src = record->src;
	entry->dst = record->dst;
	entry->details = record->details;
	if (!ipv6)
		return;
	entry6 = bpf_map_lookup_elem(&entries6, &place);
	if (entry6)
		entry6->addresses = *addresses;
}

/* Makes the record's entry at a free place: place plus 1; 0: another CPU was first; negative: no room. */
static __always_inline int make_entry(struct flow_totals *own, const struct flow_record *record,
				      const union flow_addresses *addresses, __u32 side, __u32 place,
				      bool ipv6)
{
	const __u32 table = ipv6 ? FLOW_TABLE_IPV6 : FLOW_TABLE_IPV4;
	struct flow_entry *entry;

	if (!own || !record || !addresses || !take_room(own, side, table))
		return -1;
	entry = entry_at(ipv6, place);
	if (!entry)
		return -1;
	if (__sync_val_compare_and_swap(&entry->head.word, 0, record->head.word))
		return 0;
	name_entry(entry, place, record, addresses, ipv6);
	note_place(side, table, own->block[table].next++, place);
	return place + 1;
}

/*
 * Global functions, so that the verifier checks each by itself: otherwise it would walk all that follows a
 * loop from every round.
 */
__noinline int make_ipv4(struct flow_totals *own, const struct flow_record *record,
			 const union flow_addresses *addresses, __u32 side, __u32 place)
{
	return make_entry(own, record, addresses, side, place, false);
}

__noinline int make_ipv6(struct flow_totals *own, const struct flow_record *record,
			 const union flow_addresses *addresses, __u32 side, __u32 place)
{
	return make_entry(own, record, addresses, side, place, true);
}

/* The place of the record's entry, made if there is none, plus 1; 0 or less without room. */
static __always_inline int find_entry(struct flow_totals *own, const struct flow_record *record,
				      const union flow_addresses *addresses, __u32 side, bool ipv6)
{
	__u32 place;

	if (!own || !record || !addresses)
		return 0;
	place = record->place;
	for (int i = 0; i < FLOW_PROBES; i++) {
		struct flow_entry *entry = entry_at(ipv6, place);

		if (!entry)
			return 0;
		if (!*(volatile __u64 *)&entry->head.word) {
			int made = ipv6 ? make_ipv6(own, record, addresses, side, place)
					: make_ipv4(own, record, addresses, side, place);

			if (made)
				return made;
		} else if (is_of(entry, place, record, addresses, ipv6)) {
			return place + 1;
		}
		place++;
	}
	return 0;
}

__noinline int find_ipv4(struct flow_totals *own, const struct flow_record *record,
			 const union flow_addresses *addresses, __u32 side)
{
	return find_entry(own, record, addresses, side, false);
}

__noinline int find_ipv6(struct flow_totals *own, const struct flow_record *record,
			 const union flow_addresses *addresses, __u32 side)
{
	return find_entry(own, record, addresses, side, true);
}

static __always_inline void add_record(struct flow_counts *counts, const struct flow_record *record)
{
	counts->tx_packets += record->tx_packets;
	counts->tx_bytes += record->tx_bytes;
	counts->rx_packets += record->rx_packets;
	counts->rx_bytes += record->rx_bytes;
}

static __always_inline void count_record(struct flow_totals *own, const struct flow_record *record,
					 const union flow_addresses *addresses, __u32 side, bool ipv6)
{
	struct flow_entry *entry = entry_at(ipv6, record->place);

	if (entry && !is_of(entry, record->place, record, addresses, ipv6)) {
		int place = ipv6 ? find_ipv6(own, record, addresses, side)
				 : find_ipv4(own, record, addresses, side);

		entry = place > 0 ? entry_at(ipv6, place - 1) : NULL;
	}
	if (entry && flow_details) {
		entry->details.tx_flags |= record->details.tx_flags;
		entry->details.rx_flags |= record->details.rx_flags;
		if (record->control)
			entry->control = record->control;
	}
	add_record(entry ? &entry->counts : &own->overflow, record);
}

/*
 * Counts the records of a full batch. First it touches the line of each, so that the waits for memory
 * overlap.
 */
__noinline int count_batch(struct flow_totals *own, __u32 side)
{
	if (!own || side >= FLOW_SIDES)
		return 0;
	for (__u32 i = 0; i < FLOW_BATCH; i++) {
		const struct flow_record *record = &own->batch[i];
		struct flow_entry *entry = entry_at(is_ipv6(record->head), record->place);

		if (entry)
			(void)*(volatile __u64 *)&entry->head.word;
	}
	for (__u32 i = 0; i < FLOW_BATCH; i++) {
		const struct flow_record *record = &own->batch[i];

		if (is_ipv6(record->head))
			count_record(own, record, &own->addresses[i], side, true);
		else
			count_record(own, record, &own->addresses[i], side, false);
	}
	own->n = 0;
	return 0;
}

static __always_inline void add_packets(struct flow_record *record, const struct segments *segments,
					bool received)
{
	if (received)
		record->details.rx_flags |= segments->tcp_flags;
	else
		record->details.tx_flags |= segments->tcp_flags;
	if (received) {
		record->rx_packets += segments->packets;
		record->rx_bytes += segments->bytes;
	} else {
		record->tx_packets += segments->packets;
		record->tx_bytes += segments->bytes;
	}
}

/* Whether the record has room for the bytes of another packet: it is far larger than a packet can be. */
static __always_inline bool has_room(const struct flow_record *record)
{
	return !((record->tx_bytes | record->rx_bytes) >> 31);
}

/* Whether no CPU has seen the connection with this hash on this side before. */
static __always_inline bool is_first(__u32 side, __u64 hash)
{
	struct flow_seen *bits = bpf_map_lookup_elem(&seen, &side);
	const __u64 bit = 1ULL << (hash & 63);
	__u64 *word;

	if (!bits)
		return false;
	word = &bits->words[(hash >> 6) & (FLOW_SEEN_BITS / 64 - 1)];
	return !(*(volatile __u64 *)word & bit) && !(__sync_fetch_and_or(word, bit) & bit);
}

static __always_inline bool has_control(const struct segments *segments)
{
	return segments->tcp_flags & (CONTROL_SYN | CONTROL_FIN | CONTROL_RST);
}

static __always_inline union flow_head make_head(const struct flow_key *key)
{
	return (union flow_head){
		.src_port = key->src_port,
		.dst_port = key->dst_port,
		.cpu = key->cpu,
		.proto = key->proto,
		.family = key->family ? key->family : FLOW_NO_ADDRESSES,
	};
}

/* A record of the first of its packets; the next one of a batch. */
static __always_inline void begin_record(struct flow_record *record, const struct flow_key *key, __u32 side,
					 bool received)
{
	bool ipv6 = key->family == 6;
	__u64 hash = hash_flow(key);

	*record = (struct flow_record){
		.head = make_head(key),
		.src = key->src[ipv6 ? 3 : 0],
		.dst = key->dst[ipv6 ? 3 : 0],
		.place = ipv6 ? place_of(hash, key->cpu, side, FLOW_TABLE_IPV6)
			      : place_of(hash, key->cpu, side, FLOW_TABLE_IPV4),
	};
	/* TCP tells by its flags who began. */
	if (flow_details && key->proto != IPPROTO_TCP) {
		record->details.first_received = received;
		record->details.first_of_all = is_first(side, hash);
	}
}

/* Whether a packet may join a record: that is of its connection, and has room. */
static __always_inline bool joins(const struct flow_record *record, const union flow_addresses *addresses,
				  const struct flow_key *key)
{
	bool ipv6 = key->family == 6;

	return record->head.word == make_head(key).word && record->src == key->src[ipv6 ? 3 : 0] &&
	       record->dst == key->dst[ipv6 ? 3 : 0] && has_room(record) &&
	       (!ipv6 || same_addresses(addresses, (const union flow_addresses *)key));
}

/* Puts a packet into the CPU's batch, and counts the batch when it is full. */
static __always_inline void flow_count(struct flow_totals *own, __u32 side, const struct flow_key *key,
				       const struct segments *segments, bool received)
{
	__u64 n = own->n, last = (n - 1) & (FLOW_BATCH - 1);
	__u32 control = 0;

	if (flow_details && has_control(segments))
		control =
			note_control(own, key, side, segments->tcp_flags | received << 8, segments->tcp_seq);
	/* Packets come in trains of one connection. */
	if (n && joins(&own->batch[last], &own->addresses[last], key)) {
		add_packets(&own->batch[last], segments, received);
		if (control)
			own->batch[last].control = control;
		return;
	}
	if (n >= FLOW_BATCH) {
		count_batch(own, side);
		n = 0;
	}
	/* The compiler knows n's bounds; Linux 6.1 forgets them where n has been on the stack. */
	asm volatile("" : "+r"(n));
	n &= FLOW_BATCH - 1;
	if (key->family == 6)
		own->addresses[n] = *(const union flow_addresses *)key;
	begin_record(&own->batch[n], key, side, received);
	add_packets(&own->batch[n], segments, received);
	own->batch[n].control = control;
	own->n = n + 1;
}
