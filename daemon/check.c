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
#include "daemon/record/nodes.h"

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
#define LOGS		 "/var/log/"

/* A service's, as its unit says; names, "" for none. */
struct identity {
	char user[64];
	char group[64];
	char more_groups[256]; /* separated by blanks */
	char logs[64];	       /* below /var/log: made when the service starts */
};

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

static int check_log_id(const char *key, const char *path)
{
	struct log_id id;
	int r = path ? log_id_read_file(path, &id) : 0;

	log_id_wipe(&id);
	/* A missing one is made. */
	return complain(key, path, r == -ENOENT ? 0 : r,
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

/* Whether the service manager makes this directory, "%i" being the instance: any. */
static bool is_logs_directory(const struct identity *identity, const char *path)
{
	size_t n = strcspn(identity->logs, "%");

	if (n == 0 || strncmp(path, LOGS, strlen(LOGS)) != 0 ||
	    strncmp(path + strlen(LOGS), identity->logs, n) != 0)
		return false;
	path += strlen(LOGS) + n;
	return identity->logs[n] ? *path && !strchr(path, '/') : !*path;
}

/* Where lines go: what is there must be a file, and what is not there is made in its directory. */
static int check_lines(const struct identity *identity, const char *path)
{
	const char *slash = path ? strrchr(path, '/') : NULL;
	_cleanup_free_ char *parent = slash ? strndup(path, MAX((size_t)(slash - path), (size_t)1)) : NULL;
	struct stat st;
	int r = 0;

	if (!parent)
		return 0;
	if (stat(path, &st) == 0)
		return complain("path", path, S_ISREG(st.st_mode) ? 0 : -EISDIR, "not a regular file");
	if (errno != ENOENT)
		r = -errno;
	else if (faccessat(AT_FDCWD, parent, W_OK | X_OK, AT_EACCESS) < 0)
		r = errno == ENOENT && is_logs_directory(identity, parent) ? 0 : -errno;
	return complain("path", path, r, NULL);
}

static int check_uploaders(const struct identity *identity, const struct config *config)
{
	int bad = check_log_id("log-id-file", config->log_id_file) |
		  check_log_id("domain-log-id-file", config->domain_log_id_file);

	for (size_t i = 0; i < config->n_sinks; i++) {
		const struct sink_config *sink = &config->sinks[i];

		bad |= check_secret("bearer-token-file", sink->bearer_token_file, SECRET_MAX, true);
		bad |= check_secret("password-file", sink->password_file, SECRET_MAX, true);
		bad |= check_secret("ca-file", sink->ca_file, CERTIFICATES_MAX, false);
		bad |= check_secret("cert-file", sink->cert_file, CERTIFICATES_MAX, false);
		bad |= check_secret("key-file", sink->key_file, CERTIFICATES_MAX, false);
		bad |= check_lines(identity, sink->path);
	}
	return bad;
}

static int check_daemons(const struct identity *identity, const struct config *config)
{
	struct config_error error = {};
	struct nodes *nodes = NULL;
	_cleanup_free_ char *text = NULL;
	int r = config->nodes_file ? nodes_load(config->nodes_file, &nodes, &error) : 0;

	(void)identity;
	if (r >= 0) {
		nodes_free(nodes);
		return 0;
	}
	text = config_error_text(&error);
	config_error_deinit(&error);
	/* It begins with the file, and the line. */
	return complain("nodes-file", config->nodes_file, r, text);
}

/* ---- users ---- */

static int become(const struct identity *identity)
{
	const struct passwd *user = getpwnam(identity->user);
	const struct group *group = identity->group[0] ? getgrnam(identity->group) : NULL;
	char names[sizeof(identity->more_groups)], *rest = names, *name;
	gid_t groups[GROUPS_MAX], gid;
	int n = GROUPS_MAX - 8;

	if (!user) {
		log_error("user %s does not exist; systemd-sysusers makes the users of the units",
			  identity->user);
		return -ENOENT;
	}
	gid = group ? group->gr_gid : user->pw_gid;
	if (getgrouplist(identity->user, gid, groups, &n) < 0)
		n = GROUPS_MAX - 8;
	memcpy(names, identity->more_groups, sizeof(names));
	while ((name = strsep(&rest, " \t")) && n < GROUPS_MAX)
		if (*name && (group = getgrnam(name)))
			groups[n++] = group->gr_gid;
	if (setgroups((size_t)n, groups) < 0 || setresgid(gid, gid, gid) < 0 ||
	    setresuid(user->pw_uid, user->pw_uid, user->pw_uid) < 0) {
		int r = -errno;

		log_error("cannot check as user %s: %s", identity->user, strerror(-r));
		return r;
	}
	return 0;
}

/* In a child that is this user; without one, here. */
static int check_as(const struct identity *identity, const struct config *config,
		    int (*check)(const struct identity *identity, const struct config *config))
{
	int status = EX_OSERR << 8;
	pid_t pid;

	if (!identity->user[0])
		return check(identity, config);
	pid = fork();
	if (pid == 0) {
		int bad = become(identity) < 0;

		if (!bad && faccessat(AT_FDCWD, config->file, R_OK, AT_EACCESS) < 0)
			bad = complain("--config", config->file, -errno, NULL);
		_exit(bad || check(identity, config) ? 1 : 0);
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		log_error("cannot check as user %s: %s", identity->user, strerror(errno));
	return status != 0;
}

/* ---- units ---- */

static void take_line(const char *line, const char *key, size_t max, char *ret_value)
{
	size_t n = strlen(key);

	if (strncmp(line, key, n) == 0 && line[n] == '=')
		snprintf(ret_value, max, "%.*s", (int)strcspn(line + n + 1, "\r\n"), line + n + 1);
}

/* The identity of an installed service; false: it is not installed. Drop-ins are not looked at. */
static bool find_identity(const char *unit, struct identity *ret_identity)
{
	static const char *const places[] = {"/etc/systemd/system", "/run/systemd/system",
					     "/usr/local/lib/systemd/system", "/usr/lib/systemd/system",
					     "/lib/systemd/system"};
	struct identity identity = {};
	char path[256], line[1024];
	FILE *file = NULL;

	for (size_t i = 0; !file && i < ARRAY_SIZE(places); i++) {
		snprintf(path, sizeof(path), "%s/%s", places[i], unit);
		file = fopen(path, "re");
	}
	if (!file)
		return false;
	while (fgets(line, sizeof(line), file)) {
		take_line(line, "User", sizeof(identity.user), identity.user);
		take_line(line, "Group", sizeof(identity.group), identity.group);
		take_line(line, "SupplementaryGroups", sizeof(identity.more_groups), identity.more_groups);
		take_line(line, "LogsDirectory", sizeof(identity.logs), identity.logs);
	}
	fclose(file);
	*ret_identity = identity;
	return true;
}

/* Those of the units that run with this configuration, where they are installed. */
static void find_services(const struct config *config, struct identity *ret_daemon,
			  struct identity *ret_uploader)
{
	const char *name = config->file + strlen(CONFIG_DIRECTORY);
	bool single;

	if (strncmp(config->file, CONFIG_DIRECTORY, strlen(CONFIG_DIRECTORY)) != 0 || strchr(name, '/'))
		return;
	single = strcmp(name, "netlogd.conf") == 0;
	if (find_identity(single ? "netlogd.service" : "netlogd@.service", ret_daemon))
		(void)find_identity(single ? "netlogd-upload.service" : "netlogd-upload@.service",
				    ret_uploader);
}

int check_files(const struct config *config, const char *as)
{
	struct identity daemon = {}, uploader = {}, other = {};
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
