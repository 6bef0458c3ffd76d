/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * Unix stream sockets by path: listening without taking a living server's path away, connecting with a bound
 * on the wait, and who is on the other side. See unix(7).
 */

#include <stdint.h>
#include <sys/types.h>

#define UNIX_SOCKET_NO_GROUP ((gid_t)-1)

/*
 * Listens on a path, which gets exactly this mode and group (UNIX_SOCKET_NO_GROUP: as it comes) before
 * anybody can connect. A socket that is there is replaced only if nobody answers on it. The descriptor is
 * CLOEXEC and NONBLOCK. 0; -EADDRINUSE if somebody listens there, -EEXIST if the path is no socket,
 * -ENAMETOOLONG (107 bytes at most), or what the system calls say. Removing the path is the caller's work.
 */
int unix_socket_listen(const char *path, mode_t mode, gid_t group, int *ret_fd);

/*
 * Connects, waiting at most timeout ns while the server's queue is full (0: not at all). The descriptor is
 * CLOEXEC and NONBLOCK. 0; -ENOENT and -ECONNREFUSED if there is no server, -ETIMEDOUT, -ENAMETOOLONG, ...
 */
int unix_socket_connect(const char *path, int64_t timeout, int *ret_fd);

/* Who connected, as the kernel knows it at the time of connect() (SO_PEERCRED). */
struct unix_peer {
	pid_t pid; /* 0 if not visible from here */
	uid_t uid;
	gid_t gid;
};

/* 0 or -errno. */
int unix_socket_peer(int fd, struct unix_peer *ret_peer);
