/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The logger. One window after the other: mark its end, take both layers' counts, classify them by the routes
 * that held at its start and at its end, encode, hand the messages to the spool. The order of every step is
 * the contract's; errors of devices become counters and texts in the log, never an end of the logger.
 */

#include "daemon/logger/logger.h"

#include "build-config.h"
#include "common/cleanup.h"
#include "common/log.h"
#include "common/time_text.h"
#include "daemon/device/epoch.h"
#include "daemon/logger/internal.h"
#include "daemon/logger/run_mark.h"
#include "daemon/net/discover.h"
#include "daemon/routes/routes.h"
#include "daemon/spool/writer.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

#define SYNC_WAIT_MS 2000
#define SLICE	     8192 /* flows that are classified before their memory is given back */

static struct record_settings record_settings(const struct logger *logger)
{
	const struct config *config = logger->config;

	return (struct record_settings){
		.exit_traffic = config->exit_traffic,
		.ignore_addrs = &config->ignore_addrs,
		.max_message_size = config->max_message_size,
		.node_id = config->node_id,
		.nodes = logger->nodes,
		.local_addrs = routes_local_addrs(logger->routes),
	};
}

/* ---- messages -------------------------------------------------------------------------------------- */

static int store(struct logger *logger, const struct buffer *message, int64_t time)
{
	int r = spool_writer_append(logger->spool, message->data, message->length, time);

	if (r < 0)
		log_warning("a message could not be kept: %s", strerror(-r));
	logger->messages++;
	logger->bytes += message->length;
	logger->last_message = clock_boot(logger->clock);
	return 0; /* the writer counts what it loses; the window goes on */
}

void logger_tell(struct logger *logger, const char *format, ...)
{
	int64_t now = clock_wall(logger->clock);
	char text[ENCODE_TEXT_MAX];
	va_list arguments;

	va_start(arguments, format);
	vsnprintf(text, sizeof(text), format, arguments);
	va_end(arguments);
	buffer_reset(&logger->text);
	if (encode_text(&logger->text, &logger->sequence, now, text) >= 0)
		store(logger, &logger->text, now);
}

void logger_sync(struct logger *logger)
{
	int r = spool_writer_sync(logger->spool, SYNC_WAIT_MS);

	if (r < 0)
		log_warning("the last messages are not on disk yet: %s", strerror(-r));
}

struct emission {
	struct logger *logger;
	int64_t time;
	uint64_t messages;
};

static int emit(const struct buffer *message, void *userdata)
{
	struct emission *emission = userdata;

	emission->messages++;
	return store(emission->logger, message, emission->time);
}

/* ---- counts ---------------------------------------------------------------------------------------- */

static bool packets_equal(const struct counts *a, const struct counts *b)
{
	return a->tx_packets == b->tx_packets && a->rx_packets == b->rx_packets;
}

/* entries + ignored + overflow + unknown = totals, for sources that see packets. */
static void check_conservation(struct logger *logger, struct layer *layer,
			       const struct extraction *extraction, const struct counts *entries)
{
	struct counts sum = *entries;
	const struct counts *totals = &extraction->totals;

	if (!extraction->has_totals)
		return;
	counts_add(&sum, &extraction->overflow);
	counts_add(&sum, &extraction->unknown);
	if (extraction->packets_only ? packets_equal(&sum, totals) : counts_equal(&sum, totals))
		return;
	layer->conservation_failures++;
	logger->conservation_failures++;
	log_error("%s: counts do not add up in this window: entries, ignored, overflow and unknown make "
		  "tx %llu packets %llu bytes, rx %llu packets %llu bytes; the device counted "
		  "tx %llu packets %llu bytes, rx %llu packets %llu bytes",
		  layer_name(layer), (unsigned long long)sum.tx_packets, (unsigned long long)sum.tx_bytes,
		  (unsigned long long)sum.rx_packets, (unsigned long long)sum.rx_bytes,
		  (unsigned long long)totals->tx_packets, (unsigned long long)totals->tx_bytes,
		  (unsigned long long)totals->rx_packets, (unsigned long long)totals->rx_bytes);
}

/* The sock device knows them, or whoever serves the tunnel is asked. */
static int find_allowed_ips(struct logger *logger, struct prefix_list *allowed_ips)
{
	struct device *sock = logger->sock.device;
	const char *interface = logger->tun.config.interface;
	int r;

	if (sock && sock->ops->get_allowed_ips)
		return sock->ops->get_allowed_ips(sock, allowed_ips);
	if (!interface)
		return 0;
	r = device_wireguard_get_allowed_ips(interface, allowed_ips);
	/* It is no WireGuard tunnel, or who its peers are is not for us to know. */
	return r == -ENODEV || r == -EPERM || r == -EACCES ? 0 : r;
}

/* What is found now joins what was known when the window began. */
static void look_for_routes(struct logger *logger)
{
	struct route_lists lists = {};
	struct prefix_list tailnet = {}, allowed_ips = {};
	const char *interface = logger->tun.config.interface;
	bool automatic = logger->config->routes_mode == ROUTES_AUTO;
	int r = 0;

	if (!automatic && !logger->config->subnet_route_connected)
		return;
	/* A tunnel that does not answer has not lost its peers: what was found before stays. */
	if (automatic)
		r = find_allowed_ips(logger, &allowed_ips);
	if (r >= 0)
		r = discover_routes(interface, &allowed_ips, logger->config->subnet_route_connected, &lists,
				    &tailnet);
	if (r >= 0)
		r = routes_set_found(logger->routes, &lists, &allowed_ips, &tailnet);
	if (r < 0 && r != -ENODEV)
		log_warning("the routes could not be read: %s", strerror(-r));
	prefix_list_deinit(&allowed_ips);
	prefix_list_deinit(&tailnet);
	route_lists_deinit(&lists);
}

/* Without memory for them, connections are overflow like any that can't be held. */
static struct counts no_room_for(const struct flows *flows)
{
	struct counts sum = {};

	log_error("no memory for %zu connections of this window: they are counted as overflow", flows->n);
	for (size_t i = 0; i < flows->n; i++)
		counts_add(&sum, &flows->items[i].counts);
	return sum;
}

/* In slices, each given back when it has been read, so that a large window is never held twice. */
static void add_tun(struct logger *logger, struct extraction *extraction)
{
	struct record_settings settings = record_settings(logger);
	const struct routing *routing = routes_current(logger->routes);
	struct counts before, after, sock, ignored = {}, overflow = {}, entries;
	struct flows *flows = &extraction->flows;

	aggregate_get_sums(logger->aggregate, &before, &sock);
	for (size_t done = 0; done < flows->n; done += SLICE) {
		struct flows slice = {.items = flows->items + done, .n = MIN(flows->n - done, (size_t)SLICE)};
		struct counts slice_ignored = {}, slice_overflow = {};

		if (aggregate_add_tun(logger->aggregate, &slice, routing, &settings, &slice_ignored,
				      &slice_overflow) < 0) {
			slice_overflow = no_room_for(&slice);
			aggregate_add_overflow(logger->aggregate, &slice_overflow, NULL);
		}
		counts_add(&ignored, &slice_ignored);
		counts_add(&overflow, &slice_overflow);
		flows_discard(flows, done + slice.n);
	}
	counts_add(&logger->ignored, &ignored);
	aggregate_get_sums(logger->aggregate, &after, &sock);
	entries = counts_difference(&after, &before);
	counts_add(&entries, &ignored);
	counts_add(&entries, &overflow);
	counts_add(&logger->tun.overflow, &overflow);
	check_conservation(logger, &logger->tun, extraction, &entries);
}

static void add_sock(struct logger *logger, const struct extraction *extraction)
{
	struct counts before, after, tun, overflow = {}, entries;

	aggregate_get_sums(logger->aggregate, &tun, &before);
	if (aggregate_add_sock(logger->aggregate, &extraction->flows, &overflow) < 0) {
		overflow = no_room_for(&extraction->flows);
		aggregate_add_overflow(logger->aggregate, NULL, &overflow);
	}
	aggregate_get_sums(logger->aggregate, &tun, &after);
	entries = counts_difference(&after, &before);
	counts_add(&entries, &overflow);
	counts_add(&logger->sock.overflow, &overflow);
	check_conservation(logger, &logger->sock, extraction, &entries);
}

/* Takes both layers' counts, tun first, one right after the other, and only then works on them. */
void logger_gather(struct logger *logger)
{
	struct extraction tun, sock;

	if (!logger->running)
		return;
	if (logger->epoch)
		epoch_flip(logger->epoch);
	layer_extract(&logger->tun, &tun);
	layer_extract(&logger->sock, &sock);
	look_for_routes(logger);
	add_tun(logger, &tun);
	add_sock(logger, &sock);
	aggregate_add_overflow(logger->aggregate, &tun.overflow, &sock.overflow);
	extraction_deinit(&tun);
	extraction_deinit(&sock);
}

/* Enables a layer's counting from nothing: what it holds belongs to no window. */
static int enable(struct layer *layer, struct epoch *flip)
{
	struct extraction thrown_away;
	int r = layer_set_enabled(layer, true);

	if (r < 0)
		return r;
	if (flip)
		epoch_flip(flip);
	layer_extract(layer, &thrown_away);
	extraction_deinit(&thrown_away);
	return 0;
}

/* ---- windows --------------------------------------------------------------------------------------- */

/* Also those that are not wanted are taken: when they are again, these are no news. */
static void take_event(const char *text, void *userdata)
{
	struct logger *logger = userdata;

	if (logger->config->peer_events)
		logger_tell(logger, "%s", text);
}

static void take_events(struct logger *logger, struct layer *layer)
{
	struct device *device = layer->device;

	if (device && device->ops->get_events)
		device->ops->get_events(device, take_event, logger);
}

static void close_window(struct logger *logger, const struct record_window *window)
{
	struct record_settings settings = record_settings(logger);
	int64_t now = clock_wall(logger->clock);
	struct emission emission = {.logger = logger, .time = now};
	int r;

	r = encode_window(logger->aggregate, window, &settings, &logger->sequence, now, emit, &emission);
	if (r < 0) {
		log_error("a window of %zu connections could not be written: %s",
			  aggregate_connections(logger->aggregate), strerror(-r));
		logger_tell(logger, "lost a window of %zu connections: %s",
			    aggregate_connections(logger->aggregate), strerror(-r));
	}
	logger->windows++;
	logger->last_end = window->end;
	logger->last_connections = aggregate_connections(logger->aggregate);
	logger->last_messages = emission.messages;
	aggregate_reset(logger->aggregate);
	routes_end_window(logger->routes);
	take_events(logger, &logger->sock);
}

static int64_t thread_cpu(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return now.tv_sec * NSEC_PER_SEC + now.tv_nsec;
}

static void tell_step(struct logger *logger, int64_t step)
{
	logger->clock_steps++;
	logger_tell(logger, "the wall clock stepped by %+.3f s", (double)step / NSEC_PER_SEC);
}

/* The end time is taken first, then what was counted until then. */
static void finish_window(struct logger *logger)
{
	struct record_window window = {.start = logger->window.start};
	int64_t step, cpu = thread_cpu(), begun = time_now_boot();
	bool stepped = window_end(&logger->window, logger->clock, &window.end, &step);

	logger_gather(logger);
	close_window(logger, &window);
	logger->last_cpu = thread_cpu() - cpu;
	logger->last_delay = time_now_boot() - begun;
	if (stepped)
		tell_step(logger, step);
}

static void heartbeat(struct logger *logger)
{
	int64_t silent = clock_boot(logger->clock) - logger->last_message;

	if (logger->config->heartbeat > 0 && silent >= logger->config->heartbeat)
		logger_tell(logger, "running, nothing logged for %lld s", (long long)(silent / NSEC_PER_SEC));
}

static void check_layer(struct logger *logger, struct layer *layer)
{
	enum layer_state before;
	_cleanup_free_ char *what = NULL;

	if (layer_is_lost(layer)) {
		logger_gather(logger); /* what the kernel side still holds */
		layer_lose(layer);
		log_warning("%s: %s went away; waiting for it", layer_name(layer), layer_target(layer));
		logger_tell(logger, "device lost: %s %s", layer_name(layer), layer_target(layer));
	}
	before = layer->state;
	if (layer_wants_retry(layer))
		layer_open(layer);
	else if (!layer_improve(layer))
		return;
	if (layer->state != LAYER_STATE_COUNTING)
		return;
	what = layer_describe(layer);
	log_info("counting %s", what ? what : layer_name(layer));
	logger_tell(logger, "device %s: %s", before == LAYER_STATE_LOST ? "back" : "found",
		    what ? what : layer_name(layer));
}

void logger_check_devices(struct logger *logger)
{
	if (!logger->running)
		return;
	check_layer(logger, &logger->tun);
	check_layer(logger, &logger->sock);
	heartbeat(logger);
	logger_publish(logger);
}

void logger_end_window(struct logger *logger)
{
	if (!logger->running)
		return;
	finish_window(logger);
	logger_check_devices(logger);
}

/* ---- start and stop -------------------------------------------------------------------------------- */

static void close_layers(struct logger *logger)
{
	layer_close(&logger->tun);
	layer_close(&logger->sock);
	logger->tun.enabled = logger->sock.enabled = false;
}

/* Opens a layer and enables it from nothing. */
static int bring_up(struct logger *logger, struct layer *layer, const struct device_config *device,
		    struct epoch *flip)
{
	int r = layer_configure(layer, logger->config, device);

	if (r >= 0)
		r = layer_open(layer);
	return r < 0 ? r : enable(layer, flip);
}

static void explain(const struct layer *layer, int error, const char **ret_layer, char **ret_reason)
{
	*ret_layer = layer_name(layer);
	*ret_reason = strdup(layer->reason ? layer->reason : strerror(-error));
}

/* One flip serves both: a second one would leave the tun device's first packets on the side that the next
 * window does not drain. */
static int bring_up_both(struct logger *logger, const struct device_config *tun,
			 const struct device_config *sock, const char **ret_layer, char **ret_reason)
{
	int r = bring_up(logger, &logger->tun, tun, logger->epoch);

	if (r < 0) {
		explain(&logger->tun, r, ret_layer, ret_reason);
		return r;
	}
	r = bring_up(logger, &logger->sock, sock, NULL);
	if (r < 0)
		explain(&logger->sock, r, ret_layer, ret_reason);
	return r;
}

/* A run that was killed leaves its mark; its last message is the last one in the spool. */
static void tell_unclean_end(struct logger *logger)
{
	int64_t last = spool_writer_last_time(logger->spool);
	char text[TIME_TEXT_MAX];

	if (logger->told_unclean || !run_mark_is_set(logger->config->state_directory))
		return;
	logger->told_unclean = true;
	if (last == 0) {
		logger_tell(logger, "the run before this one ended without a stop and without a message");
		return;
	}
	time_format(last, text);
	logger_tell(logger, "the run before this one ended without a stop; its last message is of %s", text);
}

static void tell_started(struct logger *logger)
{
	_cleanup_free_ char *tun = layer_describe(&logger->tun), *sock = layer_describe(&logger->sock);

	logger_tell(logger, "started, version %s, %s, %s, routes %s", NETLOGD_VERSION, tun ? tun : "tun",
		    sock ? sock : "sock", logger->config->routes_mode == ROUTES_AUTO ? "auto" : "static");
	log_info("started: %s, %s", tun ? tun : "tun", sock ? sock : "sock");
}

static void mark_running(struct logger *logger, bool running)
{
	int r = run_mark_set(logger->config->state_directory, running);

	if (r < 0)
		log_warning("%s can't be written: %s", logger->config->state_directory, strerror(-r));
}

static void begin(struct logger *logger, bool overridden)
{
	int64_t step;
	bool stepped;

	logger->running = true;
	logger->overridden = overridden;
	stepped = window_begin(&logger->window, logger->clock, &step);
	logger->started = logger->window.start;
	look_for_routes(logger);
	routes_begin(logger->routes);
	if (stepped)
		tell_step(logger, step);
	tell_unclean_end(logger);
	mark_running(logger, true);
	tell_started(logger);
	logger_publish(logger);
}

int logger_start(struct logger *logger, const struct device_config *tun, const struct device_config *sock,
		 const char **ret_layer, char **ret_reason)
{
	const struct config *config = logger->config;
	int r;

	if (logger->running)
		return -EALREADY;
	r = bring_up_both(logger, tun ? tun : &config->tun, sock ? sock : &config->sock, ret_layer,
			  ret_reason);
	if (r < 0) {
		/* A VPN that counts for itself would go on. */
		layer_set_enabled(&logger->tun, false);
		layer_set_enabled(&logger->sock, false);
		close_layers(logger);
		logger_publish(logger);
		return r;
	}
	begin(logger, tun || sock);
	return 0;
}

static void bring_up_anyway(struct logger *logger, struct layer *layer, const struct device_config *device,
			    struct epoch *flip)
{
	int r = bring_up(logger, layer, device, flip);

	if (r < 0 && layer->device) {
		/* It is there but does not count: tried again like one that is not. */
		layer_close(layer);
		layer->state = LAYER_STATE_FAILED;
	}
	layer->enabled = true; /* it counts as soon as a device is there */
	if (r < 0)
		log_error("%s: %s", layer_name(layer), layer->reason ? layer->reason : strerror(-r));
	else if (layer_wants_retry(layer))
		log_warning("%s: %s", layer_name(layer), layer->reason ? layer->reason : "waiting");
}

int logger_start_anyway(struct logger *logger)
{
	if (logger->running)
		return -EALREADY;
	bring_up_anyway(logger, &logger->tun, &logger->config->tun, logger->epoch);
	bring_up_anyway(logger, &logger->sock, &logger->config->sock, NULL);
	begin(logger, false);
	return 0;
}

void logger_stop(struct logger *logger)
{
	if (!logger->running)
		return;
	layer_set_enabled(&logger->tun, false);
	finish_window(logger);
	layer_set_enabled(&logger->sock, false);
	close_layers(logger);
	logger->running = false;
	logger_tell(logger, "stopped");
	mark_running(logger, false);
	logger_publish(logger);
	log_info("stopped");
}

/* ---- changes --------------------------------------------------------------------------------------- */

int logger_reconfigure(struct logger *logger, const struct route_lists *lists)
{
	int r;

	logger_gather(logger);
	r = routes_reconfigure(logger->routes, lists);
	logger_publish(logger);
	return r;
}

void logger_set_nodes(struct logger *logger, struct nodes *nodes)
{
	nodes_free(logger->nodes);
	logger->nodes = nodes;
	logger_publish_nodes(logger);
	logger_publish(logger);
}

/* Lets the device that the configuration asks for, if it is another one, count beside the one that
 * is there. */
static int prepare(struct logger *logger, struct layer *layer, const struct config *config,
		   const struct device_config *device)
{
	if (!logger->running || logger->overridden || !layer_differs(layer, config, device))
		return 0;
	return layer_prepare(layer, config, device);
}

static void exchange(struct logger *logger, struct layer *layer)
{
	_cleanup_free_ char *what = NULL;

	if (!layer->next)
		return;
	layer_take_next(layer);
	if (layer->state == LAYER_STATE_FAILED)
		log_error("%s: %s", layer_name(layer), layer->reason ? layer->reason : "no source works");
	what = layer_describe(layer);
	logger_tell(logger, "device changed: %s", what ? what : layer_name(layer));
}

static void drop_prepared(struct logger *logger)
{
	layer_drop_next(&logger->tun);
	layer_drop_next(&logger->sock);
}

/* The window ends under the old configuration. What the old devices count until the new ones take over, with
 * an extraction of their own, is in the next window. */
int logger_apply(struct logger *logger, const struct config *config, struct nodes *nodes)
{
	_cleanup_(nodes_freep) struct nodes *new_nodes = nodes;
	int r = prepare(logger, &logger->tun, config, &config->tun);

	if (r >= 0)
		r = prepare(logger, &logger->sock, config, &config->sock);
	if (r >= 0 && logger->running)
		finish_window(logger);
	if (r >= 0)
		r = routes_set_configured(logger->routes, config);
	if (r < 0) {
		drop_prepared(logger);
		return r;
	}
	/* What SetNodes gave stays, unless a file has something to say about nodes. */
	if (config->nodes_file || logger->config->nodes_file)
		logger_set_nodes(logger, TAKE_PTR(new_nodes));
	logger->config = config;
	aggregate_set_bound(logger->aggregate, config->max_flows);
	if (logger->tun.next || logger->sock.next)
		logger_gather(logger);
	exchange(logger, &logger->tun);
	exchange(logger, &logger->sock);
	look_for_routes(logger);
	logger_publish(logger);
	return 0;
}

int logger_set_public_id(struct logger *logger, const struct log_id *public_id)
{
	return spool_writer_set_public_id(logger->spool, public_id);
}

bool logger_is_running(const struct logger *logger)
{
	return logger->running;
}

int logger_pressure_fd(const struct logger *logger, enum device_layer layer)
{
	const struct layer *l = layer == LAYER_TUN ? &logger->tun : &logger->sock;

	if (!l->device || !l->device->ops->get_pressure_fd)
		return -1;
	return l->device->ops->get_pressure_fd(l->device);
}

DEFINE_CLEANUP(struct logger *, logger_free);

int logger_new(const struct logger_options *options, struct logger **ret_logger)
{
	_cleanup_(logger_freep) struct logger *logger = calloc(1, sizeof(*logger));
	int r;

	if (!logger) {
		nodes_free(options->nodes);
		return -ENOMEM;
	}
	pthread_mutex_init(&logger->mutex, NULL);
	logger->nodes = options->nodes;
	logger->clock = options->clock;
	logger->epoch = options->epoch;
	logger->spool = options->spool;
	logger->config = options->config;
	logger->sequence.proc_id = options->proc_id;
	layer_init(&logger->tun, LAYER_TUN, options->epoch);
	layer_init(&logger->sock, LAYER_SOCK, options->epoch);
	if (options->sources)
		logger->tun.sources = logger->sock.sources = options->sources;
	r = aggregate_new(&logger->aggregate);
	if (r >= 0)
		aggregate_set_bound(logger->aggregate, options->config->max_flows);
	if (r >= 0)
		r = routes_new(options->config, &logger->routes);
	if (r < 0)
		return r;
	logger_publish_nodes(logger);
	logger_publish(logger);
	*ret_logger = TAKE_PTR(logger);
	return 0;
}

void logger_free(struct logger *logger)
{
	if (!logger)
		return;
	layer_deinit(&logger->tun);
	layer_deinit(&logger->sock);
	aggregate_free(logger->aggregate);
	routes_free(logger->routes);
	nodes_free(logger->nodes);
	buffer_deinit(&logger->text);
	json_decref(logger->status);
	json_decref(logger->node_list);
	pthread_mutex_destroy(&logger->mutex);
	free(logger);
}
