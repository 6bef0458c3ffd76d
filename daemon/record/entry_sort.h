/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* The order of a window's entries in the log: by class, source, destination and protocol. */

#include "daemon/record/entries.h"

/* A place in the sorted order. */
struct entry_order {
	uint64_t part; /* of the key, while sorting */
	uint32_t slot;
};

/*
 * Sorts: *ret_order has the slots of all entries->n entries in order, which live in the work region. The
 * entries stay where they are. 0 or -ENOMEM.
 */
int entries_sort(const struct entries *entries, struct region *work, struct entry_order **ret_order);
