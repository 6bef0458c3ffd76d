/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * Counts the tunnel's own datagrams on the devices of the underlay, by the peer's endpoint. Entries are of
 * three kinds, in maps of their own, so that no sender can use up the room of the peers:
 *
 * - `known`: the peers' endpoints. The daemon inserts them; this program only adds to their counts.
 * - unknown peers, in `received` and `sent`: datagrams of the tunnel's port from or to any other endpoint. A
 *   peer that has just moved is among them: the daemon recognises it at the window's end.
 * - `others`: datagrams of another port from or to a known endpoint, and datagrams to the tunnel's port at an
 *   address that is not known to be the machine's. If at the window's end that is the tunnel's new port, or a
 *   new address, they were the tunnel's; else they do not count. (This misses a peer that moves in the same
 *   window in which the tunnel gets a new port, until that window ends.)
 *
 * If a datagram comes in IP fragments, the first one counts for all of it (its UDP header has the length),
 * and the later ones do not count.
 */

#include "daemon/bpf/decode.bpf.h"
#include "daemon/bpf/physical_maps.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

enum { PACKET_OTHERHOST = 3 };

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} epoch SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct underlay_settings);
} settings SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, UNDERLAY_DEVICES);
	__type(key, __u32);
	__type(value, struct underlay_device);
} devices SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, UNDERLAY_LOCALS);
	__type(key, struct underlay_local);
	__type(value, __u8);
} locals SEC(".maps");

/* Only the daemon creates entries, so none are preallocated. */
struct known_map {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, 2); /* set before loading */
	__type(key, struct underlay_remote);
	__type(value, struct flow_counts);
};

struct unknown_peer_map {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, UNDERLAY_UNKNOWN_PEERS);
	__type(key, struct underlay_unknown_peer);
	__type(value, struct flow_counts);
};

struct known_map known_0 SEC(".maps"), known_1 SEC(".maps");
struct unknown_peer_map received_0 SEC(".maps"), received_1 SEC(".maps");
struct unknown_peer_map sent_0 SEC(".maps"), sent_1 SEC(".maps");
struct unknown_peer_map others_0 SEC(".maps"), others_1 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, FLOW_SIDES);
	__type(key, __u32);
	__type(value, struct underlay_totals);
} totals SEC(".maps");

/* The tunnel's datagrams in one packet. */
struct datagrams {
	struct flow_key key; /* its src is the local end, its dst the remote one */
	__u64 packets;
	__u64 bytes;
	__u32 device; /* index */
	bool received;
};

/* Set before loading: whether programs on one CPU can preempt each other (daemon/device/preemption.h). */
const volatile bool preemptible = false;

/* Only where no other program writes meanwhile. */
static __always_inline void add_own(struct flow_counts *counts, const struct datagrams *datagrams)
{
	if (datagrams->received) {
		counts->rx_packets += datagrams->packets;
		counts->rx_bytes += datagrams->bytes;
	} else {
		counts->tx_packets += datagrams->packets;
		counts->tx_bytes += datagrams->bytes;
	}
}

static __always_inline void add_shared(struct flow_counts *counts, const struct datagrams *datagrams)
{
	if (datagrams->received) {
		__sync_fetch_and_add(&counts->rx_packets, datagrams->packets);
		__sync_fetch_and_add(&counts->rx_bytes, datagrams->bytes);
	} else {
		__sync_fetch_and_add(&counts->tx_packets, datagrams->packets);
		__sync_fetch_and_add(&counts->tx_bytes, datagrams->bytes);
	}
}

/* To counts of this CPU. */
static __always_inline void add_cpus(struct flow_counts *counts, const struct datagrams *datagrams)
{
	if (preemptible)
		add_shared(counts, datagrams);
	else
		add_own(counts, datagrams);
}

static __always_inline void note_largest(struct underlay_totals *total, const struct datagrams *datagrams)
{
	/* Once, but where other programs note theirs meanwhile. */
	for (int i = 0; i < 8; i++) {
		__u64 largest = *(volatile __u64 *)&total->largest;

		if (!datagrams->received || datagrams->bytes <= largest)
			return;
		if (!preemptible)
			total->largest = datagrams->bytes;
		else
			__sync_val_compare_and_swap(&total->largest, largest, datagrams->bytes);
	}
}

/* False when the map is full. */
static __always_inline bool add_unknown_peer(struct unknown_peer_map *map,
					     const struct underlay_unknown_peer *key,
					     const struct datagrams *datagrams)
{
	struct flow_counts *counts = bpf_map_lookup_elem(map, key);
	struct flow_counts first = {};

	if (!counts) {
		add_own(&first, datagrams);
		if (!bpf_map_update_elem(map, key, &first, BPF_NOEXIST))
			return true;
		counts = bpf_map_lookup_elem(map, key);
		if (!counts)
			return false;
	}
	add_shared(counts, datagrams);
	return true;
}

static __always_inline bool is_local(const struct flow_key *key)
{
	struct underlay_local local = {.family = key->family};

	__builtin_memcpy(local.address, key->src, sizeof(local.address));
	return bpf_map_lookup_elem(&locals, &local) != NULL;
}

/* Whether a frame belongs to this device, and not to one above it that is watched too. */
static __always_inline bool is_of_device(struct __sk_buff *skb, bool received, bool ethernet)
{
	const struct underlay_device *device;
	__u32 index = skb->ifindex;
	__u32 source[2] = {};

	/* On the VLAN's own device its frames have no tag any more, or not yet. Tag 0 is a priority, not a
	 * VLAN. */
	if (skb->vlan_present && skb->vlan_tci & 0xfff)
		return false;
	if (received)
		return skb->pkt_type != PACKET_OTHERHOST;
	/* Forwarded packets came in on some device; the tunnel's own did not. */
	if (skb->ingress_ifindex)
		return false;
	if (!ethernet)
		return true;
	device = bpf_map_lookup_elem(&devices, &index);
	if (!device || !device->check_mac)
		return true;
	if (bpf_skb_load_bytes(skb, 6, source, 6))
		return false;
	return !__builtin_memcmp(source, device->mac, 4) &&
	       (__u16)source[1] == *(const __u16 *)(device->mac + 4);
}

/* A cheap first check: most packets of a machine are not UDP. */
static __always_inline bool may_be_udp(struct __sk_buff *skb, __u32 start)
{
	const __u8 *ip = (void *)(long)skb->data + start;

	if ((void *)(ip + 20) > (void *)(long)skb->data_end)
		return true;
	if (*ip >> 4 == 4)
		return ip[9] == IPPROTO_UDP;
	return ip[6] != IPPROTO_TCP && ip[6] != IPPROTO_ICMPV6;
}

/* Whether other packets may hold more of the datagram. (Any IPv6 extension header may be a Fragment
 * header.) */
static __always_inline bool may_be_fragment(struct __sk_buff *skb, __u32 start, bool ipv6)
{
	__be16 fragment;
	__u8 next;

	if (ipv6)
		return bpf_skb_load_bytes(skb, start + 6, &next, sizeof(next)) || next != IPPROTO_UDP;
	return bpf_skb_load_bytes(skb, start + 6, &fragment, sizeof(fragment)) ||
	       fragment & bpf_htons(0x2000);
}

/* False if the packet is not UDP. */
static __always_inline bool read_datagrams(struct __sk_buff *skb, __u32 start, struct datagrams *datagrams)
{
	struct packet packet = {.start = start};
	__u32 available;
	__u16 udp_length;
	__u8 version = 0;

	packet.length = skb->len > start ? skb->len - start : 0;
	if (bpf_skb_load_bytes(skb, start, &version, 1))
		return false;
	if (version >> 4 == 4)
		decode_ipv4(skb, &packet, datagrams->received, &datagrams->key);
	else if (version >> 4 == 6)
		decode_ipv6(skb, &packet, datagrams->received, &datagrams->key);
	if (!packet.understood || datagrams->key.proto != IPPROTO_UDP)
		return false;
	if (bpf_skb_load_bytes(skb, start + packet.transport + 4, &udp_length, sizeof(udp_length)))
		return false;
	udp_length = bpf_ntohs(udp_length);
	available = packet.length - packet.transport;
	/* 0 means that the length does not fit (RFC 2675), less than a header is invalid, and only in a first
	 * fragment is it truly more than the packet has. */
	if (udp_length < 8 ||
	    (udp_length > available && !may_be_fragment(skb, start, datagrams->key.family == 6)))
		datagrams->bytes = available - 8;
	else
		datagrams->bytes = udp_length - 8;
	datagrams->packets = 1;
	/* Only UDP_L4 is several datagrams; the older GSO_UDP is one, in fragments. */
	if (skb->gso_size && skb->gso_size != GSO_SIZE_BY_FRAGMENTS && !(read_gso_type(skb) & GSO_UDP))
		datagrams->packets = (datagrams->bytes + skb->gso_size - 1) / skb->gso_size;
	return true;
}

/* fe80::/10 */
static __always_inline bool is_link_local(const struct underlay_remote *remote)
{
	return remote->family == 6 && (remote->address[0] & bpf_htonl(0xffc00000)) == bpf_htonl(0xfe800000);
}

/* Of a link-local endpoint first the one on this link, then the one whose link is not known. */
static __always_inline struct flow_counts *find_known(struct known_map *known,
						      const struct underlay_remote *remote)
{
	struct flow_counts *counts = bpf_map_lookup_elem(known, remote);
	struct underlay_remote anywhere;

	if (counts || !remote->link)
		return counts;
	anywhere = *remote;
	anywhere.link = 0;
	return bpf_map_lookup_elem(known, &anywhere);
}

static __always_inline void count_on_side(const struct datagrams *datagrams, bool our_port, __u32 side,
					  struct known_map *known, struct unknown_peer_map *unknown_peers,
					  struct unknown_peer_map *others)
{
	const struct flow_key *key = &datagrams->key;
	struct underlay_unknown_peer peer = {};
	struct underlay_totals *total;
	struct flow_counts *counts;

	__builtin_memcpy(peer.remote.address, key->dst, sizeof(key->dst));
	peer.remote.port = key->dst_port;
	peer.remote.family = key->family;
	if (is_link_local(&peer.remote))
		peer.remote.link = datagrams->device;
	counts = find_known(known, &peer.remote);
	if (!our_port && !counts)
		return;
	/* A datagram that is sent and was not forwarded is the machine's, whatever its source address. */
	if (!our_port || (datagrams->received && !is_local(key))) {
		if (datagrams->received)
			__builtin_memcpy(peer.local, key->src, sizeof(key->src));
		peer.local_port = key->src_port;
		add_unknown_peer(others, &peer, datagrams);
		return;
	}
	total = bpf_map_lookup_elem(&totals, &side);
	if (!total)
		return;
	add_cpus(&total->totals, datagrams);
	note_largest(total, datagrams);
	if (counts)
		add_shared(counts, datagrams);
	else if (!add_unknown_peer(unknown_peers, &peer, datagrams))
		add_cpus(&total->unknown, datagrams);
}

static __always_inline int count(struct __sk_buff *skb, bool received, bool ethernet)
{
	struct datagrams datagrams = {.received = received, .device = skb->ifindex};
	const struct underlay_settings *set;
	__u32 zero = 0, *now;
	bool our_port;

	if (skb->protocol != bpf_htons(ETH_P_IP) && skb->protocol != bpf_htons(ETH_P_IPV6))
		return TC_ACT_UNSPEC;
	if (!may_be_udp(skb, ethernet ? ETH_HLEN : 0) || !is_of_device(skb, received, ethernet) ||
	    !read_datagrams(skb, ethernet ? ETH_HLEN : 0, &datagrams))
		return TC_ACT_UNSPEC;
	set = bpf_map_lookup_elem(&settings, &zero);
	now = bpf_map_lookup_elem(&epoch, &zero);
	if (!set || !now)
		return TC_ACT_UNSPEC;
	our_port = datagrams.key.src_port &&
		   (datagrams.key.src_port == set->ports[0] || datagrams.key.src_port == set->ports[1]);
	/* Each branch names its maps, so that their lookups are inlined. */
	if (*(volatile __u32 *)now & 1)
		count_on_side(&datagrams, our_port, 1, &known_1, received ? &received_1 : &sent_1, &others_1);
	else
		count_on_side(&datagrams, our_port, 0, &known_0, received ? &received_0 : &sent_0, &others_0);
	return TC_ACT_UNSPEC; /* the same value as TCX_NEXT */
}

SEC("tc")
int count_ingress_ethernet(struct __sk_buff *skb)
{
	return count(skb, true, true);
}

SEC("tc")
int count_egress_ethernet(struct __sk_buff *skb)
{
	return count(skb, false, true);
}

SEC("tc")
int count_ingress_raw(struct __sk_buff *skb)
{
	return count(skb, true, false);
}

SEC("tc")
int count_egress_raw(struct __sk_buff *skb)
{
	return count(skb, false, false);
}
