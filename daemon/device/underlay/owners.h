/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* Which peer an endpoint belongs to, from the peers at a window's start and end. No I/O. */

#include "common/connection.h"
#include "daemon/bpf/physical_maps.h"
#include "daemon/device/peers/peers.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct endpoint_owner {
	struct underlay_remote remote;
	struct address tailnet; /* the peer's address in the tunnel */
	size_t peer; /* its place in the list that was made from; OWNER_GONE: it is only in `before` */
	bool shared; /* other peers of that list have this endpoint too: whose datagrams, nobody can say */
};

#define OWNER_GONE SIZE_MAX

/* Sorted by endpoint, each once. Zero-initialised is empty. */
struct endpoint_owners {
	struct endpoint_owner *items;
	size_t n;
	bool any_shared;
};

void endpoint_owners_deinit(struct endpoint_owners *owners);
/*
 * If both readings (sorted) have an owner for an endpoint, it is the later one's; of several peers at one
 * endpoint, the one with the lowest key. `after` may be NULL; then peers are numbered as in `before`. 0 or
 * -ENOMEM.
 */
int endpoint_owners_make(const struct wg_peers *before, const struct wg_peers *after,
			 struct endpoint_owners *ret_owners);
/* NULL: no peer's. Of a link-local endpoint, the owner on this link, else one whose link is not known. */
const struct endpoint_owner *endpoint_owners_find(const struct endpoint_owners *owners,
						  const struct underlay_remote *remote);

/* The kernel side's form of a peer's endpoint, of family 0 if it has none; and back. */
struct underlay_remote underlay_remote_of(const struct wg_peer *peer);
struct endpoint underlay_remote_endpoint(const struct underlay_remote *remote);
/* A total order. */
int underlay_remote_compare(const struct underlay_remote *a, const struct underlay_remote *b);
/* The address in these words, of family 4 or 6; none for other families. */
struct address underlay_words_address(const __u32 words[static 4], unsigned int family);
