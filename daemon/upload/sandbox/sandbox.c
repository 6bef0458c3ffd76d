/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Confinement of the uploader, in the order in which it can be done: the user first, since the rest can be
 * had without being root; the filter of system calls last, since it forbids the others.
 */

#include "daemon/upload/sandbox/sandbox.h"

#include "common/cleanup.h"
#include "common/config/config.h"
#include "common/core_dump.h"
#include "common/log.h"
#include "common/sanitizer.h"
#include "common/spool/cursor.h"

#include <cap-ng.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <pwd.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define USER_NAME "netlogd-upload"
/*
 * Where that user was not made: an id that nobody else has. It lies between those that systemd gives away and
 * "nobody", who has other servants. (https://systemd.io/UIDS-GIDS/)
 */
#define USER_WITHOUT_NAME 65533

struct sandbox_user sandbox_find_user(void)
{
	const struct passwd *entry;

	if (geteuid() != 0)
		return (struct sandbox_user){.uid = geteuid(), .gid = getegid()};
	entry = getpwnam(USER_NAME);
	if (entry && entry->pw_uid != 0)
		return (struct sandbox_user){.change = true, .uid = entry->pw_uid, .gid = entry->pw_gid};
	return (struct sandbox_user){.change = true, .uid = USER_WITHOUT_NAME, .gid = USER_WITHOUT_NAME};
}

int sandbox_become_for_now(const struct sandbox_user *user)
{
	if (!user->change)
		return 0;
	if (setresgid((gid_t)-1, user->gid, (gid_t)-1) < 0 || setresuid((uid_t)-1, user->uid, (uid_t)-1) < 0)
		return -errno;
	return 0;
}

void sandbox_return(const struct sandbox_user *user)
{
	/* Back to what the process has been all the time: that can't fail, and must not. */
	if (user->change &&
	    (setresuid((uid_t)-1, getuid(), (uid_t)-1) < 0 || setresgid((gid_t)-1, getgid(), (gid_t)-1) < 0))
		abort();
}

static void closedirp(DIR **directory)
{
	if (*directory)
		closedir(*directory);
}

/* What the configuration names as a file of the upload directory itself. */
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

/* A directory of a sink's (also of one that is configured no more), or that of the log IDs. */
static bool is_our_directory(const struct config *config, int fd, const char *name)
{
	for (size_t i = 0; i < config->n_sinks; i++)
		if (strcmp(config->sinks[i].name, name) == 0)
			return true;
	return strcmp(name, "ids") == 0 || faccessat(fd, CURSOR_NAME, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* One that can't be is left: it should not keep the uploader root. */
static void hand_over(int fd, const char *name, const struct sandbox_user *user)
{
	if (fchown(fd, user->uid, user->gid) < 0)
		log_warning("%s in the upload directory stays root's: %s", name, strerror(errno));
}

static int give_contents(int fd, const struct sandbox_user *user, const struct config *config);

/* One entry, if it is root's and netlogd's. In a directory of ours (no configuration) everything is. */
static void give_entry(int fd, const char *name, const struct sandbox_user *user, const struct config *config)
{
	_cleanup_close_ int item =
		openat(fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	struct stat st;

	if (item < 0 || fstat(item, &st) < 0)
		return;
	if (S_ISDIR(st.st_mode) && (!config || is_our_directory(config, item, name))) {
		(void)give_contents(item, user, NULL);
		if (st.st_uid == 0)
			hand_over(item, name, user);
	} else if (S_ISREG(st.st_mode) && st.st_nlink == 1 && st.st_uid == 0 &&
		   (!config || is_named_file(config, name))) {
		hand_over(item, name, user);
	}
}

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
	while ((entry = readdir(directory)))
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			give_entry(fd, entry->d_name, user, config);
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

int sandbox_become(const struct sandbox_user *user)
{
	if (!user->change)
		return 0;
	/* Only root can take what it might gain out of its reach. */
	for (int capability = 0; prctl(PR_CAPBSET_READ, capability) >= 0; capability++)
		if (prctl(PR_CAPBSET_DROP, capability) < 0 && errno != EPERM)
			return -errno;
	if (setgroups(0, NULL) < 0 || setresgid(user->gid, user->gid, user->gid) < 0 ||
	    setresuid(user->uid, user->uid, user->uid) < 0)
		return -errno;
	return 0;
}

static void forbid_dumps(void)
{
	/* A core would hold the private log ID. */
	int r = core_dump_forbid();

	if (r < 0)
		log_warning("core dumps can't be turned off: %s", strerror(-r));
}

void sandbox_close_descriptors(const int *keep, size_t n)
{
	unsigned int next = STDERR_FILENO + 1;

	/* From one that is kept to the next; the list is short. */
	for (;;) {
		unsigned int stop = UINT_MAX;

		for (size_t i = 0; i < n; i++)
			if (keep[i] >= (int)next)
				stop = MIN(stop, (unsigned int)keep[i]);
		if (stop > next)
			(void)syscall(SYS_close_range, next, stop == UINT_MAX ? UINT_MAX : stop - 1, 0);
		if (stop == UINT_MAX)
			return;
		next = stop + 1;
	}
}

int sandbox_drop_capabilities(void)
{
	capng_select_t what;

	if (capng_get_caps_process() < 0)
		return -EPERM;
	/* A service's filter of system calls forbids even to give up nothing. */
	if (capng_have_capabilities(CAPNG_SELECT_CAPS) == CAPNG_NONE)
		return 0;
	/* Whoever may not change the bounding set has nothing in it that it could gain. */
	what = capng_have_capability(CAPNG_EFFECTIVE, CAP_SETPCAP) ? CAPNG_SELECT_BOTH : CAPNG_SELECT_CAPS;
	capng_clear(CAPNG_SELECT_BOTH);
	return capng_apply(what) != 0 ? -EPERM : 0;
}

static void warn(const char *what, int error)
{
	if (error < 0)
		log_warning("running without %s: %s", what, strerror(-error));
}

int sandbox_enter(const struct config *config, const struct sandbox_user *user, int upload_fd,
		  bool all_of_etc)
{
	int r = sandbox_become(user);

	if (r < 0)
		return r;
	/* The kernel takes a change of the user for a reason to allow them again. */
	forbid_dumps();
	warn("giving up capabilities", sandbox_drop_capabilities());
	warn("no_new_privs", prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? -errno : 0);
	warn("landlock", sandbox_restrict_files(config, upload_fd, all_of_etc));
	if (!SANITIZER_BUILD)
		warn("a filter of system calls", sandbox_filter_calls());
	return 0;
}
