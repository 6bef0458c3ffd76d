/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* The upload directory of an uploader that root started: it belongs to the user that the uploader becomes. */

struct config;
struct sandbox_user;

/*
 * Gives that user the upload directory and netlogd's files in it: the sinks' directories, log IDs, and files
 * that the configuration names, provided that they are root's and have no other link. Everything else keeps
 * its owner. Done at each start, since root may have restored something. 0 or -errno.
 */
int sandbox_give_directory(int fd, const struct sandbox_user *user, const struct config *config);
