/* SPDX-License-Identifier: BSD-3-Clause */
/* netlogctl status: what an operator asks first, on one page; problems stand out. */

#include "control/commands/commands.h"

#include "common/plural.h"
#include "common/time_text.h"
#include "control/daemon_call.h"
#include "control/table.h"
#include "control/units.h"

/* How long ago; "" if it is not a time. */
static const char *age_of(const char *rfc3339, char ret_text[static UNITS_TEXT_MAX])
{
	int64_t time, now = time_now_wall();

	if (time_parse(rfc3339, &time) < 0)
		return "";
	return units_duration(now > time ? now - time : 0, ret_text);
}

static const char *bytes_of(const json_t *object, const char *member, char ret_text[static UNITS_TEXT_MAX])
{
	return units_bytes((uint64_t)json_number(object, member), ret_text);
}

/* The start of a line "  name    text". */
static void start_line(struct ctl *ctl, const char *name)
{
	fprintf(ctl->out, "  %-12s", name);
}

static void print_line(struct ctl *ctl, const char *name, enum table_color color, const char *text)
{
	start_line(ctl, name);
	print_color(ctl->out, ctl->color, color, "%s", text);
	fputc('\n', ctl->out);
}

static void print_daemon(struct ctl *ctl, const json_t *status)
{
	bool running = json_flag(status, "running");
	const char *since = json_text(status, running ? "runningSince" : "startedAt");
	char text[TIME_TEXT_MAX], age[UNITS_TEXT_MAX], memory[UNITS_TEXT_MAX], cpu[UNITS_TEXT_MAX];
	int64_t time;

	print_color(ctl->out, ctl->color, TABLE_BOLD, "netlogd %s", json_text(status, "version"));
	fputs("  ", ctl->out);
	print_color(ctl->out, ctl->color, running ? TABLE_GREEN : TABLE_YELLOW, "%s",
		    running ? "running" : "stopped");
	if (*since) {
		age_of(since, age);
		if (time_parse(since, &time) == 0) {
			time_format(time - time % NSEC_PER_SEC, text);
			since = text;
		}
		print_color(ctl->out, false, TABLE_PLAIN, running ? " since %s (%s)" : ", up since %s (%s)",
			    since, age);
	}
	fputc('\n', ctl->out);
	start_line(ctl, "process");
	fprintf(ctl->out, "%lld", json_number(status, "pid"));
	if (json_number(status, "memory"))
		fprintf(ctl->out, ", %s resident", bytes_of(status, "memory", memory));
	if (json_object_get(status, "cpuMs"))
		fprintf(ctl->out, ", %s of CPU time",
			units_duration(json_number(status, "cpuMs") * NSEC_PER_MSEC, cpu));
	fputc('\n', ctl->out);
	if (*json_text(status, "nodeId"))
		print_line(ctl, "node", TABLE_PLAIN, json_text(status, "nodeId"));
	if (*json_text(status, "publicId"))
		print_line(ctl, "log ID", TABLE_PLAIN, json_text(status, "publicId"));
	if (*json_text(status, "domainPublicId"))
		print_line(ctl, "domain ID", TABLE_PLAIN, json_text(status, "domainPublicId"));
	print_line(ctl, "config", TABLE_PLAIN,
		   *json_text(status, "configurationFile") ? json_text(status, "configurationFile")
							   : "defaults");
	if (*json_text(status, "configurationError"))
		print_line(ctl, "", TABLE_RED, json_text(status, "configurationError"));
}

/* "1 message", "2 messages" */
#define COUNT(n, noun) (long long)(n), plural((uint64_t)(n), noun, noun "s")

static void print_window(struct ctl *ctl, const json_t *status)
{
	const json_t *window = json_object_get(status, "window");
	char period[UNITS_TEXT_MAX], cpu[UNITS_TEXT_MAX], age[UNITS_TEXT_MAX];
	long long connections = json_number(window, "lastConnections");
	long long messages = json_number(window, "lastMessages");

	start_line(ctl, "window");
	fputs(units_duration(json_number(window, "periodMs") * NSEC_PER_MSEC, period), ctl->out);
	if (*json_text(window, "lastEnd"))
		fprintf(ctl->out, "; the last one ended %s ago: %lld %s, %lld %s",
			age_of(json_text(window, "lastEnd"), age), COUNT(connections, "connection"),
			COUNT(messages, "message"));
	if (json_object_get(window, "lastCpuUs"))
		fprintf(ctl->out, ", %s of CPU time",
			units_duration(json_number(window, "lastCpuUs") * NSEC_PER_USEC, cpu));
	fputc('\n', ctl->out);
}

static void print_record(struct ctl *ctl, const json_t *status)
{
	const json_t *record = json_object_get(status, "record");
	const json_t *ignored = json_object_get(record, "ignored"), *live = json_object_get(record, "live");
	long long failures = json_number(record, "conservationFailures");
	long long packets = json_number(ignored, "txPkts") + json_number(ignored, "rxPkts");
	char bytes[UNITS_TEXT_MAX];

	start_line(ctl, "recorded");
	fprintf(ctl->out, "%lld %s (%s) of %lld %s", COUNT(json_number(record, "messages"), "message"),
		bytes_of(record, "bytes", bytes), COUNT(json_number(record, "windows"), "window"));
	if (packets > 0)
		fprintf(ctl->out, ", %lld %s ignored", COUNT(packets, "packet"));
	fputs(", ", ctl->out);
	if (failures > 0)
		print_color(ctl->out, ctl->color, TABLE_RED, "%lld %s with COUNTS THAT DO NOT ADD UP",
			    COUNT(failures, "window"));
	else
		fputs("all counts add up", ctl->out);
	if (json_number(live, "forgotten") > 0)
		fprintf(ctl->out, ", %lld live %s forgotten for want of room (raise max-flows)",
			COUNT(json_number(live, "forgotten"), "connection"));
	fputs("\n", ctl->out);
}

static void print_details(struct ctl *ctl, const json_t *status)
{
	const json_t *record = json_object_get(status, "record"), *live = json_object_get(record, "live");

	/* An older daemon. */
	if (!json_object_get(record, "details"))
		return;
	start_line(ctl, "details");
	fputs(json_flag(record, "details") ? "on" : "off: details = no", ctl->out);
	if (live)
		fprintf(ctl->out, ", %lld live %s remembered",
			COUNT(json_number(live, "connections"), "connection"));
	if (json_flag(record, "foldPorts"))
		fputs(", ports of openers folded", ctl->out);
	fputs("\n", ctl->out);
}

/* Reasons in the line about dropped packets. */
#define REASONS_SHOWN 5

static long long drops_of(const json_t *drops)
{
	return json_number(drops, "txPkts") + json_number(drops, "rxPkts");
}

static int by_drops(const void *a, const void *b)
{
	const json_t *left = *(json_t *const *)a, *right = *(json_t *const *)b;
	long long x = drops_of(left), y = drops_of(right);

	if (x != y)
		return x < y ? 1 : -1;
	return strcmp(json_text(left, "reason"), json_text(right, "reason"));
}

/* The most frequent reasons first. */
static void print_drop_reasons(struct ctl *ctl, const json_t *reasons)
{
	size_t n = json_array_size(reasons);
	_cleanup_free_ const json_t **sorted = calloc(n + 1, sizeof(const json_t *));

	if (!sorted)
		return;
	for (size_t i = 0; i < n; i++)
		sorted[i] = json_array_get(reasons, i);
	qsort(sorted, n, sizeof(*sorted), by_drops);
	for (size_t i = 0; i < MIN(n, (size_t)REASONS_SHOWN); i++)
		print_color(ctl->out, false, TABLE_PLAIN, "%s%s %lld", i == 0 ? ": " : ", ",
			    json_text(sorted[i], "reason"), drops_of(sorted[i]));
	if (n > REASONS_SHOWN)
		fputs(", …", ctl->out);
}

static void print_drops(struct ctl *ctl, const json_t *status)
{
	const json_t *drops = json_object_get(status, "drops");
	const char *state = json_text(drops, "state");
	long long overflow = json_number(drops, "overflow"), unplaced = json_number(drops, "unplaced");
	long long missed = json_number(drops, "missed"), errors = json_number(drops, "errors");

	/* An older daemon. */
	if (!drops)
		return;
	start_line(ctl, "dropped");
	if (strcmp(state, "off") == 0) {
		fputs("not counted: drops = no\n", ctl->out);
		return;
	}
	if (strcmp(state, "unavailable") == 0) {
		print_color(ctl->out, ctl->color, TABLE_YELLOW, "not counted: %s",
			    json_text(drops, "reason"));
	} else {
		fprintf(ctl->out, "%lld received and %lld outgoing %s, by the kernel",
			json_number(drops, "rxPkts"), COUNT(json_number(drops, "txPkts"), "packet"));
		print_drop_reasons(ctl, json_object_get(drops, "reasons"));
	}
	/* With a source that sees no packets, for example. */
	if (strcmp(state, "waiting") == 0 && json_flag(status, "running"))
		fputs("; not counted now", ctl->out);
	if (overflow > 0)
		print_color(ctl->out, ctl->color, TABLE_YELLOW, "; %lld of them in no entry", overflow);
	if (unplaced > 0)
		print_color(ctl->out, ctl->color, TABLE_YELLOW, "; %lld more may be the tunnel's", unplaced);
	if (missed > 0)
		print_color(ctl->out, ctl->color, TABLE_YELLOW, "; %lld %s on this machine missed",
			    COUNT(missed, "drop"));
	if (errors > 0)
		print_color(ctl->out, ctl->color, TABLE_YELLOW, "; of %lld %s not all could be read",
			    COUNT(errors, "window"));
	fputc('\n', ctl->out);
}

/* The size of a list that the daemon may shorten or, for clients that are not operators, leave out. */
static long long count_of(const json_t *routes, const char *list, const char *total)
{
	return json_object_get(routes, total) ? json_number(routes, total)
					      : (long long)json_array_size(json_object_get(routes, list));
}

static void print_routes(struct ctl *ctl, const json_t *status)
{
	const json_t *routes = json_object_get(status, "routes");

	start_line(ctl, "routes");
	print_color(ctl->out, false, TABLE_PLAIN, "%s%s: %lld local-addr, %lld route, %lld subnet-route",
		    json_text(routes, "mode"), json_flag(routes, "reconfigured") ? ", reconfigured" : "",
		    count_of(routes, "localAddrs", "localAddrsTotal"),
		    count_of(routes, "routes", "routesTotal"),
		    count_of(routes, "subnetRoutes", "subnetRoutesTotal"));
	fputc('\n', ctl->out);
}

static enum table_color state_color(const char *state)
{
	if (strcmp(state, "counting") == 0 || strcmp(state, "ok") == 0)
		return TABLE_GREEN;
	if (strcmp(state, "lost") == 0 || strcmp(state, "misconfigured") == 0)
		return TABLE_RED;
	if (strcmp(state, "waiting") == 0 || strcmp(state, "retrying") == 0)
		return TABLE_YELLOW;
	return TABLE_PLAIN;
}

static long long packets_of(const json_t *device, const char *member)
{
	const json_t *counts = json_object_get(device, member);

	return json_number(counts, "txPkts") + json_number(counts, "rxPkts");
}

/* A count that should be zero. */
static void add_fault_count(struct table *table, long long n)
{
	char text[UNITS_TEXT_MAX];

	if (n > 0)
		table_cell_color(table, TABLE_YELLOW, "%s", units_count((uint64_t)n, text));
	else
		table_cell(table, "0");
}

/* A device's counts that should be zero. */
#define FAULTS 5

static void count_faults(const json_t *device, long long ret_counts[static FAULTS])
{
	ret_counts[0] = packets_of(device, "overflow");
	ret_counts[1] = packets_of(device, "unknown");
	ret_counts[2] = packets_of(device, "inexact");
	ret_counts[3] = json_number(device, "errors");
	ret_counts[4] = json_number(device, "deviceDropsRx") + json_number(device, "deviceDropsTx");
}

static void add_device(struct table *table, const char *name, const json_t *device,
		       const long long faults[static FAULTS])
{
	const char *interface = json_text(device, "interface"), *state = json_text(device, "state");
	const char *configured = json_text(device, "configured"), *source = json_text(device, "source");
	const json_t *totals = json_object_get(device, "totals");
	char tx[UNITS_TEXT_MAX], rx[UNITS_TEXT_MAX], memory[UNITS_TEXT_MAX];

	table_cell(table, "%s", name);
	/* A device without a source has no state. */
	table_cell_color(table, state_color(state), "%s", strcmp(source, "none") == 0 ? "-" : state);
	table_cell(table, strcmp(configured, source) == 0 ? "%s" : "%s (%s)", source, configured);
	table_cell(table, "%s", json_text(device, "attachment"));
	table_cell(table, "%s", *interface ? interface : json_text(device, "statsSocket"));
	table_cell(table, "%lld", json_number(device, "lastConnections"));
	table_cell(table, "%s", bytes_of(totals, "txBytes", tx));
	table_cell(table, "%s", bytes_of(totals, "rxBytes", rx));
	for (size_t i = 0; i < FAULTS; i++)
		add_fault_count(table, faults[i]);
	table_cell(table, "%s", json_number(device, "memory") ? bytes_of(device, "memory", memory) : "");
}

static void print_device_notes(struct ctl *ctl, const char *name, const json_t *device)
{
	long long refused = json_number(device, "tunnelDroppedRx");
	const char *reason = json_text(device, "reason"), *backend = json_text(device, "backend");
	char bytes[UNITS_TEXT_MAX];
	json_t *warning;
	size_t i;

	/* What serves the tunnel may be gone, or may not serve: the reason says so. */
	if (*reason || *backend) {
		print_color(ctl->out, ctl->color, TABLE_DIM, "  %s: %s", name, *reason ? reason : backend);
		fputc('\n', ctl->out);
	}
	json_array_foreach (json_object_get(device, "warnings"), i, warning) {
		print_color(ctl->out, ctl->color, TABLE_YELLOW, "  %s: %s", name,
			    json_is_string(warning) ? json_string_value(warning) : "");
		fputc('\n', ctl->out);
	}
	if (refused > 0)
		fprintf(ctl->out, "  %s: the tunnel dropped %s of received data\n", name,
			units_bytes((uint64_t)refused, bytes));
}

static int print_devices(struct ctl *ctl, const json_t *status)
{
	enum { FIRST_FAULT = 8 };
	struct table_column columns[] = {
		{"DEVICE", TABLE_LEFT},
		{"STATE", TABLE_LEFT},
		{"SOURCE", TABLE_LEFT},
		{"ATTACHED", TABLE_LEFT, 2},
		{"INTERFACE", TABLE_LEFT},
		{"CONNECTIONS", TABLE_RIGHT},
		{"SENT", TABLE_RIGHT, 1},
		{"RECEIVED", TABLE_RIGHT, 1},
		[FIRST_FAULT] = {"OVERFLOW", TABLE_RIGHT},
		{"UNKNOWN", TABLE_RIGHT},
		{"INEXACT", TABLE_RIGHT},
		{"ERRORS", TABLE_RIGHT},
		{"IF DROPS", TABLE_RIGHT},
		{"MEMORY", TABLE_RIGHT, 3},
	};
	const json_t *tun = json_object_get(status, "tun"), *sock = json_object_get(status, "sock");
	_cleanup_(table_freep) struct table *table = NULL;
	long long tun_faults[FAULTS], sock_faults[FAULTS];
	size_t width, lines;

	count_faults(tun, tun_faults);
	count_faults(sock, sock_faults);
	for (size_t i = 0; i < FAULTS; i++)
		if (tun_faults[i] == 0 && sock_faults[i] == 0)
			columns[FIRST_FAULT + i].dispensable = 4;
	if (table_new(columns, ARRAY_SIZE(columns), &table) < 0)
		return CTL_FAILED;
	add_device(table, "tun", tun, tun_faults);
	add_device(table, "sock", sock, sock_faults);
	fputc('\n', ctl->out);
	ctl_terminal_size(ctl, &width, &lines);
	if (table_print(table, ctl->out, ctl->color, width) < 0)
		return CTL_FAILED;
	print_device_notes(ctl, "tun", tun);
	print_device_notes(ctl, "sock", sock);
	return CTL_OK;
}

static void print_spool(struct ctl *ctl, const json_t *status)
{
	const json_t *spool = json_object_get(status, "spool");
	char bytes[UNITS_TEXT_MAX], max[UNITS_TEXT_MAX], age[UNITS_TEXT_MAX];

	fputc('\n', ctl->out);
	print_color(ctl->out, ctl->color, TABLE_BOLD, "spool %s", json_text(spool, "directory"));
	fputc('\n', ctl->out);
	start_line(ctl, "holds");
	fprintf(ctl->out, "%lld %s, %s of %s", COUNT(json_number(spool, "messages"), "message"),
		bytes_of(spool, "bytes", bytes), bytes_of(spool, "maxSize", max));
	if (*json_text(spool, "oldest"))
		fprintf(ctl->out, ", the oldest %s old", age_of(json_text(spool, "oldest"), age));
	fputc('\n', ctl->out);
	if (*json_text(spool, "error"))
		print_line(ctl, "DISK", TABLE_RED, json_text(spool, "error"));
	if (json_number(spool, "waitingMessages") > 0) {
		start_line(ctl, "in memory");
		print_color(ctl->out, ctl->color, TABLE_YELLOW, "%lld %s, %s, waiting for the disk",
			    COUNT(json_number(spool, "waitingMessages"), "message"),
			    bytes_of(spool, "waitingBytes", bytes));
		fputc('\n', ctl->out);
	}
	if (json_number(spool, "lostMessages") > 0) {
		start_line(ctl, "LOST");
		print_color(ctl->out, ctl->color, TABLE_RED, "%lld %s, %s, before %s reached the disk",
			    COUNT(json_number(spool, "lostMessages"), "message"),
			    bytes_of(spool, "lostBytes", bytes),
			    plural((uint64_t)json_number(spool, "lostMessages"), "it", "they"));
		fputc('\n', ctl->out);
	}
	if (json_number(spool, "removedMessages") > 0) {
		start_line(ctl, "removed");
		fprintf(ctl->out, "%lld %s, %s, to stay within the maximum size\n",
			COUNT(json_number(spool, "removedMessages"), "message"),
			bytes_of(spool, "removedBytes", bytes));
	}
	if (json_number(spool, "damagedFrames") > 0) {
		start_line(ctl, "damaged");
		print_color(ctl->out, ctl->color, TABLE_YELLOW, "%lld damaged %s skipped",
			    json_number(spool, "damagedFrames"),
			    plural((uint64_t)json_number(spool, "damagedFrames"), "part was", "parts were"));
		fputc('\n', ctl->out);
	}
}

static void print_uploader(struct ctl *ctl, const json_t *status)
{
	const json_t *uploader = json_object_get(status, "uploader");

	if (!json_is_object(uploader))
		return;
	start_line(ctl, "uploader");
	if (json_flag(uploader, "connected") && json_number(uploader, "pid") > 0)
		fprintf(ctl->out, "process %lld", json_number(uploader, "pid"));
	else if (json_flag(uploader, "connected"))
		fputs("connected, run as a separate service", ctl->out);
	else
		print_color(ctl->out, ctl->color, TABLE_RED, "not connected%s%s",
			    *json_text(uploader, "reason") ? ": " : "", json_text(uploader, "reason"));
	if (json_number(uploader, "restarts") > 0)
		fprintf(ctl->out, ", restarted %lld %s", COUNT(json_number(uploader, "restarts"), "time"));
	fputc('\n', ctl->out);
}

static int print_sinks(struct ctl *ctl, const json_t *status)
{
	static const struct table_column columns[] = {
		{"SINK", TABLE_LEFT},	  {"TYPE", TABLE_LEFT},	    {"STATE", TABLE_LEFT},
		{"BACKLOG", TABLE_RIGHT}, {"BYTES", TABLE_RIGHT},   {"OLDEST", TABLE_RIGHT},
		{"SENT", TABLE_RIGHT},	  {"LAST OK", TABLE_RIGHT}, {"RETRIES", TABLE_RIGHT},
		{"LOST", TABLE_RIGHT},	  {"REFUSED", TABLE_RIGHT}, {"LAST ERROR", TABLE_LEFT},
	};
	_cleanup_(table_freep) struct table *table = NULL;
	json_t *sinks = json_object_get(status, "sinks"), *sink;
	size_t i;

	if (json_array_size(sinks) == 0) {
		fputs("  no [upload] section in the configuration: messages stay in the spool\n", ctl->out);
		return CTL_OK;
	}
	if (table_new(columns, ARRAY_SIZE(columns), &table) < 0)
		return CTL_FAILED;
	json_array_foreach (sinks, i, sink) {
		const char *state = json_text(sink, "state"), *success = json_text(sink, "lastSuccess");
		char text[UNITS_TEXT_MAX];

		table_cell(table, "%s", json_text(sink, "name"));
		table_cell(table, "%s", json_text(sink, "type"));
		table_cell_color(table, state_color(state), "%s", state);
		table_cell(table, "%lld", json_number(sink, "backlogMessages"));
		table_cell(table, "%s", bytes_of(sink, "backlogBytes", text));
		table_cell(table, "%s", age_of(json_text(sink, "oldest"), text));
		table_cell(table, "%lld", json_number(sink, "sentMessages"));
		table_cell(table, "%s", *success ? age_of(success, text) : "never");
		add_fault_count(table, json_number(sink, "retries"));
		add_fault_count(table, json_number(sink, "lostMessages"));
		add_fault_count(table, json_number(sink, "quarantined"));
		table_cell(table, "%s", json_text(sink, "lastError"));
	}
	fputc('\n', ctl->out);
	if (table_print(table, ctl->out, ctl->color, 0) < 0)
		return CTL_FAILED;
	json_array_foreach (sinks, i, sink) {
		if (!*json_text(sink, "warning"))
			continue;
		print_color(ctl->out, ctl->color, TABLE_YELLOW, "  %s: %s", json_text(sink, "name"),
			    json_text(sink, "warning"));
		fputc('\n', ctl->out);
	}
	return CTL_OK;
}

int cmd_status(struct ctl *ctl, int argc, char **argv)
{
	json_auto_t *reply = NULL;
	const json_t *status;
	int r;

	r = ctl_options(ctl, argc, argv, NULL, 0, 0, 0, NULL);
	if (r == CTL_OK)
		r = ctl_call(ctl, "Status", NULL, CTL_CALL_TIMEOUT_MS, &reply);
	if (r != CTL_OK)
		return r;
	status = json_object_get(reply, "status");
	if (ctl->json)
		return ctl_print_json(ctl, status);
	print_daemon(ctl, status);
	print_window(ctl, status);
	print_record(ctl, status);
	print_details(ctl, status);
	print_drops(ctl, status);
	print_routes(ctl, status);
	if (print_devices(ctl, status) != CTL_OK)
		return ctl_error(ctl, "out of memory");
	print_spool(ctl, status);
	print_uploader(ctl, status);
	if (print_sinks(ctl, status) != CTL_OK)
		return ctl_error(ctl, "out of memory");
	return CTL_OK;
}
