/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* Which files and ports the uploader can reach. */

#include <stdbool.h>

struct config;

/*
 * Restricts this process. upload_fd: the upload directory. all_of_etc: allows all of /etc, so that files
 * which replace those that are there now can be read as well. 0 or -errno.
 */
int landlock_restrict(const struct config *config, int upload_fd, bool all_of_etc);
/* Whether a new configuration needs what the restriction for the old one forbids. */
bool landlock_needs_restart(const struct config *old, const struct config *new);
/*
 * Which files of /etc that are needed to find a server cannot be read: one bit each. A bit that was not set
 * right after landlock_restrict() means that the file has been replaced, and that the restriction is for the
 * old one.
 */
unsigned int landlock_unreadable_files(void);
