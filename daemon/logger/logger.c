/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The logger: one window after the other. A window's end takes the time, gathers both devices' counts,
 * encodes them, and hands the messages to the spool. Start, stop and changes of the configuration keep to the
 * order that makes every packet count in exactly one window.
 */

#include "daemon/logger/logger.h"

#include "build-config.h"
#include "common/cleanup.h"
#include "common/json_set.h"
#include "common/log.h"
#include "common/plural.h"
#include "common/time_text.h"
#include "daemon/device/drop_reasons.h"
#include "daemon/device/epoch.h"
#include "daemon/logger/events.h"
#include "daemon/logger/gather.h"
#include "daemon/logger/messages.h"
#include "daemon/logger/peer_memory.h"
#include "daemon/logger/peer_traffic.h"
#include "daemon/logger/run_mark.h"
#include "daemon/logger/state.h"
#include "daemon/logger/status.h"
#include "daemon/logger/watch_drops.h"
#include "daemon/net/discover.h"
#include "daemon/record/live.h"
#include "daemon/routes/routes.h"
#include "daemon/spool/writer.h"

#include <errno.h>
#include <string.h>

/* After a longer time without counting, connections may have ended and begun unseen. */
#define GAP_MAX (NSEC_PER_SEC / 10)

/* ---- windows --------------------------------------------------------------------------------------- */

static int64_t thread_cpu(void)
{
	struct timespec now;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
	return now.tv_sec * NSEC_PER_SEC + now.tv_nsec;
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
	messages_store(emission->logger, message, emission->time);
	return 0;
}

static void take_physical(const struct entry *entry, void *userdata)
{
	struct logger *logger = userdata;
	struct address source;

	memcpy(&source, entry->key.bytes + ENTRY_SRC, sizeof(source));
	peer_traffic_add(logger->peer_traffic, &source, &entry->counts);
}

/*
 * Encodes what was gathered, and begins the next window with an empty aggregate. The window began at this
 * boot time, and the next one has begun.
 */
static void log_window(struct logger *logger, const struct encode_times *window, int64_t start_boot)
{
	_cleanup_(nodes_unrefp) struct nodes *nodes = naming_of_window(&logger->naming);
	struct encode_settings settings = {
		.max_message_size = logger->config->max_message_size,
		.node_id = logger->config->node_id,
		.nodes = nodes,
		.local_addrs = routes_local_addrs(logger->routes),
		.drop_reason_name = drop_reason_name,
		.sums = &logger->sums,
		.take_physical = take_physical,
		.take_userdata = logger,
	};
	struct emission emission = {.logger = logger, .time = clock_wall(logger->clock)};
	size_t connections;
	int r;

	settings.self = naming_self(&logger->naming, settings.node_id, settings.local_addrs,
				    logger->config->routes_mode == ROUTES_MODE_AUTO);
	if (logger->live) {
		live_begin_window(logger->live, start_boot, logger->window.start_boot);
		aggregate_finish(logger->aggregate, logger->live, logger->config->fold_ports);
	}
	logger->tun.last_connections = aggregate_connections(logger->aggregate, LAYER_TUN);
	logger->sock.last_connections = aggregate_connections(logger->aggregate, LAYER_SOCK);
	connections = logger->tun.last_connections + logger->sock.last_connections;
	r = encode_window(logger->aggregate, window, &settings, &logger->sequence, emission.time, emit,
			  &emission);
	if (r < 0) {
		const char *noun = plural(connections, "connection", "connections");
		json_t *event = event_of_type(EVENT_WINDOW_LOST);

		log_error("lost a window of %zu %s: %s", connections, noun, strerror(-r));
		json_set_number(event, "connections", connections);
		json_set_text(event, "reason", strerror(-r));
		messages_tell(logger, event, "lost a window of %zu %s: %s", connections, noun, strerror(-r));
	}
	logger->windows++;
	logger->last_end = window->end;
	logger->last_connections = connections;
	logger->last_messages = emission.messages;
	aggregate_reset(logger->aggregate);
	routes_end_window(logger->routes);
	naming_begin_window(&logger->naming);
}

static void tell_step(struct logger *logger, int64_t step)
{
	json_t *event = event_of_type(EVENT_CLOCK_STEPPED);

	logger->clock_steps++;
	json_object_set_new(event, "seconds", json_real((double)step / NSEC_PER_SEC));
	messages_tell(logger, event, "the wall clock stepped by %+.3f s", (double)step / NSEC_PER_SEC);
}

static void tell_heartbeat(struct logger *logger)
{
	int64_t silent = clock_boot(logger->clock) - logger->last_message;
	json_t *event;

	if (logger->config->heartbeat == 0 || silent < logger->config->heartbeat)
		return;
	event = event_of_type(EVENT_HEARTBEAT);
	json_set_number(event, "silentSeconds", (uint64_t)(silent / NSEC_PER_SEC));
	messages_tell(logger, event, "running, nothing logged for %lld s",
		      (long long)(silent / NSEC_PER_SEC));
}

/* Events are taken even when they are not wanted, so that they are not reported late when they are. */
static void take_event(const struct device_event *event, void *userdata)
{
	struct logger *logger = userdata;
	const struct node *node = nodes_find_address(logger->naming.nodes, &event->address);
	char text[EVENT_PEER_TEXT_MAX];
	json_t *object;

	if (!logger->config->peer_events)
		return;
	if (!node)
		node = nodes_find_id(logger->naming.nodes, event->id);
	object = event_of_peer(event, node ? node->id : NULL,
			       node && !node->nameless ? node_name(node) : NULL, text);
	messages_tell(logger, object, "%s", text);
}

/* What the peers have moved counts between two readings of them. */
static void read_peers(struct logger *logger)
{
	peer_memory_read(logger->peers, logger->sock.device, clock_wall(logger->clock),
			 clock_boot(logger->clock));
	peer_traffic_follow(logger->peer_traffic, logger->sock.device, logger->naming.nodes);
}

/* Whether the peers are nodes. */
static bool wants_peers(const struct logger *logger)
{
	const struct device *sock = logger->sock.device;

	return logger->config->wireguard_names != NAMES_NONE ||
	       (sock && sock->ops->source != SOURCE_WIREGUARD);
}

/* The sock device is another one, or is to name its peers from elsewhere. */
static void meet_peers(struct logger *logger)
{
	struct device *sock = logger->sock.device;

	if (sock && sock->ops->set_names)
		sock->ops->set_names(sock, logger->config->wireguard_names,
				     logger->config->wireguard_names_file);
	naming_forget_device(&logger->naming);
	naming_follow(&logger->naming, sock, wants_peers(logger));
	naming_begin_window(&logger->naming);
	peer_traffic_forget_device(logger->peer_traffic);
	read_peers(logger);
}

/* The end time is taken first, then everything that was counted until then. */
static void finish_window(struct logger *logger)
{
	struct encode_times window = {.start = logger->window.start};
	int64_t step, cpu = thread_cpu(), begun = time_now_boot(), start_boot = logger->window.start_boot;
	bool stepped = window_end(&logger->window, logger->clock, &window.end, &step);
	struct device *sock;

	gather_counts(logger);
	naming_follow(&logger->naming, logger->sock.device, wants_peers(logger));
	read_peers(logger);
	sock = logger->sock.device;
	log_window(logger, &window, start_boot);
	peer_traffic_end_window(logger->peer_traffic, clock_boot(logger->clock));
	logger_publish_peers(logger);
	if (sock && sock->ops->get_events)
		sock->ops->get_events(sock, take_event, logger);
	logger->last_cpu = thread_cpu() - cpu;
	logger->last_delay = time_now_boot() - begun;
	if (stepped)
		tell_step(logger, step);
}

/* What an operator should know about a device that counts; each thing once. */
static void tell_troubles(struct logger *logger, struct layer *layer)
{
	const char *name = layer_name(layer), *target = layer_target(layer);
	struct device_info info = {};
	json_t *event;

	if (layer->device)
		layer->device->ops->get_info(layer->device, &info);
	if (layer->question_error && !layer->told_error)
		log_warning("%s: the kernel cannot be asked about interface %s: %s; counting goes on", name,
			    target, strerror(-layer->question_error));
	layer->told_error = layer->question_error;
	if (info.went_ahead > layer->told_ahead) {
		log_warning(
			"%s: on %s another program had been put ahead of netlogd's, which may have hidden packets "
			"from it in this window; netlogd's is the first again",
			name, target);
		event = event_of_target(EVENT_DEVICE_WARNING, layer);
		json_set_text(event, "warning", "another program had been put ahead of netlogd's");
		messages_tell(logger, event,
			      "%s: on %s another program had been put ahead of netlogd's and may have hidden "
			      "packets in this window; netlogd's is the first again",
			      name, target);
	}
	layer->told_ahead = info.went_ahead;
	if (info.warning && !layer->told_warning) {
		log_warning("%s: on %s %s", name, target, info.warning);
		event = event_of_target(EVENT_DEVICE_WARNING, layer);
		json_set_text(event, "warning", info.warning);
		messages_tell(logger, event, "%s: on %s %s", name, target, info.warning);
	}
	layer->told_warning = info.warning;
	if (info.names_problem && !layer->told_names)
		log_warning("%s: peers of %s may be without their names: %s", name, target,
			    info.names_problem);
	layer->told_names = info.names_problem;
	if (layer->bypassed > 0 && !layer->told_bypassed) {
		log_warning(
			"%s: %s has sent at least %llu %s that netlogd could not see (PACKET_QDISC_BYPASS or "
			"XDP_REDIRECT); more are only counted",
			name, target, (unsigned long long)layer->bypassed,
			plural(layer->bypassed, "packet", "packets"));
		layer->told_bypassed = true;
	}
}

/* The tun device begins to count, or went on after it had missed packets: what was remembered may be wrong.
 */
static void forget_live(struct logger *logger, const struct layer *layer)
{
	if (layer->which == LAYER_TUN && logger->live)
		live_begin(logger->live, clock_boot(logger->clock));
}

static void check_layer(struct logger *logger, struct layer *layer)
{
	enum layer_state before;
	_cleanup_free_ char *what = NULL;

	if (layer_is_lost(layer)) {
		gather_early(logger); /* what the kernel still holds */
		layer_lose(layer);
		log_warning("%s: %s disappeared; waiting for it", layer_name(layer), layer_target(layer));
		messages_tell(logger, event_of_target(EVENT_DEVICE_LOST, layer), "device lost: %s %s",
			      layer_name(layer), layer_target(layer));
	}
	before = layer->state;
	if (layer_wants_retry(layer))
		layer_open(layer);
	else if (!layer_improve(layer))
		return;
	/* The one that counted until the programs were attached. */
	if (layer->next) {
		gather_last_counts(logger);
		layer_take_next(layer);
		log_debug("%s: nothing was counted for %.3f ms when the programs took over",
			  layer_name(layer), (double)layer->gap / NSEC_PER_MSEC);
	}
	if (layer->state != LAYER_STATE_COUNTING)
		return;
	if (before != LAYER_STATE_COUNTING)
		forget_live(logger, layer);
	if (layer->which == LAYER_SOCK)
		meet_peers(logger);
	what = layer_describe(layer);
	log_info("counting %s", what ? what : layer_name(layer));
	messages_tell(
		logger,
		event_of_device(before == LAYER_STATE_LOST ? EVENT_DEVICE_BACK : EVENT_DEVICE_FOUND, layer),
		"device %s: %s", before == LAYER_STATE_LOST ? "back" : "found",
		what ? what : layer_name(layer));
}

void logger_check_devices(struct logger *logger)
{
	if (!logger->running)
		return;
	layer_look(&logger->sock);
	check_layer(logger, &logger->tun);
	check_layer(logger, &logger->sock);
	watch_drops_follow(logger);
	tell_troubles(logger, &logger->tun);
	tell_troubles(logger, &logger->sock);
	tell_heartbeat(logger);
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

/*
 * Opens a layer and enables it. What its device held before belongs to no window. flip: NULL for the second
 * layer, since another flip would leave the tun device's first packets on the side that the next window does
 * not drain.
 */
static int bring_up(struct logger *logger, struct layer *layer, const struct device_config *device,
		    struct epoch *flip)
{
	struct extraction discarded;
	int r = layer_configure(layer, logger->config, device);

	if (r >= 0)
		r = layer_open(layer);
	if (r >= 0)
		r = layer_set_enabled(layer, true);
	if (r < 0)
		return r;
	if (flip)
		epoch_flip(flip);
	layer_extract(layer, NULL, &discarded);
	extraction_deinit(&discarded);
	return 0;
}

/* A run that was killed leaves its mark; its last message is the last one in the spool. */
static void tell_unclean_shutdown(struct logger *logger)
{
	int64_t last = spool_writer_last_time(logger->spool);
	char text[TIME_TEXT_MAX];
	json_t *event;
	int r = logger->told_unclean ? 0 : run_mark_is_set(logger->config->state_directory);

	if (r < 0)
		log_warning("%s: cannot tell whether the previous run shut down cleanly: %s",
			    logger->config->state_directory, strerror(-r));
	if (r <= 0)
		return;
	logger->told_unclean = true;
	time_format(last, text);
	event = event_of_type(EVENT_UNCLEAN_STOP);
	json_set_time(event, "lastMessage", last);
	if (last == 0)
		messages_tell(logger, event, "previous run did not shut down cleanly; no messages from it");
	else
		messages_tell(logger, event, "previous run did not shut down cleanly; last message at %s",
			      text);
}

static void mark_running(struct logger *logger, bool running)
{
	int r = run_mark_set(logger->config->state_directory, running);

	if (r < 0)
		log_warning(
			"%s: cannot record that this run %s: %s; the next start may misjudge the shutdown",
			logger->config->state_directory, running ? "started" : "stopped", strerror(-r));
}

/* The devices count: begins the first window. */
static void begin(struct logger *logger, bool overridden)
{
	_cleanup_free_ char *tun = layer_describe(&logger->tun), *sock = layer_describe(&logger->sock);
	const char *routes = logger->config->routes_mode == ROUTES_MODE_AUTO ? "auto" : "static";
	int64_t step;
	bool stepped;

	logger->running = true;
	logger->overridden = overridden;
	stepped = window_begin(&logger->window, logger->clock, &step);
	/* The devices count already: a window that begins a minute later is a minute of theirs away. */
	if (logger->live)
		live_begin(logger->live, logger->window.start_boot);
	logger->started = logger->window.start;
	meet_peers(logger);
	gather_routes(logger);
	routes_begin(logger->routes);
	/* So that the first window's traffic finds its counters. */
	peer_traffic_end_window(logger->peer_traffic, logger->window.start_boot);
	logger_publish_peers(logger);
	watch_drops_begin(logger);
	if (stepped)
		tell_step(logger, step);
	tell_unclean_shutdown(logger);
	mark_running(logger, true);
	messages_tell(logger, event_of_start(NETLOGD_VERSION, &logger->tun, &logger->sock, routes),
		      "started, version %s, %s, %s, routes %s", NETLOGD_VERSION, tun ? tun : "tun",
		      sock ? sock : "sock", routes);
	log_info("started: %s, %s", tun ? tun : "tun", sock ? sock : "sock");
	logger_publish(logger);
}

int logger_start(struct logger *logger, const struct device_config *tun, const struct device_config *sock,
		 const char **ret_layer, char **ret_reason)
{
	struct layer *failed = &logger->tun;
	int r;

	if (logger->running)
		return -EALREADY;
	r = bring_up(logger, &logger->tun, tun ? tun : &logger->config->tun, logger->epoch);
	if (r >= 0) {
		failed = &logger->sock;
		r = bring_up(logger, &logger->sock, sock ? sock : &logger->config->sock, NULL);
	}
	if (r >= 0) {
		begin(logger, tun || sock);
		return 0;
	}
	*ret_layer = layer_name(failed);
	*ret_reason = strdup(failed->reason ? failed->reason : strerror(-r));
	/* A userspace VPN counts until it is told to stop. */
	layer_set_enabled(&logger->tun, false);
	layer_set_enabled(&logger->sock, false);
	close_layers(logger);
	logger_publish(logger);
	return r;
}

static void bring_up_anyway(struct logger *logger, struct layer *layer, const struct device_config *device,
			    struct epoch *flip)
{
	int r = bring_up(logger, layer, device, flip);

	if (r < 0 && layer->device) {
		/* The device exists but cannot count: retried like one that does not exist. */
		layer_close(layer);
		layer->state = LAYER_STATE_FAILED;
	}
	layer->enabled = true; /* it counts as soon as it has a device */
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
	watch_drops_end(logger);
	finish_window(logger);
	layer_set_enabled(&logger->sock, false);
	close_layers(logger);
	gather_forget_routes(logger);
	logger->running = false;
	messages_tell(logger, event_of_type(EVENT_STOPPED), "stopped");
	mark_running(logger, false);
	logger_publish(logger);
	log_info("stopped");
}

/* ---- changes --------------------------------------------------------------------------------------- */

int logger_reconfigure(struct logger *logger, const struct route_lists *lists)
{
	int r;

	gather_counts(logger);
	r = routes_reconfigure(logger->routes, lists);
	logger_publish(logger);
	return r;
}

void logger_set_nodes(struct logger *logger, struct nodes **nodes)
{
	*nodes = naming_set_named(&logger->naming, *nodes, logger->sock.device, wants_peers(logger));
	peer_traffic_forget_device(logger->peer_traffic);
	logger_publish(logger);
}

/* Connections that live are remembered twice over: those of a window, and as many that are silent. */
static int follow_live(struct logger *logger, const struct config *config)
{
	size_t capacity = 2 * (size_t)config->max_flows;
	int r = 0;

	if (!config->details) {
		live_free(TAKE_PTR(logger->live));
	} else if (logger->live) {
		live_set_capacity(logger->live, capacity);
	} else {
		r = live_new(capacity, &logger->live);
		if (r >= 0)
			live_begin(logger->live, clock_boot(logger->clock));
	}
	return r;
}

/* Makes the device that the configuration asks for, if it is another one; it counts beside the current one.
 * The source and the interface that Start has named stay. */
static int prepare(struct logger *logger, struct layer *layer, const struct config *config,
		   const struct device_config *configured)
{
	const struct device_config *device = logger->overridden ? &layer->config : configured;

	if (!logger->running || !layer_differs(layer, config, device))
		return 0;
	return layer_prepare(layer, config, device);
}

/* Whether both count the same connections, be it by another source. */
static bool counts_the_same(const struct layer *a, const struct layer *b)
{
	const char *socket_a = a->config.stats_socket, *socket_b = b->config.stats_socket;
	const char *interface_a = a->config.interface, *interface_b = b->config.interface;

	return strcmp(interface_a ? interface_a : "", interface_b ? interface_b : "") == 0 &&
	       strcmp(socket_a ? socket_a : "", socket_b ? socket_b : "") == 0;
}

static void exchange(struct logger *logger, struct layer *layer)
{
	_cleanup_free_ char *what = NULL;
	json_t *event;
	bool same;

	if (!layer->next)
		return;
	same = counts_the_same(layer, layer->next);
	layer_take_next(layer);
	if (!same || layer->gap > GAP_MAX)
		forget_live(logger, layer);
	if (layer->state == LAYER_STATE_FAILED)
		log_error("%s: %s", layer_name(layer), layer->reason ? layer->reason : "no source works");
	what = layer_describe(layer);
	event = event_of_device(EVENT_DEVICE_CHANGED, layer);
	if (layer->gap == 0) {
		messages_tell(logger, event, "device changed: %s", what ? what : layer_name(layer));
		return;
	}
	json_object_set_new(event, "gapSeconds", json_real((double)layer->gap / NSEC_PER_SEC));
	log_warning("%s: nothing was counted for %.3f ms while the device was exchanged", layer_name(layer),
		    (double)layer->gap / NSEC_PER_MSEC);
	messages_tell(logger, event, "device changed: %s; nothing was counted for %.3f ms in between",
		      what ? what : layer_name(layer), (double)layer->gap / NSEC_PER_MSEC);
}

/* The window ends under the old configuration. What the old devices count until the new ones take over is
 * gathered into the next window. */
int logger_apply(struct logger *logger, const struct config *config, struct nodes **nodes)
{
	int r = prepare(logger, &logger->tun, config, &config->tun);

	if (r >= 0)
		r = prepare(logger, &logger->sock, config, &config->sock);
	if (r >= 0 && logger->running)
		finish_window(logger);
	if (r >= 0)
		r = follow_live(logger, config);
	if (r >= 0)
		r = routes_set_configured(logger->routes, config);
	if (r < 0) {
		layer_drop_next(&logger->tun);
		layer_drop_next(&logger->sock);
		return r;
	}
	logger->found_all = false; /* mode static has dropped what was found */
	/* The nodes of a SetNodes call stay, unless there is a nodes file. */
	if (config->nodes_file || logger->config->nodes_file)
		logger_set_nodes(logger, nodes);
	logger->config = config;
	peer_traffic_set_max(logger->peer_traffic, config->metrics_peers);
	logger_publish_peers(logger);
	/* What was exit traffic, or ignored, may be logged from now on. */
	if (logger->live)
		live_show(logger->live);
	aggregate_set_bound(logger->aggregate, config->max_flows);
	if (logger->tun.next || logger->sock.next)
		gather_last_counts(logger);
	exchange(logger, &logger->tun);
	exchange(logger, &logger->sock);
	/* Also where it needs no other device. */
	logger->tun.max_flows = logger->sock.max_flows = config->max_flows;
	meet_peers(logger);
	watch_drops_begin(logger);
	gather_routes(logger);
	logger_publish(logger);
	return 0;
}

int logger_set_public_id(struct logger *logger, const struct log_id *public_id)
{
	spool_writer_set_public_id(logger->spool, public_id);
	return 0;
}

bool logger_is_running(const struct logger *logger)
{
	return logger->running;
}

int logger_routes_fd(const struct logger *logger)
{
	return logger->discovery ? discovery_fd(logger->discovery) : -1;
}

bool logger_wants_extraction(const struct logger *logger, enum device_layer layer)
{
	struct device *device = layer == LAYER_TUN ? logger->tun.device : logger->sock.device;

	return device && (!device->ops->wants_extraction || device->ops->wants_extraction(device));
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
		nodes_unref(options->nodes);
		return -ENOMEM;
	}
	pthread_mutex_init(&logger->mutex, NULL);
	logger->naming.named = options->nodes;
	logger->naming.nodes = nodes_ref(options->nodes);
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
		r = peer_memory_new(&logger->peers);
	if (r >= 0)
		r = peer_traffic_new(&logger->peer_traffic);
	if (r >= 0)
		peer_traffic_set_max(logger->peer_traffic, options->config->metrics_peers);
	if (r >= 0)
		aggregate_set_bound(logger->aggregate, options->config->max_flows);
	if (r >= 0)
		r = follow_live(logger, options->config);
	if (r >= 0)
		r = routes_new(options->config, &logger->routes);
	if (r < 0)
		return r;
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
	watch_drops_deinit(logger);
	gather_forget_routes(logger);
	aggregate_free(logger->aggregate);
	peer_traffic_free(logger->peer_traffic);
	peer_samples_unref(logger->peer_samples);
	live_free(logger->live);
	peer_memory_free(logger->peers);
	routes_free(logger->routes);
	naming_deinit(&logger->naming);
	buffer_deinit(&logger->text);
	json_decref(logger->status);
	pthread_mutex_destroy(&logger->mutex);
	free(logger);
}
