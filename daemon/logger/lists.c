/* SPDX-License-Identifier: BSD-3-Clause */
/* Routes, which may be hundreds of thousands, are copied as they are and written later; nodes never change,
 * so they are only kept; peers are written at once. */

#include "daemon/logger/lists.h"

#include "common/buffer.h"
#include "daemon/logger/peer_status.h"
#include "daemon/logger/routes_status.h"
#include "daemon/logger/state.h"
#include "daemon/logger/status.h"
#include "daemon/routes/routes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

struct logger_list {
	enum logger_list_kind kind;
	size_t n;
	struct route_entry *routes;
	size_t n_found_routes;	 /* the rest are the configured ranges that do not belong to the tailnet */
	struct buffer peers;	 /* as JSON, one after the other */
	struct buffer peer_ends; /* where each of them ends there: size_t */
	struct nodes *nodes;
	struct nodes_place place; /* of the next one */
};

void logger_list_free(struct logger_list *list)
{
	if (!list)
		return;
	free(list->routes);
	buffer_deinit(&list->peers);
	buffer_deinit(&list->peer_ends);
	nodes_unref(list->nodes);
	free(list);
}

/* --- routes --- */

static void copy_route(const struct route_entry *entry, void *userdata)
{
	struct logger_list *list = userdata;

	list->routes[list->n++] = *entry;
}

static int copy_routes(struct logger *logger, struct logger_list *list)
{
	const struct prefix_list *exclude = &logger->config->tailnet_exclude;
	list->routes = calloc(routes_count(logger->routes) + exclude->n + 1, sizeof(*list->routes));
	if (!list->routes)
		return -ENOMEM;
	routes_foreach(logger->routes, copy_route, list);
	list->n_found_routes = list->n;
	for (size_t i = 0; i < exclude->n; i++)
		list->routes[list->n++] = (struct route_entry){
			.prefix = exclude->items[i],
			.origins = ROUTE_ORIGIN_CONFIGURED,
		};
	return 0;
}

static const char *origin_name(unsigned int origins)
{
	if (origins & ROUTE_ORIGIN_RECONFIGURED)
		return "reconfigured";
	if (origins & ROUTE_ORIGIN_CONFIGURED)
		return "configured";
	return origins & (ROUTE_ORIGIN_FOUND | ROUTE_ORIGIN_FOUND_PEER) ? "found" : "removed";
}

/* NULL unless the route was found, in a way that has a name. */
static const char *finder_name(const struct route_entry *entry)
{
	static const char *const names[N_ROUTE_LISTS] = {[ROUTE_LIST_LOCAL_ADDRS] = "interface",
							 [ROUTE_LIST_ROUTES] = "kernel",
							 [ROUTE_LIST_SUBNET_ROUTES] = "connected"};

	if (entry->origins & ROUTE_ORIGIN_FOUND)
		return names[entry->list];
	return entry->origins & ROUTE_ORIGIN_FOUND_PEER ? "peer" : NULL;
}

static void write_route(const struct logger_list *list, size_t i, struct buffer *text)
{
	const struct route_entry *entry = &list->routes[i];
	char prefix[PREFIX_TEXT_MAX];
	const char *finder = finder_name(entry);

	if (prefix_is_single(&entry->prefix))
		address_format(&entry->prefix.address, prefix);
	else
		prefix_format(&entry->prefix, prefix);
	buffer_printf(text, "{\"list\":\"%s\",\"prefix\":\"%s\",\"origin\":\"%s\"",
		      i < list->n_found_routes ? route_list_name(entry->list) : "tailnetExclude", prefix,
		      origin_name(entry->origins));
	if (finder)
		buffer_printf(text, ",\"foundBy\":\"%s\"", finder);
	buffer_append_char(text, '}');
}

/* --- peers --- */

struct peer_listing {
	struct logger *logger;
	struct logger_list *list;
};

static void add_peer(const struct device_peer *peer, void *userdata)
{
	struct peer_listing *listing = userdata;
	struct logger *logger = listing->logger;
	struct logger_list *list = listing->list;

	if (peer->self)
		return;
	peer_status_write(peer, logger->naming.nodes, logger->peers, &list->peers);
	buffer_append(&list->peer_ends, &list->peers.length, sizeof(list->peers.length));
	list->n++;
}

static int write_peers(struct logger *logger, struct logger_list *list)
{
	struct device *sock = logger->sock.device;
	struct peer_listing listing = {.logger = logger, .list = list};

	if (sock && sock->ops->foreach_peer)
		sock->ops->foreach_peer(sock, add_peer, &listing);
	return buffer_error(&list->peers) < 0 ? buffer_error(&list->peers) : buffer_error(&list->peer_ends);
}

static void copy_peer(const struct logger_list *list, size_t i, struct buffer *text)
{
	const size_t *ends = (const size_t *)(const void *)list->peer_ends.data;
	size_t begin = i > 0 ? ends[i - 1] : 0;

	buffer_append(text, list->peers.data + begin, ends[i] - begin);
}

/* --- all --- */

static void take_nodes(struct logger *logger, struct logger_list *list)
{
	list->nodes = nodes_ref(logger->naming.nodes);
	list->n = nodes_count(list->nodes);
}

int logger_list_new(struct logger *logger, enum logger_list_kind kind, struct logger_list **ret_list)
{
	_cleanup_(logger_list_freep) struct logger_list *list = calloc(1, sizeof(*list));
	int r = -ENOMEM;

	if (!list)
		return r;
	list->kind = kind;
	switch (kind) {
	case LOGGER_LIST_ROUTES:
		r = copy_routes(logger, list);
		break;
	case LOGGER_LIST_PEERS:
		r = write_peers(logger, list);
		break;
	case LOGGER_LIST_NODES:
		take_nodes(logger, list);
		r = 0;
		break;
	}
	if (r < 0)
		return r;
	*ret_list = TAKE_PTR(list);
	return 0;
}

size_t logger_list_length(const struct logger_list *list)
{
	return list->n;
}

void logger_list_write(struct logger_list *list, size_t i, struct buffer *text)
{
	_cleanup_free_ char *object = NULL;
	json_t *made;

	switch (list->kind) {
	case LOGGER_LIST_ROUTES:
		write_route(list, i, text);
		break;
	case LOGGER_LIST_PEERS:
		copy_peer(list, i, text);
		break;
	case LOGGER_LIST_NODES:
		made = node_status(nodes_next(list->nodes, &list->place));
		object = json_dumps(made, JSON_COMPACT);
		buffer_append_text(text, object ? object : "{}");
		json_decref(made);
		break;
	}
}
