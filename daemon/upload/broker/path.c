/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How the broker follows a path: part by part, with its own rights only through directories that the
 * uploader's user can't write.
 */

#include "daemon/upload/broker/internal.h"

#include "common/file.h"
#include "common/log_id.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define LINKS_MAX 40 /* symbolic links, as the kernel allows (path_resolution(7)) */

/* Whether the uploader's user can put something else where this entry is, or would be. */
static int is_theirs(const struct sandbox_user *user, int directory_fd, const char *name, bool *ret_theirs)
{
	struct stat directory, entry;
	bool there, writable;
	int r;

	if (fstat(directory_fd, &directory) < 0)
		return -errno;
	there = fstatat(directory_fd, name, &entry, AT_SYMLINK_NOFOLLOW) == 0;
	r = sandbox_user_assume(user);
	/* The kernel knows of access control lists and read-only mounts, too. */
	writable = r == 0 && faccessat(directory_fd, ".", W_OK | X_OK, AT_EACCESS) == 0;
	sandbox_user_restore(user);
	/* In /tmp and its like nobody can take away what others have put there. */
	if (writable && directory.st_mode & S_ISVTX && directory.st_uid != user->uid && there)
		writable = entry.st_uid == user->uid;
	*ret_theirs = writable || directory.st_uid == user->uid;
	return r;
}

/* Takes the first part off a path: its length, with *rest behind it. */
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

/* Puts a link's target in front of what is left. */
static int take_link(int directory_fd, const char *name, char **rest, char path[static PATH_MAX])
{
	char target[PATH_MAX], whole[2 * PATH_MAX + 1];
	ssize_t n = readlinkat(directory_fd, name, target, sizeof(target) - 1);

	if (n < 0)
		return -errno;
	target[n] = '\0';
	if (snprintf(whole, sizeof(whole), "%s/%s", target, *rest) >= PATH_MAX)
		return -ENAMETOOLONG;
	/* A slash at the end would ask for a directory. */
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

/* A step into a directory. */
static int enter(int *directory_fd, const char *name)
{
	int fd = openat(*directory_fd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	safe_close(*directory_fd);
	*directory_fd = fd;
	return 0;
}

int broker_find(const struct sandbox_user *user, const char *wanted, struct broker_place *ret_place)
{
	_cleanup_close_ int fd = -1;
	char path[PATH_MAX], name[NAME_MAX + 1], *rest = path;
	struct stat st;
	int links = 0, r;

	if (strlen(wanted) >= sizeof(path))
		return -ENAMETOOLONG;
	memcpy(path, wanted, strlen(wanted) + 1);
	fd = open_start(path);
	if (fd < 0)
		return fd;
	for (;;) {
		bool theirs = true;
		char *here = rest + strspn(rest, "/");

		r = take_part(&rest, name);
		if (r == 0 && user->change)
			r = is_theirs(user, fd, name, &theirs);
		if (r < 0)
			return r;
		if (theirs || !rest[strspn(rest, "/")]) {
			bool is_link = !theirs && fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
				       S_ISLNK(st.st_mode);

			if (!is_link) {
				const char *left = theirs ? here : name;

				ret_place->directory_fd = TAKE_FD(fd);
				memcpy(ret_place->path, left, strlen(left) + 1);
				ret_place->theirs = theirs;
				return 0;
			}
		}
		r = fstatat(fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
		if (r < 0)
			return r;
		if (!S_ISLNK(st.st_mode)) {
			r = enter(&fd, name);
		} else {
			r = ++links > LINKS_MAX ? -ELOOP : take_link(fd, name, &rest, path);
			if (r == 0 && *path == '/') {
				safe_close(fd);
				fd = open_start(path);
				r = MIN(fd, 0);
			}
		}
		if (r < 0)
			return r;
	}
}

void broker_place_deinit(struct broker_place *place)
{
	place->directory_fd = safe_close(place->directory_fd);
}

int broker_do_open(int directory_fd, const char *path, int flags)
{
	/* Without O_NONBLOCK, opening a FIFO would wait for somebody at its other end. */
	int fd = openat(directory_fd, path, flags | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0600);

	return fd < 0 ? -errno : fd;
}

int broker_do_log_id(int directory_fd, const char *path, int flags)
{
	struct log_id made;
	int r = broker_do_open(directory_fd, path, O_RDONLY | flags);

	if (r != -ENOENT)
		return r;
	r = log_id_create_file_at(directory_fd, path, &made);
	log_id_wipe(&made);
	/* -EEXIST: somebody made it in the same moment. */
	return r < 0 && r != -EEXIST ? r : broker_do_open(directory_fd, path, O_RDONLY | flags);
}

int broker_do_lines(int directory_fd, const char *path, int flags, int *ret_fd, int *ret_directory_fd)
{
	const char *slash = strrchr(path, '/');
	_cleanup_free_ char *parent =
		slash ? strndup(path, MAX((size_t)(slash - path), (size_t)1)) : strdup(".");
	_cleanup_close_ int fd = -1, parent_fd = -1;
	struct stat st;

	if (!parent)
		return -ENOMEM;
	parent_fd = openat(directory_fd, parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (parent_fd < 0 || fstat(parent_fd, &st) < 0)
		return -errno;
	flags |= O_RDWR | O_APPEND | O_CLOEXEC | O_NONBLOCK | O_NOCTTY;
	/* By hand as closed as everything else; in a directory that a group may read, readable for it too. */
	fd = openat(directory_fd, path, flags | O_CREAT, st.st_mode & 0050 ? 0640 : 0600);
	if (fd < 0)
		return -errno;
	*ret_fd = TAKE_FD(fd);
	*ret_directory_fd = TAKE_FD(parent_fd);
	return 0;
}

int broker_do_rotate(int directory_fd, const char *path, int last)
{
	_cleanup_close_ int fd = -1;
	struct stat st;

	if (fstatat(directory_fd, path, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	for (int i = last; i > 0; i--) {
		char from[PATH_MAX + 16], to[PATH_MAX + 16];

		snprintf(to, sizeof(to), "%s.%d", path, i);
		snprintf(from, sizeof(from), i > 1 ? "%s.%d" : "%s", path, i - 1);
		if (renameat(directory_fd, from, directory_fd, to) < 0 && errno != ENOENT)
			return -errno;
	}
	fd = openat(directory_fd, path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, st.st_mode & 0777);
	return fd < 0 ? -errno : 0;
}
