/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* The options by which flows, report and top choose traffic: --since --until --class --addr --by. */

#include "control/flow_sum.h"

#include <jansson.h>

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

/*
 * A row's name for people: what the group is made of, in one cell. Owned by the caller; NULL: no memory.
 */
char *flow_row_label(enum flow_group group, const struct flow_row *row, bool resolve);

/* A row as a JSON object (new reference). */
json_t *flow_row_json(enum flow_group group, const struct flow_row *row);

/*
 * Prints a sum as a table; rates over ns if it is not 0. columns and lines are the room there is (0: any).
 * CTL_OK or CTL_FAILED.
 */
int flow_sum_print(struct ctl *ctl, struct flow_sum *sum, const struct flow_choice *choice, int64_t ns,
		   size_t columns, size_t lines);
