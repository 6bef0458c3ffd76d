/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* Writing what waits for a socket, for both sides on a loop. */

#include <sys/types.h>

struct evbuffer;

/*
 * Writes as much as the socket takes at once, and drains that. Unlike evbuffer_write() it never raises
 * SIGPIPE. Bytes written, or -errno (-EAGAIN, -EPIPE, ...).
 */
ssize_t varlink_output_write(struct evbuffer *output, int fd);
