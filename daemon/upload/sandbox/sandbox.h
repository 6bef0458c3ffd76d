/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * Confinement: what the uploader, which talks to the network and holds the secrets, gives up when it starts.
 * Under systemd, the unit imposes the same from outside as well.
 */

#include <stdbool.h>
#include <stddef.h>

struct config;
struct sandbox_user;

/* Closes all descriptors except standard input, output and error, and the n given ones. */
void sandbox_close_descriptors(const int *keep, size_t n);
/* Drops all capabilities. 0 or -errno. */
int sandbox_drop_capabilities(void);
/*
 * Becomes the user; turns off core dumps; drops capabilities and every way to gain any; and, as far as
 * the kernel has them, restricts files (landlock) and system calls (seccomp). 0, or -errno if it cannot
 * become the user; any other step that fails is logged, and the rest still happens. Before any thread
 * starts. upload_fd: the upload directory. for_good: as in landlock_restrict().
 */
int sandbox_enter(const struct config *config, const struct sandbox_user *user, int upload_fd, bool for_good);
