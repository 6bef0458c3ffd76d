/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The source `stats`: a userspace VPN that counts for itself and offers its counts on a Unix socket, by
 * Varlink. If it misbehaves, its counts of that window are lost, and nothing else: every wait has a limit, a
 * connection that is out of step is closed, and the next operation makes a new one. When nobody listens any
 * more, the device is gone.
 */

#include "common/time_text.h"
#include "control/varlink/client.h"
#include "daemon/device/device.h"
#include "daemon/device/stats_reply.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define INTERFACE  "org.netlogd.device"
#define CALL_MS	   1000		      /* for a reply, and for silence within one */
#define EXTRACT_NS (2 * NSEC_PER_SEC) /* for all parts of a reply */
/* Bytes of the reply to SetStatisticsEnabled, which holds nothing. */
#define REPLY_MAX (64 * 1024)

struct stats {
	struct device device;
	char *path;
	uint32_t max_flows;
	struct varlink_client *client; /* NULL: not connected */
	uint64_t errors;	       /* since the last extraction */
};

static void stats_free(struct device *device)
{
	struct stats *stats = (struct stats *)device;

	if (!stats)
		return;
	varlink_client_free(stats->client);
	free(stats->path);
	free(stats);
}
DEFINE_CLEANUP(struct device *, stats_free);

static void disconnect(struct stats *stats)
{
	varlink_client_free(stats->client);
	stats->client = NULL;
}

static int connect_client(struct stats *stats)
{
	int r = varlink_client_connect(stats->path, CALL_MS, &stats->client);

	if (r == -ENOENT || r == -ECONNREFUSED)
		return -ENODEV;
	if (r == 0)
		varlink_client_set_max(stats->client, REPLY_MAX);
	return r;
}

static int send_enabled(struct stats *stats, bool enabled)
{
	_cleanup_free_ char *error = NULL;
	json_t *reply = NULL;
	int r = varlink_client_call(stats->client, INTERFACE ".SetStatisticsEnabled",
				    json_pack("{s:b}", "enabled", enabled), CALL_MS, &reply, &error);

	json_decref(reply);
	if (r == 0 && error)
		r = -EREMOTEIO;
	if (r < 0)
		disconnect(stats);
	return r;
}

/* A new connection to a VPN that may not know yet that it is to count. */
static int start_counting(struct stats *stats)
{
	int r = connect_client(stats);

	return r < 0 ? r : send_enabled(stats, true);
}

static int stats_set_statistics_enabled(struct device *device, bool enabled)
{
	struct stats *stats = (struct stats *)device;
	int r;

	if (device->enabled == enabled)
		return 0;
	if (!enabled) {
		/* It no longer counts for us, whether it receives this or not. */
		device->enabled = false;
		if (stats->client && send_enabled(stats, false) < 0)
			++stats->errors;
		return 0;
	}
	/* The VPN may have gone since the last call: then try one new connection. */
	if (!stats->client || send_enabled(stats, true) < 0) {
		r = start_counting(stats);
		if (r < 0)
			return r;
	}
	device->enabled = true;
	return 0;
}

static int receive_parts(struct stats *stats, struct extraction *extraction)
{
	_cleanup_stats_reply_ struct stats_reply reply = {.extraction = extraction,
							  .max_flows = stats->max_flows};
	int64_t deadline = time_now_boot() + EXTRACT_NS;
	int r = varlink_client_send(stats->client, INTERFACE ".ExtractStatistics", NULL, true, CALL_MS);

	while (r == 0) {
		const char *data;
		size_t n;

		if (time_now_boot() >= deadline)
			return -ETIMEDOUT;
		r = varlink_client_read(stats->client, CALL_MS, &data, &n);
		if (r == 0)
			r = stats_reply_feed(&reply, data, n);
	}
	return r < 0 ? r : 0;
}

static int stats_extract_statistics(struct device *device, struct extraction *ret_extraction)
{
	struct stats *stats = (struct stats *)device;
	struct extraction extraction = {};
	int r = 0;

	/* Once disabled, this asks for the last counts, but does not reconnect for them. */
	if (device->enabled && !stats->client)
		r = start_counting(stats);
	if (r == 0 && stats->client)
		r = receive_parts(stats, &extraction);
	if (r < 0) {
		/* What came before the failure cannot be trusted. */
		extraction_deinit(&extraction);
		disconnect(stats);
		++stats->errors;
	}
	extraction.errors = stats->errors;
	stats->errors = 0;
	*ret_extraction = extraction;
	return r;
}

static void stats_get_info(struct device *device, struct device_info *ret_info)
{
	struct stats *stats = (struct stats *)device;

	*ret_info = (struct device_info){
		.source = SOURCE_STATS,
		.attachment = stats->path,
		.reason = stats->client ? NULL : "not connected to the VPN's stats socket",
	};
}

static const struct device_ops stats_ops = {
	.name = "stats",
	.source = SOURCE_STATS,
	.free = stats_free,
	.set_statistics_enabled = stats_set_statistics_enabled,
	.extract_statistics = stats_extract_statistics,
	.get_info = stats_get_info,
};

static int stats_make(const struct device_options *options, struct device **ret_device)
{
	_cleanup_(stats_freep) struct device *device = NULL;
	struct stats *stats = calloc(1, sizeof(*stats));
	int r;

	if (!stats)
		return -ENOMEM;
	device = &stats->device;
	device->ops = &stats_ops;
	device->layer = options->layer;
	stats->max_flows = options->max_flows;
	stats->path = strdup(options->stats_socket);
	if (!stats->path)
		return -ENOMEM;
	r = connect_client(stats);
	if (r < 0)
		return r;
	*ret_device = TAKE_PTR(device);
	return 0;
}

int device_stats_new(const struct device_options *options, struct device **ret_device, char **ret_reason)
{
	int r = options->stats_socket ? stats_make(options, ret_device) : -EINVAL;

	return device_explain(r,
			      r == -EINVAL   ? "no stats-socket is configured"
			      : r == -ENODEV ? "nothing is listening on the stats socket"
					     : "cannot connect to the stats socket",
			      ret_reason);
}
