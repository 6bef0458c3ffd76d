/* SPDX-License-Identifier: BSD-3-Clause */
/* The peers as others know them: by their names, and as nodes. */

#include "daemon/device/wireguard/state.h"

#include "common/parse.h"
#include "daemon/device/peers/names_source.h"

#include <stdio.h>
#include <string.h>

static bool same_text(const char *a, const char *b)
{
	return strcmp(a ? a : "", b ? b : "") == 0;
}

void wireguard_set_names(struct device *device, enum names_mode mode, const char *file)
{
	struct wireguard *wireguard = (struct wireguard *)device;
	struct wg_names_options options = {
		.interface = wireguard->link_name, .file = file, .broker = wireguard->broker};

	if (wireguard->has_names_mode && wireguard->names_mode == mode &&
	    same_text(wireguard->names_file, file))
		return;
	wg_names_source_free(TAKE_PTR(wireguard->names));
	free(TAKE_PTR(wireguard->names_file));
	wireguard->names_changes++;
	wireguard->identities_known = false;
	wireguard->names_mode = mode;
	/* Without memory it is tried again when it is set again. */
	wireguard->has_names_mode =
		text_copy(file, &wireguard->names_file) == 0 &&
		(mode == NAMES_NONE || wg_names_source_new(&options, &wireguard->names) == 0);
}

const struct wg_names *wireguard_names(const struct wireguard *wireguard)
{
	return wireguard->names ? wg_names_source_names(wireguard->names) : NULL;
}

void wireguard_set_address(struct device *device, const uint8_t *public_key, const struct address *address)
{
	struct wg_peers *told = &((struct wireguard *)device)->told;
	struct wg_peer *peer = (struct wg_peer *)wg_peers_find(told, public_key);
	int r = 0;

	if (!peer && !address->family)
		return;
	if (peer) {
		peer->own = *address;
		return;
	}
	peer = wg_peers_add(told, &r);
	/* Without memory it is not known. */
	if (!peer)
		return;
	memcpy(peer->public_key, public_key, sizeof(peer->public_key));
	peer->own = *address;
	wg_peers_sort(told);
}

void wireguard_take_told(const struct wireguard *wireguard, struct wg_peers *peers)
{
	for (size_t i = 0; i < wireguard->told.n; i++) {
		const struct wg_peer *told = &wireguard->told.items[i];
		struct wg_peer *peer = (struct wg_peer *)wg_peers_find(peers, told->public_key);

		if (peer && told->own.family && wg_peer_is_without_address(peer))
			peer->own = told->own;
	}
}

static uint64_t mix(uint64_t hash, const void *data, size_t n)
{
	const uint8_t *bytes = data;
	uint64_t part;

	for (size_t i = 0; i < n; i += sizeof(part)) {
		part = 0;
		memcpy(&part, bytes + i, MIN(sizeof(part), n - i));
		hash = (hash ^ part) * UINT64_C(0x9e3779b97f4a7c15);
		hash ^= hash >> 29;
	}
	return hash;
}

/* Of what makes them nodes: keys and addresses. */
static uint64_t sum_of(const struct wg_peers *peers)
{
	uint64_t hash = peers->n;

	for (size_t i = 0; i < peers->n; i++) {
		const struct wg_peer *peer = &peers->items[i];
		struct address address = wg_peer_tailnet_address(peer);

		hash = mix(hash, peer->public_key, sizeof(peer->public_key));
		hash = mix(hash, &address, sizeof(address));
		for (size_t j = 0; j < peer->allowed_ips.n; j++)
			if (prefix_is_single(&peer->allowed_ips.items[j]))
				hash = mix(hash, &peer->allowed_ips.items[j].address, sizeof(address));
	}
	return hash;
}

uint64_t wireguard_identities(struct device *device)
{
	struct wireguard *wireguard = (struct wireguard *)device;

	/* Between two readings of the peers the file is looked at once. */
	if (wireguard->identities_known)
		return wireguard->identities;
	if (wireguard->names)
		wireguard->names_changes += wg_names_source_follow(wireguard->names);
	wireguard->identities = sum_of(wg_account_peers(wireguard->account)) + wireguard->names_changes;
	wireguard->identities_known = true;
	return wireguard->identities;
}

static bool has_single_address(const struct wg_peer *peer)
{
	for (size_t i = 0; i < peer->allowed_ips.n; i++)
		if (prefix_is_single(&peer->allowed_ips.items[i]))
			return true;
	return false;
}

void wireguard_foreach_peer(struct device *device,
			    void (*peer)(const struct device_peer *peer, void *userdata), void *userdata)
{
	const struct wireguard *wireguard = (struct wireguard *)device;
	const struct wg_peers *peers = wg_account_peers(wireguard->account);

	_Static_assert(DEVICE_PEER_KEY_SIZE == WG_PEERS_KEY_SIZE, "the key is copied as it is");
	for (size_t i = 0; i < peers->n; i++) {
		const struct wg_peer *from = &peers->items[i];
		char id[WG_PEER_ID_MAX], short_name[DEVICE_PEER_SHORT + 1];
		struct prefix own = {.address = from->own, .length = (uint8_t)address_bits(&from->own)};
		struct prefix_list owns = {.items = &own, .n = 1};
		const char *name =
			wg_peer_names(from->public_key, wireguard_names(wireguard), id, short_name);
		struct device_peer to = {
			.id = id,
			.name = name,
			.named = name != short_name,
			.has_public_key = true,
			.endpoint = from->endpoint,
			.path = from->endpoint.address.family ? DEVICE_PATH_DIRECT : DEVICE_PATH_UNKNOWN,
			.last_handshake = from->last_handshake,
			.tx_bytes = from->tx_bytes,
			.rx_bytes = from->rx_bytes,
			.allowed_ips = &from->allowed_ips,
			.addresses = from->own.family ? &owns : NULL,
			.without_address = wg_peer_is_without_address(from),
		};

		if (!has_single_address(from) && !from->own.family)
			to.source = wg_peer_tailnet_address(from);
		memcpy(to.public_key, from->public_key, sizeof(to.public_key));
		peer(&to, userdata);
	}
}
