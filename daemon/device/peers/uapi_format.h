/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * The configuration protocol of userspace WireGuard: the answer to "get=1", read as it arrives
 * (https://www.wireguard.com/xplatform/). It contains private and preshared keys, and there is no way to ask
 * for less.
 */

#include "daemon/device/peers/peers.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define UAPI_LINE_MAX 512
/* wireguard-go supports no more peers than this. Any program may own the socket, so it is trusted with less
 * than the kernel, which may send WG_PEERS_MAX. */
#define UAPI_PEERS_MAX	     (64 * 1024)
#define UAPI_ALLOWED_IPS_MAX (1024 * 1024)

/* An answer that is being read. Zero-initialise; wipe with uapi_answer_deinit(). */
struct uapi_answer {
	char line[UAPI_LINE_MAX];
	size_t length;
	bool in_peer;
	bool done;     /* the empty line at the end has been read */
	int64_t error; /* the other side's own errno=, as a positive number; 0: success */
};

void uapi_answer_deinit(struct uapi_answer *answer);
/* Reads the next piece; wipes each line once it is read, but not `data`. 0, -EBADMSG for anything that is not
 * such an answer, -E2BIG or -ENOMEM. */
int uapi_answer_feed(struct uapi_answer *answer, const char *data, size_t n, struct wg_peers *peers);
