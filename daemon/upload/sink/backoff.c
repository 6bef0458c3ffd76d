/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Waiting between tries. Thousands of nodes lose the same collector at the same moment; the random half
 * keeps them from coming back at the same moment too.
 */

#include "daemon/upload/sink/backoff.h"

#include "common/cleanup.h"

void backoff_reset(struct backoff *backoff)
{
	backoff->failures = 0;
}

int64_t backoff_fail(struct backoff *backoff, const struct clock *clock)
{
	int64_t bound = BACKOFF_LAST;

	if (backoff->failures < 6)
		bound = MIN(BACKOFF_LAST, BACKOFF_FIRST << backoff->failures);
	backoff->failures++;
	return bound - (int64_t)clock_random_below(clock, (uint64_t)bound / 2);
}
