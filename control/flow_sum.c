/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Rows with an index by what the group keeps of a connection; sorted only when the rows are read.
 *
 * How a connection went is not told by one window: its SYN may be in one and the answer in the next. So sums
 * of connections that went in some way are made of sums by connection, when the rows are read.
 */

#include "control/flow_sum.h"

#include "common/cleanup.h"
#include "common/message.h"
#include "control/rows.h"

#include <errno.h>
#include <string.h>

struct flow_sum {
	struct flow_view view;
	struct flow_sum *connections; /* of which the rows are made, or NULL */
	struct flow_row *rows;
	size_t n, allocated;
	struct hash_index index;
	uint64_t beyond;
};

static const char *const group_names[] = {
	[FLOW_BY_CONNECTION] = "connection",
	[FLOW_BY_NODE] = "node",
	[FLOW_BY_PEER] = "peer",
	[FLOW_BY_PAIR] = "pair",
	[FLOW_BY_PORT] = "port",
	[FLOW_BY_CLASS] = "class",
	[FLOW_BY_SERVICE] = "service",
	[FLOW_BY_CLIENT] = "client",
};

static const char *const sort_names[] = {
	[FLOW_SORT_BYTES] = "bytes",	 [FLOW_SORT_PACKETS] = "packets", [FLOW_SORT_BEGUN] = "begun",
	[FLOW_SORT_REFUSED] = "refused", [FLOW_SORT_DROPPED] = "dropped",
};

int flow_group_parse(const char *text, enum flow_group *ret_group)
{
	for (size_t i = 0; i < ARRAY_SIZE(group_names); i++)
		if (strcmp(text, group_names[i]) == 0) {
			*ret_group = (enum flow_group)i;
			return 0;
		}
	return -EINVAL;
}

bool flow_group_has_ends(enum flow_group group)
{
	return group == FLOW_BY_CONNECTION || group == FLOW_BY_PAIR;
}

int flow_sort_parse(const char *text, enum flow_sort *ret_sort)
{
	for (size_t i = 0; i < ARRAY_SIZE(sort_names); i++)
		if (strcmp(text, sort_names[i]) == 0) {
			*ret_sort = (enum flow_sort)i;
			return 0;
		}
	return -EINVAL;
}

bool flow_filter_takes_message(const struct flow_filter *filter, const struct message *message)
{
	return message->has_window && message->end >= filter->since && message->start <= filter->until;
}

bool flow_filter_takes(const struct flow_filter *filter, enum traffic_class class,
		       const struct connection *connection)
{
	if (filter->has_class && class != filter->class)
		return false;
	return !filter->has_prefix || prefix_contains(&filter->prefix, &connection->src.address) ||
	       prefix_contains(&filter->prefix, &connection->dst.address);
}

static uint32_t clamped(uint64_t count)
{
	return (uint32_t)MIN(count, UINT32_MAX);
}

struct flow flow_row_flow(const struct flow_row *row)
{
	return (struct flow){
		.connection = row->connection,
		.counts = row->counts,
		.details =
			{
				.starts = clamped(row->starts),
				.ends = clamped(row->ends),
				.tx_drops = clamped(row->tx_drops),
				.rx_drops = clamped(row->rx_drops),
				.tx_flags = row->tx_flags,
				.rx_flags = row->rx_flags,
				.opener = row->openers_differ ? OPENER_UNKNOWN : row->opener,
			},
	};
}

enum course flow_row_course(const struct flow_row *row)
{
	struct flow flow = flow_row_flow(row);

	/* Whether all that was received was dropped is told by comparing the two: both are made less. */
	flow.counts.rx_packets -= MIN(flow.counts.rx_packets, row->rx_drops - flow.details.rx_drops);
	return course_of(&flow);
}

int flow_sum_new(const struct flow_view *view, struct flow_sum **ret_sum)
{
	_cleanup_(flow_sum_freep) struct flow_sum *sum = calloc(1, sizeof(*sum));
	const struct flow_view connections = {.group = FLOW_BY_CONNECTION};

	if (!sum)
		return -ENOMEM;
	sum->view = *view;
	if (view->how != COURSE_UNKNOWN && flow_sum_new(&connections, &sum->connections) < 0)
		return -ENOMEM;
	*ret_sum = TAKE_PTR(sum);
	return 0;
}

static void forget_rows(struct flow_sum *sum)
{
	for (size_t i = 0; i < sum->n; i++) {
		free(sum->rows[i].src_name);
		free(sum->rows[i].dst_name);
	}
	free(sum->rows);
	hash_index_deinit(&sum->index);
	*sum = (struct flow_sum){.view = sum->view, .connections = sum->connections};
}

void flow_sum_reset(struct flow_sum *sum)
{
	forget_rows(sum);
	if (sum->connections)
		flow_sum_reset(sum->connections);
}

void flow_sum_free(struct flow_sum *sum)
{
	if (!sum)
		return;
	forget_rows(sum);
	flow_sum_free(sum->connections);
	free(sum);
}

/* The end that did not open the connection, or is likely not to have. */
static const struct endpoint *service_of(const struct flow *flow)
{
	const struct endpoint *src = &flow->connection.src, *dst = &flow->connection.dst;

	if (course_has_opener(&flow->details))
		return flow->details.opener == OPENER_SRC ? dst : src;
	return src->port == 0 || (dst->port != 0 && dst->port < src->port) ? dst : src;
}

/* What the group keeps of a connection. */
static struct connection group_connection(enum flow_group group, enum traffic_class class,
					  const struct flow *flow)
{
	const struct connection *connection = &flow->connection;
	bool physical = class == CLASS_PHYSICAL;
	struct connection kept = {};

	switch (group) {
	case FLOW_BY_CONNECTION:
		kept = *connection;
		break;
	case FLOW_BY_NODE:
		if (!physical)
			kept.src.address = connection->src.address;
		break;
	case FLOW_BY_PEER:
		kept.dst.address = physical ? connection->src.address : connection->dst.address;
		break;
	case FLOW_BY_PAIR:
		if (!physical)
			kept.src.address = connection->src.address;
		kept.dst.address = physical ? connection->src.address : connection->dst.address;
		break;
	case FLOW_BY_PORT:
		kept.proto = connection->proto;
		kept.dst.port = service_of(flow)->port;
		break;
	case FLOW_BY_SERVICE:
		kept.proto = connection->proto;
		kept.dst = physical ? connection->dst : *service_of(flow);
		break;
	case FLOW_BY_CLIENT:
		if (!physical)
			kept.src.address = service_of(flow) == &connection->dst ? connection->src.address
										: connection->dst.address;
		break;
	case FLOW_BY_CLASS:
		break;
	}
	return kept;
}

static uint32_t hash_key(enum traffic_class class, const struct connection *connection)
{
	uint32_t hash = rows_hash(ROWS_HASH_START, &class, sizeof(class));

	hash = rows_hash(hash, connection->src.address.bytes, sizeof(connection->src.address.bytes));
	hash = rows_hash(hash, &connection->src.port, sizeof(connection->src.port));
	hash = rows_hash(hash, connection->dst.address.bytes, sizeof(connection->dst.address.bytes));
	hash = rows_hash(hash, &connection->dst.port, sizeof(connection->dst.port));
	return rows_hash(hash, &connection->proto, sizeof(connection->proto));
}

static bool is_row(const void *sum, size_t item, const void *key)
{
	const struct flow_row *row = &((const struct flow_sum *)sum)->rows[item], *wanted = key;

	return row->class == wanted->class && connection_compare(&row->connection, &wanted->connection) == 0;
}

static struct hash_slot *find_slot(const struct flow_sum *sum, const struct flow_row *row, uint32_t hash)
{
	return hash_index_find(&sum->index, hash, is_row, sum, row);
}

/* A pair is one row, told as it was first: a node that relays sees its connections from either end. */
static struct flow as_in_sum(const struct flow_sum *sum, enum traffic_class class, const struct flow *flow)
{
	struct flow_row key = {.class = class};
	struct flow told = *flow;

	if (sum->view.group != FLOW_BY_PAIR || class == CLASS_PHYSICAL || sum->n == 0)
		return told;
	for (int turn = 0; turn < 2; turn++) {
		key.connection = group_connection(FLOW_BY_PAIR, class, &told);
		if (find_slot(sum, &key, hash_key(class, &key.connection))->item)
			return told;
		told = course_turned(&told);
	}
	return told; /* turned twice */
}

/*
 * The row of a key, made if there is none; its names and sums are the caller's to add. NULL in *ret_row:
 * there are too many. 0 or -ENOMEM.
 */
static int take_row(struct flow_sum *sum, const struct flow_row *key, struct flow_row **ret_row)
{
	uint32_t hash = hash_key(key->class, &key->connection);
	struct hash_slot *slot;
	struct flow_row *row;

	row = rows_make_room(&sum->index, sum->rows, sum->n, &sum->allocated, sizeof(*row));
	if (!row)
		return -ENOMEM;
	sum->rows = row;
	*ret_row = NULL;
	slot = find_slot(sum, key, hash);
	if (!slot->item) {
		if (sum->n == ROWS_MAX) {
			sum->beyond++;
			return 0;
		}
		hash_slot_take(slot, hash, sum->n);
		sum->rows[sum->n++] = *key;
	}
	row = &sum->rows[slot->item - 1];
	row->first = MIN(row->first, key->first);
	row->last = MAX(row->last, key->last);
	*ret_row = row;
	return 0;
}

/* Flags and opener; the numbers are the caller's to add. */
static void add_details(struct flow_row *row, const struct details *details)
{
	row->tx_flags |= details->tx_flags;
	row->rx_flags |= details->rx_flags;
	/* Connections that began in turn from either end; while a later part just may not tell. */
	row->openers_differ = row->openers_differ || (details->starts > 0 && !course_has_opener(details)) ||
			      (row->opener && details->opener && row->opener != details->opener);
	row->opener = row->opener ? row->opener : details->opener;
}

static int add_entry(struct flow_sum *sum, const struct message *message, enum traffic_class class,
		     const struct flow *entry)
{
	struct flow_row *row, key = {.class = class, .first = message->start, .last = message->end};
	const struct flow flow = as_in_sum(sum, class, entry);
	const char *src, *dst;
	int r;

	key.connection = group_connection(sum->view.group, class, &flow);
	r = take_row(sum, &key, &row);
	if (r < 0 || !row)
		return r;
	counts_add(&row->counts, &flow.counts);
	row->starts += flow.details.starts;
	row->ends += flow.details.ends;
	row->tx_drops += flow.details.tx_drops;
	row->rx_drops += flow.details.rx_drops;
	add_details(row, &flow.details);
	if (flow.details.starts > 0 && course_of(entry) == COURSE_REFUSED)
		row->refused += flow.details.starts;
	row->entries++;
	if (!rows_want_names(message, row->entries))
		return 0;
	src = message_node_name(message, &row->connection.src.address);
	dst = message_node_name(message, &row->connection.dst.address);
	return rows_set_name(&row->src_name, src) < 0 || rows_set_name(&row->dst_name, dst) < 0 ? -ENOMEM : 0;
}

/* The name that a connection's row has for an address. */
static const char *name_in_row(const struct flow_row *row, const struct address *address)
{
	if (address_compare(&row->connection.src.address, address) == 0)
		return row->src_name;
	return address_compare(&row->connection.dst.address, address) == 0 ? row->dst_name : NULL;
}

/* Adds a connection's row if it went as wanted. */
static int add_connection(struct flow_sum *sum, const struct flow_row *connection)
{
	struct flow_row *row,
		key = {.class = connection->class, .first = connection->first, .last = connection->last};
	struct flow flow = flow_row_flow(connection);
	bool turned;
	int r;

	if (flow_row_course(connection) != sum->view.how)
		return 0;
	flow = as_in_sum(sum, connection->class, &flow);
	turned = connection_compare(&flow.connection, &connection->connection) != 0;
	key.connection = group_connection(sum->view.group, connection->class, &flow);
	r = take_row(sum, &key, &row);
	if (r < 0 || !row)
		return r;
	counts_add(&row->counts, &flow.counts);
	row->starts += connection->starts;
	row->ends += connection->ends;
	row->tx_drops += turned ? connection->rx_drops : connection->tx_drops;
	row->rx_drops += turned ? connection->tx_drops : connection->rx_drops;
	add_details(row, &flow.details);
	row->refused += sum->view.how == COURSE_REFUSED ? connection->starts : 0;
	row->entries += connection->entries;
	if (rows_set_name(&row->src_name, name_in_row(connection, &row->connection.src.address)) < 0)
		return -ENOMEM;
	return rows_set_name(&row->dst_name, name_in_row(connection, &row->connection.dst.address));
}

int flow_sum_add(struct flow_sum *sum, const struct message *message, const struct flow_filter *filter)
{
	struct message_entries entries = message_entries(message);
	enum traffic_class class;
	struct flow flow;
	int r, n = 0;

	if (sum->connections)
		return flow_sum_add(sum->connections, message, filter);
	while ((r = message_entries_next(&entries, &class, &flow)) > 0) {
		if (!flow_filter_takes(filter, class, &flow.connection))
			continue;
		r = add_entry(sum, message, class, &flow);
		if (r < 0)
			return r;
		n++;
	}
	return r < 0 ? r : n;
}

uint64_t flow_sum_beyond(const struct flow_sum *sum)
{
	return sum->beyond + (sum->connections ? flow_sum_beyond(sum->connections) : 0);
}

static uint64_t sort_key(const struct flow_row *row, enum flow_sort sort)
{
	switch (sort) {
	case FLOW_SORT_BYTES:
		break;
	case FLOW_SORT_PACKETS:
		return row->counts.tx_packets + row->counts.rx_packets;
	case FLOW_SORT_BEGUN:
		return row->starts;
	case FLOW_SORT_REFUSED:
		return row->refused;
	case FLOW_SORT_DROPPED:
		return row->tx_drops + row->rx_drops;
	}
	return row->counts.tx_bytes + row->counts.rx_bytes;
}

static int compare_rows(const void *a, const void *b, void *userdata)
{
	const struct flow_row *x = a, *y = b;
	const struct flow_view *view = userdata;
	enum flow_sort sorts[] = {view->sort, FLOW_SORT_BYTES};

	if (x->class != y->class)
		return x->class < y->class ? -1 : 1;
	for (size_t i = 0; i < ARRAY_SIZE(sorts); i++)
		if (sort_key(x, sorts[i]) != sort_key(y, sorts[i]))
			return sort_key(x, sorts[i]) > sort_key(y, sorts[i]) ? -1 : 1;
	return connection_compare(&x->connection, &y->connection);
}

int flow_sum_sorted(struct flow_sum *sum, const struct flow_row **ret_rows, size_t *ret_n)
{
	int r;

	if (sum->connections) {
		forget_rows(sum);
		for (size_t i = 0; i < sum->connections->n; i++) {
			r = add_connection(sum, &sum->connections->rows[i]);
			if (r < 0)
				return r;
		}
	}
	if (sum->n > 1)
		qsort_r(sum->rows, sum->n, sizeof(*sum->rows), compare_rows, &sum->view);
	/* The rows lie elsewhere now. The index may have had room for more, and gives its memory back then.
	 */
	hash_index_clear(&sum->index, sum->n);
	if (hash_index_reserve(&sum->index, sum->n) < 0)
		return -ENOMEM;
	for (size_t i = 0; i < sum->n; i++) {
		uint32_t hash = hash_key(sum->rows[i].class, &sum->rows[i].connection);

		hash_slot_take(find_slot(sum, &sum->rows[i], hash), hash, i);
	}
	*ret_rows = sum->rows;
	*ret_n = sum->n;
	return 0;
}
