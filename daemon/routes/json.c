/* SPDX-License-Identifier: BSD-3-Clause */
/* Reads the control interface's Routes object, strictly: routes that were dropped silently would put traffic
 * into the wrong class. */

#include "daemon/routes/json.h"

#include "common/invalid_value.h"
#include "daemon/routes/routes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static int read_list(const char *name, const json_t *array, struct prefix_list *list, char **ret_value)
{
	const json_t *value;
	size_t i;

	if (json_is_null(array))
		return 0;
	if (!json_is_array(array) || json_array_size(array) > ROUTES_MAX)
		return invalid_value(name, ret_value);
	json_array_foreach (array, i, value) {
		struct prefix prefix;

		if (!json_is_string(value) || prefix_parse(json_string_value(value), &prefix) < 0)
			return invalid_value_json(value, ret_value);
		if (prefix_list_add(list, &prefix) < 0)
			return -ENOMEM;
	}
	return 0;
}

int routes_from_json(const json_t *object, struct route_lists *ret_lists, char **ret_value)
{
	_cleanup_(route_lists_deinit) struct route_lists lists = {};
	struct prefix_list *by_kind[] = {
		[ROUTE_LIST_LOCAL_ADDRS] = &lists.local_addrs,
		[ROUTE_LIST_ROUTES] = &lists.routes,
		[ROUTE_LIST_SUBNET_ROUTES] = &lists.subnet_routes,
	};
	const char *key;
	json_t *value;

	if (!json_is_object(object))
		return invalid_value("an object is expected", ret_value);
	json_object_foreach ((json_t *)object, key, value) {
		size_t kind = 0;
		int r;

		while (kind < ARRAY_SIZE(by_kind) &&
		       strcmp(key, route_list_name((enum route_list_kind)kind)) != 0)
			kind++;
		if (kind == ARRAY_SIZE(by_kind))
			return invalid_value(key, ret_value);
		r = read_list(key, value, by_kind[kind], ret_value);
		if (r < 0)
			return r;
	}
	*ret_lists = lists;
	lists = (struct route_lists){};
	return 0;
}
