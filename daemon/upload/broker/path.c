/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Follows a path part by part, with the broker's own rights only through directories that the uploader's user
 * cannot write.
 */

#include "daemon/upload/broker/path.h"

#include "common/cleanup.h"
#include "daemon/upload/sandbox/user.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define LINKS_MAX 40 /* symbolic links, as the kernel allows (path_resolution(7)) */

/* Whether the uploader's user can replace this entry, or create it. */
static int is_untrusted(const struct sandbox_user *user, int directory_fd, const char *name,
			bool *ret_untrusted)
{
	struct stat directory, entry;
	bool there, writable;
	int r;

	if (fstat(directory_fd, &directory) < 0)
		return -errno;
	there = fstatat(directory_fd, name, &entry, AT_SYMLINK_NOFOLLOW) == 0;
	r = sandbox_user_assume(user);
	/* The kernel knows about access control lists and read-only mounts. */
	if (r == 0 && faccessat(directory_fd, ".", W_OK | X_OK, AT_EACCESS) < 0)
		r = -errno;
	sandbox_user_restore(user);
	/* Only the kernel's "no" is one: where it could not be asked, nothing is trusted. */
	writable = r == 0;
	if (r == -EACCES || r == -EPERM || r == -EROFS)
		r = 0;
	/* In a sticky directory, like /tmp, nobody can replace what belongs to others. */
	if (writable && directory.st_mode & S_ISVTX && directory.st_uid != user->uid && there)
		writable = entry.st_uid == user->uid;
	*ret_untrusted = writable || directory.st_uid == user->uid;
	return r;
}

/* Takes the first part off a path; *rest then points behind it. */
static int take_part(char **rest, char ret_name[static NAME_MAX + 1])
{
	size_t n;

	*rest += strspn(*rest, "/");
	n = strcspn(*rest, "/");
	if (n > NAME_MAX)
		return -ENAMETOOLONG;
	memcpy(ret_name, *rest, n);
	ret_name[n] = '\0';
	*rest += n;
	return 0;
}

/* Puts a link's target in front of the rest of the path. */
static int take_link(int directory_fd, const char *name, char **rest, char path[static PATH_MAX])
{
	char target[PATH_MAX], whole[2 * PATH_MAX + 1];
	ssize_t n = readlinkat(directory_fd, name, target, sizeof(target) - 1);

	if (n < 0)
		return -errno;
	target[n] = '\0';
	if (snprintf(whole, sizeof(whole), "%s/%s", target, *rest) >= PATH_MAX)
		return -ENAMETOOLONG;
	/* A trailing slash would require a directory. */
	if (!**rest)
		whole[n] = '\0';
	memcpy(path, whole, strlen(whole) + 1);
	*rest = path;
	return 0;
}

static int open_start(const char *path)
{
	int fd = open(*path == '/' ? "/" : ".", O_PATH | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

int broker_place_find(const struct sandbox_user *user, const char *wanted, struct broker_place *ret_place)
{
	_cleanup_close_ int fd = -1;
	char path[PATH_MAX], name[NAME_MAX + 1], *rest = path;
	struct stat st;
	int links = 0, next, r;

	if (strlen(wanted) >= sizeof(path))
		return -ENAMETOOLONG;
	memcpy(path, wanted, strlen(wanted) + 1);
	fd = open_start(path);
	if (fd < 0)
		return fd;
	for (;;) {
		bool untrusted = true, is_link = false;
		const char *left = rest + strspn(rest, "/");

		r = take_part(&rest, name);
		if (r == 0 && user->change)
			r = is_untrusted(user, fd, name, &untrusted);
		if (r < 0)
			return r;
		if (!untrusted) {
			r = fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
			is_link = r == 0 && S_ISLNK(st.st_mode);
		}
		if (untrusted || (!is_link && !rest[strspn(rest, "/")])) {
			if (!untrusted)
				left = name;
			ret_place->directory_fd = TAKE_FD(fd);
			memcpy(ret_place->path, left, strlen(left) + 1);
			ret_place->untrusted = untrusted;
			return 0;
		}
		if (r < 0)
			return r;
		if (is_link) {
			r = ++links > LINKS_MAX ? -ELOOP : take_link(fd, name, &rest, path);
			next = r < 0 ? r : *path == '/' ? open_start(path) : TAKE_FD(fd);
		} else {
			next = openat(fd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
			if (next < 0)
				next = -errno;
		}
		if (next < 0)
			return next;
		safe_close(fd);
		fd = next;
	}
}

void broker_place_deinit(struct broker_place *place)
{
	place->directory_fd = safe_close(place->directory_fd);
}
