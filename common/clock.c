/* SPDX-License-Identifier: BSD-3-Clause */
/* The machine's own clocks and random numbers, behind the table that tests replace. */

#include "common/clock.h"

#include "common/time_text.h"

#include <sys/random.h>

static int64_t system_boot(void *userdata)
{
	(void)userdata;
	return time_now_boot();
}

static int64_t system_wall(void *userdata)
{
	(void)userdata;
	return time_now_wall();
}

static uint64_t system_random(void *userdata)
{
	uint64_t value;

	(void)userdata;
	/* It only spreads retries: the clock's low bits will do before the kernel's pool is ready. */
	if (getrandom(&value, sizeof(value), GRND_NONBLOCK) != sizeof(value))
		value = (uint64_t)time_now_boot() * UINT64_C(0x9e3779b97f4a7c15);
	return value;
}

const struct clock clock_system = {
	.boot = system_boot,
	.wall = system_wall,
	.random = system_random,
};
