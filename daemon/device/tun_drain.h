/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * The user-space side of the tun programs' table (daemon/bpf/tun_maps.h): sizes it before the programs are
 * loaded, and empties one side of it into an extraction.
 */

#include "daemon/bpf/tun_maps.h"
#include "daemon/device/device.h"
#include "daemon/device/notes.h"

#include <stdint.h>

struct tun; /* the skeleton of the programs */

/* What is needed to empty the maps of loaded programs. */
struct tun_drain {
	int entries[FLOW_TABLES]; /* descriptors; all borrowed */
	int listed;
	int totals;
	int notes_map;
	int seen;
	bool details;
	uint32_t time; /* of the drain, ms */
	int fill;
	uint32_t capacity[FLOW_ROOMS]; /* entries, and notes, of one side */
	uint32_t places[FLOW_ROOMS];   /* for them */
	size_t levels;		       /* totals of one CPU */
	/* Counts of entries that were handed over while the side's totals, which include them, were not. */
	struct counts handed_over[FLOW_SIDES];
	struct notes notes; /* of the side that is drained */
};

/*
 * Before the programs are loaded: makes room for this many entries on each side, no matter which CPUs make
 * them, and for notes of so many TCP connections (0: no details are wanted). Which programs preempt each
 * other is to be set before (preemption.h). 0 or -errno; -ENOMEM: more than a map can hold.
 */
int tun_drain_prepare(struct tun *programs, uint32_t max_entries, uint32_t max_notes);
/* After they are loaded. Valid as long as they are. */
void tun_drain_init(struct tun_drain *drain, const struct tun *programs);

/*
 * Moves a side's entries, totals and overflow into *extraction (added to what it holds) and leaves the side
 * empty. No program may be using the side (epoch_wait()). 0, or -errno: what could not be moved is still
 * there for the next time; what was moved is in the extraction, with totals for as much.
 */
int tun_drain_side(struct tun_drain *drain, unsigned int side, struct extraction *extraction);
