/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * How long a sink waits before it tries again: a random time whose bound doubles from 1 s to 60 s, or what
 * the server asks for.
 */

#include "common/clock.h"

#include <stdint.h>

#define BACKOFF_FIRST	      (INT64_C(1) * 1000000000)
#define BACKOFF_LAST	      (INT64_C(60) * 1000000000)
#define BACKOFF_RETRY_AFTER   (INT64_C(300) * 1000000000) /* longest wait that a server may ask for */
#define BACKOFF_LEAST	      (INT64_C(500) * 1000000)	  /* shortest: Retry-After: 0 must not busy-loop */
#define BACKOFF_MISCONFIGURED (INT64_C(60) * 1000000000)

/* Zero-initialised: nothing has failed yet. */
struct backoff {
	unsigned int failures;
};

/* After an answer that ends the failures. */
void backoff_reset(struct backoff *backoff);
/* After one more failure: ns to wait, in (bound / 2, bound] with a bound of 1 s, 2 s, 4 s ... 60 s. */
int64_t backoff_fail(struct backoff *backoff, const struct clock *clock);
