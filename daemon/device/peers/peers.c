/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The list of peers, and the rules that hold for both formats.
 */

#include "daemon/device/peers/peers.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

void wg_peers_deinit(struct wg_peers *peers)
{
	for (size_t i = 0; i < peers->n; ++i)
		prefix_list_deinit(&peers->items[i].allowed_ips);
	free(peers->items);
	*peers = (struct wg_peers){};
}

struct wg_peer *wg_peers_add(struct wg_peers *peers, int *ret_error)
{
	if (peers->n == peers->allocated) {
		size_t allocated = peers->allocated ? peers->allocated * 2 : 16;
		struct wg_peer *items;

		if (peers->n >= WG_PEERS_MAX) {
			*ret_error = -E2BIG;
			return NULL;
		}
		items = reallocarray(peers->items, allocated, sizeof(*items));
		if (!items) {
			*ret_error = -ENOMEM;
			return NULL;
		}
		peers->items = items;
		peers->allocated = allocated;
	}
	peers->items[peers->n] = (struct wg_peer){};
	return &peers->items[peers->n++];
}

int wg_peers_add_allowed_ip(struct wg_peers *peers, struct wg_peer *peer, const struct prefix *prefix)
{
	if (peers->n_allowed_ips >= WG_PEERS_ALLOWED_IPS_MAX)
		return -E2BIG;
	++peers->n_allowed_ips;
	return prefix_list_add(&peer->allowed_ips, prefix);
}

void wg_peer_set_endpoint(struct wg_peer *peer, const struct endpoint *endpoint, unsigned int link)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

	peer->endpoint = *endpoint;
	peer->link = address_is_link_local(&endpoint->address) ? link : 0;
	peer->zone[0] = '\0';
	if (endpoint->address.family == ADDRESS_IPV6 &&
	    memcmp(endpoint->address.bytes, mapped, sizeof(mapped)) == 0)
		peer->endpoint.address = address_ipv4(endpoint->address.bytes + sizeof(mapped));
}

static int compare_keys(const void *a, const void *b)
{
	return memcmp(((const struct wg_peer *)a)->public_key, ((const struct wg_peer *)b)->public_key,
		      WG_PEERS_KEY_SIZE);
}

void wg_peers_sort(struct wg_peers *peers)
{
	size_t n = 0;

	if (peers->n < 2)
		return;
	qsort(peers->items, peers->n, sizeof(*peers->items), compare_keys);
	for (size_t i = 1; i < peers->n; ++i) {
		if (compare_keys(&peers->items[n], &peers->items[i]) == 0)
			prefix_list_deinit(&peers->items[n].allowed_ips);
		else
			++n;
		if (n != i)
			peers->items[n] = peers->items[i];
	}
	peers->n = n + 1;
}

const struct wg_peer *wg_peers_find(const struct wg_peers *peers, const uint8_t *public_key)
{
	struct wg_peer wanted;

	if (peers->n == 0)
		return NULL;
	memcpy(wanted.public_key, public_key, WG_PEERS_KEY_SIZE);
	return bsearch(&wanted, peers->items, peers->n, sizeof(wanted), compare_keys);
}

struct address wg_peer_tailnet_address(const struct wg_peer *peer)
{
	const struct prefix *best = NULL;

	for (size_t i = 0; i < peer->allowed_ips.n; ++i) {
		const struct prefix *prefix = &peer->allowed_ips.items[i];
		bool single = prefix_is_single(prefix);

		if (!best || single > prefix_is_single(best) ||
		    (single == prefix_is_single(best) && prefix_compare(prefix, best) < 0))
			best = prefix;
	}
	return best ? best->address : (struct address){};
}
