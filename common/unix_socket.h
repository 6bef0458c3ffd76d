/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * Unix stream sockets by path: listening without taking the path from a running server, connecting with a
 * timeout, and the peer's credentials. See unix(7).
 */

#include <stdint.h>
#include <sys/types.h>

#define UNIX_SOCKET_NO_GROUP ((gid_t)-1)

/*
 * Listens on a path, which gets exactly this mode and group (UNIX_SOCKET_NO_GROUP: the default) before
 * anybody can connect. An existing socket is replaced only if nobody listens on it. The descriptor is CLOEXEC
 * and NONBLOCK. 0; -EADDRINUSE if a server listens there, -EEXIST if the path exists and is not a socket,
 * -ENAMETOOLONG (107 bytes at most), or another -errno. The caller removes the path in the end.
 */
int unix_socket_listen(const char *path, mode_t mode, gid_t group, int *ret_fd);

/*
 * Connects, waiting at most timeout ns while the server's queue is full (0: not at all). The descriptor is
 * CLOEXEC and NONBLOCK. 0; -ENOENT or -ECONNREFUSED if there is no server, -ETIMEDOUT, -ENAMETOOLONG, ...
 */
int unix_socket_connect(const char *path, int64_t timeout, int *ret_fd);

/* The peer, as it was at the time of connect() (SO_PEERCRED). */
struct unix_peer {
	pid_t pid; /* 0 if not visible from here */
	uid_t uid;
	gid_t gid;
};

/* 0 or -errno. */
int unix_socket_peer(int fd, struct unix_peer *ret_peer);

/*
 * Whether a connected socket is what its path promises: the path's owner, and who listens, must be root or
 * this process' own user, since anybody may have put another one there. 0; -EPERM, with the user in question;
 * or another -errno.
 */
int unix_socket_check_owner(int fd, const char *path, uid_t *ret_owner);
