/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* Between the two halves of the record: gathering (record.c) and making messages of it (encode.c). */

#include "daemon/record/aggregate.h"
#include "daemon/record/entries.h"

struct aggregate {
	struct entries entries;
	struct counts sums[2]; /* of the entries, by enum device_layer: tun, sock */
	struct counts overflow[2];
	size_t n[2];	       /* entries, by layer */
	size_t bound;	       /* of each; 0: none */
	struct region order;   /* for sorting */
	struct region message; /* where messages are written */
};
