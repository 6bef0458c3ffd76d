/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * The programs' source of time and random numbers: one table of functions, so that a test can let hours pass
 * in a moment and knows every random wait in advance.
 */

#include <stdint.h>

struct clock {
	int64_t (*wall)(void *userdata);    /* ns since 1970; may step */
	int64_t (*boot)(void *userdata);    /* ns; never steps, counts suspend */
	uint64_t (*random)(void *userdata); /* 64 uniform bits; need not be secret */
	void *userdata;
};

/* The machine's own clocks and random numbers. */
extern const struct clock clock_system;

static inline int64_t clock_wall(const struct clock *clock)
{
	return clock->wall(clock->userdata);
}

static inline int64_t clock_boot(const struct clock *clock)
{
	return clock->boot(clock->userdata);
}

/* From 0 to bound - 1, nearly uniform; 0 for a bound of 0. */
static inline uint64_t clock_random_below(const struct clock *clock, uint64_t bound)
{
	return bound ? clock->random(clock->userdata) % bound : 0;
}
