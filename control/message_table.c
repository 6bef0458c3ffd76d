/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One message, one table: all classes share the columns, so that figures line up down the page. Counts have
 * the direction of their line, from left to right and back, since either end may be this node.
 */

#include "control/message_table.h"

#include "common/message.h"
#include "common/plural.h"
#include "common/time_text.h"
#include "control/course.h"
#include "control/ctl.h"
#include "control/node_book.h"
#include "control/table.h"
#include "control/units.h"

#include <errno.h>
#include <string.h>

const char *proto_text(uint8_t proto, char ret_text[static PROTO_TEXT_MAX])
{
	static const char *const names[256] = {
		[0] = "-",	   [1] = "icmp",       [2] = "igmp",  [4] = "ipip",   [6] = "tcp",
		[17] = "udp",	   [41] = "ip6",       [47] = "gre",  [50] = "esp",   [51] = "ah",
		[58] = "icmp6",	   [89] = "ospf",      [103] = "pim", [112] = "vrrp", [132] = "sctp",
		[136] = "udplite", [255] = "fragment",
	};

	if (names[proto])
		return names[proto];
	snprintf(ret_text, PROTO_TEXT_MAX, "%u", proto);
	return ret_text;
}

char *endpoint_text(const struct endpoint *endpoint, const char *name)
{
	char text[ENDPOINT_TEXT_MAX];
	char *named;

	if (endpoint->address.family == ADDRESS_NONE)
		return strdup("-");
	if (name) {
		int n = endpoint->port ? asprintf(&named, "%s:%u", name, endpoint->port)
				       : asprintf(&named, "%s", name);

		return n < 0 ? NULL : named;
	}
	if (endpoint->port)
		endpoint_format(endpoint, text);
	else
		address_format(&endpoint->address, text);
	return strdup(text);
}

char *underlay_text(const struct endpoint *endpoint)
{
	/* tailcfg.DerpMagicIP */
	const struct address derp = address_ipv4((const uint8_t[]){127, 3, 3, 40});
	char *text;

	if (address_compare(&endpoint->address, &derp) != 0)
		return endpoint_text(endpoint, NULL);
	return asprintf(&text, "DERP %u", endpoint->port) < 0 ? NULL : text;
}

/* The book holds what the message says of nodes, and nothing else. */
static void add_endpoint(struct table *table, const struct node_book *book, const struct endpoint *endpoint,
			 bool underlay)
{
	const struct book_node *node = underlay ? NULL : node_book_find(book, &endpoint->address);
	_cleanup_free_ char *text =
		underlay ? underlay_text(endpoint) : endpoint_text(endpoint, book_node_label(node));

	table_cell(table, "%s", text ? text : "");
}

/* Whether an entry stands for more than one connection: folded ports, or exit traffic that is reduced. */
static bool is_sum(enum traffic_class class, const struct flow *flow)
{
	struct flow told = course_from_opener(flow);

	if (class == CLASS_PHYSICAL)
		return false;
	return flow->connection.src.address.family == ADDRESS_NONE ||
	       flow->connection.dst.address.family == ADDRESS_NONE ||
	       (course_has_opener(&told.details) && told.connection.src.port == 0 &&
		told.connection.dst.port != 0);
}

/* A line with the totals of a class; its entries follow. */
static void add_totals(struct table *table, const struct message *message, enum traffic_class class)
{
	struct message_entries entries = message_entries(message);
	int64_t length = message->end - message->start;
	char tx[UNITS_TEXT_MAX], tx_rate[UNITS_TEXT_MAX], rx[UNITS_TEXT_MAX], rx_rate[UNITS_TEXT_MAX];
	bool of_connections = true;
	struct counts sum = {};
	enum traffic_class of;
	struct flow flow;
	size_t n = 0;

	while (message_entries_next(&entries, &of, &flow) > 0) {
		if (of != class)
			continue;
		counts_add(&sum, &flow.counts);
		of_connections = of_connections && !is_sum(class, &flow);
		n++;
	}
	units_byte_rate(sum.tx_bytes, length, tx_rate);
	units_byte_rate(sum.rx_bytes, length, rx_rate);
	table_heading(table, "%s: %zu %s, sent %s%s%s%s, received %s%s%s%s", traffic_class_name(class), n,
		      of_connections ? plural(n, "connection", "connections") : plural(n, "entry", "entries"),
		      units_bytes(sum.tx_bytes, tx), *tx_rate ? " (" : "", tx_rate, *tx_rate ? ")" : "",
		      units_bytes(sum.rx_bytes, rx), *rx_rate ? " (" : "", rx_rate, *rx_rate ? ")" : "");
}

/* Columns that tell how connections went; each is left out where nothing is known. */
static void add_course(struct table *table, const struct flow *flow, const struct flow *told,
		       const struct json_slice *drop_reason, bool details)
{
	uint64_t drops = (uint64_t)told->details.tx_drops + told->details.rx_drops;
	char text[UNITS_TEXT_MAX], flags[COURSE_FLAGS_MAX];
	enum course course = course_of(flow);

	table_cell_color(table, course_color(course), "%s", course_name(course));
	table_cell(table, "%s", details ? course_flags(&told->details, flags) : "");
	table_cell(table, "%s",
		   details && told->details.starts ? units_count(told->details.starts, text) : "");
	table_cell(table, "%s", details && told->details.ends ? units_count(told->details.ends, text) : "");
	table_cell(table, "%s", drops ? units_count(drops, text) : "");
	table_cell(table, "%.*s", (int)drop_reason->length, drop_reason->length ? drop_reason->data : "");
}

static int add_entries(struct table *table, const struct message *message, const struct node_book *book,
		       const struct message_style *style)
{
	struct message_entries entries = message_entries(message);
	enum traffic_class class, last = N_CLASSES;
	struct flow flow;
	int r;

	while ((r = message_entries_next(&entries, &class, &flow)) > 0) {
		struct flow told = course_from_opener(&flow);
		const struct counts *counts = &told.counts;
		char proto[PROTO_TEXT_MAX], text[UNITS_TEXT_MAX];

		if (class != last)
			add_totals(table, message, class);
		last = class;
		table_cell(table, " ");
		table_cell(table, "%s", proto_text(told.connection.proto, proto));
		add_endpoint(table, book, &told.connection.src, false);
		table_cell(table, "%s", course_has_opener(&told.details) ? ">" : "");
		add_endpoint(table, book, &told.connection.dst, class == CLASS_PHYSICAL);
		table_cell(table, "%s", counts->tx_bytes ? units_bytes(counts->tx_bytes, text) : "-");
		table_cell(table, "%s", counts->rx_bytes ? units_bytes(counts->rx_bytes, text) : "-");
		table_cell(table, "%s", counts->tx_packets ? units_count(counts->tx_packets, text) : "-");
		table_cell(table, "%s", counts->rx_packets ? units_count(counts->rx_packets, text) : "-");
		add_course(table, &flow, &told, &entries.drop_reason, style->details);
	}
	return r;
}

static void print_overflow(struct ctl *ctl, const char *device, const struct counts *overflow)
{
	char tx[UNITS_TEXT_MAX], tx_bytes[UNITS_TEXT_MAX], rx[UNITS_TEXT_MAX], rx_bytes[UNITS_TEXT_MAX];

	if (counts_is_zero(overflow))
		return;
	print_color(ctl->out, ctl->color, TABLE_YELLOW,
		    "  overflow of %s, in no entry: sent %s packets (%s), received %s packets (%s)", device,
		    units_count(overflow->tx_packets, tx), units_bytes(overflow->tx_bytes, tx_bytes),
		    units_count(overflow->rx_packets, rx), units_bytes(overflow->rx_bytes, rx_bytes));
	fputc('\n', ctl->out);
}

static void print_text(struct ctl *ctl, const struct message *message)
{
	char time[TIME_TEXT_MAX] = "";

	if (message->client_time)
		time_format(message->client_time, time);
	print_color(ctl->out, ctl->color, TABLE_DIM, "%s", time);
	fputs(*time ? "  " : "", ctl->out);
	print_color(ctl->out, false, TABLE_PLAIN, "%s", message->text);
	fputs("\n", ctl->out);
}

static int print_window(struct ctl *ctl, const struct message *message, const struct message_style *style)
{
	static const struct table_column columns[] = {
		{"", TABLE_LEFT},	  {"PROTO", TABLE_LEFT},       {"SOURCE", TABLE_LEFT},
		{"", TABLE_LEFT},	  {"DESTINATION", TABLE_LEFT}, {"BYTES >", TABLE_RIGHT},
		{"BYTES <", TABLE_RIGHT}, {"PKTS >", TABLE_RIGHT},     {"PKTS <", TABLE_RIGHT},
		{"HOW", TABLE_LEFT},	  {"FLAGS", TABLE_LEFT},       {"BEGUN", TABLE_RIGHT},
		{"ENDED", TABLE_RIGHT},	  {"DROPPED", TABLE_RIGHT},    {"REASON", TABLE_LEFT},
	};
	char start[TIME_TEXT_MAX], duration[UNITS_TEXT_MAX], number[40] = "";
	_cleanup_(node_book_freep) struct node_book *book = NULL;
	_cleanup_(table_freep) struct table *table = NULL;
	const char *node = message->node_id;
	int r;

	if (table_new(columns, ARRAY_SIZE(columns), &table) < 0)
		return ctl_error(ctl, "out of memory");
	if (style->resolve &&
	    (node_book_new(&book) < 0 || node_book_learn(book, message) < 0 || node_book_label(book) < 0))
		return ctl_error(ctl, "out of memory");
	r = add_entries(table, message, book, style);
	time_format(message->start, start);
	units_duration(message->end - message->start + 1, duration); /* both ends are inclusive */
	if (message->proc_seq)
		snprintf(number, sizeof(number), "  #%llu", (unsigned long long)message->proc_seq);
	print_color(ctl->out, ctl->color, TABLE_BOLD, "%s  %s%s%s%s", start, duration, node ? "  node " : "",
		    node ? node : "", number);
	fputc('\n', ctl->out);
	if (table_rows(table) > 0 && table_print(table, ctl->out, ctl->color, 0) < 0)
		return ctl_error(ctl, "out of memory");
	print_overflow(ctl, "tun", &message->overflow_tun);
	print_overflow(ctl, "sock", &message->overflow_sock);
	fputc('\n', ctl->out);
	return r < 0 ? ctl_error(ctl, "the rest of this message cannot be read") : CTL_OK;
}

int message_print(struct ctl *ctl, const char *data, size_t length, const struct message_style *style)
{
	struct message message;
	int r;

	if (ctl->json) {
		fwrite(data, 1, length, ctl->out);
		fputc('\n', ctl->out);
		return CTL_OK;
	}
	r = message_parse(data, length, &message);
	if (r < 0)
		return ctl_error(ctl, r == -EBADMSG ? "not a message of the log" : "out of memory");
	r = CTL_OK;
	if (!message_is_known(&message))
		r = ctl_error(ctl, "not a message of the log");
	else if (message.text)
		print_text(ctl, &message);
	else
		r = print_window(ctl, &message, style);
	message_deinit(&message);
	return r;
}
