/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* The clocks that the logger goes by, so that a test can put its own in their place. */

#include <stdint.h>

struct clock {
	int64_t (*wall)(void *userdata); /* ns since 1970, may step */
	int64_t (*boot)(void *userdata); /* ns, never steps, goes on during suspend */
	void *userdata;
};

/* The machine's own. */
extern const struct clock clock_real;
