/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The logger's thread publishes a copy after each of its steps, so that nobody has to wait for a window.
 */

#include "daemon/logger/status.h"

#include "common/cleanup.h"
#include "common/config/keys.h"
#include "common/json_set.h"
#include "common/plural.h"
#include "common/time_text.h"
#include "daemon/logger/peer_memory.h"
#include "daemon/logger/peer_traffic.h"
#include "daemon/logger/routes_status.h"
#include "daemon/logger/state.h"
#include "daemon/logger/watch_drops.h"
#include "daemon/record/live.h"

#include <string.h>

static json_t *counts_status(const struct counts *counts)
{
	return json_pack("{sI sI sI sI}", "txPkts", (json_int_t)counts->tx_packets, "txBytes",
			 (json_int_t)counts->tx_bytes, "rxPkts", (json_int_t)counts->rx_packets, "rxBytes",
			 (json_int_t)counts->rx_bytes);
}

static void set_warnings(json_t *status, const struct layer *layer, const struct device_info *info)
{
	json_t *warnings = json_array();

	if (info->warning)
		json_array_append_new(warnings, json_string(info->warning));
	if (info->names_problem)
		json_array_append_new(
			warnings, json_sprintf("peers may be without their names: %s", info->names_problem));
	if (layer->question_error < 0)
		json_array_append_new(
			warnings,
			json_sprintf("the kernel cannot be asked about interface %s: %s; counting goes on",
				     layer->config.interface, strerror(-layer->question_error)));
	if (layer->bypassed > 0)
		json_array_append_new(warnings,
				      json_sprintf("at least %llu %s sent past netlogd "
						   "(PACKET_QDISC_BYPASS or XDP_REDIRECT)",
						   (unsigned long long)layer->bypassed,
						   plural(layer->bypassed, "packet was", "packets were")));
	if (layer->lost_details > 0)
		json_array_append_new(warnings,
				      json_sprintf("%llu %s (SYN, FIN, RST) found no room for details: "
						   "starts and ends are missing (raise max-flows)",
						   (unsigned long long)layer->lost_details,
						   plural(layer->lost_details, "packet", "packets")));
	if (json_array_size(warnings) > 0)
		json_object_set(status, "warnings", warnings);
	json_decref(warnings);
}

static json_t *unseen_status(const struct device_info *info)
{
	json_t *list = json_array();

	for (size_t i = 0; i < info->n_unseen; i++) {
		const struct unseen_peers *group = &info->unseen[i];
		json_t *first = json_array();

		for (size_t j = 0; j < MIN(group->n, (size_t)UNSEEN_NAMED); j++)
			json_array_append_new(first, json_string(group->names[j]));
		json_array_append_new(list, json_pack("{ss ss sI so}", "cause", group->cause, "reason",
						      group->reason, "peers", (json_int_t)group->n, "first",
						      first));
	}
	return list;
}

static json_t *layer_status(const struct layer *layer)
{
	struct device_info info = {.source = layer->config.source};
	json_t *status = json_object();

	if (layer->device)
		layer->device->ops->get_info(layer->device, &info);
	json_set_text(status, "configured", device_source_name(layer->config.source));
	json_set_text(status, "source",
		      device_source_name(layer->device ? info.source : layer->config.source));
	json_set_text(status, "state", layer_state_name(layer->state));
	json_set_text(status, "interface", layer->config.interface);
	json_set_text(status, "statsSocket", layer->config.stats_socket);
	json_set_text(status, "attachment", info.attachment);
	json_set_text(status, "backend", info.backend);
	json_set_text(status, "reason", info.reason ? info.reason : layer->reason);
	if (info.ifindex)
		json_set_number(status, "ifindex", info.ifindex);
	json_set_number(status, "memory", info.memory);
	json_set_number(status, "maxFlows", layer->max_flows);
	json_set_number(status, "lastConnections", layer->last_connections);
	json_set_number(status, "errors", layer->errors);
	json_set_number(status, "conservationFailures", layer->conservation_failures);
	/* Without the interface, its counters are not zero: who graphs them would count them again later. */
	if (info.ifindex) {
		json_set_number(status, "deviceDropsRx", info.device_drops_rx);
		json_set_number(status, "deviceDropsTx", info.device_drops_tx);
	}
	json_set_number(status, "tunnelDroppedRx", info.tunnel_dropped_rx);
	json_set_number(status, "bypassed", layer->bypassed);
	json_set_number(status, "lostDetails", layer->lost_details);
	json_set_number(status, "wentAhead", info.went_ahead);
	set_warnings(status, layer, &info);
	json_object_set_new(status, "totals", counts_status(&layer->totals));
	json_object_set_new(status, "overflow", counts_status(&layer->overflow));
	json_object_set_new(status, "unknown", counts_status(&layer->unknown));
	json_object_set_new(status, "inexact", counts_status(&layer->inexact));
	if (layer->which == LAYER_SOCK)
		json_object_set_new(status, "unseen", counts_status(&layer->unseen));
	if (info.n_unseen)
		json_object_set_new(status, "unseenPeers", unseen_status(&info));
	return status;
}

/* By path; a path that no peer has is left out. */
static json_t *peers_status(const struct logger *logger)
{
	struct peer_numbers numbers = peer_traffic_numbers(logger->peer_traffic, logger->peers);
	json_t *peers = json_array();

	for (size_t path = 0; path < PEER_PATHS; path++) {
		const char *name = device_path_name(path);

		if (numbers.active[path] + numbers.silent[path] > 0)
			json_array_append_new(peers, json_pack("{ss sI sI}", "path", *name ? name : "unknown",
							       "active", (json_int_t)numbers.active[path],
							       "silent", (json_int_t)numbers.silent[path]));
	}
	return peers;
}

static json_t *window_status(const struct logger *logger)
{
	json_t *window = json_object();

	json_object_set_new(window, "periodMs", json_integer(logger->config->period / NSEC_PER_MSEC));
	if (logger->running)
		json_set_time(window, "start", logger->window.start);
	json_set_time(window, "lastEnd", logger->last_end);
	json_object_set_new(window, "lastConnections", json_integer((json_int_t)logger->last_connections));
	json_object_set_new(window, "lastMessages", json_integer((json_int_t)logger->last_messages));
	json_object_set_new(window, "lastCpuUs", json_integer(logger->last_cpu / NSEC_PER_USEC));
	json_object_set_new(window, "lastDelayUs", json_integer(logger->last_delay / NSEC_PER_USEC));
	return window;
}

static json_t *live_status(const struct live *live)
{
	struct live_status status = live_get_status(live);

	return json_pack("{sI sI sI sI}", "connections", (json_int_t)status.connections, "maxConnections",
			 (json_int_t)status.capacity, "forgotten", (json_int_t)status.forgotten, "memory",
			 (json_int_t)status.memory);
}

/* Whether entries of the class say which connections began: reduced exit traffic does not. */
static bool knows_begun(const struct logger *logger, enum traffic_class class)
{
	if (!logger->config->details || class == CLASS_PHYSICAL)
		return false;
	return class != CLASS_EXIT || logger->config->exit_traffic == EXIT_TRAFFIC_FULL;
}

static json_t *classes_status(const struct logger *logger)
{
	const struct encode_sums *sums = &logger->sums;
	json_t *classes = json_array();

	for (size_t class = 0; class < N_CLASSES; class ++) {
		json_t *one = json_object();

		json_set_text(one, "class", traffic_class_name(class));
		json_set_number(one, "entries", sums->entries[class]);
		json_object_set_new(one, "counts", counts_status(&sums->counts[class]));
		if (knows_begun(logger, class))
			json_set_number(one, "begun", sums->starts[class]);
		json_array_append_new(classes, one);
	}
	return classes;
}

static json_t *record_status(const struct logger *logger)
{
	json_t *record = json_object();

	json_object_set_new(record, "messages", json_integer((json_int_t)logger->messages));
	json_object_set_new(record, "bytes", json_integer((json_int_t)logger->bytes));
	json_object_set_new(record, "windows", json_integer((json_int_t)logger->windows));
	json_object_set_new(record, "classes", classes_status(logger));
	json_object_set_new(record, "ignored", counts_status(&logger->ignored));
	json_object_set_new(record, "conservationFailures",
			    json_integer((json_int_t)logger->conservation_failures));
	json_object_set_new(record, "clockSteps", json_integer((json_int_t)logger->clock_steps));
	json_object_set_new(record, "classifiedEarly", json_integer((json_int_t)logger->classified_early));
	json_object_set_new(record, "details", json_boolean(logger->config->details));
	json_object_set_new(record, "foldPorts", json_boolean(logger->config->fold_ports));
	if (logger->live)
		json_object_set_new(record, "live", live_status(logger->live));
	json_object_set_new(record, "exitTraffic",
			    json_string(exit_traffic_name(logger->config->exit_traffic)));
	json_object_set_new(record, "procId", json_integer(logger->sequence.proc_id));
	json_object_set_new(record, "procSeq", json_integer((json_int_t)logger->sequence.proc_seq));
	return record;
}

void logger_publish(struct logger *logger)
{
	json_t *status = json_object(), *sock, *old;
	size_t forgotten;

	json_object_set_new(status, "running", json_boolean(logger->running));
	if (logger->running)
		json_set_time(status, "runningSince", logger->started);
	json_object_set_new(status, "nodes", json_integer((json_int_t)nodes_count(logger->naming.nodes)));
	json_object_set_new(status, "window", window_status(logger));
	json_object_set_new(status, "tun", layer_status(&logger->tun));
	sock = layer_status(&logger->sock);
	if (logger->sock.device && logger->sock.device->ops->foreach_peer)
		json_object_set_new(sock, "peers", peers_status(logger));
	forgotten = peer_memory_get_status(logger->peers).forgotten;
	if (forgotten > 0)
		json_set_number(sock, "peersForgotten", forgotten);
	json_object_set_new(status, "sock", sock);
	json_object_set_new(status, "routes",
			    routes_status(logger->routes, logger->config, logger->discovery));
	json_object_set_new(status, "record", record_status(logger));
	json_object_set_new(status, "drops", watch_drops_status(logger));

	pthread_mutex_lock(&logger->mutex);
	old = logger->status;
	logger->status = status;
	pthread_mutex_unlock(&logger->mutex);
	json_decref(old);
}

json_t *logger_status(struct logger *logger)
{
	json_t *status;

	pthread_mutex_lock(&logger->mutex);
	status = json_copy(logger->status);
	pthread_mutex_unlock(&logger->mutex);
	return status;
}

void logger_publish_peers(struct logger *logger)
{
	struct peer_samples *samples = peer_traffic_sample(logger->peer_traffic), *old;

	pthread_mutex_lock(&logger->mutex);
	old = logger->peer_samples;
	logger->peer_samples = samples;
	pthread_mutex_unlock(&logger->mutex);
	peer_samples_unref(old);
}

struct peer_samples *logger_peer_samples(struct logger *logger)
{
	struct peer_samples *samples;

	pthread_mutex_lock(&logger->mutex);
	samples = peer_samples_ref(logger->peer_samples);
	pthread_mutex_unlock(&logger->mutex);
	return samples;
}
