/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * What was lost before it reached the spool. A message reports it once the disk works again; if the daemon
 * ends before that, a note in the state directory keeps it for the next start.
 */

#include <stdint.h>

struct spool_loss {
	uint64_t messages, bytes;
	int64_t from, to; /* wall time of the first and last lost message */
};

void spool_loss_add(struct spool_loss *sum, const struct spool_loss *more);

/* Replaces the note, synced. 0 or -errno. */
int spool_loss_note_write(const char *state_directory, const struct spool_loss *loss);
/* 0; -ENOENT when there is no note; -EBADMSG; or the -errno of reading. */
int spool_loss_note_read(const char *state_directory, struct spool_loss *ret_loss);
void spool_loss_note_remove(const char *state_directory);
