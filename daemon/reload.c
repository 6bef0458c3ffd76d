/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Reading the configuration again. Everything is read and checked before anything changes; what the file
 * can't change while the daemon runs is refused as an error of the file.
 */

#include "common/cleanup.h"
#include "common/log.h"
#include "common/parse.h"
#include "common/time_text.h"
#include "control/varlink/server.h"
#include "daemon/state.h"

#include <errno.h>
#include <pwd.h>
#include <string.h>

struct reload {
	struct daemon *daemon;
	struct config *config; /* the new one */
	reload_done done;
	void *userdata;
};

static void reload_free(struct reload *reload)
{
	if (!reload)
		return;
	config_free(reload->config);
	free(reload);
}

DEFINE_CLEANUP(struct reload *, reload_free);

char **daemon_sink_names(const struct config *config)
{
	char **names = calloc(config->n_sinks + 1, sizeof(*names));

	for (size_t i = 0; names && i < config->n_sinks; i++)
		names[i] = config->sinks[i].name;
	return names;
}

void daemon_spool_options(const struct daemon *daemon, const struct config *config, char **sinks,
			  struct spool_writer_options *ret_options)
{
	*ret_options = (struct spool_writer_options){
		.directory = config->spool_directory,
		.max_size = config->spool_max_size,
		.sync = config->spool_sync,
		.sync_interval = config->spool_sync_interval,
		.retain = config->spool_retain,
		.upload_directory = config->upload_directory,
		.sinks = sinks,
		/* An uploader of its own has another user, which reads the spool by its group. */
		.file_mode = daemon->external_uploader ? 0640 : 0600,
	};
}

static int find_user(const char *name, uid_t *ret_uid)
{
	struct passwd *user = getpwnam(name);
	uint64_t number;

	if (user) {
		*ret_uid = user->pw_uid;
		return 0;
	}
	if (parse_u64(name, &number) < 0 || number >= UINT32_MAX)
		return -ENOENT;
	*ret_uid = (uid_t)number;
	return 0;
}

int daemon_set_operators(struct daemon *daemon, const struct config *config)
{
	size_t n = 0, found = 0;
	uid_t *operators;

	while (config->operators && config->operators[n])
		n++;
	operators = calloc(n + 1, sizeof(*operators));
	if (!operators)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		if (find_user(config->operators[i], &operators[found]) >= 0)
			found++;
		else
			log_warning("%s: operators: there is no user %s", config->file, config->operators[i]);
	free(daemon->operators);
	daemon->operators = operators;
	daemon->n_operators = found;
	return 0;
}

/* Takes the reason. */
static int fail(const char *file, char *reason, struct config_error *ret_error)
{
	*ret_error = (struct config_error){.file = strdup(file), .reason = reason};
	return -EINVAL;
}

static int check_change(const struct config *old, const struct config *new, struct config_error *ret_error)
{
	const char *key = config_restart_needed(old, new);
	char *reason = NULL;

	if (!key)
		return 0;
	if (asprintf(&reason, "%s can't change while netlogd runs: restart it", key) < 0)
		reason = NULL;
	return fail(new->file, reason, ret_error);
}

static int load_nodes(const struct config *config, struct nodes **ret_nodes, struct config_error *ret_error)
{
	*ret_nodes = NULL;
	return config->nodes_file ? nodes_load(config->nodes_file, ret_nodes, ret_error) : 0;
}

static void apply_to_spool(struct daemon *daemon)
{
	_cleanup_free_ char **sinks = daemon_sink_names(daemon->config);
	struct spool_writer_options options;

	if (!sinks) {
		log_warning("no memory: the spool keeps its settings");
		return;
	}
	daemon_spool_options(daemon, daemon->config, sinks, &options);
	if (spool_writer_reconfigure(daemon->spool, &options) < 0)
		log_warning("no memory: the spool keeps its settings");
}

/* Takes what the error owns. */
static void refuse(struct daemon *daemon, struct config_error *error, reload_done done, void *userdata)
{
	free(daemon->configuration_error);
	daemon->configuration_error = config_error_text(error);
	done(error, userdata);
	config_error_deinit(error);
}

/* The logger goes by the new configuration: now everything else does, and the old one can go. */
static void on_applied(const struct logger_thread_result *result, void *userdata)
{
	_cleanup_(reload_freep) struct reload *reload = userdata;
	struct daemon *daemon = reload->daemon;
	struct config_error error = {};
	struct config *old = daemon->config;

	if (result->error < 0) {
		fail(reload->config->file, strdup(strerror(-result->error)), &error);
		refuse(daemon, &error, reload->done, reload->userdata);
		return;
	}
	daemon->config = TAKE_PTR(reload->config);
	daemon->configuration_read = time_now_wall();
	free(TAKE_PTR(daemon->configuration_error));
	log_set_level(daemon->config->log_level);
	if (daemon_set_operators(daemon, daemon->config) < 0)
		log_warning("no memory: the operators stay as they were");
	varlink_server_check_operators(daemon->control);
	apply_to_spool(daemon);
	if (daemon_set_period(daemon) < 0)
		log_warning("the period stays as it was");
	if (daemon->uploader_process)
		uploader_process_set_config(daemon->uploader_process, daemon->config->file);
	uploader_link_reload(daemon->uploader);
	config_free(old);
	log_info("the configuration was read again");
	reload->done(NULL, reload->userdata);
}

static int begin(struct daemon *daemon, reload_done done, void *userdata, struct config_error *ret_error)
{
	_cleanup_(reload_freep) struct reload *reload = calloc(1, sizeof(*reload));
	struct nodes *nodes;
	int r;

	if (!reload)
		return fail(daemon->config->file, strdup("no memory"), ret_error);
	*reload = (struct reload){.daemon = daemon, .done = done, .userdata = userdata};
	r = config_load(daemon->config->file, &reload->config, ret_error);
	if (r >= 0)
		r = check_change(daemon->config, reload->config, ret_error);
	if (r >= 0)
		r = load_nodes(reload->config, &nodes, ret_error);
	if (r < 0)
		return r;
	r = logger_thread_apply(daemon->logger, reload->config, nodes, on_applied, reload);
	if (r < 0)
		return fail(daemon->config->file, strdup(strerror(-r)), ret_error);
	TAKE_PTR(reload);
	return 0;
}

void daemon_reload(struct daemon *daemon, reload_done done, void *userdata)
{
	struct config_error error = {};

	if (begin(daemon, done, userdata, &error) < 0)
		refuse(daemon, &error, done, userdata);
}
