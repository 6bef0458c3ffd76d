/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* Writing queued output to a socket, for client and server on a loop. */

#include <sys/types.h>

struct evbuffer;

/*
 * Writes as much as the socket takes at once, and drains that. Unlike evbuffer_write() it never raises
 * SIGPIPE. Bytes written, or -errno (-EAGAIN, -EPIPE, ...).
 */
ssize_t varlink_output_write(struct evbuffer *output, int fd);
