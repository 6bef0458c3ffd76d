/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A route names a device. If that has a master (it is a bridge's port or a bond's member), packets would be
 * seen on both, so the master is watched instead. A device on top of another one that is watched too
 * (macvlan) sends its frames through it once more: those are told apart by their source address, those of
 * VLANs by their tag. Frames of an ipvlan cannot be told apart, so the device below it is watched instead.
 */

#include "daemon/device/underlay/attachments.h"

#include "common/buffer.h"
#include "common/parse.h"
#include "daemon/bpf/physical_maps.h"
#include "daemon/device/hook.h"
#include "daemon/device/interface.h"
#include "daemon/device/underlay/route_lookup.h"
#include "daemon/net/rtnl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>

/* From a device to the one that is watched instead of it. */
#define LINKS_MAX 8

struct watched_device {
	struct rtnl_link link;
	struct hook *hooks[2]; /* by enum hook_direction */
	bool ethernet;
	bool wanted;	      /* by the last lookup */
	bool unwanted_before; /* by the lookup before it */
};

/* One that a route or the configuration names, and that cannot be watched. */
struct refused_device {
	unsigned int index;
	char name[IFNAMSIZ]; /* its own, or of the one in its place */
	int error;
};

/* More than these have no reason of their own in status. */
#define REFUSED_MAX 16

struct attachments {
	struct attachments_options options;
	char **names; /* of UNDERLAY_LIST, otherwise empty */
	struct rtnl *rtnl;
	struct watched_device devices[UNDERLAY_DEVICES];
	size_t n_devices;
	struct refused_device refused[REFUSED_MAX];
	size_t n_refused;
	bool grew;
	struct route_lookup lookup; /* of UNDERLAY_AUTO, otherwise empty */
	struct rtnl_addresses addresses, addresses_before;
	struct buffer description;
};

static void detach(struct watched_device *device)
{
	for (size_t i = 0; i < ARRAY_SIZE(device->hooks); i++) {
		hook_free(device->hooks[i]);
		device->hooks[i] = NULL;
	}
}

void attachments_free(struct attachments *attachments)
{
	if (!attachments)
		return;
	attachments_detach(attachments);
	strv_free(attachments->names);
	route_lookup_deinit(&attachments->lookup);
	rtnl_addresses_deinit(&attachments->addresses);
	rtnl_addresses_deinit(&attachments->addresses_before);
	rtnl_free(attachments->rtnl);
	buffer_deinit(&attachments->description);
	free(attachments);
}

int attachments_new(const struct attachments_options *options, struct attachments **ret_attachments)
{
	_cleanup_(attachments_freep) struct attachments *attachments = calloc(1, sizeof(*attachments));
	size_t n = 0;
	int r;

	if (!attachments)
		return -ENOMEM;
	attachments->options = *options;
	attachments->options.devices = NULL;
	attachments->lookup.tunnel = options->tunnel;
	while (options->mode == UNDERLAY_LIST && options->devices && options->devices[n])
		n++;
	attachments->names = calloc(n + 1, sizeof(*attachments->names));
	if (!attachments->names)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		attachments->names[i] = strdup(options->devices[i]);
		if (!attachments->names[i])
			return -ENOMEM;
	}
	r = rtnl_new(&attachments->rtnl);
	if (r < 0)
		return r;
	*ret_attachments = TAKE_PTR(attachments);
	return 0;
}

void attachments_detach(struct attachments *attachments)
{
	for (size_t i = 0; i < attachments->n_devices; i++)
		detach(&attachments->devices[i]);
	attachments->n_devices = 0;
}

/* --- addresses --- */

static bool holds(const struct rtnl_addresses *addresses, const struct address *address)
{
	for (size_t i = 0; i < addresses->n; i++)
		if (address_compare(&addresses->items[i].local, address) == 0)
			return true;
	return false;
}

bool attachments_is_local(const struct attachments *attachments, const struct address *address)
{
	return holds(&attachments->addresses, address) || holds(&attachments->addresses_before, address);
}

static struct underlay_local local_key(const struct address *address)
{
	struct underlay_local key = {.family = address->family};

	memcpy(key.address, address->bytes, sizeof(key.address));
	return key;
}

/* If one does not fit into the map, nothing is lost: see `others` in physical.bpf.c. */
int attachments_follow_addresses(struct attachments *attachments)
{
	struct rtnl_addresses addresses = {};
	int r = rtnl_get_addresses(attachments->rtnl, 0, &addresses);
	bool changed = false;

	if (r < 0)
		return r;
	for (size_t i = 0; i < addresses.n; i++) {
		struct underlay_local key = local_key(&addresses.items[i].local);
		uint8_t value = 1;

		changed |= !holds(&attachments->addresses, &addresses.items[i].local);
		bpf_map_update_elem(attachments->options.locals_map, &key, &value, BPF_ANY);
	}
	for (size_t i = 0; i < attachments->addresses.n; i++) {
		struct underlay_local key = local_key(&attachments->addresses.items[i].local);

		if (!holds(&addresses, &attachments->addresses.items[i].local))
			bpf_map_delete_elem(attachments->options.locals_map, &key);
	}
	rtnl_addresses_deinit(&attachments->addresses_before);
	attachments->addresses_before = attachments->addresses;
	attachments->addresses = addresses;
	return changed;
}

/* --- devices --- */

static int program_for(const struct attachments *attachments, const struct watched_device *device,
		       enum hook_direction direction)
{
	return direction == HOOK_INGRESS ? attachments->options.ingress[device->ethernet]
					 : attachments->options.egress[device->ethernet];
}

static int attach(struct attachments *attachments, struct watched_device *device)
{
	for (size_t i = 0; i < ARRAY_SIZE(device->hooks); i++) {
		struct hook_options options = {
			.ifindex = device->link.index,
			.direction = (enum hook_direction)i,
			.program_fd = program_for(attachments, device, (enum hook_direction)i),
			.without_tcx = attachments->options.without_tcx,
		};
		int r = hook_attach(&options, &device->hooks[i]);

		if (r < 0) {
			detach(device);
			return r;
		}
	}
	return 0;
}

/* The link to watch instead of this one; 0: this one. */
static unsigned int next_link(const struct rtnl_link *link)
{
	return strncmp(link->kind, "ipv", 3) == 0 && link->lower ? link->lower : link->master;
}

static int find_watched_link(struct attachments *attachments, unsigned int index, struct rtnl_link *ret_link)
{
	struct rtnl_link next;
	int r = rtnl_get_link(attachments->rtnl, NULL, index, ret_link);

	for (unsigned int i = 0; r == 0 && next_link(ret_link) && i < LINKS_MAX; i++) {
		r = rtnl_get_link(attachments->rtnl, NULL, next_link(ret_link), &next);
		/* A VRF is a master too, but packets are seen only on its members. */
		if (r < 0 || strcmp(next.kind, "vrf") == 0)
			break;
		*ret_link = next;
	}
	return r;
}

static void refuse(struct attachments *attachments, unsigned int index, const char *name, int error)
{
	struct refused_device *refused = &attachments->refused[attachments->n_refused];

	if (attachments->n_refused == REFUSED_MAX)
		return;
	*refused = (struct refused_device){.index = index, .error = error};
	snprintf(refused->name, sizeof(refused->name), "%s", name);
	attachments->n_refused++;
}

static struct watched_device *find_device(struct attachments *attachments, unsigned int index)
{
	for (size_t i = 0; i < attachments->n_devices; i++)
		if (attachments->devices[i].link.index == index)
			return &attachments->devices[i];
	return NULL;
}

/* Watches this device, if it is not watched yet. 0 or -errno. */
static int watch_link(struct attachments *attachments, const struct rtnl_link *link)
{
	struct watched_device *device = find_device(attachments, link->index), added = {};
	struct interface interface;
	int r;

	if (device) {
		device->wanted = true;
		device->link = *link;
		/* Not if the interface was deleted and made again with this index, or was moved to another
		 * namespace and back. */
		if (device->hooks[0] && hook_is_attached(device->hooks[0]) &&
		    hook_is_attached(device->hooks[1]))
			return 0;
		detach(device);
		r = attach(attachments, device);
		attachments->grew |= r == 0;
		return r;
	}
	r = interface_find(link->name, &interface);
	if (r < 0)
		return r;
	if (attachments->n_devices == UNDERLAY_DEVICES)
		return -E2BIG;
	added = (struct watched_device){.link = *link, .ethernet = interface.l2_length != 0, .wanted = true};
	r = attach(attachments, &added);
	if (r < 0)
		return r;
	attachments->devices[attachments->n_devices++] = added;
	attachments->grew = true;
	return 0;
}

/* Watches the device of this index, or the one in its place. 0 or -errno. */
static int want_device(struct attachments *attachments, unsigned int index)
{
	struct rtnl_link link = {};
	int r = find_watched_link(attachments, index, &link);
	struct watched_device *device;

	if (r == 0)
		r = watch_link(attachments, &link);
	if (r == 0)
		return 0;
	refuse(attachments, index, link.name, r);
	/* That the kernel could not be asked does not say that the device is gone. */
	device = find_device(attachments, index);
	if (device && r != -ENODEV)
		device->wanted = true;
	return r;
}

static void drop_unwanted(struct attachments *attachments)
{
	size_t n = 0;

	for (size_t i = 0; i < attachments->n_devices; i++) {
		struct watched_device *device = &attachments->devices[i];

		if (!device->hooks[0] || (!device->wanted && device->unwanted_before)) {
			detach(device);
			bpf_map_delete_elem(attachments->options.devices_map, &device->link.index);
			continue;
		}
		device->unwanted_before = !device->wanted;
		attachments->devices[n++] = *device;
	}
	attachments->n_devices = n;
}

/* Gives the programs what they need to tell a device's frames from those of a macvlan on top of it. */
static void update_devices_map(struct attachments *attachments)
{
	const struct watched_device *devices = attachments->devices;

	for (size_t i = 0; i < attachments->n_devices; i++) {
		const struct rtnl_link *link = &devices[i].link;
		struct underlay_device value = {};

		for (size_t j = 0; j < attachments->n_devices && devices[i].ethernet; j++)
			if (devices[j].link.lower == link->index &&
			    strncmp(devices[j].link.kind, "macv", 4) == 0)
				value.check_mac = true;
		memcpy(value.mac, link->mac, sizeof(value.mac));
		bpf_map_update_elem(attachments->options.devices_map, &link->index, &value, BPF_ANY);
	}
}

int attachments_follow(struct attachments *attachments, const struct wg_peers *peers, bool changed)
{
	int error = 0, r = 0;

	if (attachments->options.mode == UNDERLAY_AUTO)
		r = route_lookup_follow(&attachments->lookup, attachments->rtnl, peers,
					&attachments->addresses, changed);
	if (r < 0)
		return r;
	attachments->n_refused = 0;
	attachments->grew = false;
	for (size_t i = 0; i < attachments->n_devices; i++)
		attachments->devices[i].wanted = false;
	for (size_t i = 0; i < attachments->lookup.n_devices; i++) {
		r = want_device(attachments, attachments->lookup.devices[i]);
		error = error < 0 ? error : r;
	}
	for (char **name = attachments->names; *name; name++) {
		struct rtnl_link link;

		r = rtnl_get_link(attachments->rtnl, *name, 0, &link);
		if (r == 0)
			r = want_device(attachments, link.index);
		else
			refuse(attachments, 0, *name, r);
		error = error < 0 ? error : r;
	}
	drop_unwanted(attachments);
	update_devices_map(attachments);
	return error;
}

int attachments_take_over(struct attachments *attachments, struct attachments *from)
{
	const size_t places = from->n_devices * ARRAY_SIZE(from->devices->hooks);
	size_t done = 0;
	int r = 0;

	memcpy(attachments->devices, from->devices, from->n_devices * sizeof(*from->devices));
	attachments->n_devices = from->n_devices;
	update_devices_map(attachments);
	for (; done < places && r == 0; done++) {
		const struct watched_device *device = &attachments->devices[done / 2];
		enum hook_direction direction = (enum hook_direction)(done % 2);

		r = hook_replace(device->hooks[direction], program_for(attachments, device, direction));
		/* The interface is gone; attachments_follow() will see that. */
		if (r == -ENOLINK)
			r = 0;
	}
	if (r == 0) {
		from->n_devices = 0;
		return 0;
	}
	/* All or none. */
	for (size_t i = 0; i < done; i++) {
		const struct watched_device *device = &from->devices[i / 2];
		enum hook_direction direction = (enum hook_direction)(i % 2);

		hook_replace(device->hooks[direction], program_for(from, device, direction));
	}
	attachments->n_devices = 0;
	return r;
}

bool attachments_route_matters(const struct attachments *attachments, const struct prefix *destination)
{
	return attachments->options.mode == UNDERLAY_AUTO &&
	       route_lookup_matters(&attachments->lookup, destination);
}

size_t attachments_count(const struct attachments *attachments)
{
	return attachments->n_devices;
}

bool attachments_grew(const struct attachments *attachments)
{
	return attachments->grew;
}

const char *attachments_refused(const struct attachments *attachments)
{
	return attachments->n_refused ? attachments->refused[0].name : "";
}

enum attachments_gap attachments_find_gap(const struct attachments *attachments, const struct wg_peer *peer,
					  const char **ret_device, int *ret_error)
{
	unsigned int index = route_lookup_device(&attachments->lookup, peer);

	*ret_device = "";
	*ret_error = 0;
	if (attachments->options.mode != UNDERLAY_AUTO || !peer->endpoint.address.family)
		return ATTACHMENTS_NO_GAP;
	if (!index || index == attachments->lookup.tunnel)
		return ATTACHMENTS_NO_ROUTE;
	for (size_t i = 0; i < attachments->n_refused; i++)
		if (attachments->refused[i].index == index) {
			*ret_device = attachments->refused[i].name;
			*ret_error = attachments->refused[i].error;
			return ATTACHMENTS_REFUSED;
		}
	return ATTACHMENTS_NO_GAP;
}

const char *attachments_describe(struct attachments *attachments)
{
	struct buffer *text = &attachments->description;

	buffer_reset(text);
	if (attachments->n_devices == 0)
		buffer_append_text(text, "no device leads to a peer");
	for (size_t i = 0; i < attachments->n_devices; i++)
		buffer_printf(text, "%s%s%s", i == 0 ? hook_kind(attachments->devices[i].hooks[0]) : "",
			      i == 0 ? " on " : ", ", attachments->devices[i].link.name);
	buffer_append_char(text, '\0');
	return buffer_error(text) ? "" : text->data;
}
