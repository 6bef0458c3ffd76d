/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * When a window begins and ends. Lengths follow the boot-time clock, messages have wall time. When the wall
 * clock steps by more than a second, the window ends at its start plus the time that has really passed, and
 * the next one starts at the new time.
 */

#include "common/clock.h"

#include <stdbool.h>

#define WINDOW_STEP_MIN INT64_C(1000000000) /* ns: smaller differences are the clock being slewed */

/* Zeros: there has been no window yet. */
struct window {
	int64_t start;	    /* wall */
	int64_t start_boot; /* boot time at the same moment */
	int64_t wall; /* wall time at the same moment; differs from start when the clock went back a little */
};

/*
 * Begins a window now, the first one or one after a stop; it does not overlap the one before the stop. True
 * if the wall clock has stepped since that one ended, by *ret_step; then the window starts at the new time.
 */
bool window_begin(struct window *window, const struct clock *clock, int64_t *ret_step);
/*
 * Takes the end time (wall) and moves the window on to the next one, which starts 1 ns after the end. True if
 * the wall clock has stepped since the start, by *ret_step; then the next window starts at the new time.
 */
bool window_end(struct window *window, const struct clock *clock, int64_t *ret_end, int64_t *ret_step);
