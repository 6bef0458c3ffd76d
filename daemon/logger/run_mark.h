/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * A mark in the state directory while a logger runs, so that the next start knows whether this run has shut
 * down cleanly.
 */

#include <stdbool.h>

/* 1, 0, or -errno when it cannot be told. */
int run_mark_is_set(const char *state_directory);
/* Sets or clears it, synced. 0 or -errno. */
int run_mark_set(const char *state_directory, bool running);
