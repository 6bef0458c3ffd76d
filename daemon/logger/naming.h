/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * Who is who, as the logger sees it: the operator's nodes, above them the tunnel's peers as its sock device
 * knows them, and this node itself.
 */

#include "daemon/record/nodes.h"

struct device;
struct device_peer;

/* Zero-initialised, nobody is known. */
struct naming {
	struct nodes *named;	     /* the operator's; NULL: none */
	struct nodes *nodes;	     /* with the tunnel's; the same where it knows none */
	const struct device *device; /* whose peers these are; to be compared, not used */
	bool has_peers;		     /* that are nodes */
	uint64_t identities;	     /* as it gave them */
	struct nodes *before;	     /* as they were when the window began; NULL: no peers were */

	/* This node: made when it is asked for. */
	struct node self;
	char *self_id;
	struct prefix_list self_addresses;
	bool self_found;
};

void naming_deinit(struct naming *naming);

/* Replaces the operator's nodes, which are taken, and returns the old ones for the caller to release: that
 * may take long. */
struct nodes *naming_set_named(struct naming *naming, struct nodes *named, struct device *device,
			       bool wanted);
/*
 * Takes over the peers of the device if they have changed; without a device (it is waited for) those that are
 * known stay. wanted: they are to be known as nodes. An error leaves them as they were, until the next call.
 */
void naming_follow(struct naming *naming, struct device *device, bool wanted);
/* The device is another one now, even if it should have the place of the old one in memory. */
void naming_forget_device(struct naming *naming);

/* From now on peers that go are known until the window's end; those that went before are not any more. */
void naming_begin_window(struct naming *naming);
/* Those that are known, and the peers that have gone since the window began. The caller lets go of them. */
struct nodes *naming_of_window(const struct naming *naming);

/* The node that a peer is: by its addresses, else by its id. NULL: none. */
const struct node *naming_find_peer(const struct nodes *nodes, const struct device_peer *peer);

/*
 * This node, as those who name it know it (nodes_self()), else by the configuration's id. It has those of
 * this machine's addresses that no other node has. If they are the operator's word (not found), they are not
 * added to what the operator says of the node. NULL without memory, or when there is nothing to call it by.
 */
const struct node *naming_self(struct naming *naming, const char *id, const struct prefix_list *local_addrs,
			       bool found);
