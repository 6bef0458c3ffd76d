/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * The answer to /localapi/v0/status taken apart (ipnstate.Status): megabytes of it come in every window, and
 * most of it is as it was. So nothing is decoded here: each peer's members of interest are found, and hashed,
 * to see which have changed.
 */

#include "common/json_scan.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Members of an ipnstate.PeerStatus. Those before FIELDS_FIXED do not change with the traffic. */
enum status_field {
	FIELD_ID,
	FIELD_HOST_NAME,
	FIELD_DNS_NAME,
	FIELD_OS,
	FIELD_USER_ID,
	FIELD_TAILSCALE_IPS,
	FIELD_ALLOWED_IPS,
	FIELD_TAGS,
	FIELDS_FIXED,
	FIELD_CUR_ADDR = FIELDS_FIXED,
	FIELD_RELAY,
	FIELD_PEER_RELAY,
	FIELD_RX_BYTES,
	FIELD_TX_BYTES,
	FIELD_LAST_SEEN,
	FIELD_LAST_HANDSHAKE,
	N_STATUS_FIELDS,
};

struct status_peer {
	struct json_slice key;			   /* the node key as text; empty for the node itself */
	struct json_slice fields[N_STATUS_FIELDS]; /* their values as written; empty: missing */
	uint64_t fixed, moving;			   /* hashes of the fields of either kind */
};

/* Parts of the answer, borrowed from it. */
struct status_scan {
	struct json_slice backend_state, version, users; /* values as written; empty: missing */
	bool has_self;
	struct status_peer self;
	struct status_peer *peers;
	size_t n_peers, allocated;
	uint64_t skipped; /* peers beyond TAILSCALE_PEERS_MAX, and what is no peer */
};

void status_scan_deinit(struct status_scan *scan);

/*
 * 0; -EBADMSG when it is no JSON object or does not tell of the peers; or -ENOMEM. A member that is null or
 * of another type is as good as missing. But a list of peers that is missing does not say that there are
 * none: that is null, as tailscaled writes it.
 */
int status_scan(const char *text, size_t size, struct status_scan *ret_scan);
/* Empties it; what it has allocated stays for the next answer. */
void status_scan_reset(struct status_scan *scan);
