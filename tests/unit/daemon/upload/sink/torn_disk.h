/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * A disk with a volatile cache, as the worst of file systems would have it: everything that is done to the
 * files below a directory is recorded, and each state can be made in which a power cut may leave them. Of the
 * writes to a file since its last sync any may have reached the disk, in any order, each sector whole or not
 * at all, and so may its new size. Names that were made, moved or removed may be there or not, each by
 * itself, unless their directory was synced since. A failed sync saves nothing, and neither does a later one
 * what was written before it.
 *
 * The calls of the program are replaced by the linker (--wrap). They also work outside of the recording; but
 * nothing is ever really synced.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define TORN_SECTOR 512

/* Which of the operations that are not safe have reached the disk. */
struct torn_choice {
	uint64_t seed;
	unsigned int of_1000; /* of them: 0 none, 1000 all */
};

/* Begins to record what is done below a directory; what is there already is safe. */
void torn_disk_begin(const char *root);
/* Operations so far: a moment to come back to. */
size_t torn_disk_now(void);
/* How many syncs of files and directories follow until one fails (1: the next); 0: none does. */
void torn_disk_fail_sync(unsigned int after);
/* Called before this thread syncs a file of this name, if not NULL. */
void torn_disk_before_sync(const char *name, void (*call)(void));
/* Ends the recording, and keeps it. */
void torn_disk_end(void);
/* Makes the directory that a power cut at that moment leaves. Returns a hash of all that is in it. */
uint64_t torn_disk_make(size_t moment, const struct torn_choice *choice, const char *root);
/* Single decisions that a choice has at that moment: sectors, sizes, names. */
size_t torn_disk_decisions(size_t moment);
void torn_disk_forget(void);
