/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One table for all groups. Connections and pairs are told from the end that opened them, which may be
 * either; the counts of all other groups are this node's, sent and received.
 */

#include "control/flow_table.h"

#include "common/message.h"
#include "common/plural.h"
#include "common/time_text.h"
#include "control/ctl.h"
#include "control/message_table.h"
#include "control/table.h"
#include "control/units.h"

#include <string.h>

/* Of a row with two ends. */
static char *ends_label(enum flow_group group, const struct flow_row *row, bool resolve)
{
	const char *src_name = resolve ? book_node_label(row->src_node) : NULL;
	const char *dst_name = resolve ? book_node_label(row->dst_node) : NULL;
	const struct flow flow = flow_row_flow(row), told = course_from_opener(&flow);
	bool turned = flow.details.opener == OPENER_DST;
	_cleanup_free_ char *left = endpoint_text(&told.connection.src, turned ? dst_name : src_name);
	_cleanup_free_ char *right = NULL;
	char proto[PROTO_TEXT_MAX], *label;
	bool one = group == FLOW_BY_CONNECTION;

	if (row->connection.src.address.family == ADDRESS_NONE &&
	    row->connection.dst.address.family == ADDRESS_NONE)
		return strdup("all");
	if (row->class == CLASS_PHYSICAL && resolve)
		right = underlay_text(&told.connection.dst);
	else
		right = endpoint_text(&told.connection.dst, turned ? src_name : dst_name);
	if (!left || !right ||
	    asprintf(&label, "%s%s%s %s %s", one ? proto_text(row->connection.proto, proto) : "",
		     one ? " " : "", left, course_has_opener(&told.details) ? ">" : "<>", right) < 0)
		return NULL;
	return label;
}

char *flow_row_label(enum flow_group group, const struct flow_row *row, bool resolve)
{
	const struct connection *connection = &row->connection;
	const char *src_name = resolve ? book_node_label(row->src_node) : NULL;
	const char *dst_name = resolve ? book_node_label(row->dst_node) : NULL;
	_cleanup_free_ char *src = endpoint_text(&connection->src, src_name);
	_cleanup_free_ char *dst = NULL;
	char proto[PROTO_TEXT_MAX], *label = NULL;
	int n = -1;

	if (row->class == CLASS_PHYSICAL && group == FLOW_BY_SERVICE && resolve)
		dst = underlay_text(&connection->dst);
	else
		dst = endpoint_text(&connection->dst, dst_name);
	if (!src || !dst)
		return NULL;
	switch (group) {
	case FLOW_BY_CONNECTION:
		return ends_label(group, row, resolve);
	case FLOW_BY_PAIR:
		if (row->class != CLASS_PHYSICAL)
			return ends_label(group, row, resolve);
		n = asprintf(&label, "this node <> %s", dst);
		break;
	case FLOW_BY_NODE:
	case FLOW_BY_CLIENT:
		return row->class == CLASS_PHYSICAL ? strdup("this node") : TAKE_PTR(src);
	case FLOW_BY_PEER:
		return TAKE_PTR(dst);
	case FLOW_BY_PORT:
		if (connection->dst.port)
			n = asprintf(&label, "%s/%u", proto_text(connection->proto, proto),
				     connection->dst.port);
		else
			n = asprintf(&label, "%s", proto_text(connection->proto, proto));
		break;
	case FLOW_BY_SERVICE:
		if (connection->dst.address.family == ADDRESS_NONE)
			return strdup("all");
		n = asprintf(&label, "%s %s", proto_text(connection->proto, proto), dst);
		break;
	case FLOW_BY_CLASS:
		return strdup("all");
	}
	return n < 0 ? NULL : label;
}

/* A member that is left out when it is zero, as in messages. */
static void set_count(json_t *object, const char *name, uint64_t count)
{
	if (count > 0)
		json_object_set_new(object, name, json_integer((json_int_t)MIN(count, COUNT_MAX)));
}

/* Each end that is a node, as in messages; its addresses are all that the messages told. */
static void set_nodes(json_t *object, const struct flow_row *row)
{
	if (row->src_node)
		json_object_set_new(object, "srcNode", book_node_json(row->src_node));
	if (row->dst_node)
		json_object_set_new(object, "dstNode", book_node_json(row->dst_node));
}

static void set_ends(json_t *object, const struct flow_row *row)
{
	const struct flow flow = flow_row_flow(row);
	char src[ENDPOINT_TEXT_MAX], dst[ENDPOINT_TEXT_MAX];

	endpoint_format(&flow.connection.src, src);
	endpoint_format(&flow.connection.dst, dst);
	json_object_set_new(object, "src", json_string(src));
	json_object_set_new(object, "dst", json_string(dst));
	if (course_has_opener(&flow.details))
		json_object_set_new(object, "init",
				    json_string(flow.details.opener == OPENER_SRC ? "src" : "dst"));
}

static void set_course(json_t *object, const struct flow_row *row)
{
	enum course course = flow_row_course(row);

	if (course != COURSE_UNKNOWN)
		json_object_set_new(object, "how", json_string(course_name(course)));
	set_count(object, "txFlags", row->tx_flags);
	set_count(object, "rxFlags", row->rx_flags);
}

json_t *flow_row_json(enum flow_group group, const struct flow_row *row)
{
	_cleanup_free_ char *label = flow_row_label(group, row, false);
	char first[TIME_TEXT_MAX], last[TIME_TEXT_MAX];
	json_t *object;

	time_format(row->first, first);
	time_format(row->last, last);
	object = json_pack("{ss ss ss* ss* sI sI sI sI ss ss}", "class", traffic_class_name(row->class),
			   "label", label ? label : "", "srcName", book_node_name(row->src_node), "dstName",
			   book_node_name(row->dst_node), "txPkts", (json_int_t)row->counts.tx_packets,
			   "txBytes", (json_int_t)row->counts.tx_bytes, "rxPkts",
			   (json_int_t)row->counts.rx_packets, "rxBytes", (json_int_t)row->counts.rx_bytes,
			   "first", first, "last", last);
	set_nodes(object, row);
	if (group == FLOW_BY_CONNECTION)
		json_object_set_new(object, "proto", json_integer(row->connection.proto));
	if (flow_group_has_ends(group))
		set_ends(object, row);
	if (group == FLOW_BY_CONNECTION)
		set_course(object, row);
	else
		set_count(object, "refused", row->refused);
	set_count(object, "starts", row->starts);
	set_count(object, "ends", row->ends);
	set_count(object, "txDrops", row->tx_drops);
	set_count(object, "rxDrops", row->rx_drops);
	return object;
}

/* Columns that tell how connections went; each is left out where nothing is known. */
static void add_course(struct table *table, const struct flow_choice *choice, const struct flow_row *row)
{
	const struct flow flow = flow_row_flow(row), told = course_from_opener(&flow);
	bool one = choice->view.group == FLOW_BY_CONNECTION;
	enum course course = one ? flow_row_course(row) : COURSE_UNKNOWN;
	const struct {
		bool shown;
		uint64_t count;
	} counts[] = {
		{!one || choice->details, row->starts},
		{choice->details, row->ends},
		{!one, row->refused},
		{true, row->tx_drops + row->rx_drops},
	};
	char text[UNITS_TEXT_MAX], flags[COURSE_FLAGS_MAX];

	table_cell_color(table, course_color(course), "%s", course_name(course));
	table_cell(table, "%s", one && choice->details ? course_flags(&told.details, flags) : "");
	for (size_t i = 0; i < ARRAY_SIZE(counts); i++)
		table_cell(table, "%s",
			   counts[i].shown && counts[i].count ? units_count(counts[i].count, text) : "");
}

static void add_row(struct table *table, const struct flow_choice *choice, const struct flow_row *row,
		    int64_t ns)
{
	_cleanup_free_ char *label = flow_row_label(choice->view.group, row, true);
	struct flow flow = flow_row_flow(row);
	const struct counts *counts;
	char text[UNITS_TEXT_MAX];

	if (flow_group_has_ends(choice->view.group))
		flow = course_from_opener(&flow);
	counts = &flow.counts;
	table_cell(table, "%s", traffic_class_name(row->class));
	table_cell(table, "%s", label ? label : "");
	table_cell(table, "%s", ns ? units_byte_rate(counts->tx_bytes, ns, text) : "");
	table_cell(table, "%s", ns ? units_byte_rate(counts->rx_bytes, ns, text) : "");
	table_cell(table, "%s", units_bytes(counts->tx_bytes, text));
	table_cell(table, "%s", units_bytes(counts->rx_bytes, text));
	table_cell(table, "%s", units_packets(counts->tx_packets, counts->tx_bytes, text));
	table_cell(table, "%s", units_packets(counts->rx_packets, counts->rx_bytes, text));
	add_course(table, choice, row);
}

static void note_beyond(struct ctl *ctl, const struct flow_sum *sum)
{
	if (flow_sum_beyond(sum) > 0)
		ctl_note(ctl,
			 "too many different rows: %llu %s left out (choose a shorter time, "
			 "or --by)",
			 (unsigned long long)flow_sum_beyond(sum),
			 plural(flow_sum_beyond(sum), "entry was", "entries were"));
}

int flow_table_print_json(struct ctl *ctl, struct flow_sum *sum, const struct flow_choice *choice,
			  int64_t start, int64_t end)
{
	char start_text[TIME_TEXT_MAX], end_text[TIME_TEXT_MAX];
	json_auto_t *object = NULL;
	json_t *list;
	const struct flow_row *rows;
	size_t n, in_class = 0;

	if (flow_sum_sorted(sum, &rows, &n) < 0)
		return ctl_error(ctl, "out of memory");
	list = json_array();
	for (size_t i = 0; i < n; i++) {
		in_class = flow_row_place(rows, i, in_class);
		if (choice->limit == 0 || in_class <= choice->limit)
			json_array_append_new(list, flow_row_json(choice->view.group, &rows[i]));
	}
	time_format(start, start_text);
	time_format(end, end_text);
	object = n > 0 ? json_pack("{ss ss so}", "start", start_text, "end", end_text, "rows", list)
		       : json_pack("{so}", "rows", list);
	note_beyond(ctl, sum);
	return ctl_print_json(ctl, object);
}

int flow_table_print(struct ctl *ctl, struct flow_sum *sum, const struct flow_choice *choice, int64_t ns,
		     size_t columns, size_t lines)
{
	static const char *const group_titles[] = {
		[FLOW_BY_CONNECTION] = "CONNECTION",
		[FLOW_BY_NODE] = "NODE",
		[FLOW_BY_PEER] = "PEER",
		[FLOW_BY_PAIR] = "PAIR",
		[FLOW_BY_PORT] = "PORT",
		[FLOW_BY_CLASS] = "TRAFFIC",
		[FLOW_BY_SERVICE] = "SERVICE",
		[FLOW_BY_CLIENT] = "CLIENT",
	};
	bool one = choice->view.group == FLOW_BY_CONNECTION, ends = flow_group_has_ends(choice->view.group);
	/* With rates, the bytes of one window say little more. */
	const struct table_column titles[] = {
		{"CLASS", TABLE_LEFT, 0},
		{group_titles[choice->view.group], TABLE_LEFT, 0},
		{ends ? "RATE >" : "SENT/S", TABLE_RIGHT, 0},
		{ends ? "RATE <" : "RECEIVED/S", TABLE_RIGHT, 0},
		{ends ? "BYTES >" : "SENT", TABLE_RIGHT, ns ? 3 : 0},
		{ends ? "BYTES <" : "RECEIVED", TABLE_RIGHT, ns ? 3 : 0},
		{ends ? "PKTS >" : "TX PKTS", TABLE_RIGHT, 4},
		{ends ? "PKTS <" : "RX PKTS", TABLE_RIGHT, 4},
		{"HOW", TABLE_LEFT, 1},
		{"FLAGS", TABLE_LEFT, 2},
		{"BEGUN", TABLE_RIGHT, one ? 2 : 1},
		{"ENDED", TABLE_RIGHT, 2},
		{"REFUSED", TABLE_RIGHT, 1},
		{"DROPPED", TABLE_RIGHT, 1},
	};
	_cleanup_(table_freep) struct table *table = NULL;
	/* The titles and the line about what is hidden take two. */
	size_t room = lines > 3 ? lines - 2 : lines;
	size_t n, in_class = 0, hidden = 0;
	const struct flow_row *rows;

	if (table_new(titles, ARRAY_SIZE(titles), &table) < 0 || flow_sum_sorted(sum, &rows, &n) < 0)
		return ctl_error(ctl, "out of memory");
	for (size_t i = 0; i < n; i++) {
		in_class = flow_row_place(rows, i, in_class);
		if ((choice->limit > 0 && in_class > choice->limit) ||
		    (room > 0 && table_rows(table) >= room))
			hidden++;
		else
			add_row(table, choice, &rows[i], ns);
	}
	if (table_print(table, ctl->out, ctl->color, columns) < 0)
		return ctl_error(ctl, "out of memory");
	if (hidden > 0)
		fprintf(ctl->out, "… and %zu more\n", hidden);
	note_beyond(ctl, sum);
	return CTL_OK;
}
