/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
#pragma once

/*
 * The maps of the tun programs, as they and the daemon share them. Only fixed-width types with no padding,
 * since both sides include this.
 */

#include "daemon/bpf/flow.h"

#include <linux/types.h>

/*
 * What names a connection on one CPU, beside its addresses. Never 0, so that 0 is a free place.
 */
union flow_head {
	struct {
		__u16 src_port; /* network byte order */
		__u16 dst_port;
		__u16 cpu;
		__u8 proto;
		__u8 family; /* FLOW_NO_ADDRESSES, 4, 6 */
	};
	__u64 word;
};

#define FLOW_NO_ADDRESSES 1

/* What is noted beside the counts, if it is wanted. Of the first packet only where TCP does not tell. */
struct flow_details {
	__u8 tx_flags; /* unions of TCP control bits */
	__u8 rx_flags;
	__u8 first_received; /* the first packet on this CPU was; else it was sent */
	__u8 first_of_all;   /* it was the first on any CPU */
};

/*
 * One bit for each connection that this side has seen, by its hash: who sets it was the first. Where
 * connections share a bit, none but the first of them is known to have been.
 */
#define FLOW_SEEN_BITS (1 << 20)

struct flow_seen {
	__u64 words[FLOW_SEEN_BITS / 64];
};

/*
 * A connection in the table (daemon/bpf/flow_table.bpf.h): one cache line, so that a packet waits for memory
 * once. IPv6 addresses take a second line beside it.
 */
struct flow_entry {
	union flow_head head;
	union {
		struct {
			__u32 src, dst; /* network byte order; of IPv6 addresses the last words */
		};
		__u64 pair;
	};
	struct flow_counts counts;
	struct flow_details details;
	__u32 control; /* place of the connection's note (control_note.h) plus 1; 0: none */
	__u32 reserved[2];
} __attribute__((aligned(64)));

union flow_addresses {
	struct {
		__u32 src[4];
		__u32 dst[4];
	};
	__u64 words[4];
};

struct flow_entry6 {
	struct flow_entry entry;
	union flow_addresses addresses;
	__u64 reserved[4];
} __attribute__((aligned(128)));

/* The tables of connections: one for each family, and in each the two sides. */
enum flow_table { FLOW_TABLE_IPV4, FLOW_TABLE_IPV6, FLOW_TABLES };

/* The table of notes, likewise; and all that have places and room for a number of them. */
#define FLOW_NOTES FLOW_TABLES
#define FLOW_ROOMS (FLOW_NOTES + 1)

/* Packets of one connection that wait to be counted, together with those of others. */
struct flow_record {
	union flow_head head;
	union {
		struct {
			__u32 src, dst;
		};
		__u64 pair;
	};
	__u32 tx_packets, tx_bytes;
	__u32 rx_packets, rx_bytes;
	__u32 place;   /* in its table, where the connection is if nothing is in its way */
	__u32 control; /* as in its entry */
	struct flow_details details;
};

#define FLOW_BATCH 16

/* Places probed for one connection. */
#define FLOW_PROBES 256

/* Places behind those that the hash leads to, so that no search has to begin anew at the first. */
#define FLOW_TAIL FLOW_PROBES

/* Entries that a CPU makes room for at once. */
#define FLOW_BLOCK 16

/* Random words for the hash, one for each word of the key. */
#define FLOW_SEEDS 12

/*
 * With PREEMPT_RT a program can be preempted by another one on the same CPU. (Up to Linux 6.17 the second
 * waits for the first, since local_bh_disable() takes a lock; later it does so only with
 * CONFIG_PREEMPT_RT_NEEDS_BH_LOCK.) There a CPU has so many flow_totals, and programs on it keep apart as
 * those on different CPUs do; behind them one more, which all others share and add to atomically.
 */
#define FLOW_LEVELS	 3
#define FLOW_LEVEL_SHIFT 14 /* of the level in flow_head.cpu; kernels have at most 8192 CPUs */

/* One side's sums on one CPU, apart from the entries. */
struct flow_totals {
	struct flow_counts totals;   /* everything, counted before the entries */
	struct flow_counts overflow; /* found no room among the entries */
	struct flow_counts inexact;  /* large segments of inexact counts; in the entries too */
	struct {
		__u32 next; /* entry that this CPU may make, of those that it has taken, */
		__u32 end;  /* and where they end */
	} block[FLOW_ROOMS];
	__u64 taken;	     /* by a running program (FLOW_LEVELS) */
	__u64 lost_controls; /* SYN, FIN and RST packets that could not be noted */
	__u64 n;	     /* records that wait */
	struct flow_record batch[FLOW_BATCH];
	union flow_addresses addresses[FLOW_BATCH]; /* of those with IPv6 addresses */
};

/* How full one side of each table is. */
struct flow_fill {
	__u64 taken[FLOW_ROOMS]; /* entries that CPUs have taken since the side was drained */
};

/*
 * Where a side's first entries are, so that few are found without reading the whole table. Listed are so many
 * of each table.
 */
#define FLOW_LISTED 512

struct flow_list {
	__u32 places[FLOW_TABLES][FLOW_LISTED];
};
