/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* Whose endpoint it is: the peers of a window's start and end, by endpoint. */

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
/* Where both readings name an owner of an endpoint, the later one's counts; of several peers at one endpoint,
 * the one with the lowest key. `after` may be NULL. 0 or -ENOMEM. */
int endpoint_owners_make(const struct wg_peers *before, const struct wg_peers *after,
			 struct endpoint_owners *ret_owners);
/* NULL: nobody's. */
const struct endpoint_owner *endpoint_owners_find(const struct endpoint_owners *owners,
						  const struct endpoint *endpoint);

/* The kernel side's form of an endpoint, and back. */
struct underlay_remote underlay_remote_from(const struct endpoint *endpoint);
struct endpoint underlay_remote_endpoint(const struct underlay_remote *remote);
/* The address in four words, of a family; {} for zeros. */
struct address underlay_words_address(const __u32 words[static 4], unsigned int family);
