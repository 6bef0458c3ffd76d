/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Reading a message back. Only rare members that may hold any text (nodes, texts) go through jansson;
 * entries are read in place.
 */

#include "common/message.h"
#include "common/cleanup.h"
#include "common/time_text.h"

#include <errno.h>
#include <string.h>

typedef int (*read_fn)(struct json_scan *scan, void *target);

/* A known member of an object: its name, its reader, and where its value goes. */
struct member {
	const char *name;
	read_fn read;
	size_t offset;
};

static bool slice_is(const struct json_slice *slice, const char *text)
{
	return strlen(text) == slice->length && memcmp(slice->data, text, slice->length) == 0;
}

/* Reads the members of an object, each known one at most once. */
static int read_object(struct json_scan *scan, const struct member *members, size_t n, void *target)
{
	struct json_slice name;
	unsigned int seen = 0;
	bool first = true;
	int r;

	if (!json_scan_char(scan, '{'))
		return -EBADMSG;
	while ((r = json_scan_member(scan, &first, &name)) > 0) {
		size_t i = 0;

		while (i < n && !slice_is(&name, members[i].name))
			i++;
		if (i == n) {
			r = json_scan_value(scan, NULL);
		} else if (seen & 1U << i) {
			return -EBADMSG;
		} else {
			seen |= 1U << i;
			r = members[i].read(scan, (char *)target + members[i].offset);
		}
		if (r < 0)
			return r;
	}
	return r;
}

static int read_time(struct json_scan *scan, void *target)
{
	char text[TIME_TEXT_MAX];
	struct json_slice content;
	bool plain;
	int r;

	r = json_scan_string(scan, &content, &plain);
	if (r < 0)
		return r;
	if (!plain || content.length >= sizeof(text))
		return -EBADMSG;
	memcpy(text, content.data, content.length);
	text[content.length] = '\0';
	return time_parse(text, target) < 0 ? -EBADMSG : 0;
}

static int read_count(struct json_scan *scan, void *target)
{
	return json_scan_count(scan, target);
}

static int read_u32(struct json_scan *scan, void *target)
{
	uint64_t value;
	int r;

	r = json_scan_count(scan, &value);
	if (r < 0 || value > UINT32_MAX)
		return -EBADMSG;
	*(uint32_t *)target = (uint32_t)value;
	return 0;
}

/* Any value as a tree, for rare members. */
static int read_tree(struct json_scan *scan, json_t **ret_value)
{
	struct json_slice text;
	json_error_t error;
	json_t *value;
	int r;

	r = json_scan_value(scan, &text);
	if (r < 0)
		return r;
	value = json_loadb(text.data, text.length, JSON_DECODE_ANY, &error);
	if (!value)
		return json_error_code(&error) == json_error_out_of_memory ? -ENOMEM : -EBADMSG;
	*ret_value = value;
	return 0;
}

static int read_text(struct json_scan *scan, void *target)
{
	json_t *value;
	char *text;
	int r;

	r = read_tree(scan, &value);
	if (r < 0)
		return r;
	if (!json_is_string(value)) {
		json_decref(value);
		return -EBADMSG;
	}
	text = strdup(json_string_value(value));
	json_decref(value);
	if (!text)
		return -ENOMEM;
	*(char **)target = text;
	return 0;
}

static int read_node(struct json_scan *scan, void *target)
{
	json_t *node;
	int r;

	r = read_tree(scan, &node);
	if (r < 0)
		return r;
	if (!json_is_object(node)) {
		json_decref(node);
		return -EBADMSG;
	}
	*(json_t **)target = node;
	return 0;
}

static int read_nodes(struct json_scan *scan, void *target)
{
	json_t *nodes;
	int r;

	r = read_tree(scan, &nodes);
	if (r < 0)
		return r;
	if (!json_is_array(nodes)) {
		json_decref(nodes);
		return -EBADMSG;
	}
	*(json_t **)target = nodes;
	return 0;
}

static int read_logtail(struct json_scan *scan, void *target)
{
	static const struct member members[] = {
		{"client_time", read_time, offsetof(struct message, client_time)},
		{"proc_id", read_u32, offsetof(struct message, proc_id)},
		{"proc_seq", read_count, offsetof(struct message, proc_seq)},
	};

	return read_object(scan, members, ARRAY_SIZE(members), target);
}

static int read_counts(struct json_scan *scan, void *target)
{
	static const struct member members[] = {
		{"txPkts", read_count, offsetof(struct counts, tx_packets)},
		{"txBytes", read_count, offsetof(struct counts, tx_bytes)},
		{"rxPkts", read_count, offsetof(struct counts, rx_packets)},
		{"rxBytes", read_count, offsetof(struct counts, rx_bytes)},
	};

	return read_object(scan, members, ARRAY_SIZE(members), target);
}

static int read_overflow(struct json_scan *scan, void *target)
{
	static const struct member members[] = {
		{"tun", read_counts, offsetof(struct message, overflow_tun)},
		{"sock", read_counts, offsetof(struct message, overflow_sock)},
	};

	return read_object(scan, members, ARRAY_SIZE(members), target);
}

static int read_list(struct json_scan *scan, void *target)
{
	struct json_slice text;
	int r;

	r = json_scan_value(scan, &text);
	if (r < 0 || text.data[0] != '[')
		return -EBADMSG;
	*(struct json_slice *)target = text;
	return 0;
}

int message_parse(const char *data, size_t length, struct message *ret_message)
{
	static const struct member members[] = {
		{"logtail", read_logtail, 0},
		{"text", read_text, offsetof(struct message, text)},
		{"nodeId", read_text, offsetof(struct message, node_id)},
		{"start", read_time, offsetof(struct message, start)},
		{"end", read_time, offsetof(struct message, end)},
		{"srcNode", read_node, offsetof(struct message, src_node)},
		{"dstNodes", read_nodes, offsetof(struct message, dst_nodes)},
		{"virtualTraffic", read_list, offsetof(struct message, lists[CLASS_VIRTUAL])},
		{"subnetTraffic", read_list, offsetof(struct message, lists[CLASS_SUBNET])},
		{"exitTraffic", read_list, offsetof(struct message, lists[CLASS_EXIT])},
		{"physicalTraffic", read_list, offsetof(struct message, lists[CLASS_PHYSICAL])},
		{"overflow", read_overflow, 0},
	};
	/* No time is before the year 1678, so this means "not set". */
	struct message message = {.start = INT64_MIN, .end = INT64_MIN};
	struct json_scan scan = {data, data + length};
	int r;

	r = read_object(&scan, members, ARRAY_SIZE(members), &message);
	if (r == 0 && !json_scan_at_end(&scan))
		r = -EBADMSG;
	if (r == 0 && (message.start == INT64_MIN) != (message.end == INT64_MIN))
		r = -EBADMSG;
	if (r < 0) {
		message_deinit(&message);
		return r;
	}
	message.has_window = message.start != INT64_MIN;
	if (!message.has_window)
		message.start = message.end = 0;
	*ret_message = message;
	return 0;
}

void message_deinit(struct message *message)
{
	free(message->text);
	free(message->node_id);
	json_decref(message->src_node);
	json_decref(message->dst_nodes);
	*message = (struct message){};
}

bool message_is_known(const struct message *message)
{
	return message->has_window || message->text;
}

static int read_endpoint(struct json_scan *scan, struct endpoint *ret_endpoint)
{
	struct json_slice content;
	bool plain;
	int r;

	r = json_scan_string(scan, &content, &plain);
	if (r < 0)
		return r;
	/* One with escapes fails here: no address has a backslash. */
	return endpoint_parse_n(content.data, content.length, ret_endpoint) < 0 ? -EBADMSG : 0;
}

enum {
	SEEN_PROTO = 1,
	SEEN_SRC = 2,
	SEEN_DST = 4,
	SEEN_NEEDED = 7,
	SEEN_COUNTS = 8,
	SEEN_INIT = 1 << 7,
	SEEN_DROP_REASON = 1 << 8,
	SEEN_DETAILS = 1 << 9,
};

/* An entry, and the text that its details leave out. */
struct entry {
	struct flow flow;
	struct json_slice drop_reason;
};

/* Where the value of a count goes, or NULL; its bit in ret_seen. */
static uint64_t *count_of(const struct json_slice *name, struct counts *counts, unsigned int *ret_seen)
{
	const char *n = name->data;
	bool tx;

	if (name->length != 6 && name->length != 7)
		return NULL;
	tx = n[0] == 't';
	if ((!tx && n[0] != 'r') || n[1] != 'x')
		return NULL;
	if (name->length == 6 && memcmp(n + 2, "Pkts", 4) == 0) {
		*ret_seen = SEEN_COUNTS << (tx ? 0 : 1);
		return tx ? &counts->tx_packets : &counts->rx_packets;
	}
	if (name->length == 7 && memcmp(n + 2, "Bytes", 5) == 0) {
		*ret_seen = SEEN_COUNTS << (tx ? 2 : 3);
		return tx ? &counts->tx_bytes : &counts->rx_bytes;
	}
	return NULL;
}

static int read_opener(struct json_scan *scan, uint8_t *ret_opener)
{
	struct json_slice text;
	bool plain;
	int r;

	r = json_scan_string(scan, &text, &plain);
	if (r < 0)
		return r;
	if (slice_is(&text, "src"))
		*ret_opener = OPENER_SRC;
	else if (slice_is(&text, "dst"))
		*ret_opener = OPENER_DST;
	else
		return -EBADMSG;
	return 0;
}

static int read_number(struct json_scan *scan, uint64_t max, uint64_t *ret_value)
{
	int r = json_scan_count(scan, ret_value);

	return r == 0 && *ret_value > max ? -EBADMSG : r;
}

/* A member of the details. 0; -EBADMSG; 1: it is none, and was skipped. */
static int read_detail(struct json_scan *scan, const struct json_slice *name, struct entry *entry,
		       unsigned int *ret_bit)
{
	struct details *details = &entry->flow.details;
	const struct {
		const char *name;
		uint32_t *number;
		uint8_t *flags;
	} numbers[] = {
		{"starts", &details->starts, NULL},    {"ends", &details->ends, NULL},
		{"txFlags", NULL, &details->tx_flags}, {"rxFlags", NULL, &details->rx_flags},
		{"txDrops", &details->tx_drops, NULL}, {"rxDrops", &details->rx_drops, NULL},
	};
	uint64_t value;
	bool plain;
	int r;

	for (unsigned int i = 0; i < ARRAY_SIZE(numbers); i++) {
		if (!slice_is(name, numbers[i].name))
			continue;
		*ret_bit = SEEN_DETAILS << i;
		r = read_number(scan, numbers[i].number ? UINT32_MAX : UINT8_MAX, &value);
		if (r < 0)
			return r;
		if (numbers[i].number)
			*numbers[i].number = (uint32_t)value;
		else
			*numbers[i].flags = (uint8_t)value;
		return 0;
	}
	if (slice_is(name, "init")) {
		*ret_bit = SEEN_INIT;
		return read_opener(scan, &details->opener);
	}
	if (slice_is(name, "dropReason")) {
		*ret_bit = SEEN_DROP_REASON;
		r = json_scan_string(scan, &entry->drop_reason, &plain);
		return r == 0 && !plain ? -EBADMSG : r;
	}
	r = json_scan_value(scan, NULL);
	return r < 0 ? r : 1;
}

static int read_entry_member(struct json_scan *scan, const struct json_slice *name, struct entry *entry,
			     unsigned int *seen)
{
	struct flow *flow = &entry->flow;
	uint64_t proto = 0;
	unsigned int bit;
	uint64_t *count = count_of(name, &flow->counts, &bit);
	int r;

	if (count) {
		r = json_scan_count(scan, count);
	} else if (slice_is(name, "proto")) {
		bit = SEEN_PROTO;
		r = json_scan_count(scan, &proto);
		if (proto > UINT8_MAX)
			return -EBADMSG;
		flow->connection.proto = (uint8_t)proto;
	} else if (slice_is(name, "src")) {
		bit = SEEN_SRC;
		r = read_endpoint(scan, &flow->connection.src);
	} else if (slice_is(name, "dst")) {
		bit = SEEN_DST;
		r = read_endpoint(scan, &flow->connection.dst);
	} else {
		r = read_detail(scan, name, entry, &bit);
		if (r == 1)
			return 0;
		if (r < 0)
			return r;
	}
	if (*seen & bit)
		return -EBADMSG;
	*seen |= bit;
	return r;
}

static int read_entry(struct json_scan *scan, struct entry *ret_entry)
{
	struct entry entry = {};
	struct json_slice name;
	unsigned int seen = 0;
	bool first = true;
	int r;

	if (!json_scan_char(scan, '{'))
		return -EBADMSG;
	while ((r = json_scan_member(scan, &first, &name)) > 0) {
		r = read_entry_member(scan, &name, &entry, &seen);
		if (r < 0)
			return r;
	}
	if (r < 0 || (seen & SEEN_NEEDED) != SEEN_NEEDED)
		return -EBADMSG;
	*ret_entry = entry;
	return 0;
}

struct message_entries message_entries(const struct message *message)
{
	return (struct message_entries){.message = message};
}

int message_entries_next(struct message_entries *entries, enum traffic_class *ret_class,
			 struct flow *ret_flow)
{
	for (; entries->class < N_CLASSES; entries->class ++, entries->open = false) {
		const struct json_slice *list = &entries->message->lists[entries->class];
		struct json_scan scan = entries->scan;
		struct entry entry;
		int r;

		if (!list->data)
			continue;
		if (!entries->open)
			scan = (struct json_scan){list->data + 1, list->data + list->length};
		if (json_scan_char(&scan, ']'))
			continue;
		if (entries->open && !json_scan_char(&scan, ','))
			return -EBADMSG;
		r = read_entry(&scan, &entry);
		if (r < 0)
			return r;
		*ret_flow = entry.flow;
		entries->drop_reason = entry.drop_reason;
		entries->scan = scan;
		entries->open = true;
		*ret_class = (enum traffic_class)entries->class;
		return 1;
	}
	return 0;
}
