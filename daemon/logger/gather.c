/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Both layers are read first, right after the other, and only then worked on: the tun device, then the sock
 * device; but what the epoch keeps apart is worked on while it is read. The total that each device counted
 * must be what its entries, ignored traffic, overflow and unknown peers add up to; this is checked in every
 * window. Errors of devices are counted and logged and never stop a window.
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

/* Whether the tunnel's control plane says what this node has. */
static bool has_own_routes(const struct logger *logger)
{
	const struct device *sock = logger->sock.device;

	return logger->config->routes_mode == ROUTES_MODE_AUTO && sock && sock->ops->get_own_routes;
}

/* All that was found, in place of what was found before. */
static int set_found(struct logger *logger, struct prefix_list *allowed_ips)
{
	struct prefix_list tailnet = {};
	struct route_lists lists = {};
	struct device *sock = logger->sock.device;
	int r = discovery_get(logger->discovery, &lists, &tailnet);

	if (r >= 0 && has_own_routes(logger))
		r = sock->ops->get_own_routes(sock, &lists);
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
	struct device *sock = logger->sock.device;
	uint64_t identities = has_own_routes(logger) ? sock->ops->identities(sock) : 0;
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
	logger->found_all = logger->found_all && !changes.all && identities == logger->own_identities &&
			    prefix_list_equal(allowed_ips, &logger->allowed_ips);
	logger->own_identities = identities;
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

/* Without memory for their entries, they count as overflow. */
static struct counts flows_sum(const struct flows *flows)
{
	struct counts sum = {};
	uint64_t packets;

	for (size_t i = 0; i < flows->n; i++)
		counts_add(&sum, &flows->items[i].counts);
	packets = sum.tx_packets + sum.rx_packets;
	log_error("out of memory: %llu %s of this window counted as overflow", (unsigned long long)packets,
		  plural(packets, "packet", "packets"));
	return sum;
}

/* The routes in force. Where they are others, connections may get entries that had none. */
static const struct routing *current_routing(struct logger *logger)
{
	const struct routing *routing = routes_current(logger->routes);

	if (logger->live && routing != logger->routing)
		live_show(logger->live);
	logger->routing = routing;
	return routing;
}

static void count_overflow(struct logger *logger, const struct counts *overflow)
{
	if (logger->live && !counts_is_zero(overflow))
		live_miss(logger->live, clock_boot(logger->clock));
	counts_add(&logger->tun.overflow, overflow);
}

/* Decides the class of what early extractions took. */
static void classify_held(struct logger *logger)
{
	struct counts before, after, sock, overflow;

	aggregate_get_sums(logger->aggregate, &before, &sock);
	aggregate_classify(logger->aggregate, current_routing(logger), logger->config->exit_traffic,
			   &overflow);
	count_overflow(logger, &overflow);
	aggregate_get_sums(logger->aggregate, &after, &sock);
	counts_add(&after, &overflow);
	if (counts_equal(&before, &after))
		return;
	logger->tun.conservation_failures++;
	logger->conservation_failures++;
	log_error("tun: what was extracted early does not add up after it was classified");
}

/* The tun device's flows on their way to the aggregate. */
struct adding {
	struct logger *logger;
	struct aggregate_settings settings;
	bool hold;	     /* they wait for the window's routes */
	bool hides;	     /* some are not logged, since they are ignored */
	struct counts added; /* entries, ignored and overflow */
};

/* From now on they need not wait. */
static void classify(struct adding *adding)
{
	adding->hold = false;
	gather_routes(adding->logger);
	classify_held(adding->logger);
}

static void add_slice(struct adding *adding, const struct flows *slice)
{
	struct logger *logger = adding->logger;
	struct counts before, after, sock, ignored = {}, overflow = {};
	int r;

	if (adding->hold &&
	    aggregate_held(logger->aggregate) + slice->n > (size_t)HELD_MAX * logger->config->max_flows) {
		logger->classified_early++;
		classify(adding);
	}
	aggregate_get_sums(logger->aggregate, &before, &sock);
	if (adding->hold)
		r = aggregate_hold_tun(logger->aggregate, slice, &adding->settings, &ignored);
	else
		r = aggregate_add_tun(logger->aggregate, slice, current_routing(logger), &adding->settings,
				      &ignored, &overflow);
	if (r < 0) {
		overflow = flows_sum(slice);
		aggregate_add_overflow(logger->aggregate, &overflow, NULL);
	}
	aggregate_get_sums(logger->aggregate, &after, &sock);
	after = counts_difference(&after, &before);
	counts_add(&logger->ignored, &ignored);
	count_overflow(logger, &overflow);
	adding->hides |= !counts_is_zero(&ignored);
	counts_add(&adding->added, &after);
	counts_add(&adding->added, &ignored);
	counts_add(&adding->added, &overflow);
}

/* Each slice is released when it has been added, so that a large window is never in memory twice. */
static void add_list(struct adding *adding, struct flows *flows)
{
	for (size_t done = 0; done < flows->n; done += EXTRACTION_SLICE) {
		struct flows slice = {.items = flows->items + done,
				      .n = MIN(flows->n - done, (size_t)EXTRACTION_SLICE)};

		add_slice(adding, &slice);
		flows_discard(flows, done + slice.n);
	}
}

static void take_tun(struct flows *flows, void *userdata)
{
	add_slice(userdata, flows);
}

/* The rest, after what was taken slice by slice. */
static void add_tun(struct adding *adding, struct extraction *extraction)
{
	struct logger *logger = adding->logger;
	struct flows drops = {};

	add_list(adding, &extraction->flows);
	/* Details as well, but for themselves. The last ones come after a reload has ended them. */
	watch_drops_gather(logger, &drops);
	adding->settings.details = true;
	add_list(adding, &drops);
	flows_deinit(&drops);
	if (logger->live && (extraction->errors > 0 || !counts_is_zero(&extraction->overflow)))
		live_miss(logger->live, clock_boot(logger->clock));
	if (logger->live && (adding->hides || aggregate_has_reduced(logger->aggregate)))
		live_hide(logger->live, clock_boot(logger->clock));
	check_conservation(logger, &logger->tun, extraction, adding->added);
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

/* Whether routes may be found before the window ends. */
static bool may_find_routes(const struct logger *logger)
{
	return logger->config->routes_mode != ROUTES_MODE_STATIC || logger->config->subnet_route_connected;
}

/*
 * After the flip of the epoch. Where it decides what the tun device's extraction holds, that can wait until
 * its flows can be classified as they come, and never are all in memory.
 */
static void gather(struct logger *logger, bool early)
{
	const struct config *config = logger->config;
	struct adding adding = {
		.logger = logger,
		.settings = {.exit_traffic = config->exit_traffic,
			     .ignore_addrs = &config->ignore_addrs,
			     .details = config->details},
		.hold = early && may_find_routes(logger),
	};
	const struct flow_taker taker = {.take = take_tun, .userdata = &adding};
	bool by_epoch = layer_is_by_epoch(&logger->tun);
	struct extraction tun, sock;

	if (!by_epoch)
		layer_extract(&logger->tun, NULL, &tun);
	layer_extract(&logger->sock, NULL, &sock);
	if (!adding.hold)
		classify(&adding);
	if (by_epoch)
		layer_extract(&logger->tun, &taker, &tun);
	add_tun(&adding, &tun);
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
