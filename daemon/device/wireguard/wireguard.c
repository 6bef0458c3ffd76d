/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Counts what a WireGuard tunnel sends to and receives from each peer's endpoint: on the underlay as far as
 * that shows it, and for the rest by the tunnel's own byte counters, for each peer by itself. What arrived on
 * the underlay and is in no counter of the tunnel, the tunnel did not accept.
 */

#include "daemon/device/wireguard/wireguard.h"

#include "common/buffer.h"
#include "common/plural.h"
#include "common/time_text.h"
#include "daemon/device/peers/broker.h"
#include "daemon/device/peers/names_source.h"
#include "daemon/device/peers/reader.h"
#include "daemon/device/peers/socket.h"
#include "daemon/device/underlay/underlay.h"
#include "daemon/device/wireguard/account.h"
#include "daemon/device/wireguard/balance.h"
#include "daemon/device/wireguard/state.h"
#include "daemon/net/rtnl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Under load a window's end is not known to the datagram, so that some of what passed before the underlay was
 * watched is logged only windows later, when the traffic pauses. */
#define BRIDGED_WINDOWS 12

/* For a busy tunnel to count what it has received. */
#define COUNTED_AFTER NSEC_PER_SEC

static void wireguard_free(struct device *device)
{
	struct wireguard *wireguard = (struct wireguard *)device;

	if (!wireguard)
		return;
	underlay_free(wireguard->underlay);
	free(wireguard->missing);
	buffer_deinit(&wireguard->reason);
	wg_reader_free(wireguard->reader);
	wg_peers_deinit(&wireguard->last);
	wg_account_free(wireguard->account);
	wg_names_source_free(wireguard->names);
	free(wireguard->names_file);
	wg_peers_deinit(&wireguard->told);
	free(wireguard->broker);
	free(wireguard->interface);
	free(wireguard);
}
DEFINE_CLEANUP(struct device *, wireguard_free);

static void explain_missing(struct wireguard *wireguard, int error)
{
	if (asprintf(&wireguard->missing,
		     "bytes only, from the tunnel's own counters: no eBPF on the underlay: %s",
		     device_load_error(error)) < 0)
		wireguard->missing = NULL;
}

/* As if the tunnel had been read before it counted anything. */
static void set_to_zero(struct wg_peers *peers)
{
	for (size_t i = 0; i < peers->n; i++)
		peers->items[i].tx_bytes = peers->items[i].rx_bytes = 0;
}

static void forget_last(struct wireguard *wireguard)
{
	wg_peers_deinit(&wireguard->last);
	wireguard->has_last = false;
}

static int read_peers(struct wireguard *wireguard, struct wg_peers *ret_peers)
{
	int r = wg_reader_read(wireguard->reader, ret_peers);

	if (r == 0)
		wireguard_take_told(wireguard, ret_peers);
	return r;
}

static int wireguard_set_statistics_enabled(struct device *device, bool enabled)
{
	struct wireguard *wireguard = (struct wireguard *)device;
	_cleanup_wg_peers_ struct wg_peers peers = {};
	int r;

	if (enabled == device->enabled)
		return 0;
	wireguard->identities_known = false;
	if (!enabled) {
		/* The tunnel goes on, so both end now. A datagram is shown before the tunnel counts it. */
		if (wireguard->underlay) {
			forget_last(wireguard);
			wireguard->has_last = read_peers(wireguard, &wireguard->last) == 0;
			underlay_disable(wireguard->underlay);
		}
		device->enabled = false;
		wireguard->ended = true;
		return 0;
	}
	r = read_peers(wireguard, &peers);
	if (r == 0 && wireguard->underlay) {
		r = underlay_enable(wireguard->underlay, &peers);
		/* Peers whose device cannot be watched have the tunnel's own counters, unless the
		 * configuration names devices. */
		if (!wireguard->underlay_named)
			r = 0;
	}
	if (r == 0 && wireguard->from_zero)
		set_to_zero(&peers);
	if (r == 0)
		r = wg_account_baseline(wireguard->account, &peers, time_now_wall(), time_now_boot());
	if (r < 0 && wireguard->underlay)
		underlay_disable(wireguard->underlay);
	forget_last(wireguard);
	wireguard->underlay_rx = wireguard->tunnel_rx = 0;
	wireguard->ended = false;
	wireguard->fresh = true;
	wireguard->blind = false;
	wireguard->n_unseen = 0;
	device->enabled = r == 0;
	wireguard->bridged = r == 0 && wireguard->from_zero ? BRIDGED_WINDOWS : 0;
	/* It holds for the first start only. */
	wireguard->from_zero &= r < 0;
	return r;
}

/* --- extracting --- */

/* Bytes that arrived and that the tunnel did not accept: the difference between the underlay's and the
 * tunnel's sums, without what the underlay did not show. */
static void note_received(struct wireguard *wireguard, const struct wireguard_step *step)
{
	const struct extraction *extraction = step->extraction;
	uint64_t tunnel_rx = step->tunnel_rx;
	uint64_t unseen = extraction->unseen.rx_bytes - step->found_rx;
	uint64_t shown = extraction->totals.rx_bytes - unseen;

	wireguard->underlay_rx += shown;
	wireguard->tunnel_rx += tunnel_rx - MIN(unseen, tunnel_rx);
	/* The first extraction does not count: until it, only one of the two may have been counting. */
	if (wireguard->fresh)
		wireguard->underlay_rx = wireguard->tunnel_rx = 0;
	wireguard->fresh = false;
}

/* Once nothing is ahead, there is nothing left to log. */
static void end_bridged_window(struct wireguard *wireguard)
{
	size_t n = wg_account_peers(wireguard->account)->n, ahead = 0;

	for (size_t i = 0; i < n; i++)
		ahead += wg_balance_is_ahead(wg_account_balance(wireguard->account, i));
	if (wireguard->bridged)
		wireguard->bridged = ahead ? wireguard->bridged - 1 : 0;
}

/* Whether the tunnel has had its time. Then it begins anew. */
static bool is_due(struct wireguard *wireguard, int64_t now)
{
	bool due = now - wireguard->due >= COUNTED_AFTER || !wireguard->device.enabled;

	if (due)
		wireguard->due = now;
	return due;
}

static int wireguard_extract_statistics(struct device *device, struct extraction *ret_extraction)
{
	struct wireguard *wireguard = (struct wireguard *)device;
	_cleanup_(underlay_sight_deinit) struct underlay_sight sight = {};
	_cleanup_wg_peers_ struct wg_peers peers = {};
	struct extraction extraction = {};
	struct wireguard_step step = {.wireguard = wireguard, .sight = &sight, .extraction = &extraction};
	int reading, r = 0;

	*ret_extraction = extraction;
	wireguard->identities_known = false;
	if (!device->enabled && !wireguard->ended)
		return 0;
	/* This reading ends the window for the tunnel's counters. */
	if (wireguard->has_last) {
		peers = wireguard->last;
		wireguard->last = (struct wg_peers){};
		reading = 0;
	} else {
		reading = read_peers(wireguard, &peers);
	}
	if (reading == 0)
		reading = wg_account_complete(wireguard->account, &peers);
	if (wireguard->underlay)
		r = underlay_extract(wireguard->underlay, wg_account_peers(wireguard->account),
				     reading < 0 ? NULL : &peers, &sight, &extraction);
	step.drained = r == 0;
	if (reading == 0) {
		step.due = step.drained && is_due(wireguard, time_now_boot());
		if (wireguard->underlay)
			wireguard_note_overflow(wireguard, &sight, step.due);
		wireguard->waiting = 0;
		reading = wg_account_step(wireguard->account, &peers, time_now_boot(), wireguard_take_change,
					  &step);
	} else {
		wireguard_note_unread(wireguard, &sight);
	}
	note_received(wireguard, &step);
	wireguard_list_unseen(wireguard);
	if (reading == 0 && step.drained)
		end_bridged_window(wireguard);
	if (wireguard->retiring && step.drained && reading == 0) {
		underlay_free(TAKE_PTR(wireguard->underlay));
		wireguard->retiring = wireguard->underlay_named = false;
	}
	r = reading < 0 ? reading : r;
	wireguard->has_last = false;
	wireguard->ended = !device->enabled && r < 0;
	extraction.errors += r < 0;
	*ret_extraction = extraction;
	return r;
}

/* Why not all peers are counted on the underlay; NULL: they are. */
static const char *describe_missing(struct wireguard *wireguard, const struct underlay_info *underlay)
{
	struct buffer *text = &wireguard->reason;
	size_t n_peers;

	if (!wireguard->underlay || wireguard->retiring)
		return wireguard->missing;
	buffer_reset(text);
	n_peers = wg_account_peers(wireguard->account)->n;
	for (size_t i = 0; i < wireguard->n_unseen; i++) {
		const struct unseen_peers *group = &wireguard->unseen[i];

		buffer_printf(text, "%s for %zu of %zu %s (",
			      i ? ";" : "bytes only, from the tunnel's own counters,", group->n, n_peers,
			      plural(n_peers, "peer", "peers"));
		for (size_t j = 0; j < MIN(group->n, (size_t)UNSEEN_NAMED); j++)
			buffer_printf(text, "%s%s", j ? ", " : "", group->names[j]);
		buffer_printf(text, "%s): %s", group->n > UNSEEN_NAMED ? ", ..." : "", group->reason);
	}
	if (underlay->follow_error < 0)
		buffer_printf(text, "%spart of the underlay is not watched: %s%s%s", text->length ? "; " : "",
			      underlay->refused, *underlay->refused ? ": " : "",
			      strerror(-underlay->follow_error));
	if (text->length == 0)
		return NULL;
	buffer_append_char(text, '\0');
	return buffer_error(text) ? NULL : text->data;
}

static void wireguard_get_info(struct device *device, struct device_info *ret_info)
{
	struct wireguard *wireguard = (struct wireguard *)device;
	uint64_t received = wireguard->underlay_rx + wireguard->waiting;
	struct underlay_info underlay = {};

	if (wireguard->underlay)
		underlay_get_info(wireguard->underlay, &underlay);
	*ret_info = (struct device_info){
		.source = SOURCE_WIREGUARD,
		.attachment = underlay.devices && device->enabled && !wireguard->blind && !wireguard->retiring
				      ? underlay.devices
				      : wg_reader_source(wireguard->reader),
		.reason = describe_missing(wireguard, &underlay),
		.interface = wireguard->interface,
		.ifindex = wireguard->ifindex,
		.memory = underlay.memory,
		.unseen = wireguard->unseen,
		.n_unseen = wireguard->n_unseen,
		.names_problem = wireguard->names ? wg_names_source_problem(wireguard->names) : NULL,
	};
	/* Datagrams between the device and the tunnel make this jitter around the true value. */
	if (wireguard->underlay && received > wireguard->tunnel_rx)
		ret_info->tunnel_dropped_rx = received - wireguard->tunnel_rx;
}

static int wireguard_get_pressure_fd(struct device *device)
{
	struct wireguard *wireguard = (struct wireguard *)device;

	/* While disabled, nothing is extracted, so nobody would read the changes. */
	return wireguard->underlay && device->enabled && !wireguard->retiring
		       ? underlay_changes_fd(wireguard->underlay)
		       : -1;
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

int device_wireguard_get_allowed_ips(const char *interface, struct prefix_list *allowed_ips)
{
	_cleanup_(wg_reader_freep) struct wg_reader *reader = NULL;
	_cleanup_wg_peers_ struct wg_peers peers = {};
	int r = wg_reader_new(interface, WG_BROKER_SOCKET, &reader);

	if (r == 0)
		r = wg_reader_read(reader, &peers);
	/* Another one's tunnel is none of this interface, and one of which nobody can tell may not be read.
	 */
	if (r == -EXDEV)
		return -ENODEV;
	if (r == -ESRCH)
		return -EACCES;
	return r < 0 ? r : add_allowed_ips(&peers, allowed_ips);
}

static bool is_at_zero(const struct wg_peers *peers)
{
	for (size_t i = 0; i < peers->n; i++)
		if (peers->items[i].tx_bytes || peers->items[i].rx_bytes)
			return false;
	return true;
}

enum device_origin device_wireguard_look(const char *interface)
{
	_cleanup_(wg_reader_freep) struct wg_reader *reader = NULL;
	_cleanup_wg_peers_ struct wg_peers peers = {};
	int r = wg_reader_new(interface, WG_BROKER_SOCKET, &reader);

	/* The interface is missing, or its socket. A tunnel that is elsewhere has one too. */
	if (r == -ENODEV) {
		r = wg_reader_new_userspace(WG_SOCKET_FOLDER, WG_BROKER_SOCKET, interface, &reader);
		if (r == -ENODEV)
			return DEVICE_ORIGIN_NO_SOCKET;
	}
	if (r == 0)
		r = wg_reader_read(reader, &peers);
	return r == 0 && !peers.interrupted && is_at_zero(&peers) ? DEVICE_ORIGIN_ZERO
								  : DEVICE_ORIGIN_UNKNOWN;
}

static void wireguard_get_events(struct device *device,
				 void (*event)(const struct device_event *event, void *userdata),
				 void *userdata)
{
	struct wireguard *wireguard = (struct wireguard *)device;

	wg_account_events(wireguard->account, wireguard_names(wireguard), event, userdata);
}

static const struct device_ops wireguard_ops;

/* The tunnel's counters have what passes while an underlay begins or ends. */
static int take_over_underlay(struct wireguard *wireguard, struct wireguard *other)
{
	const struct wg_peers *peers = wg_account_peers(other->account);
	int r = 0;

	if (!other->underlay) {
		if (wireguard->underlay)
			r = underlay_enable(wireguard->underlay, peers);
		if (r < 0 && wireguard->underlay_named) {
			underlay_disable(wireguard->underlay);
			return r;
		}
		return 0;
	}
	if (wireguard->underlay) {
		r = underlay_take_over(wireguard->underlay, other->underlay, peers);
		if (r < 0)
			return r;
	} else {
		wireguard->underlay = other->underlay;
		wireguard->retiring = true;
		underlay_disable(wireguard->underlay);
	}
	other->underlay = NULL;
	return 0;
}

/*
 * The tunnel's counters go on from the last reading, so the account moves, with what depends on it. The other
 * device keeps nothing to hand over: this one's underlay hands over the counts of both.
 */
static int wireguard_take_over(struct device *device, struct device *from)
{
	struct wireguard *wireguard = (struct wireguard *)device, *other = (struct wireguard *)from;
	struct wg_account *account = wireguard->account;
	bool had_underlay;
	int r;

	if (from->ops != &wireguard_ops || !from->enabled || device->enabled ||
	    wireguard->ifindex != other->ifindex || other->retiring)
		return -EINVAL;
	had_underlay = other->underlay != NULL;
	r = take_over_underlay(wireguard, other);
	if (r < 0)
		return r;
	wireguard->account = other->account;
	other->account = account;
	wireguard->identities_known = false;
	/* Bytes are compared with the underlay's while both count. */
	wireguard->fresh = other->fresh || wireguard->retiring || !had_underlay;
	if (!wireguard->fresh) {
		wireguard->underlay_rx = other->underlay_rx;
		wireguard->tunnel_rx = other->tunnel_rx;
	}
	if (wireguard->underlay && !wireguard->retiring) {
		wireguard->blind = other->blind;
		memcpy(wireguard->unseen, other->unseen, sizeof(wireguard->unseen));
		wireguard->n_unseen = other->n_unseen;
	}
	wireguard->bridged = had_underlay ? other->bridged : BRIDGED_WINDOWS;
	wireguard->from_zero = false;
	wireguard->socket_drops = other->socket_drops;
	wireguard->largest = other->largest;
	wireguard->due = other->due;
	wireguard->overflow = other->overflow;
	wireguard->overflow_since = other->overflow_since;
	wireguard->waiting = other->waiting;
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
	.set_names = wireguard_set_names,
	.set_address = wireguard_set_address,
	.identities = wireguard_identities,
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
	case -EXDEV:
		return "the socket of this name in " WG_SOCKET_FOLDER
		       " belongs to an interface of another network namespace";
	case -ESRCH:
		return "whose socket it is in " WG_SOCKET_FOLDER
		       " cannot be told: the tunnel's process is not visible from here";
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

/* With the kernel's name of the interface, which may have others. 0, also when there is none (the index is 0
 * then); or -errno: could not ask. */
static int find_interface(const char *name, unsigned int *ret_index, char ret_name[static IFNAMSIZ])
{
	_cleanup_(rtnl_freep) struct rtnl *rtnl = NULL;
	struct rtnl_link link = {};
	int r = rtnl_new(&rtnl);

	if (r == 0)
		r = rtnl_get_link(rtnl, name, 0, &link);
	if (r < 0 && r != -ENODEV)
		return r;
	*ret_index = r == 0 ? link.index : 0;
	snprintf(ret_name, IFNAMSIZ, "%s", r == 0 ? link.name : name);
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
	wireguard->broker = strdup(options->wg_broker ? options->wg_broker : WG_BROKER_SOCKET);
	if (!wireguard->interface || !wireguard->broker)
		return -ENOMEM;
	r = find_interface(options->interface, &wireguard->ifindex, wireguard->link_name);
	if (r < 0)
		return r;
	r = wg_reader_new(options->interface, wireguard->broker, &wireguard->reader);
	/* Of a kernel tunnel, a missing socket says nothing. */
	wireguard->from_zero = options->origin == DEVICE_ORIGIN_ZERO ||
			       (options->origin == DEVICE_ORIGIN_NO_SOCKET && r == 0 &&
				wg_reader_is_userspace(wireguard->reader));
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
