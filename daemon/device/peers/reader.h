/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * Reads the peers of a WireGuard interface, from the socket of a userspace implementation or from the
 * kernel's generic netlink family.
 *
 * Both send private and preshared keys with everything else. Every buffer is wiped as soon as it has been
 * read, and the keys are kept nowhere.
 */

#include "common/cleanup.h"
#include "daemon/device/peers/peers.h"

/* For one reading; in a dump from the kernel, for each part of it. */
#define WG_READER_TIMEOUT_MS 1000

struct wg_reader;

/*
 * Finds out who serves the interface: the kernel if it is of that kind, else the userspace socket of its
 * name. If netlogd may not connect to the socket, it asks the broker that listens on this path (broker.h;
 * NULL: none). 0; -ENODEV when there is no interface or no socket (yet); -EPERM or -EACCES without permission
 * to ask; -EXDEV or -ESRCH when the socket is another namespace's, or nobody can tell (owner.h).
 */
int wg_reader_new(const char *interface, const char *broker, struct wg_reader **ret_reader);
/* The same without a look at the interface, for tests: the socket is in this folder instead of
 * /var/run/wireguard. */
int wg_reader_new_userspace(const char *folder, const char *broker, const char *interface,
			    struct wg_reader **ret_reader);
void wg_reader_free(struct wg_reader *reader);
DEFINE_CLEANUP(struct wg_reader *, wg_reader_free);

/* Whether a process serves it, and not the kernel. */
bool wg_reader_is_userspace(const struct wg_reader *reader);

/* "generic netlink", or the socket's path, followed by " by the broker" if the last reading came from there.
 * Owned by the reader. */
const char *wg_reader_source(struct wg_reader *reader);

/*
 * Reads all peers within WG_READER_TIMEOUT_MS (see there). A dump that was interrupted by a change is
 * repeated up to three times. 0, -ENODEV when the interface has gone, -ETIMEDOUT, -EBADMSG, or another
 * -errno; *ret_peers is untouched on failure.
 */
int wg_reader_read(struct wg_reader *reader, struct wg_peers *ret_peers);
