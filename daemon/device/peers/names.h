/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* Names of WireGuard peers by public key: what a configuration file or the broker's answer is read into. */

#include "common/buffer.h"
#include "daemon/device/peers/peers.h"

/* Longer names are cut between characters; bytes of UTF-8. As long as a node's name may be. */
#define WG_NAME_MAX 256
/* What is beyond is left out, and `cut` is set. */
#define WG_NAMES_MAX	  (256 * 1024)
#define WG_NAMES_TEXT_MAX (4 * 1024 * 1024)

struct wg_name {
	uint8_t public_key[WG_PEERS_KEY_SIZE];
	uint32_t text; /* where it begins in the texts */
	uint32_t rank; /* of several names of one peer the highest wins, then the first */
};

/* Zero-initialised is empty. */
struct wg_names {
	struct wg_name *items; /* sorted by key after wg_names_sort() */
	size_t n;
	size_t allocated;
	struct buffer texts; /* each ends with a NUL */
	bool cut;	     /* there were more than have room */
};

void wg_names_deinit(struct wg_names *names);
#define _cleanup_wg_names_ _cleanup_(wg_names_deinit)

/*
 * Adds a name. Whatever could steer a terminal or is not UTF-8 becomes '?', blanks around it and dots at its
 * end are left out, and so is a name of which nothing remains. 0 or -ENOMEM.
 */
int wg_names_add(struct wg_names *names, const uint8_t *public_key, const char *text, unsigned int rank);
/* Makes it ready for wg_names_find(): sorted by key, one name for each. */
void wg_names_sort(struct wg_names *names);
/* NULL when the peer has none. Borrowed. */
const char *wg_names_find(const struct wg_names *names, const uint8_t *public_key);
const char *wg_names_text(const struct wg_names *names, size_t i);
bool wg_names_equal(const struct wg_names *a, const struct wg_names *b);
