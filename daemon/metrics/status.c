/* SPDX-License-Identifier: BSD-3-Clause */
/* Tables say which member of Status becomes which metric. */

#include "daemon/metrics/status.h"

#include "common/buffer.h"
#include "common/time_text.h"
#include "daemon/metrics/exposition.h"

#include <string.h>

enum metric_kind {
	METRIC_NUMBER = 0,    /* a number or a boolean */
	METRIC_AGE = 1,	      /* of a time; 0 without one */
	METRIC_TIMESTAMP = 2, /* a time in seconds since 1970; left out without one */
	METRIC_STATE = 3,     /* one of some words: 1 for it, and 0 for the others */
	METRIC_PRESENCE = 4,  /* whether the member exists */
};

struct metric {
	const char *path; /* members of Status, separated by '.' */
	const char *name;
	const char *type;
	const char *help;
	double scale; /* 0: 1 */
	enum metric_kind kind;
	const char *label;	  /* its name, of a state's words, */
	const char *const *words; /* which are these; ended by NULL */
};

static const char *const drops_states[] = {"counting", "waiting", "unavailable", "off", NULL};
static const char *const device_states[] = {"counting", "waiting", "lost", "failed", "stopped", NULL};
static const char *const device_sources[] = {"auto",  "none",	   "ebpf",	"packet",
					     "stats", "wireguard", "tailscale", NULL};
static const char *const sink_states[] = {"ok", "idle", "retrying", "misconfigured", "unknown", NULL};

static const struct metric metrics[] = {
	{"running", "netlogd_running", "gauge", "Whether the logger runs.", 0},
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
	 "Whether packets that the kernel throws away are counted: 1 for the state that holds.", 0,
	 METRIC_STATE, "state", drops_states},
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
	 "Messages removed by the size cap, delivered or not.", 0},
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

/* Of any program, under the names that Prometheus has for them. */
static const struct metric process_metrics[] = {
	{"memory", "process_resident_memory_bytes", "gauge", "Resident memory of the daemon.", 0},
	{"cpuMs", "process_cpu_seconds_total", "counter", "CPU time of the daemon.", 0.001},
	{"startedAt", "process_start_time_seconds", "gauge", "When the daemon started.", 0, METRIC_TIMESTAMP},
};

/* Of each device, with the label device="tun" or "sock". */
static const struct metric device_metrics[] = {
	{"lastConnections", "netlogd_device_connections", "gauge", "Connections of the last window.", 0},
	{"maxFlows", "netlogd_device_max_connections", "gauge", "Maximum connections of a window.", 0},
	{"memory", "netlogd_device_memory_bytes", "gauge", "Bytes of kernel maps and rings.", 0},
	{"errors", "netlogd_device_errors_total", "counter", "Failed extractions.", 0},
	{"conservationFailures", "netlogd_device_conservation_failures_total", "counter",
	 "Windows in which entries and totals differed.", 0},
	{"bypassed", "netlogd_device_bypassed_packets_total", "counter",
	 "Packets that the interface sent, at least, and that could not be counted.", 0},
	{"lostDetails", "netlogd_device_lost_details_total", "counter",
	 "SYN, FIN and RST packets whose details found no room.", 0},
	{"wentAhead", "netlogd_device_went_ahead_total", "counter",
	 "Times that another program had been put ahead of the counting one.", 0},
	{"state", "netlogd_device_state", "gauge", "State of the device: 1 for the one that holds.", 0,
	 METRIC_STATE, "state", device_states},
	{"source", "netlogd_device_source", "gauge",
	 "Source of the device's counts: 1 for the one in use, auto while none is.", 0, METRIC_STATE,
	 "source", device_sources},
};

/* Counts in both directions: of packets and of bytes. */
struct count_metric {
	const char *object; /* the member that holds them */
	const char *name;   /* without the unit */
	const char *help;   /* what follows "The packets " */
};

static const struct count_metric device_counts[] = {
	{"totals", "netlogd_device", "counted by the device"},
	{"overflow", "netlogd_device_overflow", "that did not fit into the window"},
	{"unknown", "netlogd_device_unknown", "from or to unknown peers"},
	{"unseen", "netlogd_device_unseen", "that only the tunnel's own counters showed"},
	{"inexact", "netlogd_device_inexact", "that are not known exactly"},
};

/* A number for each direction. */
struct direction_metric {
	const char *members[2]; /* tx, rx; NULL: there is none */
	const char *name;
	const char *type;
	const char *help;
};

static const struct direction_metric device_directions[] = {
	{{"deviceDropsTx", "deviceDropsRx"},
	 "netlogd_device_interface_dropped_packets_total",
	 "counter",
	 "Packets that the interface dropped."},
	/* The difference of two counters that are not read at one time: it is sometimes less than before. */
	{{NULL, "tunnelDroppedRx"},
	 "netlogd_device_tunnel_dropped_bytes",
	 "gauge",
	 "Bytes that the underlay received and the tunnel did not accept, so far."},
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
	{"quarantined", "netlogd_sink_quarantined_messages_total", "counter",
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
	{"state", "netlogd_sink_state", "gauge", "State of the sink: 1 for the one that holds.", 0,
	 METRIC_STATE, "state", sink_states},
	{"lastError", "netlogd_sink_failing", "gauge", "1 while the sink's last attempt failed.", 0,
	 METRIC_PRESENCE},
};

static const char *const devices[] = {"tun", "sock"};
static const char *const directions[] = {"tx", "rx"};
static const char *const packets[] = {"txPkts", "rxPkts"};
static const char *const bytes[] = {"txBytes", "rxBytes"};

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

static const char *text_of(const json_t *object, const char *name)
{
	return json_string_value(json_object_get(object, name));
}

static long long number_of(const json_t *object, const char *name)
{
	return (long long)json_integer_value(json_object_get(object, name));
}

/* label: of the device or sink; may be without a name. */
static void write_number(struct buffer *text, const struct metric *metric, const struct label *label,
			 const json_t *value)
{
	if (json_is_boolean(value))
		exposition_integer(text, metric->name, label, json_is_true(value));
	else if (json_is_integer(value) && metric->scale > 0)
		exposition_number(text, metric->name, label,
				  (double)json_integer_value(value) * metric->scale);
	else if (json_is_integer(value))
		exposition_integer(text, metric->name, label, json_integer_value(value));
}

static void write_time(struct buffer *text, const struct metric *metric, const struct label *label,
		       const json_t *value)
{
	bool is_age = metric->kind == METRIC_AGE;
	int64_t time, now = time_now_wall();

	if (!json_is_string(value) || time_parse(json_string_value(value), &time) < 0) {
		if (!is_age)
			return;
		time = now;
	}
	/* Milliseconds: more would only look exact. */
	time = (is_age ? MAX(now - time, 0) : time) / NSEC_PER_MSEC;
	exposition_number(text, metric->name, label, (double)time / 1000);
}

static void write_state(struct buffer *text, const struct metric *metric, const struct label *label,
			const json_t *value)
{
	struct label labels[3] = {*label};
	struct label *word = label->name ? &labels[1] : &labels[0];

	word->name = metric->label;
	for (const char *const *words = metric->words; json_is_string(value) && *words; words++) {
		word->value = *words;
		exposition_integer(text, metric->name, labels, strcmp(json_string_value(value), *words) == 0);
	}
}

static void write_value(struct buffer *text, const struct metric *metric, const struct label *label,
			const json_t *value)
{
	switch (metric->kind) {
	case METRIC_NUMBER:
		write_number(text, metric, label, value);
		break;
	case METRIC_AGE:
	case METRIC_TIMESTAMP:
		write_time(text, metric, label, value);
		break;
	case METRIC_STATE:
		write_state(text, metric, label, value);
		break;
	case METRIC_PRESENCE:
		exposition_integer(text, metric->name, label, value != NULL);
		break;
	}
}

static void write_family(struct buffer *text, const struct metric *metric)
{
	exposition_family(text, metric->name, metric->type, metric->help);
}

static void write_daemon(struct buffer *text, const json_t *status)
{
	const struct label version[] = {{"version", text_of(status, "version")}, {NULL}};

	exposition_family(text, "netlogd_build_info", "gauge", "The daemon's version.");
	exposition_integer(text, "netlogd_build_info", version, 1);
	for (size_t i = 0; i < ARRAY_SIZE(metrics); i++) {
		write_family(text, &metrics[i]);
		write_value(text, &metrics[i], &(struct label){NULL}, find(status, metrics[i].path));
	}
}

static void write_devices(struct buffer *text, const json_t *status)
{
	for (size_t i = 0; i < ARRAY_SIZE(device_metrics); i++) {
		write_family(text, &device_metrics[i]);
		for (size_t d = 0; d < ARRAY_SIZE(devices); d++) {
			const struct label device[] = {{"device", devices[d]}, {NULL}};

			write_value(text, &device_metrics[i], device,
				    find(json_object_get(status, devices[d]), device_metrics[i].path));
		}
	}
}

static void write_directions(struct buffer *text, const json_t *status)
{
	for (size_t i = 0; i < ARRAY_SIZE(device_directions); i++) {
		const struct direction_metric *metric = &device_directions[i];

		exposition_family(text, metric->name, metric->type, metric->help);
		for (size_t d = 0; d < 2 * ARRAY_SIZE(devices); d++) {
			const char *member = metric->members[d % 2];
			const struct label labels[] = {
				{"device", devices[d / 2]}, {"direction", directions[d % 2]}, {NULL}};
			const json_t *value =
				member ? json_object_get(json_object_get(status, devices[d / 2]), member)
				       : NULL;

			if (value)
				exposition_integer(text, metric->name, labels, json_integer_value(value));
		}
	}
}

/* The two samples of some counts. `label`: what they are of. */
static void write_counts(struct buffer *text, const char *name, const struct label *label,
			 const json_t *counts, const char *const members[2])
{
	for (size_t way = 0; way < ARRAY_SIZE(directions); way++) {
		const struct label labels[] = {*label, {"direction", directions[way]}, {NULL}};

		exposition_integer(text, name, labels, number_of(counts, members[way]));
	}
}

static void write_device_counts(struct buffer *text, const json_t *status)
{
	for (size_t i = 0; i < 2 * ARRAY_SIZE(device_counts); i++) {
		const struct count_metric *metric = &device_counts[i / 2];
		const char *unit = i % 2 ? "bytes" : "packets";
		char name[64], help[96];

		snprintf(name, sizeof(name), "%s_%s_total", metric->name, unit);
		snprintf(help, sizeof(help), "The %s %s.", unit, metric->help);
		exposition_family(text, name, "counter", help);
		for (size_t d = 0; d < ARRAY_SIZE(devices); d++)
			write_counts(text, name, &(struct label){"device", devices[d]},
				     json_object_get(json_object_get(status, devices[d]), metric->object),
				     i % 2 ? bytes : packets);
	}
}

/* --- traffic --- */

static void write_classes(struct buffer *text, const json_t *record)
{
	static const struct {
		const char *name, *help;
		const char *const *members;
	} counters[] = {
		{"netlogd_traffic_packets_total", "Packets of the entries logged.", packets},
		{"netlogd_traffic_bytes_total", "Bytes of the entries logged.", bytes},
	};
	const json_t *classes = json_object_get(record, "classes");
	json_t *one;
	size_t at;

	for (size_t i = 0; i < ARRAY_SIZE(counters); i++) {
		exposition_family(text, counters[i].name, "counter", counters[i].help);
		json_array_foreach (classes, at, one)
			write_counts(text, counters[i].name, &(struct label){"class", text_of(one, "class")},
				     json_object_get(one, "counts"), counters[i].members);
	}
	exposition_family(text, "netlogd_connections_begun_total", "counter",
			  "Connections that began, of those whose beginning the details show.");
	json_array_foreach (classes, at, one) {
		const struct label labels[] = {{"class", text_of(one, "class")}, {NULL}};

		if (json_object_get(one, "begun"))
			exposition_integer(text, "netlogd_connections_begun_total", labels,
					   number_of(one, "begun"));
	}
	exposition_family(text, "netlogd_ignored_packets_total", "counter",
			  "Packets to an ignore-addr, which are in no entry.");
	write_counts(text, "netlogd_ignored_packets_total", &(struct label){"device", "tun"},
		     json_object_get(record, "ignored"), packets);
	exposition_family(text, "netlogd_ignored_bytes_total", "counter",
			  "Bytes to an ignore-addr, which are in no entry.");
	write_counts(text, "netlogd_ignored_bytes_total", &(struct label){"device", "tun"},
		     json_object_get(record, "ignored"), bytes);
}

/* The kernel's reasons are its own and not many. */
static void write_drops(struct buffer *text, const json_t *status)
{
	const json_t *reasons = json_object_get(json_object_get(status, "drops"), "reasons");
	json_t *reason;
	size_t i;

	exposition_family(text, "netlogd_dropped_packets_total", "counter",
			  "Packets that the kernel threw away.");
	json_array_foreach (reasons, i, reason)
		for (size_t way = 0; way < ARRAY_SIZE(directions); way++) {
			const struct label labels[] = {{"direction", directions[way]},
						       {"reason", text_of(reason, "reason")},
						       {NULL}};

			exposition_integer(text, "netlogd_dropped_packets_total", labels,
					   number_of(reason, packets[way]));
		}
}

/* --- peers, as numbers --- */

static void write_peer_numbers(struct buffer *text, const json_t *sock)
{
	const json_t *paths = json_object_get(sock, "peers");
	json_t *path;
	size_t i;

	exposition_family(
		text, "netlogd_peers", "gauge",
		"Peers of the tunnel; active: something came from them within the last 180 seconds.");
	json_array_foreach (paths, i, path) {
		const struct label active[] = {{"path", text_of(path, "path")}, {"state", "active"}, {NULL}};
		const struct label silent[] = {{"path", text_of(path, "path")}, {"state", "silent"}, {NULL}};

		exposition_integer(text, "netlogd_peers", active, number_of(path, "active"));
		exposition_integer(text, "netlogd_peers", silent, number_of(path, "silent"));
	}
}

/* Of the groups with this one's cause, from it on. 0: an earlier one has it, too. */
static long long unseen_of(const json_t *groups, size_t at)
{
	const char *cause = text_of(json_array_get(groups, at), "cause");
	long long peers = 0;
	json_t *group;
	size_t i;

	json_array_foreach (groups, i, group) {
		const char *other = text_of(group, "cause");

		if (!cause || !other || strcmp(cause, other) != 0)
			continue;
		if (i < at)
			return 0;
		peers += number_of(group, "peers");
	}
	return peers;
}

static void write_unseen(struct buffer *text, const json_t *sock)
{
	const json_t *groups = json_object_get(sock, "unseenPeers");

	exposition_family(text, "netlogd_unseen_peers", "gauge", "Peers that the underlay does not show.");
	for (size_t i = 0; i < json_array_size(groups); i++) {
		const struct label labels[] = {{"cause", text_of(json_array_get(groups, i), "cause")},
					       {NULL}};
		long long peers = unseen_of(groups, i);

		if (peers)
			exposition_integer(text, "netlogd_unseen_peers", labels, peers);
	}
}

static void write_sinks(struct buffer *text, const json_t *sinks)
{
	json_t *sink;
	size_t at;

	for (size_t i = 0; i < ARRAY_SIZE(sink_metrics); i++) {
		write_family(text, &sink_metrics[i]);
		json_array_foreach (sinks, at, sink) {
			const struct label label[] = {{"sink", text_of(sink, "name")}, {NULL}};

			write_value(text, &sink_metrics[i], label,
				    json_object_get(sink, sink_metrics[i].path));
		}
	}
}

void metrics_write_status(struct buffer *text, const json_t *status)
{
	const json_t *sock = json_object_get(status, "sock");

	write_daemon(text, status);
	write_devices(text, status);
	write_directions(text, status);
	write_device_counts(text, status);
	write_classes(text, json_object_get(status, "record"));
	write_drops(text, status);
	write_peer_numbers(text, sock);
	write_unseen(text, sock);
	write_sinks(text, json_object_get(status, "sinks"));
}

void metrics_write_process_status(struct buffer *text, const json_t *status, const char *prefix)
{
	for (size_t i = 0; i < ARRAY_SIZE(process_metrics); i++) {
		struct metric metric = process_metrics[i];
		char name[64];

		snprintf(name, sizeof(name), "%s%s", prefix, metric.name);
		metric.name = name;
		write_family(text, &metric);
		write_value(text, &metric, &(struct label){NULL}, find(status, metric.path));
	}
}
