/* SPDX-License-Identifier: BSD-3-Clause */
/* netlogctl nodes: the identities behind the addresses of the tailnet. */

#include "control/commands/commands.h"

#include "common/plural.h"

#include "control/daemon_call.h"
#include "control/table.h"

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
		table_cell_list(table, json_object_get(node, "addresses"));
		table_cell(table, "%s", json_text(node, "os"));
		table_cell(table, "%s", json_text(node, "user"));
		table_cell_list(table, json_object_get(node, "tags"));
	}
	if (table_rows(table) == 0)
		fputs("no nodes are known\n", ctl->out);
	else if (table_print(table, ctl->out, ctl->color, 0) < 0)
		return ctl_error(ctl, "out of memory");
	return CTL_OK;
}

/* The list that an older daemon has in its Status. */
static int get_nodes_from_status(struct ctl *ctl, json_t **ret_nodes)
{
	json_auto_t *reply = NULL;
	json_t *status, *nodes;
	int r = ctl_call(ctl, "Status", NULL, CTL_CALL_TIMEOUT_MS, &reply);

	if (r != CTL_OK)
		return r;
	status = json_object_get(reply, "status");
	nodes = json_object_get(status, "nodeList");
	if (json_number(status, "nodes") > 0 && !nodes)
		return ctl_error(ctl, "the nodes are shown to operators only");
	if (json_number(status, "nodes") > (long long)json_array_size(nodes))
		ctl_note(ctl, "%lld %s known; the daemon lists %zu", json_number(status, "nodes"),
			 plural((uint64_t)json_number(status, "nodes"), "node is", "nodes are"),
			 json_array_size(nodes));
	*ret_nodes = nodes ? json_incref(nodes) : json_array();
	return CTL_OK;
}

int cmd_nodes_show(struct ctl *ctl, int argc, char **argv)
{
	json_auto_t *nodes = NULL, *file = NULL;
	int r;

	r = ctl_options(ctl, argc, argv, NULL, 0, 0, 0, NULL);
	if (r == CTL_OK)
		r = ctl_list(ctl, "GetNodes", "nodes", &nodes);
	if (r == CTL_OK && !nodes)
		r = get_nodes_from_status(ctl, &nodes);
	if (r != CTL_OK)
		return r;
	if (!ctl->json)
		return print_nodes(ctl, nodes);
	file = json_pack("{sO}", "nodes", nodes); /* as for "nodes set" */
	return ctl_print_json(ctl, file);
}

int cmd_nodes_set(struct ctl *ctl, int argc, char **argv)
{
	json_auto_t *file = NULL, *reply = NULL;
	char **arguments;
	json_t *nodes;
	int r;

	r = ctl_options(ctl, argc, argv, NULL, 0, 1, 1, &arguments);
	if (r == CTL_OK)
		r = ctl_read_json(ctl, arguments[0], &file);
	if (r != CTL_OK)
		return r;
	nodes = json_object_get(file, "nodes");
	if (!json_is_array(nodes))
		return ctl_error(ctl, "%s: expected {\"nodes\":[...]}", arguments[0]);
	r = ctl_call(ctl, "SetNodes", json_pack("{sO}", "nodes", nodes), CTL_CALL_TIMEOUT_MS, &reply);
	if (r != CTL_OK)
		return r;
	if (ctl->json)
		return ctl_print_json(ctl, reply);
	fprintf(ctl->out, "%zu %s set\n", json_array_size(nodes),
		plural(json_array_size(nodes), "node", "nodes"));
	return CTL_OK;
}
