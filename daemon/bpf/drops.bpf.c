/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
/*
 * Counts the tunnel's packets that the kernel's network stack throws away, by connection and reason. The
 * tracepoint kfree_skb runs for each such packet of the whole machine, so the first look is cheap, and most
 * of the file decides whose packet it is:
 *
 * - Received packets bear the index of the interface that received them. Indexes repeat in each network
 *   namespace, so its cookie must be the tunnel's as well. It is that of the packet's device, or of its route
 *   when it has no device any more, or (kernel 6.11) of the socket that it was for.
 * - Packets to be sent have the tunnel as their device, or, before they have any, as that of their route; so
 *   have those that are forwarded from another interface into the tunnel.
 * - A packet received from the tunnel and forwarded is the other device's once that has it: its link header
 *   is in front, or the reason is one of devices and queues.
 * - TCP also frees as dropped what has arrived: an ACK after the other end's FIN, a FIN in TIME-WAIT, what
 *   comes twice. Such packets are told by the reason, the socket's state and the control bits.
 */

#include "daemon/bpf/drops_maps.h"
#include "daemon/bpf/kernel_types.h"

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <stdbool.h>

#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

/* A packet's headers, in the kernel's memory. */
struct drops_packet {
	const void *ip; /* the IP header */
	__u32 linear;	/* bytes from there on that lie in one piece; the rest cannot be read */
	__u32 gso_size;
};

typedef struct drops_packet packet_source;

#define APART __noinline

static __always_inline const void *packet_at(packet_source *source, __u32 offset)
{
	return source->ip + offset;
}

/* Never in place: kernel memory is copied. */
static __always_inline bool packet_holds(packet_source *source, const void *place, __u32 size)
{
	(void)source;
	(void)place;
	(void)size;
	return false;
}

static __always_inline long packet_load(packet_source *source, __u32 offset, void *to, __u32 size)
{
	if (!source || offset > source->linear || source->linear - offset < size)
		return -1;
	return bpf_probe_read_kernel(to, size, source->ip + offset);
}

#include "daemon/bpf/headers.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Set before loading. */
const volatile __u64 drops_namespace = 0;	      /* cookie of the tunnel's network namespace */
const volatile __u16 drops_kinds[DROPS_REASONS] = {}; /* enum drops_kind by reason */
const volatile bool drops_has_socket = false;	      /* the tracepoint says which socket a packet was for */

volatile __u32 drops_device = 0; /* index of the tunnel's interface; 0: none */

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} epoch SEC(".maps");

struct drops_map {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, DROPS_ENTRIES);
	__type(key, struct drops_key);
	__type(value, __u64);
};

struct drops_map drops_0 SEC(".maps"), drops_1 SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, FLOW_SIDES);
	__type(key, __u32);
	__type(value, struct drops_totals);
} totals SEC(".maps");

enum { PACKET_OUTGOING = 4, PACKET_LOOPBACK = 5, RAW_SOCKET = 3, AF_UNSPEC = 0 };

/* States of sockets. */
enum { TIME_WAIT = 6, CLOSE_WAIT = 8, LAST_ACK = 9, LISTEN = 10, CLOSING = 11, NEW_SYN_RECEIVED = 12 };

enum { FIN = 0x01, SYN = 0x02, RST = 0x04, ACK = 0x10 };

enum { ECHO_REPLY = 0, ECHO_REPLY_IPV6 = 129 };

enum verdict { NOT_OURS, SENT, RECEIVED, UNPLACED };

/* What is asked of a packet more than once. */
struct look {
	struct net_device *device;	 /* in our network namespace; NULL: none */
	struct net_device *route_device; /* of its route; NULL: none. Only for bpf_probe_read_kernel(). */
	bool by_device;			 /* the packet's device has the tunnel's index */
	bool by_route;			 /* the route's device is the tunnel */
	__u16 kind;
};

/*
 * While a socket or a tree of fragments holds the packet, their own data lie in the place of skb->dev: a
 * socket's are no kernel addresses, which are negative; a tree's are known by the reason.
 */
static __always_inline struct net_device *device_of(struct sk_buff *skb, __u16 kind)
{
	struct net_device *device = skb->dev;

	if (kind & DROPS_KIND_TREE)
		return NULL;
	if ((long)device < 0) {
		asm volatile("" : "+r"(device)); /* or it becomes arithmetic, which the verifier refuses */
		return device;
	}
	return NULL;
}

static __always_inline struct net_device *route_device_of(struct sk_buff *skb)
{
	struct dst_entry *route = (void *)(skb->_skb_refdst & ~1UL);

	return route ? BPF_CORE_READ(route, dev) : NULL;
}

static __always_inline bool is_here(struct net_device *device)
{
	return device->nd_net.net->net_cookie == drops_namespace;
}

static __always_inline bool is_route_here(struct net_device *device)
{
	return BPF_CORE_READ(device, nd_net.net, net_cookie) == drops_namespace;
}

/* There is something in front of the IP header: a device has the packet. */
static __always_inline bool has_link_header(struct sk_buff *skb)
{
	return (long)skb->data - (long)skb->head < (long)skb->network_header;
}

/*
 * Its headers have been stepped over, as never before a device has sent a packet: GRO has made it a part of a
 * large one, which stands for all of its parts, and with which they are freed, dropped or not.
 */
static __always_inline bool is_part(struct sk_buff *skb)
{
	return (long)skb->data - (long)skb->head > (long)skb->network_header;
}

/*
 * The network namespace of the socket that did not take the packet; NULL without a socket. Kernels
 * before 6.13 do not tell the verifier that there may be none, and it takes out the question: so the socket
 * is only read by bpf_probe_read_kernel(), which answers 0.
 */
static __always_inline struct net *namespace_of(struct sock *socket)
{
	return socket ? BPF_CORE_READ(socket, __sk_common.skc_net.net) : NULL;
}

/* It gets copies of packets, whether or not somebody else takes them. */
static __always_inline bool is_raw(struct sock *socket)
{
	unsigned char state = BPF_CORE_READ(socket, __sk_common.skc_state);

	/* These are smaller than a socket. */
	return state != TIME_WAIT && state != NEW_SYN_RECEIVED &&
	       BPF_CORE_READ(socket, sk_type) == RAW_SOCKET;
}

/* What this machine sends to a group or to all comes back to itself as if the interface had received it. */
static __always_inline bool is_looped(struct sk_buff *skb)
{
	return BPF_CORE_READ_BITFIELD(skb, pkt_type) == PACKET_LOOPBACK;
}

/*
 * Its destination is a group. The route of such a received IPv6 packet has the receiving interface, like that
 * of one that goes out there again.
 */
static __always_inline bool is_for_group(struct sk_buff *skb)
{
	__u8 first = 0;

	if (skb->protocol == bpf_htons(ETH_P_IPV6))
		bpf_probe_read_kernel(&first, 1,
				      skb->head + skb->network_header + offsetof(struct ipv6hdr, daddr));
	return first == 0xff;
}

/* The packet was received by an interface with the tunnel's index. */
static __always_inline enum verdict judge_received(struct sk_buff *skb, struct look *look,
						   struct sock *socket)
{
	struct net *net = namespace_of(socket);

	if (is_looped(skb) || (net && is_raw(socket)))
		return NOT_OURS;
	if (!look->device) {
		if (look->route_device)
			return is_route_here(look->route_device) ? RECEIVED : NOT_OURS;
		if (net)
			return BPF_CORE_READ(net, net_cookie) == drops_namespace ? RECEIVED : NOT_OURS;
		if (look->kind & DROPS_KIND_TREE || (!drops_has_socket && !skb->sk))
			return UNPLACED;
		return NOT_OURS; /* a socket had taken it, and ended */
	}
	if (look->by_device) {
		/* A hub's: it came out of the tunnel and goes back into it. */
		if (look->kind & DROPS_KIND_DEVICE)
			return SENT;
		return look->kind & DROPS_KIND_VAGUE && look->by_route && !is_for_group(skb) ? SENT
											     : RECEIVED;
	}
	if (has_link_header(skb) || look->kind & (DROPS_KIND_DEVICE | DROPS_KIND_VAGUE))
		return NOT_OURS;
	return RECEIVED;
}

/*
 * A program wrote it to the interface, which refused it since it is down, say: it was never received. Until
 * it is, it belongs to the tun device's own socket, the only kind that has no address family.
 */
static __always_inline bool is_before_stack(struct sk_buff *skb)
{
	struct sock *owner = skb->sk;

	return !skb->skb_iif && owner && BPF_CORE_READ(owner, __sk_common.skc_family) == AF_UNSPEC;
}

/* It was not. */
static __always_inline enum verdict judge_other(struct sk_buff *skb, struct look *look)
{
	/* The copy that a packet socket did not take. */
	if (BPF_CORE_READ_BITFIELD(skb, pkt_type) == PACKET_OUTGOING || is_looped(skb) ||
	    look->kind & DROPS_KIND_BEFORE)
		return NOT_OURS;
	if (look->by_device) {
		/* WireGuard's own datagrams still bear its device when they leave by another. */
		if ((look->route_device && !look->by_route) || is_before_stack(skb) || is_part(skb))
			return NOT_OURS;
		return SENT;
	}
	return look->by_route && is_route_here(look->route_device) ? SENT : NOT_OURS;
}

/*
 * The device leads to this machine itself. That is what the route of a packet that another interface received
 * most often says; its index would have to be read by bpf_probe_read_kernel(), which takes 8 ns.
 */
static __always_inline bool is_loopback(struct net_device *route_device, struct net_device *device)
{
	return device && route_device == device->nd_net.net->loopback_dev;
}

static __always_inline enum verdict judge(struct sk_buff *skb, __u16 kind, struct sock *socket)
{
	struct look look = {.kind = kind};
	bool received = skb->skb_iif == (int)drops_device;
	struct net_device *route_device;

	/* Most drops elsewhere on the machine end here: they came to another interface and went no further,
	 * are in another network namespace, or are of another interface and have no route yet. */
	if (!received && kind & DROPS_KIND_LOCAL)
		return NOT_OURS;
	look.device = device_of(skb, kind);
	if (look.device) {
		if (!is_here(look.device))
			return NOT_OURS;
		look.by_device = look.device->ifindex == (int)drops_device;
	}
	if (!received && !look.by_device && !(skb->_skb_refdst & ~1UL))
		return NOT_OURS;
	route_device = route_device_of(skb);
	if (!received && !look.by_device &&
	    (route_device == look.device || is_loopback(route_device, look.device)))
		return NOT_OURS;
	look.route_device = route_device;
	if (route_device)
		look.by_route = BPF_CORE_READ(route_device, ifindex) == (int)drops_device;
	return received ? judge_received(skb, &look, socket) : judge_other(skb, &look);
}

/* How many packets a large segment stands for; where that cannot be told, it is one. */
static __always_inline __u64 count_packets(packet_source *source, const struct packet *packet, __u16 count)
{
	__u32 headers = 0;

	if (count)
		return count;
	if (!packet->understood || source->gso_size == GSO_SIZE_BY_FRAGMENTS)
		return 1;
	if (packet->proto == IPPROTO_TCP)
		headers = tcp_header_length(source, packet, packet->transport);
	else if (packet->proto == IPPROTO_UDP)
		headers = 8;
	headers += packet->transport;
	if (headers == packet->transport || headers >= packet->length)
		return 1;
	return (packet->length - headers + source->gso_size - 1) / source->gso_size;
}

/* A received packet's ends, in the node's view. After decoding, so that the decoder has a constant there:
 * with a variable the compiler makes arithmetic that the verifier refuses. */
static __always_inline void swap_ends(struct flow_key *key)
{
	struct flow_key copy = *key;

	__builtin_memcpy(key->src, copy.dst, sizeof(key->src));
	__builtin_memcpy(key->dst, copy.src, sizeof(key->dst));
	key->src_port = copy.dst_port;
	key->dst_port = copy.src_port;
}

static __always_inline void decode(struct sk_buff *skb, packet_source *source, struct packet *packet,
				   struct flow_key *key)
{
	struct skb_shared_info *shared = (void *)((long)skb->head + skb->end);
	long before = (long)skb->network_header - ((long)skb->data - (long)skb->head);
	__u8 version = 0;

	source->ip = (void *)((long)skb->head + skb->network_header);
	source->gso_size = BPF_CORE_READ(shared, gso_size);
	if (skb->tail > skb->network_header)
		source->linear = skb->tail - skb->network_header;
	/* What is in front of the IP header belongs to a device; behind it the stack has stepped over
	 * headers. */
	if ((long)skb->len > before)
		packet->length = skb->len - before;
	if (skb->protocol == bpf_htons(ETH_P_IP) || skb->protocol == bpf_htons(ETH_P_IPV6))
		packet_load(source, 0, &version, 1);
	if (version >> 4 == 4)
		decode_ipv4(source, packet, false, key);
	else if (version >> 4 == 6)
		decode_ipv6(source, packet, false, key);
}

/*
 * A TCP packet without data that was dropped without a reason: the control bits of which it has one if in
 * truth a socket took it and had no more use for it. That is so of what comes after the other end's FIN and
 * in TIME-WAIT, and of a SYN or RST for a connection that is being accepted (net/ipv4/tcp_input.c,
 * tcp_minisocks.c). An ACK that a listening socket had is one that found its backlog full.
 */
static __always_inline __u8 taken_by(struct sock *socket)
{
	__u32 state = BPF_CORE_READ(socket, __sk_common.skc_state) & 31;

	if (1U << state & (1U << CLOSE_WAIT | 1U << LAST_ACK | 1U << CLOSING | 1U << TIME_WAIT))
		return ACK | FIN | RST;
	return state == LISTEN ? SYN | RST : 0;
}

/* What drops packets without a reason, where the kernel does not name the socket. */
enum dropper { DROPPER_OTHER, DROPPER_CONNECTION, DROPPER_TCP_RECEIVE, DROPPER_ICMPV6_RECEIVE, N_DROPPERS };

/* Where each of them dropped last, since a name takes long to find. */
volatile __u64 drops_places[N_DROPPERS] = {};

static __always_inline enum dropper find_dropper(__u64 place)
{
	static const struct {
		char name[22];
		__u8 length, dropper;
	} functions[] = {
		{"tcp_drop", 8, DROPPER_CONNECTION},	    {"tcp_rcv_state_process", 21, DROPPER_CONNECTION},
		{"tcp_v4_rcv", 10, DROPPER_TCP_RECEIVE},    {"tcp_v6_rcv", 10, DROPPER_TCP_RECEIVE},
		{"icmpv6_rcv", 10, DROPPER_ICMPV6_RECEIVE},
	};
	enum dropper dropper = DROPPER_OTHER;
	char name[32] = {};

	for (int i = 0; i < N_DROPPERS; i++)
		if (place == drops_places[i])
			return i;
	/* It needs a buffer of this CPU's, which may be in use. */
	if (BPF_SNPRINTF(name, sizeof(name), "%pB", place) < 0)
		return DROPPER_OTHER;
	for (unsigned int i = 0; i < sizeof(functions) / sizeof(functions[0]); i++)
		if (bpf_strncmp(name, functions[i].length, functions[i].name) == 0)
			dropper = functions[i].dropper;
	drops_places[dropper] = place;
	return dropper;
}

/* As above, by the function that dropped the packet. tcp_v*_do_rcv() drops what is refused. */
static __always_inline __u8 taken_at(__u64 place)
{
	switch (find_dropper(place)) {
	case DROPPER_CONNECTION:
		return ACK | FIN | RST;
	case DROPPER_TCP_RECEIVE:
		return SYN | FIN | RST;
	default:
		return 0;
	}
}

/* What is asked of a drop besides its packet. */
struct drop {
	struct sk_buff *skb;
	struct sock *socket; /* NULL: none, or not known */
	__u64 place;	     /* in the kernel */
	__u32 reason;
	__u16 kind;
};

/*
 * The other end's last data have come with its FIN, and come again. A connection whose other end has not
 * ended has that state as well once nobody reads it any more: then data are refused.
 */
static __always_inline bool is_end_again(struct sock *socket, const struct packet *packet)
{
	struct inet_timewait_sock *rest = (void *)socket;

	return packet->tcp_flags & FIN && BPF_CORE_READ(socket, __sk_common.skc_state) == TIME_WAIT &&
	       BPF_CORE_READ(rest, tw_substate) == TIME_WAIT;
}

static __always_inline bool was_taken_by_tcp(const struct drop *drop, packet_source *source,
					     const struct packet *packet)
{
	__u32 headers;

	if (drop->kind & DROPS_KIND_AGAIN)
		return !(packet->tcp_flags & RST) && (packet->tcp_flags & (SYN | ACK)) != SYN;
	headers = packet->transport + tcp_header_length(source, packet, packet->transport);
	if (source->gso_size || packet->length != headers)
		return drop->kind & DROPS_KIND_TAKEN && drops_has_socket &&
		       is_end_again(drop->socket, packet);
	if (drop->kind & DROPS_KIND_BARE)
		return (packet->tcp_flags & (SYN | FIN | RST | ACK)) == ACK;
	return packet->tcp_flags & (drops_has_socket ? taken_by(drop->socket) : taken_at(drop->place));
}

/* ICMPv6: multicast listener discovery and neighbour discovery, of which each node takes what concerns it. */
static __always_inline bool is_of_neighbours(__u8 type)
{
	return (type >= 130 && type <= 137) || type == 143;
}

/* The kernel calls the received packet dropped, but somebody took it. */
static __always_inline bool was_taken(const struct drop *drop, packet_source *source,
				      const struct packet *packet)
{
	__u8 type = 0;

	if (!packet->understood)
		return false;
	if (packet->proto == IPPROTO_TCP)
		return drop->kind & (DROPS_KIND_TAKEN | DROPS_KIND_BARE | DROPS_KIND_AGAIN) &&
		       was_taken_by_tcp(drop, source, packet);
	if (packet->proto == IPPROTO_IGMP)
		return drop->kind & DROPS_KIND_TAKEN;
	if ((packet->proto != IPPROTO_ICMP && packet->proto != IPPROTO_ICMPV6) ||
	    packet_load(source, packet->transport, &type, 1) != 0)
		return false;
	/* Before 6.3, all that it had. */
	if (drop->kind & DROPS_KIND_TAKEN)
		return packet->proto == IPPROTO_ICMPV6 &&
		       (is_of_neighbours(type) ||
			(!drops_has_socket && find_dropper(drop->place) == DROPPER_ICMPV6_RECEIVE));
	/* A ping by a raw socket, which has got a copy. */
	return drop->kind & DROPS_KIND_ABSENT &&
	       type == (packet->proto == IPPROTO_ICMP ? ECHO_REPLY : ECHO_REPLY_IPV6);
}

static __always_inline __u16 read_gso_segs(struct sk_buff *skb)
{
	struct skb_shared_info *shared = (void *)((long)skb->head + skb->end);

	return BPF_CORE_READ(shared, gso_segs);
}

/* `syn`: DROPS_SYN or 0. False when the map is full. */
static __always_inline bool add(void *map, const struct drops_key *key, __u64 packets, __u64 syn)
{
	__u64 *counted = bpf_map_lookup_elem(map, key), first = packets | syn;

	if (!counted) {
		if (!bpf_map_update_elem(map, key, &first, BPF_NOEXIST))
			return true;
		counted = bpf_map_lookup_elem(map, key);
		if (!counted)
			return false;
	}
	if (syn)
		__sync_fetch_and_or(counted, syn);
	__sync_fetch_and_add(counted, packets);
	return true;
}

static __always_inline __u16 reason_code(__u32 reason)
{
	__u32 subsystem = reason >> 16, number = reason & 0xffff;

	if (subsystem >= 1 << (16 - DROPS_SUBSYSTEM_SHIFT) || number >= 1 << DROPS_SUBSYSTEM_SHIFT)
		return DROPS_UNKNOWN_REASON;
	return subsystem << DROPS_SUBSYSTEM_SHIFT | number;
}

/* Counts a packet that is the tunnel's, or may be. */
static __always_inline void count(const struct drop *drop, enum verdict verdict)
{
	struct drops_key key = {.reason = reason_code(drop->reason), .received = verdict == RECEIVED};
	__u32 slot = key.reason < DROPS_REASONS ? key.reason : DROPS_OTHER_REASON, side, zero = 0, *now;
	struct drops_packet source = {};
	struct drops_totals *sums;
	struct packet packet = {};
	__u64 packets = 1, syn;

	now = bpf_map_lookup_elem(&epoch, &zero);
	if (!now)
		return;
	side = *(volatile __u32 *)now & 1;
	sums = bpf_map_lookup_elem(&totals, &side);
	if (!sums)
		return;
	decode(drop->skb, &source, &packet, &key.flow);
	if (verdict != SENT && was_taken(drop, &source, &packet))
		return;
	if (verdict == UNPLACED) {
		/* A later fragment is freed with the whole, which has been judged by itself. */
		if (packet.transport || drop->kind & DROPS_KIND_TREE)
			__sync_fetch_and_add(&sums->unplaced, 1);
		return;
	}
	/* A raw socket's copy, by a tracepoint that does not name the socket. */
	if (!drops_has_socket && key.received && drop->kind & DROPS_KIND_SOCKET &&
	    key.flow.proto != IPPROTO_TCP && key.flow.proto != IPPROTO_UDP && key.flow.proto != IPPROTO_SCTP)
		return;
	if (key.received)
		swap_ends(&key.flow);
	if (source.gso_size)
		packets = count_packets(&source, &packet, read_gso_segs(drop->skb));
	/* Atomic, although it is this CPU's: an interrupt may drop packets in between. */
	__sync_fetch_and_add(&sums->packets[key.received & 1][slot & (DROPS_REASONS - 1)], packets);
	syn = (packet.tcp_flags & (SYN | ACK)) == SYN ? DROPS_SYN : 0;
	/* Each branch names its map, so that the lookups are inlined. */
	if (!(side ? add(&drops_1, &key, packets, syn) : add(&drops_0, &key, packets, syn)))
		__sync_fetch_and_add(&sums->overflow[key.received & 1], packets);
}

SEC("tp_btf/kfree_skb")
int count_drop(__u64 *arguments)
{
	struct drop drop = {
		.skb = (struct sk_buff *)arguments[0],
		.place = arguments[1],
		.reason = (__u32)arguments[2],
	};
	enum verdict verdict;

	if (drop.reason < DROPS_REASONS)
		drop.kind = drops_kinds[drop.reason & (DROPS_REASONS - 1)];
	if (!drops_device || drop.kind & DROPS_KIND_NONE)
		return 0;
	if (drops_has_socket)
		drop.socket = (struct sock *)arguments[3];
	verdict = judge(drop.skb, drop.kind, drop.socket);
	if (verdict != NOT_OURS)
		count(&drop, verdict);
	return 0;
}
