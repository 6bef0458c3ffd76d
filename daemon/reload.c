/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The new configuration is read and checked as a whole before anything changes; a change that needs a restart
 * is an error of the file. The logger takes it first, on its thread; when it has, everything else follows.
 */

#include "daemon/reload.h"

#include "common/cleanup.h"
#include "common/config/load.h"
#include "common/log.h"
#include "common/time_text.h"
#include "control/varlink/server.h"
#include "daemon/memory_limit.h"
#include "daemon/schedule.h"
#include "daemon/settings.h"
#include "daemon/state.h"

#include <errno.h>
#include <string.h>

struct request {
	struct daemon *daemon;
	struct config *config; /* the new one */
	reload_done done;
	void *userdata;
};

static void request_free(struct request *request)
{
	if (!request)
		return;
	config_free(request->config);
	free(request);
}

DEFINE_CLEANUP(struct request *, request_free);

/* Takes the reason. */
static int fail(const char *file, char *reason, struct config_error *ret_error)
{
	*ret_error = (struct config_error){.file = strdup(file), .reason = reason};
	return -EINVAL;
}

/* Takes what the error owns. */
static void refuse(struct daemon *daemon, struct config_error *error, reload_done done, void *userdata)
{
	free(daemon->configuration_error);
	daemon->configuration_error = config_error_text(error);
	done(error, userdata);
	config_error_deinit(error);
}

static void apply_to_spool(struct daemon *daemon)
{
	_cleanup_free_ char **sinks = settings_sink_names(daemon->config);
	struct spool_writer_options options;
	int r = -ENOMEM;

	if (sinks) {
		settings_for_spool(daemon, daemon->config, sinks, &options);
		r = spool_writer_reconfigure(daemon->spool, &options);
	}
	if (r < 0)
		log_warning("out of memory: the spool keeps its previous settings");
}

/* The logger has the new configuration: everything else takes it now, and the old one is released. */
static void on_applied(const struct logger_thread_result *result, void *userdata)
{
	_cleanup_(request_freep) struct request *request = userdata;
	struct daemon *daemon = request->daemon;
	struct config_error error = {};
	struct config *old = daemon->config;

	if (result->error < 0) {
		fail(request->config->file, strdup(strerror(-result->error)), &error);
		refuse(daemon, &error, request->done, request->userdata);
		return;
	}
	daemon->config = TAKE_PTR(request->config);
	daemon->configuration_read = time_now_wall();
	free(TAKE_PTR(daemon->configuration_error));
	log_set_level(daemon->config->log_level);
	if (settings_set_operators(daemon, daemon->config) < 0)
		log_warning("out of memory: the operators stay the same");
	varlink_server_check_operators(daemon->control);
	apply_to_spool(daemon);
	if (schedule_set_period(daemon) < 0)
		log_warning("the window timer cannot be set: the period stays the same");
	if (daemon->uploader_process)
		uploader_process_set_config(daemon->uploader_process, daemon->config->file);
	uploader_link_reload(daemon->uploader);
	config_free(old);
	log_info("configuration reloaded");
	request->done(NULL, request->userdata);
}

static int begin(struct daemon *daemon, reload_done done, void *userdata, struct config_error *ret_error)
{
	_cleanup_(request_freep) struct request *request = calloc(1, sizeof(*request));
	const char *file = daemon->config->file, *key;
	struct nodes *nodes;
	char *reason;
	int r;

	if (!request)
		return fail(file, strdup("out of memory"), ret_error);
	*request = (struct request){.daemon = daemon, .done = done, .userdata = userdata};
	r = config_load(file, &request->config, ret_error);
	if (r >= 0)
		r = config_check_files(request->config, ret_error);
	if (r < 0)
		return r;
	if (memory_fit(request->config, !daemon->external_uploader) < 0)
		return fail(file, strdup("max-flows needs more memory than the control group may use"),
			    ret_error);
	key = config_restart_needed(daemon->config, request->config);
	if (key)
		return fail(request->config->file,
			    asprintf(&reason, "%s changes only with a restart of netlogd", key) < 0 ? NULL
												    : reason,
			    ret_error);
	r = settings_load_nodes(request->config, &nodes, ret_error);
	if (r < 0)
		return r;
	r = logger_thread_apply(daemon->logger, request->config, nodes, on_applied, request);
	if (r < 0)
		return fail(file, strdup(strerror(-r)), ret_error);
	TAKE_PTR(request);
	return 0;
}

void reload(struct daemon *daemon, reload_done done, void *userdata)
{
	struct config_error error = {};

	if (begin(daemon, done, userdata, &error) < 0)
		refuse(daemon, &error, done, userdata);
}
