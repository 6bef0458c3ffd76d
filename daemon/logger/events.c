/* SPDX-License-Identifier: BSD-3-Clause */
/* Names and members stand here once, so that a log's reader finds the same ones in every event. */

#include "daemon/logger/events.h"

#include "common/address.h"
#include "common/config/keys.h"
#include "common/json_set.h"
#include "common/plural.h"
#include "daemon/device/device.h"
#include "daemon/logger/layer.h"

#include <nettle/base64.h>
#include <stdio.h>
#include <string.h>

json_t *event_of_type(const char *type)
{
	return json_pack("{ss}", "type", type);
}

json_t *event_of_target(const char *type, const struct layer *layer)
{
	json_t *event = event_of_type(type);

	json_set_text(event, "device", layer_name(layer));
	json_set_text(event, "target", layer_target(layer));
	return event;
}

static void set_device(json_t *object, const struct layer *layer)
{
	enum device_source source = layer->device ? layer->device->ops->source : layer->config.source;

	json_set_text(object, "device", layer_name(layer));
	json_set_text(object, "source", device_source_name(source));
	if (source != SOURCE_NONE)
		json_set_text(object, "target", layer_target(layer));
}

json_t *event_of_device(const char *type, const struct layer *layer)
{
	json_t *event = event_of_type(type);

	set_device(event, layer);
	return event;
}

json_t *event_of_start(const char *version, const struct layer *tun, const struct layer *sock,
		       const char *routes)
{
	json_t *event = event_of_type(EVENT_STARTED);
	json_t *tun_object = json_object(), *sock_object = json_object();

	set_device(tun_object, tun);
	set_device(sock_object, sock);
	json_set_text(event, "version", version);
	json_object_set_new(event, "tun", tun_object);
	json_object_set_new(event, "sock", sock_object);
	json_set_text(event, "routes", routes);
	return event;
}

/* ---- peers ----------------------------------------------------------------------------------------- */

#define PLACE_TEXT_MAX (ENDPOINT_TEXT_MAX + 64)

/* "192.0.2.7:51820", "DERP fra", "relay 192.0.2.9:7777"; "" if nothing is known. */
static void format_place(enum device_path path, const struct endpoint *endpoint, const char *via,
			 char ret_text[static PLACE_TEXT_MAX])
{
	char address[ENDPOINT_TEXT_MAX];

	endpoint_format(endpoint, address);
	if (path == DEVICE_PATH_DERP)
		snprintf(ret_text, PLACE_TEXT_MAX, "DERP %.32s", via ? via : address);
	else
		snprintf(ret_text, PLACE_TEXT_MAX, "%s%s", path == DEVICE_PATH_RELAY ? "relay " : "",
			 address);
}

static void write_text(const struct device_event *event, const char *name,
		       char ret_text[static EVENT_PEER_TEXT_MAX])
{
	char place[PLACE_TEXT_MAX], from[PLACE_TEXT_MAX];

	format_place(event->path, &event->endpoint, event->via, place);
	format_place(event->from_path, &event->from_endpoint, event->from_via, from);
	if (event->type == DEVICE_EVENT_PEER_MOVED)
		snprintf(ret_text, EVENT_PEER_TEXT_MAX, "peer %s moved from %s to %s", name, from, place);
	else
		snprintf(ret_text, EVENT_PEER_TEXT_MAX, "peer %s is %s%s%s", name,
			 event->type == DEVICE_EVENT_PEER_ACTIVE ? "active" : "silent", *place ? " at " : "",
			 place);
}

static void set_place(json_t *object, const char *path_name, enum device_path path, const char *endpoint_name,
		      const struct endpoint *endpoint, const char *via_name, const char *via)
{
	char text[ENDPOINT_TEXT_MAX];

	endpoint_format(endpoint, text);
	json_set_text(object, path_name, device_path_name(path));
	json_set_text(object, endpoint_name, text);
	json_set_text(object, via_name, via);
}

json_t *event_of_peer(const struct device_event *event, const char *id, const char *name,
		      char ret_text[static EVENT_PEER_TEXT_MAX])
{
	static const char *const types[] = {
		[DEVICE_EVENT_PEER_ACTIVE] = EVENT_PEER_ACTIVE,
		[DEVICE_EVENT_PEER_MOVED] = EVENT_PEER_MOVED,
		[DEVICE_EVENT_PEER_SILENT] = EVENT_PEER_SILENT,
		[DEVICE_EVENT_OMITTED] = EVENT_PEERS_OMITTED,
	};
	json_t *object = event_of_type(types[event->type]);
	char address[ADDRESS_TEXT_MAX], key[BASE64_ENCODE_RAW_LENGTH(DEVICE_PEER_KEY_SIZE) + 1] = "";
	bool has_address;

	if (event->type == DEVICE_EVENT_OMITTED) {
		json_set_number(object, "events", event->n);
		snprintf(ret_text, EVENT_PEER_TEXT_MAX, "%llu more %s", (unsigned long long)event->n,
			 plural(event->n, "peer event", "peer events"));
		return object;
	}
	has_address = address_format(&event->address, address) > 0;
	if (!name && event->named)
		name = event->name;
	write_text(event, name ? name : has_address ? address : event->name, ret_text);
	if (event->public_key)
		base64_encode_raw(key, DEVICE_PEER_KEY_SIZE, event->public_key);
	json_set_text(object, "peer", name ? name : event->name);
	json_set_text(object, "nodeId", id ? id : event->id);
	json_set_text(object, "publicKey", key);
	json_set_text(object, "address", address);
	set_place(object, "path", event->path, "endpoint", &event->endpoint, "via", event->via);
	if (event->type == DEVICE_EVENT_PEER_MOVED)
		set_place(object, "fromPath", event->from_path, "fromEndpoint", &event->from_endpoint,
			  "fromVia", event->from_via);
	json_set_time(object, "lastHandshake", event->last_handshake);
	return object;
}
