/*
 * Counts every connection that crosses the tunnel's interface: one program for each direction, on the
 * interface's ingress and egress. It reads a packet's headers where they lie, counts, and lets every packet
 * pass on to whatever program comes next.
 *
 * Exactness rests on three things: the epoch is read once, so that a packet's totals, entry and overflow
 * belong to the same window; an insert that fails looks again, since another program may have inserted
 * the same connection meanwhile; and what finds no room is counted as overflow.
 */

#include "daemon/bpf/decode.bpf.h"
#include "daemon/bpf/flow_map.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Entries at which an early extraction is asked for, and from which on again; set before loading. */
const volatile __u64 pressure_threshold = ~0ULL;
/* How often again: a power of two less one. */
const volatile __u64 pressure_mask = ~0ULL;

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} epoch SEC(".maps");

struct flow_map {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 2); /* set before loading */
	__type(key, struct flow_key);
	__type(value, struct flow_counts);
};

struct flow_map flows_0 SEC(".maps"), flows_1 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, FLOW_SIDES);
	__type(key, __u32);
	__type(value, struct flow_totals);
} totals SEC(".maps");

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

/* For counters of this CPU alone: neither program can interrupt the other, both run with softirqs off. */
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

static __always_inline void note_insert(__u32 side)
{
	struct flow_fill *filled = bpf_map_lookup_elem(&fill, &side);
	__u64 inserted;

	if (!filled)
		return;
	__sync_fetch_and_add(&filled->inserted, 1);
	/* Again, since CPUs that insert at once may step over any one number, and since what is asked for one
	 * side may be taken for the other's. */
	inserted = *(volatile __u64 *)&filled->inserted;
	if (inserted == pressure_threshold || (inserted > pressure_threshold && !(inserted & pressure_mask)))
		bpf_ringbuf_output(&pressure, &inserted, sizeof(inserted), BPF_RB_FORCE_WAKEUP);
}

static __always_inline void add_flow(struct flow_map *flows, __u32 side, const struct flow_key *key,
				     struct flow_totals *total, const struct segments *segments,
				     bool received)
{
	struct flow_counts *counts = bpf_map_lookup_elem(flows, key);
	struct flow_counts first = {};

	if (!counts) {
		add_own(&first, segments, received);
		if (!bpf_map_update_elem(flows, key, &first, BPF_NOEXIST)) {
			note_insert(side);
			return;
		}
		counts = bpf_map_lookup_elem(flows, key);
	}
	if (counts)
		add_shared(counts, segments, received);
	else
		add_own(&total->overflow, segments, received);
}

static __always_inline int count(struct __sk_buff *skb, bool received)
{
	struct flow_key key = {};
	struct segments segments;
	struct flow_totals *total;
	__u32 zero = 0, side, *now;

	decode(skb, received, &key, &segments);
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
	/* Each branch names its map, so that the lookup is compiled in. */
	if (side)
		add_flow(&flows_1, 1, &key, total, &segments, received);
	else
		add_flow(&flows_0, 0, &key, total, &segments, received);
	return TC_ACT_UNSPEC; /* the same number as TCX_NEXT */
}

SEC("tc")
int count_ingress(struct __sk_buff *skb)
{
	return count(skb, true);
}

SEC("tc")
int count_egress(struct __sk_buff *skb)
{
	return count(skb, false);
}
