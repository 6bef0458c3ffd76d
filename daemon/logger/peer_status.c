/* SPDX-License-Identifier: BSD-3-Clause */
/* Members that are not known are left out. */

#include "daemon/logger/peer_status.h"

#include "common/buffer.h"
#include "common/time_text.h"
#include "daemon/logger/naming.h"
#include "daemon/logger/peer_memory.h"
#include "daemon/record/nodes.h"

#include <nettle/base64.h>

static void put_name(struct buffer *text, const char *name)
{
	buffer_append_text(text, ",\"");
	buffer_append_text(text, name);
	buffer_append_text(text, "\":");
}

/* NULL and "" are left out. */
static void put_text(struct buffer *text, const char *name, const char *value)
{
	if (!value || !*value)
		return;
	put_name(text, name);
	buffer_append_json_string(text, value);
}

static void put_number(struct buffer *text, const char *name, uint64_t number)
{
	put_name(text, name);
	buffer_append_u64(text, MIN(number, (uint64_t)INT64_MAX));
}

/* Wall time in ns; 0 is left out. */
static void put_time(struct buffer *text, const char *name, int64_t wall)
{
	char time[TIME_TEXT_MAX];

	if (wall == 0)
		return;
	time_format(wall, time);
	put_text(text, name, time);
}

static void put_endpoint(struct buffer *text, const char *name, const struct endpoint *endpoint)
{
	char address[ENDPOINT_TEXT_MAX];

	endpoint_format(endpoint, address);
	put_text(text, name, address);
}

/* Its addresses in the tunnel, which every peer has a list of: the first member. */
static void put_addresses(struct buffer *text, const struct device_peer *peer)
{
	const struct prefix_list *prefixes = peer->addresses ? peer->addresses : peer->allowed_ips;
	bool first = true;

	buffer_append_text(text, "\"addresses\":[");
	for (size_t i = 0; prefixes && i < prefixes->n; i++) {
		const struct prefix *prefix = &prefixes->items[i];
		char address[ADDRESS_TEXT_MAX];

		if (!prefix_is_single(prefix))
			continue;
		address_format(&prefix->address, address);
		if (!first)
			buffer_append_char(text, ',');
		first = false;
		buffer_append_json_string(text, address);
	}
	buffer_append_char(text, ']');
}

static void put_tags(struct buffer *text, char *const *tags)
{
	if (!tags || !*tags)
		return;
	put_name(text, "tags");
	for (size_t i = 0; tags[i]; i++) {
		buffer_append_char(text, i == 0 ? '[' : ',');
		buffer_append_json_string(text, tags[i]);
	}
	buffer_append_char(text, ']');
}

/* What the operator says of a node goes before what the tunnel says. */
static void put_identity(struct buffer *text, const struct device_peer *peer, const struct node *node)
{
	char key[BASE64_ENCODE_RAW_LENGTH(DEVICE_PEER_KEY_SIZE) + 1] = "";

	if (peer->has_public_key)
		base64_encode_raw(key, DEVICE_PEER_KEY_SIZE, peer->public_key);
	put_text(text, "name", node ? node_name(node) : peer->named ? peer->name : NULL);
	put_text(text, "nodeId", node ? node->id : peer->id);
	put_text(text, "os", node && node->os ? node->os : peer->os);
	if (node && node->tags)
		put_tags(text, node->tags);
	else if (node && node->user)
		put_text(text, "user", node->user);
	else if (peer->tags && *peer->tags)
		put_tags(text, peer->tags);
	else
		put_text(text, "user", peer->user);
	put_text(text, "publicKey", key);
}

static uint64_t per_second(uint64_t bytes, int64_t ns)
{
	return (uint64_t)((double)bytes * (double)NSEC_PER_SEC / (double)ns + 0.5);
}

static void put_remembered(struct buffer *text, const struct peer_record *record)
{
	put_time(text, "lastSeen", record->last_seen);
	put_name(text, "active");
	buffer_append_text(text, record->active ? "true" : "false");
	if (record->moved_in > 0) {
		put_number(text, "txRate", per_second(record->tx_moved, record->moved_in));
		put_number(text, "rxRate", per_second(record->rx_moved, record->moved_in));
	}
	put_number(text, "txBytesToday", record->tx_today);
	put_number(text, "rxBytesToday", record->rx_today);
	put_time(text, "todaySince", record->today_since);
	if (record->moved_at == 0)
		return;
	put_time(text, "movedAt", record->moved_at);
	put_text(text, "fromPath", device_path_name(record->from_path));
	put_endpoint(text, "fromEndpoint", &record->from_endpoint);
	put_text(text, "fromVia", record->from_via);
}

void peer_status_write(const struct device_peer *peer, const struct nodes *nodes,
		       const struct peer_memory *memory, struct buffer *text)
{
	const struct peer_record *record = peer_memory_find(memory, peer->id);

	buffer_append_char(text, '{');
	put_addresses(text, peer);
	put_identity(text, peer, naming_find_peer(nodes, peer));
	put_number(text, "allowedIps", peer->allowed_ips ? peer->allowed_ips->n : 0);
	put_endpoint(text, "endpoint", &peer->endpoint);
	if (device_peer_is_reached(peer)) {
		put_text(text, "path", device_path_name(peer->path));
		put_text(text, "via", peer->via);
	}
	put_time(text, "lastHandshake", peer->last_handshake);
	put_number(text, "txBytes", peer->tx_bytes);
	put_number(text, "rxBytes", peer->rx_bytes);
	if (record)
		put_remembered(text, record);
	buffer_append_char(text, '}');
}
