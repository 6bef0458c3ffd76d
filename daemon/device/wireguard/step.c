/* SPDX-License-Identifier: BSD-3-Clause */
/* One window of each peer: what the underlay showed of it, beside what the tunnel has counted. */

#include "daemon/device/wireguard/state.h"

#include "daemon/device/wireguard/socket_drops.h"

/* By what the tunnel's counters moved, or a part of that. */
static int add_tunnel_bytes(struct wireguard_step *step, const struct wg_change *change,
			    const struct counts *counts)
{
	struct connection connection = {
		.src.address = wg_peer_tailnet_address(change->peer),
		.dst = change->endpoint,
	};

	return counts_is_zero(counts) ? 0 : flows_add(&step->extraction->flows, &connection, counts);
}

static enum wg_unseen find_cause(const struct wireguard_step *step, const struct wg_change *change)
{
	const struct underlay_peer *shown = &step->sight->peers[change->number];
	const char *device;
	int error;

	if (shown->shared)
		return WG_UNSEEN_SHARED;
	switch (underlay_find_gap(step->wireguard->underlay, change->peer, &device, &error)) {
	case ATTACHMENTS_REFUSED:
		return WG_UNSEEN_DEVICE;
	case ATTACHMENTS_NO_ROUTE:
		return WG_UNSEEN_ROUTE;
	case ATTACHMENTS_NO_GAP:
		break;
	}
	if (shown->elsewhere)
		return WG_UNSEEN_PORT;
	if (!change->before || !change->before->endpoint.address.family)
		return WG_UNSEEN_ENDPOINT;
	return step->sight->grew || step->wireguard->bridged ? WG_UNSEEN_NEW : WG_SEEN;
}

static struct wg_evidence find_evidence(const struct wireguard_step *step, const struct wg_change *change)
{
	/* Once it is disabled nothing more is seen of a peer; a later reading of its tunnel has more. */
	struct wg_evidence evidence = {
		.cause = find_cause(step, change),
		.settled = step->sight->settled &&
			   (step->wireguard->device.enabled || step->wireguard->has_last ||
			    change->balance->unseen != WG_SEEN),
	};
	const struct wg_peer *now = change->peer, *before = change->before;
	struct underlay *underlay = step->wireguard->underlay;

	underlay_peek(underlay, step->sight, change->number, now, &evidence.next);
	if (before && (endpoint_compare(&before->endpoint, &now->endpoint) != 0 || before->link != now->link))
		underlay_peek(underlay, step->sight, change->number, before, &evidence.next);
	return evidence;
}

/* Takes what a peer received out of its entries, as far as they have it, and returns that. */
static struct counts take_from_entries(struct wireguard_step *step, const struct wg_change *change,
				       struct counts left)
{
	struct flows *flows = &step->extraction->flows;
	struct address tailnet = wg_peer_tailnet_address(change->peer);
	struct counts wanted = left;

	for (size_t i = 0; i < flows->n && (left.rx_bytes || left.rx_packets); i++) {
		struct flow *flow = &flows->items[i];
		struct counts part = {.rx_packets = MIN(left.rx_packets, flow->counts.rx_packets),
				      .rx_bytes = MIN(left.rx_bytes, flow->counts.rx_bytes)};

		if (address_compare(&flow->connection.src.address, &tailnet) != 0 ||
		    (endpoint_compare(&flow->connection.dst, &change->peer->endpoint) != 0 &&
		     endpoint_compare(&flow->connection.dst, &change->before->endpoint) != 0))
			continue;
		flow->counts = counts_difference(&flow->counts, &part);
		left = counts_difference(&left, &part);
		if (counts_is_zero(&flow->counts))
			*flow = flows->items[--flows->n];
	}
	return counts_difference(&wanted, &left);
}

static uint64_t sum_of(uint64_t a, uint64_t b)
{
	return MIN(a, COUNT_MAX) + MIN(b, COUNT_MAX);
}

/*
 * What waits or was refused may all have come while the tunnel's socket had no room. Then it stays with the
 * peer at once.
 */
static void take_overflow(struct wireguard *wireguard, struct wg_balance *balance,
			  struct wg_received *received)
{
	struct counts rest = balance->waiting;
	uint64_t first;

	counts_add(&rest, &received->refused);
	first = MIN(rest.rx_bytes, wireguard->overflow);
	if (rest.rx_bytes - first > wireguard->overflow_since)
		return;
	wireguard->overflow -= first;
	wireguard->overflow_since -= rest.rx_bytes - first;
	counts_add(&received->shown, &rest);
	balance->waiting = received->refused = (struct counts){};
}

/* What was taken for that, and the tunnel has counted after all. */
static void give_back_overflow(struct wireguard *wireguard, const struct wg_balance *balance,
			       const struct wg_traffic *traffic)
{
	uint64_t had = balance->waiting.rx_bytes + traffic->shown.rx_bytes;

	if (balance->rx < 0 && traffic->tunnel_rx > had)
		wireguard->overflow_since = sum_of(wireguard->overflow_since,
						   MIN(traffic->tunnel_rx - had, (uint64_t)-balance->rx));
}

/* Leaves in the peer's entries what the tunnel has accepted. The rest waits, or is unknown; what had waited
 * and is accepted now is added. */
static int take_received(struct wireguard_step *step, const struct wg_change *change,
			 struct wg_traffic *traffic)
{
	const struct underlay_peer *peer = &step->sight->peers[change->number];
	struct wg_balance *balance = change->balance;
	struct extraction *extraction = step->extraction;
	struct wg_received received;
	struct counts before = {.rx_packets = traffic->shown.rx_packets, .rx_bytes = traffic->shown.rx_bytes};
	struct counts after, same, less, more;
	bool unseen = traffic->shown.tx_bytes == 0 &&
		      (peer->elsewhere || (balance->unseen != WG_SEEN && !balance->seen));

	give_back_overflow(step->wireguard, balance, traffic);
	if (!step->wireguard->fresh && change->before && change->peer->rx_bytes >= change->before->rx_bytes)
		wg_balance_receive(balance, traffic, step->due, unseen, &received);
	else
		wg_balance_accept(balance, traffic, &received);
	take_overflow(step->wireguard, balance, &received);
	if (!step->wireguard->device.enabled) {
		/* There will be no other window. */
		counts_add(&received.refused, &balance->waiting);
		balance->waiting = (struct counts){};
	}
	step->wireguard->waiting += balance->waiting.rx_bytes;
	after = (struct counts){.rx_packets = received.shown.rx_packets, .rx_bytes = received.shown.rx_bytes};
	traffic->shown = received.shown;
	same = (struct counts){.rx_packets = MIN(before.rx_packets, after.rx_packets),
			       .rx_bytes = MIN(before.rx_bytes, after.rx_bytes)};
	less = counts_difference(&before, &same);
	more = counts_difference(&after, &same);
	if (!counts_is_zero(&less)) {
		less = take_from_entries(step, change, less);
		extraction->totals = counts_difference(&extraction->totals, &less);
	}
	counts_add(&extraction->totals, &more);
	counts_add(&extraction->totals, &received.refused);
	counts_add(&extraction->unknown, &received.refused);
	step->refused_rx += received.refused.rx_bytes;
	return add_tunnel_bytes(step, change, &more);
}

/*
 * Without an underlay, the tunnel's counters say it all, but for what an underlay that has been given up had
 * shown before the tunnel counted it: that is carried for a window.
 */
static void take_all(struct wg_balance *balance, const struct wg_traffic *traffic, bool bridged,
		     struct counts *ret_missing)
{
	int64_t tx = balance->tx, rx = balance->rx;

	/* Of what was sent long before, nothing proves that it left. */
	if (!bridged)
		tx = MIN(tx, (int64_t)MIN(traffic->tunnel_tx, COUNT_MAX));
	*ret_missing = (struct counts){.tx_bytes = (uint64_t)MAX(tx, 0), .rx_bytes = (uint64_t)MAX(rx, 0)};
	*balance = (struct wg_balance){
		.tx = MAX(MIN(tx, 0), -(int64_t)MIN(traffic->shown.tx_bytes, COUNT_MAX)),
		.rx = MAX(MIN(rx, 0), -(int64_t)MIN(traffic->shown.rx_bytes, COUNT_MAX)),
	};
}

/*
 * What is missing may be among the unknown, and then it is taken from there. Sent: nobody but the tunnel
 * sends from its port, and only to its peers. Received: only where the peer was at an endpoint that is not
 * known to be its own, since strangers' datagrams are there too.
 */
static struct counts take_from_unknown(struct wireguard_step *step, const struct wg_change *change,
				       const struct counts *missing, bool shared)
{
	struct counts *unknown = &step->extraction->unknown, found = {};
	bool elsewhere = shared || !change->before ||
			 endpoint_compare(&change->before->endpoint, &change->peer->endpoint) != 0;

	found.tx_bytes = MIN(missing->tx_bytes, unknown->tx_bytes);
	if (elsewhere || found.tx_bytes > 0)
		found.rx_bytes =
			MIN(missing->rx_bytes, unknown->rx_bytes - MIN(unknown->rx_bytes, step->refused_rx));
	*unknown = counts_difference(unknown, &found);
	step->found_rx += found.rx_bytes;
	return found;
}

int wireguard_take_change(const struct wg_change *change, void *userdata)
{
	struct wireguard_step *step = userdata;
	struct wg_traffic traffic = {.tunnel_tx = change->tx_bytes, .tunnel_rx = change->rx_bytes};
	struct wg_evidence evidence = {};
	struct counts missing, found = {};
	int r;

	step->tunnel_rx += change->rx_bytes;
	if (step->sight->peers)
		traffic.shown = step->sight->peers[change->number].counts;
	if (step->drained && step->wireguard->underlay) {
		r = take_received(step, change, &traffic);
		if (r < 0)
			return r;
	}
	wg_balance_add(change->balance, &traffic);
	if (!step->drained)
		return 0;
	if (!step->wireguard->underlay || step->wireguard->retiring) {
		take_all(change->balance, &traffic, step->wireguard->bridged > 0, &missing);
		r = add_tunnel_bytes(step, change, &missing);
		if (r < 0 || !step->wireguard->underlay)
			return r;
	} else {
		if (wg_balance_is_ahead(change->balance))
			evidence = find_evidence(step, change);
		wg_balance_settle(change->balance, &traffic, &evidence, &missing);
		r = add_tunnel_bytes(step, change, &missing);
		if (r < 0)
			return r;
		found = take_from_unknown(step, change, &missing, evidence.cause == WG_UNSEEN_SHARED);
	}
	counts_add(&step->extraction->unseen, &missing);
	missing = counts_difference(&missing, &found);
	counts_add(&step->extraction->totals, &missing);
	return 0;
}

void wireguard_note_unread(struct wireguard *wireguard, const struct underlay_sight *sight)
{
	for (size_t i = 0; sight->peers && i < wg_account_peers(wireguard->account)->n; i++) {
		struct wg_traffic traffic = {.shown = sight->peers[i].counts};

		wg_balance_add(wg_account_balance(wireguard->account, i), &traffic);
	}
}

void wireguard_note_overflow(struct wireguard *wireguard, const struct underlay_sight *sight, bool due)
{
	uint64_t drops = socket_drops_read(), before = wireguard->socket_drops, more;
	uint64_t largest = MAX(sight->largest, wireguard->largest);

	if (drops == UINT64_MAX)
		drops = before;
	if (__builtin_mul_overflow(drops - MIN(before, drops), largest, &more))
		more = COUNT_MAX;
	/* What does not wait any more was counted. The drops are read later than the window ended, so those
	 * that were added last may be in the next one. */
	if (due) {
		wireguard->overflow =
			sum_of(MIN(wireguard->overflow, wireguard->waiting), wireguard->overflow_since);
		wireguard->overflow_since = 0;
	}
	wireguard->overflow_since = sum_of(wireguard->overflow_since, more);
	wireguard->largest = sight->largest;
	wireguard->socket_drops = drops;
}
