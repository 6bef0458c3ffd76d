/*
 * Which devices are watched. A route names the device; where that has a master (a bridge's port, a bond's
 * member) packets would be seen on both, so the master is watched in its place. A device above another that
 * is watched too (macvlan) sends its frames through it once more: those are told apart by their source
 * address, VLANs by their tag. An ipvlan's can't be, so the device below it is watched in its place.
 */

#include "daemon/device/underlay_paths.h"

#include "common/buffer.h"
#include "daemon/bpf/underlay_map.h"
#include "daemon/device/hook.h"
#include "daemon/device/interface.h"
#include "daemon/device/underlay_ways.h"
#include "daemon/rtnl.h"

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

struct underlay_paths {
	struct underlay_programs programs;
	enum underlay_mode mode;
	char **names; /* of UNDERLAY_LIST */
	bool without_tcx;
	struct rtnl *rtnl;
	struct path_device devices[UNDERLAY_DEVICES];
	size_t n_devices;
	struct underlay_ways ways; /* of UNDERLAY_AUTO */
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

void underlay_paths_free(struct underlay_paths *paths)
{
	if (!paths)
		return;
	underlay_paths_detach(paths);
	for (char **name = paths->names; name && *name; name++)
		free(*name);
	free(paths->names);
	underlay_ways_deinit(&paths->ways);
	rtnl_addresses_deinit(&paths->addresses);
	rtnl_addresses_deinit(&paths->addresses_before);
	rtnl_free(paths->rtnl);
	buffer_deinit(&paths->description);
	free(paths);
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

int underlay_paths_new(const struct underlay_options *options, const struct underlay_programs *programs,
		       struct underlay_paths **ret_paths)
{
	_cleanup_(underlay_paths_freep) struct underlay_paths *paths = calloc(1, sizeof(*paths));
	int r;

	if (!paths)
		return -ENOMEM;
	paths->programs = *programs;
	paths->mode = options->mode;
	paths->without_tcx = options->without_tcx;
	paths->ways.tunnel = options->tunnel;
	r = copy_names(options->devices, &paths->names);
	if (r == 0)
		r = rtnl_new(&paths->rtnl);
	if (r < 0)
		return r;
	*ret_paths = TAKE_PTR(paths);
	return 0;
}

void underlay_paths_detach(struct underlay_paths *paths)
{
	for (size_t i = 0; i < paths->n_devices; i++)
		detach(&paths->devices[i]);
	paths->n_devices = 0;
}

/* --- addresses --- */

static bool holds(const struct rtnl_addresses *addresses, const struct address *address)
{
	for (size_t i = 0; i < addresses->n; i++)
		if (address_compare(&addresses->items[i].local, address) == 0)
			return true;
	return false;
}

bool underlay_paths_is_local(const struct underlay_paths *paths, const struct address *address)
{
	return holds(&paths->addresses, address) || holds(&paths->addresses_before, address);
}

static struct underlay_local local_key(const struct address *address)
{
	struct underlay_local key = {.family = address->family};

	memcpy(key.address, address->bytes, sizeof(key.address));
	return key;
}

/* An address that is not in the map costs exactness nothing: see `others` in the program. */
int underlay_paths_follow_addresses(struct underlay_paths *paths)
{
	struct rtnl_addresses addresses = {};
	int r = rtnl_get_addresses(paths->rtnl, &addresses);

	if (r < 0)
		return r;
	for (size_t i = 0; i < addresses.n; i++) {
		struct underlay_local key = local_key(&addresses.items[i].local);
		uint8_t value = 1;

		bpf_map_update_elem(paths->programs.locals_map, &key, &value, BPF_ANY);
	}
	for (size_t i = 0; i < paths->addresses.n; i++) {
		struct underlay_local key = local_key(&paths->addresses.items[i].local);

		if (!holds(&addresses, &paths->addresses.items[i].local))
			bpf_map_delete_elem(paths->programs.locals_map, &key);
	}
	rtnl_addresses_deinit(&paths->addresses_before);
	paths->addresses_before = paths->addresses;
	paths->addresses = addresses;
	return 0;
}

/* --- devices --- */

static struct path_device *find_device(struct underlay_paths *paths, unsigned int index)
{
	for (size_t i = 0; i < paths->n_devices; i++)
		if (paths->devices[i].link.index == index)
			return &paths->devices[i];
	return NULL;
}

static int attach(struct underlay_paths *paths, struct path_device *device)
{
	int programs[2] = {[HOOK_INGRESS] = paths->programs.ingress[device->ethernet],
			   [HOOK_EGRESS] = paths->programs.egress[device->ethernet]};

	for (size_t i = 0; i < ARRAY_SIZE(programs); i++) {
		struct hook_options options = {
			.ifindex = device->link.index,
			.direction = (enum hook_direction)i,
			.program_fd = programs[i],
			.without_tcx = paths->without_tcx,
		};
		int r = hook_attach(&options, &device->hooks[i]);

		if (r < 0) {
			detach(device);
			return r;
		}
	}
	return 0;
}

static int add_device(struct underlay_paths *paths, const struct rtnl_link *link)
{
	struct path_device device = {.link = *link, .wanted = true};
	struct interface interface;
	int r = interface_find(link->name, &interface);

	if (r < 0)
		return r;
	if (paths->n_devices == UNDERLAY_DEVICES)
		return -E2BIG;
	device.ethernet = interface.l2_length != 0;
	r = attach(paths, &device);
	if (r == 0)
		paths->devices[paths->n_devices++] = device;
	return r;
}

/* The one to watch in a link's place; 0: itself. */
static unsigned int next_link(const struct rtnl_link *link)
{
	return strncmp(link->kind, "ipv", 3) == 0 && link->lower ? link->lower : link->master;
}

/* A VRF is no master in this sense: packets are seen on its members alone. */
static int top_link(struct underlay_paths *paths, unsigned int index, struct rtnl_link *ret_link)
{
	struct rtnl_link next;
	int r = rtnl_get_link(paths->rtnl, NULL, index, ret_link);

	for (unsigned int i = 0; r == 0 && next_link(ret_link) && i < LINKS_MAX; i++) {
		r = rtnl_get_link(paths->rtnl, NULL, next_link(ret_link), &next);
		if (r < 0 || strcmp(next.kind, "vrf") == 0)
			break;
		*ret_link = next;
	}
	return r;
}

static int want_device(struct underlay_paths *paths, unsigned int index)
{
	struct rtnl_link link;
	struct path_device *device;
	int r = top_link(paths, index, &link);

	if (r < 0)
		return r;
	device = find_device(paths, link.index);
	if (!device)
		return add_device(paths, &link);
	device->wanted = true;
	device->link = link;
	/* An interface that went away and came back with the same index, or moved between namespaces. */
	if (device->hooks[0] && hook_is_attached(device->hooks[0]) && hook_is_attached(device->hooks[1]))
		return 0;
	detach(device);
	return attach(paths, device);
}

static void drop_unwanted(struct underlay_paths *paths)
{
	size_t n = 0;

	for (size_t i = 0; i < paths->n_devices; i++) {
		struct path_device *device = &paths->devices[i];

		if (!device->hooks[0] || (!device->wanted && device->unwanted_before)) {
			detach(device);
			bpf_map_delete_elem(paths->programs.devices_map, &device->link.index);
			continue;
		}
		device->unwanted_before = !device->wanted;
		paths->devices[n++] = *device;
	}
	paths->n_devices = n;
}

static bool has_device_above(struct underlay_paths *paths, unsigned int index)
{
	for (size_t i = 0; i < paths->n_devices; i++)
		if (paths->devices[i].link.lower == index &&
		    strncmp(paths->devices[i].link.kind, "macv", 4) == 0)
			return true;
	return false;
}

static void tell_devices(struct underlay_paths *paths)
{
	for (size_t i = 0; i < paths->n_devices; i++) {
		struct path_device *device = &paths->devices[i];
		struct underlay_device value = {.check_mac = device->ethernet &&
							     has_device_above(paths, device->link.index)};

		memcpy(value.mac, device->link.mac, sizeof(value.mac));
		bpf_map_update_elem(paths->programs.devices_map, &device->link.index, &value, BPF_ANY);
	}
}

/* --- routes --- */

static int want_ways(struct underlay_paths *paths)
{
	int error = 0;

	for (size_t i = 0; i < paths->ways.n_indexes; i++) {
		int r = want_device(paths, paths->ways.indexes[i]);

		if (r < 0 && error == 0)
			error = r;
	}
	return error;
}

static int want_names(struct underlay_paths *paths)
{
	int error = 0;

	for (char **name = paths->names; *name; name++) {
		struct rtnl_link link;
		int r = rtnl_get_link(paths->rtnl, *name, 0, &link);

		if (r == 0)
			r = want_device(paths, link.index);
		if (r < 0 && error == 0)
			error = r;
	}
	return error;
}

int underlay_paths_follow(struct underlay_paths *paths, const struct wg_peers *peers, bool changed)
{
	int r = 0;

	if (paths->mode == UNDERLAY_AUTO)
		r = underlay_ways_follow(&paths->ways, paths->rtnl, peers, &paths->addresses, changed);
	if (r < 0)
		return r;
	for (size_t i = 0; i < paths->n_devices; i++)
		paths->devices[i].wanted = false;
	r = paths->mode == UNDERLAY_AUTO ? want_ways(paths) : want_names(paths);
	drop_unwanted(paths);
	tell_devices(paths);
	return r;
}

size_t underlay_paths_count(const struct underlay_paths *paths)
{
	return paths->n_devices;
}

const char *underlay_paths_describe(struct underlay_paths *paths)
{
	struct buffer *text = &paths->description;

	buffer_reset(text);
	if (paths->n_devices == 0)
		buffer_append_text(text, "no device leads to a peer");
	for (size_t i = 0; i < paths->n_devices; i++)
		buffer_printf(text, "%s%s%s", i == 0 ? hook_kind(paths->devices[i].hooks[0]) : "",
			      i == 0 ? " on " : ", ", paths->devices[i].link.name);
	buffer_append_char(text, '\0');
	return buffer_error(text) ? "" : text->data;
}
