/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * The uploader: reads the spool and delivers to every sink. One libevent loop; nothing on it blocks except
 * short writes of the sinks' own small files.
 */

#include <stdbool.h>

struct uploader;

struct uploader_options {
	const char *config_file;
	int fd;	      /* connected to the daemon; -1: connect to upload.sock beside the control socket */
	int spool_fd; /* the spool directory; -1: as configured */
};

/*
 * Reads the configuration and starts. Takes the descriptors. 0; -EINVAL for an invalid configuration; or
 * -errno; with a reason (owned by the caller; may be NULL).
 */
int uploader_new(const struct uploader_options *options, struct uploader **ret_uploader, char **ret_reason);
void uploader_free(struct uploader *uploader);
/*
 * Runs until SIGTERM, SIGINT or, if the daemon started it, the end of the daemon: 0. 1 if it is to be started
 * again because it needs what its confinement does not allow; or -errno.
 */
int uploader_run(struct uploader *uploader);
