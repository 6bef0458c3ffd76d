/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Prometheus text (exposition format 0.0.4) from the same Status that the control interface shows, so that
 * the two never differ. Tables say which member becomes which metric.
 */

#include "daemon/metrics.h"

#include "common/buffer.h"
#include "common/log.h"
#include "common/time_text.h"
#include "daemon/state.h"
#include "daemon/status.h"
#include "daemon/textfile.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

enum metric_kind {
	METRIC_NUMBER = 0,    /* a number or a boolean */
	METRIC_AGE = 1,	      /* of a time; 0 without one */
	METRIC_TIMESTAMP = 2, /* a time in seconds since 1970; left out without one */
	METRIC_TEXT = 3,      /* a text as a label, with the value 1 */
	METRIC_PRESENCE = 4,  /* whether the member exists */
};

struct metric {
	const char *path; /* members of Status, separated by '.' */
	const char *name;
	const char *type;
	const char *help;
	double scale; /* 0: 1 */
	enum metric_kind kind;
	const char *label; /* for a text */
};

static const struct metric metrics[] = {
	{"running", "netlogd_running", "gauge", "Whether the logger runs.", 0},
	{"memory", "netlogd_resident_bytes", "gauge", "Resident memory of the daemon.", 0},
	{"cpuMs", "netlogd_cpu_seconds_total", "counter", "CPU time of the daemon.", 0.001},
	{"record.messages", "netlogd_messages_total", "counter", "Messages logged.", 0},
	{"record.bytes", "netlogd_message_bytes_total", "counter", "Bytes of messages logged.", 0},
	{"record.windows", "netlogd_windows_total", "counter", "Windows that ended.", 0},
	{"record.conservationFailures", "netlogd_conservation_failures_total", "counter",
	 "Windows in which entries and totals differed.", 0},
	{"record.clockSteps", "netlogd_clock_steps_total", "counter", "Steps of the wall clock.", 0},
	{"record.details", "netlogd_details_enabled", "gauge", "Whether entries say how connections went.",
	 0},
	{"record.live.connections", "netlogd_live_connections", "gauge",
	 "Connections remembered for their details.", 0},
	{"record.live.maxConnections", "netlogd_live_max_connections", "gauge",
	 "Connections that have room to be remembered; up to 1.6 times as many may find some.", 0},
	{"record.live.forgotten", "netlogd_live_forgotten_total", "counter",
	 "Remembered connections that had to make room before their time.", 0},
	{"routes.kernelReads", "netlogd_route_reads_total", "counter",
	 "Times that the kernel's routes of one family were read in full.", 0},
	{"routes.kernelChanges", "netlogd_route_changes_total", "counter",
	 "Notifications of changes that may concern the tunnel.", 0},
	{"window.lastConnections", "netlogd_window_connections", "gauge", "Connections of the last window.",
	 0},
	{"window.lastCpuUs", "netlogd_window_cpu_seconds", "gauge", "CPU time of the last window's end.",
	 1e-6},
	{"window.lastDelayUs", "netlogd_window_delay_seconds", "gauge", "Duration of the last window's end.",
	 1e-6},
	{"drops.state", "netlogd_drops_state", "gauge",
	 "Of what the kernel throws away: counting, waiting, unavailable or off.", 0, METRIC_TEXT, "state"},
	{"drops.overflow", "netlogd_dropped_packets_overflow_total", "counter",
	 "Dropped packets that are in no entry.", 0},
	{"drops.unplaced", "netlogd_dropped_packets_unplaced_total", "counter",
	 "Dropped packets of which the kernel did not tell whether they were the tunnel's.", 0},
	{"drops.missed", "netlogd_dropped_packets_missed_total", "counter",
	 "Drops anywhere on the machine that could not be looked at.", 0},
	{"drops.errors", "netlogd_dropped_packets_errors_total", "counter",
	 "Windows whose dropped packets could not be read.", 0},
	{"spool.messages", "netlogd_spool_messages", "gauge", "Messages in the spool.", 0},
	{"spool.bytes", "netlogd_spool_bytes", "gauge", "Bytes of the spool on disk.", 0},
	{"spool.maxSize", "netlogd_spool_max_bytes", "gauge", "Maximum bytes of the spool on disk.", 0},
	{"spool.waitingMessages", "netlogd_spool_waiting_messages", "gauge",
	 "Messages in memory while spool writes fail.", 0},
	{"spool.waitingBytes", "netlogd_spool_waiting_bytes", "gauge", "Bytes of these messages.", 0},
	{"spool.lostMessages", "netlogd_spool_lost_messages_total", "counter",
	 "Messages lost before they reached the spool.", 0},
	{"spool.lostBytes", "netlogd_spool_lost_bytes_total", "counter", "Bytes of these messages.", 0},
	{"spool.removedMessages", "netlogd_spool_removed_messages_total", "counter",
	 "Messages removed by the size cap.", 0},
	{"spool.removedBytes", "netlogd_spool_removed_bytes_total", "counter", "Bytes of these messages.", 0},
	{"spool.error", "netlogd_spool_failing", "gauge", "1 while spool writes fail.", 0, METRIC_PRESENCE},
	{"spool.damagedFrames", "netlogd_spool_damaged_frames_total", "counter", "Damaged frames skipped.",
	 0},
	{"uploader.connected", "netlogd_uploader_connected", "gauge", "Whether the uploader is connected.",
	 0},
	{"uploader.restarts", "netlogd_uploader_restarts_total", "counter", "Restarts of the uploader.", 0},
	{"control.clients", "netlogd_control_clients", "gauge", "Clients of the control socket.", 0},
	{"control.refused", "netlogd_control_refused_total", "counter",
	 "Clients refused at the connection limit.", 0},
	{"control.cutOff", "netlogd_control_cut_off_total", "counter",
	 "Clients disconnected for breaking a limit.", 0},
	{"control.tails", "netlogd_control_tails", "gauge", "Tail streams.", 0},
	{"control.tailDropped", "netlogd_control_tail_dropped_total", "counter",
	 "Messages removed before a slow Tail stream reached them.", 0},
};

/* Of each device, with the label device="tun" or "sock". */
static const struct metric device_metrics[] = {
	{"lastConnections", "netlogd_device_connections", "gauge", "Connections of the last window.", 0},
	{"maxFlows", "netlogd_device_max_connections", "gauge", "Maximum connections of a window.", 0},
	{"memory", "netlogd_device_memory_bytes", "gauge", "Bytes of kernel maps and rings.", 0},
	{"errors", "netlogd_device_errors_total", "counter", "Failed extractions.", 0},
	{"conservationFailures", "netlogd_device_conservation_failures_total", "counter",
	 "Windows in which entries and totals differed.", 0},
	{"deviceDropsRx", "netlogd_device_interface_drops_rx_total", "counter",
	 "Received packets that the interface dropped.", 0},
	{"deviceDropsTx", "netlogd_device_interface_drops_tx_total", "counter",
	 "Outgoing packets that the interface dropped.", 0},
	{"bypassed", "netlogd_device_bypassed_packets_total", "counter",
	 "Packets that the interface sent, at least, and that could not be counted.", 0},
	{"lostDetails", "netlogd_device_lost_details_total", "counter",
	 "SYN, FIN and RST packets whose details found no room.", 0},
	{"wentAhead", "netlogd_device_went_ahead_total", "counter",
	 "Times that another program had been put ahead of the counting one.", 0},
	{"state", "netlogd_device_state", "gauge", "counting, waiting, lost, failed or stopped.", 0,
	 METRIC_TEXT, "state"},
	{"source", "netlogd_device_source", "gauge", "Source of the device's counts.", 0, METRIC_TEXT,
	 "source"},
	{"tunnelDroppedRx", "netlogd_device_tunnel_dropped_rx_bytes_total", "counter",
	 "Bytes that the tunnel dropped.", 0},
};

/* Counts of each device: packets and bytes by direction. */
static const struct metric device_counts[] = {
	{"totals", "netlogd_device", "counter", "counted by the device", 0},
	{"overflow", "netlogd_device_overflow", "counter", "that did not fit into the window", 0},
	{"unknown", "netlogd_device_unknown", "counter", "from or to unknown peers", 0},
	{"unseen", "netlogd_device_unseen", "counter", "that only the tunnel's own counters showed", 0},
	{"inexact", "netlogd_device_inexact", "counter", "that are not known exactly", 0},
};

static const struct metric sink_metrics[] = {
	{"backlogMessages", "netlogd_sink_backlog_messages", "gauge",
	 "Messages not delivered to the sink yet.", 0},
	{"backlogBytes", "netlogd_sink_backlog_bytes", "gauge", "Bytes not delivered to the sink yet.", 0},
	{"deliveredSequence", "netlogd_sink_delivered_sequence", "gauge",
	 "Last message delivered to the sink.", 0},
	{"retries", "netlogd_sink_retries_total", "counter", "Failed attempts.", 0},
	{"lostMessages", "netlogd_sink_lost_messages_total", "counter", "Messages lost to the sink.", 0},
	{"lostBytes", "netlogd_sink_lost_bytes_total", "counter", "Bytes of these messages.", 0},
	{"quarantined", "netlogd_sink_quarantined_total", "counter",
	 "Refused messages that were put into quarantine.", 0},
	{"sentMessages", "netlogd_sink_sent_messages_total", "counter", "Messages that the sink accepted.",
	 0},
	{"sentBytes", "netlogd_sink_sent_bytes_total", "counter", "Bytes of these messages.", 0},
	{"cursorViolations", "netlogd_sink_cursor_violations_total", "counter",
	 "Times the sink nearly skipped messages and went back.", 0},
	{"oldest", "netlogd_sink_backlog_age_seconds", "gauge",
	 "Age of the oldest message not delivered to the sink yet.", 0, METRIC_AGE},
	{"lastSuccess", "netlogd_sink_last_success_timestamp_seconds", "gauge",
	 "When the sink last accepted something.", 0, METRIC_TIMESTAMP},
	{"state", "netlogd_sink_state", "gauge", "ok, idle, retrying, misconfigured or unknown.", 0,
	 METRIC_TEXT, "state"},
	{"lastError", "netlogd_sink_last_error", "gauge", "Last error of the sink.", 0, METRIC_TEXT, "error"},
};

static const json_t *find(const json_t *object, const char *path)
{
	char name[64];

	while (object) {
		size_t n = strcspn(path, ".");

		if (n >= sizeof(name))
			return NULL;
		memcpy(name, path, n);
		name[n] = '\0';
		object = json_object_get(object, name);
		if (!path[n])
			return object;
		path += n + 1;
	}
	return NULL;
}

static void write_head(struct buffer *text, const struct metric *metric)
{
	buffer_printf(text, "# HELP %s %s\n# TYPE %s %s\n", metric->name, metric->help, metric->name,
		      metric->type);
}

/* A sample's name and labels; labels as "device=\"tun\"", or "". */
static void write_name(struct buffer *text, const struct metric *metric, const char *labels)
{
	buffer_printf(text, *labels ? "%s{%s} " : "%s ", metric->name, labels);
}

static void write_number(struct buffer *text, const struct metric *metric, const char *labels,
			 const json_t *value)
{
	if (!json_is_boolean(value) && !json_is_integer(value))
		return;
	write_name(text, metric, labels);
	if (json_is_boolean(value))
		buffer_printf(text, "%d\n", json_is_true(value));
	else if (metric->scale > 0)
		buffer_printf(text, "%.9g\n", (double)json_integer_value(value) * metric->scale);
	else
		buffer_printf(text, "%lld\n", (long long)json_integer_value(value));
}

static void write_time(struct buffer *text, const struct metric *metric, const char *labels,
		       const json_t *value)
{
	bool is_age = metric->kind == METRIC_AGE;
	int64_t time, now = time_now_wall();

	if (!json_is_string(value) || time_parse(json_string_value(value), &time) < 0) {
		if (!is_age)
			return;
		time = now;
	}
	write_name(text, metric, labels);
	buffer_printf(text, "%.3f\n", (double)(is_age ? MAX(now - time, 0) : time) / (double)NSEC_PER_SEC);
}

/* A label's value: backslash, quote and newline are escaped. */
static void write_text(struct buffer *text, const struct metric *metric, const char *labels,
		       const json_t *value)
{
	if (!json_is_string(value))
		return;
	buffer_printf(text, *labels ? "%s{%s," : "%s{%s", metric->name, labels);
	buffer_printf(text, "%s=\"", metric->label);
	for (const char *c = json_string_value(value); *c; c++) {
		if (*c == '\\' || *c == '"')
			buffer_append_char(text, '\\');
		buffer_append_text(text, *c == '\n' ? "\\n" : (char[]){*c, '\0'});
	}
	buffer_append_text(text, "\"} 1\n");
}

static void write_value(struct buffer *text, const struct metric *metric, const char *labels,
			const json_t *value)
{
	switch (metric->kind) {
	case METRIC_NUMBER:
		write_number(text, metric, labels, value);
		break;
	case METRIC_AGE:
	case METRIC_TIMESTAMP:
		write_time(text, metric, labels, value);
		break;
	case METRIC_TEXT:
		write_text(text, metric, labels, value);
		break;
	case METRIC_PRESENCE:
		write_name(text, metric, labels);
		buffer_printf(text, "%d\n", value != NULL);
		break;
	}
}

static void write_daemon(struct buffer *text, const json_t *status)
{
	const char *version = json_string_value(json_object_get(status, "version"));

	buffer_printf(
		text,
		"# HELP netlogd_info The daemon.\n# TYPE netlogd_info gauge\nnetlogd_info{version=\"%s\"} 1\n",
		version ? version : "");
	for (size_t i = 0; i < ARRAY_SIZE(metrics); i++) {
		write_head(text, &metrics[i]);
		write_value(text, &metrics[i], "", find(status, metrics[i].path));
	}
}

static void write_devices(struct buffer *text, const json_t *status)
{
	static const char *const devices[][2] = {{"tun", "device=\"tun\""}, {"sock", "device=\"sock\""}};

	for (size_t i = 0; i < ARRAY_SIZE(device_metrics); i++) {
		write_head(text, &device_metrics[i]);
		for (size_t d = 0; d < ARRAY_SIZE(devices); d++)
			write_value(text, &device_metrics[i], devices[d][1],
				    find(json_object_get(status, devices[d][0]), device_metrics[i].path));
	}
}

/* Of the groups with this one's cause, from it on. 0: an earlier one has it, too. */
static long long unseen_of(const json_t *groups, size_t at)
{
	const char *cause = json_string_value(json_object_get(json_array_get(groups, at), "cause"));
	long long peers = 0;
	json_t *group;
	size_t i;

	json_array_foreach (groups, i, group) {
		const char *other = json_string_value(json_object_get(group, "cause"));

		if (!cause || !other || strcmp(cause, other) != 0)
			continue;
		if (i < at)
			return 0;
		peers += json_integer_value(json_object_get(group, "peers"));
	}
	return peers;
}

static void write_unseen(struct buffer *text, const json_t *status)
{
	const json_t *groups = json_object_get(json_object_get(status, "sock"), "unseenPeers");

	buffer_append_text(text, "# HELP netlogd_unseen_peers Peers that the underlay does not show.\n"
				 "# TYPE netlogd_unseen_peers gauge\n");
	for (size_t i = 0; i < json_array_size(groups); i++) {
		long long peers = unseen_of(groups, i);

		if (peers)
			buffer_printf(text, "netlogd_unseen_peers{cause=\"%s\"} %lld\n",
				      json_string_value(json_object_get(json_array_get(groups, i), "cause")),
				      peers);
	}
}

/* The kernel's reasons are its own and not many. */
static void write_drops(struct buffer *text, const json_t *status)
{
	const json_t *reasons = json_object_get(json_object_get(status, "drops"), "reasons");
	json_t *reason;
	size_t i;

	buffer_append_text(text, "# HELP netlogd_dropped_packets_total Packets that the kernel threw away.\n"
				 "# TYPE netlogd_dropped_packets_total counter\n");
	json_array_foreach (reasons, i, reason) {
		const char *name = json_string_value(json_object_get(reason, "reason"));
		long long tx = json_integer_value(json_object_get(reason, "txPkts"));
		long long rx = json_integer_value(json_object_get(reason, "rxPkts"));

		if (tx)
			buffer_printf(text,
				      "netlogd_dropped_packets_total{direction=\"tx\",reason=\"%s\"} %lld\n",
				      name, tx);
		if (rx)
			buffer_printf(text,
				      "netlogd_dropped_packets_total{direction=\"rx\",reason=\"%s\"} %lld\n",
				      name, rx);
	}
}

static void write_one_count(struct buffer *text, const json_t *status, const struct metric *metric,
			    const char *unit, const char *const members[2])
{
	static const char *const devices[] = {"tun", "sock"};
	static const char *const directions[] = {"tx", "rx"};

	buffer_printf(text, "# HELP %s_%s_total The %s %s.\n# TYPE %s_%s_total counter\n", metric->name, unit,
		      unit, metric->help, metric->name, unit);
	for (size_t d = 0; d < ARRAY_SIZE(devices); d++)
		for (size_t way = 0; way < ARRAY_SIZE(directions); way++) {
			const json_t *counts =
				json_object_get(json_object_get(status, devices[d]), metric->path);

			buffer_printf(text, "%s_%s_total{device=\"%s\",direction=\"%s\"} %lld\n",
				      metric->name, unit, devices[d], directions[way],
				      (long long)json_integer_value(json_object_get(counts, members[way])));
		}
}

static void write_counts(struct buffer *text, const json_t *status)
{
	static const char *const packets[] = {"txPkts", "rxPkts"};
	static const char *const bytes[] = {"txBytes", "rxBytes"};

	for (size_t i = 0; i < ARRAY_SIZE(device_counts); i++) {
		write_one_count(text, status, &device_counts[i], "packets", packets);
		write_one_count(text, status, &device_counts[i], "bytes", bytes);
	}
}

static void write_sinks(struct buffer *text, const json_t *status)
{
	const json_t *sinks = json_object_get(status, "sinks");
	json_t *sink;
	size_t at;

	for (size_t i = 0; i < ARRAY_SIZE(sink_metrics); i++) {
		write_head(text, &sink_metrics[i]);
		json_array_foreach (sinks, at, sink) {
			char labels[128];

			/* A sink's name needs no escaping. */
			snprintf(labels, sizeof(labels), "sink=\"%s\"",
				 json_string_value(json_object_get(sink, "name")));
			write_value(text, &sink_metrics[i], labels,
				    json_object_get(sink, sink_metrics[i].path));
		}
	}
}

char *metrics_new(struct daemon *daemon)
{
	_cleanup_buffer_ struct buffer text = {};
	json_t *status = status_new(daemon);

	if (!status)
		return NULL;
	write_daemon(&text, status);
	write_devices(&text, status);
	write_counts(&text, status);
	write_unseen(&text, status);
	write_drops(&text, status);
	write_sinks(&text, status);
	json_decref(status);
	return buffer_take(&text, NULL);
}

void metrics_publish(struct daemon *daemon)
{
	const struct config *config = daemon->config;
	/* A disk that hangs costs its own figures, no more. */
	bool to_file = config->metrics_textfile && !daemon->textfile_pending;
	_cleanup_free_ char *text = NULL;

	if (!config->metrics_listen && !to_file)
		return;
	text = metrics_new(daemon);
	if (!text)
		return;
	if (config->metrics_listen)
		uploader_link_set_metrics(daemon->uploader, text);
	if (to_file && textfile_write(daemon, TAKE_PTR(text)) < 0)
		log_warning("%s: out of memory: these metrics are not written", config->metrics_textfile);
}
