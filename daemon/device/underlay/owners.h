/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* Which peer an endpoint belongs to, from the peers at a window's start and end. No I/O. */

#include "common/connection.h"
#include "daemon/bpf/physical_maps.h"
#include "daemon/device/peers/peers.h"

#include <stddef.h>

struct endpoint_owner {
	struct endpoint endpoint;
	struct address tailnet; /* the peer's address in the tunnel */
};

/* Sorted by endpoint, each once. Zero-initialised is empty. */
struct endpoint_owners {
	struct endpoint_owner *items;
	size_t n;
};

void endpoint_owners_deinit(struct endpoint_owners *owners);
/* If both readings have an owner for an endpoint, it is the later one's; of several peers at one endpoint,
 * the one with the lowest key. `after` may be NULL. 0 or -ENOMEM. */
int endpoint_owners_make(const struct wg_peers *before, const struct wg_peers *after,
			 struct endpoint_owners *ret_owners);
/* NULL: no peer's. */
const struct endpoint_owner *endpoint_owners_find(const struct endpoint_owners *owners,
						  const struct endpoint *endpoint);

/* The kernel side's form of an endpoint, and back. */
struct underlay_remote underlay_remote_from(const struct endpoint *endpoint);
struct endpoint underlay_remote_endpoint(const struct underlay_remote *remote);
/* The address in these words, of family 4 or 6; none for other families. */
struct address underlay_words_address(const __u32 words[static 4], unsigned int family);
