/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * Sums over the entries of many messages, by connection, node, peer, port or class, for reports and for live
 * views. Physical traffic carries the traffic of the other classes again, so classes are never added up.
 */

#include "common/cleanup.h"
#include "common/connection.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct message;
struct flow_sum;

enum flow_group {
	FLOW_BY_CONNECTION,
	FLOW_BY_NODE, /* the node's side: the source; of physical traffic, this node */
	FLOW_BY_PEER, /* the other side: the destination; of physical traffic, the peer (not its endpoint) */
	FLOW_BY_PORT, /* protocol and the lower of the two ports, which is the service's as a rule */
	FLOW_BY_CLASS,
};

/* "connection", "node", "peer", "port", "class"; 0 or -EINVAL. */
int flow_group_parse(const char *text, enum flow_group *ret_group);

struct flow_filter {
	int64_t since, until; /* wall clock, ns; windows that overlap, both inclusive */
	bool has_class;
	enum traffic_class class;
	bool has_prefix;
	struct prefix prefix; /* source or destination lies in it */
};

bool flow_filter_takes_message(const struct flow_filter *filter, const struct message *message);
bool flow_filter_takes(const struct flow_filter *filter, enum traffic_class class,
		       const struct connection *connection);

struct flow_row {
	enum traffic_class class;
	struct connection connection; /* only what the group is made of */
	struct counts counts;
	uint64_t entries;
	int64_t first, last; /* times of the windows it was seen in */
	char *src_name;	     /* from the messages, or NULL */
	char *dst_name;
};

/* 0 or -errno. */
int flow_sum_new(enum flow_group group, struct flow_sum **ret_sum);
void flow_sum_free(struct flow_sum *sum);
DEFINE_CLEANUP(struct flow_sum *, flow_sum_free);
/* Forgets all rows. */
void flow_sum_reset(struct flow_sum *sum);
/*
 * Adds the entries of a message that the filter takes. Returns their number, -EBADMSG when the rest of the
 * message cannot be read, or -ENOMEM. Past a million rows new ones are only counted (flow_sum_beyond).
 */
int flow_sum_add(struct flow_sum *sum, const struct message *message, const struct flow_filter *filter);
uint64_t flow_sum_beyond(const struct flow_sum *sum);
/* All rows, by class, then by bytes in descending order. Borrowed until the next call. */
const struct flow_row *flow_sum_sorted(struct flow_sum *sum, size_t *ret_n);
