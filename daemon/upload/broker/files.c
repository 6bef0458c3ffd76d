/* SPDX-License-Identifier: BSD-3-Clause */
/* Opens and renames files, for the broker and for callers that have none. */

#include "daemon/upload/broker/files.h"

#include "common/cleanup.h"
#include "common/log_id.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define ROTATE_COUNT 8	/* old files of a file sink */
#define LINKS_MAX    40 /* symbolic links, as the kernel allows (path_resolution(7)) */

int broker_file_open(int directory_fd, const char *path, int flags, int ret_fds[static FD_PASS_MAX])
{
	/* Without O_NONBLOCK, opening a FIFO would wait for its other end. */
	int fd = openat(directory_fd, path, flags | O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);

	if (fd < 0)
		return -errno;
	ret_fds[0] = fd;
	return 0;
}

int broker_file_open_log_id(int directory_fd, const char *path, int flags, int ret_fds[static FD_PASS_MAX])
{
	struct log_id made;
	int r = broker_file_open(directory_fd, path, flags, ret_fds);

	if (r != -ENOENT)
		return r;
	r = log_id_create_file_at(directory_fd, path, &made);
	log_id_wipe(&made);
	/* -EEXIST: another process was faster. */
	return r < 0 && r != -EEXIST ? r : broker_file_open(directory_fd, path, flags, ret_fds);
}

int broker_file_open_lines(int directory_fd, const char *path, int flags, int ret_fds[static FD_PASS_MAX])
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
	/* For its owner only, or, in a directory that a group can read, for that group as well. */
	fd = openat(directory_fd, path, flags | O_CREAT, st.st_mode & 0050 ? 0640 : 0600);
	if (fd < 0)
		return -errno;
	ret_fds[0] = TAKE_FD(fd);
	ret_fds[1] = TAKE_FD(parent_fd);
	return 0;
}

/* The path of what a path leads to: renameat() would rename the link. */
static int follow_links(int directory_fd, const char *path, char ret_path[static PATH_MAX])
{
	char target[PATH_MAX], next[2 * PATH_MAX];

	if (snprintf(ret_path, PATH_MAX, "%s", path) >= PATH_MAX)
		return -ENAMETOOLONG;
	for (int i = 0; i < LINKS_MAX; i++) {
		ssize_t n = readlinkat(directory_fd, ret_path, target, sizeof(target) - 1);
		const char *slash = strrchr(ret_path, '/');
		int parent;

		if (n < 0)
			return errno == EINVAL ? 0 : -errno;
		target[n] = '\0';
		parent = slash && *target != '/' ? (int)(slash + 1 - ret_path) : 0;
		if (snprintf(next, sizeof(next), "%.*s%s", parent, ret_path, target) >= PATH_MAX)
			return -ENAMETOOLONG;
		memcpy(ret_path, next, strlen(next) + 1);
	}
	return -ELOOP;
}

int broker_file_rotate(int directory_fd, const char *named, int flags, int ret_fds[static FD_PASS_MAX])
{
	_cleanup_close_ int fd = -1;
	char path[PATH_MAX], from[PATH_MAX + 16], to[PATH_MAX + 16];
	struct stat st, old;
	int gap = 1, r;

	(void)ret_fds;
	r = follow_links(directory_fd, named, path);
	if (r < 0)
		return r;
	if (fstatat(directory_fd, path, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode) || (flags & O_NOFOLLOW && strcmp(path, named) != 0))
		return -ELOOP;
	/* The old files make room, and no more than that: it may have failed half-way before. */
	while (gap < ROTATE_COUNT && snprintf(to, sizeof(to), "%s.%d", path, gap) > 0 &&
	       fstatat(directory_fd, to, &old, AT_SYMLINK_NOFOLLOW) == 0)
		gap++;
	for (int i = gap; i > 0; i--) {
		snprintf(to, sizeof(to), "%s.%d", path, i);
		snprintf(from, sizeof(from), i > 1 ? "%s.%d" : "%s", path, i - 1);
		if (renameat(directory_fd, from, directory_fd, to) < 0 && errno != ENOENT)
			return -errno;
	}
	fd = openat(directory_fd, path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, st.st_mode & 0777);
	return fd < 0 ? -errno : 0;
}
