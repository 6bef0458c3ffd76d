/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * The broker between the unprivileged daemon and what only root can read of a WireGuard tunnel: the socket of
 * a userspace implementation (wireguard-go's has mode 0700; changing that shuts the tunnel down), any client
 * of which can reconfigure the tunnel and read its keys, and the configuration file with the peers' names and
 * keys. The broker runs as root without capabilities, accepts two kinds of requests, and passes on only what
 * netlogd needs: no line that contains a secret.
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
 *
 *     interface=wg0\n
 *     names=TOKEN\n       (of the last answer; or empty)
 *     \n
 *
 * asks for the peers' names in /etc/wireguard/wg0.conf. The interface decides which file that is; a request
 * has no place for a path. The answer is token=, then for each peer with a name public_key= (hex) and name=
 * (clean text, see names.h); or unchanged=1 in place of the peers, without a look into the file, when the
 * token is still the file's; at last errno=0. cut=1: there were more names than have room. When the file
 * cannot be read, the answer is errno= alone.
 */

#include "common/buffer.h"
#include "daemon/device/peers/names_file.h"
#include "daemon/device/peers/uapi_format.h"

#include <net/if.h>
#include <stdbool.h>
#include <stddef.h>

/* systemd listens here (packaging/systemd/netlogd-wg-broker.socket) and starts the broker. */
#define WG_BROKER_SOCKET "/run/netlogd-wg-broker.sock"

#define WG_BROKER_REQUEST_MAX 256

/* Whether this can be an interface's name, and is safe as part of a path. */
bool wg_broker_is_interface(const char *name);
/* Writes the request, NUL-terminated. */
void wg_broker_request(const char *interface, char ret_text[static WG_BROKER_REQUEST_MAX]);
/* The same with the line "here=1": if the socket of this name is not that of an interface in the client's
 * network namespace (owner.h), the answer is errno= EXDEV, or ESRCH when that cannot be told. */
void wg_broker_request_here(const char *interface, char ret_text[static WG_BROKER_REQUEST_MAX]);
/* Whether a request (valid) has that line. */
bool wg_broker_is_here(const char *text);
/* The request for names. */
void wg_broker_request_names(const char *interface, const char *token,
			     char ret_text[static WG_BROKER_REQUEST_MAX]);
/* The token of a request (valid) for names; false: it is for the peers. */
bool wg_broker_is_names(const char *text, char ret_token[static WG_NAMES_TOKEN_MAX]);
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

/* Where it looks; for tests these are others. */
struct wg_broker_folders {
	const char *sockets; /* WG_SOCKET_FOLDER */
	const char *names;   /* WG_NAMES_FOLDER */
};

/* Serves a connection until the client closes it: 0, or -errno after an invalid request, an incomplete answer
 * or a failed send. */
int wg_broker_serve(int client_fd, const struct wg_broker_folders *folders);
