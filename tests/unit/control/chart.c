/* SPDX-License-Identifier: BSD-3-Clause */
/* A window's bytes are spread over its time, and none is added or lost. */

#include "control/chart.h"

#include "common/time_text.h"
#include "tests/unit/control/support.h"

#define SECOND	 NSEC_PER_SEC
#define BARS_MAX 200

/* 2 Mbit/s */
#define BYTES_PER_SECOND 250000

/* Windows of 5 s at a constant rate. */
static void add_constant(struct chart *chart, int64_t start, unsigned int windows)
{
	const uint64_t bytes[N_CHART_SERIES] = {[CLASS_VIRTUAL] = 5 * BYTES_PER_SECOND};

	for (unsigned int i = 0; i < windows; i++) {
		int64_t begin = start + i * 5 * SECOND;

		ck_assert_int_eq(chart_add(chart, begin, begin + 5 * SECOND - 1, bytes), 0);
	}
}

static uint64_t sum(const struct chart_bar *bars, size_t n, enum traffic_class class)
{
	uint64_t total = 0;

	for (size_t i = 0; i < n; i++)
		total += bars[i].values[class];
	return total;
}

/* Bars of 1 s, 6 s, 5 s, 1/3 s and so on: as high as the time that they cover, no comb and no aliasing. */
START_TEST(test_constant_rate)
{
	static const struct {
		unsigned int windows;
		size_t bars;
	} cases[] = {{12, 60}, {120, 100}, {96, 96}, {12, 180}, {1, 7}, {97, 96}, {1000, 96}, {120960, 96}};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(chart_deinit) struct chart chart = {};
		struct chart_bar bars[BARS_MAX];
		uint64_t total = UINT64_C(5) * BYTES_PER_SECOND * cases[i].windows, even;

		add_constant(&chart, 1790000000 * SECOND, cases[i].windows);
		chart_spread(&chart, bars, cases[i].bars);
		even = total / cases[i].bars;
		for (size_t bar = 0; bar < cases[i].bars; bar++) {
			uint64_t bytes = bars[bar].values[CLASS_VIRTUAL];

			/* A window rounds once at either edge of the bar. */
			ck_assert_msg(bytes + 2 >= even && bytes <= even + 3,
				      "%u windows, bar %zu of %zu: %llu bytes instead of %llu",
				      cases[i].windows, bar, cases[i].bars, (unsigned long long)bytes,
				      (unsigned long long)even);
		}
		ck_assert_uint_eq(sum(bars, cases[i].bars, CLASS_VIRTUAL), total);
	}
}
END_TEST

/* Unequal windows with a gap between them, classes apart. */
START_TEST(test_gap)
{
	const uint64_t some[N_CHART_SERIES] = {[CLASS_VIRTUAL] = 100, [CLASS_EXIT] = 7, [CHART_REFUSED] = 9};
	const uint64_t more[N_CHART_SERIES] = {[CLASS_VIRTUAL] = 30, [CLASS_SUBNET] = UINT64_MAX};
	static const uint64_t expected[] = {50, 50, 0, 0, 0, 0, 0, 0, 15, 15};
	_cleanup_(chart_deinit) struct chart chart = {};
	struct chart_bar bars[10];

	/* Newest first: the order does not matter. */
	ck_assert_int_eq(chart_add(&chart, 8 * SECOND, 10 * SECOND - 1, more), 0);
	ck_assert_int_eq(chart_add(&chart, 0, 2 * SECOND - 1, some), 0);
	ck_assert_int_eq(chart.first, 0);
	ck_assert_int_eq(chart.last, 10 * SECOND - 1);
	chart_spread(&chart, bars, ARRAY_SIZE(bars));
	for (size_t i = 0; i < ARRAY_SIZE(bars); i++)
		ck_assert_uint_eq(bars[i].values[CLASS_VIRTUAL], expected[i]);
	ck_assert_uint_eq(bars[0].values[CLASS_EXIT], 3);
	ck_assert_uint_eq(bars[1].values[CLASS_EXIT], 4);
	ck_assert_uint_eq(bars[0].values[CHART_REFUSED], 4);
	ck_assert_uint_eq(bars[1].values[CHART_REFUSED], 5);
	ck_assert_uint_eq(sum(bars, ARRAY_SIZE(bars), CLASS_SUBNET), UINT64_MAX);
}
END_TEST

/* Times as a broken clock or a damaged message may have them, and a chart shorter than its bars. */
START_TEST(test_strange_times)
{
	static const struct {
		int64_t start, end;
	} cases[] = {{INT64_MIN, INT64_MAX},
		     {INT64_MIN, INT64_MIN},
		     {INT64_MAX, INT64_MAX},
		     {5, 7},
		     {5, 5},
		     {7, 5}};
	const uint64_t bytes[N_CHART_SERIES] = {[CLASS_VIRTUAL] = 1001};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_(chart_deinit) struct chart chart = {};
		struct chart_bar bars[96];
		int64_t other;

		ck_assert_int_eq(chart_add(&chart, cases[i].start, cases[i].end, bytes), 0);
		chart_spread(&chart, bars, ARRAY_SIZE(bars));
		ck_assert_uint_eq(sum(bars, ARRAY_SIZE(bars), CLASS_VIRTUAL), 1001);
		/* A second window at the other end of time. */
		other = cases[i].end == INT64_MIN ? INT64_MAX : -cases[i].end;
		ck_assert_int_eq(chart_add(&chart, other, other, bytes), 0);
		chart_spread(&chart, bars, ARRAY_SIZE(bars));
		ck_assert_uint_eq(sum(bars, ARRAY_SIZE(bars), CLASS_VIRTUAL), 2002);
	}
}
END_TEST

START_TEST(test_empty)
{
	const struct chart chart = {};
	struct chart_bar bars[3];

	chart_spread(&chart, bars, ARRAY_SIZE(bars));
	ck_assert_uint_eq(sum(bars, ARRAY_SIZE(bars), CLASS_VIRTUAL), 0);
}
END_TEST

/* More windows than are kept apart. */
START_TEST(test_many)
{
	_cleanup_(chart_deinit) struct chart chart = {};
	unsigned int windows = 2 * CHART_WINDOWS_MAX + 5;
	struct chart_bar bars[96];

	add_constant(&chart, 0, windows);
	ck_assert_uint_le(chart.n, CHART_WINDOWS_MAX);
	chart_spread(&chart, bars, ARRAY_SIZE(bars));
	ck_assert_uint_eq(sum(bars, ARRAY_SIZE(bars), CLASS_VIRTUAL),
			  UINT64_C(5) * BYTES_PER_SECOND * windows);
	for (size_t i = 1; i < ARRAY_SIZE(bars); i++)
		ck_assert_uint_le(bars[i].values[CLASS_VIRTUAL], bars[0].values[CLASS_VIRTUAL] + 20);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		test_constant_rate, test_gap, test_strange_times, test_empty, test_many,
	};

	return run_suite("chart", tests, ARRAY_SIZE(tests));
}
