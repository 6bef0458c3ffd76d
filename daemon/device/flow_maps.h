#pragma once

/*
 * The user-space side of one program's maps of counts (daemon/bpf/flow_map.h): empties one side of them into
 * an extraction.
 */

#include "daemon/device/device.h"

#include <stdint.h>

struct flow_maps {
	int flows[2]; /* descriptors of the hash maps of either side; all borrowed */
	int totals;
	int fill;
};

/*
 * Moves a side's entries, totals and overflow into *extraction (added to what it holds) and leaves the side
 * empty. No program may use the side meanwhile (epoch_wait()). 0, or -errno: what could not be moved is still
 * there, for the next time; what was moved is in the extraction.
 */
int flow_maps_drain(const struct flow_maps *maps, unsigned int side, struct extraction *extraction);

/* Bytes of kernel memory that a map takes, as the kernel reckons (fdinfo); 0 if it doesn't say. */
uint64_t map_memory(int fd);
