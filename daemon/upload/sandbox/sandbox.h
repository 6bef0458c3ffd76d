/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * Confinement: what the uploader, which talks to the network and holds the secrets, gives up when it starts.
 * Under systemd the unit says the same once more, from outside.
 */

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct config;

/* Who the uploader is from its confinement on. */
struct sandbox_user {
	bool change; /* it is somebody else now: root */
	uid_t uid;
	gid_t gid;
};

/*
 * Whom to become: for root the user netlogd-upload, or one that has no name and no files where there is none;
 * else the one that this is.
 */
struct sandbox_user sandbox_find_user(void);
/* That user's rights to files from here on, and back. 0 or -errno. */
int sandbox_become_for_now(const struct sandbox_user *user);
void sandbox_return(const struct sandbox_user *user);
/*
 * Gives the upload directory to that user, and what netlogd has in it: sinks' directories, log IDs, and files
 * that the configuration names, as far as they are root's and no link to anything elsewhere. What else is
 * there keeps its owner. At each start, since root may have put something back. 0 or -errno.
 */
int sandbox_give_directory(int fd, const struct sandbox_user *user, const struct config *config);

/* Closes all descriptors but standard input, output and error, and these. */
void sandbox_close_descriptors(const int *keep, size_t n);
/*
 * The user, no core dumps, no capabilities, no way to gain any, and as far as the kernel has them, landlock
 * (files) and a filter of system calls. What can't be had is logged, and the rest stands; but 0 or -errno for
 * the user. Before any thread is started; upload_fd is the upload directory. all_of_etc: also what takes the
 * place of the files of /etc that were there.
 */
int sandbox_enter(const struct config *config, const struct sandbox_user *user, int upload_fd,
		  bool all_of_etc);
/* Whether a new configuration needs what the confinement for the old one does not allow. */
bool sandbox_needs_restart(const struct config *old, const struct config *new);

/*
 * Which of the files of /etc that finding a server takes can't be read, one bit each. More of them than right
 * after sandbox_enter(): one was replaced since, and the confinement is for the old one.
 */
unsigned int sandbox_unreadable(void);

/* Parts of sandbox_enter(). 0 or -errno. */
int sandbox_become(const struct sandbox_user *user);
int sandbox_drop_capabilities(void);
int sandbox_restrict_files(const struct config *config, int upload_fd, bool all_of_etc);
int sandbox_filter_calls(void);
