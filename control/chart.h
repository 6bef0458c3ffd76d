/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * Bytes and connections over time, for charts. How they were spread within a window is not known: they are
 * taken as even. So bars shorter than a window share what it has, and whatever the bars' width, their sum is
 * that of the windows.
 */

#include "common/cleanup.h"
#include "common/connection.h"

#include <stddef.h>
#include <stdint.h>

/* So many windows are kept as they are; of more, neighbours are joined to one. */
#define CHART_WINDOWS_MAX (UINT32_C(1) << 20)

/* What a chart sums up: the bytes of each traffic class, and connections. */
enum chart_series {
	CHART_BEGUN = N_CLASSES, /* and not refused */
	CHART_REFUSED,
	N_CHART_SERIES
};

struct chart_window;

struct chart {
	struct chart_window *windows;
	size_t n, allocated;
	int64_t first, last; /* wall clock, ns, both inclusive; once there is a window */
};

/* One of the equal parts of a chart's time. */
struct chart_bar {
	uint64_t values[N_CHART_SERIES];
};

void chart_deinit(struct chart *chart);
/* Adds what a window has, both ends inclusive. 0 or -ENOMEM. */
int chart_add(struct chart *chart, int64_t start, int64_t end, const uint64_t values[static N_CHART_SERIES]);
/* Splits the time from first to last into n > 0 bars, oldest first. Without windows all are empty. */
void chart_spread(const struct chart *chart, struct chart_bar *ret_bars, size_t n);
