/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * tailscaled takes peers that are idle out of its engine, and their counters begin at zero when they are
 * back. A counter that went backwards counts from zero, then, and so does the other one of that peer.
 *
 * The path of a peer without traffic is only where the next packet would go, which is its DERP region mostly.
 * That one has moved shows when it has traffic.
 */

#include "daemon/device/tailscale/account.h"

#include <string.h>

struct address tailscale_node_address(const struct tailscale_node *node)
{
	const struct prefix_list *list = &node->addresses;

	for (size_t i = 0; i < list->n; i++)
		if (list->items[i].address.family == ADDRESS_IPV4)
			return list->items[i].address;
	return list->n > 0 ? list->items[0].address : (struct address){};
}

/* ---- counting -------------------------------------------------------------------------------------- */

static void count(struct tailscale_node *node, int64_t now_wall, int64_t now_boot)
{
	bool anew = (node->has_tx && node->tx < node->last_tx) || (node->has_rx && node->rx < node->last_rx);
	struct counts more = {};

	if (anew)
		node->last_tx = node->last_rx = 0;
	/* A counter that cannot be read stays where it was. */
	if (node->has_tx)
		more.tx_bytes = node->tx - node->last_tx;
	if (node->has_rx)
		more.rx_bytes = node->rx - node->last_rx;
	counts_add(&node->due, &more);
	if (more.rx_bytes > 0) {
		node->received = now_boot;
		node->received_wall = now_wall;
	}
}

/* One that had a handshake lately counts as active from the start, so that no event says so. */
static void begin(struct tailscale_node *node, int64_t now_wall, int64_t now_boot)
{
	int64_t age = MAX(now_wall - node->last_handshake, 0);

	node->active = node->last_handshake > 0 && age < TAILSCALE_SILENT_AFTER;
	node->received = node->active ? now_boot - age : 0;
	node->used_path = node->path;
	node->used_endpoint = node->endpoint;
	memcpy(node->used_via, node->via, sizeof(node->used_via));
}

void tailscale_account_step(struct tailscale_nodes *nodes, enum tailscale_step step, int64_t now_wall,
			    int64_t now_boot)
{
	for (size_t i = 0; i < tailscale_nodes_count(nodes); i++) {
		struct tailscale_node *node = tailscale_nodes_get(nodes, i);

		if (step == TAILSCALE_STEP_RESTARTED)
			node->last_tx = node->last_rx = 0;
		if (!node->here || node->self)
			continue;
		if (step == TAILSCALE_STEP_BASELINE) {
			begin(node, now_wall, now_boot);
			node->due = (struct counts){};
		} else {
			count(node, now_wall, now_boot);
		}
		if (node->has_tx)
			node->last_tx = node->tx;
		if (node->has_rx)
			node->last_rx = node->rx;
	}
}

/* ---- handing over ---------------------------------------------------------------------------------- */

struct handing {
	int64_t now_boot;
	struct extraction *extraction;
	void (*event)(const struct device_event *event, void *userdata);
	void *userdata;
};

static void tell(const struct handing *handing, const struct tailscale_node *node,
		 enum device_event_type type)
{
	struct device_event event = {
		.type = type,
		.id = node->id,
		.name = node->name,
		.named = node->named,
		.public_key = node->has_public_key ? node->public_key : NULL,
		.address = tailscale_node_address(node),
		.path = node->path,
		.endpoint = node->endpoint,
		.via = *node->via ? node->via : NULL,
		.last_handshake = node->last_handshake,
	};

	if (type == DEVICE_EVENT_PEER_MOVED) {
		event.from_path = node->used_path;
		event.from_endpoint = node->used_endpoint;
		event.from_via = *node->used_via ? node->used_via : NULL;
	}
	handing->event(&event, handing->userdata);
}

static bool has_moved(const struct tailscale_node *node)
{
	if (node->path == DEVICE_PATH_UNKNOWN || node->used_path == DEVICE_PATH_UNKNOWN)
		return false;
	if (node->path != node->used_path)
		return true;
	/* The number of a region is known only with the map of regions, its code always. */
	if (node->path == DEVICE_PATH_DERP && *node->via && *node->used_via)
		return strcmp(node->via, node->used_via) != 0;
	return endpoint_compare(&node->endpoint, &node->used_endpoint) != 0;
}

static void note_events(const struct handing *handing, struct tailscale_node *node)
{
	bool was_active = node->active, received = node->due.rx_bytes > 0, used = !counts_is_zero(&node->due);

	node->active =
		received || (was_active && handing->now_boot - node->received < TAILSCALE_SILENT_AFTER);
	if (node->active && !was_active)
		tell(handing, node, DEVICE_EVENT_PEER_ACTIVE);
	else if (used && node->active && has_moved(node))
		tell(handing, node, DEVICE_EVENT_PEER_MOVED);
	if (!node->active && was_active)
		tell(handing, node, DEVICE_EVENT_PEER_SILENT);
	if (used && node->path != DEVICE_PATH_UNKNOWN) {
		node->used_path = node->path;
		node->used_endpoint = node->endpoint;
		memcpy(node->used_via, node->via, sizeof(node->used_via));
	}
}

static void add_entry(const struct handing *handing, struct tailscale_node *node)
{
	struct extraction *extraction = handing->extraction;
	struct connection connection = {
		.src = {.address = tailscale_node_address(node)},
		.dst = node->endpoint,
	};

	counts_add(&extraction->totals, &node->due);
	if (flows_add(&extraction->flows, &connection, &node->due) < 0)
		counts_add(&extraction->overflow, &node->due);
	node->due = (struct counts){};
}

void tailscale_account_extract(struct tailscale_nodes *nodes, int64_t now_boot, struct extraction *extraction,
			       void (*event)(const struct device_event *event, void *userdata),
			       void *userdata)
{
	struct handing handing = {now_boot, extraction, event, userdata};

	for (size_t i = 0; i < tailscale_nodes_count(nodes); i++) {
		struct tailscale_node *node = tailscale_nodes_get(nodes, i);

		if (node->self)
			continue;
		note_events(&handing, node);
		if (!counts_is_zero(&node->due))
			add_entry(&handing, node);
	}
}
