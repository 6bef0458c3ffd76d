/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * Counts every connection that crosses the tunnel's interface: one program for each direction, on the
 * interface's ingress and egress, and for each kind of link layer. It counts, and lets every packet pass on
 * to the next program.
 *
 * Exactness rests on three things: the epoch is read once, so that a packet's totals, entry and overflow
 * belong to the same window; a program writes only to its own CPU's memory (flow_table.bpf.h); and what
 * finds no room is counted as overflow.
 */

#include "daemon/bpf/decode.bpf.h"
#include "daemon/bpf/flow_table.bpf.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

enum { PACKET_LOOPBACK = 5 }; /* linux/if_packet.h */

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} epoch SEC(".maps");

/* Set before loading: whether programs on one CPU can preempt each other. */
const volatile bool preemptible = false;

/*
 * The totals that belong to this program alone until it ends. NULL: more programs preempt each other here
 * than there are totals for.
 */
static __always_inline struct flow_totals *take_totals(struct flow_totals *levels, struct flow_key *key)
{
	for (int i = 0; i < FLOW_LEVELS; i++) {
		if (!__sync_val_compare_and_swap(&levels[i].taken, 0, 1)) {
			key->cpu |= i << FLOW_LEVEL_SHIFT;
			return &levels[i];
		}
	}
	return NULL;
}

static __always_inline void leave_totals(struct flow_totals *own)
{
	/* What was written before is for this CPU only, which sees it in order. */
	asm volatile("" ::: "memory");
	*(volatile __u64 *)&own->taken = 0;
}

static __always_inline void add_shared(struct flow_counts *counts, const struct segments *segments,
				       bool received)
{
	if (received) {
		__sync_fetch_and_add(&counts->rx_packets, segments->packets);
		__sync_fetch_and_add(&counts->rx_bytes, segments->bytes);
	} else {
		__sync_fetch_and_add(&counts->tx_packets, segments->packets);
		__sync_fetch_and_add(&counts->tx_bytes, segments->bytes);
	}
}

/* Only for counters that no other program writes meanwhile. */
static __always_inline void add_own(struct flow_counts *counts, const struct segments *segments,
				    bool received)
{
	if (received) {
		counts->rx_packets += segments->packets;
		counts->rx_bytes += segments->bytes;
	} else {
		counts->tx_packets += segments->packets;
		counts->tx_bytes += segments->bytes;
	}
}

static __always_inline int count(struct __sk_buff *skb, bool received, bool ethernet)
{
	struct flow_key key = {};
	struct segments segments;
	struct flow_totals *total;
	__u32 zero = 0, side, *now;

	/* What this machine sends to a group or to all comes back to itself as if received here. */
	if (received && skb->pkt_type == PACKET_LOOPBACK)
		return TC_ACT_UNSPEC;
	decode(skb, ethernet, received, &key, &segments);
	key.cpu = bpf_get_smp_processor_id();

	now = bpf_map_lookup_elem(&epoch, &zero);
	if (!now)
		return TC_ACT_UNSPEC;
	side = *(volatile __u32 *)now & 1;
	total = bpf_map_lookup_elem(&totals, &side);
	if (!total)
		return TC_ACT_UNSPEC;
	if (preemptible) {
		struct flow_totals *shared = &total[FLOW_LEVELS];

		total = take_totals(total, &key);
		if (!total) {
			add_shared(&shared->totals, &segments, received);
			add_shared(&shared->overflow, &segments, received);
			if (flow_details && has_control(&segments))
				__sync_fetch_and_add(&shared->lost_controls, 1);
			return TC_ACT_UNSPEC;
		}
	}
	add_own(&total->totals, &segments, received);
	if (segments.inexact)
		add_own(&total->inexact, &segments, received);
	flow_count(total, side, &key, &segments, received);
	if (preemptible)
		leave_totals(total);
	return TC_ACT_UNSPEC; /* the same number as TCX_NEXT */
}

SEC("tc")
int count_ingress_raw(struct __sk_buff *skb)
{
	return count(skb, true, false);
}

SEC("tc")
int count_ingress_ethernet(struct __sk_buff *skb)
{
	return count(skb, true, true);
}

SEC("tc")
int count_egress_raw(struct __sk_buff *skb)
{
	return count(skb, false, false);
}

SEC("tc")
int count_egress_ethernet(struct __sk_buff *skb)
{
	return count(skb, false, true);
}
