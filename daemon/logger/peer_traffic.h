/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * Physical traffic by peer, for the metrics: the peers that had most of it in the last hour have counters of
 * their own, the rest has one.
 *
 * Counters come and go while others read them now and then. So that nothing is counted twice, and nothing is
 * missed by those who read every two minutes:
 *
 *  - A new counter is shown for two minutes before traffic is added to it, be it a peer's or that of a path
 *    which no peer has had before; one that is to go is shown for two minutes after the last was, also where
 *    its peer is gone or has another name. Meanwhile that peer's traffic is the rest's. (Only when the daemon
 *    begins, nobody has read anything yet, and there is nobody to wait for.)
 *  - A counter that is no longer shown keeps its value, and goes on from there when it is shown again. It is
 *    never added to the rest, which would grow by traffic that has been read already.
 *  - A peer that gets another name begins at zero, for that may have been another one's name, or its own
 *    before.
 *
 * Hence what the shown counters grow by in a window is exactly its physical traffic, and their sum and what
 * the others hold ("withdrawn") is all physical traffic since the start.
 *
 * A peer that comes, or gets another name, is the rest until then. One that comes back meanwhile, under its
 * name, goes on.
 *
 * All but peer_samples_unref() is called from the logger's thread.
 */

#include "common/cleanup.h"
#include "common/connection.h"
#include "daemon/device/device.h"

#include <stdint.h>

#define PEER_TRAFFIC_PEERS_MAX 16384 /* more peers of a tunnel count as the rest */
#define PEER_LABEL_MAX	       384

#define PEER_PATHS (DEVICE_PATH_RELAY + 1)

struct nodes;
struct peer_memory;
struct peer_traffic;

/* 0 or -ENOMEM. */
int peer_traffic_new(struct peer_traffic **ret_traffic);
void peer_traffic_free(struct peer_traffic *traffic);
DEFINE_CLEANUP(struct peer_traffic *, peer_traffic_free);

/* How many peers have counters; others may be shown beside them, up to as many again. 0: none are shown, at
 * once. */
void peer_traffic_set_max(struct peer_traffic *traffic, size_t max);

/*
 * At a window's end, before its traffic is added: takes over the device's peers, and where they are. A peer
 * has the name of the node that has its address, else its own. NULL, or a device without peers: those of
 * before stay, with what was known of them. Without memory for new ones, they stay until the next window.
 */
void peer_traffic_follow(struct peer_traffic *traffic, struct device *device, const struct nodes *nodes);
/* The device may be another one, even if it looks the same. */
void peer_traffic_forget_device(struct peer_traffic *traffic);
/* Adds an entry of physical traffic to its peer, which is found by the entry's source. */
void peer_traffic_add(struct peer_traffic *traffic, const struct address *source,
		      const struct counts *counts);
/* Once all of a window's traffic has been added: decides every two minutes whose counters come and go. */
void peer_traffic_end_window(struct peer_traffic *traffic, int64_t now_boot);

/* How many peers there are, without the node itself. Of which nothing is remembered, is silent. */
struct peer_numbers {
	uint64_t active[PEER_PATHS];
	uint64_t silent[PEER_PATHS];
};

struct peer_numbers peer_traffic_numbers(const struct peer_traffic *traffic,
					 const struct peer_memory *memory);

struct peer_sample {
	char label[PEER_LABEL_MAX]; /* plain text; different from all others' */
	enum device_path path;
	char via[16];
	int64_t last_handshake; /* wall; 0: never */
	bool gone;		/* it has no path any more, only counters */
	struct counts counts[PEER_PATHS];
	bool has[PEER_PATHS]; /* the counters that are shown */
};

/* What is shown: a copy that does not change. */
struct peer_samples {
	unsigned int references;
	struct counts other[PEER_PATHS];
	struct counts withdrawn; /* in counters that were shown once, and are not */
	size_t n;
	struct peer_sample items[];
};

/* Of now; NULL if none are to be shown, or without memory. */
struct peer_samples *peer_traffic_sample(const struct peer_traffic *traffic);
struct peer_samples *peer_samples_ref(struct peer_samples *samples);
void peer_samples_unref(struct peer_samples *samples);
DEFINE_CLEANUP(struct peer_samples *, peer_samples_unref);
