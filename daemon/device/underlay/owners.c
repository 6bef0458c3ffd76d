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

static int compare_candidates(const void *a, const void *b)
{
	const struct candidate *one = a, *two = b;
	int order = endpoint_compare(&one->owner.endpoint, &two->owner.endpoint);

	return order ? order : (one->rank > two->rank) - (one->rank < two->rank);
}

static int compare_owners(const void *a, const void *b)
{
	return endpoint_compare(&((const struct endpoint_owner *)a)->endpoint,
				&((const struct endpoint_owner *)b)->endpoint);
}

static size_t add_candidates(const struct wg_peers *peers, struct candidate *candidates, size_t n)
{
	for (size_t i = 0; i < peers->n; i++) {
		const struct wg_peer *peer = &peers->items[i];

		if (!peer->endpoint.address.family)
			continue;
		candidates[n].owner.endpoint = peer->endpoint;
		candidates[n].owner.tailnet = wg_peer_tailnet_address(peer);
		candidates[n].rank = n;
		n++;
	}
	return n;
}

int endpoint_owners_make(const struct wg_peers *before, const struct wg_peers *after,
			 struct endpoint_owners *ret_owners)
{
	size_t n = before->n + (after ? after->n : 0), kept = 0;
	_cleanup_free_ struct candidate *candidates = calloc(n + 1, sizeof(*candidates));
	struct endpoint_owner *items = calloc(n + 1, sizeof(*items));

	if (!candidates || !items) {
		free(items);
		return -ENOMEM;
	}
	n = after ? add_candidates(after, candidates, 0) : 0;
	n = add_candidates(before, candidates, n);
	qsort(candidates, n, sizeof(*candidates), compare_candidates);
	for (size_t i = 0; i < n; i++) {
		if (kept == 0 ||
		    endpoint_compare(&items[kept - 1].endpoint, &candidates[i].owner.endpoint) != 0)
			items[kept++] = candidates[i].owner;
	}
	*ret_owners = (struct endpoint_owners){items, kept};
	return 0;
}

const struct endpoint_owner *endpoint_owners_find(const struct endpoint_owners *owners,
						  const struct endpoint *endpoint)
{
	struct endpoint_owner wanted = {.endpoint = *endpoint};

	return owners->n ? bsearch(&wanted, owners->items, owners->n, sizeof(wanted), compare_owners) : NULL;
}

struct underlay_remote underlay_remote_from(const struct endpoint *endpoint)
{
	struct underlay_remote remote = {.family = endpoint->address.family, .port = htons(endpoint->port)};

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
