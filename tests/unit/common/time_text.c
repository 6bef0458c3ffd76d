/* SPDX-License-Identifier: BSD-3-Clause */
/* The text of times. */

#include "common/time_text.h"
#include "common/cleanup.h"
#include "tests/unit/common/support.h"

#include <errno.h>
#include <string.h>
#include <time.h>

static const struct {
	int64_t wall;
	const char *text;
} times[] = {
	{0, "1970-01-01T00:00:00Z"},
	{1, "1970-01-01T00:00:00.000000001Z"},
	{-1, "1969-12-31T23:59:59.999999999Z"},
	{100 * NSEC_PER_MSEC, "1970-01-01T00:00:00.1Z"},
	{1665692594700000000, "2022-10-13T20:23:14.7Z"},
	{1665692589644000000, "2022-10-13T20:23:09.644Z"},
	{951782400 * NSEC_PER_SEC, "2000-02-29T00:00:00Z"},
	{1709251199 * NSEC_PER_SEC + 999999999, "2024-02-29T23:59:59.999999999Z"},
	{4107542400 * NSEC_PER_SEC, "2100-03-01T00:00:00Z"},
	{4107456000 * NSEC_PER_SEC, "2100-02-28T00:00:00Z"},
	{INT64_MAX, "2262-04-11T23:47:16.854775807Z"},
	{INT64_MIN, "1677-09-21T00:12:43.145224192Z"},
};

START_TEST(test_text)
{
	char text[TIME_TEXT_MAX];
	int64_t wall;

	ck_assert_uint_eq(time_format(times[_i].wall, text), strlen(times[_i].text));
	ck_assert_str_eq(text, times[_i].text);
	ck_assert_int_eq(time_parse(times[_i].text, &wall), 0);
	ck_assert_int_eq(wall, times[_i].wall);
}
END_TEST

/* The C library agrees, over all days of some centuries. */
START_TEST(test_days)
{
	for (int64_t day = -100000; day < 100000; day += 17) {
		time_t seconds = day * 86400 + (day & 1 ? 86399 : 0);
		char text[TIME_TEXT_MAX], expected[TIME_TEXT_MAX];
		struct tm parts;

		ck_assert_ptr_nonnull(gmtime_r(&seconds, &parts));
		strftime(expected, sizeof(expected), "%Y-%m-%dT%H:%M:%SZ", &parts);
		time_format((int64_t)seconds * NSEC_PER_SEC, text);
		ck_assert_str_eq(text, expected);
	}
}
END_TEST

static const struct {
	const char *text;
	const char *utc;
} offsets[] = {
	{"2022-10-13T22:23:14.70+02:00", "2022-10-13T20:23:14.7Z"},
	{"2022-10-13T20:23:14.700000000-00:00", "2022-10-13T20:23:14.7Z"},
	{"2022-01-01T00:30:00+01:00", "2021-12-31T23:30:00Z"},
	{"2021-12-31T23:30:00-00:45", "2022-01-01T00:15:00Z"},
	{"2022-10-13t20:23:14z", "2022-10-13T20:23:14Z"},
	{"1969-12-31T23:59:59.5Z", "1969-12-31T23:59:59.5Z"},
};

START_TEST(test_offsets)
{
	char text[TIME_TEXT_MAX];
	int64_t wall;

	ck_assert_int_eq(time_parse(offsets[_i].text, &wall), 0);
	time_format(wall, text);
	ck_assert_str_eq(text, offsets[_i].utc);
}
END_TEST

static const char *const wrong[] = {
	"",
	"2022-10-13",
	"2022-10-13T20:23:14",
	"2022-10-13 20:23:14Z",
	"2022-10-13T20:23Z",
	"2022-10-13T20:23:14.Z",
	"2022-10-13T20:23:14.0000000001Z",
	"2022-10-13T20:23:14,7Z",
	"2022-10-13T20:23:60Z",
	"2022-10-13T24:00:00Z",
	"2022-10-13T20:60:00Z",
	"2022-13-13T20:23:14Z",
	"2022-00-13T20:23:14Z",
	"2022-10-00T20:23:14Z",
	"2022-04-31T20:23:14Z",
	"2023-02-29T20:23:14Z",
	"2100-02-29T20:23:14Z",
	"2022-10-13T20:23:14+0200",
	"2022-10-13T20:23:14+02",
	"2022-10-13T20:23:14+24:00",
	"2022-10-13T20:23:14+02:60",
	"2022-10-13T20:23:14Z ",
	" 2022-10-13T20:23:14Z",
	"+2022-10-13T20:23:14Z",
	"22-10-13T20:23:14Z",
	"0000-01-01T00:00:00Z",
	"9999-12-31T23:59:59Z",
	"2262-04-11T23:47:16.854775808Z",
	"1677-09-21T00:12:43.145224191Z",
	"2022-10-13T20:23:14ZZ",
};

START_TEST(test_wrong)
{
	int64_t wall = 42;

	ck_assert_msg(time_parse(wrong[_i], &wall) == -EINVAL, "%s", wrong[_i]);
	ck_assert_int_eq(wall, 42);
}
END_TEST

START_TEST(test_clocks)
{
	int64_t wall = time_now_wall(), boot = time_now_boot();

	ck_assert_int_ge(time_now_boot(), boot);
	ck_assert_int_gt(boot, 0);
	/* It is the clock of time(). */
	ck_assert_int_le(wall / NSEC_PER_SEC - time(NULL), 1);
	ck_assert_int_ge(wall / NSEC_PER_SEC - time(NULL), -2);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("time_text");
	TCase *test_case = tcase_create("time_text");

	tcase_add_loop_test(test_case, test_text, 0, ARRAY_SIZE(times));
	tcase_add_test(test_case, test_days);
	tcase_add_loop_test(test_case, test_offsets, 0, ARRAY_SIZE(offsets));
	tcase_add_loop_test(test_case, test_wrong, 0, ARRAY_SIZE(wrong));
	tcase_add_test(test_case, test_clocks);
	suite_add_tcase(suite, test_case);
	return run_suite(suite);
}
