/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Reading node identities. They come from operators, by hand or by a program, and end up in every message:
 * so they are checked once, bounded, and turned into the text that is logged.
 */

#include "common/buffer.h"
#include "common/file.h"
#include "common/invalid_value.h"
#include "daemon/record/nodes_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

static bool is_plain_text(const json_t *value)
{
	const char *text = json_string_value(value);
	size_t n = json_string_length(value);

	if (!text || n > NODE_TEXT_MAX)
		return false;
	for (size_t i = 0; i < n; i++)
		if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
			return false;
	return true;
}

/* A member that may be missing, null or empty: NULL then. */
static int read_text(const json_t *value, char **ret_text, char **ret_value)
{
	char *text;

	if (!value || json_is_null(value))
		return 0;
	if (!is_plain_text(value))
		return invalid_value_json(value, ret_value);
	if (json_string_length(value) == 0)
		return 0;
	text = strdup(json_string_value(value));
	if (!text)
		return -ENOMEM;
	free(*ret_text);
	*ret_text = text;
	return 0;
}

static int text_compare(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void sort_unique(char **list, size_t *n)
{
	size_t kept = 0;

	if (*n > 1)
		qsort(list, *n, sizeof(*list), text_compare);
	for (size_t i = 0; i < *n; i++) {
		if (kept && strcmp(list[kept - 1], list[i]) == 0)
			free(list[i]);
		else
			list[kept++] = list[i];
	}
	for (size_t i = kept; i < *n; i++)
		list[i] = NULL;
	*n = kept;
}

static int read_tags(const json_t *array, struct node *node, char **ret_value)
{
	const json_t *value;
	size_t i, n = 0;

	if (!array || json_is_null(array) || (json_is_array(array) && json_array_size(array) == 0))
		return 0;
	if (!json_is_array(array) || json_array_size(array) > NODE_TAGS_MAX)
		return invalid_value_json(array, ret_value);
	node->tags = calloc(json_array_size(array) + 1, sizeof(*node->tags));
	if (!node->tags)
		return -ENOMEM;
	json_array_foreach (array, i, value) {
		if (!is_plain_text(value) || json_string_length(value) == 0)
			return invalid_value_json(value, ret_value);
		node->tags[n] = strdup(json_string_value(value));
		if (!node->tags[n++])
			return -ENOMEM;
	}
	sort_unique(node->tags, &n);
	return 0;
}

static int read_address(const json_t *value, struct node *node, char **ret_value)
{
	struct prefix prefix;

	if (!is_plain_text(value))
		return invalid_value_json(value, ret_value);
	if (prefix_parse(json_string_value(value), &prefix) < 0 || !prefix_is_single(&prefix))
		return invalid_value(json_string_value(value), ret_value);
	for (size_t i = 0; i < node->n_addresses; i++)
		if (address_compare(&node->addresses[i], &prefix.address) == 0)
			return 0;
	node->addresses[node->n_addresses++] = prefix.address;
	return 0;
}

static int read_addresses(const json_t *array, struct node *node, char **ret_value)
{
	const json_t *value;
	size_t i;

	if (!array || json_is_null(array) || (json_is_array(array) && json_array_size(array) == 0))
		return 0;
	if (!json_is_array(array) || json_array_size(array) > NODE_ADDRESSES_MAX)
		return invalid_value_json(array, ret_value);
	node->addresses = calloc(json_array_size(array), sizeof(*node->addresses));
	if (!node->addresses)
		return -ENOMEM;
	json_array_foreach (array, i, value) {
		int r = read_address(value, node, ret_value);

		if (r < 0)
			return r;
	}
	return 0;
}

static int check_members(const json_t *object, char **ret_value)
{
	static const char *const known[] = {"nodeId", "name", "addresses", "os", "user", "tags"};
	const char *key;
	json_t *value;

	json_object_foreach ((json_t *)object, key, value) {
		bool found = false;

		for (size_t i = 0; i < ARRAY_SIZE(known); i++)
			found = found || strcmp(key, known[i]) == 0;
		if (!found)
			return invalid_value(key, ret_value);
	}
	return 0;
}

static void append_member(struct buffer *json, const char *name, const char *value)
{
	if (!value)
		return;
	buffer_append_text(json, name);
	buffer_append_json_string(json, value);
}

/* The form in a message; the order of members is part of the contract. */
static int make_json(struct node *node)
{
	_cleanup_buffer_ struct buffer json = {};

	append_member(&json, "{\"nodeId\":", node->id);
	append_member(&json, ",\"name\":", node->name);
	for (size_t i = 0; i < node->n_addresses; i++) {
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

static int read_members(const json_t *object, struct node *node, char **ret_value)
{
	int r;

	r = read_text(json_object_get(object, "nodeId"), &node->id, ret_value);
	if (r < 0)
		return r;
	if (!node->id)
		return invalid_value_json(object, ret_value);
	r = read_text(json_object_get(object, "name"), &node->name, ret_value);
	if (r < 0)
		return r;
	r = read_addresses(json_object_get(object, "addresses"), node, ret_value);
	if (r < 0)
		return r;
	r = read_text(json_object_get(object, "os"), &node->os, ret_value);
	if (r < 0)
		return r;
	r = read_text(json_object_get(object, "user"), &node->user, ret_value);
	if (r < 0)
		return r;
	return read_tags(json_object_get(object, "tags"), node, ret_value);
}

static void tidy(struct node *node)
{
	size_t n = node->name ? strlen(node->name) : 0;

	while (n && node->name[n - 1] == '.')
		node->name[--n] = '\0';
	if (node->name && !*node->name) {
		free(node->name);
		node->name = NULL;
	}
	/* A tagged node belongs to nobody. */
	if (node->tags) {
		free(node->user);
		node->user = NULL;
	}
}

int node_from_json(const json_t *object, struct node *ret_node, char **ret_value)
{
	_cleanup_(node_deinit) struct node node = {};
	int r;

	if (!json_is_object(object))
		return invalid_value_json(object, ret_value);
	r = check_members(object, ret_value);
	if (r < 0)
		return r;
	r = read_members(object, &node, ret_value);
	if (r < 0)
		return r;
	tidy(&node);
	r = make_json(&node);
	if (r < 0)
		return r;
	*ret_node = node;
	node = (struct node){};
	return 0;
}

void node_deinit(struct node *node)
{
	for (char **tag = node->tags; tag && *tag; tag++)
		free(*tag);
	free(node->tags);
	free(node->id);
	free(node->name);
	free(node->os);
	free(node->user);
	free(node->addresses);
	free(node->json);
	*node = (struct node){};
}

/* Takes the reason. */
static int fail(const char *path, unsigned int line, char *reason, struct config_error *ret_error)
{
	*ret_error = (struct config_error){.file = strdup(path), .line = line, .reason = reason};
	return ret_error->file && reason ? -EINVAL : -ENOMEM;
}

static char *describe(const char *value)
{
	char *reason;

	return value && asprintf(&reason, "not a valid node: %s", value) >= 0 ? reason : NULL;
}

int nodes_load(const char *path, struct nodes **ret_nodes, struct config_error *ret_error)
{
	_cleanup_free_ char *text = NULL, *value = NULL;
	json_error_t error;
	json_t *object;
	size_t n = 0;
	int r;

	r = file_read(AT_FDCWD, path, NODES_FILE_MAX, &text, &n, NULL);
	if (r < 0)
		return fail(path, 0, strdup(strerror(-r)), ret_error) == -ENOMEM ? -ENOMEM : r;

	object = json_loadb(text, n, JSON_REJECT_DUPLICATES, &error);
	if (!object)
		return fail(path, (unsigned int)MAX(error.line, 0), strdup(error.text), ret_error);
	r = nodes_new_json(object, ret_nodes, &value);
	json_decref(object);
	return r < 0 ? fail(path, 0, r == -EINVAL ? describe(value) : NULL, ret_error) : 0;
}
