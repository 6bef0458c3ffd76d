/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
#pragma once

/* Where a connection belongs in the tun programs' tables, and whether there is room for one more. */

#include "daemon/bpf/tun_maps.h"

#include <linux/bpf.h>
#include <stdbool.h>

#include <bpf/bpf_helpers.h>

/* Set before loading. */
const volatile __u32 flow_capacity[FLOW_ROOMS] = {16, 16, 16}; /* entries, or notes, of one side */
const volatile __u32 flow_places[FLOW_ROOMS] = {24, 24, 24};   /* for them */
const volatile __u32 flow_seeds[FLOW_SEEDS] = {};
const volatile __u64 pressure_threshold[FLOW_ROOMS] = {
	~0ULL, ~0ULL, ~0ULL}; /* so many, at which to ask for an early extraction */

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, FLOW_SIDES);
	__type(key, __u32);
	__type(value, struct flow_fill);
} fill SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} pressure SEC(".maps");

/* Two words of the key, each with a random one added, multiplied in full. */
static __always_inline __u64 hash_pair(__u32 a, __u32 b, int pair)
{
	return (__u64)(__u32)(a + flow_seeds[2 * pair]) * (__u32)(b + flow_seeds[2 * pair + 1]);
}

/*
 * Of a connection, without the CPU. NH (RFC 4418, section 5.2), so that no sender of packets can cause
 * collisions without knowing the seeds; then spread to all bits.
 */
static __always_inline __u64 hash_flow(const struct flow_key *key)
{
	bool ipv6 = key->family == 6;
	__u64 hash = hash_pair(key->src[ipv6 ? 3 : 0], key->dst[ipv6 ? 3 : 0], 0) +
		     hash_pair((__u32)key->src_port << 16 | key->dst_port,
			       (__u32)key->proto << 8 | key->family, 1);

	for (int i = 0; i < 3 && ipv6; i++)
		hash += hash_pair(key->src[i], key->dst[i], 2 + i);
	hash ^= hash >> 32;
	return hash * 0x9e3779b97f4a7c15ULL;
}

/* Where this CPU's entry of a connection is: each CPU has its own, elsewhere. A note is CPU 0's. */
static __always_inline __u32 place_of(__u64 hash, __u16 cpu, __u32 side, __u32 table)
{
	__u64 at = (__u32)(hash >> 32) ^ cpu * 0x9e3779b9;

	return side * (flow_places[table] + FLOW_TAIL) + (at * flow_places[table] >> 32);
}

/* Room for another entry, or note, of this CPU. */
static __always_inline bool take_room(struct flow_totals *own, __u32 side, __u32 table)
{
	struct flow_fill *filled = bpf_map_lookup_elem(&fill, &side);
	__u64 first, end;

	if (own->block[table].next < own->block[table].end)
		return true;
	/* Read first, so that CPUs that find no room do not contend for it. */
	if (!filled || *(volatile __u64 *)&filled->taken[table] >= flow_capacity[table])
		return false;
	first = __sync_fetch_and_add(&filled->taken[table], FLOW_BLOCK);
	if (first >= flow_capacity[table])
		return false;
	end = first + FLOW_BLOCK;
	own->block[table].next = first;
	own->block[table].end = end < flow_capacity[table] ? end : flow_capacity[table];
	/* With each block, since the daemon may take a request for one side as the other's. */
	if (end >= pressure_threshold[table])
		bpf_ringbuf_output(&pressure, &end, sizeof(end), BPF_RB_FORCE_WAKEUP);
	return true;
}
