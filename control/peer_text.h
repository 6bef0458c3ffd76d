/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* Peers of the tunnel (PeerStatus of the control interface) for people: their names, where they are, how they
 * are, and in which order. Members that an older daemon does not send make empty texts. */

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PEER_TEXT_MAX 320

/* Its name; without one the first eight characters of its ID, or its first address. */
const char *peer_name(const json_t *peer, char ret_text[static PEER_TEXT_MAX]);
/* "direct", "DERP fra", "relay"; "" if it is not known. */
const char *peer_path(const json_t *peer, char ret_text[static PEER_TEXT_MAX]);
/* Where it is, as a text for a line: "direct, 192.0.2.2:51820", "DERP fra"; "" if it is not known. before:
 * where it was before it moved. */
const char *peer_place(const json_t *peer, bool before, char ret_text[static PEER_TEXT_MAX]);
/* The endpoint; "" for a DERP region, of which it says nothing. */
const char *peer_endpoint(const json_t *peer);
/* "active", "silent since 14:03", "never seen". now: wall clock, ns. */
const char *peer_state(const json_t *peer, int64_t now, char ret_text[static PEER_TEXT_MAX]);

/* Of the time zone: "14:03" of today, "11-26 14:03" of this year, else with the year. */
const char *local_time(int64_t time, int64_t now, char ret_text[static PEER_TEXT_MAX]);
/* When the bytes of today begin to count, as the first of the peers has it; 0: at midnight, or not known. */
int64_t peers_today_since(const json_t *peers, int64_t now);

/* Whether a word of the user's means this peer: its name, the first label of that, its ID or its beginning as
 * peer_name() shows it, its public key, one of its addresses. */
bool peer_is(const json_t *peer, const char *word);

/* The words that peers_sort() takes, for a message. */
#define PEERS_SORT_WORDS "active, name, seen, handshake, rate, today"
/* Sorts a list of them: "active" (those first, then by name), ... 0; -EINVAL: not such a word; -ENOMEM. */
int peers_sort(json_t *peers, const char *by);
