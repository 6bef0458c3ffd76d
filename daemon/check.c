/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Root can read every file, and the services can't: so each check runs in a child that has become the user of
 * its service.
 */

#include "daemon/check.h"

#include "common/cleanup.h"
#include "common/config/config.h"
#include "common/config/error.h"
#include "common/file.h"
#include "common/log.h"
#include "common/log_id.h"
#include "daemon/device/peers/names_file.h"
#include "daemon/record/nodes.h"
#include "daemon/unit.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <sysexits.h>
#include <unistd.h>

#define CONFIG_DIRECTORY "/etc/netlogd/"
#define SECRET_MAX	 4096
#define CERTIFICATES_MAX (4 << 20)
#define GROUPS_MAX	 64

/* ---- files ---- */

/* Logs what is wrong with a file; returns 1 then, and 0 otherwise. */
static int complain(const char *key, const char *path, int error, const char *reason)
{
	const struct passwd *user = getpwuid(geteuid());

	if (error == 0)
		return 0;
	log_error("%s = %s: %s (checked as user %s)", key, path, reason ? reason : strerror(-error),
		  user ? user->pw_name : "without a name");
	return 1;
}

/* The directory that holds a path; owned by the caller. */
static char *parent_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? strndup(path, MAX((size_t)(slash - path), (size_t)1)) : NULL;
}

/* A directory that a service writes in. One that is missing is made, by the service or before its start. */
static int check_directory(const struct unit *unit, const char *key, const char *path, const char *directory)
{
	_cleanup_free_ char *problem = directory ? unit_write_problem(unit, directory) : NULL;
	int r = 0;

	if (!directory)
		return 0;
	if (problem)
		r = -EROFS;
	else if (unit->name[0] && faccessat(AT_FDCWD, directory, W_OK | X_OK, AT_EACCESS) < 0 &&
		 errno != ENOENT)
		r = -errno;
	return complain(key, path, r, problem);
}

/* With the directory in which the uploader makes one that is missing; NULL: it makes none. */
static int check_log_id(const struct unit *unit, const char *key, const char *path, const char *directory)
{
	struct log_id id;
	int r = path ? log_id_read_file(path, &id) : 0;

	log_id_wipe(&id);
	if (r == -ENOENT)
		return check_directory(unit, key, path, directory);
	return complain(key, path, r,
			r == -EPERM    ? "users other than its owner can read it (set mode 0600)"
			: r == -EINVAL ? "it does not hold a private log ID (64 hex digits)"
				       : NULL);
}

static int check_secret(const char *key, const char *path, size_t max, bool private)
{
	_cleanup_close_ int fd = -1;
	_cleanup_free_ char *text = NULL;
	const char *reason = NULL;
	size_t n = 0;
	mode_t mode = 0;
	int r;

	if (!path)
		return 0;
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	r = fd < 0 ? -errno : file_read_fd(fd, max, &text, &n, &mode);
	if (r == -EINVAL)
		reason = "not a regular file";
	if (r == 0 && n == 0) {
		r = -EINVAL;
		reason = "it is empty";
	} else if (r == 0 && private && !file_is_private(fd, mode)) {
		r = -EPERM;
		reason = "users other than its owner can read it (set mode 0600)";
	}
	if (text)
		explicit_bzero(text, n);
	return complain(key, path, r, reason);
}

/* Where lines go: what is there must be a file, and what is not there is made in its directory. */
static int check_lines(const struct unit *unit, const char *path)
{
	_cleanup_free_ char *parent = path ? parent_of(path) : NULL;
	_cleanup_free_ char *problem = parent ? unit_write_problem(unit, parent) : NULL;
	struct stat st;
	int r = 0;

	if (!parent)
		return 0;
	if (problem)
		return complain("path", path, -EROFS, problem);
	if (stat(path, &st) == 0)
		return complain("path", path, S_ISREG(st.st_mode) ? 0 : -EISDIR, "not a regular file");
	if (errno != ENOENT)
		r = -errno;
	else if (faccessat(AT_FDCWD, parent, W_OK | X_OK, AT_EACCESS) < 0)
		r = errno == ENOENT && unit_makes(unit, parent) ? 0 : -errno;
	return complain("path", path, r, NULL);
}

static int check_uploaders(const struct unit *unit, const struct config *config)
{
	const char *upload = config->upload_directory;
	_cleanup_free_ char *ids = config->log_id_file ? parent_of(config->log_id_file) : NULL;
	int bad = check_directory(unit, "upload-directory", upload, upload);

	/* By default it is in the upload directory, of which all is said then. */
	bad |= check_log_id(unit, "log-id-file", config->log_id_file,
			    ids && strcmp(ids, upload) != 0 ? ids : NULL);
	bad |= check_log_id(unit, "domain-log-id-file", config->domain_log_id_file, NULL);
	for (size_t i = 0; i < config->n_sinks; i++) {
		const struct sink_config *sink = &config->sinks[i];

		bad |= check_secret("bearer-token-file", sink->bearer_token_file, SECRET_MAX, true);
		bad |= check_secret("password-file", sink->password_file, SECRET_MAX, true);
		bad |= check_secret("ca-file", sink->ca_file, CERTIFICATES_MAX, false);
		bad |= check_secret("cert-file", sink->cert_file, CERTIFICATES_MAX, false);
		bad |= check_secret("key-file", sink->key_file, CERTIFICATES_MAX, false);
		bad |= check_lines(unit, sink->path);
	}
	return bad;
}

static int check_nodes(const struct config *config)
{
	struct config_error error = {};
	struct nodes *nodes = NULL;
	_cleanup_free_ char *text = NULL;
	int r = config->nodes_file ? nodes_load(config->nodes_file, &nodes, &error) : 0;

	if (r >= 0) {
		nodes_unref(nodes);
		return 0;
	}
	text = config_error_text(&error);
	config_error_deinit(&error);
	/* It begins with the file, and the line. */
	return complain("nodes-file", config->nodes_file, r, text);
}

static int check_names(const struct config *config)
{
	_cleanup_wg_names_ struct wg_names names = {};
	char token[WG_NAMES_TOKEN_MAX] = "";
	int r = config->wireguard_names_file ? wg_names_file_read(config->wireguard_names_file, token, &names)
					     : 0;

	if (r >= 0)
		return 0;
	return complain("wireguard-names", config->wireguard_names_file, r,
			r == -EINVAL  ? "not a regular file"
			: r == -EFBIG ? "larger than 16 MiB"
				      : NULL);
}

static int check_daemons(const struct unit *unit, const struct config *config)
{
	_cleanup_free_ char *metrics = config->metrics_textfile ? parent_of(config->metrics_textfile) : NULL;
	_cleanup_free_ char *sockets = parent_of(config->control_socket);
	_cleanup_free_ char *spools = parent_of(config->spool_directory);
	int bad = check_directory(unit, "state-directory", config->state_directory, config->state_directory);

	/* By default it is in the state directory, of which all is said then. */
	if (!spools || strcmp(spools, config->state_directory) != 0)
		bad |= check_directory(unit, "[spool] directory", config->spool_directory,
				       config->spool_directory);
	return bad | check_directory(unit, "control-socket", config->control_socket, sockets) |
	       check_directory(unit, "metrics-textfile", config->metrics_textfile, metrics) |
	       check_nodes(config) | check_names(config);
}

/* ---- users ---- */

static int become(const struct unit *unit)
{
	const struct passwd *user = getpwnam(unit->user);
	const struct group *group = unit->group[0] ? getgrnam(unit->group) : NULL;
	char names[sizeof(unit->more_groups)], *rest = names, *name;
	gid_t groups[GROUPS_MAX], gid;
	int n = GROUPS_MAX - 8;

	if (!user) {
		log_error("user %s does not exist; systemd-sysusers makes the users of the units",
			  unit->user);
		return -ENOENT;
	}
	gid = group ? group->gr_gid : user->pw_gid;
	if (getgrouplist(unit->user, gid, groups, &n) < 0)
		n = GROUPS_MAX - 8;
	memcpy(names, unit->more_groups, sizeof(names));
	while ((name = strsep(&rest, " \t")) && n < GROUPS_MAX)
		if (*name && (group = getgrnam(name)))
			groups[n++] = group->gr_gid;
	if (setgroups((size_t)n, groups) < 0 || setresgid(gid, gid, gid) < 0 ||
	    setresuid(user->pw_uid, user->pw_uid, user->pw_uid) < 0) {
		int r = -errno;

		log_error("cannot check as user %s: %s", unit->user, strerror(-r));
		return r;
	}
	return 0;
}

/* In a child that is this user; without one, here. */
static int check_as(const struct unit *unit, const struct config *config,
		    int (*check)(const struct unit *unit, const struct config *config))
{
	int status = EX_OSERR << 8;
	pid_t pid;

	if (!unit->user[0])
		return check(unit, config);
	pid = fork();
	if (pid == 0) {
		int bad = become(unit) < 0;

		if (!bad && faccessat(AT_FDCWD, config->file, R_OK, AT_EACCESS) < 0)
			bad = complain("--config", config->file, -errno, NULL);
		_exit(bad || check(unit, config) ? 1 : 0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		log_error("cannot check as user %s: %s", unit->user, strerror(errno));
	return status != 0;
}

/* ---- units ---- */

/* Those of the units that run with this configuration, where they are installed. */
static void find_services(const struct config *config, struct unit *ret_daemon, struct unit *ret_uploader)
{
	const char *name = config->file + strlen(CONFIG_DIRECTORY);
	char instance[64];
	size_t n;

	if (strncmp(config->file, CONFIG_DIRECTORY, strlen(CONFIG_DIRECTORY)) != 0 || strchr(name, '/'))
		return;
	n = strlen(name);
	if (strcmp(name, "netlogd.conf") == 0) {
		if (unit_find("netlogd.service", NULL, ret_daemon))
			(void)unit_find("netlogd-upload.service", NULL, ret_uploader);
	} else if (n > strlen(".conf") && strcmp(name + n - strlen(".conf"), ".conf") == 0) {
		snprintf(instance, sizeof(instance), "%.*s", (int)(n - strlen(".conf")), name);
		if (unit_find("netlogd@.service", instance, ret_daemon))
			(void)unit_find("netlogd-upload@.service", instance, ret_uploader);
	}
}

int check_files(const struct config *config, const char *as)
{
	struct unit daemon = {}, uploader = {}, other = {};
	bool daemons = true, uploaders = true;
	int bad = 0;

	if (as || geteuid() == 0)
		find_services(config, &daemon, &uploader);
	if (as) {
		/* A service's user opens the files of that service only. */
		daemons = strcmp(as, uploader.user) != 0;
		uploaders = strcmp(as, daemon.user) != 0;
		snprintf(other.user, sizeof(other.user), "%s", as);
		if (daemons && uploaders)
			daemon = uploader = other;
	}
	if (daemons)
		bad |= check_as(&daemon, config, check_daemons);
	if (uploaders)
		bad |= check_as(&uploader, config, check_uploaders);
	return bad ? EX_CONFIG : 0;
}
