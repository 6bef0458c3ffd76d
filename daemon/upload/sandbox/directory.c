/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Changes owners in the upload directory. Root walks through a directory that another user may write, so it
 * follows no link, opens first and asks afterwards, and takes nothing that has a second name elsewhere.
 */

#include "daemon/upload/sandbox/directory.h"

#include "common/cleanup.h"
#include "common/config/config.h"
#include "common/log.h"
#include "common/spool/cursor.h"
#include "daemon/upload/sandbox/user.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

static void closedirp(DIR **directory)
{
	if (*directory)
		closedir(*directory);
}

/* Whether the configuration names this file of the upload directory. */
static bool is_named_file(const struct config *config, const char *name)
{
	const char *paths[2 + 5] = {config->log_id_file, config->domain_log_id_file};
	size_t n = strlen(config->upload_directory);

	for (size_t i = 0; i <= config->n_sinks; i++) {
		for (size_t j = 0; j < ARRAY_SIZE(paths); j++)
			if (paths[j] && strncmp(paths[j], config->upload_directory, n) == 0 &&
			    paths[j][n] == '/' && strcmp(paths[j] + n + 1, name) == 0)
				return true;
		if (i < config->n_sinks) {
			const struct sink_config *sink = &config->sinks[i];

			paths[2] = sink->bearer_token_file;
			paths[3] = sink->password_file;
			paths[4] = sink->ca_file;
			paths[5] = sink->cert_file;
			paths[6] = sink->key_file;
		}
	}
	return false;
}

/* Whether this is the directory of a sink (also of one that is no longer configured) or of the log IDs. */
static bool is_our_directory(const struct config *config, int fd, const char *name)
{
	for (size_t i = 0; i < config->n_sinks; i++)
		if (strcmp(config->sinks[i].name, name) == 0)
			return true;
	return strcmp(name, "ids") == 0 || faccessat(fd, CURSOR_NAME, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* Gives one entry away. A failure is no reason to keep the uploader root. */
static void hand_over(int fd, const char *name, const struct sandbox_user *user)
{
	if (fchown(fd, user->uid, user->gid) < 0)
		log_warning("cannot give %s in the upload directory to the uploader's user: %s", name,
			    strerror(errno));
}

/* Gives away what is root's and netlogd's; without a configuration, in a directory of ours, that is all. */
static int give_contents(int fd, const struct sandbox_user *user, const struct config *config)
{
	_cleanup_(closedirp) DIR *directory = NULL;
	struct dirent *entry;
	int r, copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	directory = copy < 0 ? NULL : fdopendir(copy);
	if (!directory) {
		r = -errno;
		safe_close(copy);
		return r;
	}
	while ((entry = readdir(directory))) {
		const char *name = entry->d_name;
		_cleanup_close_ int item = -1;
		struct stat st;

		if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
			continue;
		item = openat(fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
		if (item < 0 || fstat(item, &st) < 0)
			continue;
		if (S_ISDIR(st.st_mode) && (!config || is_our_directory(config, item, name))) {
			(void)give_contents(item, user, NULL);
			if (st.st_uid == 0)
				hand_over(item, name, user);
		} else if (S_ISREG(st.st_mode) && st.st_nlink == 1 && st.st_uid == 0 &&
			   (!config || is_named_file(config, name))) {
			hand_over(item, name, user);
		}
	}
	return 0;
}

int sandbox_give_directory(int fd, const struct sandbox_user *user, const struct config *config)
{
	struct stat st;
	int r;

	if (!user->change)
		return 0;
	if (fstat(fd, &st) < 0)
		return -errno;
	r = give_contents(fd, user, config);
	if (r == 0 && st.st_uid != user->uid && fchown(fd, user->uid, user->gid) < 0)
		r = -errno;
	return r;
}
