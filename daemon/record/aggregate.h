/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * The classified entries of one window, gathered over one or more extractions (a route change extracts in the
 * middle). Equal connections of a class are merged as they are added. What is extracted before the window's
 * routes are all known is held without a class until they are.
 */

#include "common/cleanup.h"
#include "common/config/config.h"
#include "daemon/record/entries.h"

struct live;
struct routing;

/* encode.c reads it; the logger uses the functions below. */
struct aggregate {
	struct entries entries;
	struct entries held; /* of the tun device: connections without a class so far */
	struct counts held_sum;
	struct counts sums[N_LAYERS]; /* of the entries, and of what is held */
	struct counts overflow[N_LAYERS];
	uint64_t lost_drops;
	size_t n[N_LAYERS]; /* entries */
	size_t bound;	    /* of each layer; 0: none */
	size_t connections[N_LAYERS];
	struct hash_index
		reduced; /* of exit traffic that is reduced: the connections, by their hashes alone */
	size_t n_reduced;
	struct region order;   /* for sorting */
	struct region message; /* where messages are written */
};

/* 0 or -errno (-ENOMEM; or there are no random numbers). */
int aggregate_new(struct aggregate **ret_aggregate);
void aggregate_free(struct aggregate *aggregate);
DEFINE_CLEANUP(struct aggregate *, aggregate_free);
/*
 * How many entries each layer may have in a window (0: no bound). What would be one more is counted as the
 * layer's overflow instead, so that a scan cannot take the memory of the machine. Aggregated exit traffic is
 * one entry beyond it.
 */
void aggregate_set_bound(struct aggregate *aggregate, size_t entries);
/* Forgets all entries; memory beyond the usual is given back. */
void aggregate_reset(struct aggregate *aggregate);

struct aggregate_settings {
	enum exit_traffic exit_traffic;
	const struct prefix_list *ignore_addrs; /* single addresses; may be NULL */
	bool details; /* entries have them; not those of exit traffic that is reduced */
};

/*
 * Adds the flows of the tun device, classified by the routing, or those of the sock device, which are
 * physical traffic. *ret_ignored is what this call left out because it was addressed to an ignore_addr,
 * *ret_overflow what was beyond the bound and is in the window's overflow already; both may be NULL. A flow
 * without counts and details is left out. 0 or -ENOMEM, nothing added (but to aggregate_lost_drops()).
 *
 * With many flows, call it for one slice after another ({.items = first, .n = some}) and free each, so that a
 * large window is never held twice.
 */
int aggregate_add_tun(struct aggregate *aggregate, const struct flows *flows, const struct routing *routing,
		      const struct aggregate_settings *settings, struct counts *ret_ignored,
		      struct counts *ret_overflow);
/*
 * The same for the tun device, but the flows are held: aggregate_classify() decides their class. Connections
 * that are held do not count towards the bound.
 */
int aggregate_hold_tun(struct aggregate *aggregate, const struct flows *flows,
		       const struct aggregate_settings *settings, struct counts *ret_ignored);
/* Classifies what is held. What finds no memory, or is beyond the bound, becomes overflow. */
void aggregate_classify(struct aggregate *aggregate, const struct routing *routing,
			enum exit_traffic exit_traffic, struct counts *ret_overflow);
/* Connections that are held. */
size_t aggregate_held(const struct aggregate *aggregate);
int aggregate_add_sock(struct aggregate *aggregate, const struct flows *flows, struct counts *ret_overflow);
/*
 * Once all flows of the window are added: corrects the details by the memory of live connections, whose
 * window has begun, and leaves out what is then empty. With fold_ports the port of the end that opened a
 * connection becomes 0, and what is then equal one entry. After that, add nothing.
 */
void aggregate_finish(struct aggregate *aggregate, struct live *live, bool fold_ports);
/* Adds to the window's overflow; either may be NULL. */
void aggregate_add_overflow(struct aggregate *aggregate, const struct counts *tun, const struct counts *sock);
/* Dropped packets whose connection found no room or memory: of all windows since the aggregate was made. */
uint64_t aggregate_lost_drops(const struct aggregate *aggregate);
/* Sum of everything added as entries or held, per layer: one side of the conservation check. */
void aggregate_get_sums(const struct aggregate *aggregate, struct counts *ret_tun, struct counts *ret_sock);
/* Whether connections have come that are exit traffic, and reduced. */
bool aggregate_has_reduced(const struct aggregate *aggregate);
/* Neither entries nor overflow. */
bool aggregate_is_empty(const struct aggregate *aggregate);
size_t aggregate_entries(const struct aggregate *aggregate);
/*
 * Different connections that a layer's device handed over, without ignored ones, overflow and what is held.
 * An entry may stand for many of them: folded ports, exit traffic that is reduced.
 */
size_t aggregate_connections(const struct aggregate *aggregate, enum device_layer layer);
