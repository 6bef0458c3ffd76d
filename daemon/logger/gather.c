/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Both layers are read first, right after the other, and only then worked on: the tun device, then the sock
 * device. The total that each device counted must be what its entries, ignored traffic, overflow and unknown
 * peers add up to; this is checked in every window. Errors of devices are counted and logged and never stop a
 * window.
 */

#include "daemon/logger/gather.h"

#include "common/cleanup.h"
#include "common/log.h"
#include "common/plural.h"
#include "daemon/device/epoch.h"
#include "daemon/device/wireguard/wireguard.h"
#include "daemon/logger/state.h"
#include "daemon/logger/watch_drops.h"
#include "daemon/net/discover.h"
#include "daemon/record/live.h"
#include "daemon/routes/routes.h"

#include <errno.h>
#include <string.h>

#define SLICE 8192 /* flows that are classified before their memory is released */
/* Connections, in multiples of max-flows, that early extractions of one window may leave to its end. Each
 * takes 128 bytes. */
#define HELD_MAX 4

/* entries + ignored + overflow + unknown = totals, for devices that see packets. */
static void check_conservation(struct logger *logger, struct layer *layer,
			       const struct extraction *extraction, struct counts entries)
{
	const struct counts *totals = &extraction->totals;
	struct counts sum = entries;
	bool equal;

	if (!extraction->has_totals)
		return;
	counts_add(&sum, &extraction->overflow);
	counts_add(&sum, &extraction->unknown);
	if (extraction->packets_only)
		equal = sum.tx_packets == totals->tx_packets && sum.rx_packets == totals->rx_packets;
	else
		equal = counts_equal(&sum, totals);
	if (equal)
		return;
	layer->conservation_failures++;
	logger->conservation_failures++;
	log_error("%s: counts of this window do not add up: entries, ignored, overflow and unknown make "
		  "(packets, bytes) tx %llu, %llu and rx %llu, %llu; the device counted tx %llu, %llu and "
		  "rx %llu, %llu",
		  layer_name(layer), (unsigned long long)sum.tx_packets, (unsigned long long)sum.tx_bytes,
		  (unsigned long long)sum.rx_packets, (unsigned long long)sum.rx_bytes,
		  (unsigned long long)totals->tx_packets, (unsigned long long)totals->tx_bytes,
		  (unsigned long long)totals->rx_packets, (unsigned long long)totals->rx_bytes);
}

/* The peers' allowed IPs. The sock device knows them, or else the tunnel itself, if it is WireGuard and lets
 * us ask. */
static int get_allowed_ips(struct logger *logger, struct prefix_list *ret_allowed_ips)
{
	const char *interface = logger->tun.config.interface;
	struct device *sock = logger->sock.device;
	int r = 0;

	*ret_allowed_ips = (struct prefix_list){};
	if (logger->config->routes_mode != ROUTES_MODE_AUTO)
		return 0;
	if (sock && sock->ops->get_allowed_ips)
		return sock->ops->get_allowed_ips(sock, ret_allowed_ips);
	if (interface)
		r = device_wireguard_get_allowed_ips(interface, ret_allowed_ips);
	return r == -ENODEV || r == -EPERM || r == -EACCES ? 0 : r;
}

/* All that was found, in place of what was found before. */
static int set_found(struct logger *logger, struct prefix_list *allowed_ips)
{
	struct prefix_list tailnet = {};
	struct route_lists lists = {};
	int r = discovery_get(logger->discovery, &lists, &tailnet);

	for (size_t i = 0; r >= 0 && i < allowed_ips->n; i++)
		if (prefix_is_single(&allowed_ips->items[i]))
			r = prefix_list_add(&tailnet, &allowed_ips->items[i]);
	if (r >= 0)
		r = routes_set_found(logger->routes, &lists, allowed_ips, &tailnet);
	prefix_list_deinit(&tailnet);
	route_lists_deinit(&lists);
	return r;
}

static int follow_routes(struct logger *logger, struct prefix_list *allowed_ips)
{
	const char *interface = logger->tun.config.interface;
	bool connected = logger->config->subnet_route_connected;
	struct discovery_changes changes = {};
	int r = 0;

	if (logger->discovery && !discovery_is_of(logger->discovery, interface, connected))
		discovery_free(TAKE_PTR(logger->discovery));
	if (!logger->discovery) {
		logger->found_all = false;
		r = discovery_new(interface, connected, &logger->discovery);
	}
	if (r >= 0)
		r = discovery_follow(logger->discovery, &changes);
	if (r == -ENODEV)
		discovery_free(TAKE_PTR(logger->discovery));
	if (r < 0)
		return r;
	logger->found_all =
		logger->found_all && !changes.all && prefix_list_equal(allowed_ips, &logger->allowed_ips);
	if (!logger->found_all)
		r = set_found(logger, allowed_ips);
	else if (changes.came.n > 0 || changes.went.n > 0)
		r = routes_change_found(logger->routes, &changes.came, &changes.went);
	/* After an error, all of it next time. */
	logger->found_all = r >= 0;
	discovery_changes_deinit(&changes);
	prefix_list_deinit(&logger->allowed_ips);
	logger->allowed_ips = *allowed_ips;
	*allowed_ips = (struct prefix_list){};
	return r;
}

void gather_routes(struct logger *logger)
{
	struct prefix_list allowed_ips = {};
	int r;

	if (logger->config->routes_mode != ROUTES_MODE_AUTO && !logger->config->subnet_route_connected) {
		gather_forget_routes(logger);
		return;
	}
	/* A tunnel that does not answer still has its peers: the routes found before stay. */
	r = get_allowed_ips(logger, &allowed_ips);
	if (r >= 0)
		r = follow_routes(logger, &allowed_ips);
	if (r < 0 && r != -ENODEV)
		log_warning(
			"cannot read the routes or the peers' allowed IPs: %s; keeping those found before",
			strerror(-r));
	prefix_list_deinit(&allowed_ips);
}

void gather_listen(struct logger *logger)
{
	if (logger->discovery)
		discovery_listen(logger->discovery);
}

void gather_forget_routes(struct logger *logger)
{
	discovery_free(TAKE_PTR(logger->discovery));
	prefix_list_deinit(&logger->allowed_ips);
	logger->found_all = false;
}

/* Without memory for their entries, connections count as overflow. */
static struct counts flows_sum(const struct flows *flows)
{
	struct counts sum = {};

	log_error("out of memory for %zu %s of this window: counted as overflow", flows->n,
		  plural(flows->n, "connection", "connections"));
	for (size_t i = 0; i < flows->n; i++)
		counts_add(&sum, &flows->items[i].counts);
	return sum;
}

/* In slices, each released when it has been added, so that a large window is never in memory twice. Without a
 * routing, the flows are held. */
static void add_tun(struct logger *logger, struct extraction *extraction, const struct routing *routing)
{
	struct aggregate_settings settings = {
		.exit_traffic = logger->config->exit_traffic,
		.ignore_addrs = &logger->config->ignore_addrs,
		.details = logger->config->details || logger->config->drops,
	};
	struct counts before, after, sock, ignored = {}, overflow = {}, entries;
	struct flows *flows = &extraction->flows;

	aggregate_get_sums(logger->aggregate, &before, &sock);
	for (size_t done = 0; done < flows->n; done += SLICE) {
		struct flows slice = {.items = flows->items + done, .n = MIN(flows->n - done, (size_t)SLICE)};
		struct counts slice_ignored = {}, slice_overflow = {};
		int r;

		if (routing)
			r = aggregate_add_tun(logger->aggregate, &slice, routing, &settings, &slice_ignored,
					      &slice_overflow);
		else
			r = aggregate_hold_tun(logger->aggregate, &slice, &settings, &slice_ignored);
		if (r < 0) {
			slice_overflow = flows_sum(&slice);
			aggregate_add_overflow(logger->aggregate, &slice_overflow, NULL);
		}
		counts_add(&ignored, &slice_ignored);
		counts_add(&overflow, &slice_overflow);
		flows_discard(flows, done + slice.n);
	}
	counts_add(&logger->ignored, &ignored);
	counts_add(&logger->tun.overflow, &overflow);
	aggregate_get_sums(logger->aggregate, &after, &sock);
	entries = counts_difference(&after, &before);
	counts_add(&entries, &ignored);
	counts_add(&entries, &overflow);
	check_conservation(logger, &logger->tun, extraction, entries);
}

static void add_sock(struct logger *logger, const struct extraction *extraction)
{
	struct counts before, after, tun, overflow = {}, entries;

	aggregate_get_sums(logger->aggregate, &tun, &before);
	if (aggregate_add_sock(logger->aggregate, &extraction->flows, &overflow) < 0) {
		overflow = flows_sum(&extraction->flows);
		aggregate_add_overflow(logger->aggregate, NULL, &overflow);
	}
	counts_add(&logger->sock.overflow, &overflow);
	aggregate_get_sums(logger->aggregate, &tun, &after);
	entries = counts_difference(&after, &before);
	counts_add(&entries, &overflow);
	check_conservation(logger, &logger->sock, extraction, entries);
}

/* Decides the class of what early extractions took. */
static void classify_held(struct logger *logger)
{
	struct counts before, after, sock, overflow;

	aggregate_get_sums(logger->aggregate, &before, &sock);
	aggregate_classify(logger->aggregate, routes_current(logger->routes), logger->config->exit_traffic,
			   &overflow);
	counts_add(&logger->tun.overflow, &overflow);
	aggregate_get_sums(logger->aggregate, &after, &sock);
	counts_add(&after, &overflow);
	if (counts_equal(&before, &after))
		return;
	logger->tun.conservation_failures++;
	logger->conservation_failures++;
	log_error("tun: what was extracted early does not add up after it was classified");
}

/* Whether routes may be found before the window ends, and there is room for what waits for them. */
static bool may_hold(struct logger *logger, const struct extraction *tun)
{
	if (logger->config->routes_mode == ROUTES_MODE_STATIC && !logger->config->subnet_route_connected)
		return false;
	if (aggregate_held(logger->aggregate) + tun->flows.n <= (size_t)HELD_MAX * logger->config->max_flows)
		return true;
	logger->classified_early++;
	return false;
}

/* After the flip of the epoch. */
static void gather(struct logger *logger, bool early)
{
	struct extraction tun, sock;

	layer_extract(&logger->tun, &tun);
	/* Drops are details as well. */
	for (size_t i = 0; i < tun.flows.n && !logger->config->details; i++)
		tun.flows.items[i].details = (struct details){};
	watch_drops_gather(logger, &tun.flows);
	layer_extract(&logger->sock, &sock);
	if (logger->live && (tun.errors > 0 || !counts_is_zero(&tun.overflow)))
		live_miss(logger->live, clock_boot(logger->clock));
	if (early && may_hold(logger, &tun)) {
		add_tun(logger, &tun, NULL);
	} else {
		gather_routes(logger);
		classify_held(logger);
		add_tun(logger, &tun, routes_current(logger->routes));
	}
	add_sock(logger, &sock);
	aggregate_add_overflow(logger->aggregate, &tun.overflow, &sock.overflow);
	extraction_deinit(&tun);
	extraction_deinit(&sock);
}

static void before_flip(const struct layer *layer)
{
	if (layer->device && layer->device->ops->before_flip)
		layer->device->ops->before_flip(layer->device);
}

static void flip(struct logger *logger)
{
	before_flip(&logger->tun);
	before_flip(&logger->sock);
	if (logger->epoch)
		epoch_flip(logger->epoch);
}

void gather_counts(struct logger *logger)
{
	if (!logger->running)
		return;
	flip(logger);
	gather(logger, false);
}

void gather_early(struct logger *logger)
{
	if (!logger->running)
		return;
	flip(logger);
	gather(logger, true);
}

void gather_last_counts(struct logger *logger)
{
	if (!logger->running)
		return;
	/* The tun device's end and begin enclose the flip, so that next to nothing is missed between them. */
	layer_end_current(&logger->sock);
	layer_end_current(&logger->tun);
	if (logger->epoch)
		epoch_flip(logger->epoch);
	layer_begin_next(&logger->tun);
	layer_begin_next(&logger->sock);
	gather(logger, true);
}
