/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Which devices are watched. A route names the device; where that has a master (a bridge's port, a bond's
 * member) packets would be seen on both, so the master is watched in its place. A device above another that
 * is watched too (macvlan) sends its frames through it once more: those are told apart by their source
 * address, VLANs by their tag. An ipvlan's can't be, so the device below it is watched in its place.
 */

#include "daemon/device/underlay/attachments.h"

#include "common/buffer.h"
#include "daemon/bpf/physical_maps.h"
#include "daemon/device/hook.h"
#include "daemon/device/interface.h"
#include "daemon/device/underlay/route_lookup.h"
#include "daemon/net/rtnl.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <bpf/bpf.h>

#define LINKS_MAX 8

struct path_device {
	struct rtnl_link link;
	struct hook *hooks[2]; /* by enum hook_direction */
	bool ethernet;
	bool wanted;
	bool unwanted_before; /* nothing led here at the last look either */
};

struct attachments {
	struct underlay_programs programs;
	enum underlay_mode mode;
	char **names; /* of UNDERLAY_LIST */
	bool without_tcx;
	struct rtnl *rtnl;
	struct path_device devices[UNDERLAY_DEVICES];
	size_t n_devices;
	struct route_lookup lookup; /* of UNDERLAY_AUTO */
	struct rtnl_addresses addresses, addresses_before;
	struct buffer description;
};

/* --- made and unmade --- */

static void detach(struct path_device *device)
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
	for (char **name = attachments->names; name && *name; name++)
		free(*name);
	free(attachments->names);
	route_lookup_deinit(&attachments->lookup);
	rtnl_addresses_deinit(&attachments->addresses);
	rtnl_addresses_deinit(&attachments->addresses_before);
	rtnl_free(attachments->rtnl);
	buffer_deinit(&attachments->description);
	free(attachments);
}

static int copy_names(char *const *names, char ***ret_names)
{
	size_t n = 0;
	char **copy;

	while (names && names[n])
		n++;
	copy = calloc(n + 1, sizeof(*copy));
	*ret_names = copy;
	for (size_t i = 0; copy && i < n; i++) {
		copy[i] = strdup(names[i]);
		if (!copy[i])
			return -ENOMEM;
	}
	return copy ? 0 : -ENOMEM;
}

int attachments_new(const struct underlay_options *options, const struct underlay_programs *programs,
		    struct attachments **ret_attachments)
{
	_cleanup_(attachments_freep) struct attachments *attachments = calloc(1, sizeof(*attachments));
	int r;

	if (!attachments)
		return -ENOMEM;
	attachments->programs = *programs;
	attachments->mode = options->mode;
	attachments->without_tcx = options->without_tcx;
	attachments->lookup.tunnel = options->tunnel;
	r = copy_names(options->devices, &attachments->names);
	if (r == 0)
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

/* An address that is not in the map costs exactness nothing: see `others` in the program. */
int attachments_follow_addresses(struct attachments *attachments)
{
	struct rtnl_addresses addresses = {};
	int r = rtnl_get_addresses(attachments->rtnl, &addresses);

	if (r < 0)
		return r;
	for (size_t i = 0; i < addresses.n; i++) {
		struct underlay_local key = local_key(&addresses.items[i].local);
		uint8_t value = 1;

		bpf_map_update_elem(attachments->programs.locals_map, &key, &value, BPF_ANY);
	}
	for (size_t i = 0; i < attachments->addresses.n; i++) {
		struct underlay_local key = local_key(&attachments->addresses.items[i].local);

		if (!holds(&addresses, &attachments->addresses.items[i].local))
			bpf_map_delete_elem(attachments->programs.locals_map, &key);
	}
	rtnl_addresses_deinit(&attachments->addresses_before);
	attachments->addresses_before = attachments->addresses;
	attachments->addresses = addresses;
	return 0;
}

/* --- devices --- */

static struct path_device *find_device(struct attachments *attachments, unsigned int index)
{
	for (size_t i = 0; i < attachments->n_devices; i++)
		if (attachments->devices[i].link.index == index)
			return &attachments->devices[i];
	return NULL;
}

static int attach(struct attachments *attachments, struct path_device *device)
{
	int programs[2] = {[HOOK_INGRESS] = attachments->programs.ingress[device->ethernet],
			   [HOOK_EGRESS] = attachments->programs.egress[device->ethernet]};

	for (size_t i = 0; i < ARRAY_SIZE(programs); i++) {
		struct hook_options options = {
			.ifindex = device->link.index,
			.direction = (enum hook_direction)i,
			.program_fd = programs[i],
			.without_tcx = attachments->without_tcx,
		};
		int r = hook_attach(&options, &device->hooks[i]);

		if (r < 0) {
			detach(device);
			return r;
		}
	}
	return 0;
}

static int add_device(struct attachments *attachments, const struct rtnl_link *link)
{
	struct path_device device = {.link = *link, .wanted = true};
	struct interface interface;
	int r = interface_find(link->name, &interface);

	if (r < 0)
		return r;
	if (attachments->n_devices == UNDERLAY_DEVICES)
		return -E2BIG;
	device.ethernet = interface.l2_length != 0;
	r = attach(attachments, &device);
	if (r == 0)
		attachments->devices[attachments->n_devices++] = device;
	return r;
}

/* The one to watch in a link's place; 0: itself. */
static unsigned int next_link(const struct rtnl_link *link)
{
	return strncmp(link->kind, "ipv", 3) == 0 && link->lower ? link->lower : link->master;
}

/* A VRF is no master in this sense: packets are seen on its members alone. */
static int top_link(struct attachments *attachments, unsigned int index, struct rtnl_link *ret_link)
{
	struct rtnl_link next;
	int r = rtnl_get_link(attachments->rtnl, NULL, index, ret_link);

	for (unsigned int i = 0; r == 0 && next_link(ret_link) && i < LINKS_MAX; i++) {
		r = rtnl_get_link(attachments->rtnl, NULL, next_link(ret_link), &next);
		if (r < 0 || strcmp(next.kind, "vrf") == 0)
			break;
		*ret_link = next;
	}
	return r;
}

static int want_device(struct attachments *attachments, unsigned int index)
{
	struct rtnl_link link;
	struct path_device *device;
	int r = top_link(attachments, index, &link);

	if (r < 0)
		return r;
	device = find_device(attachments, link.index);
	if (!device)
		return add_device(attachments, &link);
	device->wanted = true;
	device->link = link;
	/* An interface that went away and came back with the same index, or moved between namespaces. */
	if (device->hooks[0] && hook_is_attached(device->hooks[0]) && hook_is_attached(device->hooks[1]))
		return 0;
	detach(device);
	return attach(attachments, device);
}

static void drop_unwanted(struct attachments *attachments)
{
	size_t n = 0;

	for (size_t i = 0; i < attachments->n_devices; i++) {
		struct path_device *device = &attachments->devices[i];

		if (!device->hooks[0] || (!device->wanted && device->unwanted_before)) {
			detach(device);
			bpf_map_delete_elem(attachments->programs.devices_map, &device->link.index);
			continue;
		}
		device->unwanted_before = !device->wanted;
		attachments->devices[n++] = *device;
	}
	attachments->n_devices = n;
}

static bool has_device_above(struct attachments *attachments, unsigned int index)
{
	for (size_t i = 0; i < attachments->n_devices; i++)
		if (attachments->devices[i].link.lower == index &&
		    strncmp(attachments->devices[i].link.kind, "macv", 4) == 0)
			return true;
	return false;
}

static void tell_devices(struct attachments *attachments)
{
	for (size_t i = 0; i < attachments->n_devices; i++) {
		struct path_device *device = &attachments->devices[i];
		struct underlay_device value = {
			.check_mac = device->ethernet && has_device_above(attachments, device->link.index)};

		memcpy(value.mac, device->link.mac, sizeof(value.mac));
		bpf_map_update_elem(attachments->programs.devices_map, &device->link.index, &value, BPF_ANY);
	}
}

/* --- routes --- */

static int want_ways(struct attachments *attachments)
{
	int error = 0;

	for (size_t i = 0; i < attachments->lookup.n_indexes; i++) {
		int r = want_device(attachments, attachments->lookup.indexes[i]);

		if (r < 0 && error == 0)
			error = r;
	}
	return error;
}

static int want_names(struct attachments *attachments)
{
	int error = 0;

	for (char **name = attachments->names; *name; name++) {
		struct rtnl_link link;
		int r = rtnl_get_link(attachments->rtnl, *name, 0, &link);

		if (r == 0)
			r = want_device(attachments, link.index);
		if (r < 0 && error == 0)
			error = r;
	}
	return error;
}

int attachments_follow(struct attachments *attachments, const struct wg_peers *peers, bool changed)
{
	int r = 0;

	if (attachments->mode == UNDERLAY_AUTO)
		r = route_lookup_follow(&attachments->lookup, attachments->rtnl, peers,
					&attachments->addresses, changed);
	if (r < 0)
		return r;
	for (size_t i = 0; i < attachments->n_devices; i++)
		attachments->devices[i].wanted = false;
	r = attachments->mode == UNDERLAY_AUTO ? want_ways(attachments) : want_names(attachments);
	drop_unwanted(attachments);
	tell_devices(attachments);
	return r;
}

size_t attachments_count(const struct attachments *attachments)
{
	return attachments->n_devices;
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
