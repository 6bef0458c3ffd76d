/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * Who sent how much to whom: a square of the nodes and addresses with the most traffic, and all others as
 * one. Made of sums by pair; physical traffic, which carries the rest again, is not part of it.
 */

#include "control/flow_sum.h"

#define MATRIX_ENDS 12

struct matrix_end {
	const struct book_node *node; /* or NULL, and then it is an address */
	struct address address;
};

struct matrix {
	struct matrix_end ends[MATRIX_ENDS]; /* by bytes sent and received, most first */
	size_t n;
	uint64_t n_others;
	/* Bytes from the first to the second; at n: the others. */
	uint64_t bytes[MATRIX_ENDS + 1][MATRIX_ENDS + 1];
};

/* Of rows of FLOW_BY_PAIR, from which the ends are borrowed. 0 or -ENOMEM. */
int matrix_make(const struct flow_row *rows, size_t n, struct matrix *ret_matrix);
