/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * The tunnel's packets that the kernel's network stack throws away, by connection and reason, beside the
 * counts of the device: a program on the kernel's tracepoint kfree_skb (daemon/bpf/drops.bpf.c). It changes
 * sides with the epoch, like the counting programs. All calls are of the logger's thread.
 */

#include "common/cleanup.h"
#include "common/connection.h"

#include <stdbool.h>
#include <stdint.h>

struct drops_counter;
struct epoch;

/* What it says of itself: packets since it was made. */
struct drops_info {
	uint64_t tx, rx;   /* dropped, exactly; in the entries unless they are in the overflow too */
	uint64_t overflow; /* of them: no room for the connection */
	uint64_t unplaced; /* not among them: the kernel did not tell any more in which network namespace */
	uint64_t
		missed; /* drops, anybody's, that the program could not look at: it was interrupted by them */
	uint64_t
		failures; /* extractions that failed, or whose entries were not the sum counted beside them */
	uint64_t memory;  /* bytes of kernel maps */
};

/*
 * Loads the program; it counts nothing until it watches an interface. 0; or -EPERM, -EOPNOTSUPP and others,
 * with the reason for people (owned by the caller; NULL without memory). epoch is borrowed; NULL: -EPERM.
 */
int drops_new(struct epoch *epoch, struct drops_counter **ret_drops, char **ret_reason);
/* Detaches; what was not extracted is gone. */
void drops_free(struct drops_counter *drops);
DEFINE_CLEANUP(struct drops_counter *, drops_free);

/*
 * Counts the drops of this interface, of the network namespace in which the program was loaded, from now on.
 * 0: of none, and the program is detached, so that it costs nobody anything; what it has counted by then is
 * complete. 0 or -errno: as before.
 */
int drops_watch(struct drops_counter *drops, unsigned int ifindex);

/*
 * After the flip of the epoch that ended a window, or a part of one: appends a flow for each connection with
 * drops; only its details say anything (tx_drops, rx_drops, the reason of most of them, and which end's SYNs
 * were among them). 0 or -errno: what could not be read comes with the next extraction of that side.
 */
int drops_extract(struct drops_counter *drops, struct flows *flows);

void drops_get_info(const struct drops_counter *drops, struct drops_info *ret_info);
/* Calls back for each reason that has had drops, in the order of their numbers; bounded by the kernel's
 * number of reasons. Those of subsystems are together. */
void drops_foreach_reason(const struct drops_counter *drops,
			  void (*reason)(const char *name, uint64_t tx, uint64_t rx, void *userdata),
			  void *userdata);
