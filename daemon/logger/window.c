/* SPDX-License-Identifier: BSD-3-Clause */
/* The arithmetic of windows, separate from everything that is counted in them. */

#include "daemon/logger/window.h"

#include "common/cleanup.h"

static bool has_stepped(int64_t wall, int64_t expected, int64_t *ret_step)
{
	int64_t step = wall - expected;
	bool stepped = step > WINDOW_STEP_MIN || step < -WINDOW_STEP_MIN;

	*ret_step = stepped ? step : 0;
	return stepped;
}

static void start_at(struct window *window, int64_t start, int64_t boot, int64_t wall)
{
	*window = (struct window){.start = start, .start_boot = boot, .wall = wall};
}

bool window_begin(struct window *window, const struct clock *clock, int64_t *ret_step)
{
	int64_t boot = clock_boot(clock), wall = clock_wall(clock);
	bool first = window->start_boot == 0, stepped;

	*ret_step = 0;
	stepped = !first && has_stepped(wall, window->wall + boot - window->start_boot, ret_step);
	start_at(window, first || stepped ? wall : MAX(wall, window->start), boot, wall);
	return stepped;
}

bool window_end(struct window *window, const struct clock *clock, int64_t *ret_end, int64_t *ret_step)
{
	int64_t boot = clock_boot(clock), wall = clock_wall(clock);
	int64_t passed = boot - window->start_boot;
	bool stepped = has_stepped(wall, window->wall + passed, ret_step);
	int64_t end = stepped ? window->start + passed : MAX(wall, window->start);

	*ret_end = end;
	start_at(window, stepped ? wall : end + 1, boot, wall);
	return stepped;
}
