/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * The uploader as a child of a netlogd that was started by hand: found beside the program, given one end of a
 * socket pair and the spool directory and no other descriptor, and started again when it dies.
 */

#include <stdbool.h>
#include <sys/types.h>

struct event_base;
struct uploader_process;

struct uploader_process_options {
	const char *config_file; /* borrowed: must outlive the process */
	/* The spool directory, for a new child: a descriptor, owned by the caller, or -errno. */
	int (*open_spool)(void *userdata);
	/* A new child's socket, to be served; owned by the callee from here on. */
	void (*started)(int fd, void *userdata);
	void *userdata;
};

/* Starts it. A failure to start is tried again later, with growing pauses; -ENOMEM or -ENOENT (there is no
 * such program) at once. */
int uploader_process_new(struct event_base *base, const struct uploader_process_options *options,
			 struct uploader_process **ret_process);
/* Asks it to end (SIGTERM), waits up to two seconds, then kills it. */
void uploader_process_free(struct uploader_process *process);
/* For the next start: another text, which is borrowed in place of the one before. */
void uploader_process_set_config(struct uploader_process *process, const char *config_file);
/* 0: none is running. */
pid_t uploader_process_pid(const struct uploader_process *process);
unsigned int uploader_process_restarts(const struct uploader_process *process);
