/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* A capped table of connections and their counts in user space, for sources that count packets themselves. */

#include "common/connection.h"
#include "common/hash_index.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct flow_counter {
	struct flows flows; /* in the order in which they came */
	struct hash_index index;
	size_t max_flows;
	uint64_t seed; /* so that nobody outside can choose what collides */
};

/* 0 or -errno of the random source. */
int flow_counter_init(struct flow_counter *table, size_t max_flows);
void flow_counter_deinit(struct flow_counter *table);

/* Adds to a connection's counts. Its flow, for a moment; NULL when there is no room for it (the cap, or
 * memory). */
struct flow *flow_counter_add(struct flow_counter *table, const struct connection *connection,
			      const struct counts *counts);

/* Hands over the flows (owned by the caller from now on) and starts empty again. */
void flow_counter_take(struct flow_counter *table, struct flows *ret_flows);
