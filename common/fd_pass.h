/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * Requests that are answered with descriptors (SCM_RIGHTS, unix(7)), on a socket of sequenced packets: how a
 * process without rights gets what another one opens for it. One request at a time on a socket.
 */

#include <stddef.h>

#define FD_PASS_MAX	    2	 /* descriptors in a reply */
#define FD_PASS_REQUEST_MAX 4200 /* bytes: a path, and what to do with it */

/* Two connected ends. 0 or -errno. */
int fd_pass_pair(int *ret_ours, int *ret_theirs);

/*
 * Sends a request and waits for the reply. Returns its result, 0 or more, with the descriptors that came with
 * it (close-on-exec; -1 for those that did not); the -errno that was replied; -EMFILE without room for the
 * descriptors; -EPIPE when the other end is closed. A socket that fails is shut down, so that no reply is
 * taken for that to the next request.
 */
int fd_pass_request(int socket_fd, const void *request, size_t size, int ret_fds[static FD_PASS_MAX]);

/* Receives the next request, and adds a NUL: its size without that, 0 when no more will come, or -errno. */
int fd_pass_receive(int socket_fd, char ret_request[static FD_PASS_REQUEST_MAX + 1]);
/* Replies to it. The descriptors stay the caller's; those that are -1 are left out. 0 or -errno. */
int fd_pass_reply(int socket_fd, int result, const int fds[static FD_PASS_MAX]);
