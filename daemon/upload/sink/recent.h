/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * What a sink's cursor does not know yet. During a backlog the cursor is synced only now and then, and what
 * was accepted since is in <sink>/recent, written without a sync: it survives the process, so that one that
 * is killed repeats the batch under way and no other. After a power cut it may be gone, torn or old, and is
 * not used then: the cursor stands, and the batches since are sent once more.
 *
 * The daemon never reads it: what the daemon takes for delivered, and removes, has to be durable.
 */

#include "common/spool/cursor.h"

/* Writes the state, without a sync. fd: the file's, opened if -1, kept open. 0 or -errno. */
int recent_write(int *fd, int directory_fd, const struct cursor_state *state);
/* Reads what a killed process has left, if it is newer than state: 1; otherwise 0, and state is untouched; or
 * -errno. */
int recent_read(int directory_fd, struct cursor_state *state);
/* Removes the file: without its cursor it means nothing. 0 or -errno. */
int recent_remove(int directory_fd);
