/* SPDX-License-Identifier: BSD-3-Clause */
/* Two numbers a peer, one for each direction. */

#include "daemon/device/wireguard/balance.h"

#include "common/cleanup.h"

const char *wg_unseen_name(enum wg_unseen cause)
{
	static const char *const names[N_WG_UNSEEN] = {
		[WG_SEEN] = "",
		[WG_UNSEEN_SHARED] = "shared",
		[WG_UNSEEN_DEVICE] = "device",
		[WG_UNSEEN_ROUTE] = "route",
		[WG_UNSEEN_PORT] = "port",
		[WG_UNSEEN_ENDPOINT] = "endpoint",
		[WG_UNSEEN_NEW] = "new-device",
		[WG_UNSEEN_OTHER] = "other",
	};

	return names[cause];
}

/* balance + more - less, within +-COUNT_MAX. */
static int64_t moved(int64_t balance, uint64_t more, uint64_t less)
{
	const int64_t max = (int64_t)COUNT_MAX;
	int64_t change = (int64_t)MIN(more, COUNT_MAX) - (int64_t)MIN(less, COUNT_MAX), sum;

	if (__builtin_add_overflow(balance, change, &sum))
		return change > 0 ? max : -max;
	return sum;
}

void wg_balance_add(struct wg_balance *balance, const struct wg_traffic *traffic)
{
	balance->tx = moved(balance->tx, traffic->tunnel_tx, traffic->shown.tx_bytes);
	balance->rx = moved(balance->rx, traffic->tunnel_rx, traffic->shown.rx_bytes);
}

/* What `bytes` of these received ones are in datagrams, in proportion; all of the bytes are all of them. */
static struct counts received_part(const struct counts *all, uint64_t bytes)
{
	struct counts part = {.rx_bytes = bytes};

	if (bytes >= all->rx_bytes)
		part.rx_packets = all->rx_packets;
	else
		part.rx_packets =
			(uint64_t)((double)all->rx_packets * (double)bytes / (double)all->rx_bytes + 0.5);
	part.rx_packets = MIN(part.rx_packets, all->rx_packets);
	return part;
}

void wg_balance_accept(struct wg_balance *balance, const struct wg_traffic *traffic,
		       struct wg_received *ret_received)
{
	ret_received->shown = traffic->shown;
	counts_add(&ret_received->shown, &balance->waiting);
	ret_received->refused = (struct counts){};
	balance->waiting = (struct counts){};
}

/* A counter of a peer that was removed and made again starts from zero. Then it also sent more than it has
 * counted, which no stranger can bring about. */
static bool counters_restarted(const struct wg_balance *balance, const struct wg_traffic *traffic)
{
	int64_t tx = moved(balance->tx, traffic->tunnel_tx, traffic->shown.tx_bytes);

	return tx < 0 && (uint64_t)-tx >= traffic->tunnel_tx;
}

void wg_balance_receive(struct wg_balance *balance, const struct wg_traffic *traffic, bool due, bool unseen,
			struct wg_received *ret_received)
{
	const struct counts *shown = &traffic->shown;
	/* What was logged before the tunnel counted it does not matter: all of that was the peer's. */
	uint64_t accepted = MIN(traffic->tunnel_rx, COUNT_MAX) + (uint64_t)MAX(balance->rx, 0);
	struct counts all = balance->waiting, kept, rest;

	if (counters_restarted(balance, traffic)) {
		wg_balance_accept(balance, traffic, ret_received);
		return;
	}
	counts_add(&all, &(struct counts){.rx_packets = shown->rx_packets, .rx_bytes = shown->rx_bytes});
	/* If it gets less than was shown, then that was not the peer's. */
	if (unseen && accepted < all.rx_bytes)
		accepted = 0;
	kept = received_part(&all, MIN(accepted, all.rx_bytes));
	rest = counts_difference(&all, &kept);
	balance->recent = MIN(balance->recent + shown->rx_bytes, COUNT_MAX);
	/* The tunnel takes the oldest first. */
	balance->waiting = received_part(&rest, due ? MIN(rest.rx_bytes, balance->recent) : rest.rx_bytes);
	if (due)
		balance->recent = 0;
	ret_received->refused = counts_difference(&rest, &balance->waiting);
	ret_received->shown =
		(struct counts){shown->tx_packets, shown->tx_bytes, kept.rx_packets, kept.rx_bytes};
}

bool wg_balance_is_ahead(const struct wg_balance *balance)
{
	return balance->tx > 0 || balance->rx > 0;
}

/* What the underlay's next window will not make up for. */
static uint64_t missing(int64_t balance, uint64_t to_come)
{
	return balance > 0 && (uint64_t)balance > to_come ? (uint64_t)balance - to_come : 0;
}

/* What it showed and the tunnel has not counted by the end of the next window was dropped. */
static int64_t carried(int64_t balance, uint64_t shown)
{
	return MAX(balance, -(int64_t)MIN(shown, COUNT_MAX));
}

void wg_balance_settle(struct wg_balance *balance, const struct wg_traffic *traffic,
		       const struct wg_evidence *evidence, struct counts *ret_missing)
{
	const struct counts *shown = &traffic->shown, *next = &evidence->next;
	/* Without a look at the next window all of this one's traffic may still be seen. */
	uint64_t tx = missing(balance->tx, evidence->settled ? next->tx_bytes : traffic->tunnel_tx);
	uint64_t rx = missing(balance->rx, evidence->settled ? next->rx_bytes : traffic->tunnel_rx);
	enum wg_unseen cause = evidence->cause;

	if (cause == WG_SEEN && rx > 0)
		cause = WG_UNSEEN_OTHER;
	if (cause == WG_SEEN && shown->tx_bytes == 0)
		cause = balance->unseen;
	if (cause == WG_SEEN) {
		/* Where something was seen to leave, what did not is of the past, or still to come. */
		if (shown->tx_bytes > 0)
			balance->tx = MIN(balance->tx, (int64_t)MIN(traffic->tunnel_tx, COUNT_MAX));
		tx = 0;
	}
	*ret_missing = (struct counts){.tx_bytes = tx, .rx_bytes = rx};
	balance->tx = carried(balance->tx - (int64_t)tx, shown->tx_bytes);
	balance->rx = carried(balance->rx - (int64_t)rx, shown->rx_bytes);
	if (tx || rx || shown->tx_bytes || shown->rx_bytes) {
		balance->unseen = tx || rx ? cause : WG_SEEN;
		balance->seen = shown->tx_bytes || shown->rx_bytes;
	}
}
