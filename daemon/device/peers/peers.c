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

/* Whether a list has a prefix that begins at the unspecified address, of this family. */
static bool has_default(const struct prefix_list *allowed, uint8_t family)
{
	static const struct address unspecified;

	for (size_t i = 0; i < allowed->n; i++)
		if (allowed->items[i].address.family == family &&
		    memcmp(allowed->items[i].address.bytes, unspecified.bytes, sizeof(unspecified.bytes)) ==
			    0)
			return true;
	return false;
}

static const struct prefix *best_prefix(const struct wg_peer *peer)
{
	const struct prefix_list *allowed = &peer->allowed_ips;
	const struct prefix *best = NULL;
	/* Looked at only when a prefix that is none of a single address comes up. */
	int default4 = -1, default6 = -1;

	for (size_t i = 0; i < allowed->n; ++i) {
		const struct prefix *prefix = &allowed->items[i];
		int *is_default = prefix->address.family == ADDRESS_IPV4 ? &default4 : &default6;
		bool single = prefix_is_single(prefix);

		if (best && (single < prefix_is_single(best) ||
			     (single == prefix_is_single(best) && prefix_compare(prefix, best) >= 0)))
			continue;
		if (!single && *is_default < 0)
			*is_default = has_default(allowed, prefix->address.family);
		if (single || !*is_default)
			best = prefix;
	}
	return best;
}

struct address wg_peer_tailnet_address(const struct wg_peer *peer)
{
	const struct prefix *best = best_prefix(peer);

	return best ? best->address : peer->own;
}

bool wg_peer_is_without_address(const struct wg_peer *peer)
{
	return best_prefix(peer) == NULL;
}

/* The only peer without an address; NULL if there are more, or none. */
static struct wg_peer *find_lacking(const struct wg_peers *peers)
{
	struct wg_peer *found = NULL;

	for (size_t i = 0; i < peers->n; i++) {
		if (wg_peer_tailnet_address(&peers->items[i]).family)
			continue;
		if (found)
			return NULL;
		found = &peers->items[i];
	}
	return found && found->allowed_ips.n > 0 ? found : NULL;
}

bool wg_peers_lack_own(const struct wg_peers *peers)
{
	return find_lacking(peers) != NULL;
}

static bool may_send_from(const struct wg_peer *peer, const struct address *address)
{
	for (size_t i = 0; i < peer->allowed_ips.n; i++)
		if (prefix_contains(&peer->allowed_ips.items[i], address))
			return true;
	return false;
}

void wg_peers_set_own(struct wg_peers *peers, const struct prefix_list *candidates)
{
	struct wg_peer *lacking = find_lacking(peers);

	for (size_t i = 0; lacking && i < candidates->n && !lacking->own.family; i++) {
		const struct address *address = &candidates->items[i].address;
		bool free = may_send_from(lacking, address);

		for (size_t j = 0; free && j < peers->n; j++)
			free = &peers->items[j] == lacking || !may_send_from(&peers->items[j], address);
		if (free)
			lacking->own = *address;
	}
}
