/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Counts what a WireGuard tunnel sends to and receives from each peer's endpoint: on the underlay where that
 * works, else from the tunnel's own byte counters. Where both count, the difference is what arrived on the
 * underlay and the tunnel did not accept.
 */

#include "daemon/device/wireguard/wireguard.h"

#include "common/time_text.h"
#include "daemon/device/peers/broker.h"
#include "daemon/device/peers/reader.h"
#include "daemon/device/peers/socket.h"
#include "daemon/device/underlay/underlay.h"
#include "daemon/device/wireguard/account.h"
#include "daemon/net/rtnl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct wireguard {
	struct device device;
	char *interface;
	struct wg_reader *reader;
	struct wg_account *account;
	unsigned int ifindex;
	struct underlay *underlay; /* NULL: only the tunnel's own counters */
	bool underlay_named;	   /* the configuration names its devices */
	char *reason;		   /* why the underlay, or a part of it, is not watched; or NULL */
	uint64_t underlay_rx;	   /* bytes since it was enabled */
	uint64_t tunnel_rx;
	bool ended;	      /* disabled, and its last counts were not handed over yet */
	bool fresh;	      /* nothing has been extracted since it was enabled */
	bool blind;	      /* the tunnel's datagrams pass no device that is watched */
	struct flows pending; /* from the tunnel's counters, for a window in which the underlay saw nothing */
};

static void wireguard_free(struct device *device)
{
	struct wireguard *wireguard = (struct wireguard *)device;

	if (!wireguard)
		return;
	underlay_free(wireguard->underlay);
	free(wireguard->reason);
	flows_deinit(&wireguard->pending);
	wg_reader_free(wireguard->reader);
	wg_account_free(wireguard->account);
	free(wireguard->interface);
	free(wireguard);
}
DEFINE_CLEANUP(struct device *, wireguard_free);

static void explain_missing(struct wireguard *wireguard, int error)
{
	free(wireguard->reason);
	if (asprintf(&wireguard->reason,
		     "bytes only, from the tunnel's own counters: no eBPF on the underlay: %s",
		     device_load_error(error)) < 0)
		wireguard->reason = NULL;
}

static int wireguard_set_statistics_enabled(struct device *device, bool enabled)
{
	struct wireguard *wireguard = (struct wireguard *)device;
	_cleanup_wg_peers_ struct wg_peers peers = {};
	int r;

	if (enabled == device->enabled)
		return 0;
	if (!enabled) {
		if (wireguard->underlay)
			underlay_disable(wireguard->underlay);
		device->enabled = false;
		wireguard->ended = true;
		return 0;
	}
	r = wg_reader_read(wireguard->reader, &peers);
	if (r == 0 && wireguard->underlay) {
		r = underlay_enable(wireguard->underlay, &peers);
		/* The tunnel's own counters remain, unless the configuration names devices. */
		if (r < 0 && !wireguard->underlay_named) {
			underlay_free(TAKE_PTR(wireguard->underlay));
			explain_missing(wireguard, r);
			r = 0;
		}
	}
	if (r == 0)
		r = wg_account_baseline(wireguard->account, &peers, time_now_wall(), time_now_boot());
	if (r < 0 && wireguard->underlay)
		underlay_disable(wireguard->underlay);
	wireguard->underlay_rx = wireguard->tunnel_rx = 0;
	wireguard->ended = false;
	wireguard->fresh = true;
	wireguard->blind = false;
	flows_deinit(&wireguard->pending);
	device->enabled = r == 0;
	return r;
}

/* What the tunnel's counters moved by in one step. */
struct gathering {
	struct flows flows;
	uint64_t tunnel_rx;
};

static int gather(const struct wg_change *change, void *userdata)
{
	struct gathering *gathering = userdata;
	struct connection connection = {
		.src.address = wg_peer_tailnet_address(change->peer),
		.dst = change->endpoint,
	};
	struct counts counts = {
		.tx_bytes = MIN(change->tx_bytes, COUNT_MAX),
		.rx_bytes = MIN(change->rx_bytes, COUNT_MAX),
	};

	gathering->tunnel_rx += change->rx_bytes;
	return flows_add(&gathering->flows, &connection, &counts);
}

static int append_flows(struct flows *to, const struct flows *from)
{
	int r = flows_reserve(to, from->n);

	for (size_t i = 0; r == 0 && i < from->n; i++)
		r = flows_add(to, &from->items[i].connection, &from->items[i].counts);
	return r;
}

/*
 * If the interface was created in another network namespace, its datagrams travel there, and the underlay
 * here sees none. The tunnel's counters are read a moment after the underlay's window has ended, so what only
 * they have may be in the underlay's next window. If that is empty too, datagrams that the tunnel received
 * bypassed the underlay, and the tunnel's counters are used instead. (What the tunnel sent proves nothing: to
 * a peer on the link that is switched off it sends, but nothing leaves.)
 */
static int choose_counters(struct wireguard *wireguard, struct gathering *gathering,
			   struct extraction *extraction)
{
	bool seen = !counts_is_zero(&extraction->totals);
	int r = 0;

	if (wireguard->underlay_named)
		return 0;
	wireguard->blind = !seen && (wireguard->blind || wireguard->pending.n > 0);
	if (wireguard->blind) {
		extraction->has_totals = false;
		r = append_flows(&extraction->flows, &wireguard->pending);
		if (r == 0)
			r = append_flows(&extraction->flows, &gathering->flows);
	}
	flows_deinit(&wireguard->pending);
	if (!seen && !wireguard->blind && !wireguard->fresh && gathering->tunnel_rx > 0) {
		wireguard->pending = gathering->flows;
		gathering->flows = (struct flows){};
	}
	return r;
}

static int wireguard_extract_statistics(struct device *device, struct extraction *ret_extraction)
{
	struct wireguard *wireguard = (struct wireguard *)device;
	_cleanup_wg_peers_ struct wg_peers peers = {};
	struct extraction extraction = {};
	struct gathering gathering = {};
	int reading, r = 0;

	*ret_extraction = extraction;
	if (!device->enabled && !wireguard->ended)
		return 0;
	/* This reading ends the window for the tunnel's counters. */
	reading = wg_reader_read(wireguard->reader, &peers);
	if (wireguard->underlay) {
		r = underlay_extract(wireguard->underlay, wg_account_peers(wireguard->account),
				     reading < 0 ? NULL : &peers, &extraction);
		wireguard->underlay_rx += extraction.totals.rx_bytes;
	}
	if (reading == 0)
		reading = wg_account_step(wireguard->account, &peers, time_now_boot(), gather, &gathering);
	if (!wireguard->underlay) {
		extraction.flows = gathering.flows;
		gathering.flows = (struct flows){};
	} else if (reading == 0 && r == 0) {
		r = choose_counters(wireguard, &gathering, &extraction);
	}
	flows_deinit(&gathering.flows);
	wireguard->tunnel_rx += gathering.tunnel_rx;
	/* The first extraction does not count: until it, only one of the two may have been counting. */
	if (wireguard->fresh)
		wireguard->underlay_rx = wireguard->tunnel_rx = 0;
	wireguard->fresh = false;
	r = reading < 0 ? reading : r;
	wireguard->ended = !device->enabled && r < 0;
	extraction.errors += r < 0;
	*ret_extraction = extraction;
	return r;
}

/* follow_error: the underlay's. */
static const char *describe_missing(struct wireguard *wireguard, int follow_error)
{
	if (wireguard->blind)
		return "bytes only, from the tunnel's own counters: its datagrams pass through no interface that netlogd "
		       "watches";
	if (follow_error < 0) {
		free(wireguard->reason);
		if (asprintf(&wireguard->reason, "part of the underlay is not watched: %s",
			     strerror(-follow_error)) < 0)
			wireguard->reason = NULL;
	} else if (wireguard->underlay) {
		free(TAKE_PTR(wireguard->reason));
	}
	return wireguard->reason;
}

static void wireguard_get_info(struct device *device, struct device_info *ret_info)
{
	struct wireguard *wireguard = (struct wireguard *)device;
	struct underlay_info underlay = {};

	if (wireguard->underlay)
		underlay_get_info(wireguard->underlay, &underlay);
	*ret_info = (struct device_info){
		.source = SOURCE_WIREGUARD,
		.attachment = underlay.devices && device->enabled && !wireguard->blind
				      ? underlay.devices
				      : wg_reader_source(wireguard->reader),
		.reason = describe_missing(wireguard, underlay.follow_error),
		.interface = wireguard->interface,
		.ifindex = wireguard->ifindex,
		.memory = underlay.memory,
	};
	/* Datagrams between the device and the tunnel make this jitter around the true value. */
	if (wireguard->underlay && wireguard->underlay_rx > wireguard->tunnel_rx)
		ret_info->tunnel_dropped_rx = wireguard->underlay_rx - wireguard->tunnel_rx;
}

static int wireguard_get_pressure_fd(struct device *device)
{
	struct wireguard *wireguard = (struct wireguard *)device;

	/* While disabled, nothing is extracted, so nobody would read the changes. */
	return wireguard->underlay && device->enabled ? underlay_changes_fd(wireguard->underlay) : -1;
}

static bool wireguard_wants_extraction(struct device *device)
{
	struct wireguard *wireguard = (struct wireguard *)device;

	return !wireguard->underlay || underlay_wants_extraction(wireguard->underlay);
}

static int add_allowed_ips(const struct wg_peers *peers, struct prefix_list *allowed_ips)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < peers->n; ++i) {
		for (size_t j = 0; r == 0 && j < peers->items[i].allowed_ips.n; ++j)
			r = prefix_list_add(allowed_ips, &peers->items[i].allowed_ips.items[j]);
	}
	return r;
}

/* From the last extraction's reading. A tunnel that does not answer keeps those it had. */
static int wireguard_get_allowed_ips(struct device *device, struct prefix_list *allowed_ips)
{
	struct wireguard *wireguard = (struct wireguard *)device;

	return add_allowed_ips(wg_account_peers(wireguard->account), allowed_ips);
}

static void wireguard_foreach_peer(struct device *device,
				   void (*peer)(const struct device_peer *peer, void *userdata),
				   void *userdata)
{
	const struct wg_peers *peers = wg_account_peers(((struct wireguard *)device)->account);

	_Static_assert(DEVICE_PEER_KEY_SIZE == WG_PEERS_KEY_SIZE, "the key is copied as it is");
	for (size_t i = 0; i < peers->n; i++) {
		const struct wg_peer *from = &peers->items[i];
		struct device_peer to = {
			.endpoint = from->endpoint,
			.last_handshake = from->last_handshake,
			.tx_bytes = from->tx_bytes,
			.rx_bytes = from->rx_bytes,
			.allowed_ips = &from->allowed_ips,
		};

		memcpy(to.public_key, from->public_key, sizeof(to.public_key));
		peer(&to, userdata);
	}
}

int device_wireguard_get_allowed_ips(const char *interface, struct prefix_list *allowed_ips)
{
	_cleanup_(wg_reader_freep) struct wg_reader *reader = NULL;
	_cleanup_wg_peers_ struct wg_peers peers = {};
	int r = wg_reader_new(interface, WG_BROKER_SOCKET, &reader);

	if (r == 0)
		r = wg_reader_read(reader, &peers);
	return r < 0 ? r : add_allowed_ips(&peers, allowed_ips);
}

static void wireguard_get_events(struct device *device, void (*event)(const char *text, void *userdata),
				 void *userdata)
{
	struct wireguard *wireguard = (struct wireguard *)device;

	wg_account_events(wireguard->account, event, userdata);
}

static const struct device_ops wireguard_ops;

/*
 * The tunnel's counters go on from the last reading, so the account moves, with what depends on it. The other
 * device keeps nothing to hand over: the underlay hands over both programs' counts.
 */
static int wireguard_take_over(struct device *device, struct device *from)
{
	struct wireguard *wireguard = (struct wireguard *)device, *other = (struct wireguard *)from;
	struct wg_account *account = wireguard->account;
	int r = 0;

	if (from->ops != &wireguard_ops || !from->enabled || device->enabled ||
	    wireguard->ifindex != other->ifindex || !wireguard->underlay != !other->underlay)
		return -EINVAL;
	if (other->underlay)
		r = underlay_take_over(wireguard->underlay, other->underlay,
				       wg_account_peers(other->account));
	if (r < 0)
		return r;
	other->underlay = NULL;
	wireguard->account = other->account;
	other->account = account;
	wireguard->underlay_rx = other->underlay_rx;
	wireguard->tunnel_rx = other->tunnel_rx;
	wireguard->fresh = other->fresh;
	wireguard->blind = other->blind;
	flows_deinit(&wireguard->pending);
	wireguard->pending = other->pending;
	other->pending = (struct flows){};
	device->enabled = true;
	from->enabled = false;
	return 0;
}

static const struct device_ops wireguard_ops = {
	.name = "wireguard",
	.source = SOURCE_WIREGUARD,
	.free = wireguard_free,
	.set_statistics_enabled = wireguard_set_statistics_enabled,
	.extract_statistics = wireguard_extract_statistics,
	.get_info = wireguard_get_info,
	.get_allowed_ips = wireguard_get_allowed_ips,
	.foreach_peer = wireguard_foreach_peer,
	.get_events = wireguard_get_events,
	.take_over = wireguard_take_over,
	.get_pressure_fd = wireguard_get_pressure_fd,
	.wants_extraction = wireguard_wants_extraction,
};

static const char *explain(int error)
{
	switch (error) {
	case -ENODEV:
		return "no WireGuard interface with this name (no socket in " WG_SOCKET_FOLDER
		       ", and not known "
		       "to the kernel)";
	case -EPERM:
	case -EACCES:
		return "no permission to read the peers (kernel WireGuard needs CAP_NET_ADMIN; userspace "
		       "WireGuard needs root or netlogd-wg-broker.socket)";
	case -ETIMEDOUT:
		return "the tunnel does not answer";
	case -EBADMSG:
		return "the tunnel's answer is invalid";
	}
	return "cannot read the peers";
}

static int make_underlay(struct wireguard *wireguard, const struct device_options *options)
{
	struct underlay_options underlay = {
		.epoch = options->epoch,
		.mode = options->underlay,
		.devices = options->underlay_devices,
		.tunnel = wireguard->ifindex,
		.max_endpoints = options->max_flows,
		.without_tcx = options->without_tcx,
	};
	int r = options->epoch ? 0 : -EOPNOTSUPP;

	if (options->underlay == UNDERLAY_NONE)
		return 0;
	if (r == 0)
		r = underlay_new(&underlay, &wireguard->underlay);
	wireguard->underlay_named = options->underlay == UNDERLAY_LIST;
	if (r == 0 || wireguard->underlay_named)
		return r;
	explain_missing(wireguard, r);
	return 0;
}

/* 0, also when there is no interface of this name (*ret_index is 0 then); or -errno: could not ask. */
static int find_index(const char *name, unsigned int *ret_index)
{
	_cleanup_(rtnl_freep) struct rtnl *rtnl = NULL;
	struct rtnl_link link = {};
	int r = rtnl_new(&rtnl);

	if (r == 0)
		r = rtnl_get_link(rtnl, name, 0, &link);
	if (r < 0 && r != -ENODEV)
		return r;
	*ret_index = r == 0 ? link.index : 0;
	return 0;
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
	r = find_index(options->interface, &wireguard->ifindex);
	if (r < 0)
		return r;
	r = wg_reader_new(options->interface, options->wg_broker ? options->wg_broker : WG_BROKER_SOCKET,
			  &wireguard->reader);
	if (r == 0)
		r = wg_account_new(&wireguard->account);
	if (r == 0)
		r = make_underlay(wireguard, options);
	if (r < 0)
		return r;
	*ret_device = TAKE_PTR(device);
	return 0;
}

int device_wireguard_new(const struct device_options *options, struct device **ret_device, char **ret_reason)
{
	int r = options->interface && options->layer == LAYER_SOCK ? wireguard_make(options, ret_device)
								   : -EINVAL;

	return device_explain(r, explain(r), ret_reason);
}
