/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The text that userspace WireGuard implementations answer "get=1" with: lines of key=value, secrets among
 * them (https://www.wireguard.com/xplatform/). Lines are put together in one small buffer that is wiped after
 * each, so that a secret is never copied into memory that grows.
 */

#include "daemon/device/wireguard/peers.h"

#include "common/parse.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

void wg_text_deinit(struct wg_text *text)
{
	explicit_bzero(text, sizeof(*text));
}

static int parse_number(const char *text, uint64_t max, uint64_t *ret_value)
{
	uint64_t value;

	if (parse_u64(text, &value) < 0 || value > max)
		return -EBADMSG;
	*ret_value = value;
	return 0;
}

/* As endpoint_parse(), but a link-local address may name its interface: "[fe80::1%eth0]:51820". */
static int parse_endpoint(char *text, struct endpoint *ret_endpoint)
{
	char *zone = strchr(text, '%'), *end = zone ? strchr(zone, ']') : NULL;

	if (zone && !end)
		return -EBADMSG;
	if (zone)
		memmove(zone, end, strlen(end) + 1);
	return endpoint_parse(text, ret_endpoint) < 0 ? -EBADMSG : 0;
}

/* What is said of a peer. Keys that we don't know are stepped over: the protocol may grow. */
static int read_peer_line(struct wg_peers *peers, struct wg_peer *peer, const char *key, char *value)
{
	struct prefix prefix;
	uint64_t number = 0;
	int r = 0;

	if (strcmp(key, "endpoint") == 0)
		return parse_endpoint(value, &peer->endpoint);
	if (strcmp(key, "rx_bytes") == 0)
		return parse_number(value, UINT64_MAX, &peer->rx_bytes);
	if (strcmp(key, "tx_bytes") == 0)
		return parse_number(value, UINT64_MAX, &peer->tx_bytes);
	if (strcmp(key, "last_handshake_time_sec") == 0) {
		r = parse_number(value, INT64_MAX / 1000000000 - 1, &number);
		peer->last_handshake = (int64_t)number * 1000000000;
		return r;
	}
	if (strcmp(key, "last_handshake_time_nsec") == 0) {
		r = parse_number(value, 999999999, &number);
		peer->last_handshake += peer->last_handshake % 1000000000 ? 0 : (int64_t)number;
		return r;
	}
	if (strcmp(key, "allowed_ip") == 0) {
		if (prefix_parse(value, &prefix) < 0)
			return -EBADMSG;
		if (peers->n_allowed_ips == WG_TEXT_ALLOWED_IPS_MAX)
			return -E2BIG;
		return wg_peers_add_allowed_ip(peers, peer, &prefix);
	}
	return 0;
}

static int read_device_line(struct wg_peers *peers, const char *key, const char *value)
{
	uint64_t number = 0;
	int r = 0;

	if (strcmp(key, "listen_port") == 0) {
		r = parse_number(value, UINT16_MAX, &number);
		peers->listen_port = (uint16_t)number;
	} else if (strcmp(key, "fwmark") == 0) {
		r = parse_number(value, UINT32_MAX, &number);
		peers->fwmark = (uint32_t)number;
	}
	return r;
}

/* errno= is positive from some, negative from others; only 0 is good. */
static int read_errno(struct wg_text *text, const char *value)
{
	uint64_t number;
	int r = parse_number(value + (*value == '-'), INT32_MAX, &number);

	if (r >= 0)
		text->error = (int64_t)number;
	return r;
}

static int read_line(struct wg_text *text, struct wg_peers *peers)
{
	char *key = text->line, *value = strchr(key, '=');
	int r = 0;

	if (!*key) {
		text->done = true;
		return 0;
	}
	if (!value)
		return -EBADMSG;
	*value++ = '\0';
	if (strcmp(key, "errno") == 0)
		return read_errno(text, value);
	if (strcmp(key, "public_key") == 0) {
		struct wg_peer *peer;

		if (peers->n == WG_TEXT_PEERS_MAX)
			return -E2BIG;
		peer = wg_peers_add(peers, &r);
		if (!peer)
			return r;
		text->in_peer = true;
		return parse_hex(value, peer->public_key, sizeof(peer->public_key)) < 0 ? -EBADMSG : 0;
	}
	if (text->in_peer)
		return read_peer_line(peers, &peers->items[peers->n - 1], key, value);
	return read_device_line(peers, key, value);
}

int wg_text_feed(struct wg_text *text, const char *data, size_t n, struct wg_peers *peers)
{
	for (size_t i = 0; i < n; ++i) {
		int r;

		if (text->done || data[i] == '\0')
			return -EBADMSG;
		if (data[i] != '\n') {
			if (text->length == sizeof(text->line) - 1)
				return -EBADMSG;
			text->line[text->length++] = data[i];
			continue;
		}
		text->line[text->length] = '\0';
		r = read_line(text, peers);
		explicit_bzero(text->line, text->length);
		text->length = 0;
		if (r < 0)
			return r;
	}
	return 0;
}
