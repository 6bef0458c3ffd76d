/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* When windows end, and when a silent daemon says that it is alive. */

struct daemon;

/* Makes the timers and starts them with the configured period. 0 or -errno. */
int schedule_new(struct daemon *daemon);
/* Lets the timers follow the configuration; a window that has just begun gets its whole length. 0 or -errno.
 */
int schedule_set_period(struct daemon *daemon);
/* No window ends by itself any more. */
void schedule_stop(struct daemon *daemon);
void schedule_free(struct daemon *daemon);
