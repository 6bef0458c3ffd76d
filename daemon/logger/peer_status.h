/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* A peer as GetPeers shows it: what the device says of it, its node's name, and what is remembered of it. */

struct buffer;
struct device_peer;
struct nodes;
struct peer_memory;

/* Appends a PeerStatus as JSON, in about 1 us, since the logger's thread waits for thousands of them. nodes
 * may be NULL. */
void peer_status_write(const struct device_peer *peer, const struct nodes *nodes,
		       const struct peer_memory *memory, struct buffer *text);
