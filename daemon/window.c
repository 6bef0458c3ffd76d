/* The arithmetic of windows, apart from everything that is counted in them. */

#include "daemon/window.h"

#include "common/cleanup.h"

void window_begin(struct window *window, const struct clock *clock)
{
	window->start_boot = clock->boot(clock->userdata);
	window->wall = clock->wall(clock->userdata);
	window->start = window->wall;
}

bool window_end(struct window *window, const struct clock *clock, int64_t *ret_end, int64_t *ret_step)
{
	int64_t boot = clock->boot(clock->userdata), wall = clock->wall(clock->userdata);
	int64_t passed = boot - window->start_boot;
	int64_t step = wall - (window->wall + passed);
	bool stepped = step > WINDOW_STEP_MIN || step < -WINDOW_STEP_MIN;
	int64_t end = stepped ? window->start + passed : MAX(wall, window->start);

	*ret_end = end;
	*ret_step = stepped ? step : 0;
	window->start = stepped ? wall : end + 1;
	window->start_boot = boot;
	window->wall = wall;
	return stepped;
}
