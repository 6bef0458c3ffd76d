/* SPDX-License-Identifier: BSD-3-Clause */
/* One table for all groups: only the title of the second column depends on the group. */

#include "control/flow_table.h"

#include "common/message.h"
#include "common/plural.h"
#include "common/time_text.h"
#include "control/ctl.h"
#include "control/message_table.h"
#include "control/table.h"
#include "control/units.h"

#include <string.h>

char *flow_row_label(enum flow_group group, const struct flow_row *row, bool resolve)
{
	const struct connection *connection = &row->connection;
	_cleanup_free_ char *src = endpoint_text(&connection->src, resolve ? row->src_name : NULL);
	_cleanup_free_ char *dst = endpoint_text(&connection->dst, resolve ? row->dst_name : NULL);
	char proto[PROTO_TEXT_MAX], *label = NULL;
	int n = -1;

	if (!src || !dst)
		return NULL;
	switch (group) {
	case FLOW_BY_CONNECTION:
		if (connection->src.address.family == ADDRESS_NONE &&
		    connection->dst.address.family == ADDRESS_NONE)
			return strdup("all");
		n = asprintf(&label, "%s %s > %s", proto_text(connection->proto, proto), src, dst);
		break;
	case FLOW_BY_NODE:
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
	case FLOW_BY_CLASS:
		return strdup("all");
	}
	return n < 0 ? NULL : label;
}

json_t *flow_row_json(enum flow_group group, const struct flow_row *row)
{
	_cleanup_free_ char *label = flow_row_label(group, row, false);
	char first[TIME_TEXT_MAX], last[TIME_TEXT_MAX];

	time_format(row->first, first);
	time_format(row->last, last);
	return json_pack("{ss ss ss* ss* sI sI sI sI ss ss}", "class", traffic_class_name(row->class),
			 "label", label ? label : "", "srcName", row->src_name, "dstName", row->dst_name,
			 "txPkts", (json_int_t)row->counts.tx_packets, "txBytes",
			 (json_int_t)row->counts.tx_bytes, "rxPkts", (json_int_t)row->counts.rx_packets,
			 "rxBytes", (json_int_t)row->counts.rx_bytes, "first", first, "last", last);
}

static void add_row(struct table *table, const struct flow_choice *choice, const struct flow_row *row,
		    int64_t ns)
{
	_cleanup_free_ char *label = flow_row_label(choice->group, row, true);
	const struct counts *counts = &row->counts;
	char text[UNITS_TEXT_MAX];

	table_cell(table, "%s", traffic_class_name(row->class));
	table_cell(table, "%s", label ? label : "");
	table_cell(table, "%s", ns ? units_byte_rate(counts->tx_bytes, ns, text) : "");
	table_cell(table, "%s", ns ? units_byte_rate(counts->rx_bytes, ns, text) : "");
	table_cell(table, "%s", units_bytes(counts->tx_bytes, text));
	table_cell(table, "%s", units_bytes(counts->rx_bytes, text));
	table_cell(table, "%s", units_count(counts->tx_packets, text));
	table_cell(table, "%s", units_count(counts->rx_packets, text));
}

int flow_table_print(struct ctl *ctl, struct flow_sum *sum, const struct flow_choice *choice, int64_t ns,
		     size_t columns, size_t lines)
{
	static const char *const group_titles[] = {
		[FLOW_BY_CONNECTION] = "CONNECTION", [FLOW_BY_NODE] = "NODE",	  [FLOW_BY_PEER] = "PEER",
		[FLOW_BY_PORT] = "SERVICE",	     [FLOW_BY_CLASS] = "TRAFFIC",
	};
	const struct table_column titles[] = {
		{"CLASS", TABLE_LEFT},	  {group_titles[choice->group], TABLE_LEFT},
		{"TX RATE", TABLE_RIGHT}, {"RX RATE", TABLE_RIGHT},
		{"SENT", TABLE_RIGHT},	  {"RECEIVED", TABLE_RIGHT},
		{"TX PKTS", TABLE_RIGHT}, {"RX PKTS", TABLE_RIGHT},
	};
	_cleanup_(table_freep) struct table *table = NULL;
	/* The titles and the line about what is hidden take two. */
	size_t room = lines > 3 ? lines - 2 : lines;
	size_t n, in_class = 0, hidden = 0;
	const struct flow_row *rows;

	if (table_new(titles, ARRAY_SIZE(titles), &table) < 0)
		return ctl_error(ctl, "out of memory");
	rows = flow_sum_sorted(sum, &n);
	for (size_t i = 0; i < n; i++) {
		in_class = i > 0 && rows[i].class == rows[i - 1].class ? in_class + 1 : 1;
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
	if (flow_sum_beyond(sum) > 0)
		ctl_note(ctl,
			 "too many different rows: %llu %s left out (choose a shorter time, "
			 "or --by)",
			 (unsigned long long)flow_sum_beyond(sum),
			 plural(flow_sum_beyond(sum), "entry was", "entries were"));
	return CTL_OK;
}
