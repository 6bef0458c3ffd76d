/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * One device without the daemon around it: "enable", "disable", "flip", "extract", "extract-failing" (the
 * maps of what the tunnel sent to unknown peers cannot be read), "info", "events", "names" and "allowed" on
 * standard input, each answered by a line of JSON. So a test decides to the instant where a window ends, and
 * sees what the device hands over and nothing else.
 */

#include "common/cleanup.h"
#include "common/config/keys.h"
#include "daemon/device/device.h"
#include "daemon/device/epoch.h"
#include "daemon/device/wireguard/wireguard.h"
#include "daemon/logger/events.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include <bpf/bpf.h>

static json_t *counts_json(const struct counts *counts)
{
	return json_pack("{s:I,s:I,s:I,s:I}", "txPkts", (json_int_t)counts->tx_packets, "txBytes",
			 (json_int_t)counts->tx_bytes, "rxPkts", (json_int_t)counts->rx_packets, "rxBytes",
			 (json_int_t)counts->rx_bytes);
}

static json_t *flow_json(const struct flow *flow)
{
	char src[ENDPOINT_TEXT_MAX], dst[ENDPOINT_TEXT_MAX];
	json_t *object = counts_json(&flow->counts);

	endpoint_format(&flow->connection.src, src);
	endpoint_format(&flow->connection.dst, dst);
	json_object_set_new(object, "proto", json_integer(flow->connection.proto));
	json_object_set_new(object, "src", json_string(src));
	json_object_set_new(object, "dst", json_string(dst));
	return object;
}

static double cpu_seconds(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
	       (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

static json_t *extract(struct device *device)
{
	struct extraction extraction = {};
	double before = cpu_seconds();
	int r = device->ops->extract_statistics(device, &extraction);
	json_t *object, *flows = json_array();

	for (size_t i = 0; i < extraction.flows.n; ++i)
		json_array_append_new(flows, flow_json(&extraction.flows.items[i]));
	object = json_pack("{s:i,s:o,s:o,s:o,s:o,s:o,s:b,s:I,s:f}", "result", r, "flows", flows, "totals",
			   counts_json(&extraction.totals), "overflow", counts_json(&extraction.overflow),
			   "unknown", counts_json(&extraction.unknown), "inexact",
			   counts_json(&extraction.inexact), "hasTotals", extraction.has_totals, "errors",
			   (json_int_t)extraction.errors, "cpuSeconds", cpu_seconds() - before);
	extraction_deinit(&extraction);
	return object;
}

#define DESCRIPTORS 256

static bool is_map_of_sent(int fd)
{
	struct bpf_map_info info = {};
	uint32_t size = sizeof(info);

	return bpf_obj_get_info_by_fd(fd, &info, &size) == 0 && info.type == BPF_MAP_TYPE_HASH &&
	       strncmp(info.name, "sent_", strlen("sent_")) == 0;
}

static json_t *extract_failing(struct device *device)
{
	int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC), kept[DESCRIPTORS];
	json_t *object;

	for (int fd = 0; fd < DESCRIPTORS; fd++) {
		kept[fd] = is_map_of_sent(fd) ? fcntl(fd, F_DUPFD_CLOEXEC, DESCRIPTORS) : -1;
		if (kept[fd] >= 0)
			dup3(nothing, fd, O_CLOEXEC);
	}
	object = extract(device);
	for (int fd = 0; fd < DESCRIPTORS; fd++)
		if (kept[fd] >= 0) {
			dup3(kept[fd], fd, O_CLOEXEC);
			close(kept[fd]);
		}
	close(nothing);
	return object;
}

static json_t *info(struct device *device)
{
	struct device_info info = {};

	device->ops->get_info(device, &info);
	return json_pack("{s:s,s:s?,s:s?,s:s?,s:i,s:I,s:I}", "source", device_source_name(info.source),
			 "attachment", info.attachment, "reason", info.reason, "interface", info.interface,
			 "ifindex", (int)info.ifindex, "memory", (json_int_t)info.memory, "tunnelDroppedRx",
			 (json_int_t)info.tunnel_dropped_rx);
}

static void add_text(const struct device_event *event, void *userdata)
{
	char text[EVENT_PEER_TEXT_MAX];

	json_decref(event_of_peer(event, NULL, NULL, text));
	json_array_append_new(userdata, json_string(text));
}

static json_t *events(struct device *device)
{
	json_t *texts = json_array();

	if (device->ops->get_events)
		device->ops->get_events(device, add_text, texts);
	return texts;
}

static void add_name(const struct device_peer *peer, void *userdata)
{
	json_array_append_new(userdata, json_pack("{s:s,s:s,s:b}", "id", peer->id, "name", peer->name,
						  "named", (int)peer->named));
}

/* After a window's end. */
static json_t *names(struct device *device)
{
	json_t *peers = json_array();
	char identities[24];

	device->ops->set_names(device, NAMES_AUTO, NULL);
	snprintf(identities, sizeof(identities), "%llu", (unsigned long long)device->ops->identities(device));
	device->ops->foreach_peer(device, add_name, peers);
	return json_pack("{s:s,s:o}", "identities", identities, "peers", peers);
}

static json_t *allowed(struct device *device)
{
	struct prefix_list list = {};
	json_t *texts = json_array();
	char text[PREFIX_TEXT_MAX];
	int r = device->ops->get_allowed_ips ? device->ops->get_allowed_ips(device, &list) : 0;

	if (r < 0)
		json_array_append_new(texts, json_integer(r));
	for (size_t i = 0; i < list.n; ++i) {
		prefix_format(&list.items[i], text);
		json_array_append_new(texts, json_string(text));
	}
	prefix_list_deinit(&list);
	return texts;
}

static json_t *run(struct device *device, struct epoch *epoch, const char *command)
{
	if (strcmp(command, "enable") == 0)
		return json_integer(device->ops->set_statistics_enabled(device, true));
	if (strcmp(command, "disable") == 0)
		return json_integer(device->ops->set_statistics_enabled(device, false));
	if (strcmp(command, "flip") == 0 && epoch) {
		epoch_flip(epoch);
		return json_true();
	}
	if (strcmp(command, "extract") == 0)
		return extract(device);
	if (strcmp(command, "extract-failing") == 0)
		return extract_failing(device);
	if (strcmp(command, "info") == 0)
		return info(device);
	if (strcmp(command, "events") == 0)
		return events(device);
	if (strcmp(command, "names") == 0)
		return names(device);
	if (strcmp(command, "allowed") == 0)
		return allowed(device);
	return json_null();
}

static void print(json_t *value)
{
	json_dumpf(value, stdout, JSON_COMPACT | JSON_ENCODE_ANY);
	putchar('\n');
	fflush(stdout);
	json_decref(value);
}

int main(int argc, char **argv)
{
	struct device_options options = {.layer = LAYER_SOCK, .max_flows = 65536};
	_cleanup_free_ char *reason = NULL;
	struct device *device = NULL;
	struct epoch *epoch = NULL;
	char line[64];
	int r;

	if (argc < 4) {
		fprintf(stderr,
			"usage: device-probe SOURCE INTERFACE|SOCKET auto|none|DEVICE... [max-flows]\n");
		return 2;
	}
	options.interface = argv[2];
	options.stats_socket = argv[2];
	options.underlay = strcmp(argv[3], "none") == 0	  ? UNDERLAY_NONE
			   : strcmp(argv[3], "auto") == 0 ? UNDERLAY_AUTO
							  : UNDERLAY_LIST;
	options.underlay_devices = options.underlay == UNDERLAY_LIST ? argv + 3 : NULL;
	if (getenv("PROBE_MAX_FLOWS"))
		options.max_flows = (uint32_t)atoi(getenv("PROBE_MAX_FLOWS"));
	options.without_tcx = getenv("PROBE_WITHOUT_TCX") != NULL;
	options.wg_broker = getenv("PROBE_WG_BROKER");
	if (options.underlay != UNDERLAY_NONE && epoch_new(&epoch) == 0)
		options.epoch = epoch;
	r = strcmp(argv[1], "stats") == 0 ? device_stats_new(&options, &device, &reason)
					  : device_wireguard_new(&options, &device, &reason);
	print(json_pack("{s:i,s:s?}", "result", r, "reason", reason));
	while (r == 0 && fgets(line, sizeof(line), stdin)) {
		line[strcspn(line, "\n")] = '\0';
		print(run(device, epoch, line));
	}
	device_free(device);
	epoch_free(epoch);
	return r < 0;
}
