/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * Sums over the entries of many messages, by connection, node, peer, pair, port, service, client or class,
 * for reports and for live views. Physical traffic carries the traffic of the other classes again, so classes
 * are never added up. The ends of a row are nodes where they are known, with all their addresses, else
 * addresses; those of a connection are always addresses.
 */

#include "common/cleanup.h"
#include "common/connection.h"
#include "control/course.h"
#include "control/node_book.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct message;
struct flow_sum;

enum flow_group {
	FLOW_BY_CONNECTION,
	FLOW_BY_NODE, /* the node's side: the source; of physical traffic, this node */
	FLOW_BY_PEER, /* the other side: the destination; of physical traffic, the peer (not its endpoint) */
	FLOW_BY_PAIR, /* both sides, whichever of them is the source; of physical traffic, the peer alone */
	FLOW_BY_PORT, /* protocol and port of the end that did not open the connection; if that is not known
		       * the lower of the two ports, which is the service's as a rule */
	FLOW_BY_CLASS,
	FLOW_BY_SERVICE, /* the same, with that end's address */
	FLOW_BY_CLIENT,	 /* the other end's address; of physical traffic, this node */
};

/* "connection", "node", "peer", "pair", "port", "service", "client", "class"; 0 or -EINVAL. */
int flow_group_parse(const char *text, enum flow_group *ret_group);

/* Whether a row has two ends, so that it is told from the one that opened its connections. */
bool flow_group_has_ends(enum flow_group group);

/* What comes first, in each class. */
enum flow_sort {
	FLOW_SORT_BYTES,
	FLOW_SORT_PACKETS,
	FLOW_SORT_BEGUN,
	FLOW_SORT_REFUSED,
	FLOW_SORT_DROPPED,
};

/* "bytes", "packets", "begun", "refused", "dropped"; 0 or -EINVAL. */
int flow_sort_parse(const char *text, enum flow_sort *ret_sort);

struct flow_view {
	enum flow_group group;
	enum flow_sort sort;
	enum course how; /* only connections that went so, in all of the time; COURSE_UNKNOWN: any */
};

struct flow_filter {
	int64_t since, until; /* wall clock, ns; windows that overlap, both inclusive */
	bool has_class;
	enum traffic_class class;
	bool has_prefix;
	struct prefix prefix; /* source or destination lies in it */
	const struct node_book *book;
	unsigned int
		wanted; /* bits of node_book_want(): for each of them, source or destination is that node */
};

/* Whether it asks for more than a time. */
bool flow_filter_chooses(const struct flow_filter *filter);

bool flow_filter_takes_message(const struct flow_filter *filter, const struct message *message);
bool flow_filter_takes(const struct flow_filter *filter, enum traffic_class class,
		       const struct connection *connection);

struct flow_row {
	enum traffic_class class;
	struct connection connection; /* only what the group is made of; of a node its lowest address here */
	struct book_node *src_node, *dst_node; /* NULL: unknown; the row is the address's */
	struct counts counts;
	/* How it went; zero where nothing is known. */
	uint64_t starts, ends;	     /* connections that began and ended */
	uint64_t refused;	     /* of those that began: refused in the same window */
	uint64_t tx_drops, rx_drops; /* packets */
	uint8_t tx_flags, rx_flags, opener;
	bool openers_differ; /* opener is not known */
	uint64_t entries;
	int64_t first, last; /* times of the windows it was seen in */
};

/* A row with two ends as one flow, as messages have them. */
struct flow flow_row_flow(const struct flow_row *row);
/* How its connections went, as course_of(): also where a sum is beyond what a flow's details hold. */
enum course flow_row_course(const struct flow_row *row);

/* The book, which must outlive the sum, has to learn each message before the sum adds it. 0 or -errno. */
int flow_sum_new(const struct flow_view *view, struct node_book *book, struct flow_sum **ret_sum);
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
/*
 * All rows, by class, then most of what they are sorted by first; each node is one, also where only later
 * messages named it, and has its label. Borrowed until the next call. 0 or -ENOMEM.
 */
int flow_sum_sorted(struct flow_sum *sum, const struct flow_row **ret_rows, size_t *ret_n);
/* The place of sorted row i in its class, from 1; before: that of the row before it. */
static inline size_t flow_row_place(const struct flow_row *rows, size_t i, size_t before)
{
	return i > 0 && rows[i].class == rows[i - 1].class ? before + 1 : 1;
}
