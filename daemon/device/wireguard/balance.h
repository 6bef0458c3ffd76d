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
};

/* One window's traffic of the peer; only bytes matter. */
struct wg_traffic {
	uint64_t tunnel_tx, tunnel_rx; /* what its counters moved by; 0 if they could not be read */
	struct counts shown;	       /* by the underlay, and logged */
};

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
