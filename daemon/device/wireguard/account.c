/* SPDX-License-Identifier: BSD-3-Clause */
/* The state of each peer is small, and stored in an array parallel to the sorted list of peers. */

#include "daemon/device/wireguard/account.h"

#include "common/time_text.h"

#include <assert.h>
#include <errno.h>
#include <nettle/base64.h>
#include <stdio.h>
#include <string.h>

#define SILENT_AFTER (WG_SILENT_AFTER_SECONDS * NSEC_PER_SEC)

struct peer_state {
	struct endpoint endpoint; /* the last one known */
	int64_t last_received;	  /* boot time, ns */
	bool active;
	struct wg_balance balance;
};

struct peer_event {
	enum device_event_type type;
	uint8_t public_key[WG_PEERS_KEY_SIZE];
	struct address address;
	struct endpoint endpoint, from; /* from: where it was before it moved */
	int64_t last_handshake;
};

struct wg_account {
	struct wg_peers peers;
	struct peer_state *states; /* one for each */
	struct peer_event events[WG_EVENTS_MAX];
	size_t n_events;
	uint64_t events_dropped;
};

int wg_account_new(struct wg_account **ret_account)
{
	struct wg_account *account = calloc(1, sizeof(*account));

	if (!account)
		return -ENOMEM;
	*ret_account = account;
	return 0;
}

void wg_account_free(struct wg_account *account)
{
	if (!account)
		return;
	wg_peers_deinit(&account->peers);
	free(account->states);
	free(account);
}

const struct wg_peers *wg_account_peers(const struct wg_account *account)
{
	return &account->peers;
}

struct wg_balance *wg_account_balance(struct wg_account *account, size_t number)
{
	return &account->states[number].balance;
}

void wg_peer_id(const uint8_t public_key[static WG_PEERS_KEY_SIZE], char ret_id[static WG_PEER_ID_MAX])
{
	static_assert(BASE64_ENCODE_RAW_LENGTH(WG_PEERS_KEY_SIZE) == WG_PEER_ID_MAX - 1, "room for a key");

	base64_encode_raw(ret_id, WG_PEERS_KEY_SIZE, public_key);
	ret_id[WG_PEER_ID_MAX - 1] = '\0';
}

void wg_peer_name(const struct wg_peer *peer, char ret_name[static WG_PEER_NAME_MAX])
{
	static_assert(WG_PEER_ID_MAX <= WG_PEER_NAME_MAX, "room for a key");
	struct address address = wg_peer_tailnet_address(peer);

	if (!address_format(&address, ret_name))
		wg_peer_id(peer->public_key, ret_name);
}

/* --- events --- */

static void add_event(struct wg_account *account, enum device_event_type type, const struct wg_peer *peer,
		      const struct endpoint *from)
{
	struct peer_event *event;

	if (account->n_events == WG_EVENTS_MAX) {
		++account->events_dropped;
		return;
	}
	event = &account->events[account->n_events++];
	*event = (struct peer_event){
		.type = type,
		.address = wg_peer_tailnet_address(peer),
		.endpoint = peer->endpoint,
		.last_handshake = peer->last_handshake,
	};
	memcpy(event->public_key, peer->public_key, sizeof(event->public_key));
	if (from)
		event->from = *from;
}

static enum device_path path_of(const struct endpoint *endpoint)
{
	return endpoint->address.family ? DEVICE_PATH_DIRECT : DEVICE_PATH_UNKNOWN;
}

const char *wg_peer_names(const uint8_t public_key[static WG_PEERS_KEY_SIZE], const struct wg_names *names,
			  char ret_id[static WG_PEER_ID_MAX], char ret_short[static DEVICE_PEER_SHORT + 1])
{
	const char *name = names ? wg_names_find(names, public_key) : NULL;

	wg_peer_id(public_key, ret_id);
	memcpy(ret_short, ret_id, DEVICE_PEER_SHORT);
	ret_short[DEVICE_PEER_SHORT] = '\0';
	return name ? name : ret_short;
}

void wg_account_events(struct wg_account *account, const struct wg_names *names,
		       void (*event)(const struct device_event *event, void *userdata), void *userdata)
{
	for (size_t i = 0; i < account->n_events; ++i) {
		const struct peer_event *noted = &account->events[i];
		char id[WG_PEER_ID_MAX], short_name[DEVICE_PEER_SHORT + 1];
		const char *name = wg_peer_names(noted->public_key, names, id, short_name);

		event(&(struct device_event){.type = noted->type,
					     .id = id,
					     .name = name,
					     .named = name != short_name,
					     .public_key = noted->public_key,
					     .address = noted->address,
					     .path = path_of(&noted->endpoint),
					     .endpoint = noted->endpoint,
					     .from_path = path_of(&noted->from),
					     .from_endpoint = noted->from,
					     .last_handshake = noted->last_handshake},
		      userdata);
	}
	account->n_events = 0;
	if (account->events_dropped)
		event(&(struct device_event){.type = DEVICE_EVENT_OMITTED, .n = account->events_dropped},
		      userdata);
	account->events_dropped = 0;
}

static void note_events(struct wg_account *account, const struct wg_peer *peer, struct peer_state *state,
			bool received, int64_t now_boot)
{
	bool was_active = state->active;

	if (received)
		state->last_received = now_boot;
	state->active = received || (was_active && now_boot - state->last_received < SILENT_AFTER);
	if (state->active && !was_active)
		add_event(account, DEVICE_EVENT_PEER_ACTIVE, peer, NULL);
	else if (peer->endpoint.address.family && state->endpoint.address.family &&
		 endpoint_compare(&peer->endpoint, &state->endpoint) != 0)
		add_event(account, DEVICE_EVENT_PEER_MOVED, peer, &state->endpoint);
	if (!state->active && was_active)
		add_event(account, DEVICE_EVENT_PEER_SILENT, peer, NULL);
	if (peer->endpoint.address.family)
		state->endpoint = peer->endpoint;
}

/* --- counting --- */

static void take(struct wg_account *account, struct wg_peers *peers, struct peer_state *states)
{
	wg_peers_deinit(&account->peers);
	account->peers = *peers;
	*peers = (struct wg_peers){};
	free(account->states);
	account->states = states;
}

int wg_account_baseline(struct wg_account *account, struct wg_peers *peers, int64_t now_wall,
			int64_t now_boot)
{
	struct peer_state *states = calloc(peers->n + 1, sizeof(*states));

	if (!states)
		return -ENOMEM;
	for (size_t i = 0; i < peers->n; ++i) {
		const struct wg_peer *peer = &peers->items[i];
		int64_t age = now_wall - peer->last_handshake;

		states[i].endpoint = peer->endpoint;
		/* A handshake in the future (the clock was wrong) has age 0. */
		if (peer->last_handshake && age < SILENT_AFTER) {
			states[i].active = true;
			states[i].last_received = now_boot - MAX(age, 0);
		}
	}
	take(account, peers, states);
	return 0;
}

/*
 * Whether the peer was removed and added again: both of its counters have begun at zero then. One of them may
 * have passed its old value since, or both, but a peer never forgets a handshake.
 */
static bool is_new(const struct wg_peer *peer, const struct wg_peer *old)
{
	return peer->tx_bytes < old->tx_bytes || peer->rx_bytes < old->rx_bytes ||
	       (old->last_handshake && !peer->last_handshake);
}

/* A list that changed while it was read may lack peers that still exist. */
int wg_account_complete(const struct wg_account *account, struct wg_peers *peers)
{
	size_t n = peers->n;

	if (!peers->interrupted)
		return 0;
	for (size_t i = 0; i < account->peers.n; ++i) {
		struct wg_peer *old = &account->peers.items[i], *peer;
		struct wg_peers before = {.items = peers->items, .n = n};
		int r = 0;

		if (wg_peers_find(&before, old->public_key))
			continue;
		peer = wg_peers_add(peers, &r);
		if (!peer)
			return r;
		*peer = *old;
		peer->allowed_ips = (struct prefix_list){};
		r = prefix_list_copy(&old->allowed_ips, &peer->allowed_ips);
		if (r < 0)
			return r;
	}
	wg_peers_sort(peers);
	return 0;
}

int wg_account_step(struct wg_account *account, struct wg_peers *peers, int64_t now_boot,
		    int (*change)(const struct wg_change *change, void *userdata), void *userdata)
{
	struct peer_state *states;
	int r = wg_account_complete(account, peers);

	if (r < 0)
		return r;
	states = calloc(peers->n + 1, sizeof(*states));
	if (!states)
		return -ENOMEM;
	for (size_t i = 0; i < peers->n; ++i) {
		const struct wg_peer *peer = &peers->items[i];
		const struct wg_peer *old = wg_peers_find(&account->peers, peer->public_key);
		struct wg_change moved = {
			.number = i,
			.peer = peer,
			.before = old,
			.tx_bytes = peer->tx_bytes,
			.rx_bytes = peer->rx_bytes,
			.balance = &states[i].balance,
		};
		int changed;

		if (old) {
			states[i] = account->states[old - account->peers.items];
		}
		if (old && !is_new(peer, old)) {
			moved.tx_bytes -= old->tx_bytes;
			moved.rx_bytes -= old->rx_bytes;
		}
		note_events(account, peer, &states[i], moved.rx_bytes > 0, now_boot);
		moved.endpoint = states[i].endpoint;
		changed = change(&moved, userdata);
		r = r < 0 ? r : changed;
	}
	take(account, peers, states);
	return r;
}
