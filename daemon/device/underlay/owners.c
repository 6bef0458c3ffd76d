/* SPDX-License-Identifier: BSD-3-Clause */
/* A sorted array, made once per window and searched for every entry. */

#include "daemon/device/underlay/owners.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

void endpoint_owners_deinit(struct endpoint_owners *owners)
{
	free(owners->items);
	*owners = (struct endpoint_owners){};
}

/* An owner, and its precedence among those of the same endpoint. */
struct candidate {
	struct endpoint_owner owner;
	size_t rank;
};

int underlay_remote_compare(const struct underlay_remote *a, const struct underlay_remote *b)
{
	return memcmp(a, b, sizeof(*a));
}

static int compare_candidates(const void *a, const void *b)
{
	const struct candidate *one = a, *two = b;
	int order = underlay_remote_compare(&one->owner.remote, &two->owner.remote);

	return order ? order : (one->rank > two->rank) - (one->rank < two->rank);
}

static int compare_owners(const void *a, const void *b)
{
	return underlay_remote_compare(&((const struct endpoint_owner *)a)->remote,
				       &((const struct endpoint_owner *)b)->remote);
}

/* list: the peers' numbers are those in it. */
static size_t add_candidates(const struct wg_peers *peers, const struct wg_peers *list,
			     struct candidate *candidates, size_t n)
{
	for (size_t i = 0; i < peers->n; i++) {
		const struct wg_peer *peer = &peers->items[i], *listed;

		if (!peer->endpoint.address.family)
			continue;
		listed = wg_peers_find(list, peer->public_key);
		candidates[n].owner = (struct endpoint_owner){
			.remote = underlay_remote_of(peer),
			.tailnet = wg_peer_tailnet_address(peer),
			.peer = listed ? (size_t)(listed - list->items) : OWNER_GONE,
		};
		candidates[n].rank = n;
		n++;
	}
	return n;
}

int endpoint_owners_make(const struct wg_peers *before, const struct wg_peers *after,
			 struct endpoint_owners *ret_owners)
{
	size_t n = before->n + (after ? after->n : 0), kept = 0;
	bool any_shared = false;
	_cleanup_free_ struct candidate *candidates = calloc(n + 1, sizeof(*candidates));
	struct endpoint_owner *items = calloc(n + 1, sizeof(*items));

	if (!candidates || !items) {
		free(items);
		return -ENOMEM;
	}
	n = after ? add_candidates(after, after, candidates, 0) : 0;
	n = add_candidates(before, after ? after : before, candidates, n);
	qsort(candidates, n, sizeof(*candidates), compare_candidates);
	for (size_t i = 0; i < n; i++) {
		const struct endpoint_owner *owner = &candidates[i].owner;

		if (kept == 0 || compare_owners(&items[kept - 1], owner) != 0)
			items[kept++] = *owner;
		else if (owner->peer != items[kept - 1].peer && owner->peer != OWNER_GONE)
			items[kept - 1].shared = any_shared = true;
	}
	*ret_owners = (struct endpoint_owners){items, kept, any_shared};
	return 0;
}

const struct endpoint_owner *endpoint_owners_find(const struct endpoint_owners *owners,
						  const struct underlay_remote *remote)
{
	struct endpoint_owner wanted = {.remote = *remote};
	const struct endpoint_owner *found = NULL;

	if (owners->n)
		found = bsearch(&wanted, owners->items, owners->n, sizeof(wanted), compare_owners);
	if (found || !remote->link)
		return found;
	wanted.remote.link = 0;
	return endpoint_owners_find(owners, &wanted.remote);
}

struct underlay_remote underlay_remote_of(const struct wg_peer *peer)
{
	const struct endpoint *endpoint = &peer->endpoint;
	struct underlay_remote remote = {
		.family = endpoint->address.family, .port = htons(endpoint->port), .link = peer->link};

	memcpy(remote.address, endpoint->address.bytes, sizeof(remote.address));
	return remote;
}

struct address underlay_words_address(const __u32 words[static 4], unsigned int family)
{
	switch (family) {
	case 4:
		return address_ipv4((const uint8_t *)words);
	case 6:
		return address_ipv6((const uint8_t *)words);
	}
	return (struct address){};
}

struct endpoint underlay_remote_endpoint(const struct underlay_remote *remote)
{
	return (struct endpoint){.address = underlay_words_address(remote->address, remote->family),
				 .port = ntohs(remote->port)};
}
