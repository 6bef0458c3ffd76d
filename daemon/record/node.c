/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Reading a node identity. They come from operators, by hand or by a program, and end up in every message:
 * so they are checked once, bounded, and turned into the text that is logged.
 */

#include "daemon/record/node.h"

#include "common/buffer.h"
#include "common/invalid_value.h"
#include "common/parse.h"
#include "common/plain_text.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int refuse(const json_t *value, const char *reason, struct node_refusal *ret_refusal)
{
	ret_refusal->reason = reason;
	return invalid_value_json(value, &ret_refusal->value);
}

/* 0, or refused. Marks of direction would make a log or a table show another text than the one that is meant.
 */
static int check_text(const json_t *value, struct node_refusal *ret_refusal)
{
	const char *text = json_string_value(value);

	if (!text)
		return refuse(value, "is not a text", ret_refusal);
	if (json_string_length(value) > NODE_TEXT_MAX)
		return refuse(value, "is longer than 256 bytes", ret_refusal);
	if (strlen(text) != json_string_length(value) || !plain_text_is(text))
		return refuse(value, "has control characters or marks of direction", ret_refusal);
	return 0;
}

/* A member that may be missing, null or empty: NULL then. */
static int read_text(const json_t *value, char **ret_text, struct node_refusal *ret_refusal)
{
	int r;

	char *text;

	if (!value || json_is_null(value))
		return 0;
	r = check_text(value, ret_refusal);
	if (r < 0 || json_string_length(value) == 0)
		return r;
	text = strdup(json_string_value(value));
	if (!text)
		return -ENOMEM;
	*ret_text = text;
	return 0;
}

/* The length of a member that is a list; missing or null is 0. */
static int read_list(const json_t *array, size_t max, size_t *ret_n, struct node_refusal *ret_refusal)
{
	size_t n = json_array_size(array);

	if (array && !json_is_null(array) && !json_is_array(array))
		return refuse(array, "is not a list", ret_refusal);
	if (n > max)
		return refuse(array, "has more than 64 items", ret_refusal);
	*ret_n = n;
	return 0;
}

static int text_compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Sorted, each once. */
static int read_tags(const json_t *array, struct node *node, struct node_refusal *ret_refusal)
{
	char **tags;
	size_t n = 0, kept = 0;
	int r;

	r = read_list(array, NODE_TAGS_MAX, &n, ret_refusal);
	if (r < 0 || n == 0)
		return r;
	tags = node->tags = calloc(n + 1, sizeof(*tags));
	if (!tags)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		const json_t *value = json_array_get(array, i);

		r = check_text(value, ret_refusal);
		if (r == 0 && json_string_length(value) == 0)
			r = refuse(value, "is an empty tag", ret_refusal);
		if (r < 0)
			return r;
		tags[i] = strdup(json_string_value(value));
		if (!tags[i])
			return -ENOMEM;
	}
	qsort(tags, n, sizeof(*tags), text_compare);
	for (size_t i = 0; i < n; i++) {
		char *tag = tags[i];

		tags[i] = NULL;
		if (kept && strcmp(tags[kept - 1], tag) == 0)
			free(tag);
		else
			tags[kept++] = tag;
	}
	return 0;
}

/* In the order given, each once. */
static int read_addresses(const json_t *array, struct node *node, struct node_refusal *ret_refusal)
{
	size_t n = 0;
	int r;

	r = read_list(array, NODE_ADDRESSES_MAX, &n, ret_refusal);
	if (r < 0 || n == 0)
		return r;
	node->addresses = calloc(n, sizeof(*node->addresses));
	if (!node->addresses)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		const json_t *value = json_array_get(array, i);
		struct prefix prefix;
		size_t j = 0;

		r = check_text(value, ret_refusal);
		if (r == 0 &&
		    (prefix_parse(json_string_value(value), &prefix) < 0 || !prefix_is_single(&prefix)))
			r = refuse(value, "is not an address", ret_refusal);
		if (r < 0)
			return r;
		while (j < node->n_addresses && address_compare(&node->addresses[j], &prefix.address) != 0)
			j++;
		if (j == node->n_addresses)
			node->addresses[node->n_addresses++] = prefix.address;
	}
	return 0;
}

static int read_members(const json_t *object, struct node *node, struct node_refusal *ret_refusal)
{
	static const char *const known[] = {"nodeId", "name", "addresses", "os", "user", "tags"};
	const char *key;
	json_t *value;
	int r;

	json_object_foreach ((json_t *)object, key, value) {
		size_t i = 0;

		while (i < ARRAY_SIZE(known) && strcmp(key, known[i]) != 0)
			i++;
		if (i == ARRAY_SIZE(known)) {
			ret_refusal->reason = "is not a member of a node";
			return invalid_value(key, &ret_refusal->value);
		}
	}
	r = read_text(json_object_get(object, "nodeId"), &node->id, ret_refusal);
	if (r < 0)
		return r;
	if (!node->id)
		return refuse(object, "has no nodeId", ret_refusal);
	r = read_text(json_object_get(object, "name"), &node->name, ret_refusal);
	if (r < 0)
		return r;
	r = read_addresses(json_object_get(object, "addresses"), node, ret_refusal);
	if (r < 0)
		return r;
	r = read_text(json_object_get(object, "os"), &node->os, ret_refusal);
	if (r < 0)
		return r;
	r = read_text(json_object_get(object, "user"), &node->user, ret_refusal);
	if (r < 0)
		return r;
	return read_tags(json_object_get(object, "tags"), node, ret_refusal);
}

static void append_member(struct buffer *json, const char *name, const char *value)
{
	if (!value)
		return;
	buffer_append_text(json, name);
	buffer_append_json_string(json, value);
}

/* The form in a message; the order of members is part of the contract. */
int node_make_json(struct node *node)
{
	size_t n_addresses = MIN(node->n_addresses, (size_t)NODE_ADDRESSES_MAX);
	_cleanup_buffer_ struct buffer json = {};

	append_member(&json, "{\"nodeId\":", node->id);
	append_member(&json, ",\"name\":", node->name);
	for (size_t i = 0; i < n_addresses; i++) {
		char text[ADDRESS_TEXT_MAX];

		address_format(&node->addresses[i], text);
		append_member(&json, i ? "," : ",\"addresses\":[", text);
	}
	if (node->n_addresses)
		buffer_append_char(&json, ']');
	append_member(&json, ",\"os\":", node->os);
	append_member(&json, ",\"user\":", node->user);
	for (char **tag = node->tags; tag && *tag; tag++)
		append_member(&json, tag == node->tags ? ",\"tags\":[" : ",", *tag);
	if (node->tags)
		buffer_append_char(&json, ']');
	buffer_append_char(&json, '}');

	node->json = buffer_take(&json, &node->json_length);
	return node->json ? 0 : -ENOMEM;
}

int node_from_json(const json_t *object, struct node *ret_node, struct node_refusal *ret_refusal)
{
	_cleanup_(node_deinit) struct node node = {};
	size_t n;
	int r;

	if (!json_is_object(object))
		return refuse(object, "is not an object", ret_refusal);
	r = read_members(object, &node, ret_refusal);
	if (r < 0)
		return r;
	n = node.name ? strlen(node.name) : 0;
	while (n && node.name[n - 1] == '.')
		node.name[--n] = '\0';
	if (n == 0) {
		free(node.name);
		node.name = NULL;
	}
	/* A tagged node belongs to nobody. */
	if (node.tags) {
		free(node.user);
		node.user = NULL;
	}
	r = node_make_json(&node);
	if (r < 0)
		return r;
	*ret_node = node;
	node = (struct node){};
	return 0;
}

int node_copy(const struct node *from, size_t more, struct node *ret_node)
{
	_cleanup_(node_deinit) struct node node = {};

	node.addresses = calloc(from->n_addresses + more + 1, sizeof(*node.addresses));
	if (!node.addresses || text_copy(from->id, &node.id) < 0 || text_copy(from->name, &node.name) < 0 ||
	    text_copy(from->os, &node.os) < 0 || text_copy(from->user, &node.user) < 0 ||
	    strv_copy(from->tags, &node.tags) < 0)
		return -ENOMEM;
	if (from->n_addresses > 0)
		memcpy(node.addresses, from->addresses, from->n_addresses * sizeof(*node.addresses));
	node.n_addresses = from->n_addresses;
	node.nameless = from->nameless;
	*ret_node = node;
	node = (struct node){};
	return 0;
}

void node_deinit(struct node *node)
{
	strv_free(node->tags);
	free(node->id);
	free(node->name);
	free(node->os);
	free(node->user);
	free(node->addresses);
	free(node->json);
	*node = (struct node){};
}

bool node_has_address(const struct node *node, const struct address *address)
{
	for (size_t i = 0; i < node->n_addresses; i++)
		if (memcmp(&node->addresses[i], address, sizeof(*address)) == 0)
			return true;
	return false;
}

const char *node_name(const struct node *node)
{
	return node->name ? node->name : node->id;
}
