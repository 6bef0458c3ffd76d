/* SPDX-License-Identifier: BSD-3-Clause */
/* From keys of the configuration to what the parts understand: users, the spool's options, nodes. */

#include "daemon/settings.h"

#include "common/config/error.h"
#include "common/log.h"
#include "common/parse.h"
#include "daemon/state.h"

#include <errno.h>
#include <pwd.h>

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

int settings_set_operators(struct daemon *daemon, const struct config *config)
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
			log_warning("%s: operators: user %s does not exist; ignored", config->file,
				    config->operators[i]);
	free(daemon->operators);
	daemon->operators = operators;
	daemon->n_operators = found;
	return 0;
}

bool settings_is_operator(const struct daemon *daemon, uid_t uid)
{
	if (uid == 0 || uid == getuid())
		return true;
	for (size_t i = 0; i < daemon->n_operators; i++)
		if (daemon->operators[i] == uid)
			return true;
	return false;
}

char **settings_sink_names(const struct config *config)
{
	char **names = calloc(config->n_sinks + 1, sizeof(*names));

	for (size_t i = 0; names && i < config->n_sinks; i++)
		names[i] = config->sinks[i].name;
	return names;
}

void settings_for_spool(const struct daemon *daemon, const struct config *config, char **sinks,
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
		/* An uploader that runs as a service has another user, which reads the spool by its group. */
		.file_mode = daemon->external_uploader ? 0640 : 0600,
	};
}

int settings_load_nodes(const struct config *config, struct nodes **ret_nodes, struct config_error *ret_error)
{
	*ret_nodes = NULL;
	return config->nodes_file ? nodes_load(config->nodes_file, ret_nodes, ret_error) : 0;
}
