/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * Directories and files for what tests write. All of a process are gone soon after its end, with what is in
 * them: also when a test fails, crashes, or is killed, for which no fixture is called.
 */

#define SCRATCH_MAX 64

/* Makes a new directory, below $TMPDIR or /tmp. Children of the process may use it. */
void scratch_make(char ret_path[static SCRATCH_MAX]);
/* The same of a file. Returns it, open for writing. */
int scratch_make_file(char ret_path[static SCRATCH_MAX]);
/* Removes a directory before that, as a test does that needs many. */
void scratch_remove(const char *path);
