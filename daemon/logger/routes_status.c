/* SPDX-License-Identifier: BSD-3-Clause */
/* Long lists are shown up to a bound, with their lengths. */

#include "daemon/logger/routes_status.h"

#include "common/cleanup.h"
#include "common/json_set.h"
#include "daemon/record/nodes.h"
#include "daemon/routes/routes.h"

struct listing {
	json_t *lists[N_ROUTE_LISTS];
	size_t totals[N_ROUTE_LISTS];
	bool reconfigured;
};

static json_t *prefix_text(const struct prefix *prefix)
{
	char text[PREFIX_TEXT_MAX];

	if (prefix_is_single(prefix))
		address_format(&prefix->address, text);
	else
		prefix_format(prefix, text);
	return json_string(text);
}

static const char *origin_name(unsigned int origins)
{
	if (origins & ROUTE_ORIGIN_RECONFIGURED)
		return "reconfigured";
	if (origins & ROUTE_ORIGIN_CONFIGURED)
		return "configured";
	return origins & (ROUTE_ORIGIN_FOUND | ROUTE_ORIGIN_FOUND_PEER) ? "found" : "removed";
}

/* NULL unless the route was found. */
static const char *finder_name(const struct route_entry *entry)
{
	static const char *const names[N_ROUTE_LISTS] = {[ROUTE_LIST_LOCAL_ADDRS] = "interface",
							 [ROUTE_LIST_ROUTES] = "kernel",
							 [ROUTE_LIST_SUBNET_ROUTES] = "connected"};

	if (entry->origins & ROUTE_ORIGIN_FOUND)
		return names[entry->list];
	return entry->origins & ROUTE_ORIGIN_FOUND_PEER ? "peer" : NULL;
}

static void add_entry(const struct route_entry *entry, void *userdata)
{
	struct listing *listing = userdata;
	json_t *list = listing->lists[entry->list], *route;

	if (entry->origins & ROUTE_ORIGIN_RECONFIGURED)
		listing->reconfigured = true;
	if (++listing->totals[entry->list] > STATUS_LIST_MAX)
		return;
	if (entry->list == ROUTE_LIST_TAILNET) {
		json_array_append_new(list, prefix_text(&entry->prefix));
		return;
	}
	route = json_object();
	json_object_set_new(route, "prefix", prefix_text(&entry->prefix));
	json_object_set_new(route, "origin", json_string(origin_name(entry->origins)));
	json_set_text(route, "foundBy", finder_name(entry));
	json_array_append_new(list, route);
}

static void set_total(json_t *status, const char *key, size_t total)
{
	if (total > STATUS_LIST_MAX)
		json_object_set_new(status, key, json_integer((json_int_t)total));
}

json_t *routes_status(const struct routes *routes, const struct config *config)
{
	struct listing listing = {.reconfigured = false};
	json_t *status = json_object(), *exclude = json_array();

	for (size_t i = 0; i < N_ROUTE_LISTS; i++)
		listing.lists[i] = json_array();
	routes_foreach(routes, add_entry, &listing);
	for (size_t i = 0; i < config->tailnet_exclude.n; i++)
		json_array_append_new(exclude, prefix_text(&config->tailnet_exclude.items[i]));

	json_object_set_new(status, "mode",
			    json_string(config->routes_mode == ROUTES_MODE_AUTO ? "auto" : "static"));
	json_object_set_new(status, "reconfigured", json_boolean(listing.reconfigured));
	for (size_t i = 0; i < N_ROUTE_LISTS; i++)
		json_object_set_new(status, route_list_name((enum route_list_kind)i), listing.lists[i]);
	json_object_set_new(status, "tailnetExclude", exclude);
	set_total(status, "localAddrsTotal", listing.totals[ROUTE_LIST_LOCAL_ADDRS]);
	set_total(status, "routesTotal", listing.totals[ROUTE_LIST_ROUTES]);
	set_total(status, "subnetRoutesTotal", listing.totals[ROUTE_LIST_SUBNET_ROUTES]);
	return status;
}

static json_t *node_status(const struct node *node)
{
	json_t *status = json_object(), *addresses = json_array(), *tags = json_array();

	json_set_text(status, "nodeId", node->id);
	json_set_text(status, "name", node->name);
	for (size_t i = 0; i < node->n_addresses; i++) {
		char text[ADDRESS_TEXT_MAX];

		address_format(&node->addresses[i], text);
		json_array_append_new(addresses, json_string(text));
	}
	json_object_set_new(status, "addresses", addresses);
	json_set_text(status, "os", node->os);
	json_set_text(status, "user", node->user);
	for (size_t i = 0; node->tags && node->tags[i]; i++)
		json_array_append_new(tags, json_string(node->tags[i]));
	json_object_set_new(status, "tags", tags);
	return status;
}

json_t *nodes_status(const struct nodes *nodes)
{
	json_t *list = json_array();
	size_t n = nodes_count(nodes);

	for (size_t i = 0; i < n && i < STATUS_LIST_MAX; i++)
		json_array_append_new(list, node_status(nodes_get(nodes, i)));
	return json_pack("{so}", "nodes", list);
}
