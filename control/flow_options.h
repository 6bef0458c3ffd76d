/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * The options by which flows, report and top choose traffic: --since --until --class --addr --node --by
 * --how --sort --limit --details.
 */

#include "control/flow_sum.h"

struct ctl;

struct flow_options {
	const char *since, *until, *class, *addr, *node, *by, *how, *sort, *limit, *spool;
	bool details;
};

struct flow_choice {
	struct flow_filter filter;
	struct flow_view view;
	size_t limit; /* rows of each class; 0: all */
	bool details; /* show all that is known of how connections went */
};

/* Checks the texts. Nodes are looked for in the book, by texts that must outlive it. CTL_OK, or CTL_USAGE
 * with a message. */
int flow_options_read(struct ctl *ctl, const struct flow_options *options, struct node_book *book,
		      struct flow_choice *ret_choice);
