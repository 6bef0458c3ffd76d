/* SPDX-License-Identifier: BSD-3-Clause */
/* netlogctl start, stop, reload, flush, metrics: one method each. */

#include "control/commands/commands.h"

#include "common/config/keys.h"
#include "common/log_id.h"
#include "common/parse.h"
#include "common/plural.h"
#include "common/time_text.h"
#include "control/daemon_call.h"
#include "control/units.h"

#include <errno.h>
#include <stdlib.h>

#define DEADLINE_MAX_MS 3600000

/* Takes what the configuration takes: the daemon would only say which of its parameters is wrong. */
static int check_value(struct ctl *ctl, const char *section, const char *name, const char *text)
{
	const struct config_key *key = &config_keys[config_key_find(section, name)];
	_cleanup_(config_freep) struct config *unused = NULL;
	char wrong[CONFIG_WRONG_MAX];
	int r;

	if (!text)
		return CTL_OK;
	unused = calloc(1, sizeof(*unused));
	r = unused ? key->read(key, text, unused, wrong) : -ENOMEM;
	if (r == -ENOMEM)
		return ctl_error(ctl, "out of memory");
	return r < 0 ? ctl_usage(ctl, "--%s-%s: \"%s\": expected %s", section, name, text, key->expected)
		     : CTL_OK;
}

/* Puts a device into the request. A stats socket alone can only mean the source stats. */
static int add_device(struct ctl *ctl, json_t *parameters, const char *name, const char *source,
		      const char *interface, const char *stats_socket)
{
	int r = check_value(ctl, name, "source", source);

	if (r == CTL_OK)
		r = check_value(ctl, name, "interface", interface);
	if (r == CTL_OK)
		r = check_value(ctl, name, "stats-socket", stats_socket);
	if (r != CTL_OK || (!source && !interface && !stats_socket))
		return r;
	if (!source)
		source = stats_socket ? "stats" : "auto";
	r = json_object_set_new(parameters, name,
				json_pack("{ss ss* ss*}", "source", source, "interface", interface,
					  "statsSocket", stats_socket));
	return r < 0 ? ctl_error(ctl, "out of memory") : CTL_OK;
}

/* Reads a private log ID, as its text, into the request. */
static int add_log_id(struct ctl *ctl, json_t *parameters, const char *name, const char *file)
{
	char text[LOG_ID_TEXT_MAX];
	struct log_id private_id;
	int r;

	if (!file)
		return CTL_OK;
	r = ctl_read_log_id(ctl, file, &private_id);
	if (r != CTL_OK)
		return r;
	log_id_format(&private_id, text);
	log_id_wipe(&private_id);
	r = json_object_set_new(parameters, name, json_string(text));
	explicit_bzero(text, sizeof(text));
	return r < 0 ? ctl_error(ctl, "out of memory") : CTL_OK;
}

int cmd_start(struct ctl *ctl, int argc, char **argv)
{
	const char *tun_source = NULL, *tun_interface = NULL, *tun_socket = NULL;
	const char *sock_source = NULL, *sock_interface = NULL, *sock_socket = NULL;
	const char *log_id = NULL, *domain_log_id = NULL;
	const struct ctl_option options[] = {
		{.name = "tun-source", .value = &tun_source},
		{.name = "tun-interface", .value = &tun_interface},
		{.name = "tun-stats-socket", .value = &tun_socket},
		{.name = "sock-source", .value = &sock_source},
		{.name = "sock-interface", .value = &sock_interface},
		{.name = "sock-stats-socket", .value = &sock_socket},
		{.name = "log-id-file", .value = &log_id},
		{.name = "domain-log-id-file", .value = &domain_log_id},
	};
	json_auto_t *parameters = NULL, *reply = NULL;
	int r;

	r = ctl_options(ctl, argc, argv, options, ARRAY_SIZE(options), 0, 0, NULL);
	if (r != CTL_OK)
		return r;
	parameters = json_object();
	r = add_device(ctl, parameters, "tun", tun_source, tun_interface, tun_socket);
	if (r == CTL_OK)
		r = add_device(ctl, parameters, "sock", sock_source, sock_interface, sock_socket);
	if (r == CTL_OK)
		r = add_log_id(ctl, parameters, "nodeLogId", log_id);
	if (r == CTL_OK)
		r = add_log_id(ctl, parameters, "domainLogId", domain_log_id);
	if (r != CTL_OK)
		return r;
	r = ctl_call(ctl, "Start", TAKE_PTR(parameters), CTL_CALL_TIMEOUT_MS, &reply);
	if (r != CTL_OK)
		return r;
	if (ctl->json)
		return ctl_print_json(ctl, reply);
	if (*json_text(reply, "publicId"))
		fprintf(ctl->out, "started for log ID %s\n", json_text(reply, "publicId"));
	else
		fputs("started\n", ctl->out);
	return CTL_OK;
}

/* Stop and Flush: deliver until a deadline, and say what remains. */
static int deliver(struct ctl *ctl, int argc, char **argv, const char *method, const char *done)
{
	const char *deadline = NULL;
	const struct ctl_option options[] = {{.name = "deadline", .value = &deadline}};
	long long deadline_ms = 5000, messages;
	json_auto_t *reply = NULL;
	char bytes[UNITS_TEXT_MAX];
	int64_t ns;
	uint64_t seconds;
	int r;

	r = ctl_options(ctl, argc, argv, options, ARRAY_SIZE(options), 0, 0, NULL);
	if (r != CTL_OK)
		return r;
	if (deadline) {
		if (parse_u64(deadline, &seconds) == 0 && seconds <= DEADLINE_MAX_MS / 1000)
			ns = (int64_t)seconds * NSEC_PER_SEC;
		else if (parse_duration(deadline, &ns) < 0 || ns > DEADLINE_MAX_MS * NSEC_PER_MSEC)
			return ctl_usage(ctl, "--deadline takes seconds or a time like 500ms, at most 1h");
		deadline_ms = ns / NSEC_PER_MSEC;
	}
	r = ctl_call(ctl, method, deadline ? json_pack("{sI}", "deadlineMs", (json_int_t)deadline_ms) : NULL,
		     (int)deadline_ms + CTL_CALL_TIMEOUT_MS, &reply);
	if (r != CTL_OK)
		return r;
	if (ctl->json)
		return ctl_print_json(ctl, reply);
	messages = json_number(reply, "pendingMessages");
	units_bytes((uint64_t)json_number(reply, "pendingBytes"), bytes);
	if (messages == 0)
		fprintf(ctl->out, "%s; nothing waits to be delivered\n", done);
	else
		fprintf(ctl->out, "%s; %lld %s (%s) %s in the spool to be delivered\n", done, messages,
			plural((uint64_t)messages, "message", "messages"), bytes,
			plural((uint64_t)messages, "waits", "wait"));
	return CTL_OK;
}

int cmd_stop(struct ctl *ctl, int argc, char **argv)
{
	return deliver(ctl, argc, argv, "Stop", "stopped");
}

int cmd_flush(struct ctl *ctl, int argc, char **argv)
{
	return deliver(ctl, argc, argv, "Flush", "window ended");
}

int cmd_reload(struct ctl *ctl, int argc, char **argv)
{
	json_auto_t *reply = NULL;
	int r;

	r = ctl_options(ctl, argc, argv, NULL, 0, 0, 0, NULL);
	if (r == CTL_OK)
		r = ctl_call(ctl, "Reload", NULL, CTL_CALL_TIMEOUT_MS, &reply);
	if (r != CTL_OK)
		return r;
	if (ctl->json)
		return ctl_print_json(ctl, reply);
	fputs("configuration reloaded\n", ctl->out);
	return CTL_OK;
}

int cmd_metrics(struct ctl *ctl, int argc, char **argv)
{
	json_auto_t *reply = NULL;
	int r;

	r = ctl_options(ctl, argc, argv, NULL, 0, 0, 0, NULL);
	if (r == CTL_OK)
		r = ctl_call(ctl, "Metrics", NULL, CTL_CALL_TIMEOUT_MS, &reply);
	if (r != CTL_OK)
		return r;
	if (ctl->json)
		return ctl_print_json(ctl, reply);
	fputs(json_text(reply, "text"), ctl->out);
	return CTL_OK;
}
