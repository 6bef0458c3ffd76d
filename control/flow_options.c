/* SPDX-License-Identifier: BSD-3-Clause */
/* What flows, report and top have in common for the user: how traffic is chosen, and how sums are shown. */

#include "control/flow_options.h"

#include "common/message.h"
#include "common/parse.h"
#include "common/time_text.h"
#include "control/ctl.h"
#include "control/message_table.h"
#include "control/table.h"
#include "control/units.h"
#include "control/when.h"

#include <string.h>

static int read_times(struct ctl *ctl, const struct flow_options *options, struct flow_filter *filter)
{
	static const char hint[] =
		"like 2026-11-22T20:00:00Z, \"2026-11-22 20:00\" (UTC), today, or 10m (ago)";
	int64_t now = time_now_wall();

	filter->since = INT64_MIN;
	filter->until = INT64_MAX;
	if (options->since && when_parse(options->since, now, &filter->since) < 0)
		return ctl_usage(ctl, "--since: \"%s\" is no time (%s)", options->since, hint);
	if (options->until && when_parse(options->until, now, &filter->until) < 0)
		return ctl_usage(ctl, "--until: \"%s\" is no time (%s)", options->until, hint);
	if (filter->since > filter->until)
		return ctl_usage(ctl, "--until is before --since");
	return CTL_OK;
}

int flow_options_read(struct ctl *ctl, const struct flow_options *options, struct flow_choice *ret_choice)
{
	struct flow_choice choice = {.group = FLOW_BY_CONNECTION, .limit = ctl->out_is_terminal ? 50 : 0};
	struct flow_filter *filter = &choice.filter;
	uint64_t limit;
	int r;

	r = read_times(ctl, options, filter);
	if (r != CTL_OK)
		return r;
	filter->has_class = options->class != NULL;
	if (options->class && traffic_class_parse(options->class, &filter->class) < 0)
		return ctl_usage(ctl, "--class: one of virtual, subnet, exit, physical");
	filter->has_prefix = options->addr != NULL;
	if (options->addr && prefix_parse(options->addr, &filter->prefix) < 0)
		return ctl_usage(ctl, "--addr: \"%s\" is no address or prefix", options->addr);
	if (filter->has_prefix)
		filter->prefix = prefix_masked(&filter->prefix);
	if (options->by && flow_group_parse(options->by, &choice.group) < 0)
		return ctl_usage(ctl, "--by: one of connection, node, class, port, peer");
	if (options->limit && (parse_u64(options->limit, &limit) < 0 || limit > SIZE_MAX))
		return ctl_usage(ctl, "--limit: a number (0 for all)");
	if (options->limit)
		choice.limit = (size_t)limit;
	*ret_choice = choice;
	return CTL_OK;
}

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

static int set_text(json_t *object, const char *member, const char *text)
{
	return text ? json_object_set_new(object, member, json_string(text)) : 0;
}

json_t *flow_row_json(enum flow_group group, const struct flow_row *row)
{
	_cleanup_free_ char *label = flow_row_label(group, row, false);
	char first[TIME_TEXT_MAX], last[TIME_TEXT_MAX];
	json_t *object = json_object();

	time_format(row->first, first);
	time_format(row->last, last);
	if (set_text(object, "class", traffic_class_name(row->class)) < 0 ||
	    set_text(object, "label", label ? label : "") < 0 ||
	    set_text(object, "srcName", row->src_name) < 0 ||
	    set_text(object, "dstName", row->dst_name) < 0 ||
	    json_object_set_new(object, "txPkts", json_integer((json_int_t)row->counts.tx_packets)) < 0 ||
	    json_object_set_new(object, "txBytes", json_integer((json_int_t)row->counts.tx_bytes)) < 0 ||
	    json_object_set_new(object, "rxPkts", json_integer((json_int_t)row->counts.rx_packets)) < 0 ||
	    json_object_set_new(object, "rxBytes", json_integer((json_int_t)row->counts.rx_bytes)) < 0 ||
	    set_text(object, "first", first) < 0 || set_text(object, "last", last) < 0) {
		json_decref(object);
		return NULL;
	}
	return object;
}

/* The columns of what the group is made of; the others are the same for all. */
static const char *const group_titles[] = {
	[FLOW_BY_CONNECTION] = "CONNECTION", [FLOW_BY_NODE] = "NODE",	  [FLOW_BY_PEER] = "PEER",
	[FLOW_BY_PORT] = "SERVICE",	     [FLOW_BY_CLASS] = "TRAFFIC",
};

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

static void add_rows(struct table *table, const struct flow_choice *choice, const struct flow_row *rows,
		     size_t n, int64_t ns, size_t lines, size_t *ret_hidden)
{
	size_t in_class = 0;

	*ret_hidden = 0;
	for (size_t i = 0; i < n; i++) {
		in_class = i > 0 && rows[i].class == rows[i - 1].class ? in_class + 1 : 1;
		if ((choice->limit > 0 && in_class > choice->limit) ||
		    (lines > 0 && table_rows(table) >= lines))
			++*ret_hidden;
		else
			add_row(table, choice, &rows[i], ns);
	}
}

int flow_sum_print(struct ctl *ctl, struct flow_sum *sum, const struct flow_choice *choice, int64_t ns,
		   size_t columns, size_t lines)
{
	const struct table_column titles[] = {
		{"CLASS", TABLE_LEFT},	  {group_titles[choice->group], TABLE_LEFT},
		{"TX RATE", TABLE_RIGHT}, {"RX RATE", TABLE_RIGHT},
		{"SENT", TABLE_RIGHT},	  {"RECEIVED", TABLE_RIGHT},
		{"TX PKTS", TABLE_RIGHT}, {"RX PKTS", TABLE_RIGHT},
	};
	_cleanup_(table_freep) struct table *table = NULL;
	const struct flow_row *rows;
	size_t n, hidden;

	if (table_new(titles, ARRAY_SIZE(titles), &table) < 0)
		return ctl_error(ctl, "out of memory");
	rows = flow_sum_sorted(sum, &n);
	/* The titles and the line about what is hidden take two. */
	add_rows(table, choice, rows, n, ns, lines > 3 ? lines - 2 : lines, &hidden);
	if (table_print(table, ctl->out, ctl->color, columns) < 0)
		return ctl_error(ctl, "out of memory");
	if (hidden > 0)
		fprintf(ctl->out, "… and %zu more\n", hidden);
	if (flow_sum_beyond(sum) > 0)
		ctl_note(ctl,
			 "too many different rows: %llu entries were left out (choose a shorter time, "
			 "or --by)",
			 (unsigned long long)flow_sum_beyond(sum));
	return CTL_OK;
}
