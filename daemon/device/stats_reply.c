/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The parser of what a VPN says about its own connections. It may be wrong in any way. One invalid entry
 * makes the whole reply invalid, since half of a wrong answer is no better.
 *
 * The parser walks each part byte by byte, only to find the list and where each of its entries ends, and
 * reads an entry as soon as it is complete. The rest around them, the frame, is small: it is kept, and read
 * as a message with an empty list when the part ends.
 */

#include "daemon/device/stats_reply.h"

#include "common/details.h"
#include "common/json_scan.h"
#include "control/varlink/message.h"

#include <errno.h>
#include <jansson.h>

enum member {
	MEMBER_PROTO,
	MEMBER_SRC,
	MEMBER_DST,
	MEMBER_TX_PACKETS,
	MEMBER_TX_BYTES,
	MEMBER_RX_PACKETS,
	MEMBER_RX_BYTES,
	MEMBER_INIT,
	MEMBER_STARTS,
	MEMBER_ENDS,
	MEMBER_TX_FLAGS,
	MEMBER_RX_FLAGS,
	N_MEMBERS
};

static const char *const member_names[N_MEMBERS] = {
	[MEMBER_PROTO] = "proto",	[MEMBER_SRC] = "src",	       [MEMBER_DST] = "dst",
	[MEMBER_TX_PACKETS] = "txPkts", [MEMBER_TX_BYTES] = "txBytes", [MEMBER_RX_PACKETS] = "rxPkts",
	[MEMBER_RX_BYTES] = "rxBytes",	[MEMBER_INIT] = "init",	       [MEMBER_STARTS] = "starts",
	[MEMBER_ENDS] = "ends",		[MEMBER_TX_FLAGS] = "txFlags", [MEMBER_RX_FLAGS] = "rxFlags",
};

void stats_reply_deinit(struct stats_reply *reply)
{
	buffer_deinit(&reply->frame);
	buffer_deinit(&reply->entry);
}

/* ---- one entry ---- */

static int read_count(const json_t *object, enum member member, uint64_t *ret_count)
{
	const json_t *value = json_object_get(object, member_names[member]);

	*ret_count = 0;
	if (!value || json_is_null(value))
		return 0;
	if (!json_is_integer(value) || json_integer_value(value) < 0)
		return -EBADMSG;
	*ret_count = (uint64_t)json_integer_value(value);
	return 0;
}

static bool opener_of(const char *text, size_t length, uint8_t *ret_opener)
{
	if (length != 3 || (memcmp(text, "src", 3) != 0 && memcmp(text, "dst", 3) != 0))
		return false;
	*ret_opener = *text == 's' ? OPENER_SRC : OPENER_DST;
	return true;
}

/* False where a number is too large. */
static bool set_details(const uint64_t numbers[N_MEMBERS], struct details *details)
{
	if (numbers[MEMBER_STARTS] > UINT32_MAX || numbers[MEMBER_ENDS] > UINT32_MAX ||
	    numbers[MEMBER_TX_FLAGS] > UINT8_MAX || numbers[MEMBER_RX_FLAGS] > UINT8_MAX)
		return false;
	details->starts = (uint32_t)numbers[MEMBER_STARTS];
	details->ends = (uint32_t)numbers[MEMBER_ENDS];
	details->tx_flags = (uint8_t)numbers[MEMBER_TX_FLAGS];
	details->rx_flags = (uint8_t)numbers[MEMBER_RX_FLAGS];
	return true;
}

static int read_details(const json_t *object, struct details *ret_details)
{
	const json_t *init = json_object_get(object, member_names[MEMBER_INIT]);
	uint64_t numbers[N_MEMBERS] = {};

	for (enum member member = MEMBER_STARTS; member < N_MEMBERS; member++)
		if (read_count(object, member, &numbers[member]) < 0)
			return -EBADMSG;
	if (init && !json_is_null(init) &&
	    !(json_is_string(init) &&
	      opener_of(json_string_value(init), json_string_length(init), &ret_details->opener)))
		return -EBADMSG;
	return set_details(numbers, ret_details) ? 0 : -EBADMSG;
}

static int read_end(const json_t *object, enum member member, struct endpoint *ret_endpoint)
{
	const char *text = json_string_value(json_object_get(object, member_names[member]));

	return text && endpoint_parse(text, ret_endpoint) == 0 ? 0 : -EBADMSG;
}

static int read_connection(const json_t *object, struct flow *ret_flow)
{
	const json_t *proto = json_object_get(object, member_names[MEMBER_PROTO]);
	struct flow flow = {};

	if (!json_is_integer(proto) || json_integer_value(proto) < 0 || json_integer_value(proto) > 255 ||
	    read_end(object, MEMBER_SRC, &flow.connection.src) < 0 ||
	    read_end(object, MEMBER_DST, &flow.connection.dst) < 0 ||
	    read_count(object, MEMBER_TX_PACKETS, &flow.counts.tx_packets) < 0 ||
	    read_count(object, MEMBER_TX_BYTES, &flow.counts.tx_bytes) < 0 ||
	    read_count(object, MEMBER_RX_PACKETS, &flow.counts.rx_packets) < 0 ||
	    read_count(object, MEMBER_RX_BYTES, &flow.counts.rx_bytes) < 0 ||
	    read_details(object, &flow.details) < 0)
		return -EBADMSG;
	flow.connection.proto = (uint8_t)json_integer_value(proto);
	*ret_flow = flow;
	return 0;
}

static bool scan_end(struct json_scan *scan, struct endpoint *ret_endpoint)
{
	struct json_slice text;
	bool plain;

	return json_scan_string(scan, &text, &plain) == 0 && plain &&
	       endpoint_parse_n(text.data, text.length, ret_endpoint) == 0;
}

static bool scan_opener(struct json_scan *scan, uint8_t *ret_opener)
{
	struct json_slice text;
	bool plain;

	return json_scan_string(scan, &text, &plain) == 0 && plain &&
	       opener_of(text.data, text.length, ret_opener);
}

/*
 * The usual entry, without a tree (300,000 take 0.13 s instead of 0.8): nothing but our members, each once
 * and without escapes. False for any other: then the tree decides.
 */
static bool scan_connection(const struct json_slice *entry, struct flow *ret_flow)
{
	struct json_scan scan = {entry->data, entry->data + entry->length};
	uint64_t numbers[N_MEMBERS] = {};
	struct flow flow = {};
	struct json_slice name;
	unsigned int seen = 0;
	bool first = true;
	int r;

	if (!json_scan_char(&scan, '{'))
		return false;
	while ((r = json_scan_member(&scan, &first, &name)) > 0) {
		enum member member = 0;

		while (member < N_MEMBERS && (strlen(member_names[member]) != name.length ||
					      memcmp(member_names[member], name.data, name.length) != 0))
			member++;
		if (member == N_MEMBERS || seen & 1U << member)
			return false;
		seen |= 1U << member;
		if (member == MEMBER_SRC || member == MEMBER_DST) {
			if (!scan_end(&scan,
				      member == MEMBER_SRC ? &flow.connection.src : &flow.connection.dst))
				return false;
		} else if (member == MEMBER_INIT) {
			if (!scan_opener(&scan, &flow.details.opener))
				return false;
		} else if (json_scan_count(&scan, &numbers[member]) < 0) {
			return false;
		}
	}
	if (r < 0 || !json_scan_at_end(&scan) || numbers[MEMBER_PROTO] > 255 ||
	    ~seen & (1U << MEMBER_PROTO | 1U << MEMBER_SRC | 1U << MEMBER_DST) ||
	    !set_details(numbers, &flow.details))
		return false;
	flow.connection.proto = (uint8_t)numbers[MEMBER_PROTO];
	flow.counts = (struct counts){numbers[MEMBER_TX_PACKETS], numbers[MEMBER_TX_BYTES],
				      numbers[MEMBER_RX_PACKETS], numbers[MEMBER_RX_BYTES]};
	*ret_flow = flow;
	return true;
}

static int add_flow(struct stats_reply *reply, const struct flow *flow)
{
	struct extraction *extraction = reply->extraction;

	int r;

	if (counts_is_zero(&flow->counts) && details_is_zero(&flow->details))
		return 0;
	counts_add(&extraction->totals, &flow->counts);
	if (extraction->flows.n >= reply->max_flows) {
		counts_add(&extraction->overflow, &flow->counts);
		return 0;
	}
	r = flows_add(&extraction->flows, &flow->connection, &flow->counts);
	if (r == 0)
		extraction->flows.items[extraction->flows.n - 1].details = flow->details;
	return r;
}

static int add_entry(struct stats_reply *reply, const struct json_slice *entry)
{
	struct flow flow;
	json_t *object;
	int r;

	if (!scan_connection(entry, &flow)) {
		object = json_loadb(entry->data, entry->length, JSON_REJECT_DUPLICATES, NULL);
		r = read_connection(object, &flow);
		json_decref(object);
		if (r < 0)
			return r;
	}
	return add_flow(reply, &flow);
}

/* ---- a part ---- */

/* Passes one character. -EBADMSG for a closing bracket without an opening one. */
static inline int nesting_pass(struct stats_reply_nesting *nesting, char c)
{
	if (nesting->in_string) {
		if (nesting->escaped)
			nesting->escaped = false;
		else if (c == '\\')
			nesting->escaped = true;
		else if (c == '"')
			nesting->in_string = false;
		return 0;
	}
	switch (c) {
	case '"':
		nesting->in_string = true;
		break;
	case '{':
	case '[':
		nesting->depth++;
		break;
	case '}':
	case ']':
		if (nesting->depth == 0)
			return -EBADMSG;
		nesting->depth--;
		break;
	}
	return 0;
}

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/*
 * Whether the frame so far ends with a member's name and its colon. A name with escapes is not recognised:
 * its list stays in the frame, and is read with it.
 */
static bool follows_name(const struct buffer *frame, const char *name)
{
	size_t n = frame->length, length = strlen(name);
	const char *data = frame->data;

	while (n > 0 && is_blank(data[n - 1]))
		n--;
	if (n == 0 || data[--n] != ':')
		return false;
	while (n > 0 && is_blank(data[n - 1]))
		n--;
	if (n < length + 3 || data[n - 1] != '"' || memcmp(data + n - 1 - length, name, length) != 0)
		return false;
	n -= length + 2;
	return data[n] == '"' && data[n - 1] != '\\';
}

/* Reads the frame of a complete part. As stats_reply_feed(). */
static int end_part(struct stats_reply *reply)
{
	json_t *message = json_loadb(reply->frame.data, reply->frame.length, JSON_REJECT_DUPLICATES, NULL);
	json_t *parameters = NULL;
	const json_t *connections, *object;
	_cleanup_free_ char *error = NULL;
	bool continues = false;
	struct flow flow;
	size_t i;
	int r;

	r = json_is_object(message) ? varlink_parse_reply(message, &parameters, &error, &continues)
				    : -EBADMSG;
	if (r == 0 && error)
		r = -EREMOTEIO;
	connections = json_object_get(parameters, "connections");
	if (r == 0 && !json_is_array(connections))
		r = -EBADMSG;
	json_array_foreach (connections, i, object) {
		if (r == 0)
			r = read_connection(object, &flow);
		if (r == 0)
			r = add_flow(reply, &flow);
	}
	json_decref(parameters);
	json_decref(message);
	if (r < 0)
		return r;
	buffer_reset(&reply->frame);
	reply->in_frame = (struct stats_reply_nesting){};
	reply->in_parameters = false;
	reply->ended = !continues;
	return reply->ended;
}

/* One character outside the list. 1 at the end of the last part. */
static int take_frame(struct stats_reply *reply, char c)
{
	struct stats_reply_nesting *nesting = &reply->in_frame;
	bool in_string = nesting->in_string;
	int r;

	if (c == '\0')
		return end_part(reply);
	r = nesting_pass(nesting, c);
	if (r < 0)
		return r;
	if (!in_string) {
		if (c == '{' && nesting->depth == 2)
			reply->in_parameters = follows_name(&reply->frame, "parameters");
		else if (c == '}' && nesting->depth == 1)
			reply->in_parameters = false;
		else if (c == '[' && nesting->depth == 3 && reply->in_parameters &&
			 follows_name(&reply->frame, "connections"))
			reply->place = STATS_REPLY_FIRST;
	}
	if (reply->frame.length == STATS_REPLY_PIECE_MAX)
		return -EMSGSIZE;
	buffer_append_char(&reply->frame, c);
	return buffer_error(&reply->frame);
}

/* One character between the entries of the list. Advances past it, but not past an entry's first. */
static int take_list(struct stats_reply *reply, const char **data)
{
	char c = **data;

	if (c == '{' && reply->place != STATS_REPLY_BEHIND) {
		reply->place = STATS_REPLY_ENTRY;
		reply->in_entry = (struct stats_reply_nesting){};
		buffer_reset(&reply->entry);
		return 0;
	}
	++*data;
	if (is_blank(c))
		return 0;
	if (c == ']' && reply->place != STATS_REPLY_NEXT) {
		reply->place = STATS_REPLY_FRAME;
		return take_frame(reply, c);
	}
	if (c == ',' && reply->place == STATS_REPLY_BEHIND) {
		reply->place = STATS_REPLY_NEXT;
		return 0;
	}
	return -EBADMSG;
}

/* As much of an entry as there is. Advances past it. */
static int take_entry(struct stats_reply *reply, const char **data, const char *end)
{
	struct stats_reply_nesting nesting = reply->in_entry;
	struct json_slice entry = {.data = *data};
	const char *p = *data;
	bool whole = false;
	int r;

	while (p < end && !whole) {
		if (*p == '\0')
			return -EBADMSG;
		r = nesting_pass(&nesting, *p++);
		if (r < 0)
			return r;
		whole = nesting.depth == 0;
	}
	*data = p;
	reply->in_entry = nesting;
	entry.length = (size_t)(p - entry.data);
	if (reply->entry.length + entry.length > STATS_REPLY_PIECE_MAX)
		return -EMSGSIZE;
	if (!whole || reply->entry.length > 0) {
		buffer_append(&reply->entry, entry.data, entry.length);
		if (buffer_error(&reply->entry) < 0)
			return buffer_error(&reply->entry);
		entry = (struct json_slice){reply->entry.data, reply->entry.length};
	}
	if (!whole)
		return 0;
	reply->place = STATS_REPLY_BEHIND;
	return add_entry(reply, &entry);
}

int stats_reply_feed(struct stats_reply *reply, const char *data, size_t n)
{
	const char *end = data + n;
	int r = 0;

	reply->length += n;
	if (reply->length > STATS_REPLY_MAX)
		return -EMSGSIZE;
	while (r == 0 && data < end) {
		if (reply->ended)
			return -EBADMSG;
		switch (reply->place) {
		case STATS_REPLY_FRAME:
			r = take_frame(reply, *data++);
			break;
		case STATS_REPLY_ENTRY:
			r = take_entry(reply, &data, end);
			break;
		default:
			r = take_list(reply, &data);
		}
	}
	return r == 1 && data < end ? -EBADMSG : r;
}
