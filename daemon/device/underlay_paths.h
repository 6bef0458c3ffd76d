#pragma once

/*
 * Where the tunnel's datagrams go: the devices that lead to the peers' endpoints with the programs on them,
 * and the machine's own addresses. Follows the kernel's changes.
 */

#include "common/cleanup.h"
#include "daemon/device/underlay.h"

#include <stdbool.h>
#include <stddef.h>

struct underlay_paths;

/* What the programs are, and the maps that tell them of devices and addresses. All borrowed. */
struct underlay_programs {
	int ingress[2], egress[2]; /* without, with an Ethernet header */
	int devices_map;
	int locals_map;
};

/* Nothing is attached yet. 0 or -errno. */
int underlay_paths_new(const struct underlay_options *options, const struct underlay_programs *programs,
		       struct underlay_paths **ret_paths);
void underlay_paths_free(struct underlay_paths *paths);
DEFINE_CLEANUP(struct underlay_paths *, underlay_paths_free);

/*
 * Looks where the endpoints' routes lead (of those that are new, or of all when the kernel or the mark
 * changed), attaches there, and detaches from where nothing has led for a whole window. `changed`: look at
 * everything. 0, or the first -errno, with all done that could be.
 */
int underlay_paths_follow(struct underlay_paths *paths, const struct wg_peers *peers, bool changed);
/* Learns the machine's addresses anew, and tells the programs. 0 or -errno. */
int underlay_paths_follow_addresses(struct underlay_paths *paths);
/* Detaches everywhere. */
void underlay_paths_detach(struct underlay_paths *paths);
/* Whether it is the machine's, now or at the last look before. */
bool underlay_paths_is_local(const struct underlay_paths *paths, const struct address *address);
/* How many devices are watched. */
size_t underlay_paths_count(const struct underlay_paths *paths);
/* As underlay_describe(). */
const char *underlay_paths_describe(struct underlay_paths *paths);
