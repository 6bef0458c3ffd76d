/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* Sums of flows as people and programs read them: a label for a row, a JSON object, a table. */

#include "control/flow_options.h"

#include <jansson.h>

struct ctl;

/*
 * A row's name for people: what the group is made of, in one cell. resolve: nodes' labels instead of
 * addresses, of which there may be several: then it is the lowest. Owned by the caller; NULL: no memory.
 */
char *flow_row_label(enum flow_group group, const struct flow_row *row, bool resolve);

/* A row as a JSON object (new reference); NULL: no memory. */
json_t *flow_row_json(enum flow_group group, const struct flow_row *row);

/*
 * Prints a sum as one JSON object: {"start","end","rows"}, the times those of the first and last
 * window, left out where there is no row.
 * CTL_OK or CTL_FAILED.
 */
int flow_table_print_json(struct ctl *ctl, struct flow_sum *sum, const struct flow_choice *choice,
			  int64_t start, int64_t end);

/*
 * Prints a sum as a table; with rates over ns if that is not 0. columns and lines limit its size (0: no
 * limit). CTL_OK or CTL_FAILED.
 */
int flow_table_print(struct ctl *ctl, struct flow_sum *sum, const struct flow_choice *choice, int64_t ns,
		     size_t columns, size_t lines);
