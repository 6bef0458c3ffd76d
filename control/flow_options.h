/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* The options by which flows, report and top choose traffic: --since --until --class --addr --by --limit. */

#include "control/flow_sum.h"

struct ctl;

struct flow_options {
	const char *since, *until, *class, *addr, *by, *limit, *spool;
};

struct flow_choice {
	struct flow_filter filter;
	enum flow_group group;
	size_t limit; /* rows of each class; 0: all */
};

/* Checks the texts. CTL_OK, or CTL_USAGE with a message. */
int flow_options_read(struct ctl *ctl, const struct flow_options *options, struct flow_choice *ret_choice);
