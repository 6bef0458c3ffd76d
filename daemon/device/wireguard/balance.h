/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * How far a peer's own counters in the tunnel are ahead of what the underlay showed and was logged for it.
 * What the underlay did not show is missing: it is logged with the tunnel's bytes. No I/O, so that every case
 * can be tested.
 *
 * The two do not stop at the same moment. A window ends on the underlay first, and the tunnel is asked a
 * moment later: what passed in between is in the tunnel's counters already, and in the underlay's next window
 * (which can be peeked at). And what the underlay has seen may wait for the tunnel a while before it is
 * counted there. So both are carried to the next window, but no further than the traffic of one.
 *
 * What a tunnel received has certainly arrived. That it sent something does not prove that it left: to a peer
 * on a link that is switched off it sends, but nothing leaves. So sent bytes are missing only where something
 * says why the underlay may not have shown them.
 *
 * A datagram that came from the peer's endpoint need not be the peer's: anybody can write its address on one.
 * Kernel WireGuard (update_rx_stats() in drivers/net/wireguard/receive.c) and wireguard-go (rxBytes in
 * device/receive.go) count what they have authenticated: data, keepalives and both messages of a handshake,
 * with all the bytes of the UDP payload; not cookies, duplicates, what belongs to no session, and what is
 * forged. So no more is logged as received from a peer than the tunnel has counted. The rest waits for
 * a window (of a second at least: a busy tunnel has queues), and is unknown if it is not counted then either.
 * How many datagrams that are nobody can say: as many as its share of the bytes.
 *
 * Where the tunnel's socket overflowed, what is missing from its counters was most likely the peer's own, and
 * is left with it.
 */

#include "common/connection.h"

#include <stdbool.h>
#include <stdint.h>

/* Why the underlay does not show a peer's datagrams, the surest first. */
enum wg_unseen {
	WG_SEEN,	    /* it does, or the peer had no traffic yet */
	WG_UNSEEN_SHARED,   /* another peer has the same endpoint */
	WG_UNSEEN_DEVICE,   /* the device to which its route leads cannot be watched */
	WG_UNSEEN_ROUTE,    /* no route leads to its endpoint */
	WG_UNSEEN_PORT,	    /* they leave by another port: redirected, or translated by NAT */
	WG_UNSEEN_ENDPOINT, /* its endpoint was not known when the window began */
	WG_UNSEEN_NEW,	    /* a device was not watched yet */
	WG_UNSEEN_OTHER,    /* not known */
	N_WG_UNSEEN,
};

/* "shared", "device", "route", "port", "endpoint", "new-device", "other" */
const char *wg_unseen_name(enum wg_unseen cause);

/* Of one peer. Zero-initialise. */
struct wg_balance {
	int64_t tx, rx;	       /* bytes: the tunnel's counters less what was logged */
	enum wg_unseen unseen; /* when it last had traffic */
	bool seen;	       /* the underlay showed at least a part of that */
	struct counts waiting; /* received on the underlay, and not counted by the tunnel yet; not logged */
	uint64_t recent;       /* bytes received on the underlay since the tunnel was last due */
};

/* One window's traffic of the peer; only bytes matter. */
struct wg_traffic {
	uint64_t tunnel_tx, tunnel_rx; /* what its counters moved by; 0 if they could not be read */
	struct counts shown;	       /* by the underlay, and logged */
};

/* What is to be logged other than it was shown. Only received counts. */
struct wg_received {
	struct counts shown;   /* of this window: less than was shown, or more, since some had waited */
	struct counts refused; /* unknown */
};

/*
 * Before wg_balance_add(), to which the result's `shown` goes: what the tunnel has accepted of what the
 * underlay showed. due: it has had its time for all that had come until the
 * last time it was. unseen: the peer's own datagrams are surely not among those that it showed.
 */
void wg_balance_receive(struct wg_balance *balance, const struct wg_traffic *traffic, bool due, bool unseen,
			struct wg_received *ret_received);

/* Without a comparison: all that was shown, and what had waited, is the peer's. */
void wg_balance_accept(struct wg_balance *balance, const struct wg_traffic *traffic,
		       struct wg_received *ret_received);

/* Takes a window into account. All that is to be done when the tunnel could not be read. */
void wg_balance_add(struct wg_balance *balance, const struct wg_traffic *traffic);

/* Whether the tunnel's counters are ahead: then wg_balance_settle() needs the rest. */
bool wg_balance_is_ahead(const struct wg_balance *balance);

/* What else is known of the window. */
struct wg_evidence {
	enum wg_unseen cause; /* why the underlay may not have shown all; WG_SEEN: nothing says so */
	bool settled;	      /* `next` has all that the underlay has seen since the window's end */
	struct counts next;
};

/*
 * After wg_balance_add() with the same traffic, when the tunnel was read: what is missing and to be logged,
 * in bytes and without packets.
 */
void wg_balance_settle(struct wg_balance *balance, const struct wg_traffic *traffic,
		       const struct wg_evidence *evidence, struct counts *ret_missing);
