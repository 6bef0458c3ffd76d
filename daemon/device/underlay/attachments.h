/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * The counting programs on the devices that lead to the peers' endpoints, and the machine's own addresses.
 * Both follow the kernel's changes.
 */

#include "common/cleanup.h"
#include "common/config/config.h"
#include "daemon/device/peers/peers.h"

#include <stdbool.h>
#include <stddef.h>

struct attachments;

struct attachments_options {
	enum underlay_mode mode; /* UNDERLAY_AUTO or UNDERLAY_LIST */
	char *const *devices;	 /* of UNDERLAY_LIST; copied */
	unsigned int tunnel;	 /* its interface, which is never attached to; 0: none */
	bool without_tcx;
	int ingress[2], egress[2]; /* programs: without, with an Ethernet header; borrowed, as the maps */
	int devices_map;
	int locals_map;
};

/* Nothing is attached yet. 0 or -errno. */
int attachments_new(const struct attachments_options *options, struct attachments **ret_attachments);
void attachments_free(struct attachments *attachments);
DEFINE_CLEANUP(struct attachments *, attachments_free);

/* Why the datagrams of a peer may not be seen. */
enum attachments_gap {
	ATTACHMENTS_NO_GAP,
	ATTACHMENTS_NO_ROUTE, /* none leads to its endpoint */
	ATTACHMENTS_REFUSED,  /* the device to which it leads cannot be watched */
};

/*
 * Looks up which devices lead to the endpoints (to new ones; to all with `changed`, or when the mark
 * changed), attaches to them, and detaches from those to which no route has led for a whole window. Carries
 * on after an error. 0 or the first -errno.
 */
int attachments_follow(struct attachments *attachments, const struct wg_peers *peers, bool changed);
/* Reads the machine's addresses again, for the programs too. 1: they have changed; 0 or -errno. */
int attachments_follow_addresses(struct attachments *attachments);
/*
 * Every place of `from` runs the programs of these from now on, each packet one of the two; nothing may be
 * attached yet. Then attachments_follow(). 0; or -errno, and both are as before.
 */
int attachments_take_over(struct attachments *attachments, struct attachments *from);
/* Whether a route to this destination may lead to an endpoint. */
bool attachments_route_matters(const struct attachments *attachments, const struct prefix *destination);
/* Detaches everywhere. */
void attachments_detach(struct attachments *attachments);
/* Whether this is an address of the machine, by the last reading or the one before. */
bool attachments_is_local(const struct attachments *attachments, const struct address *address);
/* The number of devices that are watched. */
size_t attachments_count(const struct attachments *attachments);
/* Whether the last attachments_follow() began to watch a device. */
bool attachments_grew(const struct attachments *attachments);
/* By the last attachments_follow(). Of a refused device the name (valid until the next one) and -errno, else
 * "" and 0. */
enum attachments_gap attachments_find_gap(const struct attachments *attachments, const struct wg_peer *peer,
					  const char **ret_device, int *ret_error);
/* The first device that could not be watched, by the last attachments_follow(); "": none. */
const char *attachments_refused(const struct attachments *attachments);
/* "tcx on eth0, wlan0", or "no device leads to a peer". Valid until the next call. */
const char *attachments_describe(struct attachments *attachments);
