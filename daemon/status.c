/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Status puts together what each part reports of itself. org.netlogd.control.varlink explains every member.
 */

#include "daemon/status.h"

#include "build-config.h"
#include "common/config/keys.h"
#include "common/json_set.h"
#include "common/time_text.h"
#include "control/varlink/server.h"
#include "daemon/spool_log.h"
#include "daemon/state.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

static json_t *spool_status(const struct daemon *daemon)
{
	struct spool_status spool;
	json_t *status = json_object();

	spool_writer_get_status(daemon->spool, &spool);
	json_set_text(status, "directory", daemon->config->spool_directory);
	json_set_text(status, "id", spool.spool_id);
	json_set_number(status, "messages", spool.messages);
	json_set_number(status, "bytes", spool.bytes);
	json_set_number(status, "maxSize", daemon->config->spool_max_size);
	json_set_number(status, "firstSequence", spool.first_sequence);
	json_set_number(status, "lastSequence", spool.last_sequence);
	json_set_number(status, "syncedSequence", spool.synced_sequence);
	json_set_time(status, "oldest", spool.oldest);
	json_set_number(status, "waitingMessages", spool.waiting_messages);
	json_set_number(status, "waitingBytes", spool.waiting_bytes);
	json_set_number(status, "lostMessages", spool.lost_messages);
	json_set_number(status, "lostBytes", spool.lost_bytes);
	json_set_number(status, "removedMessages", spool.removed_messages);
	json_set_number(status, "removedBytes", spool.removed_bytes);
	json_set_number(status, "damagedFrames", spool.damaged_frames);
	if (spool.error)
		json_set_text(status, "error", spool_error_text(spool.error));
	return status;
}

static json_t *uploader_status(const struct daemon *daemon)
{
	json_t *status = json_object();
	bool connected = uploader_link_is_connected(daemon->uploader);

	json_object_set_new(status, "connected", json_boolean(connected));
	json_set_number(status, "restarts", 0);
	if (daemon->uploader_process) {
		pid_t pid = uploader_process_pid(daemon->uploader_process);

		if (pid > 0)
			json_set_number(status, "pid", (uint64_t)pid);
		json_set_number(status, "restarts", uploader_process_restarts(daemon->uploader_process));
	} else if (!connected) {
		json_set_text(status, "reason",
			      daemon->external_uploader ? "not connected yet" : "netlogd-upload not found");
	}
	return status;
}

static const json_t *find_report(const json_t *reports, const char *name)
{
	json_t *report;
	size_t i;

	json_array_foreach (reports, i, report) {
		const char *reported = json_string_value(json_object_get(report, "name"));

		if (reported && strcmp(reported, name) == 0)
			return report;
	}
	return NULL;
}

/* Every configured sink is listed, even while nothing is known about it. */
static json_t *sinks_status(const struct daemon *daemon)
{
	const json_t *reports = uploader_link_sinks(daemon->uploader);
	json_t *sinks = json_array();

	for (size_t i = 0; i < daemon->config->n_sinks; i++) {
		const struct sink_config *sink = &daemon->config->sinks[i];
		const json_t *report = find_report(reports, sink->name);

		json_array_append_new(sinks,
				      report ? json_deep_copy(report)
					     : json_pack("{ss ss ss}", "name", sink->name, "type",
							 sink_type_name(sink->type), "state", "unknown"));
	}
	return sinks;
}

static json_t *control_status(const struct daemon *daemon)
{
	struct varlink_server_counters counters;
	json_t *status = json_object();

	varlink_server_get_counters(daemon->control, &counters);
	json_set_text(status, "socket", daemon->config->control_socket);
	json_set_number(status, "clients", counters.clients);
	json_set_number(status, "refused", counters.refused);
	json_set_number(status, "cutOff", counters.cut_off);
	json_set_number(status, "tails", tail_clients(daemon->tail));
	json_set_number(status, "tailDropped", tail_dropped(daemon->tail));
	return status;
}

static uint64_t resident_memory(void)
{
	unsigned long long pages = 0, size;
	FILE *file = fopen("/proc/self/statm", "re");

	if (!file)
		return 0;
	if (fscanf(file, "%llu %llu", &size, &pages) != 2)
		pages = 0;
	fclose(file);
	return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static uint64_t cpu_ms(void)
{
	struct rusage usage;

	if (getrusage(RUSAGE_SELF, &usage) < 0)
		return 0;
	return (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000 +
	       (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1000;
}

static void set_identity(json_t *status, const struct daemon *daemon)
{
	const struct log_id *domain = daemon->has_domain_id
					      ? &daemon->domain_public_id
					      : uploader_link_domain_public_id(daemon->uploader);
	char id[LOG_ID_TEXT_MAX];

	daemon_public_id(daemon, id);
	if (daemon->running)
		json_set_text(status, "publicId", id);
	if (domain) {
		log_id_format(domain, id);
		json_set_text(status, "domainPublicId", id);
	}
	json_set_text(status, "version", NETLOGD_VERSION);
	json_set_number(status, "pid", (uint64_t)getpid());
	json_set_time(status, "startedAt", daemon->started);
	json_set_text(status, "configurationFile", daemon->config->file);
	json_set_time(status, "configurationRead", daemon->configuration_read);
	json_set_text(status, "configurationError", daemon->configuration_error);
	json_set_text(status, "nodeId", daemon->config->node_id);
	json_set_number(status, "memory", resident_memory());
	json_set_number(status, "cpuMs", cpu_ms());
}

json_t *status_new(struct daemon *daemon)
{
	json_t *status = logger_thread_status(daemon->logger);

	if (!status)
		return NULL;
	set_identity(status, daemon);
	json_object_set_new(status, "spool", spool_status(daemon));
	json_object_set_new(status, "uploader", uploader_status(daemon));
	json_object_set_new(status, "sinks", sinks_status(daemon));
	json_object_set_new(status, "control", control_status(daemon));
	return status;
}
