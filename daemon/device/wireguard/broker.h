/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * The broker between an unprivileged collector and a userspace WireGuard. wireguard-go's socket is root's
 * alone (mode 0700, and to change that shuts the tunnel down), and whoever may connect to it may also set up
 * the tunnel and read its keys. The broker runs as root without any capability, may be asked for one thing,
 * and answers with what netlogd needs: no line that holds a secret passes.
 *
 * A connection carries any number of requests, one after the other:
 *
 *     interface=wg0\n
 *     get=1\n
 *     \n
 *
 * and for each the answer of https://www.wireguard.com/xplatform/, less what is left out. When the tunnel
 * can't be asked, the answer is errno= alone.
 */

#include "common/buffer.h"
#include "daemon/device/wireguard/peers.h"

#include <net/if.h>

/* systemd listens there (packaging/systemd/netlogd-wg-broker.socket) and starts the broker. */
#define WG_BROKER_SOCKET "/run/netlogd-wg-broker.sock"

/* Where the userspace implementations' sockets are. */
#define WG_SOCKET_FOLDER "/var/run/wireguard"

#define WG_BROKER_REQUEST_MAX 64

/* Whether it can be an interface's name, and so be part of a path. */
bool wg_broker_is_interface(const char *name);
/* Writes the request, NUL-terminated. */
void wg_broker_request(const char *interface, char ret_text[static WG_BROKER_REQUEST_MAX]);
/* Reads a request (NUL-terminated). 0 or -EBADMSG. */
int wg_broker_parse_request(const char *text, char ret_interface[static IFNAMSIZ]);

/* An answer on its way through. Zero-initialise; wipe with wg_broker_filter_deinit(). */
struct wg_broker_filter {
	char line[WG_TEXT_LINE_MAX];
	size_t length;
	bool done; /* the empty line at the end has passed */
};

void wg_broker_filter_deinit(struct wg_broker_filter *filter);
/* Appends the lines that may pass. 0, -EBADMSG for what is no such answer, or -ENOMEM. */
int wg_broker_filter_feed(struct wg_broker_filter *filter, const char *data, size_t n, struct buffer *out);

/* Answers requests on a connection until it ends: 0, or -errno where the client made no sense or an answer
 * broke off. */
int wg_broker_serve(int client_fd, const char *folder);
