/* SPDX-License-Identifier: BSD-3-Clause */
/* Rows with an index by what the group keeps of a connection; sorted only when the rows are read. */

#include "control/flow_sum.h"

#include "common/cleanup.h"
#include "common/hash_index.h"
#include "common/message.h"

#include <errno.h>
#include <string.h>

#define ROWS_MAX 1000000

struct flow_sum {
	enum flow_group group;
	struct flow_row *rows;
	size_t n, allocated;
	struct hash_index index;
	uint64_t beyond;
};

static const char *const group_names[] = {
	[FLOW_BY_CONNECTION] = "connection",
	[FLOW_BY_NODE] = "node",
	[FLOW_BY_PEER] = "peer",
	[FLOW_BY_PORT] = "port",
	[FLOW_BY_CLASS] = "class",
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

int flow_sum_new(enum flow_group group, struct flow_sum **ret_sum)
{
	struct flow_sum *sum = calloc(1, sizeof(*sum));

	if (!sum)
		return -ENOMEM;
	sum->group = group;
	*ret_sum = sum;
	return 0;
}

void flow_sum_reset(struct flow_sum *sum)
{
	for (size_t i = 0; i < sum->n; i++) {
		free(sum->rows[i].src_name);
		free(sum->rows[i].dst_name);
	}
	free(sum->rows);
	hash_index_deinit(&sum->index);
	*sum = (struct flow_sum){.group = sum->group};
}

void flow_sum_free(struct flow_sum *sum)
{
	if (!sum)
		return;
	flow_sum_reset(sum);
	free(sum);
}

/* What the group keeps of a connection. */
static struct connection group_connection(enum flow_group group, enum traffic_class class,
					  const struct connection *connection)
{
	bool physical = class == CLASS_PHYSICAL;
	uint16_t src = connection->src.port, dst = connection->dst.port;
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
	case FLOW_BY_PORT:
		kept.proto = connection->proto;
		kept.dst.port = src == 0 || (dst != 0 && dst < src) ? dst : src;
		break;
	case FLOW_BY_CLASS:
		break;
	}
	return kept;
}

static uint32_t hash_bytes(uint32_t hash, const void *data, size_t n)
{
	const uint8_t *bytes = data;

	/* FNV-1a: a log is not an adversary's choice to the point where it would matter here. */
	for (size_t i = 0; i < n; i++)
		hash = (hash ^ bytes[i]) * UINT32_C(16777619);
	return hash;
}

static uint32_t hash_key(enum traffic_class class, const struct connection *connection)
{
	uint32_t hash = hash_bytes(UINT32_C(2166136261), &class, sizeof(class));

	hash = hash_bytes(hash, connection->src.address.bytes, sizeof(connection->src.address.bytes));
	hash = hash_bytes(hash, &connection->src.port, sizeof(connection->src.port));
	hash = hash_bytes(hash, connection->dst.address.bytes, sizeof(connection->dst.address.bytes));
	hash = hash_bytes(hash, &connection->dst.port, sizeof(connection->dst.port));
	return hash_bytes(hash, &connection->proto, sizeof(connection->proto));
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

static int make_room(struct flow_sum *sum)
{
	size_t more = sum->allocated > 0 ? sum->allocated * 2 : 64;
	struct flow_row *rows;

	if (hash_index_reserve(&sum->index, sum->n + 1) < 0)
		return -ENOMEM;
	if (sum->n < sum->allocated)
		return 0;
	rows = reallocarray(sum->rows, more, sizeof(*rows));
	if (!rows)
		return -ENOMEM;
	sum->rows = rows;
	sum->allocated = more;
	return 0;
}

static int set_name(char **name, const char *new_name)
{
	char *copy;

	if (!new_name || (*name && strcmp(*name, new_name) == 0))
		return 0;
	copy = strdup(new_name);
	if (!copy)
		return -ENOMEM;
	free(*name);
	*name = copy;
	return 0;
}

static int add_entry(struct flow_sum *sum, const struct message *message, enum traffic_class class,
		     const struct flow *flow)
{
	struct flow_row *row, key = {.class = class, .first = message->start, .last = message->end};
	struct hash_slot *slot;
	const char *src, *dst;
	uint32_t hash;

	if (make_room(sum) < 0)
		return -ENOMEM;
	key.connection = group_connection(sum->group, class, &flow->connection);
	hash = hash_key(class, &key.connection);
	slot = find_slot(sum, &key, hash);
	if (!slot->item) {
		if (sum->n == ROWS_MAX) {
			sum->beyond++;
			return 0;
		}
		hash_slot_take(slot, hash, sum->n);
		sum->rows[sum->n++] = key;
	}
	row = &sum->rows[slot->item - 1];
	counts_add(&row->counts, &flow->counts);
	row->entries++;
	row->first = MIN(row->first, message->start);
	row->last = MAX(row->last, message->end);
	/*
	 * Looking up names takes long and they rarely change: done at a row's entries 1, 2, 4, 8, ...
	 */
	if ((!message->src_node && !message->dst_nodes) || (row->entries & (row->entries - 1)) != 0)
		return 0;
	src = message_node_name(message, &row->connection.src.address);
	dst = message_node_name(message, &row->connection.dst.address);
	return set_name(&row->src_name, src) < 0 || set_name(&row->dst_name, dst) < 0 ? -ENOMEM : 0;
}

int flow_sum_add(struct flow_sum *sum, const struct message *message, const struct flow_filter *filter)
{
	struct message_entries entries = message_entries(message);
	enum traffic_class class;
	struct flow flow;
	int r, n = 0;

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
	return sum->beyond;
}

static uint64_t row_bytes(const struct flow_row *row)
{
	return row->counts.tx_bytes + row->counts.rx_bytes;
}

static int compare_rows(const void *a, const void *b)
{
	const struct flow_row *x = a, *y = b;

	if (x->class != y->class)
		return x->class < y->class ? -1 : 1;
	if (row_bytes(x) != row_bytes(y))
		return row_bytes(x) > row_bytes(y) ? -1 : 1;
	return connection_compare(&x->connection, &y->connection);
}

const struct flow_row *flow_sum_sorted(struct flow_sum *sum, size_t *ret_n)
{
	*ret_n = sum->n;
	if (sum->n > 1)
		qsort(sum->rows, sum->n, sizeof(*sum->rows), compare_rows);
	/* The rows lie elsewhere now. It has room for one more, even if none came: that memory stays. */
	hash_index_clear(&sum->index, sum->n + 1);
	for (size_t i = 0; i < sum->n; i++) {
		uint32_t hash = hash_key(sum->rows[i].class, &sum->rows[i].connection);

		hash_slot_take(find_slot(sum, &sum->rows[i], hash), hash, i);
	}
	return sum->rows;
}
