/* SPDX-License-Identifier: BSD-3-Clause */
/* Rows with an index by what they have in common. */

#include "control/denied_sum.h"

#include "common/message.h"
#include "control/rows.h"

#include <errno.h>
#include <string.h>

struct denied_sum {
	struct denied_row *rows;
	size_t n, allocated;
	struct hash_index index;
	uint64_t beyond;
};

int denied_sum_new(struct denied_sum **ret_sum)
{
	struct denied_sum *sum = calloc(1, sizeof(*sum));

	if (!sum)
		return -ENOMEM;
	*ret_sum = sum;
	return 0;
}

void denied_sum_reset(struct denied_sum *sum)
{
	for (size_t i = 0; i < sum->n; i++) {
		free(sum->rows[i].from_name);
		free(sum->rows[i].to_name);
	}
	free(sum->rows);
	hash_index_deinit(&sum->index);
	*sum = (struct denied_sum){};
}

void denied_sum_free(struct denied_sum *sum)
{
	if (!sum)
		return;
	denied_sum_reset(sum);
	free(sum);
}

static uint32_t hash_row(const struct denied_row *row)
{
	uint32_t hash = rows_hash(ROWS_HASH_START, &row->class, sizeof(row->class));

	hash = rows_hash(hash, &row->proto, sizeof(row->proto));
	hash = rows_hash(hash, row->from.bytes, sizeof(row->from.bytes));
	hash = rows_hash(hash, row->to.address.bytes, sizeof(row->to.address.bytes));
	hash = rows_hash(hash, &row->to.port, sizeof(row->to.port));
	return rows_hash(hash, row->reason, strlen(row->reason));
}

static bool is_row(const void *sum, size_t item, const void *key)
{
	const struct denied_row *row = &((const struct denied_sum *)sum)->rows[item], *wanted = key;

	return row->class == wanted->class && row->proto == wanted->proto &&
	       row->to.port == wanted->to.port && address_compare(&row->from, &wanted->from) == 0 &&
	       address_compare(&row->to.address, &wanted->to.address) == 0 &&
	       strcmp(row->reason, wanted->reason) == 0;
}

/* The end that opened the connection, or sent most of what was dropped, is the source. */
static bool is_from_src(const struct details *details)
{
	if (details->opener == OPENER_SRC || details->opener == OPENER_DST)
		return details->opener == OPENER_SRC;
	return details->tx_drops > details->rx_drops;
}

static struct denied_row make_key(enum traffic_class class, const struct flow *flow,
				  const struct json_slice *reason)
{
	const struct connection *connection = &flow->connection;
	bool from_src = is_from_src(&flow->details);
	struct denied_row row = {.class = class, .proto = connection->proto, .reason = "-"};

	row.from = from_src ? connection->src.address : connection->dst.address;
	row.to = from_src ? connection->dst : connection->src;
	if (reason->length > 0 && reason->length < sizeof(row.reason)) {
		memcpy(row.reason, reason->data, reason->length);
		row.reason[reason->length] = '\0';
	}
	return row;
}

static int add_entry(struct denied_sum *sum, const struct message *message, const struct denied_row *key,
		     const struct details *details)
{
	uint32_t hash = hash_row(key);
	struct hash_slot *slot;
	struct denied_row *row;

	row = rows_make_room(&sum->index, sum->rows, sum->n, &sum->allocated, sizeof(*row));
	if (!row)
		return -ENOMEM;
	sum->rows = row;
	slot = hash_index_find(&sum->index, hash, is_row, sum, key);
	if (!slot->item) {
		if (sum->n == ROWS_MAX) {
			sum->beyond++;
			return 0;
		}
		hash_slot_take(slot, hash, sum->n);
		sum->rows[sum->n] = *key;
		sum->rows[sum->n].first = message->start;
		sum->rows[sum->n++].last = message->end;
	}
	row = &sum->rows[slot->item - 1];
	row->received += details->rx_drops;
	row->sent += details->tx_drops;
	row->entries++;
	row->first = MIN(row->first, message->start);
	row->last = MAX(row->last, message->end);
	if (!rows_want_names(message, row->entries))
		return 0;
	if (rows_set_name(&row->from_name, message_node_name(message, &row->from)) < 0)
		return -ENOMEM;
	return rows_set_name(&row->to_name, message_node_name(message, &row->to.address));
}

int denied_sum_add(struct denied_sum *sum, const struct message *message, const struct flow_filter *filter)
{
	struct message_entries entries = message_entries(message);
	enum traffic_class class;
	struct flow flow;
	int r, n = 0;

	while ((r = message_entries_next(&entries, &class, &flow)) > 0) {
		struct denied_row key;

		if (!(flow.details.tx_drops | flow.details.rx_drops) ||
		    !flow_filter_takes(filter, class, &flow.connection))
			continue;
		key = make_key(class, &flow, &entries.drop_reason);
		r = add_entry(sum, message, &key, &flow.details);
		if (r < 0)
			return r;
		n++;
	}
	return r < 0 ? r : n;
}

uint64_t denied_sum_beyond(const struct denied_sum *sum)
{
	return sum->beyond;
}

static int compare_rows(const void *a, const void *b)
{
	const struct denied_row *x = a, *y = b;
	uint64_t left = x->received + x->sent, right = y->received + y->sent;
	int order;

	if (left != right)
		return left > right ? -1 : 1;
	order = address_compare(&x->from, &y->from);
	if (order == 0)
		order = address_compare(&x->to.address, &y->to.address);
	if (order == 0)
		order = (int)x->to.port - (int)y->to.port;
	if (order == 0)
		order = (int)x->proto - (int)y->proto;
	return order ? order : strcmp(x->reason, y->reason);
}

const struct denied_row *denied_sum_sorted(struct denied_sum *sum, size_t *ret_n)
{
	*ret_n = sum->n;
	if (sum->n > 1)
		qsort(sum->rows, sum->n, sizeof(*sum->rows), compare_rows);
	return sum->rows;
}
