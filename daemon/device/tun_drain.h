/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * The user-space side of the tun programs' table (daemon/bpf/flow.h): sizes it before they are loaded,
 * and empties one side of it into an extraction.
 */

#include "daemon/bpf/tun_maps.h"
#include "daemon/device/device.h"

#include <stdint.h>

struct tun; /* the skeleton of the programs */

struct tun_maps {
	int entries; /* descriptors; all borrowed */
	int slots;
	int totals;
	int fill;
	uint32_t capacity; /* entries of one side */
	uint32_t slot_bits;
	/* Of entries that have been handed over while the side's totals, which hold them too, have not. */
	struct counts handed_over[FLOW_SIDES];
};

/*
 * Before the programs are loaded: a side shall hold this many entries, whichever CPUs make them. 0 or -errno;
 * -ENOMEM: more than any map has.
 */
int tun_maps_prepare(struct tun *programs, uint32_t max_entries);
/* The maps of loaded programs, and valid as long as they are. */
struct tun_maps tun_maps_of(const struct tun *programs);

/*
 * Moves a side's entries, totals and overflow into *extraction (added to what it holds) and leaves the side
 * empty. No program may use the side meanwhile (epoch_wait()). 0, or -errno: what could not be moved is still
 * there, for the next time; what was moved is in the extraction, with totals for as much.
 */
int tun_drain(struct tun_maps *maps, unsigned int side, struct extraction *extraction);

/* Bytes of kernel memory that a map takes, as the kernel reckons (fdinfo); 0 if it doesn't say. */
uint64_t map_memory(int fd);
