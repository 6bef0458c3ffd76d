/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * From one reading of a WireGuard interface's peers to the next: what each peer's counters moved by, and what
 * changed about the peers. No I/O and no clock, so that every case can be tried.
 */

#include "common/connection.h"
#include "daemon/device/wireguard/peers.h"

#include <stdint.h>

/* Without anything received for this long a peer is silent: a WireGuard session ends after 180 s
 * (REJECT_AFTER_TIME, https://www.wireguard.com/papers/wireguard.pdf, 6.1). */
#define WG_SILENT_AFTER_SECONDS 180
/* Events that wait to be told; the rest is counted and told as a number. */
#define WG_EVENTS_MAX 256

struct wg_account;

/* Before the first reading. 0 or -ENOMEM. */
int wg_account_new(struct wg_account **ret_account);
void wg_account_free(struct wg_account *account);
DEFINE_CLEANUP(struct wg_account *, wg_account_free);

/*
 * The starting point: counters from here on. Peers that had a handshake within the last
 * WG_SILENT_AFTER_SECONDS (by now_wall, ns) count as active. Takes the peers (which are empty then). 0 or
 * -ENOMEM.
 */
int wg_account_baseline(struct wg_account *account, struct wg_peers *peers, int64_t now_wall,
			int64_t now_boot);

/* A peer's bytes since the reading before; what moved, if anything. */
struct wg_change {
	const struct wg_peer *peer; /* as it is now */
	struct endpoint endpoint;   /* where it is now; if that is not known, where it was last */
	uint64_t tx_bytes;
	uint64_t rx_bytes;
};

/*
 * Takes the next reading (sorted), and calls back for each peer whose counters moved. A counter that went
 * backwards, and a new peer's, count from zero. 0, -ENOMEM (before anything was told), or what the callback
 * returned, first error, after all.
 */
int wg_account_step(struct wg_account *account, struct wg_peers *peers, int64_t now_boot,
		    int (*change)(const struct wg_change *change, void *userdata), void *userdata);

/* The last reading. */
const struct wg_peers *wg_account_peers(const struct wg_account *account);

/* Tells each event since the last call, oldest first, and forgets them. */
void wg_account_events(struct wg_account *account, void (*event)(const char *text, void *userdata),
		       void *userdata);
