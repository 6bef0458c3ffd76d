/* SPDX-License-Identifier: BSD-3-Clause */
/* Rows with an index by what they have in common. */

#include "control/denied_sum.h"

#include "common/message.h"
#include "control/rows.h"

#include <errno.h>
#include <string.h>

struct denied_sum {
	struct node_book *book;
	struct denied_row *rows;
	size_t n, allocated;
	struct hash_index index;
	uint64_t beyond;
};

int denied_sum_new(struct node_book *book, struct denied_sum **ret_sum)
{
	struct denied_sum *sum = calloc(1, sizeof(*sum));

	if (!sum)
		return -ENOMEM;
	sum->book = book;
	*ret_sum = sum;
	return 0;
}

void denied_sum_reset(struct denied_sum *sum)
{
	free(sum->rows);
	hash_index_deinit(&sum->index);
	*sum = (struct denied_sum){.book = sum->book};
}

void denied_sum_free(struct denied_sum *sum)
{
	if (!sum)
		return;
	denied_sum_reset(sum);
	free(sum);
}

static uint32_t hash_end(uint32_t hash, const struct address *address, const struct book_node *node)
{
	if (node)
		return rows_hash(hash, &node->number, sizeof(node->number));
	return rows_hash(hash, address->bytes, sizeof(address->bytes));
}

static uint32_t hash_row(const struct denied_row *row)
{
	uint32_t hash = rows_hash(ROWS_HASH_START, &row->class, sizeof(row->class));

	hash = rows_hash(hash, &row->proto, sizeof(row->proto));
	hash = hash_end(hash, &row->from, row->from_node);
	hash = hash_end(hash, &row->to.address, row->to_node);
	hash = rows_hash(hash, &row->to.port, sizeof(row->to.port));
	return rows_hash(hash, row->reason, strlen(row->reason));
}

static bool is_row(const void *sum, size_t item, const void *key)
{
	const struct denied_row *row = &((const struct denied_sum *)sum)->rows[item], *wanted = key;

	return row->class == wanted->class && row->proto == wanted->proto &&
	       row->to.port == wanted->to.port && row->from_node == wanted->from_node &&
	       row->to_node == wanted->to_node &&
	       (row->from_node || address_compare(&row->from, &wanted->from) == 0) &&
	       (row->to_node || address_compare(&row->to.address, &wanted->to.address) == 0) &&
	       strcmp(row->reason, wanted->reason) == 0;
}

/* The end that opened the connection, or sent most of what was dropped, is the source. */
static bool is_from_src(const struct details *details)
{
	if (details->opener == OPENER_SRC || details->opener == OPENER_DST)
		return details->opener == OPENER_SRC;
	return details->tx_drops > details->rx_drops;
}

static struct denied_row make_row(const struct denied_sum *sum, const struct message *message,
				  enum traffic_class class, const struct flow *flow,
				  const struct json_slice *reason)
{
	const struct connection *connection = &flow->connection;
	bool from_src = is_from_src(&flow->details);
	struct denied_row row = {
		.class = class,
		.proto = connection->proto,
		.from = from_src ? connection->src.address : connection->dst.address,
		.to = from_src ? connection->dst : connection->src,
		.reason = "-",
		.received = flow->details.rx_drops,
		.sent = flow->details.tx_drops,
		.entries = 1,
		.first = message->start,
		.last = message->end,
	};

	/* Tunnels' own datagrams are not dropped as far as anybody says; one of their ends is no node. */
	if (class != CLASS_PHYSICAL) {
		row.from_node = node_book_find(sum->book, &row.from);
		row.to_node = node_book_find(sum->book, &row.to.address);
	}
	if (reason->length > 0 && reason->length < sizeof(row.reason)) {
		memcpy(row.reason, reason->data, reason->length);
		row.reason[reason->length] = '\0';
	}
	return row;
}

/* Keeps the lowest of a node's addresses, and that there are several. */
static void join_addresses(struct address *address, bool *several, const struct address *other,
			   bool of_several)
{
	int order = address_compare(other, address);

	*several = *several || of_several || order != 0;
	if (order < 0)
		*address = *other;
}

static int add_row(struct denied_sum *sum, const struct denied_row *whole)
{
	const struct denied_row more = *whole;
	uint32_t hash = hash_row(&more);
	struct denied_row *row;
	struct hash_slot *slot;

	row = rows_make_room(&sum->index, sum->rows, sum->n, &sum->allocated, sizeof(*row));
	if (!row)
		return -ENOMEM;
	sum->rows = row;
	slot = hash_index_find(&sum->index, hash, is_row, sum, &more);
	if (!slot->item) {
		if (sum->n == ROWS_MAX) {
			sum->beyond++;
			return 0;
		}
		hash_slot_take(slot, hash, sum->n);
		sum->rows[sum->n++] = more;
		return 0;
	}
	row = &sum->rows[slot->item - 1];
	row->received += more.received;
	row->sent += more.sent;
	row->entries += more.entries;
	row->first = MIN(row->first, more.first);
	row->last = MAX(row->last, more.last);
	join_addresses(&row->from, &row->from_several, &more.from, more.from_several);
	join_addresses(&row->to.address, &row->to_several, &more.to.address, more.to_several);
	return 0;
}

int denied_sum_add(struct denied_sum *sum, const struct message *message, const struct flow_filter *filter)
{
	struct message_entries entries = message_entries(message);
	enum traffic_class class;
	struct flow flow;
	int r, n = 0;

	while ((r = message_entries_next(&entries, &class, &flow)) > 0) {
		struct denied_row row;

		if (!(flow.details.tx_drops | flow.details.rx_drops) ||
		    !flow_filter_takes(filter, class, &flow.connection))
			continue;
		row = make_row(sum, message, class, &flow, &entries.drop_reason);
		r = add_row(sum, &row);
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
	if (order == 0)
		order = strcmp(x->reason, y->reason);
	if (order == 0)
		order = book_node_compare(x->from_node, y->from_node);
	return order ? order : book_node_compare(x->to_node, y->to_node);
}

/* Rows of what turned out to be one node become one. */
static int settle_rows(struct denied_sum *sum)
{
	size_t n = sum->n, changed = 0;
	int r;

	if (n == 0 || node_book_is_empty(sum->book))
		return 0;
	for (size_t i = 0; i < n; i++) {
		struct denied_row *row = &sum->rows[i];
		struct book_node *from, *to;

		if (row->class == CLASS_PHYSICAL)
			continue;
		from = node_book_settle(sum->book, row->from_node, &row->from);
		to = node_book_settle(sum->book, row->to_node, &row->to.address);
		changed += from != row->from_node || to != row->to_node;
		row->from_node = from;
		row->to_node = to;
	}
	if (changed == 0)
		return 0;
	hash_index_clear(&sum->index, n);
	sum->n = 0;
	for (size_t i = 0; i < n; i++) {
		r = add_row(sum, &sum->rows[i]);
		if (r < 0)
			return r;
	}
	return 0;
}

int denied_sum_sorted(struct denied_sum *sum, const struct denied_row **ret_rows, size_t *ret_n)
{
	int r;

	if (sum->book && node_book_label(sum->book) < 0)
		return -ENOMEM;
	r = settle_rows(sum);
	if (r < 0)
		return r;
	if (sum->n > 1)
		qsort(sum->rows, sum->n, sizeof(*sum->rows), compare_rows);
	*ret_rows = sum->rows;
	*ret_n = sum->n;
	return 0;
}
