/* SPDX-License-Identifier: BSD-3-Clause */
/* Decoding what has changed. Texts without escapes are taken as they are, the rest by jansson. */

#include "daemon/tailscale/status_line.h"

#include "common/address.h"
#include "common/buffer.h"
#include "common/time_text.h"
#include "daemon/tailscale/derp_map.h"
#include "daemon/tailscale/form.h"

#include <errno.h>
#include <net/if.h>
#include <string.h>

#define TEXT_SIZE (TAILSCALE_TEXT_MAX + 1)
/* tailscale's own address for "by way of this region" (tailcfg.DerpMagicIP). */
#define DERP_ADDRESS "127.3.3.40"
/* An endpoint, with a zone, and the number of a relay's network behind it. */
#define PATH_TEXT_SIZE (ENDPOINT_TEXT_MAX + IF_NAMESIZE + 24)

/* ---- values ---------------------------------------------------------------------------------------- */

/* A missing value is an empty one, which is none. */
static struct json_scan scan_of(const struct json_slice *value)
{
	const char *data = value->length > 0 ? value->data : "";

	return (struct json_scan){.next = data, .end = data + value->length};
}

static bool is_ascii(const struct json_slice *text)
{
	for (size_t i = 0; i < text->length; i++)
		if ((unsigned char)text->data[i] >= 0x7f)
			return false;
	return true;
}

static int decode_text(const struct json_slice *value, char *ret_text, size_t size)
{
	json_t *decoded = json_loadb(value->data, value->length, JSON_DECODE_ANY, NULL);
	const char *text = json_string_value(decoded);
	int r = text && strlen(text) < size ? 0 : -EINVAL;

	if (r == 0)
		memcpy(ret_text, text, strlen(text) + 1);
	json_decref(decoded);
	return r;
}

int status_line_text(const struct json_slice *value, char *ret_text, size_t size)
{
	struct json_scan scan = scan_of(value);
	struct json_slice content;
	bool plain;

	*ret_text = '\0';
	if (value->length == 0 || json_scan_string(&scan, &content, &plain) < 0)
		return -EINVAL;
	if (!plain || !is_ascii(&content))
		return decode_text(value, ret_text, size);
	if (content.length >= size)
		return -EINVAL;
	memcpy(ret_text, content.data, content.length);
	ret_text[content.length] = '\0';
	return 0;
}

static int read_count(const struct json_slice *value, uint64_t *ret_count)
{
	struct json_scan scan = scan_of(value);

	return value->length == 0 ? -EINVAL : json_scan_count(&scan, ret_count);
}

/* Wall time in ns; 0: never, or not known. Go's zero time is in the year 1. */
static int64_t read_time(const struct json_slice *value)
{
	char text[TIME_TEXT_MAX + 8];
	int64_t wall;

	if (status_line_text(value, text, sizeof(text)) < 0 || time_parse(text, &wall) < 0 || wall < 0)
		return 0;
	return wall;
}

/* ---- writing --------------------------------------------------------------------------------------- */

static void write_member(struct buffer *lines, const char *name)
{
	buffer_append_text(lines, ",\"");
	buffer_append_text(lines, name);
	buffer_append_text(lines, "\":");
}

static void write_text(struct buffer *lines, const char *name, const char *text)
{
	if (!*text)
		return;
	write_member(lines, name);
	buffer_append_json_string(lines, text);
}

static void write_value(struct buffer *lines, const char *name, const struct json_slice *value)
{
	char text[TEXT_SIZE];

	status_line_text(value, text, sizeof(text));
	write_text(lines, name, text);
}

static bool is_address(const char *text)
{
	struct address address;

	return *text && address_parse(text, &address) == 0;
}

static bool is_prefix(const char *text)
{
	struct prefix prefix;

	return prefix_parse(text, &prefix) == 0;
}

static bool is_any(const char *text)
{
	return *text;
}

/* A list of texts, without what is none, and no more than max of them. */
static void write_list(struct buffer *lines, const char *name, const struct json_slice *value, size_t max,
		       bool (*is_good)(const char *text))
{
	struct json_scan scan = scan_of(value);
	char text[TEXT_SIZE];
	size_t n = 0;

	if (value->length == 0 || !json_scan_char(&scan, '['))
		return;
	while (n < max && !json_scan_char(&scan, ']')) {
		struct json_slice item;

		if (json_scan_value(&scan, &item) < 0)
			break;
		if (status_line_text(&item, text, sizeof(text)) == 0 && is_good(text)) {
			if (n == 0)
				write_member(lines, name);
			buffer_append_char(lines, n == 0 ? '[' : ',');
			buffer_append_json_string(lines, text);
			n++;
		}
		json_scan_char(&scan, ',');
	}
	if (n > 0)
		buffer_append_char(lines, ']');
}

/* Whose node it is: the login name that belongs to its UserID. */
static const char *find_user(const struct status_peer *peer, const json_t *users)
{
	const struct json_slice *id = &peer->fields[FIELD_USER_ID];
	uint64_t number;
	char key[24];

	if (read_count(id, &number) < 0)
		return NULL;
	snprintf(key, sizeof(key), "%llu", (unsigned long long)number);
	return json_string_value(json_object_get(json_object_get(users, key), "LoginName"));
}

/* The name in the DNS without its final dot, else the host's own. */
static void write_name(struct buffer *lines, const struct status_peer *peer)
{
	char name[TEXT_SIZE];
	size_t n;

	status_line_text(&peer->fields[FIELD_DNS_NAME], name, sizeof(name));
	n = strlen(name);
	if (n > 0 && name[n - 1] == '.')
		name[--n] = '\0';
	if (n == 0)
		status_line_text(&peer->fields[FIELD_HOST_NAME], name, sizeof(name));
	write_text(lines, "name", name);
}

void status_line_node(struct buffer *lines, uint32_t slot, const struct status_peer *peer, bool self,
		      const json_t *users)
{
	const char *user = find_user(peer, users);
	size_t begun;

	buffer_printf(lines, "{\"node\":%u", slot);
	if (self)
		buffer_append_text(lines, ",\"self\":true");
	/* Of plain letters: status_scan() takes no others. */
	if (peer->key.length > 0) {
		buffer_append_text(lines, ",\"key\":\"");
		buffer_append(lines, peer->key.data, peer->key.length);
		buffer_append_char(lines, '"');
	}
	write_value(lines, "id", &peer->fields[FIELD_ID]);
	write_name(lines, peer);
	write_value(lines, "os", &peer->fields[FIELD_OS]);
	begun = lines->length;
	write_list(lines, "tags", &peer->fields[FIELD_TAGS], TAILSCALE_TAGS_MAX, is_any);
	/* A tagged node is nobody's: its UserID stands for all of them. */
	if (lines->length == begun && user && strlen(user) <= TAILSCALE_TEXT_MAX)
		write_text(lines, "user", user);
	write_list(lines, "addresses", &peer->fields[FIELD_TAILSCALE_IPS], TAILSCALE_ADDRESSES_MAX,
		   is_address);
	write_list(lines, "allowedIPs", &peer->fields[FIELD_ALLOWED_IPS], TAILSCALE_ALLOWED_IPS_MAX,
		   is_prefix);
	buffer_append_text(lines, "}\n");
}

/* ---- counts ---------------------------------------------------------------------------------------- */

/* Without the zone of an IPv6 address: "[fe80::1%eth0]:7". "" when it is no endpoint. */
static void keep_endpoint(char *text)
{
	char *zone = strchr(text, '%'), *end = strchr(text, ']');
	struct endpoint endpoint;

	if (zone && end && zone < end)
		memmove(zone, end, strlen(end) + 1);
	if (endpoint_parse(text, &endpoint) < 0)
		*text = '\0';
}

/* "192.0.2.7:7777:vni:12" without what follows the port; ret_text is "" when it is no endpoint. */
static void read_relay(const struct json_slice *value, char *ret_text, size_t size)
{
	char *end;

	status_line_text(value, ret_text, size);
	end = strstr(ret_text, ":vni:");
	if (end)
		*end = '\0';
	keep_endpoint(ret_text);
}

static void read_direct(const struct json_slice *value, char *ret_text, size_t size)
{
	status_line_text(value, ret_text, size);
	keep_endpoint(ret_text);
}

char *status_line_region(const struct status_peer *peer, char ret_code[static 32])
{
	char text[PATH_TEXT_SIZE];

	read_direct(&peer->fields[FIELD_CUR_ADDR], text, sizeof(text));
	if (!*text)
		read_relay(&peer->fields[FIELD_PEER_RELAY], text, sizeof(text));
	*ret_code = '\0';
	if (!*text)
		status_line_text(&peer->fields[FIELD_RELAY], ret_code, 32);
	return ret_code;
}

static void write_number(struct buffer *lines, const char *name, uint64_t number)
{
	write_member(lines, name);
	buffer_append_u64(lines, number);
}

/* Relay is set for every peer: the region where it can be reached when there is no better way. */
static void write_path(struct buffer *lines, const struct status_peer *peer, const struct derp_map *derp)
{
	char text[PATH_TEXT_SIZE], code[32];
	unsigned int region;

	read_direct(&peer->fields[FIELD_CUR_ADDR], text, sizeof(text));
	if (*text) {
		write_text(lines, "path", "direct");
		write_text(lines, "endpoint", text);
		return;
	}
	read_relay(&peer->fields[FIELD_PEER_RELAY], text, sizeof(text));
	if (*text) {
		write_text(lines, "path", "relay");
		write_text(lines, "endpoint", text);
		return;
	}
	if (!*status_line_region(peer, code))
		return;
	region = derp_map_find(derp, code);
	snprintf(text, sizeof(text), DERP_ADDRESS ":%u", region);
	write_text(lines, "path", "derp");
	write_text(lines, "endpoint", text);
	write_text(lines, "via", code);
	write_number(lines, "region", region);
}

void status_line_counts(struct buffer *lines, uint32_t slot, const struct status_peer *peer,
			const struct derp_map *derp)
{
	int64_t handshake = read_time(&peer->fields[FIELD_LAST_HANDSHAKE]);
	int64_t seen = read_time(&peer->fields[FIELD_LAST_SEEN]);
	uint64_t count;

	buffer_append_text(lines, "{\"counts\":");
	buffer_append_u64(lines, slot);
	if (read_count(&peer->fields[FIELD_TX_BYTES], &count) == 0)
		write_number(lines, "tx", count);
	if (read_count(&peer->fields[FIELD_RX_BYTES], &count) == 0)
		write_number(lines, "rx", count);
	write_path(lines, peer, derp);
	if (handshake)
		write_number(lines, "handshake", (uint64_t)handshake);
	if (seen)
		write_number(lines, "seen", (uint64_t)seen);
	buffer_append_text(lines, "}\n");
}
