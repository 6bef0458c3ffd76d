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
/* Makes the kernel say who sends what is received. 0 or -errno. */
int wg_socket_ask_sender(int fd);
/* As wg_socket_receive(), with the process that sent it, after wg_socket_ask_sender(); 0: not visible from
 * here. (SO_PEERCRED names the process that called listen(), which wireguard-go ends when it goes to the
 * background.) */
ssize_t wg_socket_receive_from(int fd, char *buffer, size_t n, int64_t deadline, pid_t *ret_sender);
/* Receives what is there, up to n bytes. 0 at the end of the stream, -ETIMEDOUT or another -errno. */
ssize_t wg_socket_receive(int fd, char *buffer, size_t n, int64_t deadline);
