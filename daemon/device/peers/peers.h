/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * The peers of a WireGuard interface as one reading found them. Two formats fill them in (uapi_format.h,
 * netlink_format.h); reader.h gets them from a real interface.
 */

#include "common/address.h"
#include "common/cleanup.h"

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WG_PEERS_KEY_SIZE 32
/* Longer lists are refused (-E2BIG). */
#define WG_PEERS_MAX		 (1024 * 1024)
#define WG_PEERS_ALLOWED_IPS_MAX (4 * 1024 * 1024)

struct wg_peer {
	uint8_t public_key[WG_PEERS_KEY_SIZE];
	struct endpoint endpoint; /* none: not known yet */
	/* Of a link-local endpoint: the index of the interface behind which it is; 0: not known. */
	unsigned int link;
	char zone[IFNAMSIZ]; /* its name, until a reader has looked up the index */
	uint64_t rx_bytes;   /* UDP payload, with handshakes and keepalives */
	uint64_t tx_bytes;
	int64_t last_handshake; /* wall clock, ns; 0: never */
	struct address own;	/* inside the tunnel, where its allowed IPs do not tell; none: not known */
	struct prefix_list allowed_ips;
};

/* Zero-initialised is empty. */
struct wg_peers {
	struct wg_peer *items; /* sorted by public key once a reading is complete */
	size_t n;
	size_t allocated;
	size_t n_allowed_ips; /* of all peers */
	uint16_t listen_port; /* 0: none */
	uint32_t fwmark;      /* 0: none */
	bool interrupted;     /* the list changed during every attempt to read it: a peer may be missing */
};

void wg_peers_deinit(struct wg_peers *peers);
#define _cleanup_wg_peers_ _cleanup_(wg_peers_deinit)

/*
 * Takes over the endpoint. An IPv4-mapped address is written as IPv4, since that is what its datagrams are; a
 * link-local one may be on the link of this index (0: not known).
 */
void wg_peer_set_endpoint(struct wg_peer *peer, const struct endpoint *endpoint, unsigned int link);

/* Appends an empty peer. NULL on failure, with -ENOMEM or -E2BIG in *ret_error. */
struct wg_peer *wg_peers_add(struct wg_peers *peers, int *ret_error);
/* 0, -ENOMEM or -E2BIG. */
int wg_peers_add_allowed_ip(struct wg_peers *peers, struct wg_peer *peer, const struct prefix *prefix);
/* Sorts by public key; of several peers with one key, one stays. */
void wg_peers_sort(struct wg_peers *peers);
/* The list must be sorted. NULL when the key is not in it. */
const struct wg_peer *wg_peers_find(const struct wg_peers *peers, const uint8_t *public_key);

/*
 * The peer's address inside the tunnel: its first single-address allowed IP (IPv4 before IPv6, lowest first),
 * else the address of its first allowed prefix in the same order, else `own`. A family of which it may send
 * everything (0.0.0.0/0, or the pieces that this is cut into: one of them begins at 0.0.0.0) says nothing of
 * its address.
 */
struct address wg_peer_tailnet_address(const struct wg_peer *peer);
/* Whether its allowed IPs tell none. */
bool wg_peer_is_without_address(const struct wg_peer *peer);
/* Of several addresses for the peers whose allowed IPs tell none: if there is one such peer, it has the first
 * that no other one may send from. */
void wg_peers_set_own(struct wg_peers *peers, const struct prefix_list *candidates);
/* Whether there is one such peer. */
bool wg_peers_lack_own(const struct wg_peers *peers);
