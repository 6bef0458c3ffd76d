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

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} epoch SEC(".maps");

/* Only for counters of this CPU: neither program can interrupt the other, since softirqs are off. */
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

	decode(skb, ethernet, received, &key, &segments);
	key.cpu = bpf_get_smp_processor_id();

	now = bpf_map_lookup_elem(&epoch, &zero);
	if (!now)
		return TC_ACT_UNSPEC;
	side = *(volatile __u32 *)now & 1;
	total = bpf_map_lookup_elem(&totals, &side);
	if (!total)
		return TC_ACT_UNSPEC;
	add_own(&total->totals, &segments, received);
	if (segments.inexact)
		add_own(&total->inexact, &segments, received);
	flow_count(total, side, &key, &segments, received);
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
