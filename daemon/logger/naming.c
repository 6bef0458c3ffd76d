/* SPDX-License-Identifier: BSD-3-Clause */
/* What changes seldom is made anew when it changes, and costs a comparison otherwise. */

#include "daemon/logger/naming.h"

#include "common/log.h"
#include "common/parse.h"
#include "daemon/device/device.h"
#include "daemon/record/peer_nodes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void forget_self(struct naming *naming)
{
	node_deinit(&naming->self);
	free(TAKE_PTR(naming->self_id));
	prefix_list_deinit(&naming->self_addresses);
}

void naming_deinit(struct naming *naming)
{
	nodes_unref(naming->before);
	nodes_unref(naming->nodes);
	nodes_unref(naming->named);
	forget_self(naming);
	*naming = (struct naming){};
}

struct gathering {
	struct peer_nodes peers;
	int error;
};

static void add_peer(const struct device_peer *peer, void *userdata)
{
	struct gathering *gathering = userdata;
	struct peer_identity identity = {
		.id = peer->id,
		.name = peer->name,
		.named = peer->named,
		.self = peer->self,
		.os = peer->os,
		.user = peer->user,
		.tags = peer->tags,
		.addresses = peer->addresses ? peer->addresses : peer->allowed_ips,
		.source = peer->source,
	};

	if (gathering->error == 0)
		gathering->error = peer_nodes_add(&gathering->peers, &identity);
}

struct telling {
	const struct naming *naming;
	struct device *device;
};

/* What nothing else tells may be in the operator's node with the peer's id. */
static void tell_address(const struct device_peer *peer, void *userdata)
{
	struct telling *telling = userdata;
	const struct node *node;
	struct address address = {};

	if (!peer->without_address || !peer->has_public_key)
		return;
	node = nodes_find_id(telling->naming->named, peer->id);
	if (node && node->n_addresses > 0)
		address = node->addresses[0];
	telling->device->ops->set_address(telling->device, peer->public_key, &address);
}

static void replace(struct naming *naming, struct nodes *nodes)
{
	forget_self(naming);
	nodes_unref(naming->nodes);
	naming->nodes = nodes;
}

/* 0 or -ENOMEM. */
static int take_peers(struct naming *naming, struct device *device)
{
	struct gathering gathering = {};
	struct nodes *nodes;
	int r;

	device->ops->foreach_peer(device, add_peer, &gathering);
	r = gathering.error;
	if (r == 0)
		r = peer_nodes_finish(&gathering.peers, naming->named, &nodes);
	peer_nodes_deinit(&gathering.peers);
	if (r == 0)
		replace(naming, nodes);
	return r;
}

void naming_follow(struct naming *naming, struct device *device, bool wanted)
{
	uint64_t identities = 0;
	bool has_peers;
	int r = 0;

	if (!device)
		return;
	has_peers = wanted && device->ops->identities && device->ops->foreach_peer;
	if (has_peers)
		identities = device->ops->identities(device);
	if (device == naming->device && has_peers == naming->has_peers && identities == naming->identities)
		return;
	if (has_peers)
		r = take_peers(naming, device);
	else
		replace(naming, nodes_ref(naming->named));
	if (r < 0) {
		log_warning("out of memory: the peers' names stay as they were");
		return;
	}
	if (has_peers && device->ops->set_address)
		device->ops->foreach_peer(device, tell_address,
					  &(struct telling){.naming = naming, .device = device});
	naming->device = device;
	naming->has_peers = has_peers;
	naming->identities = identities;
}

void naming_forget_device(struct naming *naming)
{
	naming->device = NULL;
}

struct nodes *naming_set_named(struct naming *naming, struct nodes *named, struct device *device, bool wanted)
{
	struct nodes *old = naming->named;

	/* It lies above the old ones, too. */
	nodes_unref(TAKE_PTR(naming->before));
	naming->named = named;
	/* Without a device the peers are forgotten: their nodes lie above the old ones. */
	replace(naming, nodes_ref(named));
	naming->device = NULL;
	naming_follow(naming, device, wanted);
	return old;
}

void naming_begin_window(struct naming *naming)
{
	nodes_unref(naming->before);
	naming->before = naming->nodes == naming->named ? NULL : nodes_ref(naming->nodes);
}

struct nodes *naming_of_window(const struct naming *naming)
{
	struct nodes *nodes;

	if (!naming->before || naming->before == naming->nodes ||
	    nodes_new_with_gone(naming->nodes, naming->before, &nodes) < 0)
		return nodes_ref(naming->nodes);
	return nodes;
}

const struct node *naming_find_peer(const struct nodes *nodes, const struct device_peer *peer)
{
	const struct prefix_list *list = peer->addresses ? peer->addresses : peer->allowed_ips;
	const struct node *node = NULL;

	for (size_t i = 0; !node && list && i < list->n; i++)
		if (prefix_is_single(&list->items[i]))
			node = nodes_find_address(nodes, &list->items[i].address);
	if (!node && peer->source.family)
		node = nodes_find_address(nodes, &peer->source);
	return node ? node : nodes_find_id(nodes, peer->id);
}

/* --- this node --- */

/* By the word of others where there is one. Addresses that others have, or may have too, are left out. */
static int make_self(struct naming *naming, const char *id, const struct prefix_list *local_addrs, bool found)
{
	const struct node *known = nodes_self(naming->nodes, id, local_addrs);
	const struct node nobody = {.id = (char *)id, .name = (char *)id};
	size_t n = local_addrs ? local_addrs->n : 0;
	struct node *self = &naming->self;
	int r = text_copy(id, &naming->self_id);

	if (r == 0 && local_addrs)
		r = prefix_list_copy(local_addrs, &naming->self_addresses);
	if (r == 0)
		r = node_copy(known ? known : &nobody, n, self);
	if (r < 0)
		return r;
	naming->self_found = found;
	for (size_t i = 0; (found || !known) && i < n; i++) {
		const struct address *address = &local_addrs->items[i].address;

		if (!address_is_link_local(address) && !nodes_find_address(naming->nodes, address) &&
		    !node_has_address(self, address))
			self->addresses[self->n_addresses++] = *address;
	}
	return node_make_json(self);
}

const struct node *naming_self(struct naming *naming, const char *id, const struct prefix_list *local_addrs,
			       bool found)
{
	static const struct prefix_list none;
	const struct prefix_list *addresses = local_addrs ? local_addrs : &none;

	if (!id && !nodes_self(naming->nodes, NULL, local_addrs))
		return NULL;
	if (naming->self.json && naming->self_found == found &&
	    strcmp(naming->self_id ? naming->self_id : "", id ? id : "") == 0 &&
	    prefix_list_equal(&naming->self_addresses, addresses))
		return &naming->self;
	forget_self(naming);
	if (make_self(naming, id, local_addrs, found) == 0)
		return &naming->self;
	forget_self(naming);
	return NULL;
}
