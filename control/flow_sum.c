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
	struct node_book *book;
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

bool flow_filter_chooses(const struct flow_filter *filter)
{
	return filter->has_class || filter->has_prefix || filter->wanted;
}

bool flow_filter_takes(const struct flow_filter *filter, enum traffic_class class,
		       const struct connection *connection)
{
	unsigned int wanted;

	if (filter->has_class && class != filter->class)
		return false;
	if (filter->has_prefix && !prefix_contains(&filter->prefix, &connection->src.address) &&
	    !prefix_contains(&filter->prefix, &connection->dst.address))
		return false;
	if (!filter->wanted)
		return true;
	wanted = node_book_wanted(filter->book, &connection->src.address);
	/* The endpoint of a peer is an address in another network. */
	if (class != CLASS_PHYSICAL)
		wanted |= node_book_wanted(filter->book, &connection->dst.address);
	return (filter->wanted & ~wanted) == 0;
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

int flow_sum_new(const struct flow_view *view, struct node_book *book, struct flow_sum **ret_sum)
{
	_cleanup_(flow_sum_freep) struct flow_sum *sum = calloc(1, sizeof(*sum));
	const struct flow_view connections = {.group = FLOW_BY_CONNECTION};

	if (!sum)
		return -ENOMEM;
	sum->view = *view;
	sum->book = book;
	if (view->how != COURSE_UNKNOWN && flow_sum_new(&connections, book, &sum->connections) < 0)
		return -ENOMEM;
	*ret_sum = TAKE_PTR(sum);
	return 0;
}

static void forget_rows(struct flow_sum *sum)
{
	free(sum->rows);
	hash_index_deinit(&sum->index);
	*sum = (struct flow_sum){.view = sum->view, .book = sum->book, .connections = sum->connections};
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

/* The node of an end of a row, whose address is one of the tunnel's; not of an endpoint of physical traffic.
 */
static bool dst_may_be_node(enum flow_group group, enum traffic_class class)
{
	return class != CLASS_PHYSICAL || group == FLOW_BY_PEER || group == FLOW_BY_PAIR;
}

static void keep_end(struct endpoint *end, struct book_node **node, const struct address *address,
		     struct book_node *of)
{
	end->address = *address;
	*node = of;
}

/* What the group keeps of a connection between two nodes. */
static struct flow_row make_key(enum flow_group group, enum traffic_class class, const struct flow *flow,
				struct book_node *src_node, struct book_node *dst_node)
{
	const struct connection *connection = &flow->connection;
	const struct address *src = &connection->src.address, *dst = &connection->dst.address;
	bool physical = class == CLASS_PHYSICAL, turned = service_of(flow) == &connection->src;
	struct flow_row key = {.class = class};
	struct connection *kept = &key.connection;

	switch (group) {
	case FLOW_BY_CONNECTION:
		*kept = *connection;
		key.src_node = src_node;
		key.dst_node = dst_node;
		break;
	case FLOW_BY_NODE:
		if (!physical)
			keep_end(&kept->src, &key.src_node, src, src_node);
		break;
	case FLOW_BY_PAIR:
		if (!physical)
			keep_end(&kept->src, &key.src_node, src, src_node);
		keep_end(&kept->dst, &key.dst_node, physical ? src : dst, physical ? src_node : dst_node);
		break;
	case FLOW_BY_PEER:
		keep_end(&kept->dst, &key.dst_node, physical ? src : dst, physical ? src_node : dst_node);
		break;
	case FLOW_BY_PORT:
		kept->proto = connection->proto;
		kept->dst.port = service_of(flow)->port;
		break;
	case FLOW_BY_SERVICE:
		kept->proto = connection->proto;
		kept->dst = physical || !turned ? connection->dst : connection->src;
		key.dst_node = physical || !turned ? dst_node : src_node;
		break;
	case FLOW_BY_CLIENT:
		if (!physical)
			keep_end(&kept->src, &key.src_node, turned ? dst : src, turned ? dst_node : src_node);
		break;
	case FLOW_BY_CLASS:
		break;
	}
	return key;
}

static uint32_t hash_end(uint32_t hash, const struct endpoint *end, const struct book_node *node)
{
	hash = rows_hash(hash, &end->port, sizeof(end->port));
	if (node)
		return rows_hash(hash, &node->number, sizeof(node->number));
	return rows_hash(hash, end->address.bytes, sizeof(end->address.bytes));
}

static uint32_t hash_key(const struct flow_row *key)
{
	uint32_t hash = rows_hash(ROWS_HASH_START, &key->class, sizeof(key->class));

	hash = hash_end(hash, &key->connection.src, key->src_node);
	hash = hash_end(hash, &key->connection.dst, key->dst_node);
	return rows_hash(hash, &key->connection.proto, sizeof(key->connection.proto));
}

static bool is_row(const void *owner, size_t item, const void *key)
{
	const struct flow_sum *sum = owner;
	const struct flow_row *row = &sum->rows[item], *wanted = key;
	const struct connection *a = &row->connection, *b = &wanted->connection;

	if (row->class != wanted->class || row->src_node != wanted->src_node ||
	    row->dst_node != wanted->dst_node)
		return false;
	if (sum->view.group == FLOW_BY_CONNECTION)
		return connection_compare(a, b) == 0;
	return a->proto == b->proto && a->src.port == b->src.port && a->dst.port == b->dst.port &&
	       (row->src_node || address_compare(&a->src.address, &b->src.address) == 0) &&
	       (row->dst_node || address_compare(&a->dst.address, &b->dst.address) == 0);
}

static struct hash_slot *find_slot(const struct flow_sum *sum, const struct flow_row *row, uint32_t hash)
{
	return hash_index_find(&sum->index, hash, is_row, sum, row);
}

/* The same, told from its other end. */
static void turn_row(struct flow_row *row)
{
	const struct flow_row as_it_was = *row;

	row->connection.src = as_it_was.connection.dst;
	row->connection.dst = as_it_was.connection.src;
	row->src_node = as_it_was.dst_node;
	row->dst_node = as_it_was.src_node;
	row->counts = (struct counts){
		.tx_packets = as_it_was.counts.rx_packets,
		.tx_bytes = as_it_was.counts.rx_bytes,
		.rx_packets = as_it_was.counts.tx_packets,
		.rx_bytes = as_it_was.counts.tx_bytes,
	};
	row->tx_drops = as_it_was.rx_drops;
	row->rx_drops = as_it_was.tx_drops;
	row->tx_flags = as_it_was.rx_flags;
	row->rx_flags = as_it_was.tx_flags;
	if (as_it_was.opener == OPENER_SRC || as_it_was.opener == OPENER_DST)
		row->opener = as_it_was.opener == OPENER_SRC ? OPENER_DST : OPENER_SRC;
}

/* The row's slot. A pair is one row, told as it was first: a node that relays sees its connections from
 * either end. */
static struct hash_slot *find_either(const struct flow_sum *sum, struct flow_row *row, uint32_t *ret_hash)
{
	uint32_t hash = hash_key(row), turned_hash;
	struct hash_slot *slot = find_slot(sum, row, hash), *turned;

	*ret_hash = hash;
	if (slot->item || sum->view.group != FLOW_BY_PAIR || row->class == CLASS_PHYSICAL)
		return slot;
	turn_row(row);
	turned_hash = hash_key(row);
	turned = find_slot(sum, row, turned_hash);
	if (turned->item) {
		*ret_hash = turned_hash;
		return turned;
	}
	turn_row(row);
	return slot;
}

static void keep_lowest(struct address *address, const struct address *other)
{
	if (address_compare(other, address) < 0)
		*address = *other;
}

static void add_counts(struct flow_row *row, const struct flow_row *more)
{
	counts_add(&row->counts, &more->counts);
	row->starts += more->starts;
	row->ends += more->ends;
	row->refused += more->refused;
	row->tx_drops += more->tx_drops;
	row->rx_drops += more->rx_drops;
	row->tx_flags |= more->tx_flags;
	row->rx_flags |= more->rx_flags;
	/* Connections that began in turn from either end; while a later part just may not tell. */
	row->openers_differ = row->openers_differ || more->openers_differ ||
			      (row->opener && more->opener && row->opener != more->opener);
	row->opener = row->opener ? row->opener : more->opener;
	row->entries += more->entries;
	row->first = MIN(row->first, more->first);
	row->last = MAX(row->last, more->last);
	keep_lowest(&row->connection.src.address, &more->connection.src.address);
	keep_lowest(&row->connection.dst.address, &more->connection.dst.address);
}

/* Adds what is a row already to the one with its key, or as a new one. 0 or -ENOMEM. */
static int add_row(struct flow_sum *sum, const struct flow_row *whole)
{
	struct flow_row row = *whole, *rows;
	struct hash_slot *slot;
	uint32_t hash;

	rows = rows_make_room(&sum->index, sum->rows, sum->n, &sum->allocated, sizeof(*rows));
	if (!rows)
		return -ENOMEM;
	sum->rows = rows;
	slot = find_either(sum, &row, &hash);
	if (slot->item) {
		add_counts(&rows[slot->item - 1], &row);
	} else if (sum->n == ROWS_MAX) {
		sum->beyond++;
	} else {
		hash_slot_take(slot, hash, sum->n);
		rows[sum->n++] = row;
	}
	return 0;
}

/* A row with what is said of a flow, and how it went. */
static void set_flow(struct flow_row *row, const struct flow *flow)
{
	const struct details *details = &flow->details;

	row->counts = flow->counts;
	row->starts = details->starts;
	row->ends = details->ends;
	row->tx_drops = details->tx_drops;
	row->rx_drops = details->rx_drops;
	row->tx_flags = details->tx_flags;
	row->rx_flags = details->rx_flags;
	row->opener = details->opener;
	row->openers_differ = details->starts > 0 && !course_has_opener(details);
}

static int add_entry(struct flow_sum *sum, const struct message *message, enum traffic_class class,
		     const struct flow *flow)
{
	enum flow_group group = sum->view.group;
	struct book_node *src = NULL, *dst = NULL;
	struct flow_row row;

	if (group != FLOW_BY_PORT && group != FLOW_BY_CLASS) {
		src = node_book_find(sum->book, &flow->connection.src.address);
		if (class != CLASS_PHYSICAL)
			dst = node_book_find(sum->book, &flow->connection.dst.address);
	}
	row = make_key(group, class, flow, src, dst);
	set_flow(&row, flow);
	row.first = message->start;
	row.last = message->end;
	row.entries = 1;
	if (flow->details.starts > 0 && course_of(flow) == COURSE_REFUSED)
		row.refused = flow->details.starts;
	return add_row(sum, &row);
}

/* Adds a connection's row if it went as wanted. */
static int add_connection(struct flow_sum *sum, const struct flow_row *connection)
{
	const struct flow flow = flow_row_flow(connection);
	struct flow_row row;

	if (flow_row_course(connection) != sum->view.how)
		return 0;
	row = make_key(sum->view.group, connection->class, &flow, connection->src_node, connection->dst_node);
	set_flow(&row, &flow);
	/* A sum may be beyond what a flow's details hold. */
	row.starts = connection->starts;
	row.ends = connection->ends;
	row.tx_drops = connection->tx_drops;
	row.rx_drops = connection->rx_drops;
	row.refused = sum->view.how == COURSE_REFUSED ? connection->starts : 0;
	row.entries = connection->entries;
	row.first = connection->first;
	row.last = connection->last;
	return add_row(sum, &row);
}

/*
 * Rows of what turned out to be one node become one. Ends that are not part of the group have no address, and
 * so no node.
 */
static int settle_rows(struct flow_sum *sum)
{
	size_t n = sum->n, changed = 0;
	int r;

	if (node_book_is_empty(sum->book))
		return 0;
	for (size_t i = 0; i < n; i++) {
		struct flow_row *row = &sum->rows[i];
		struct book_node *src =
			node_book_settle(sum->book, row->src_node, &row->connection.src.address);
		struct book_node *dst = row->dst_node;

		if (dst_may_be_node(sum->view.group, row->class))
			dst = node_book_settle(sum->book, dst, &row->connection.dst.address);
		changed += src != row->src_node || dst != row->dst_node;
		row->src_node = src;
		row->dst_node = dst;
	}
	if (changed == 0)
		return 0;
	hash_index_clear(&sum->index, n);
	sum->n = 0;
	for (size_t i = 0; i < n; i++) {
		/* It goes to a place before its own, or into another one's. */
		const struct flow_row row = sum->rows[i];

		r = add_row(sum, &row);
		if (r < 0)
			return r;
	}
	return 0;
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
	int order;

	if (x->class != y->class)
		return x->class < y->class ? -1 : 1;
	for (size_t i = 0; i < ARRAY_SIZE(sorts); i++)
		if (sort_key(x, sorts[i]) != sort_key(y, sorts[i]))
			return sort_key(x, sorts[i]) > sort_key(y, sorts[i]) ? -1 : 1;
	order = connection_compare(&x->connection, &y->connection);
	if (order == 0)
		order = book_node_compare(x->src_node, y->src_node);
	return order ? order : book_node_compare(x->dst_node, y->dst_node);
}

int flow_sum_sorted(struct flow_sum *sum, const struct flow_row **ret_rows, size_t *ret_n)
{
	int r;

	if (sum->book && node_book_label(sum->book) < 0)
		return -ENOMEM;
	if (sum->connections) {
		r = settle_rows(sum->connections);
		if (r < 0)
			return r;
		forget_rows(sum);
		for (size_t i = 0; i < sum->connections->n; i++) {
			r = add_connection(sum, &sum->connections->rows[i]);
			if (r < 0)
				return r;
		}
	}
	r = settle_rows(sum);
	if (r < 0)
		return r;
	if (sum->n > 1)
		qsort_r(sum->rows, sum->n, sizeof(*sum->rows), compare_rows, &sum->view);
	/* The rows lie elsewhere now. The index may have had room for more, and gives its memory back then.
	 */
	hash_index_clear(&sum->index, sum->n);
	if (hash_index_reserve(&sum->index, sum->n) < 0)
		return -ENOMEM;
	for (size_t i = 0; i < sum->n; i++) {
		uint32_t hash = hash_key(&sum->rows[i]);

		hash_slot_take(find_slot(sum, &sum->rows[i], hash), hash, i);
	}
	*ret_rows = sum->rows;
	*ret_n = sum->n;
	return 0;
}
