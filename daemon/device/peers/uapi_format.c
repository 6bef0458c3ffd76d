/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Lines of key=value, secrets among them. They are assembled in one small buffer that is wiped after each
 * line, so that a secret is never copied into memory that grows.
 */

#include "daemon/device/peers/uapi_format.h"

#include "common/parse.h"
#include "common/time_text.h"

#include <errno.h>
#include <string.h>

void uapi_answer_deinit(struct uapi_answer *answer)
{
	explicit_bzero(answer, sizeof(*answer));
}

static int parse_number(const char *text, uint64_t max, uint64_t *ret_value)
{
	uint64_t value;

	if (parse_u64(text, &value) < 0 || value > max)
		return -EBADMSG;
	*ret_value = value;
	return 0;
}

/* As endpoint_parse(), but a link-local address may name its interface, or give its index:
 * "[fe80::1%eth0]:51820". */
static int read_endpoint(struct wg_peer *peer, char *text)
{
	char *zone = strchr(text, '%'), *end = zone ? strchr(zone, ']') : NULL, name[IFNAMSIZ] = "";
	struct endpoint endpoint;
	uint64_t index = 0;

	if (zone && !end)
		return -EBADMSG;
	if (zone) {
		size_t n = (size_t)(end - zone) - 1;

		/* A longer one is no interface of this system: then the link is not known. */
		if (n < sizeof(name))
			memcpy(name, zone + 1, n);
		memmove(zone, end, strlen(end) + 1);
	}
	if (endpoint_parse(text, &endpoint) < 0)
		return -EBADMSG;
	if (parse_u64(name, &index) < 0 || index > INT32_MAX)
		index = 0;
	wg_peer_set_endpoint(peer, &endpoint, (unsigned int)index);
	if (index == 0 && address_is_link_local(&endpoint.address))
		memcpy(peer->zone, name, sizeof(name));
	return 0;
}

/* Unknown keys are skipped: the protocol may grow. */
static int read_peer_line(struct wg_peers *peers, struct wg_peer *peer, const char *key, char *value)
{
	struct prefix prefix;
	uint64_t number = 0;
	int r = 0;

	if (strcmp(key, "endpoint") == 0)
		return read_endpoint(peer, value);
	if (strcmp(key, "rx_bytes") == 0)
		return parse_number(value, UINT64_MAX, &peer->rx_bytes);
	if (strcmp(key, "tx_bytes") == 0)
		return parse_number(value, UINT64_MAX, &peer->tx_bytes);
	if (strcmp(key, "last_handshake_time_sec") == 0) {
		r = parse_number(value, INT64_MAX / NSEC_PER_SEC - 1, &number);
		peer->last_handshake = (int64_t)number * NSEC_PER_SEC;
		return r;
	}
	if (strcmp(key, "last_handshake_time_nsec") == 0) {
		r = parse_number(value, NSEC_PER_SEC - 1, &number);
		peer->last_handshake += peer->last_handshake % NSEC_PER_SEC ? 0 : (int64_t)number;
		return r;
	}
	if (strcmp(key, "allowed_ip") == 0) {
		if (prefix_parse(value, &prefix) < 0)
			return -EBADMSG;
		if (peers->n_allowed_ips == UAPI_ALLOWED_IPS_MAX)
			return -E2BIG;
		return wg_peers_add_allowed_ip(peers, peer, &prefix);
	}
	return 0;
}

static int read_line(struct uapi_answer *answer, struct wg_peers *peers)
{
	char *key = answer->line, *value = strchr(key, '=');
	struct wg_peer *peer;
	uint64_t number = 0;
	int r = 0;

	if (!*key) {
		answer->done = true;
		return 0;
	}
	if (!value)
		return -EBADMSG;
	*value++ = '\0';
	if (strcmp(key, "errno") == 0) {
		/* Positive in some implementations, negative in others. */
		r = parse_number(value + (*value == '-'), INT32_MAX, &number);
		answer->error = r < 0 ? answer->error : (int64_t)number;
	} else if (strcmp(key, "public_key") == 0) {
		if (peers->n == UAPI_PEERS_MAX)
			return -E2BIG;
		peer = wg_peers_add(peers, &r);
		if (!peer)
			return r;
		answer->in_peer = true;
		r = parse_hex(value, peer->public_key, sizeof(peer->public_key)) < 0 ? -EBADMSG : 0;
	} else if (answer->in_peer) {
		r = read_peer_line(peers, &peers->items[peers->n - 1], key, value);
	} else if (strcmp(key, "listen_port") == 0) {
		r = parse_number(value, UINT16_MAX, &number);
		peers->listen_port = (uint16_t)number;
	} else if (strcmp(key, "fwmark") == 0) {
		r = parse_number(value, UINT32_MAX, &number);
		peers->fwmark = (uint32_t)number;
	}
	return r;
}

int uapi_answer_feed(struct uapi_answer *answer, const char *data, size_t n, struct wg_peers *peers)
{
	for (size_t i = 0; i < n; ++i) {
		int r;

		if (answer->done || data[i] == '\0')
			return -EBADMSG;
		if (data[i] != '\n') {
			if (answer->length == sizeof(answer->line) - 1)
				return -EBADMSG;
			answer->line[answer->length++] = data[i];
			continue;
		}
		answer->line[answer->length] = '\0';
		r = read_line(answer, peers);
		explicit_bzero(answer->line, answer->length);
		answer->length = 0;
		if (r < 0)
			return r;
	}
	return 0;
}
