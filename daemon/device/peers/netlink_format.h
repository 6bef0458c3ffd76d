/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* The kernel's answer to WG_CMD_GET_DEVICE, in generic netlink (linux/wireguard.h). */

#include "daemon/device/peers/peers.h"

#include <linux/netlink.h>

/*
 * Adds the peers of one message of a dump. The kernel splits a peer that does not fit: it continues in the
 * next message, under the same key. 0, -EBADMSG, -E2BIG or -ENOMEM.
 */
int wg_netlink_read(const struct nlmsghdr *message, struct wg_peers *peers);
