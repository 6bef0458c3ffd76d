/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* What the files of the WireGuard device share; nobody else includes it. */

#include "common/buffer.h"
#include "daemon/device/device.h"
#include "daemon/device/peers/peers.h"
#include "daemon/device/underlay/underlay.h"
#include "daemon/device/wireguard/account.h"
#include "daemon/device/wireguard/balance.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Reasons that status can tell at once. */
#define UNSEEN_REASONS 8

struct wireguard {
	struct device device;
	char *interface;
	struct wg_reader *reader;
	struct wg_account *account;
	unsigned int ifindex;
	struct underlay *underlay; /* NULL: only the tunnel's own counters */
	bool underlay_named;	   /* the configuration names its devices */
	char *missing;		   /* why there is no underlay; or NULL */
	struct buffer reason;	   /* for device_info */
	uint64_t underlay_rx;	   /* bytes since it was enabled */
	uint64_t tunnel_rx;	   /* the same, but without those that the underlay did not show */
	struct wg_peers last;	   /* read when it was disabled; else empty */
	bool has_last;
	bool ended;		 /* disabled, and its last counts were not handed over yet */
	bool fresh;		 /* nothing has been extracted since it was enabled */
	unsigned int bridged;	 /* windows that may still log what passed before the underlay was watched */
	bool retiring;		 /* the underlay hands over its last counts, and then there is none */
	bool from_zero;		 /* all is to be logged that the tunnel has counted by the first start */
	bool blind;		 /* the underlay shows nothing of any peer that has traffic */
	uint64_t socket_drops;	 /* at the last extraction */
	uint64_t largest;	 /* received at once in the last window, bytes */
	uint64_t waiting;	 /* bytes of all peers that the tunnel may still count */
	int64_t due;		 /* when it was last to have counted what waited (boot time, ns) */
	uint64_t overflow;	 /* bytes that sockets had no room for, at most, of those that wait */
	uint64_t overflow_since; /* the same, since it was last due */
	struct unseen_peers unseen[UNSEEN_REASONS];
	size_t n_unseen;

	char link_name[IFNAMSIZ];      /* as the kernel calls it, and wg-quick its file */
	char *broker;		       /* where it listens */
	struct wg_names_source *names; /* NULL: not wanted, or not said yet */
	uint64_t names_changes;
	struct wg_peers told; /* peers of which somebody else has told their own address; sorted */
	uint64_t identities;
	bool identities_known; /* nothing has been read since */
	enum names_mode names_mode;
	char *names_file;
	bool has_names_mode;
};

/* One window's step from reading to reading. */
struct wireguard_step {
	struct wireguard *wireguard;
	const struct underlay_sight *sight;
	bool drained; /* the underlay handed over all of its window */
	bool due;     /* the tunnel has had its time to count what waits */
	struct extraction *extraction;
	uint64_t tunnel_rx;
	uint64_t found_rx;   /* of what is missing, found among the unknown */
	uint64_t refused_rx; /* that the tunnel did not accept, of what came from the peers' endpoints */
};

/*
 * Decides for one peer (step.c); for wg_account_step(), userdata is a struct wireguard_step. What is missing
 * goes to the totals too unless it was unknown, so that the entries still add up to them. 0 or -ENOMEM.
 */
int wireguard_take_change(const struct wg_change *change, void *userdata);
/* The tunnel could not be read: what the underlay showed is ahead of its counters until they can be. */
void wireguard_note_unread(struct wireguard *wireguard, const struct underlay_sight *sight);
/*
 * Before the peers of a window are decided: takes note of the datagrams that sockets had no room for, each as
 * large as the largest ones. Those were received on the underlay and are not counted by the tunnel, but that
 * they were not the peers' is not said.
 */
void wireguard_note_overflow(struct wireguard *wireguard, const struct underlay_sight *sight, bool due);
/* After that: which peers are not seen, and why, for status (unseen.c). */
void wireguard_list_unseen(struct wireguard *wireguard);

/* Operations of the device (names.c). */
void wireguard_set_names(struct device *device, enum names_mode mode, const char *file);
void wireguard_set_address(struct device *device, const uint8_t *public_key, const struct address *address);
uint64_t wireguard_identities(struct device *device);
void wireguard_foreach_peer(struct device *device,
			    void (*peer)(const struct device_peer *peer, void *userdata), void *userdata);
/* After each reading: the addresses that were told. */
void wireguard_take_told(const struct wireguard *wireguard, struct wg_peers *peers);
/* NULL: none are wanted. */
const struct wg_names *wireguard_names(const struct wireguard *wireguard);
