/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* Points in time as people type them. */

#include <stdint.h>

/*
 * "2026-11-22T20:23:14Z" (RFC 3339, any offset), "2026-11-22", "2026-11-22 20:23" and "2026-11-22 20:23:14"
 * (UTC), "now", "today", "yesterday" (its first moment in UTC), and how long ago: "10m", "10m ago", "1h30m".
 * now and the result: wall clock, ns. 0 or -EINVAL.
 */
int when_parse(const char *text, int64_t now, int64_t *ret_time);
