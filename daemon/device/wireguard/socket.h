/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * Talking on a connected, non-blocking Unix stream socket within a deadline (boot time, ns; INT64_MAX: none),
 * as the reader of WireGuard's peers and the broker in between do.
 */

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* All of it. 0, -ETIMEDOUT, -EPIPE, ... */
int wg_socket_send(int fd, const char *data, size_t n, int64_t deadline);
/* What has come, at most n bytes; 0 at the end of the stream, -ETIMEDOUT or another -errno. */
ssize_t wg_socket_receive(int fd, char *buffer, size_t n, int64_t deadline);
