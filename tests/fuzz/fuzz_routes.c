/* SPDX-License-Identifier: BSD-3-Clause */
/* Routes objects: what is accepted can be put into force, and a refusal has a bounded text. */

#include "common/cleanup.h"
#include "common/invalid_value.h"
#include "daemon/routes/json.h"
#include "daemon/routes/routes.h"
#include "daemon/routes/routing.h"
#include "tests/fuzz/fuzz_support.h"

static void count_entry(const struct route_entry *entry, void *userdata)
{
	size_t *n = userdata;

	REQUIRE(route_list_name(entry->list));
	REQUIRE(entry->origins == ROUTE_ORIGIN_RECONFIGURED);
	(*n)++;
}

static void check_lists(const struct route_lists *lists)
{
	struct config config = {.routes_mode = ROUTES_MODE_STATIC};
	_cleanup_(routes_freep) struct routes *routes = NULL;
	size_t n = 0;

	REQUIRE(routes_new(&config, &routes) == 0);
	REQUIRE(routes_reconfigure(routes, lists) == 0);
	routes_foreach(routes, count_entry, &n);
	REQUIRE(n == routes_count(routes));
	REQUIRE(n <= lists->local_addrs.n + lists->routes.n + lists->subnet_routes.n);
	for (size_t i = 0; i < lists->local_addrs.n; i++)
		REQUIRE(routing_contains(routes_current(routes), &lists->local_addrs.items[i].address));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	json_t *json = json_loadb((const char *)data, size, JSON_DECODE_ANY, NULL);
	struct route_lists lists = {};
	char *value = NULL;
	int r;

	if (!json)
		return 0;
	r = routes_from_json(json, &lists, &value);
	REQUIRE((r < 0) == !!value);
	REQUIRE(!value || strlen(value) <= INVALID_VALUE_MAX);
	if (r == 0)
		check_lists(&lists);
	route_lists_deinit(&lists);
	free(value);
	json_decref(json);
	return 0;
}
