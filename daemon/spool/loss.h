/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * What was lost before it came to the spool. It is told in the log of messages once the disk works again;
 * when the daemon ends before, a note in the state directory keeps it for the next start.
 */

#include <stdint.h>

struct spool_loss {
	uint64_t messages, bytes;
	int64_t from, to; /* wall time of the first and last lost message */
};

void spool_loss_add(struct spool_loss *sum, const struct spool_loss *more);

/* Replaces the note, synced. 0 or -errno. */
int spool_loss_note_write(const char *state_directory, const struct spool_loss *loss);
/* 0; -ENOENT: there is none; -EBADMSG and what reading says. */
int spool_loss_note_read(const char *state_directory, struct spool_loss *ret_loss);
void spool_loss_note_remove(const char *state_directory);
