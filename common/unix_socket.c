/* SPDX-License-Identifier: BSD-3-Clause */
/* Unix stream sockets by path. */

#include "common/unix_socket.h"
#include "common/cleanup.h"
#include "common/time_text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>

#define BACKLOG 64

static int make_name(const char *path, struct sockaddr_un *ret_name)
{
	struct sockaddr_un name = {.sun_family = AF_UNIX};
	size_t n = strlen(path);

	if (n == 0)
		return -ENOENT;
	if (n >= sizeof(name.sun_path))
		return -ENAMETOOLONG;
	memcpy(name.sun_path, path, n + 1);
	*ret_name = name;
	return 0;
}

/* Takes the place of a socket that nobody listens on, and of nothing else. */
static int bind_path(int fd, const struct sockaddr_un *name)
{
	const char *path = name->sun_path;
	_cleanup_close_ int probe = -1;
	struct stat st;
	int r;

	if (bind(fd, (const struct sockaddr *)name, sizeof(*name)) == 0)
		return 0;
	if (errno != EADDRINUSE)
		return -errno;
	if (lstat(path, &st) == 0) {
		if (!S_ISSOCK(st.st_mode))
			return -EEXIST;
		r = unix_socket_connect(path, 0, &probe);
		/* Another user's: whether anybody listens cannot be asked. */
		if (r == -EACCES)
			return r;
		if (r != -ECONNREFUSED && r != -ENOENT)
			return -EADDRINUSE;
		if (r == -ECONNREFUSED && unlink(path) < 0 && errno != ENOENT)
			return -errno;
	} else if (errno != ENOENT) {
		return -errno;
	}
	return bind(fd, (const struct sockaddr *)name, sizeof(*name)) < 0 ? -errno : 0;
}

/* Nobody can connect between bind() and listen(), so the mode that the umask gave does not matter. */
static int set_access(const char *path, mode_t mode, gid_t group)
{
	struct stat st;

	if (lstat(path, &st) < 0)
		return -errno;
	/* A service's system call filter forbids chown() even where it changes nothing. */
	if (group != UNIX_SOCKET_NO_GROUP && group != st.st_gid && chown(path, (uid_t)-1, group) < 0)
		return -errno;
	return chmod(path, mode) < 0 ? -errno : 0;
}

int unix_socket_listen(const char *path, mode_t mode, gid_t group, int *ret_fd)
{
	_cleanup_close_ int fd = -1;
	struct sockaddr_un name;
	int r;

	r = make_name(path, &name);
	if (r < 0)
		return r;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return -errno;
	r = bind_path(fd, &name);
	if (r < 0)
		return r;
	r = set_access(path, mode, group);
	if (r == 0 && listen(fd, BACKLOG) < 0)
		r = -errno;
	if (r < 0) {
		unlink(path);
		return r;
	}
	*ret_fd = TAKE_FD(fd);
	return 0;
}

/*
 * A Unix connect() never continues in the background: it succeeds, or it blocks while the server's queue is
 * full, for at most SO_SNDTIMEO. That is why the socket becomes non-blocking only afterwards.
 */
static int connect_until(int fd, const struct sockaddr_un *name, int64_t deadline)
{
	for (;;) {
		int64_t left = deadline - time_now_boot();
		struct timeval limit = {
			.tv_sec = left / NSEC_PER_SEC,
			.tv_usec = left % NSEC_PER_SEC / NSEC_PER_USEC,
		};

		/* All zeros would mean forever. */
		if (left < NSEC_PER_USEC)
			return -ETIMEDOUT;
		if (setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) < 0)
			return -errno;
		if (connect(fd, (const struct sockaddr *)name, sizeof(*name)) == 0)
			break;
		if (errno == EAGAIN)
			return -ETIMEDOUT;
		if (errno != EINTR)
			return -errno;
	}
	if (fcntl(fd, F_SETFL, O_RDWR | O_NONBLOCK) < 0)
		return -errno;
	return 0;
}

int unix_socket_connect(const char *path, int64_t timeout, int *ret_fd)
{
	_cleanup_close_ int fd = -1;
	struct sockaddr_un name;
	int r;

	r = make_name(path, &name);
	if (r < 0)
		return r;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | (timeout > 0 ? 0 : SOCK_NONBLOCK), 0);
	if (fd < 0)
		return -errno;
	if (timeout > 0)
		r = connect_until(fd, &name, time_now_boot() + timeout);
	else if (connect(fd, (const struct sockaddr *)&name, sizeof(name)) < 0)
		r = errno == EAGAIN ? -ETIMEDOUT : -errno;
	if (r < 0)
		return r;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

int unix_socket_peer(int fd, struct unix_peer *ret_peer)
{
	struct ucred credentials;
	socklen_t size = sizeof(credentials);

	if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &size) < 0)
		return -errno;
	*ret_peer = (struct unix_peer){
		.pid = credentials.pid,
		.uid = credentials.uid,
		.gid = credentials.gid,
	};
	return 0;
}

static bool is_trusted(uid_t uid)
{
	return uid == 0 || uid == geteuid();
}

int unix_socket_check_owner(int fd, const char *path, uid_t *ret_owner)
{
	struct unix_peer peer;
	struct stat file;
	int r = stat(path, &file) < 0 ? -errno : unix_socket_peer(fd, &peer);

	if (r < 0)
		return r;
	if (is_trusted(file.st_uid) && is_trusted(peer.uid))
		return 0;
	*ret_owner = is_trusted(file.st_uid) ? peer.uid : file.st_uid;
	return -EPERM;
}
