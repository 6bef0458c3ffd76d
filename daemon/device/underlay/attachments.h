/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * Where the tunnel's datagrams go: the devices that lead to the peers' endpoints with the programs on them,
 * and the machine's own addresses. Follows the kernel's changes.
 */

#include "common/cleanup.h"
#include "daemon/device/underlay/underlay.h"

#include <stdbool.h>
#include <stddef.h>

struct attachments;

/* What the programs are, and the maps that tell them of devices and addresses. All borrowed. */
struct underlay_programs {
	int ingress[2], egress[2]; /* without, with an Ethernet header */
	int devices_map;
	int locals_map;
};

/* Nothing is attached yet. 0 or -errno. */
int attachments_new(const struct underlay_options *options, const struct underlay_programs *programs,
		    struct attachments **ret_attachments);
void attachments_free(struct attachments *paths);
DEFINE_CLEANUP(struct attachments *, attachments_free);

/*
 * Looks where the endpoints' routes lead (of those that are new, or of all when the kernel or the mark
 * changed), attaches there, and detaches from where nothing has led for a whole window. `changed`: look at
 * everything. 0, or the first -errno, with all done that could be.
 */
int attachments_follow(struct attachments *paths, const struct wg_peers *peers, bool changed);
/* Learns the machine's addresses anew, and tells the programs. 0 or -errno. */
int attachments_follow_addresses(struct attachments *paths);
/* Detaches everywhere. */
void attachments_detach(struct attachments *paths);
/* Whether it is the machine's, now or at the last look before. */
bool attachments_is_local(const struct attachments *paths, const struct address *address);
/* How many devices are watched. */
size_t attachments_count(const struct attachments *paths);
/* As underlay_describe(). */
const char *attachments_describe(struct attachments *paths);
