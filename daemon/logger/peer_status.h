/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* A peer as GetPeers shows it: what the device says of it, its node's name, and what is remembered of it. */

#include <jansson.h>

struct device_peer;
struct nodes;
struct peer_memory;

/* A PeerStatus. nodes may be NULL. Without memory members are missing, or all of it is NULL. */
json_t *peer_status(const struct device_peer *peer, const struct nodes *nodes,
		    const struct peer_memory *memory);
