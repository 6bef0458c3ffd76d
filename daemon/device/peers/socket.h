/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * I/O on a connected, non-blocking Unix stream socket with a deadline (boot time, ns; INT64_MAX: none), for
 * the reader and the broker.
 */

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Where userspace implementations create their sockets. */
#define WG_SOCKET_FOLDER "/var/run/wireguard"

/* Sends all of it. 0, -ETIMEDOUT, -EPIPE, ... */
int wg_socket_send(int fd, const char *data, size_t n, int64_t deadline);
/* Receives what is there, up to n bytes. 0 at the end of the stream, -ETIMEDOUT or another -errno. */
ssize_t wg_socket_receive(int fd, char *buffer, size_t n, int64_t deadline);
