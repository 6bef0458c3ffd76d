/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * What is known of a tunnel's peers beyond the device's last reading: how fast they send and receive, what
 * they have moved today, since when they are silent, where they were before. It is kept by the peers' ids, so
 * that it survives a device that is made again. No I/O.
 *
 * Bytes are those of the tunnel's own counters. They count from the daemon's first reading of a peer, or from
 * zero for one that came later; a counter that went backwards counts from zero.
 */

#include "common/cleanup.h"
#include "daemon/device/device.h"

#include <stdint.h>

/* Peers from which nothing came for this long are silent, as WireGuard's own events have it. */
#define PEER_SILENT_AFTER (INT64_C(180) * 1000000000)
#define PEER_MEMORY_MAX	  65536 /* peers; more are not remembered, but counted */

struct peer_memory;

struct peer_record {
	char *id;
	uint64_t tx_bytes, rx_bytes; /* the tunnel's counters, at the last reading */
	int64_t last_handshake;	     /* wall, ns */
	uint32_t reading;	     /* the last one that it was in */

	uint64_t tx_moved, rx_moved; /* between the last two readings */
	int64_t moved_in;	     /* ns between these; 0: there was only one */
	uint64_t tx_today, rx_today;
	int64_t today_since; /* wall, ns: midnight, local time; or the first reading */

	bool active;
	int64_t last_seen; /* wall, ns, when something last came from it; 0: never */
	int64_t seen_boot; /* the same, boot time */

	enum device_path path;
	struct endpoint endpoint; /* the last one known */
	unsigned int region;
	int64_t moved_at; /* wall, ns: when a reading found it at another place; 0: never */
	enum device_path from_path;
	struct endpoint from_endpoint;
	char *via, *from_via; /* DERP regions; may be NULL */
};

/* Empty. 0 or -ENOMEM. */
int peer_memory_new(struct peer_memory **ret_memory);
void peer_memory_free(struct peer_memory *memory);
DEFINE_CLEANUP(struct peer_memory *, peer_memory_free);

/*
 * Takes a reading of a device's peers, at these times (ns), which are those of a window's end. A device
 * without peers, or NULL, has none. After one of those, the next reading is the first again for peers that
 * are not known: they count from there.
 */
void peer_memory_read(struct peer_memory *memory, struct device *device, int64_t wall, int64_t boot);

/* The record of a peer that was in the last reading; NULL if there is none. Valid until the next reading. */
const struct peer_record *peer_memory_find(const struct peer_memory *memory, const char *id);

struct peer_memory_status {
	size_t peers;	  /* in the last reading */
	size_t active;	  /* of them */
	size_t forgotten; /* found no room */
};

struct peer_memory_status peer_memory_get_status(const struct peer_memory *memory);
