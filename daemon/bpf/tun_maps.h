/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
#pragma once

/*
 * The maps of the tun programs, as they and the daemon share them. Only fixed-width types with no padding,
 * since both sides include this.
 */

#include "daemon/bpf/flow.h"

#include <linux/types.h>

/*
 * The table of the tun programs (daemon/bpf/flow_table.bpf.h) is two arrays. `entries` holds the connections
 * in the order in which they came, in blocks of one CPU each; `slots` says by a connection's hash where its
 * entry is, in so little memory that it stays near the CPU. Each array holds side 0 and then side 1.
 */
struct flow_entry {
	struct flow_key key;
	struct flow_counts counts; /* all zero: not in use, or handed over */
	__u32 slot;		   /* where `slots` names it, from its side's first one */
	__u32 following;	   /* entry that its CPU made next, plus 1; 0: none yet */
};

/*
 * Slots in one cache line. A free slot is 0; in others the low bits are the entry's number in its
 * side, plus 1, and all the rest are bits of the hash.
 */
#define FLOW_LINE 16

struct flow_line {
	__u32 slots[FLOW_LINE];
};

/* Entries that a CPU takes at once: whole cache lines, so that two CPUs rarely write to the same one. */
#define FLOW_BLOCK 16

/* Random words for the hash, one for each word of the key. */
#define FLOW_SEEDS 10

/* One side's sums on one CPU, apart from the entries. */
struct flow_totals {
	struct flow_counts totals;   /* everything, counted before the entries */
	struct flow_counts overflow; /* found no room among the entries */
	struct flow_counts inexact;  /* large segments of inexact counts; in the entries too */
	__u32 next;		     /* free entry of this CPU's block, */
	__u32 end;		     /* and where the block ends */
	__u32 made;		     /* entry that this CPU made last, */
	__u32 last;  /* and that it counted in last; both plus 1; 0: none since the side was drained */
	__u32 ahead; /* entry to try next, plus 1, where connections come in turn; else 0 */
	__u32 reserved;
};

/* How full one side is. */
struct flow_fill {
	__u64 taken; /* entries in blocks that CPUs have taken since the side was drained */
};
