/*
 * The source `wireguard` for the sock device: what a WireGuard tunnel sends to and receives from each peer's
 * endpoint, by the tunnel's own byte counters.
 */

#include "daemon/device/device.h"

#include "common/time_text.h"
#include "daemon/device/interface.h"
#include "daemon/device/wg_account.h"
#include "daemon/device/wg_peers.h"

#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct wireguard {
	struct device device;
	char *interface;
	struct wg_reader *reader;
	struct wg_account *account;
	unsigned int ifindex;
};

static void wireguard_free(struct device *device)
{
	struct wireguard *wireguard = (struct wireguard *)device;

	if (!wireguard)
		return;
	wg_reader_free(wireguard->reader);
	wg_account_free(wireguard->account);
	free(wireguard->interface);
	free(wireguard);
}
DEFINE_CLEANUP(struct device *, wireguard_free);

static int wireguard_set_statistics_enabled(struct device *device, bool enabled)
{
	struct wireguard *wireguard = (struct wireguard *)device;
	_cleanup_wg_peers_ struct wg_peers peers = {};
	int r;

	if (enabled == device->enabled)
		return 0;
	if (enabled) {
		r = wg_reader_read(wireguard->reader, &peers);
		if (r < 0)
			return r;
		r = wg_account_baseline(wireguard->account, &peers, time_now_wall(), time_now_boot());
		if (r < 0)
			return r;
	}
	device->enabled = enabled;
	return 0;
}

static int add_entry(const struct wg_change *change, void *userdata)
{
	struct extraction *extraction = userdata;
	struct connection connection = {
		.src.address = wg_peer_tailnet_address(change->peer),
		.dst = change->endpoint,
	};
	struct counts counts = {
		.tx_bytes = MIN(change->tx_bytes, COUNT_MAX),
		.rx_bytes = MIN(change->rx_bytes, COUNT_MAX),
	};

	return flows_add(&extraction->flows, &connection, &counts);
}

static int wireguard_extract_statistics(struct device *device, struct extraction *ret_extraction)
{
	struct wireguard *wireguard = (struct wireguard *)device;
	_cleanup_wg_peers_ struct wg_peers peers = {};
	struct extraction extraction = {};
	int r = 0;

	if (device->enabled)
		r = wg_reader_read(wireguard->reader, &peers);
	if (device->enabled && r == 0)
		r = wg_account_step(wireguard->account, &peers, time_now_boot(), add_entry, &extraction);
	if (r < 0)
		++extraction.errors;
	*ret_extraction = extraction;
	return r;
}

static void wireguard_get_info(struct device *device, struct device_info *ret_info)
{
	struct wireguard *wireguard = (struct wireguard *)device;

	*ret_info = (struct device_info){
		.source = SOURCE_WIREGUARD,
		.attachment = wg_reader_source(wireguard->reader),
		.interface = wireguard->interface,
		.ifindex = wireguard->ifindex,
	};
}

static int wireguard_get_allowed_ips(struct device *device, struct prefix_list *allowed_ips)
{
	struct wireguard *wireguard = (struct wireguard *)device;
	_cleanup_wg_peers_ struct wg_peers peers = {};
	int r = wg_reader_read(wireguard->reader, &peers);

	for (size_t i = 0; r == 0 && i < peers.n; ++i) {
		for (size_t j = 0; r == 0 && j < peers.items[i].allowed_ips.n; ++j)
			r = prefix_list_add(allowed_ips, &peers.items[i].allowed_ips.items[j]);
	}
	return r;
}

static void wireguard_get_events(struct device *device, void (*event)(const char *text, void *userdata),
				 void *userdata)
{
	struct wireguard *wireguard = (struct wireguard *)device;

	wg_account_events(wireguard->account, event, userdata);
}

static const struct device_ops wireguard_ops = {
	.name = "wireguard",
	.source = SOURCE_WIREGUARD,
	.free = wireguard_free,
	.set_statistics_enabled = wireguard_set_statistics_enabled,
	.extract_statistics = wireguard_extract_statistics,
	.get_info = wireguard_get_info,
	.get_allowed_ips = wireguard_get_allowed_ips,
	.get_events = wireguard_get_events,
};

static const char *explain(int error)
{
	switch (error) {
	case -ENODEV:
		return "no WireGuard interface of this name (no socket in /var/run/wireguard, and the kernel "
		       "knows none)";
	case -EPERM:
	case -EACCES:
		return "no permission to ask for the peers (CAP_NET_ADMIN for kernel WireGuard, root for the "
		       "userspace socket)";
	case -ETIMEDOUT:
		return "the tunnel does not answer";
	case -EBADMSG:
		return "the tunnel's answer makes no sense";
	}
	return "the peers can't be read";
}

static int wireguard_make(const struct device_options *options, struct device **ret_device)
{
	_cleanup_(wireguard_freep) struct device *device = NULL;
	struct wireguard *wireguard = calloc(1, sizeof(*wireguard));
	int r;

	if (!wireguard)
		return -ENOMEM;
	device = &wireguard->device;
	device->ops = &wireguard_ops;
	device->layer = options->layer;
	wireguard->interface = strdup(options->interface);
	if (!wireguard->interface)
		return -ENOMEM;
	wireguard->ifindex = if_nametoindex(options->interface);
	r = wg_reader_new(options->interface, &wireguard->reader);
	if (r == 0)
		r = wg_account_new(&wireguard->account);
	if (r < 0)
		return r;
	*ret_device = TAKE_PTR(device);
	return 0;
}

int device_wireguard_new(const struct device_options *options, struct device **ret_device, char **ret_reason)
{
	int r = options->interface && options->layer == LAYER_SOCK ? wireguard_make(options, ret_device)
								   : -EINVAL;

	if (r < 0 && ret_reason && asprintf(ret_reason, "%s: %s", explain(r), strerror(-r)) < 0)
		*ret_reason = NULL;
	return r;
}
