/* SPDX-License-Identifier: BSD-3-Clause */
/* Gives away what root makes for others, and says who may not open what. */

#include "common/owner.h"

#include "common/cleanup.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define OVERFLOW_UID 65534 /* user_namespaces(7) */

int owner_give(int fd, int directory_fd)
{
	struct stat file, directory;

	if (geteuid() != 0)
		return 0;
	if (fstat(fd, &file) < 0 || fstat(directory_fd, &directory) < 0)
		return -errno;
	if (file.st_uid != 0 || directory.st_uid == 0 || (!S_ISDIR(file.st_mode) && file.st_nlink != 1))
		return 0;
	/* Without that right (a container's root) it stays as it is. */
	if (fchown(fd, directory.st_uid, directory.st_gid) < 0 && errno != EPERM)
		return -errno;
	return 0;
}

/* From the file alone: other sources of users may be far away, and a confined process must not ask them. */
static void format_user(uid_t uid, char ret_text[static LOGIN_NAME_MAX])
{
	_cleanup_fclose_ FILE *file = fopen("/etc/passwd", "re");
	const struct passwd *entry;

	/* In a user namespace all that it does not know has this ID. */
	if (uid == OVERFLOW_UID) {
		snprintf(ret_text, LOGIN_NAME_MAX, "another user");
		return;
	}
	snprintf(ret_text, LOGIN_NAME_MAX, uid == 0 ? "root" : "user %u", uid);
	while (uid != 0 && file && (entry = fgetpwent(file)))
		if (entry->pw_uid == uid) {
			snprintf(ret_text, LOGIN_NAME_MAX, "%s", entry->pw_name);
			break;
		}
}

/* The first directory on the way that may not be passed; else the path itself; else, where it does not exist,
 * the directory that would hold it. */
static void find_denying(char *path)
{
	char *last = path;

	for (char *slash = path + 1; (slash = strchr(slash, '/')); slash++) {
		*slash = '\0';
		if (faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) < 0)
			return;
		*slash = '/';
		last = slash;
	}
	if (faccessat(AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW) < 0 && last > path)
		*last = '\0';
}

char *owner_error_text(const char *path, int error)
{
	_cleanup_free_ char *denying = strdup(path);
	char owner[LOGIN_NAME_MAX], self[LOGIN_NAME_MAX], *text;
	struct stat st;

	error = error < 0 ? -error : error;
	if (!denying)
		return NULL;
	if (error == EACCES || error == EPERM)
		find_denying(denying);
	if ((error != EACCES && error != EPERM) || lstat(denying, &st) < 0)
		return strdup(strerror(error));
	format_user(st.st_uid, owner);
	format_user(geteuid(), self);
	if (asprintf(&text, "%s: %s belongs to %s (mode %04o), this process to %s", strerror(error), denying,
		     owner, st.st_mode & 07777, self) < 0)
		return NULL;
	return text;
}
