/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * The broker between the unprivileged daemon and a userspace WireGuard. Only root can connect to
 * wireguard-go's socket (mode 0700; changing that shuts the tunnel down), and any client of that socket can
 * reconfigure the tunnel and read its keys. The broker runs as root without capabilities, accepts a single
 * kind of request, and passes on only what netlogd needs: no line that contains a secret.
 *
 * A connection carries any number of requests, one after the other:
 *
 *     interface=wg0\n
 *     here=1\n            (may be left out)
 *     get=1\n
 *     \n
 *
 * Each is answered as in https://www.wireguard.com/xplatform/, less the lines that are filtered out. When the
 * tunnel cannot be asked, the answer is errno= alone.
 */

#include "common/buffer.h"
#include "daemon/device/peers/uapi_format.h"

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>

/* systemd listens here (packaging/systemd/netlogd-wg-broker.socket) and starts the broker. */
#define WG_BROKER_SOCKET "/run/netlogd-wg-broker.sock"

#define WG_BROKER_REQUEST_MAX 64

/* Whether this can be an interface's name, and is safe as part of a path. */
bool wg_broker_is_interface(const char *name);
/* Writes the request, NUL-terminated. */
void wg_broker_request(const char *interface, char ret_text[static WG_BROKER_REQUEST_MAX]);
/* The same with the line "here=1": if the socket of this name is not that of an interface in the client's
 * network namespace (owner.h), the answer is errno= EXDEV, or ESRCH when that cannot be told. */
void wg_broker_request_here(const char *interface, char ret_text[static WG_BROKER_REQUEST_MAX]);
/* Whether a request (valid) has that line. */
bool wg_broker_is_here(const char *text);
/* Reads a request (NUL-terminated). 0 or -EBADMSG. */
int wg_broker_parse_request(const char *text, char ret_interface[static IFNAMSIZ]);

/* An answer that passes through. Zero-initialise; wipe with wg_broker_filter_deinit(). */
struct wg_broker_filter {
	char line[UAPI_LINE_MAX];
	size_t length;
	bool done; /* the empty line at the end has passed */
};

void wg_broker_filter_deinit(struct wg_broker_filter *filter);
/* Appends the lines that may pass. 0, -EBADMSG for anything that is not such an answer, or -ENOMEM. */
int wg_broker_filter_feed(struct wg_broker_filter *filter, const char *data, size_t n, struct buffer *out);

/* Serves a connection until the client closes it: 0, or -errno after an invalid request, an incomplete answer
 * or a failed send. */
int wg_broker_serve(int client_fd, const char *folder);
