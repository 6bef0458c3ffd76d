/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Choosing a source for a layer: "auto" goes through a list from best to worst and takes the first that
 * works; the errors of the others are kept for `status`. A missing interface is no reason to take a worse
 * source: the layer waits for it.
 */

#include "daemon/logger/layer.h"

#include "common/cleanup.h"
#include "common/config/keys.h"
#include "common/parse.h"
#include "common/time_text.h"
#include "daemon/device/tailscale/tailscale.h"
#include "daemon/device/wireguard/wireguard.h"
#include "daemon/net/rtnl.h"

#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>

/* From best to worst. */
static const struct layer_source real_sources[] = {
	{SOURCE_EBPF, device_ebpf_new, {[LAYER_TUN] = LAYER_USE_AUTO}},
	{SOURCE_PACKET, device_packet_new, {[LAYER_TUN] = LAYER_USE_AUTO}},
	{SOURCE_TAILSCALE, device_tailscale_new, {[LAYER_SOCK] = LAYER_USE_AUTO}},
	{SOURCE_WIREGUARD, device_wireguard_new, {[LAYER_SOCK] = LAYER_USE_AUTO}},
	{SOURCE_STATS, device_stats_new, {LAYER_USE_NAMED, LAYER_USE_NAMED}},
	{SOURCE_NONE, device_none_new, {[LAYER_TUN] = LAYER_USE_NAMED, [LAYER_SOCK] = LAYER_USE_AUTO}},
	{},
};

void layer_init(struct layer *layer, enum device_layer which, struct epoch *epoch)
{
	*layer = (struct layer){.which = which, .sources = real_sources, .epoch = epoch};
}

void layer_deinit(struct layer *layer)
{
	layer_drop_next(layer);
	layer_close(layer);
	rtnl_free(layer->rtnl);
	free(layer->config.interface);
	free(layer->config.stats_socket);
	free(layer->tailscale_socket);
	strv_free(layer->underlay_devices);
	free(layer->reason);
}

const char *layer_name(const struct layer *layer)
{
	return layer->which == LAYER_TUN ? "tun" : "sock";
}

const char *layer_state_name(enum layer_state state)
{
	static const char *const names[] = {
		[LAYER_STATE_STOPPED] = "stopped", [LAYER_STATE_COUNTING] = "counting",
		[LAYER_STATE_WAITING] = "waiting", [LAYER_STATE_LOST] = "lost",
		[LAYER_STATE_FAILED] = "failed",
	};

	return names[state];
}

/* Start may name another one. */
static const char *find_tailscale_socket(const struct config *config, const struct device_config *device)
{
	return device->source == SOURCE_TAILSCALE && device->stats_socket ? device->stats_socket
									  : config->tailscale_socket;
}

/* Only an interface of this name is taken for Tailscale's, unless the source is named. */
static bool may_be_tailscale(const struct device_config *device)
{
	if (device->source == SOURCE_AUTO)
		return device->interface && strcmp(device->interface, TAILSCALE_INTERFACE) == 0;
	return device->source == SOURCE_TAILSCALE;
}

int layer_configure(struct layer *layer, const struct config *config, const struct device_config *device)
{
	_cleanup_free_ char *interface = NULL, *stats_socket = NULL, *tailscale_socket = NULL;
	char **devices;

	if (text_copy(device->interface, &interface) < 0 ||
	    text_copy(device->stats_socket, &stats_socket) < 0 ||
	    text_copy(find_tailscale_socket(config, device), &tailscale_socket) < 0 ||
	    strv_copy(config->underlay_devices, &devices) < 0)
		return -ENOMEM;
	free(layer->config.interface);
	free(layer->config.stats_socket);
	free(layer->tailscale_socket);
	strv_free(layer->underlay_devices);
	layer->config = (struct device_config){
		.source = device->source,
		.interface = TAKE_PTR(interface),
		.stats_socket = TAKE_PTR(stats_socket),
	};
	layer->underlay_devices = devices;
	layer->tailscale_socket = TAKE_PTR(tailscale_socket);
	layer->underlay = config->underlay;
	layer->max_flows = config->max_flows;
	layer->details = layer->which == LAYER_TUN && config->details;
	layer->origin = DEVICE_ORIGIN_UNKNOWN;
	return 0;
}

bool layer_differs(const struct layer *layer, const struct config *config, const struct device_config *device)
{
	/* A device that counts nothing has no room to be changed. */
	bool none =
		device->source == SOURCE_NONE || (layer->device && layer->device->ops->source == SOURCE_NONE);

	if (!device_config_equal(&layer->config, device))
		return true;
	if (layer->max_flows != config->max_flows && !none)
		return true;
	if (layer->which == LAYER_TUN)
		return layer->details != config->details && !none;
	if (may_be_tailscale(device) &&
	    !text_equal(layer->tailscale_socket, find_tailscale_socket(config, device)))
		return true;
	return layer->underlay != config->underlay ||
	       !strv_equal(layer->underlay_devices, config->underlay_devices);
}

/* "ebpf: <why>; packet: <why>" */
static void add_reason(struct layer *layer, enum device_source source, const char *why, int error)
{
	_cleanup_free_ char *old = TAKE_PTR(layer->reason);
	char *text;

	if (asprintf(&text, "%s%s%s: %s", old ? old : "", old ? "; " : "", device_source_name(source),
		     why ? why : strerror(-error)) < 0)
		return;
	layer->reason = text;
}

static int make_device(const struct layer *layer, const struct layer_source *source, bool ahead,
		       struct device **ret_device, char **ret_reason)
{
	struct device_options options = {
		.layer = layer->which,
		.interface = layer->config.interface,
		.stats_socket = layer->config.stats_socket,
		.max_flows = layer->max_flows,
		.details = layer->details,
		.underlay = layer->underlay,
		.underlay_devices = layer->underlay_devices,
		.tailscale_socket = layer->tailscale_socket,
		.origin = layer->origin,
		.ahead = ahead,
		.epoch = layer->epoch,
	};

	return source->make(&options, ret_device, ret_reason);
}

static int try_source(struct layer *layer, const struct layer_source *source)
{
	_cleanup_free_ char *reason = NULL;
	int r = make_device(layer, source, false, &layer->device, &reason);

	if (r >= 0)
		r = layer->enabled ? layer->device->ops->set_statistics_enabled(layer->device, true) : 0;
	if (r < 0) {
		device_free(TAKE_PTR(layer->device));
		add_reason(layer, source->source, reason, r);
	}
	return r;
}

static bool is_wanted(const struct layer *layer, const struct layer_source *source)
{
	enum layer_use use = source->use[layer->which];

	if (source->source == SOURCE_TAILSCALE && !may_be_tailscale(&layer->config))
		return false;
	if (layer->config.source == SOURCE_AUTO)
		return use == LAYER_USE_AUTO;
	return use != LAYER_USE_NOT && source->source == layer->config.source;
}

/* Without a descriptor, no source can show what it can do: none is chosen for that, or given up. */
static bool no_descriptor(int r)
{
	return r == -EMFILE || r == -ENFILE;
}

/* Takes the first source that works; auto tries all of its sources, but not `except` and worse ones. */
static int choose_source(struct layer *layer, enum device_source except)
{
	enum device_source wanted = layer->config.source;
	int r = -EOPNOTSUPP;

	free(TAKE_PTR(layer->reason));
	for (const struct layer_source *source = layer->sources; source->make; source++) {
		if (wanted == SOURCE_AUTO && source->source == except)
			break;
		if (!is_wanted(layer, source))
			continue;
		r = try_source(layer, source);
		if (r >= 0 || (r == -ENODEV && wanted != SOURCE_AUTO) || no_descriptor(r))
			break;
	}
	if (r < 0 && !layer->reason)
		add_reason(layer, wanted, "not a source for this device", r);
	/* Loading eBPF programs takes megabytes for a moment, for the kernel's type information. */
	if (r >= 0)
		malloc_trim(0);
	return r;
}

/* Loads what takes time while the interface is missing. Without it, the device is made when it comes. */
static void make_ready(struct layer *layer)
{
	_cleanup_free_ char *reason = NULL, *no_bridge = NULL;

	for (const struct layer_source *source = layer->sources; source->make; source++) {
		if (!is_wanted(layer, source))
			continue;
		if (source->source != SOURCE_EBPF || layer->ready)
			break;
		make_device(layer, source, true, &layer->ready, &reason);
		break;
	}
	for (const struct layer_source *source = layer->sources; source->make && layer->ready; source++)
		if (source->source == SOURCE_PACKET && !layer->bridge)
			make_device(layer, source, true, &layer->bridge, &no_bridge);
}

/* A layer with the same settings. */
static struct layer *copy_layer(const struct layer *layer)
{
	struct layer *copy = calloc(1, sizeof(*copy));

	if (!copy)
		return NULL;
	layer_init(copy, layer->which, layer->epoch);
	copy->sources = layer->sources;
	copy->config.source = layer->config.source;
	copy->max_flows = layer->max_flows;
	copy->details = layer->details;
	copy->underlay = layer->underlay;
	if (text_copy(layer->config.interface, &copy->config.interface) < 0 ||
	    text_copy(layer->config.stats_socket, &copy->config.stats_socket) < 0 ||
	    text_copy(layer->tailscale_socket, &copy->tailscale_socket) < 0 ||
	    strv_copy(layer->underlay_devices, &copy->underlay_devices) < 0) {
		layer_deinit(copy);
		free(copy);
		return NULL;
	}
	return copy;
}

/* The interface is there: what is ready begins. */
static int use_ready(struct layer *layer)
{
	struct device *device = layer->ready, *bridge = layer->bridge;
	struct layer *next = NULL;
	int r = device->ops->find_interface(device);

	if (r == -ENODEV)
		return r;
	layer->ready = layer->bridge = NULL;
	if (r == 0 && bridge && layer->enabled && bridge->ops->find_interface(bridge) == 0 &&
	    bridge->ops->set_statistics_enabled(bridge, true) == 0)
		next = copy_layer(layer);
	if (r == 0 && layer->enabled)
		r = device->ops->set_statistics_enabled(device, true);
	if (r < 0) {
		device_free(device);
		device_free(bridge);
		if (next)
			layer_deinit(next);
		free(next);
		return r;
	}
	free(TAKE_PTR(layer->reason));
	if (next) {
		layer->device = bridge;
		layer->next = next;
		next->device = device;
		next->enabled = true;
		next->state = LAYER_STATE_COUNTING;
	} else {
		layer->device = device;
		device_free(bridge);
	}
	return 0;
}

/* 0; -ENODEV, by the kernel's own word; or another -errno: could not ask. */
static int find_interface(struct layer *layer, unsigned int *ret_index)
{
	struct rtnl_link link;
	int r = layer->rtnl ? 0 : rtnl_new(&layer->rtnl);

	if (r == 0)
		r = rtnl_get_link(layer->rtnl, layer->config.interface, 0, &link);
	layer->question_error = r == -ENODEV ? 0 : r;
	layer->errors += layer->question_error < 0;
	if (r == 0)
		*ret_index = link.index;
	return r;
}

static enum device_origin look_at_tunnel(const struct layer *layer)
{
	if (layer->which == LAYER_SOCK && may_be_tailscale(&layer->config) && layer->tailscale_socket)
		return device_tailscale_look(layer->tailscale_socket);
	if (!layer->config.interface)
		return DEVICE_ORIGIN_UNKNOWN;
	for (const struct layer_source *source = layer->sources; source->make; source++)
		if (source->source == SOURCE_WIREGUARD && is_wanted(layer, source))
			return device_wireguard_look(layer->config.interface);
	return DEVICE_ORIGIN_UNKNOWN;
}

/* A tunnel that is counted has no use for it, and it is no proof for the one after that. */
static void note_origin(struct layer *layer)
{
	bool counted = layer->device && layer->device->ops->source != SOURCE_NONE;

	layer->origin = counted ? DEVICE_ORIGIN_UNKNOWN : look_at_tunnel(layer);
}

int layer_open(struct layer *layer)
{
	enum device_source wanted = layer->config.source;
	unsigned int index;
	int r = -ENOENT;

	if (layer->device)
		return 0;
	if (layer->ready)
		r = use_ready(layer);
	/* What is ready may be of no use after all. */
	if (r < 0 && r != -ENODEV && layer->config.interface && wanted != SOURCE_NONE &&
	    wanted != SOURCE_STATS)
		r = find_interface(layer, &index) == -ENODEV ? -ENODEV : r;
	if (r == -ENODEV) {
		free(layer->reason);
		if (asprintf(&layer->reason, "waiting for interface %s", layer->config.interface) < 0)
			layer->reason = NULL;
		make_ready(layer);
	} else if (r < 0) {
		r = choose_source(layer, SOURCE_AUTO);
	}
	if (r >= 0 || r == -ENODEV)
		note_origin(layer);
	if (r >= 0) {
		layer->state = LAYER_STATE_COUNTING;
		return 0;
	}
	if (r == -ENODEV) {
		if (layer->state != LAYER_STATE_LOST)
			layer->state = LAYER_STATE_WAITING;
		return 0;
	}
	layer->state = LAYER_STATE_FAILED;
	return r;
}

bool layer_improve(struct layer *layer)
{
	struct device *none = layer->device;

	if (!none || layer->config.source != SOURCE_AUTO || none->ops->source != SOURCE_NONE)
		return false;
	layer->device = NULL;
	if (choose_source(layer, SOURCE_NONE) < 0) {
		layer->device = none;
		note_origin(layer);
		return false;
	}
	device_free(none);
	note_origin(layer);
	return true;
}

void layer_close(struct layer *layer)
{
	for (size_t i = 0; i < LAYER_LEAVING_MAX; i++)
		device_free(TAKE_PTR(layer->leaving[i]));
	extraction_deinit(&layer->last);
	device_free(TAKE_PTR(layer->device));
	device_free(TAKE_PTR(layer->ready));
	device_free(TAKE_PTR(layer->bridge));
	layer->gone = false;
	layer->question_error = 0;
	layer->state = LAYER_STATE_STOPPED;
}

int layer_set_enabled(struct layer *layer, bool enabled)
{
	int r = 0;

	if (layer->device)
		r = layer->device->ops->set_statistics_enabled(layer->device, enabled);
	if (r >= 0)
		layer->enabled = enabled;
	return r;
}

static int extract_from(struct device *device, const struct flow_taker *taker, struct extraction *extraction)
{
	int r;

	device->taker = taker;
	r = device->ops->extract_statistics(device, extraction);
	device->taker = NULL;
	if (r < 0 && r != -ENODEV && extraction->errors == 0)
		extraction->errors = 1;
	return r;
}

/* The last counts of a device that another one took over from; if they cannot be read now, then next time. */
static void extract_leaving(struct layer *layer, const struct flow_taker *taker,
			    struct extraction *extraction)
{
	size_t kept = 0;

	for (size_t i = 0; i < LAYER_LEAVING_MAX && layer->leaving[i]; i++) {
		struct device *device = TAKE_PTR(layer->leaving[i]);
		struct extraction last = {};
		int r = extract_from(device, taker, &last);

		extraction_merge(extraction, &last);
		if (r >= 0 || r == -ENODEV)
			device_free(device);
		else
			layer->leaving[kept++] = device;
	}
}

/* What devices have counted that another one took over from. */
static void extract_earlier(struct layer *layer, const struct flow_taker *taker,
			    struct extraction *ret_extraction)
{
	*ret_extraction = (struct extraction){.has_totals = true, .taker = taker};
	if (layer->last.flows.n > 0 || !counts_is_zero(&layer->last.totals) || layer->last.errors)
		extraction_merge(ret_extraction, &layer->last);
	extract_leaving(layer, taker, ret_extraction);
	/* The taker gets it before anything of the next device. */
	if (taker && ret_extraction->flows.n > 0)
		extraction_reserve(ret_extraction, EXTRACTION_SLICE);
}

/* In the order of time, as details are joined. */
static void extract(struct layer *layer, const struct flow_taker *taker, struct extraction *extraction)
{
	struct extraction earlier, own = {};

	if (!layer->device)
		return;
	extract_earlier(layer, taker, &earlier);
	if (extract_from(layer->device, taker, &own) == -ENODEV)
		layer->gone = true;
	extraction_merge(&earlier, &own);
	*extraction = earlier;
	counts_add(&layer->totals, &extraction->totals);
	counts_add(&layer->overflow, &extraction->overflow);
	counts_add(&layer->unknown, &extraction->unknown);
	counts_add(&layer->unseen, &extraction->unseen);
	counts_add(&layer->inexact, &extraction->inexact);
	layer->bypassed += extraction->bypassed;
	layer->lost_details += extraction->lost_details;
	layer->errors += extraction->errors;
}

static void throw_away(struct flows *flows, void *userdata)
{
	(void)flows;
	(void)userdata;
}

/* What it counted before it was to count. */
static void discard(struct layer *layer)
{
	static const struct flow_taker taker = {.take = throw_away};
	struct extraction extraction = {};

	extract(layer, &taker, &extraction);
	extraction_deinit(&extraction);
}

/* A userspace VPN has only one set of counts, however many read them. */
static bool same_counts(const struct layer *a, const struct layer *b)
{
	const char *ours = a->config.stats_socket, *theirs = b->config.stats_socket;

	return a->config.source == SOURCE_STATS && b->config.source == SOURCE_STATS &&
	       (ours == theirs || (ours && theirs && strcmp(ours, theirs) == 0));
}

/* Whether both devices see the same packets. */
static bool same_traffic(const struct layer *layer, const struct layer *next)
{
	struct device_info ours = {}, theirs = {};

	if (!layer->device || !next->device || !layer->enabled)
		return false;
	layer->device->ops->get_info(layer->device, &ours);
	next->device->ops->get_info(next->device, &theirs);
	return ours.ifindex != 0 && ours.ifindex == theirs.ifindex;
}

/* Two programs on one interface would read the epoch one after the other, and a flip in between would lose
 * the packet or count it twice: so the new device counts only once it has taken over. */
static bool can_follow(const struct layer *layer, const struct layer *next)
{
	return same_traffic(layer, next) && layer->device->ops == next->device->ops &&
	       next->device->ops->take_over;
}

/* Whether a flip of the epoch alone ends a device's counting, or begins it, exactly. */
static bool by_epoch(const struct device *device)
{
	return device->ops->source == SOURCE_EBPF;
}

int layer_prepare(struct layer *layer, const struct config *config, const struct device_config *device)
{
	struct layer *next = calloc(1, sizeof(*next));
	int r;

	if (!next)
		return -ENOMEM;
	layer_init(next, layer->which, layer->epoch);
	next->sources = layer->sources;
	r = layer_configure(next, config, device);
	if (r < 0) {
		free(next);
		return r;
	}
	r = layer_open(next);
	if (no_descriptor(r)) {
		layer_deinit(next);
		free(next);
		return r;
	}
	next->follows = can_follow(layer, next);
	layer->next = next;
	if (next->follows)
		return 0;
	/* The one that counts only when the other has ended, since the epoch does not separate them. */
	if (same_traffic(layer, next) && next->device->ops->source == SOURCE_PACKET)
		return 0;
	if (layer_set_enabled(next, true) < 0) {
		/* `auto` may know another source. */
		layer_close(next);
		next->enabled = true;
		layer_open(next);
	}
	return 0;
}

void layer_end_current(struct layer *layer)
{
	struct layer *next = layer->next;

	if (!next || next->follows || same_counts(layer, next))
		return;
	layer->ended = time_now_boot();
	if (layer->device && !(by_epoch(layer->device) && same_traffic(layer, next)))
		layer->device->ops->set_statistics_enabled(layer->device, false);
}

void layer_begin_next(struct layer *layer)
{
	struct layer *next = layer->next;
	int64_t begun = time_now_boot();

	if (!next || next->follows || same_counts(layer, next))
		return;
	if (next->device && !next->device->enabled) {
		if (layer_set_enabled(next, true) < 0) {
			layer_close(next);
			next->state = LAYER_STATE_FAILED;
		}
		begun = time_now_boot();
	} else if (next->device) {
		discard(next);
		if (!by_epoch(next->device))
			begun = time_now_boot();
	}
	next->enabled = next->begun = true;
	layer->gap = same_traffic(layer, next) ? begun - layer->ended : 0;
}

void layer_drop_next(struct layer *layer)
{
	struct layer *next = TAKE_PTR(layer->next);

	if (!next)
		return;
	if (!same_counts(layer, next) && next->device && next->device->enabled)
		layer_set_enabled(next, false);
	layer_deinit(next);
	free(next);
}

/* Its last counts are still to be extracted. */
static void let_go(struct layer *layer, struct device *device)
{
	size_t n = 0;

	while (n < LAYER_LEAVING_MAX && layer->leaving[n])
		n++;
	if (n == LAYER_LEAVING_MAX) {
		layer->errors++;
		device_free(layer->leaving[0]);
		memmove(layer->leaving, layer->leaving + 1, --n * sizeof(*layer->leaving));
	}
	layer->leaving[n] = device;
}

/* What was to take over from the old device cannot: it begins after the other one's end. */
static void begin_after(struct layer *layer, struct device *old)
{
	int64_t ended = time_now_boot();
	struct extraction last = {};
	int r;

	old->ops->set_statistics_enabled(old, false);
	r = extract_from(old, NULL, &last);
	layer_set_enabled(layer, true);
	layer->gap = time_now_boot() - ended;
	layer->last.has_totals = last.has_totals;
	extraction_merge(&layer->last, &last);
	if (r < 0)
		let_go(layer, old);
	else
		device_free(old);
}

void layer_take_next(struct layer *layer)
{
	struct layer *next = layer->next, old = *layer;

	layer->config = next->config;
	layer->max_flows = next->max_flows;
	layer->details = next->details;
	layer->underlay = next->underlay;
	layer->underlay_devices = next->underlay_devices;
	layer->tailscale_socket = next->tailscale_socket;
	layer->origin = next->origin;
	layer->device = next->device;
	layer->ready = next->ready;
	layer->bridge = next->bridge;
	layer->state = next->state;
	layer->gone = next->gone;
	layer->reason = next->reason;
	if (next->follows) {
		layer->gap = 0;
		if (layer->device->ops->take_over(layer->device, old.device) < 0)
			begin_after(layer, old.device);
		else
			let_go(layer, old.device);
		old.device = NULL;
	} else {
		layer->enabled = next->enabled;
	}
	rtnl_free(next->rtnl);
	*next = old;
	next->next = NULL;
	/* These stay with the layer. */
	memset(next->leaving, 0, sizeof(next->leaving));
	next->last = (struct extraction){};
	next->rtnl = NULL;
	layer_drop_next(layer);
	/* Without the old device there may be room for the new one now. */
	if (layer->state == LAYER_STATE_FAILED)
		layer_open(layer);
}

void layer_extract(struct layer *layer, const struct flow_taker *taker, struct extraction *ret_extraction)
{
	*ret_extraction = (struct extraction){};
	extract(layer, taker, ret_extraction);
	if (layer->next && !layer->next->begun && !same_counts(layer, layer->next))
		discard(layer->next);
}

bool layer_is_by_epoch(const struct layer *layer)
{
	return layer->device && by_epoch(layer->device);
}

bool layer_is_lost(struct layer *layer)
{
	struct device_info info = {};
	unsigned int index = 0;
	int r;

	if (layer->gone)
		return true;
	if (!layer->device || !layer->config.interface)
		return false;
	layer->device->ops->get_info(layer->device, &info);
	if (info.ifindex == 0)
		return false;
	r = find_interface(layer, &index);
	return r == -ENODEV || (r == 0 && index != info.ifindex);
}

void layer_look(struct layer *layer)
{
	bool counted = layer->device && layer->device->ops->source != SOURCE_NONE;
	uint64_t errors = layer->errors;
	bool lost = counted && layer_is_lost(layer);

	/* Who checks the layer asks again. */
	layer->errors = errors;
	if (layer->which != LAYER_SOCK || (counted && !lost))
		return;
	/* A proof that nobody served the socket stays true when traffic has begun. */
	if (look_at_tunnel(layer) == DEVICE_ORIGIN_ZERO)
		layer->origin = DEVICE_ORIGIN_ZERO;
}

const char *layer_target(const struct layer *layer)
{
	if (layer->config.interface)
		return layer->config.interface;
	return layer->config.stats_socket ? layer->config.stats_socket : "-";
}

void layer_lose(struct layer *layer)
{
	struct device *ready = NULL;

	if (layer->device && layer->device->ops->source == SOURCE_EBPF) {
		struct extraction discarded = {};

		ready = TAKE_PTR(layer->device);
		ready->ops->set_statistics_enabled(ready, false);
		/* Its counts have been taken; the interface that comes back begins with none. */
		if (extract_from(ready, NULL, &discarded) < 0)
			device_free(TAKE_PTR(ready));
		extraction_deinit(&discarded);
	}
	layer_close(layer);
	layer->ready = ready;
	layer->state = LAYER_STATE_LOST;
	free(layer->reason);
	if (asprintf(&layer->reason, "%s disappeared", layer_target(layer)) < 0)
		layer->reason = NULL;
}

bool layer_wants_retry(const struct layer *layer)
{
	return layer->state == LAYER_STATE_WAITING || layer->state == LAYER_STATE_LOST ||
	       layer->state == LAYER_STATE_FAILED;
}

char *layer_describe(const struct layer *layer)
{
	struct device_info info = {.source = layer->config.source};
	char *text = NULL;
	int r;

	if (layer->device)
		layer->device->ops->get_info(layer->device, &info);
	if (!layer->device)
		r = asprintf(&text, "%s %s %s", layer_name(layer), layer_target(layer),
			     layer_state_name(layer->state));
	else if (info.source == SOURCE_NONE)
		r = asprintf(&text, "%s none", layer_name(layer));
	else
		r = asprintf(&text, "%s %s by %s%s%s%s", layer_name(layer), layer_target(layer),
			     device_source_name(info.source), info.attachment ? " (" : "",
			     info.attachment ? info.attachment : "", info.attachment ? ")" : "");
	return r < 0 ? NULL : text;
}
