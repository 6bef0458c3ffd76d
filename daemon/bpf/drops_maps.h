/* SPDX-License-Identifier: GPL-2.0-only OR BSD-3-Clause */
#pragma once

/*
 * The maps that the program on kfree_skb shares with the daemon. Both sides include this file, so it has only
 * fixed-width types without padding.
 */

#include "daemon/bpf/flow.h"

#include <linux/types.h>

/*
 * The kernel's reason in 16 bits: its number below 4096, and in the highest four bits the subsystem that it
 * belongs to (enum skb_drop_reason_subsys; 0 is the core). What does not fit is DROPS_UNKNOWN_REASON.
 */
#define DROPS_SUBSYSTEM_SHIFT 12
#define DROPS_UNKNOWN_REASON  0xffff

/* Reasons that have a sum of their own. Others, of which no kernel has any but those of subsystems, share the
 * last one. */
#define DROPS_REASONS	   256
#define DROPS_OTHER_REASON (DROPS_REASONS - 1)

/* Dropped packets of one connection, one reason and one direction. */
struct drops_key {
	struct flow_key flow; /* cpu is 0: all CPUs share an entry */
	__u16 reason;
	__u8 received;
	__u8 zero[5];
};

/* In an entry's number of packets: one of them was a SYN without ACK, which asks for a connection. */
#define DROPS_SYN (1ULL << 63)

/* One side's sums on one CPU, counted before the entries. First sent packets, then received ones. */
struct drops_totals {
	__u64 packets[2][DROPS_REASONS];
	__u64 overflow[2]; /* found no room among the entries */
	__u64 unplaced;	   /* may be the tunnel's, or of an interface with its index in another network
			    * namespace: nothing in the packet tells them apart any more */
};

/* What is to be known of a reason besides its name; bits. */
enum drops_kind {
	DROPS_KIND_NONE = 1 << 0,   /* the packet was not dropped, or had arrived before */
	DROPS_KIND_DEVICE = 1 << 1, /* the device or its queue dropped it: it had left the stack */
	DROPS_KIND_BEFORE = 1 << 2, /* it had not reached the stack, and was not counted as received */
	DROPS_KIND_VAGUE = 1 << 3,  /* anything */
	DROPS_KIND_SOCKET = 1 << 4, /* a socket did not take it: perhaps one that only gets a copy */
	DROPS_KIND_TREE = 1 << 5,   /* it was in a tree of packets, whose pointers replace its device */
	DROPS_KIND_TAKEN = 1 << 6,  /* without data: perhaps a connection took it, and had no use for it */
	DROPS_KIND_BARE = 1 << 7,   /* so it was if it is a bare ACK */
	DROPS_KIND_AGAIN = 1 << 8,  /* it had arrived before, or only asks whether anybody is there */
	DROPS_KIND_ABSENT = 1 << 9, /* no socket of its protocol took it: perhaps a raw one did */
	DROPS_KIND_LOCAL = 1 << 10, /* received, and on its way to nowhere else */
};

/* Entries of one side. */
#define DROPS_ENTRIES 16384
