/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * From one reading of a WireGuard interface's peers to the next: what each peer's counters moved by, and what
 * changed about the peers. No I/O and no clock, so that every case can be tested.
 */

#include "common/connection.h"
#include "daemon/device/device.h"
#include "daemon/device/peers/names.h"
#include "daemon/device/peers/peers.h"
#include "daemon/device/wireguard/balance.h"

#include <stdint.h>

/* A peer from which nothing was received for this long is silent: a WireGuard session ends after 180 s
 * (REJECT_AFTER_TIME, https://www.wireguard.com/papers/wireguard.pdf, 6.1). */
#define WG_SILENT_AFTER_SECONDS 180
/* Events that are kept; beyond that they are only counted. */
#define WG_EVENTS_MAX 256

struct wg_account;

/* Empty, before the first reading. 0 or -ENOMEM. */
int wg_account_new(struct wg_account **ret_account);
void wg_account_free(struct wg_account *account);
DEFINE_CLEANUP(struct wg_account *, wg_account_free);

/*
 * The starting point: counters count from this reading. Peers that had a handshake within the last
 * WG_SILENT_AFTER_SECONDS (by now_wall, ns) count as active. Takes over the peers and leaves them empty.
 * 0 or -ENOMEM.
 */
int wg_account_baseline(struct wg_account *account, struct wg_peers *peers, int64_t now_wall,
			int64_t now_boot);

/* How far a peer's counters moved since the reading before: not at all, perhaps. */
struct wg_change {
	size_t number;		      /* in this reading */
	const struct wg_peer *peer;   /* as in this reading */
	const struct wg_peer *before; /* as in the one before it; NULL: a new peer */
	struct endpoint endpoint;     /* the current one, or else the last one known */
	uint64_t tx_bytes;
	uint64_t rx_bytes;
	struct wg_balance *balance; /* kept from one reading to the next */
};

/* Adds the peers of the last reading that an interrupted one lacks. wg_account_step() does it too. 0 or
 * -ENOMEM. */
int wg_account_complete(const struct wg_account *account, struct wg_peers *peers);

/*
 * Takes over the next reading (sorted), and calls back for each peer. The counters of a new peer count from
 * zero, and so do those of one that was removed and added again: as far as that shows, by a counter that went
 * backwards, or a last handshake that it has no more. What such a peer had moved before its
 * removal is in no reading. 0, -ENOMEM (before any callback), or the first error that a
 * callback returned, once all have been called.
 */
int wg_account_step(struct wg_account *account, struct wg_peers *peers, int64_t now_boot,
		    int (*change)(const struct wg_change *change, void *userdata), void *userdata);

/* The last reading. */
const struct wg_peers *wg_account_peers(const struct wg_account *account);
/* The balance of a peer of it. */
struct wg_balance *wg_account_balance(struct wg_account *account, size_t number);

#define WG_PEER_NAME_MAX ADDRESS_TEXT_MAX
/* Its address in the tunnel, or without one its public key in base64. */
void wg_peer_name(const struct wg_peer *peer, char ret_name[static WG_PEER_NAME_MAX]);

#define WG_PEER_ID_MAX 45 /* with the NUL */
/* Its public key in base64. */
void wg_peer_id(const uint8_t public_key[static WG_PEERS_KEY_SIZE], char ret_id[static WG_PEER_ID_MAX]);

/*
 * A peer's id, and its name: of those that are known (NULL: none), else the first characters of its id, in
 * ret_short. Borrowed.
 */
const char *wg_peer_names(const uint8_t public_key[static WG_PEERS_KEY_SIZE], const struct wg_names *names,
			  char ret_id[static WG_PEER_ID_MAX], char ret_short[static DEVICE_PEER_SHORT + 1]);

/* Calls back for each event since the last call, oldest first, and forgets them. names: NULL for none. */
void wg_account_events(struct wg_account *account, const struct wg_names *names,
		       void (*event)(const struct device_event *event, void *userdata), void *userdata);
