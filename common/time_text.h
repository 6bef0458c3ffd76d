/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * Clocks and the text of times: RFC 3339 in UTC with up to nine decimals, without trailing zeros. Times are
 * nanoseconds in int64_t everywhere; wall times count from 1970-01-01T00:00:00Z.
 */

#include <stddef.h>
#include <stdint.h>

#define NSEC_PER_SEC  INT64_C(1000000000)
#define NSEC_PER_MSEC INT64_C(1000000)
#define NSEC_PER_USEC INT64_C(1000)

#define TIME_TEXT_MAX 36 /* with the final NUL */

int64_t time_now_wall(void); /* CLOCK_REALTIME */
int64_t time_now_boot(void); /* CLOCK_BOOTTIME: never steps, counts suspend */

/* Writes e.g. "2022-10-13T20:23:14.7Z" and a NUL; returns the length. Years 1678 to 2262. */
size_t time_format(int64_t wall, char *ret_text);
/* Reads RFC 3339 (any offset, 0 to 9 decimals). 0 or -EINVAL. */
int time_parse(const char *text, int64_t *ret_wall);
