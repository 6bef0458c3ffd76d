/* SPDX-License-Identifier: BSD-3-Clause */
/* The lists themselves are in lists.c: Status is asked for often. */

#include "daemon/logger/routes_status.h"

#include "common/cleanup.h"
#include "common/json_set.h"
#include "daemon/net/discover.h"
#include "daemon/record/nodes.h"
#include "daemon/routes/routes.h"

static void set_counters(json_t *status, const struct discovery *discovery)
{
	struct discovery_counters counters;

	if (!discovery)
		return;
	discovery_get_counters(discovery, &counters);
	json_set_number(status, "kernelReads", counters.dumps);
	json_set_number(status, "kernelChanges", counters.changes);
	json_set_number(status, "kernelMissed", counters.missed);
}

json_t *routes_status(const struct routes *routes, const struct config *config,
		      const struct discovery *discovery)
{
	json_t *status = json_object();

	json_object_set_new(status, "mode",
			    json_string(config->routes_mode == ROUTES_MODE_AUTO ? "auto" : "static"));
	json_object_set_new(status, "reconfigured", json_boolean(routes_are_reconfigured(routes)));
	/* Once these members had the lists. */
	for (size_t i = 0; i < N_ROUTE_LISTS; i++)
		json_object_set_new(status, route_list_name((enum route_list_kind)i), json_array());
	json_object_set_new(status, "tailnetExclude", json_array());
	json_set_number(status, "localAddrsTotal", routes_count_of(routes, ROUTE_LIST_LOCAL_ADDRS));
	json_set_number(status, "routesTotal", routes_count_of(routes, ROUTE_LIST_ROUTES));
	json_set_number(status, "subnetRoutesTotal", routes_count_of(routes, ROUTE_LIST_SUBNET_ROUTES));
	json_set_number(status, "tailnetTotal", routes_count_of(routes, ROUTE_LIST_TAILNET));
	set_counters(status, discovery);
	return status;
}

json_t *node_status(const struct node *node)
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
