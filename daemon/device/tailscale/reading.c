/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A node that is missing from a whole reading has gone only when that is complete. Everything else may be
 * taken as it comes: the counters of half a reading are in the next one's difference.
 */

#include "daemon/device/tailscale/reading.h"

#include "common/parse.h"
#include "common/plain_text.h"
#include "common/time_text.h"
#include "daemon/tailscale/form.h"

#include <errno.h>
#include <jansson.h>
#include <string.h>

struct tailscale_reading {
	struct tailscale_nodes *nodes;
	void (*ended)(const struct tailscale_result *result, void *userdata);
	void *userdata;
	struct buffer line; /* the beginning of one */
	struct tailscale_node **slots;
	size_t n_slots;
	struct tailscale_node *self;
	char server[80];
	bool begun, whole;
	uint64_t generation; /* of whole readings */
	uint64_t identities;
};

int tailscale_reading_new(struct tailscale_nodes *nodes,
			  void (*ended)(const struct tailscale_result *result, void *userdata),
			  void *userdata, struct tailscale_reading **ret_reading)
{
	struct tailscale_reading *reading = calloc(1, sizeof(*reading));

	if (!reading)
		return -ENOMEM;
	reading->nodes = nodes;
	reading->ended = ended;
	reading->userdata = userdata;
	*ret_reading = reading;
	return 0;
}

void tailscale_reading_free(struct tailscale_reading *reading)
{
	if (!reading)
		return;
	free(reading->slots);
	buffer_deinit(&reading->line);
	free(reading);
}

void tailscale_reading_restart(struct tailscale_reading *reading)
{
	buffer_reset(&reading->line);
	reading->n_slots = 0;
	reading->self = NULL;
	reading->begun = false;
}

uint64_t tailscale_reading_identities(const struct tailscale_reading *reading)
{
	return reading->identities;
}

/* ---- members --------------------------------------------------------------------------------------- */

/* NULL: there is none, or none that may be used. */
static const char *get_text(const json_t *line, const char *name)
{
	const char *text = json_string_value(json_object_get(line, name));

	return text && *text && strlen(text) <= TAILSCALE_TEXT_MAX ? text : NULL;
}

static bool get_number(const json_t *line, const char *name, uint64_t *ret_number)
{
	const json_t *value = json_object_get(line, name);

	if (!json_is_integer(value) || json_integer_value(value) < 0)
		return false;
	*ret_number = (uint64_t)json_integer_value(value);
	return true;
}

/* In place of the text before; NULL is one, too. It goes to terminals and logs. */
static int set_text(char **text, const char *value)
{
	char *copy;
	int r = text_copy(value, &copy);

	if (r == 0) {
		if (copy)
			plain_text_clean(copy);
		free(*text);
		*text = copy;
	}
	return r;
}

static int set_prefixes(struct prefix_list *list, const json_t *texts, size_t max)
{
	struct prefix_list made = {};
	struct prefix prefix;
	int r = 0;

	for (size_t i = 0; r == 0 && i < MIN(json_array_size(texts), max); i++) {
		const char *text = json_string_value(json_array_get(texts, i));

		if (text && prefix_parse(text, &prefix) == 0)
			r = prefix_list_add(&made, &prefix);
	}
	if (r < 0) {
		prefix_list_deinit(&made);
		return r;
	}
	prefix_list_deinit(list);
	*list = made;
	return 0;
}

static int set_tags(char ***tags, const json_t *texts)
{
	size_t n = MIN(json_array_size(texts), (size_t)TAILSCALE_TAGS_MAX), used = 0;
	char **made = NULL;

	if (n > 0) {
		made = calloc(n + 1, sizeof(char *));
		if (!made)
			return -ENOMEM;
	}
	for (size_t i = 0; i < n; i++) {
		const char *text = json_string_value(json_array_get(texts, i));

		if (!text || strlen(text) > TAILSCALE_TEXT_MAX)
			continue;
		made[used] = strdup(text);
		if (!made[used++]) {
			strv_free(made);
			return -ENOMEM;
		}
	}
	strv_free(*tags);
	*tags = made;
	return 0;
}

/* ---- lines ----------------------------------------------------------------------------------------- */

static int find_slot(struct tailscale_reading *reading, const json_t *line, const char *name,
		     size_t *ret_slot)
{
	uint64_t slot;

	if (!reading->begun || !get_number(line, name, &slot) || slot >= TAILSCALE_SLOTS_MAX)
		return -EBADMSG;
	*ret_slot = (size_t)slot;
	return 0;
}

static struct tailscale_node *get_node(const struct tailscale_reading *reading, size_t slot)
{
	if (slot == TAILSCALE_SLOTS_MAX - 1)
		return reading->self;
	return slot < reading->n_slots ? reading->slots[slot] : NULL;
}

/* A node has one number at most, so that none leads to it when it is forgotten. */
static int set_node(struct tailscale_reading *reading, size_t slot, struct tailscale_node *node)
{
	if (node && get_node(reading, node->slot) == node)
		set_node(reading, node->slot, NULL);
	if (node)
		node->slot = (uint32_t)slot;
	if (slot == TAILSCALE_SLOTS_MAX - 1) {
		reading->self = node;
		return 0;
	}
	if (slot >= reading->n_slots) {
		size_t n = MAX(slot + 1, 2 * reading->n_slots);
		struct tailscale_node **slots =
			reallocarray(reading->slots, n, sizeof(struct tailscale_node *));

		if (!slots)
			return -ENOMEM;
		memset(slots + reading->n_slots, 0, (n - reading->n_slots) * sizeof(struct tailscale_node *));
		reading->slots = slots;
		reading->n_slots = n;
	}
	reading->slots[slot] = node;
	return 0;
}

static int describe(struct tailscale_node *node, const json_t *line)
{
	const char *id = get_text(line, "id"), *name = get_text(line, "name");
	char brief[DEVICE_PEER_SHORT + 1];
	int r = set_text(&node->id, id ? id : node->key);

	snprintf(brief, sizeof(brief), "%s", node->id);
	node->named = name != NULL;
	if (r == 0)
		r = set_text(&node->name, name ? name : brief);
	if (r == 0)
		r = set_text(&node->os, get_text(line, "os"));
	if (r == 0)
		r = set_text(&node->user, get_text(line, "user"));
	if (r == 0)
		r = set_tags(&node->tags, json_object_get(line, "tags"));
	if (r == 0)
		r = set_prefixes(&node->addresses, json_object_get(line, "addresses"),
				 TAILSCALE_ADDRESSES_MAX);
	if (r == 0)
		r = set_prefixes(&node->allowed_ips, json_object_get(line, "allowedIPs"),
				 TAILSCALE_ALLOWED_IPS_MAX);
	return r;
}

static int take_node(struct tailscale_reading *reading, const json_t *line)
{
	const char *key = get_text(line, "key");
	struct tailscale_node *node;
	size_t slot;
	int r = find_slot(reading, line, "node", &slot);
	bool self = r == 0 && slot == TAILSCALE_SLOTS_MAX - 1;

	if (r < 0 || (!self && !key))
		return -EBADMSG;
	node = tailscale_nodes_find(reading->nodes, self ? "" : key);
	if (!node)
		return -ENOMEM;
	r = set_node(reading, slot, node);
	if (r == 0)
		r = describe(node, line);
	node->self = self;
	node->here = true;
	node->generation = reading->generation;
	reading->identities++;
	return r;
}

static enum device_path path_of(const char *text)
{
	for (enum device_path path = DEVICE_PATH_DIRECT; text && path <= DEVICE_PATH_RELAY; path++)
		if (strcmp(text, device_path_name(path)) == 0)
			return path;
	return DEVICE_PATH_UNKNOWN;
}

static int take_counts(struct tailscale_reading *reading, const json_t *line)
{
	const char *endpoint = get_text(line, "endpoint"), *via = get_text(line, "via");
	struct tailscale_node *node;
	uint64_t number;
	size_t slot;
	int r = find_slot(reading, line, "counts", &slot);

	node = r == 0 ? get_node(reading, slot) : NULL;
	if (!node)
		return -EBADMSG;
	node->has_tx = get_number(line, "tx", &node->tx);
	node->has_rx = get_number(line, "rx", &node->rx);
	node->path = path_of(get_text(line, "path"));
	if (!endpoint || endpoint_parse(endpoint, &node->endpoint) < 0)
		node->endpoint = (struct endpoint){};
	snprintf(node->via, sizeof(node->via), "%s", via ? via : "");
	node->region = get_number(line, "region", &number) && number <= UINT16_MAX ? (unsigned int)number : 0;
	node->last_handshake = get_number(line, "handshake", &number) ? (int64_t)number : 0;
	node->last_seen = get_number(line, "seen", &number) ? (int64_t)number : 0;
	return 0;
}

static void let_go(struct tailscale_reading *reading, struct tailscale_node *node)
{
	node->here = false;
	node->gone = time_now_boot();
	reading->identities++;
}

static int take_gone(struct tailscale_reading *reading, const json_t *line)
{
	struct tailscale_node *node;
	size_t slot;
	int r = find_slot(reading, line, "gone", &slot);

	if (r < 0)
		return r;
	node = get_node(reading, slot);
	if (!node)
		return 0;
	let_go(reading, node);
	return set_node(reading, slot, NULL);
}

static int take_begin(struct tailscale_reading *reading, const json_t *line)
{
	const char *server = get_text(line, "server");
	uint64_t form;

	if (!get_number(line, "form", &form))
		return -EBADMSG;
	if (form != TAILSCALE_FORM)
		return -EPROTONOSUPPORT;
	reading->whole = json_is_true(json_object_get(line, "whole"));
	/* Only that one can tell all numbers. */
	if (!reading->whole && reading->n_slots == 0 && !reading->self && !reading->begun)
		return -EBADMSG;
	if (reading->whole) {
		reading->generation++;
		reading->n_slots = 0;
		reading->self = NULL;
	}
	snprintf(reading->server, sizeof(reading->server), "%s", server ? server : "");
	reading->begun = true;
	return 0;
}

static int take_end(struct tailscale_reading *reading, const json_t *line, const char *name)
{
	const char *state = get_text(line, "state"), *version = get_text(line, "version");
	const char *problem = get_text(line, "problem"), *reason = get_text(line, "reason");
	bool failed = strcmp(name, "failed") == 0;
	struct tailscale_result result = {.server = reading->server};
	uint64_t ms = 0;

	if (!get_number(line, name, &result.number) || (!failed && !reading->begun))
		return -EBADMSG;
	get_number(line, "ms", &ms);
	get_number(line, "skipped", &result.skipped);
	result.took_ms = (int64_t)ms;
	result.state = state ? state : "";
	result.version = version ? version : "";
	if (failed) {
		result.problem = problem ? problem : "broken";
		result.reason = reason ? reason : "no reason";
		result.absent = strcmp(result.problem, "absent") == 0;
	} else if (reading->whole) {
		for (size_t i = 0; i < tailscale_nodes_count(reading->nodes); i++) {
			struct tailscale_node *node = tailscale_nodes_get(reading->nodes, i);

			if (node->here && node->generation != reading->generation)
				let_go(reading, node);
		}
		reading->whole = false;
	}
	reading->ended(&result, reading->userdata);
	return 0;
}

/* What kind of line it is shows by its first member. */
static int take_line(struct tailscale_reading *reading, const char *text, size_t n)
{
	json_t *line = json_loadb(text, n, JSON_REJECT_DUPLICATES, NULL);
	int r = -EBADMSG;

	if (json_object_get(line, "counts"))
		r = take_counts(reading, line);
	else if (json_object_get(line, "node"))
		r = take_node(reading, line);
	else if (json_object_get(line, "gone"))
		r = take_gone(reading, line);
	else if (json_object_get(line, "begin"))
		r = take_begin(reading, line);
	else if (json_object_get(line, "end"))
		r = take_end(reading, line, "end");
	else if (json_object_get(line, "failed"))
		r = take_end(reading, line, "failed");
	json_decref(line);
	return r;
}

int tailscale_reading_feed(struct tailscale_reading *reading, const char *data, size_t n)
{
	int r = 0;

	while (r == 0 && n > 0) {
		const char *end = memchr(data, '\n', n);
		size_t length = end ? (size_t)(end - data) : n;

		if (reading->line.length + length > TAILSCALE_LINE_MAX)
			return -EMSGSIZE;
		if (end && reading->line.length == 0) {
			r = take_line(reading, data, length);
		} else {
			buffer_append(&reading->line, data, length);
			r = buffer_error(&reading->line);
			if (r == 0 && end) {
				r = take_line(reading, reading->line.data, reading->line.length);
				buffer_reset(&reading->line);
			}
		}
		length += end ? 1 : 0;
		data += length;
		n -= length;
	}
	return r;
}
