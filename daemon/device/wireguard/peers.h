/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * The peers of a WireGuard interface, from whichever of the two can tell: the userspace implementations'
 * socket (https://www.wireguard.com/xplatform/) or the kernel's generic netlink family (linux/wireguard.h).
 *
 * Both hand out private and preshared keys with everything else, and cannot be asked not to. They are wiped
 * from every buffer as soon as it has been read, and kept nowhere.
 */

#include "common/address.h"
#include "common/cleanup.h"

#include <linux/netlink.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WG_PEERS_KEY_SIZE 32
/* More than these are not believed (-E2BIG). */
#define WG_PEERS_MAX		 (1024 * 1024)
#define WG_PEERS_ALLOWED_IPS_MAX (4 * 1024 * 1024)
/* Time for one reading, or in a dump of the kernel's for one part of it. */
#define WG_PEERS_TIMEOUT_MS 1000

struct wg_peer {
	uint8_t public_key[WG_PEERS_KEY_SIZE];
	struct endpoint endpoint; /* none: not known yet */
	uint64_t rx_bytes;	  /* UDP payload, with handshakes and keepalives */
	uint64_t tx_bytes;
	int64_t last_handshake; /* wall clock, ns; 0: never */
	struct prefix_list allowed_ips;
};

/* One reading of an interface. Zero-initialised is empty. */
struct wg_peers {
	struct wg_peer *items; /* sorted by public key once a reading is complete */
	size_t n;
	size_t allocated;
	size_t n_allowed_ips; /* of all peers */
	uint16_t listen_port; /* 0: none */
	uint32_t fwmark;      /* 0: none */
	bool interrupted;     /* the list changed while it was read, each time: a peer may be missing */
};

void wg_peers_deinit(struct wg_peers *peers);
#define _cleanup_wg_peers_ _cleanup_(wg_peers_deinit)

/* NULL if there is none. The list must be sorted. */
const struct wg_peer *wg_peers_find(const struct wg_peers *peers, const uint8_t *public_key);

/*
 * The peer's address inside the tunnel: its first single-address allowed IP (IPv4 before IPv6, lowest first),
 * else the address of its first allowed prefix in the same order, else none.
 */
struct address wg_peer_tailnet_address(const struct wg_peer *peer);

/* Sorts by public key; of equal ones one stays. */
void wg_peers_sort(struct wg_peers *peers);

/* --- The two formats: pure functions over bytes as they arrive. --- */

#define WG_TEXT_LINE_MAX 512
/* Of a userspace implementation: wireguard-go takes no more peers, the kernel takes all of WG_PEERS_MAX. */
#define WG_TEXT_PEERS_MAX	(64 * 1024)
#define WG_TEXT_ALLOWED_IPS_MAX (1024 * 1024)

/* Reads the answer to "get=1" piece by piece. Zero-initialise; wipe with wg_text_deinit(). */
struct wg_text {
	char line[WG_TEXT_LINE_MAX];
	size_t length;
	bool in_peer;
	bool done;     /* the empty line at the end was seen */
	int64_t error; /* errno= as the other side said it */
};

void wg_text_deinit(struct wg_text *text);
/* 0, -EBADMSG for what is no such answer, -E2BIG, -ENOMEM. */
int wg_text_feed(struct wg_text *text, const char *data, size_t n, struct wg_peers *peers);

/*
 * Adds what one message of a WG_CMD_GET_DEVICE dump holds; a peer that did not fit the one before goes on
 * here. 0, -EBADMSG, -E2BIG or -ENOMEM.
 */
int wg_netlink_read(const struct nlmsghdr *message, struct wg_peers *peers);

/* For both: one more peer, empty. NULL without memory or beyond the bound (*ret_error). */
struct wg_peer *wg_peers_add(struct wg_peers *peers, int *ret_error);
int wg_peers_add_allowed_ip(struct wg_peers *peers, struct wg_peer *peer, const struct prefix *prefix);

/* --- Reading an interface. --- */

struct wg_reader;

/*
 * Finds out who serves the interface: the userspace socket if it is there and answers, else the kernel. Where
 * the socket may not be connected to, the broker that listens on this path (wg_broker.h; NULL: none) is asked
 * to do it. 0; -ENODEV when neither knows the interface (yet); -EPERM or -EACCES when it may not be asked.
 */
int wg_reader_new(const char *interface, const char *broker, struct wg_reader **ret_reader);
/* As above with another folder than /var/run/wireguard, and without the kernel. */
int wg_reader_new_userspace(const char *folder, const char *broker, const char *interface,
			    struct wg_reader **ret_reader);
void wg_reader_free(struct wg_reader *reader);
DEFINE_CLEANUP(struct wg_reader *, wg_reader_free);

/* "generic netlink", or the socket's path, with " by the broker" if that was asked. Owned by the reader. */
const char *wg_reader_source(struct wg_reader *reader);

/*
 * Reads all peers, within WG_PEERS_TIMEOUT_MS (the kernel: each part of its dump). A dump that was
 * interrupted is read again, at most three times. 0, -ENODEV when the interface has gone, -ETIMEDOUT,
 * -EBADMSG, or another -errno; *ret_peers is untouched then.
 */
int wg_reader_read(struct wg_reader *reader, struct wg_peers *ret_peers);
