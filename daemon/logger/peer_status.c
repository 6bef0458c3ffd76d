/* SPDX-License-Identifier: BSD-3-Clause */
/* Members that are not known are left out. */

#include "daemon/logger/peer_status.h"

#include "common/cleanup.h"
#include "common/json_set.h"
#include "common/time_text.h"
#include "daemon/logger/peer_memory.h"
#include "daemon/record/nodes.h"

#include <nettle/base64.h>

/* Its addresses in the tunnel; *ret_node: the first node that has one of them. */
static json_t *list_addresses(const struct device_peer *peer, const struct nodes *nodes,
			      const struct node **ret_node)
{
	const struct prefix_list *prefixes = peer->addresses ? peer->addresses : peer->allowed_ips;
	json_t *addresses = json_array();

	*ret_node = NULL;
	for (size_t i = 0; prefixes && i < prefixes->n; i++) {
		const struct prefix *prefix = &prefixes->items[i];
		char address[ADDRESS_TEXT_MAX];

		if (!prefix_is_single(prefix))
			continue;
		address_format(&prefix->address, address);
		json_array_append_new(addresses, json_string(address));
		if (!*ret_node)
			*ret_node = nodes_find_address(nodes, &prefix->address);
	}
	return addresses;
}

static void set_tags(json_t *status, char *const *tags)
{
	json_t *list;

	if (!tags || !*tags)
		return;
	list = json_array();
	for (; *tags; tags++)
		json_array_append_new(list, json_string(*tags));
	json_object_set_new(status, "tags", list);
}

/* What the operator says of a node goes before what the tunnel says. */
static void set_identity(json_t *status, const struct device_peer *peer, const struct node *node)
{
	char key[BASE64_ENCODE_RAW_LENGTH(DEVICE_PEER_KEY_SIZE) + 1] = "";

	if (peer->has_public_key)
		base64_encode_raw(key, DEVICE_PEER_KEY_SIZE, peer->public_key);
	json_set_text(status, "name", node ? node_name(node) : peer->named ? peer->name : NULL);
	json_set_text(status, "nodeId", node ? node->id : peer->id);
	json_set_text(status, "os", node && node->os ? node->os : peer->os);
	if (node && node->tags)
		set_tags(status, node->tags);
	else if (node && node->user)
		json_set_text(status, "user", node->user);
	else if (peer->tags && *peer->tags)
		set_tags(status, peer->tags);
	else
		json_set_text(status, "user", peer->user);
	json_set_text(status, "publicKey", key);
}

static uint64_t per_second(uint64_t bytes, int64_t ns)
{
	return (uint64_t)((double)bytes * (double)NSEC_PER_SEC / (double)ns + 0.5);
}

static void set_remembered(json_t *status, const struct peer_record *record)
{
	char from[ENDPOINT_TEXT_MAX];

	json_set_time(status, "lastSeen", record->last_seen);
	json_object_set_new(status, "active", json_boolean(record->active));
	if (record->moved_in > 0) {
		json_set_number(status, "txRate", per_second(record->tx_moved, record->moved_in));
		json_set_number(status, "rxRate", per_second(record->rx_moved, record->moved_in));
	}
	json_set_number(status, "txBytesToday", record->tx_today);
	json_set_number(status, "rxBytesToday", record->rx_today);
	json_set_time(status, "todaySince", record->today_since);
	if (record->moved_at == 0)
		return;
	endpoint_format(&record->from_endpoint, from);
	json_set_time(status, "movedAt", record->moved_at);
	json_set_text(status, "fromPath", device_path_name(record->from_path));
	json_set_text(status, "fromEndpoint", from);
	json_set_text(status, "fromVia", record->from_via);
}

json_t *peer_status(const struct device_peer *peer, const struct nodes *nodes,
		    const struct peer_memory *memory)
{
	const struct peer_record *record = peer_memory_find(memory, peer->id);
	json_t *status = json_object(), *addresses;
	char endpoint[ENDPOINT_TEXT_MAX];
	const struct node *node;

	addresses = list_addresses(peer, nodes, &node);
	if (!node)
		node = nodes_find_id(nodes, peer->id);
	endpoint_format(&peer->endpoint, endpoint);
	set_identity(status, peer, node);
	json_object_set_new(status, "addresses", addresses);
	json_set_number(status, "allowedIps", peer->allowed_ips ? peer->allowed_ips->n : 0);
	json_set_text(status, "endpoint", endpoint);
	/* By an endpoint from which nothing has come yet, it may not be reached at all. */
	if (peer->last_handshake || (record && record->last_seen)) {
		json_set_text(status, "path", device_path_name(peer->path));
		json_set_text(status, "via", peer->via);
	}
	json_set_time(status, "lastHandshake", peer->last_handshake);
	json_set_number(status, "txBytes", peer->tx_bytes);
	json_set_number(status, "rxBytes", peer->rx_bytes);
	if (record)
		set_remembered(status, record);
	return status;
}
