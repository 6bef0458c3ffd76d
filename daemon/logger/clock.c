/* SPDX-License-Identifier: BSD-3-Clause */
/* The machine's clocks behind the interface that tests replace. */

#include "daemon/logger/clock.h"

#include "common/time_text.h"

static int64_t real_wall(void *userdata)
{
	(void)userdata;
	return time_now_wall();
}

static int64_t real_boot(void *userdata)
{
	(void)userdata;
	return time_now_boot();
}

const struct clock clock_real = {.wall = real_wall, .boot = real_boot};
