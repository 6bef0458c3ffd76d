/* SPDX-License-Identifier: BSD-3-Clause */
/* netlogctl routes: the prefixes that classify traffic, where each comes from, and setting them. */

#include "control/commands/commands.h"

#include "common/address.h"
#include "common/parse.h"
#include "control/daemon_call.h"
#include "control/table.h"

static void free_list(char ***list)
{
	strv_free(*list);
}

/* Of objects, or of prefixes without an origin. */
static void add_list(struct table *table, const json_t *routes, const char *member, const char *name)
{
	json_t *route;
	size_t i;

	json_array_foreach (json_object_get(routes, member), i, route) {
		const char *prefix = json_string_value(route);

		table_cell(table, "%s", name);
		table_cell(table, "%s", prefix ? prefix : json_text(route, "prefix"));
		table_cell(table, "%s", json_text(route, "origin"));
		table_cell(table, "%s", json_text(route, "foundBy"));
	}
}

static int print_routes(struct ctl *ctl, const json_t *routes)
{
	static const struct table_column columns[] = {
		{"LIST", TABLE_LEFT},
		{"PREFIX", TABLE_LEFT},
		{"ORIGIN", TABLE_LEFT},
		{"FOUND BY", TABLE_LEFT},
	};
	_cleanup_(table_freep) struct table *table = NULL;

	if (table_new(columns, ARRAY_SIZE(columns), &table) < 0)
		return ctl_error(ctl, "out of memory");
	add_list(table, routes, "localAddrs", "local-addr");
	add_list(table, routes, "routes", "route");
	add_list(table, routes, "subnetRoutes", "subnet-route");
	add_list(table, routes, "tailnet", "tailnet");
	add_list(table, routes, "tailnetExclude", "tailnet-exclude");
	print_color(ctl->out, ctl->color, TABLE_BOLD, "mode %s%s", json_text(routes, "mode"),
		    json_flag(routes, "reconfigured") ? ", the configured lists replaced by \"routes set\""
						      : "");
	fputs("\n", ctl->out);
	if (table_rows(table) > 0 && table_print(table, ctl->out, ctl->color, 0) < 0)
		return ctl_error(ctl, "out of memory");
	return CTL_OK;
}

/* Whether a list has entries, but an older daemon lists none of them. */
static bool is_left_out(const json_t *routes, const char *list, const char *total)
{
	return json_number(routes, total) > 0 && json_array_size(json_object_get(routes, list)) == 0;
}

/* Puts each entry of GetRoutes into its list. Ranges of the tailnet are texts, as they always were. */
static void fill_lists(json_t *routes, const json_t *entries)
{
	json_t *entry;
	size_t i;

	json_array_foreach ((json_t *)entries, i, entry) {
		const char *list = json_text(entry, "list");
		json_t *to = json_object_get(routes, list);

		if (strncmp(list, "tailnet", strlen("tailnet")) == 0) {
			json_array_append(to, json_object_get(entry, "prefix"));
		} else if (to) {
			json_object_del(entry, "list");
			json_array_append(to, entry);
		}
	}
}

int cmd_routes_show(struct ctl *ctl, int argc, char **argv)
{
	json_auto_t *reply = NULL, *entries = NULL;
	json_t *routes;
	int r;

	r = ctl_options(ctl, argc, argv, NULL, 0, 0, 0, NULL);
	if (r == CTL_OK)
		r = ctl_list(ctl, "GetRoutes", "routes", &entries);
	/* The mode, and the lists of a daemon that does not know GetRoutes. */
	if (r == CTL_OK)
		r = ctl_call(ctl, "Status", NULL, CTL_CALL_TIMEOUT_MS, &reply);
	if (r != CTL_OK)
		return r;
	routes = json_object_get(json_object_get(reply, "status"), "routes");
	if (entries)
		fill_lists(routes, entries);
	else if (is_left_out(routes, "localAddrs", "localAddrsTotal") ||
		 is_left_out(routes, "routes", "routesTotal") ||
		 is_left_out(routes, "subnetRoutes", "subnetRoutesTotal"))
		return ctl_error(ctl, "the routes are shown to operators only");
	return ctl->json ? ctl_print_json(ctl, routes) : print_routes(ctl, routes);
}

/* The values of an option, each of which may be a list with commas, as a list of the request. */
static int add_prefixes(struct ctl *ctl, json_t *routes, const char *member, const char *option,
			char **values)
{
	json_t *prefixes = json_array();

	if (json_object_set_new(routes, member, prefixes) < 0)
		return ctl_error(ctl, "out of memory");
	for (; values && *values; values++) {
		_cleanup_(free_list) char **items = NULL;

		if (parse_list(*values, &items) < 0)
			return ctl_error(ctl, "out of memory");
		for (char **item = items; item && *item; item++) {
			struct prefix prefix;

			if (prefix_parse(*item, &prefix) < 0)
				return ctl_usage(ctl,
						 "--%s: \"%s\" is not a prefix (like 10.0.0.0/8 or fd00::1)",
						 option, *item);
			json_array_append_new(prefixes, json_string(*item));
		}
	}
	return CTL_OK;
}

static int make_routes(struct ctl *ctl, const char *file, char **local, char **route, char **subnet,
		       json_t **ret_routes)
{
	json_auto_t *routes = NULL;
	int r;

	if (file && (local || route || subnet))
		return ctl_usage(ctl, "either --file or lists, not both");
	if (!file && !local && !route && !subnet)
		return ctl_usage(ctl, "no routes given (an empty list: --route \"\")");
	if (file)
		return ctl_read_json(ctl, file, ret_routes);
	routes = json_object();
	r = add_prefixes(ctl, routes, "localAddrs", "local-addr", local);
	if (r == CTL_OK)
		r = add_prefixes(ctl, routes, "routes", "route", route);
	if (r == CTL_OK)
		r = add_prefixes(ctl, routes, "subnetRoutes", "subnet-route", subnet);
	if (r == CTL_OK)
		*ret_routes = TAKE_PTR(routes);
	return r;
}

int cmd_routes_set(struct ctl *ctl, int argc, char **argv)
{
	_cleanup_(free_list) char **local = NULL, **route = NULL, **subnet = NULL;
	const char *file = NULL;
	const struct ctl_option options[] = {
		{.name = "local-addr", .list = &local},
		{.name = "route", .list = &route},
		{.name = "subnet-route", .list = &subnet},
		{.name = "file", .value = &file},
	};
	json_auto_t *reply = NULL;
	json_t *routes;
	int r;

	r = ctl_options(ctl, argc, argv, options, ARRAY_SIZE(options), 0, 0, NULL);
	if (r == CTL_OK)
		r = make_routes(ctl, file, local, route, subnet, &routes);
	if (r != CTL_OK)
		return r;
	r = ctl_call(ctl, "Reconfig", json_pack("{so}", "routes", routes), CTL_CALL_TIMEOUT_MS, &reply);
	if (r != CTL_OK)
		return r;
	if (ctl->json)
		return ctl_print_json(ctl, reply);
	fputs("routes set\n", ctl->out);
	return CTL_OK;
}
