/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Rows from messages, straight from text to text: a node that catches up makes tens of thousands per second.
 *
 * A missing address is left out (an empty text is an error in an IPv6 column), and so is every number that is
 * zero, the columns' default. IPv4 addresses are written IPv4-mapped, as an IPv6 column holds them. Times are
 * "YYYY-MM-DD hh:mm:ss.fff", which ClickHouse reads without further settings.
 */

#include "daemon/upload/kinds/clickhouse_rows.h"

#include "common/decimal.h"
#include "common/message.h"
#include "common/message_nodes.h"
#include "common/time_text.h"

#include <errno.h>
#include <string.h>

/* The longest row without its head and the names of two nodes. */
#define ROW_TEXT_MAX 512

const char *const clickhouse_flow_columns[] = {
	"node",	    "start",	"end",	   "spool",    "seq",	   "idx",      "proc_id",
	"proc_seq", "class",	"proto",   "src",      "src_port", "dst",      "dst_port",
	"src_node", "dst_node", "tx_pkts", "tx_bytes", "rx_pkts",  "rx_bytes", NULL,
};
const char *const clickhouse_detail_columns[] = {
	"init", "starts", "ends", "tx_flags", "rx_flags", "tx_drops", "rx_drops", "drop_reason", NULL,
};
const char *const clickhouse_event_columns[] = {
	"node", "time", "spool",   "seq",      "idx",	  "proc_id",  "proc_seq",
	"kind", "text", "tx_pkts", "tx_bytes", "rx_pkts", "rx_bytes", NULL,
};

void clickhouse_rows_deinit(struct clickhouse_rows *rows)
{
	buffer_deinit(&rows->flows);
	buffer_deinit(&rows->events);
	buffer_deinit(&rows->head);
}

void clickhouse_rows_reset(struct clickhouse_rows *rows)
{
	buffer_reset(&rows->flows);
	buffer_reset(&rows->events);
	rows->n_flows = rows->n_events = 0;
	rows->has_details = false;
}

static void append_time(struct buffer *row, const char *name, int64_t wall)
{
	char text[TIME_TEXT_MAX];
	size_t n = time_format(wall, text);

	text[10] = ' ';
	buffer_append_text(row, name);
	buffer_append(row, text, n - 1);
	buffer_append_char(row, '"');
}

static void append_number(struct buffer *row, const char *name, uint64_t value)
{
	if (value == 0)
		return;
	buffer_append_text(row, name);
	buffer_append_u64(row, value);
}

/* {"node":...,"spool":...,"seq":...,"proc_id":...,"proc_seq":... */
static void make_head(struct buffer *head, const struct message *message, const struct batch_item *item,
		      const char *spool_id, const struct log_id *public_id)
{
	char node[LOG_ID_TEXT_MAX];

	log_id_format(public_id, node);
	buffer_reset(head);
	buffer_append_text(head, "{\"node\":");
	buffer_append_json_string(head, message->node_id ? message->node_id : node);
	buffer_append_text(head, ",\"spool\":\"");
	buffer_append_text(head, spool_id);
	buffer_append_text(head, "\",\"seq\":");
	buffer_append_u64(head, item->message->sequence);
	append_number(head, ",\"proc_id\":", message->proc_id);
	append_number(head, ",\"proc_seq\":", message->proc_seq);
}

static char *put_text(char *at, const char *text, size_t n)
{
	memcpy(at, text, n);
	return at + n;
}
#define PUT(at, text) put_text(at, text, sizeof(text) - 1)

static char *put_number(char *at, const char *name, size_t n, uint64_t value)
{
	if (value == 0)
		return at;
	at = put_text(at, name, n);
	return at + decimal_format(value, at);
}
#define PUT_NUMBER(at, name, value) put_number(at, name, sizeof(name) - 1, value)

static char *put_address(char *at, const char *name, size_t n, const struct address *address)
{
	if (address->family == ADDRESS_NONE)
		return at;
	at = put_text(at, name, n);
	if (address->family == ADDRESS_IPV4)
		at = PUT(at, "::ffff:");
	at += address_format(address, at);
	*at++ = '"';
	return at;
}
#define PUT_ADDRESS(at, name, address) put_address(at, name, sizeof(name) - 1, address)

static void append_node(struct buffer *row, const char *name, const struct message_nodes *nodes,
			const struct address *address)
{
	const char *node = message_nodes_name(nodes, address);

	if (!node)
		return;
	buffer_append_text(row, name);
	buffer_append_json_string(row, node);
}

static char *put_details(char *at, const struct details *details)
{
	if (details->opener == OPENER_SRC)
		at = PUT(at, ",\"init\":\"src\"");
	else if (details->opener == OPENER_DST)
		at = PUT(at, ",\"init\":\"dst\"");
	at = PUT_NUMBER(at, ",\"starts\":", details->starts);
	at = PUT_NUMBER(at, ",\"ends\":", details->ends);
	at = PUT_NUMBER(at, ",\"tx_flags\":", details->tx_flags);
	at = PUT_NUMBER(at, ",\"rx_flags\":", details->rx_flags);
	at = PUT_NUMBER(at, ",\"tx_drops\":", details->tx_drops);
	return PUT_NUMBER(at, ",\"rx_drops\":", details->rx_drops);
}

static void append_flow(struct clickhouse_rows *rows, const struct message_nodes *nodes,
			enum traffic_class class, const struct flow *flow,
			const struct json_slice *drop_reason)
{
	const struct connection *connection = &flow->connection;
	struct buffer *out = &rows->flows;
	const char *class_name = traffic_class_name(class);
	char *start, *at, *before;

	start = buffer_reserve(out, rows->head.length + ROW_TEXT_MAX);
	if (!start)
		return;
	at = put_text(start, rows->head.data, rows->head.length);
	at = PUT_NUMBER(at, ",\"idx\":", rows->n_flows);
	at = PUT(at, ",\"class\":\"");
	at = put_text(at, class_name, strlen(class_name));
	at = PUT(at, "\"");
	at = PUT_NUMBER(at, ",\"proto\":", connection->proto);
	at = PUT_ADDRESS(at, ",\"src\":\"", &connection->src.address);
	at = PUT_NUMBER(at, ",\"src_port\":", connection->src.port);
	at = PUT_ADDRESS(at, ",\"dst\":\"", &connection->dst.address);
	at = PUT_NUMBER(at, ",\"dst_port\":", connection->dst.port);
	at = PUT_NUMBER(at, ",\"tx_pkts\":", flow->counts.tx_packets);
	at = PUT_NUMBER(at, ",\"tx_bytes\":", flow->counts.tx_bytes);
	at = PUT_NUMBER(at, ",\"rx_pkts\":", flow->counts.rx_packets);
	at = PUT_NUMBER(at, ",\"rx_bytes\":", flow->counts.rx_bytes);
	before = at;
	at = put_details(at, &flow->details);
	rows->has_details |= at > before || drop_reason->length > 0;
	out->length += (size_t)(at - start);
	/* Without escapes, so it is text for our rows as it is. */
	if (drop_reason->length > 0) {
		buffer_append_text(out, ",\"drop_reason\":\"");
		buffer_append(out, drop_reason->data, drop_reason->length);
		buffer_append_char(out, '"');
	}
	append_node(out, ",\"src_node\":", nodes, &connection->src.address);
	/* The endpoint of a peer is an address in another network. */
	if (class != CLASS_PHYSICAL)
		append_node(out, ",\"dst_node\":", nodes, &connection->dst.address);
	buffer_append(out, "}\n", 2);
}

static int add_flows(struct clickhouse_rows *rows, const struct message *message)
{
	_cleanup_(message_nodes_deinit) struct message_nodes nodes = {};
	struct message_entries entries = message_entries(message);
	enum traffic_class class;
	size_t before = rows->n_flows;
	struct flow flow;
	int r;

	if (message->has_window) {
		append_time(&rows->head, ",\"start\":\"", message->start);
		append_time(&rows->head, ",\"end\":\"", message->end);
	}
	r = message_nodes_init(&nodes, message);
	if (r < 0)
		return r;
	rows->n_flows = 0; /* idx counts within the message */
	while ((r = message_entries_next(&entries, &class, &flow)) > 0) {
		append_flow(rows, &nodes, class, &flow, &entries.drop_reason);
		rows->n_flows++;
	}
	rows->n_flows += before;
	return r;
}

static void append_event(struct clickhouse_rows *rows, enum clickhouse_event event, const char *kind,
			 int64_t wall, const char *text, const struct counts *counts)
{
	struct buffer *out = &rows->events;

	buffer_append(out, rows->head.data, rows->head.length);
	append_number(out, ",\"idx\":", event);
	append_time(out, ",\"time\":\"", wall);
	buffer_append_text(out, ",\"kind\":\"");
	buffer_append_text(out, kind);
	buffer_append_char(out, '"');
	if (text) {
		buffer_append_text(out, ",\"text\":");
		buffer_append_json_string(out, text);
	}
	if (counts) {
		append_number(out, ",\"tx_pkts\":", counts->tx_packets);
		append_number(out, ",\"tx_bytes\":", counts->tx_bytes);
		append_number(out, ",\"rx_pkts\":", counts->rx_packets);
		append_number(out, ",\"rx_bytes\":", counts->rx_bytes);
	}
	buffer_append(out, "}\n", 2);
	rows->n_events++;
}

static int add_loss(struct clickhouse_rows *rows, const struct batch_item *item, const char *spool_id,
		    const struct log_id *public_id, const char *node_id)
{
	_cleanup_(message_deinit) struct message loss = {};
	int r;

	r = message_parse(item->loss, item->loss_length, &loss);
	if (r < 0)
		return r;
	/* From the same node as what follows. */
	if (!loss.node_id && node_id) {
		loss.node_id = strdup(node_id);
		if (!loss.node_id)
			return -ENOMEM;
	}
	make_head(&rows->head, &loss, item, spool_id, public_id);
	append_event(rows, CLICKHOUSE_EVENT_LOSS, "loss", loss.client_time, loss.text, NULL);
	return 0;
}

int clickhouse_rows_add(struct clickhouse_rows *rows, const struct batch_item *item, const char *spool_id,
			const struct log_id *public_id)
{
	_cleanup_(message_deinit) struct message message = {};
	size_t flows = rows->n_flows, events = rows->n_events;
	int r;

	r = message_parse(item->message->data, item->message->length, &message);
	if (r < 0)
		return r;
	if (!message_is_known(&message))
		return -EBADMSG;
	if (item->loss) {
		r = add_loss(rows, item, spool_id, public_id, message.node_id);
		if (r < 0)
			return r;
		events = rows->n_events;
	}
	make_head(&rows->head, &message, item, spool_id, public_id);
	if (message.text)
		append_event(rows, CLICKHOUSE_EVENT_TEXT, "text", message.client_time, message.text, NULL);
	if (!counts_is_zero(&message.overflow_tun))
		append_event(rows, CLICKHOUSE_EVENT_OVERFLOW_TUN, "overflow", message.client_time, "tun",
			     &message.overflow_tun);
	if (!counts_is_zero(&message.overflow_sock))
		append_event(rows, CLICKHOUSE_EVENT_OVERFLOW_SOCK, "overflow", message.client_time, "sock",
			     &message.overflow_sock);
	r = add_flows(rows, &message);
	if (r < 0)
		return r;
	/* Every message leaves a row, or its proc_seq would look like a gap. */
	if (rows->n_flows == flows && rows->n_events == events)
		append_event(rows, CLICKHOUSE_EVENT_TEXT, "empty", message.client_time, NULL, NULL);
	r = buffer_error(&rows->flows);
	if (r == 0)
		r = buffer_error(&rows->events);
	return r < 0 ? r : buffer_error(&rows->head);
}
