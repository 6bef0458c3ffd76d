/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * The uploader as the daemon's child, for a daemon that was started by hand: found beside the daemon's
 * program, given one end of a socket pair, the spool directory and no other descriptor, and restarted when it
 * exits.
 */

#include <sys/types.h>

struct event_base;
struct uploader_process;

struct uploader_process_options {
	const char *config_file; /* borrowed: must outlive the process */
	/* The spool directory, for a new child: a descriptor, owned by the caller, or -errno. */
	int (*open_spool)(void *userdata);
	/* The daemon's end of a new child's socket, to be served; owned by the callee. */
	void (*started)(int fd, void *userdata);
	void *userdata;
};

/* Starts the uploader; a start that fails is logged and retried, with growing pauses. 0, -ENOMEM, or
 * -ENOENT when netlogd-upload is not found. */
int uploader_process_new(struct event_base *base, const struct uploader_process_options *options,
			 struct uploader_process **ret_process);
/* Sends SIGTERM, waits up to two seconds, then kills. NULL is fine. */
void uploader_process_free(struct uploader_process *process);
/* The configuration file for the next start; borrowed, as the one before. */
void uploader_process_set_config(struct uploader_process *process, const char *config_file);
/* 0 while no uploader runs. */
pid_t uploader_process_pid(const struct uploader_process *process);
/* How often it was started again, other than at its own wish (EXIT_START_AGAIN). */
unsigned int uploader_process_restarts(const struct uploader_process *process);
