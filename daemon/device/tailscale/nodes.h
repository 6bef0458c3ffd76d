/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * The nodes of a tailnet as this one sees them: who they are, and how far their counters had moved. A node is
 * known by its node key, which is also the key of its WireGuard session: a node that gets another one begins
 * with counters at zero. Those that have gone are remembered for a while, so that one that comes back goes on
 * from its last reading.
 */

#include "common/address.h"
#include "common/cleanup.h"
#include "daemon/device/device.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TAILSCALE_VIA_MAX 32

struct tailscale_node {
	char *key; /* "": the node itself */
	bool self;
	uint8_t public_key[DEVICE_PEER_KEY_SIZE];
	bool has_public_key;
	char *id, *name; /* never NULL */
	bool named;
	char *os, *user;
	char **tags;
	struct prefix_list addresses, allowed_ips;

	/* As last read. */
	bool here;
	bool has_tx, has_rx;
	uint64_t tx, rx;
	enum device_path path;
	struct endpoint endpoint;
	char via[TAILSCALE_VIA_MAX];
	unsigned int region;
	int64_t last_handshake, last_seen; /* wall */

	uint32_t slot;	     /* its number, if that has this node */
	uint64_t generation; /* of the whole reading in which it was */
	int64_t gone;	     /* boot time, if it is not here */

	/* Of the account. */
	uint64_t last_tx, last_rx;
	struct counts due; /* not handed over yet */
	bool active;
	int64_t received; /* boot time of the last reading that showed something received; 0: none */
	int64_t received_wall;
	enum device_path used_path; /* when it last had traffic */
	struct endpoint used_endpoint;
	char used_via[TAILSCALE_VIA_MAX];
};

struct tailscale_nodes;

/* 0 or -ENOMEM. */
int tailscale_nodes_new(struct tailscale_nodes **ret_nodes);
void tailscale_nodes_free(struct tailscale_nodes *nodes);
DEFINE_CLEANUP(struct tailscale_nodes *, tailscale_nodes_free);

size_t tailscale_nodes_count(const struct tailscale_nodes *nodes);
/* Pointers stay valid until tailscale_nodes_forget(). */
struct tailscale_node *tailscale_nodes_get(const struct tailscale_nodes *nodes, size_t i);
/* The node with this key, which is made if there is none. NULL without memory. */
struct tailscale_node *tailscale_nodes_find(struct tailscale_nodes *nodes, const char *key);
/* Frees those that went before this time, and all that have gone if there are too many. */
void tailscale_nodes_forget(struct tailscale_nodes *nodes, int64_t before_boot);
