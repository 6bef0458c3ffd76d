/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Messages of a window. A message is written from the middle of a region that has room for two: the entries
 * grow forwards from there, and when they are complete, the head is put in front of them (its length is known
 * all the time, but its dstNodes only then). So nothing but the head is copied, and the size of the whole is
 * known before an entry is accepted.
 */

#include "daemon/record/encode.h"

#include "common/time_text.h"
#include "daemon/record/entry_sort.h"
#include "daemon/record/entry_text.h"
#include "daemon/record/nodes.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Kept free for one entry with the lists around it, for the overflow, and for a longer proc_seq. */
#define RESERVE 1024

/* How many entries ahead to prefetch: sorted, they lie anywhere in memory. */
#define AHEAD 8

static const char *const class_texts[N_CLASSES] = {
	[CLASS_VIRTUAL] = ",\"virtualTraffic\":[",
	[CLASS_SUBNET] = ",\"subnetTraffic\":[",
	[CLASS_EXIT] = ",\"exitTraffic\":[",
	[CLASS_PHYSICAL] = ",\"physicalTraffic\":[",
};

#define DST_NODES_TEXT ",\"dstNodes\":["
#define SRC_NODE_TEXT  ",\"srcNode\":"

struct encoder {
	const struct encode_times *window;
	const struct encode_settings *settings;
	struct encode_sequence *sequence;
	int64_t client_time;
	size_t limit;

	const char *node_id;	      /* NULL: none */
	const struct node *src_node;  /* NULL: unknown, or too large */
	const struct node *this_node; /* the same, of the known nodes; NULL: it is none of them */
	size_t node_max;	      /* bytes of a node's text: any two fit beside an entry */

	struct buffer head;	/* everything before the dstNodes; room for dstNodes too */
	struct buffer overflow; /* the member, empty after the first message */

	const struct node **seen; /* dstNodes of the current message */
	size_t n_seen;
	uint32_t *seen_in;	     /* by node: the last message it was seen in */
	uint32_t message;	     /* number of this one, from 1 */
	size_t dst_nodes_size;	     /* of the whole member */
	struct address last_address; /* the source looked up last, and its node */
	const struct node *last_node;

	char *body; /* first byte after the head */
	char *end;
	enum traffic_class class; /* of the list that is open; N_CLASSES: none */
	struct entry_text text;
};

static void append_logtail(struct buffer *buffer, const struct encode_sequence *sequence, int64_t client_time)
{
	char time[TIME_TEXT_MAX];

	time_format(client_time, time);
	buffer_append_text(buffer, "{\"logtail\":{\"client_time\":\"");
	buffer_append_text(buffer, time);
	buffer_append_text(buffer, "\",\"proc_id\":");
	buffer_append_u64(buffer, sequence->proc_id);
	buffer_append_text(buffer, ",\"proc_seq\":");
	buffer_append_u64(buffer, sequence->proc_seq + 1);
	buffer_append_char(buffer, '}');
}

static void append_time(struct buffer *buffer, const char *name, int64_t wall)
{
	char time[TIME_TEXT_MAX];

	time_format(wall, time);
	buffer_append_text(buffer, name);
	buffer_append_text(buffer, time);
	buffer_append_char(buffer, '"');
}

static void write_head(struct encoder *encoder)
{
	struct buffer *head = &encoder->head;

	buffer_reset(head);
	append_logtail(head, encoder->sequence, encoder->client_time);
	if (encoder->node_id) {
		buffer_append_text(head, ",\"nodeId\":");
		buffer_append_json_string(head, encoder->node_id);
	}
	append_time(head, ",\"start\":\"", encoder->window->start);
	append_time(head, ",\"end\":\"", encoder->window->end);
	if (encoder->src_node) {
		buffer_append_text(head, SRC_NODE_TEXT);
		buffer_append(head, encoder->src_node->json, encoder->src_node->json_length);
	}
}

static void write_overflow(struct buffer *overflow, const struct aggregate *aggregate)
{
	static const char *const devices[] = {[LAYER_TUN] = "tun", [LAYER_SOCK] = "sock"};

	for (size_t layer = 0; layer < N_LAYERS; layer++) {
		char text[160];
		char *end = counts_text_write(&aggregate->overflow[layer], text);

		if (end == text)
			continue;
		buffer_append_text(overflow, overflow->length ? ",\"" : ",\"overflow\":{\"");
		buffer_append_text(overflow, devices[layer]);
		buffer_append_text(overflow, "\":{");
		buffer_append(overflow, text + 1, (size_t)(end - text - 1));
		buffer_append_char(overflow, '}');
	}
	if (overflow->length)
		buffer_append_char(overflow, '}');
}

static void encoder_deinit(struct encoder *encoder)
{
	buffer_deinit(&encoder->head);
	buffer_deinit(&encoder->overflow);
	free(encoder->seen);
	free(encoder->seen_in);
}

static bool is_full(const struct encoder *encoder)
{
	return encoder->head.length + RESERVE > encoder->limit;
}

/* What is written of it has its other addresses, too. */
static void find_this_node(struct encoder *encoder)
{
	const struct encode_settings *settings = encoder->settings;

	encoder->this_node = nodes_self(settings->nodes, settings->node_id, settings->local_addrs);
	encoder->src_node = encoder->this_node;
	if (settings->self && nodes_count(settings->nodes) > 0)
		encoder->src_node = settings->self;
}

/* Takes all the memory that making the messages needs, so that it cannot fail in the middle. */
static int encoder_init(struct encoder *encoder, struct aggregate *aggregate)
{
	const struct encode_settings *settings = encoder->settings;
	size_t n_nodes = nodes_numbers(settings->nodes);
	int r;

	r = region_grow(&aggregate->message, 2 * encoder->limit + ENTRY_TEXT_MAX + RESERVE);
	if (r < 0)
		return r;
	encoder->body = (char *)aggregate->message.data + encoder->limit;
	if (n_nodes) {
		encoder->seen = calloc(n_nodes, sizeof(*encoder->seen));
		encoder->seen_in = calloc(n_nodes, sizeof(*encoder->seen_in));
		if (!encoder->seen || !encoder->seen_in)
			return -ENOMEM;
	}

	encoder->node_id = settings->node_id;
	find_this_node(encoder);
	write_head(encoder);
	/* What would leave no room for entries is left out. */
	if (encoder->src_node && is_full(encoder)) {
		encoder->src_node = encoder->this_node = NULL;
		write_head(encoder);
	}
	if (encoder->node_id && is_full(encoder)) {
		encoder->node_id = NULL;
		write_head(encoder);
	}
	if (!is_full(encoder))
		encoder->node_max = (encoder->limit - encoder->head.length - RESERVE) / 2;

	buffer_reserve(&encoder->head, encoder->limit);
	write_overflow(&encoder->overflow, aggregate);
	if (buffer_error(&encoder->head))
		return buffer_error(&encoder->head);
	return buffer_error(&encoder->overflow);
}

static void message_begin(struct encoder *encoder)
{
	write_head(encoder);
	encoder->message++;
	encoder->n_seen = 0;
	encoder->dst_nodes_size = 0;
	encoder->class = N_CLASSES;
	encoder->end = encoder->body;
}

static int compare_ids(const void *a, const void *b)
{
	return strcmp((*(const struct node *const *)a)->id, (*(const struct node *const *)b)->id);
}

static int message_finish(struct encoder *encoder, encode_message_fn message, void *userdata)
{
	struct buffer whole = {}, *head = &encoder->head;
	size_t head_size = head->length + encoder->dst_nodes_size;
	char *p = encoder->end, *first = encoder->body - head_size;

	if (encoder->n_seen)
		qsort(encoder->seen, encoder->n_seen, sizeof(*encoder->seen), compare_ids);
	for (size_t i = 0; i < encoder->n_seen; i++) {
		buffer_append_text(head, i ? "," : DST_NODES_TEXT);
		buffer_append(head, encoder->seen[i]->json, encoder->seen[i]->json_length);
	}
	if (encoder->n_seen)
		buffer_append_char(head, ']');
	if (buffer_error(head))
		return buffer_error(head);
	assert(head->length == head_size);
	memcpy(first, head->data, head_size);

	if (encoder->class != N_CLASSES)
		*p++ = ']';
	if (encoder->overflow.length)
		memcpy(p, encoder->overflow.data, encoder->overflow.length);
	p += encoder->overflow.length;
	*p++ = '}';
	buffer_reset(&encoder->overflow);

	whole.data = first;
	whole.length = (size_t)(p - first);
	whole.allocated = whole.length;
	assert(whole.length <= encoder->limit);
	encoder->sequence->proc_seq++;
	return message(&whole, userdata);
}

/* Nodes that an entry adds to the dstNodes. */
struct new_nodes {
	const struct node *nodes[2];
	size_t n;
	size_t size; /* by which the member grows */
};

static void consider_node(const struct encoder *encoder, const struct node *node, struct new_nodes *new_nodes)
{
	if (!node || node == encoder->this_node || node->json_length > encoder->node_max ||
	    encoder->seen_in[nodes_number(encoder->settings->nodes, node)] == encoder->message ||
	    (new_nodes->n && new_nodes->nodes[0] == node))
		return;
	if (encoder->n_seen + new_nodes->n == 0)
		new_nodes->size += sizeof(DST_NODES_TEXT "]") - 1;
	else
		new_nodes->size++;
	new_nodes->size += node->json_length;
	new_nodes->nodes[new_nodes->n++] = node;
}

/* Of physical traffic only the peer is a node; its endpoint is an address in another network. */
static struct new_nodes find_new_nodes(struct encoder *encoder, const struct entry *entry)
{
	struct new_nodes new_nodes = {};
	struct address address;

	if (!encoder->seen)
		return new_nodes;
	memcpy(&address, entry->key.bytes + ENTRY_SRC, sizeof(address));
	if (memcmp(&address, &encoder->last_address, sizeof(address)) != 0) {
		encoder->last_node = nodes_find_address(encoder->settings->nodes, &address);
		encoder->last_address = address;
	}
	consider_node(encoder, encoder->last_node, &new_nodes);
	if (entry->key.bytes[ENTRY_CLASS] == CLASS_PHYSICAL)
		return new_nodes;
	memcpy(&address, entry->key.bytes + ENTRY_DST, sizeof(address));
	consider_node(encoder, nodes_find_address(encoder->settings->nodes, &address), &new_nodes);
	return new_nodes;
}

/* False if the current message has no room for the entry; an empty one always has. */
static bool message_add(struct encoder *encoder, const struct entry *entry)
{
	struct new_nodes new_nodes = find_new_nodes(encoder, entry);
	enum traffic_class class = entry->key.bytes[ENTRY_CLASS];
	char *p = encoder->end;
	size_t size;

	if (class == encoder->class) {
		*p++ = ',';
	} else {
		if (encoder->class != N_CLASSES)
			*p++ = ']';
		p = stpcpy(p, class_texts[class]);
	}
	p = entry_text_write(&encoder->text, entry, p);

	size = encoder->head.length + encoder->dst_nodes_size + new_nodes.size + (size_t)(p - encoder->body) +
	       encoder->overflow.length + 2;
	if (size > encoder->limit)
		return false;
	for (size_t i = 0; i < new_nodes.n; i++) {
		const struct node *node = new_nodes.nodes[i];

		encoder->seen_in[nodes_number(encoder->settings->nodes, node)] = encoder->message;
		encoder->seen[encoder->n_seen++] = node;
	}
	encoder->dst_nodes_size += new_nodes.size;
	encoder->class = class;
	encoder->end = p;
	return true;
}

/* The entry has its place. */
static void note_entry(const struct encode_settings *settings, const struct entry *entry)
{
	enum traffic_class class = entry->key.bytes[ENTRY_CLASS];

	if (settings->sums) {
		counts_add(&settings->sums->counts[class], &entry->counts);
		settings->sums->entries[class]++;
		settings->sums->starts[class] += entry->details.starts;
	}
	if (class == CLASS_PHYSICAL && settings->take_physical)
		settings->take_physical(entry, settings->take_userdata);
}

int encode_window(struct aggregate *aggregate, const struct encode_times *window,
		  const struct encode_settings *settings, struct encode_sequence *sequence,
		  int64_t client_time, encode_message_fn message, void *userdata)
{
	_cleanup_(encoder_deinit) struct encoder encoder = {
		.window = window,
		.settings = settings,
		.sequence = sequence,
		.client_time = client_time,
		.limit = MAX(settings->max_message_size, (uint64_t)ENCODE_MESSAGE_MIN),
		.text.drop_reason_name = settings->drop_reason_name,
	};
	const struct entries *entries = &aggregate->entries;
	struct entry_order *order;
	/* This one and the next: what has just been written is slow to read in other pieces. */
	struct entry pair[2];
	int r;

	if (aggregate_is_empty(aggregate))
		return 0;
	r = encoder_init(&encoder, aggregate);
	if (r < 0)
		return r;
	entries_close(&aggregate->entries);
	r = entries_sort(entries, &aggregate->order, &order);
	if (r < 0)
		return r;

	message_begin(&encoder);
	if (entries->n > 0)
		entries_read(entries, order[0].slot, &pair[0]);
	for (size_t i = 0; i < entries->n; i++) {
		const struct entry *entry = &pair[i % 2];

		if (i + AHEAD < entries->n)
			entries_prefetch(entries, order[i + AHEAD].slot);
		if (i + 1 < entries->n)
			entries_read(entries, order[i + 1].slot, &pair[(i + 1) % 2]);
		if (!message_add(&encoder, entry)) {
			r = message_finish(&encoder, message, userdata);
			if (r < 0)
				return r;
			message_begin(&encoder);
			if (!message_add(&encoder, entry))
				return -EMSGSIZE;
		}
		note_entry(settings, entry);
	}
	return message_finish(&encoder, message, userdata);
}

static void append_event(struct buffer *message, size_t before, const json_t *event)
{
	_cleanup_free_ char *json = event ? json_dumps(event, JSON_COMPACT) : NULL;
	const char *type = json_string_value(json_object_get(event, "type"));

	if (json && message->length - before + strlen(json) + sizeof(",\"event\":}") <= ENCODE_MESSAGE_MIN) {
		buffer_append_text(message, ",\"event\":");
		buffer_append_text(message, json);
	} else if (type) {
		buffer_append_text(message, ",\"event\":{\"type\":");
		buffer_append_json_string(message, type);
		buffer_append_char(message, '}');
	}
}

int encode_text(struct buffer *message, struct encode_sequence *sequence, int64_t client_time,
		const char *text, const json_t *event)
{
	size_t before = message->length;
	char whole[sizeof("netlogd: ") + ENCODE_TEXT_MAX] = {"netlogd: "};
	size_t n = strnlen(text, ENCODE_TEXT_MAX + 1);

	/* Cut between characters. */
	if (n > ENCODE_TEXT_MAX)
		for (n = ENCODE_TEXT_MAX; n > 0 && ((unsigned char)text[n] & 0xc0) == 0x80;)
			n--;
	memcpy(whole + strlen(whole), text, n);
	append_logtail(message, sequence, client_time);
	buffer_append_text(message, ",\"text\":");
	buffer_append_json_string(message, whole);
	append_event(message, before, event);
	buffer_append_char(message, '}');
	if (buffer_error(message))
		return buffer_error(message);
	sequence->proc_seq++;
	return 0;
}
