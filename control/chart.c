/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Windows are kept until the whole time is known, then spread over the bars. All in integers: shares are
 * differences of running totals, so that rounding neither adds nor loses any.
 */

#include "control/chart.h"

#include <errno.h>
#include <string.h>

struct chart_window {
	int64_t start, end;
	uint64_t values[N_CHART_SERIES];
};

void chart_deinit(struct chart *chart)
{
	free(chart->windows);
	*chart = (struct chart){};
}

/* Makes room by joining each window with the next one. */
static void join_neighbours(struct chart *chart)
{
	for (size_t half = 0; half < chart->n / 2; half++) {
		struct chart_window joined = chart->windows[2 * half], *next = &chart->windows[2 * half + 1];

		joined.start = MIN(joined.start, next->start);
		joined.end = MAX(joined.end, next->end);
		for (size_t i = 0; i < N_CHART_SERIES; i++)
			joined.values[i] += next->values[i];
		chart->windows[half] = joined;
	}
	chart->n /= 2;
}

int chart_add(struct chart *chart, int64_t start, int64_t end, const uint64_t values[static N_CHART_SERIES])
{
	struct chart_window window = {.start = start, .end = MAX(start, end)};

	if (chart->n == CHART_WINDOWS_MAX)
		join_neighbours(chart);
	if (chart->n == chart->allocated) {
		size_t more = chart->allocated ? chart->allocated * 2 : 1024;
		struct chart_window *windows = reallocarray(chart->windows, more, sizeof(*windows));

		if (!windows)
			return -ENOMEM;
		chart->windows = windows;
		chart->allocated = more;
	}
	memcpy(window.values, values, sizeof(window.values));
	chart->first = chart->n == 0 ? window.start : MIN(chart->first, window.start);
	chart->last = chart->n == 0 ? window.end : MAX(chart->last, window.end);
	chart->windows[chart->n++] = window;
	return 0;
}

/*
 * Nanosecond t of the chart's time lies in bar t * n / length. With a broken clock, times may be 2^64 ns
 * apart, hence the 128 bits.
 */
static void spread_window(const struct chart_window *window, int64_t first, unsigned __int128 length,
			  struct chart_bar *bars, size_t n)
{
	unsigned __int128 offset = (uint64_t)window->start - (uint64_t)first;
	unsigned __int128 whole = (unsigned __int128)((uint64_t)window->end - (uint64_t)window->start) + 1;
	unsigned __int128 done = 0;

	for (size_t bar = (size_t)(offset * n / length); done < whole; bar++) {
		/* What of the window has passed when the bar ends. */
		unsigned __int128 until = MIN(((bar + 1) * length + n - 1) / n - offset, whole);

		for (size_t i = 0; i < N_CHART_SERIES; i++)
			bars[bar].values[i] += (uint64_t)(window->values[i] * until / whole -
							  window->values[i] * done / whole);
		done = until;
	}
}

void chart_spread(const struct chart *chart, struct chart_bar *ret_bars, size_t n)
{
	unsigned __int128 length = (unsigned __int128)((uint64_t)chart->last - (uint64_t)chart->first) + 1;

	memset(ret_bars, 0, n * sizeof(*ret_bars));
	for (size_t i = 0; i < chart->n; i++)
		spread_window(&chart->windows[i], chart->first, length, ret_bars, n);
}
