/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The new configuration is read and checked as a whole before anything changes, off the loop: a large nodes
 * file takes seconds, and so may a directory service that is asked for a user. A change that needs a restart
 * is an error of the file. The logger takes it first, on its thread; when it has, everything else follows.
 */

#include "daemon/reload.h"

#include "common/cleanup.h"
#include "common/config/load.h"
#include "common/log.h"
#include "common/time_text.h"
#include "common/worker.h"
#include "control/varlink/server.h"
#include "daemon/memory_limit.h"
#include "daemon/schedule.h"
#include "daemon/settings.h"
#include "daemon/state.h"

#include <errno.h>
#include <string.h>

struct request {
	struct daemon *daemon;
	char *file;
	bool with_uploader; /* the daemon's child; all that the worker needs to know of the daemon */
	reload_done done;
	void *userdata;

	/* What was read. */
	int result; /* 0 or -errno */
	struct config_error error;
	struct config *config;
	struct nodes *nodes;
	struct operators operators;
};

static void request_free(struct request *request)
{
	if (!request)
		return;
	free(request->file);
	config_error_deinit(&request->error);
	config_free(request->config);
	nodes_unref(request->nodes);
	free(request->operators.uids);
	free(request);
}

DEFINE_CLEANUP(struct request *, request_free);

/* Nothing changes: says why. error: what is wrong with the file. */
static void refuse(struct request *request, const struct config_error *error)
{
	struct daemon *daemon = request->daemon;

	free(daemon->configuration_error);
	daemon->configuration_error = config_error_text(error);
	request->done(-EINVAL, error, request->userdata);
}

static void fail(struct request *request, const char *reason)
{
	refuse(request, &(struct config_error){.file = request->file, .reason = (char *)reason});
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
	struct config *old = daemon->config;

	if (result->error == -ECANCELED) {
		request->done(-ECANCELED, NULL, request->userdata);
		return;
	}
	if (result->error < 0) {
		fail(request, strerror(-result->error));
		return;
	}
	daemon->config = TAKE_PTR(request->config);
	daemon->configuration_read = time_now_wall();
	free(TAKE_PTR(daemon->configuration_error));
	log_set_level(daemon->config->log_level);
	free(daemon->operators.uids);
	daemon->operators = request->operators;
	request->operators = (struct operators){};
	varlink_server_check_operators(daemon->control);
	daemon_notify_status(daemon);
	apply_to_spool(daemon);
	if (schedule_set_period(daemon) < 0)
		log_warning("the window timer cannot be set: the period stays the same");
	if (daemon->uploader_process)
		uploader_process_set_config(daemon->uploader_process, daemon->config->file);
	uploader_link_reload(daemon->uploader);
	config_free(old);
	log_info("configuration reloaded");
	request->done(0, NULL, request->userdata);
}

/* On the worker's thread. */
static void read_files(void *data)
{
	struct request *request = data;
	int r = config_load(request->file, &request->config, &request->error);

	if (r >= 0)
		r = config_check_files(request->config, &request->error);
	if (r >= 0 && memory_fit(request->config, request->with_uploader) < 0) {
		request->error.file = strdup(request->file);
		r = config_fail(&request->error, 0,
				"max-flows needs more memory than the control group may use");
	}
	if (r >= 0)
		r = settings_load_nodes(request->config, &request->nodes, &request->error);
	if (r >= 0)
		r = settings_find_operators(request->config->file, request->config->operators,
					    &request->operators, &request->error);
	request->result = r;
}

static void on_read(void *data)
{
	_cleanup_(request_freep) struct request *request = data;
	struct daemon *daemon = request->daemon;
	const char *key;
	int r;

	if (daemon->stopping) {
		request->done(-ECANCELED, NULL, request->userdata);
		return;
	}
	if (request->result < 0) {
		refuse(request, &request->error);
		return;
	}
	key = config_restart_needed(daemon->config, request->config);
	if (key) {
		char reason[256];

		snprintf(reason, sizeof(reason), "%s changes only with a restart of netlogd", key);
		fail(request, reason);
		return;
	}
	r = logger_thread_apply(daemon->logger, request->config, TAKE_PTR(request->nodes), on_applied,
				request);
	if (r < 0)
		fail(request, strerror(-r));
	else
		TAKE_PTR(request);
}

void reload(struct daemon *daemon, reload_done done, void *userdata)
{
	_cleanup_(request_freep) struct request *request = calloc(1, sizeof(*request));
	struct request none = {
		.daemon = daemon, .file = daemon->config->file, .done = done, .userdata = userdata};
	int r;

	if (!request || !(request->file = strdup(daemon->config->file))) {
		fail(&none, strerror(ENOMEM));
		return;
	}
	request->daemon = daemon;
	request->with_uploader = !daemon->external_uploader;
	request->done = done;
	request->userdata = userdata;
	r = worker_post(daemon->aside, read_files, on_read, request);
	if (r < 0)
		fail(request, strerror(-r));
	else
		TAKE_PTR(request);
}
