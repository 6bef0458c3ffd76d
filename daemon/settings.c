/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * From keys of the configuration to what the parts understand: users, the spool's options, nodes. Names of
 * users may be answered by a directory service, so they are looked up off the loop.
 */

#include "daemon/settings.h"

#include "common/cleanup.h"
#include "common/config/error.h"
#include "common/log.h"
#include "common/parse.h"
#include "daemon/state.h"

#include <errno.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define USER_ENTRY_MIN 1024 /* bytes of an entry's texts */
#define USER_ENTRY_MAX (1024 * 1024)

/* 0; -ENOENT: no such user; another -errno: nobody could tell. */
static int find_user(const char *name, uid_t *ret_uid)
{
	_cleanup_free_ char *buffer = NULL;
	struct passwd entry, *user = NULL;
	uint64_t number;
	int r = ERANGE;

	for (size_t size = USER_ENTRY_MIN; r == ERANGE && size <= USER_ENTRY_MAX; size *= 4) {
		free(buffer);
		buffer = malloc(size);
		if (!buffer)
			return -ENOMEM;
		r = getpwnam_r(name, &entry, buffer, size, &user);
	}
	if (user) {
		*ret_uid = user->pw_uid;
		return 0;
	}
	if (parse_u64(name, &number) >= 0 && number < UINT32_MAX) {
		*ret_uid = (uid_t)number;
		return 0;
	}
	/* getpwnam(3): ways to say that there is none. Anything else says nothing about the user. */
	return r == 0 || r == ESRCH || r == ENOENT ? -ENOENT : -r;
}

int settings_find_operators(const char *file, char *const *names, struct operators *ret_operators,
			    struct config_error *ret_error)
{
	struct operators operators = {};
	size_t n = 0;
	int r = 0;

	while (names && names[n])
		n++;
	operators.uids = calloc(n + 1, sizeof(*operators.uids));
	if (!operators.uids)
		return config_fail(ret_error, 0, "out of memory");
	for (size_t i = 0; i < n; i++) {
		const char *name = names[i];
		int found = find_user(name, &operators.uids[operators.n]);

		if (found >= 0) {
			operators.n++;
		} else if (found == -ENOENT) {
			log_warning("%s: operators: user %s does not exist; ignored", file, name);
		} else if (r == 0) {
			ret_error->file = strdup(file);
			r = config_fail(ret_error, 0, "operators: user %s cannot be looked up: %s", name,
					strerror(-found));
		}
	}
	*ret_operators = operators;
	return r;
}

bool settings_is_operator(const struct daemon *daemon, uid_t uid)
{
	if (uid == 0 || uid == getuid())
		return true;
	for (size_t i = 0; i < daemon->operators.n; i++)
		if (daemon->operators.uids[i] == uid)
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

/* Whether the directory's group may read it: it was made for a service. */
static bool is_shared(const char *directory)
{
	struct stat st;

	return stat(directory, &st) == 0 && (st.st_mode & 0050) == 0050;
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
		/* An uploader that runs as a service has another user, which reads the spool by its group.
		 * The service may use later what is written by hand into its directory. */
		.file_mode = daemon->external_uploader || is_shared(config->spool_directory) ? 0640 : 0600,
	};
}

int settings_load_nodes(const struct config *config, struct nodes **ret_nodes, struct config_error *ret_error)
{
	*ret_nodes = NULL;
	return config->nodes_file ? nodes_load(config->nodes_file, ret_nodes, ret_error) : 0;
}
