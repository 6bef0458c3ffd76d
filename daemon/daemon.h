/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * The collector as a whole: one loop, and everything that hangs on it. main() makes one, runs it, and frees
 * it.
 */

#include <stdbool.h>

struct config;
struct daemon;

struct daemon_options {
	struct config *config; /* owned from here on, also on failure */
	/* An uploader comes to the socket (systemd); else it is started as a child. */
	bool external_uploader;
};

/*
 * Locks the state directory, opens the spool and the control socket, starts the uploader. 0; -EWOULDBLOCK
 * when another daemon has the state directory or the spool; -errno, with what went wrong logged.
 */
int daemon_new(const struct daemon_options *options, struct daemon **ret_daemon);
/* Runs until SIGTERM or SIGINT, and stops in order. 0 or -errno. */
int daemon_run(struct daemon *daemon);
void daemon_free(struct daemon *daemon);
