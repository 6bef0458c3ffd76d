/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * Names of peers in the comments of a WireGuard configuration (wg-quick(8), wg(8), "CONFIGURATION FILE
 * FORMAT"; systemd.netdev(5)). The format has no place for a name, so tools and people put it in a comment,
 * each in their own way. Directly before a [Peer] line, on it, or in its section, from the strongest to the
 * weakest:
 *
 *     # friendly_name = X		(prometheus_wireguard_exporter)
 *     # friendly_json = {"name":"X"}	(the same)
 *     # Name = X, # Name: X		(people; wireguard-ui)
 *     ### Client X, # Client: X, # BEGIN_PEER X, ### begin X ###	(installers)
 *     # X				(people)
 *
 * A comment directly before a [Peer] line belongs to that peer, any other one to the section that it is in.
 * Of several names the strongest wins, then the first.
 *
 * What looks like a setting (# AllowedIPs = ...), like a label (# Email: ...) or has anything that could be a
 * key is no name, and neither is anything of a section that was commented out. Text after a setting's value
 * is not looked at: people leave old keys there.
 *
 * The file holds private and preshared keys. Only the line at hand is in memory, and it is wiped after use.
 */

#include "daemon/device/peers/names.h"

/* Longer lines are skipped. */
#define CONF_NAMES_LINE_MAX 4096

enum conf_rank {
	CONF_RANK_NONE,
	CONF_RANK_PLAIN,
	CONF_RANK_CLIENT,
	CONF_RANK_NAME,
	CONF_RANK_JSON,
	CONF_RANK_FRIENDLY,
};

struct conf_name {
	enum conf_rank rank; /* CONF_RANK_NONE: there is none */
	char text[WG_NAME_MAX + 8];
};

/* A file as it is read. Zero-initialise; conf_names_deinit() wipes it. */
struct conf_names {
	char line[CONF_NAMES_LINE_MAX];
	size_t length;
	bool too_long; /* the line at hand */
	bool begun;    /* the first line has passed */

	struct conf_name block; /* the best of the comments since the last line that was none */
	bool block_muted;	/* they belong to a section that was commented out */

	bool in_peer;
	bool has_key;
	bool closed; /* comments do not belong to the section any more */
	bool gap;    /* it had an empty line: a comment without a label may be a heading */
	uint8_t public_key[WG_PEERS_KEY_SIZE];
	struct conf_name name; /* of the section */
};

void conf_names_deinit(struct conf_names *file);
/* Reads on. 0 or -ENOMEM. */
int conf_names_feed(struct conf_names *file, const char *data, size_t n, struct wg_names *names);
/* After the last byte: the last line, and the last section. Sorts the names. 0 or -ENOMEM. */
int conf_names_finish(struct conf_names *file, struct wg_names *names);
