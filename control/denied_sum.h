/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * Who was refused what, and why: sums over the dropped packets of many messages. A row is told from the end
 * that opened the connection where that is known, else from the end whose packets were dropped; its port is
 * left out, so that a client's attempts at a service are one row. The ends are nodes where they are known,
 * with all their addresses.
 */

#include "common/cleanup.h"
#include "control/flow_sum.h"

struct denied_sum;

#define DENIED_REASON_MAX 65

struct denied_row {
	enum traffic_class class;
	uint8_t proto;
	struct address from; /* of a node the lowest that occurs */
	struct endpoint to;
	struct book_node *from_node, *to_node; /* NULL: unknown; the row is the address's */
	bool from_several, to_several;	       /* addresses of that node occur */
	char reason[DENIED_REASON_MAX];	       /* the kernel's name for that of most; "-": it has none */
	uint64_t received, sent;	       /* packets: from the tunnel, and to it */
	uint64_t entries;
	int64_t first, last; /* of the windows */
};

/* The book has to learn each message before the sum adds it, and must outlive the sum. 0 or -errno. */
int denied_sum_new(struct node_book *book, struct denied_sum **ret_sum);
void denied_sum_free(struct denied_sum *sum);
DEFINE_CLEANUP(struct denied_sum *, denied_sum_free);
/* Forgets all rows. */
void denied_sum_reset(struct denied_sum *sum);
/* As flow_sum_add(); counts only entries with dropped packets. */
int denied_sum_add(struct denied_sum *sum, const struct message *message, const struct flow_filter *filter);
uint64_t denied_sum_beyond(const struct denied_sum *sum);
/* All rows, most packets first. Borrowed; then only reset may follow. 0 or -ENOMEM. */
int denied_sum_sorted(struct denied_sum *sum, const struct denied_row **ret_rows, size_t *ret_n);
