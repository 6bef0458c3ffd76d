/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* Which files and ports the uploader can reach. */

#include <stdbool.h>

struct config;

/*
 * Restricts this process. upload_fd: the upload directory. for_good: nothing starts this process again, so
 * the directories are allowed in which the names of the system's files lead about. 0 or -errno.
 */
int landlock_restrict(const struct config *config, int upload_fd, bool for_good);
/* Whether a new configuration needs what the restriction for the old one forbids. */
bool landlock_needs_restart(const struct config *old, const struct config *new);
