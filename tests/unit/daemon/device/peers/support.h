/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* What a userspace WireGuard answers, and one that answers it. */

#include "daemon/device/peers/peers.h"
#include "tests/unit/scratch.h"

#include <pthread.h>
#include <stdbool.h>

#define KEY_A  "0101010101010101010101010101010101010101010101010101010101010101"
#define KEY_B  "0202020202020202020202020202020202020202020202020202020202020202"
#define SECRET "deadbeefdeadbeefdeadbeefdeadbeefdeadbeefdeadbeefdeadbeefdeadbeef"

/* An answer with two peers, and secrets. */
extern const char uapi_text[];
/* That these are its peers, sorted. */
void check_uapi_peers(const struct wg_peers *peers);

/* The socket of a userspace implementation, as wg0.sock in a folder of its own. Zero-initialise. */
struct tunnel {
	char folder[SCRATCH_MAX];
	char path[SCRATCH_MAX + 16];
	int listen_fd;
	const char *reply; /* to "get=1"; NULL: none, ever */
	bool trickle;	   /* lines without end after the reply */
	pthread_t thread;
};

void tunnel_start(struct tunnel *tunnel, const char *reply);
void tunnel_stop(struct tunnel *tunnel);
