/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * The daemon as a whole: one loop and everything that runs on it. main() makes one, runs it, and frees it.
 */

#include <stdbool.h>

struct config;
struct daemon;

struct daemon_options {
	struct config *config; /* taken, also on failure */
	/* The uploader is a service that connects to the socket; else the daemon starts it as a child. */
	bool external_uploader;
};

/*
 * Locks the state directory, opens the spool and the control socket, starts the uploader. 0; -EWOULDBLOCK
 * when another daemon has the state directory or the spool; another -errno; logged.
 */
int daemon_new(const struct daemon_options *options, struct daemon **ret_daemon);
/* Runs until SIGTERM or SIGINT, then shuts down cleanly. 0 or -errno. */
int daemon_run(struct daemon *daemon);
void daemon_free(struct daemon *daemon);
