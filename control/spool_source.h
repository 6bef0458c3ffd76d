/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* The spool that a command reads, whether or not the daemon runs: which one, and every message in it. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ctl;
struct node_book;
struct spool_message;

/*
 * Finds the spool: given (--spool) if not NULL, else that of the daemon behind the control socket, else the
 * configured one, else the default. CTL_OK with its path (owned by the caller) and a descriptor of the
 * directory; or CTL_FAILED with a message.
 */
int spool_source_open(struct ctl *ctl, const char *given, char **ret_path, int *ret_fd);

/*
 * Hands out every message from since (client_time) on, oldest first, until the callback returns false. Gaps
 * are reported on standard error. CTL_OK, or CTL_FAILED with a message.
 */
int spool_source_read(struct ctl *ctl, const char *path, int directory_fd, int64_t since,
		      bool (*message)(const struct spool_message *message, void *userdata), void *userdata);

/*
 * Learns the nodes of all messages, before those that nodes are looked for in are read from since on: the
 * messages that name a node may be others than those with its traffic. CTL_OK, or CTL_FAILED with a message,
 * also where no message names a node that is looked for.
 */
int spool_source_learn(struct ctl *ctl, const char *path, int directory_fd, int64_t since,
		       struct node_book *book);

/* Explains an error of the functions of common/spool. CTL_FAILED. */
int spool_source_error(struct ctl *ctl, const char *path, int error);
