/* SPDX-License-Identifier: BSD-3-Clause */
/* netlogctl nodes: who stands behind the addresses of the tailnet. */

#include "control/commands.h"

#include "control/table.h"

static void add_joined(struct table *table, const json_t *node, const char *member)
{
	json_t *list = json_object_get(node, member), *item;
	_cleanup_free_ char *text = strdup("");
	size_t i;

	json_array_foreach (list, i, item) {
		char *longer;

		if (!json_is_string(item) || !text ||
		    asprintf(&longer, "%s%s%s", text, i > 0 ? ", " : "", json_string_value(item)) < 0)
			break;
		free(text);
		text = longer;
	}
	table_cell(table, "%s", text ? text : "");
}

static int print_nodes(struct ctl *ctl, const json_t *nodes)
{
	static const struct table_column columns[] = {
		{"NODE", TABLE_LEFT}, {"NAME", TABLE_LEFT}, {"ADDRESSES", TABLE_LEFT},
		{"OS", TABLE_LEFT},   {"USER", TABLE_LEFT}, {"TAGS", TABLE_LEFT},
	};
	_cleanup_(table_freep) struct table *table = NULL;
	json_t *node;
	size_t i;

	if (table_new(columns, ARRAY_SIZE(columns), &table) < 0)
		return ctl_error(ctl, "out of memory");
	json_array_foreach ((json_t *)nodes, i, node) {
		table_cell(table, "%s", json_text(node, "nodeId"));
		table_cell(table, "%s", json_text(node, "name"));
		add_joined(table, node, "addresses");
		table_cell(table, "%s", json_text(node, "os"));
		table_cell(table, "%s", json_text(node, "user"));
		add_joined(table, node, "tags");
	}
	if (table_rows(table) == 0)
		fputs("no nodes are known\n", ctl->out);
	else if (table_print(table, ctl->out, ctl->color, 0) < 0)
		return ctl_error(ctl, "out of memory");
	return CTL_OK;
}

int cmd_nodes_show(struct ctl *ctl, int argc, char **argv)
{
	json_t *reply, *status, *nodes;
	int r = ctl_options(ctl, argc, argv, NULL, 0, 0, 0, NULL);

	if (r != CTL_OK)
		return r;
	r = ctl_call(ctl, "Status", NULL, CTL_CALL_TIMEOUT_MS, &reply);
	if (r != CTL_OK)
		return r;
	status = json_object_get(reply, "status");
	nodes = json_object_get(status, "nodeList");
	if (json_number(status, "nodes") > 0 && !nodes) {
		json_decref(reply);
		return ctl_error(ctl, "the nodes are shown to operators only");
	}
	if (json_number(status, "nodes") > (long long)json_array_size(nodes))
		ctl_note(ctl, "%lld nodes are known; the daemon tells %zu", json_number(status, "nodes"),
			 json_array_size(nodes));
	if (ctl->json) {
		json_t *object = json_object();

		/* As a file for "nodes set". */
		json_object_set(object, "nodes", nodes);
		if (!nodes)
			json_object_set_new(object, "nodes", json_array());
		r = ctl_print_json(ctl, object);
		json_decref(object);
	} else {
		r = print_nodes(ctl, nodes);
	}
	json_decref(reply);
	return r;
}

int cmd_nodes_set(struct ctl *ctl, int argc, char **argv)
{
	json_t *file, *nodes, *reply;
	char **arguments;
	int r = ctl_options(ctl, argc, argv, NULL, 0, 1, 1, &arguments);

	if (r != CTL_OK)
		return r;
	r = ctl_read_json(ctl, arguments[0], &file);
	if (r != CTL_OK)
		return r;
	nodes = json_object_get(file, "nodes");
	if (!json_is_array(nodes)) {
		json_decref(file);
		return ctl_error(ctl, "%s: expected {\"nodes\":[...]}", arguments[0]);
	}
	r = ctl_call(ctl, "SetNodes", json_pack("{sO}", "nodes", nodes), CTL_CALL_TIMEOUT_MS, &reply);
	if (r == CTL_OK && ctl->json)
		r = ctl_print_json(ctl, reply);
	else if (r == CTL_OK)
		fprintf(ctl->out, "%zu nodes set\n", json_array_size(nodes));
	if (r == CTL_OK)
		json_decref(reply);
	json_decref(file);
	return r;
}
