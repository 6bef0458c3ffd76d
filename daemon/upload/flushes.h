/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* The flushes that the daemon waits for: each is answered once everything is delivered, or at its deadline.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FLUSHES_MAX 128 /* as many as the daemon asks for at once */

/* All zero: none. */
struct flushes {
	struct {
		int64_t id;
		int64_t deadline; /* boot time */
	} items[FLUSHES_MAX];
	size_t n;
};

/* Adds one, or gives it another deadline. False: there is no room. */
bool flushes_put(struct flushes *flushes, int64_t id, int64_t deadline);
/* Nobody waits for it any more. False: it is not known. */
bool flushes_forget(struct flushes *flushes, int64_t id);
/* Takes one out that is to be answered at this time, or any if all are. False: there is none. */
bool flushes_take(struct flushes *flushes, bool all, int64_t now, int64_t *ret_id);
/* The earliest deadline; INT64_MAX: there is none. */
int64_t flushes_deadline(const struct flushes *flushes);
