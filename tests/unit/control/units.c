/* SPDX-License-Identifier: BSD-3-Clause */
/* Figures, to the character. */

#include "control/units.h"

#include "common/cleanup.h"
#include "common/time_text.h"
#include "tests/unit/control/support.h"

START_TEST(test_bytes)
{
	static const struct {
		uint64_t bytes;
		const char *text;
	} cases[] = {
		{0, "0 B"},
		{1, "1 B"},
		{1023, "1023 B"},
		{1024, "1.00 KiB"},
		{1500, "1.46 KiB"},
		{10239, "10.0 KiB"},
		{12595, "12.3 KiB"},
		{1024 * 1023, "1023 KiB"},
		{1024 * 1024 - 1, "1.00 MiB"},
		{UINT64_C(512) << 20, "512 MiB"},
		{UINT64_MAX, "16.0 EiB"},
	};
	char text[UNITS_TEXT_MAX];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		ck_assert_str_eq(units_bytes(cases[i].bytes, text), cases[i].text);
	ck_assert_str_eq(units_byte_rate(8140, 5 * NSEC_PER_SEC, text), "1.59 KiB/s");
	ck_assert_str_eq(units_byte_rate(8140, 0, text), "");
	ck_assert_str_eq(units_count(9999999, text), "9999999");
	ck_assert_str_eq(units_count(10000000, text), "10.0 M");
	ck_assert_str_eq(units_packets(10000000, 1, text), "10.0 M");
	ck_assert_str_eq(units_packets(0, 0, text), "0");
	ck_assert_str_eq(units_packets(0, 1, text), "-");
}
END_TEST

START_TEST(test_durations)
{
	static const struct {
		int64_t ns;
		const char *text;
	} cases[] = {
		{-1, "0 us"},
		{45000, "45 us"},
		{100 * NSEC_PER_MSEC, "100 ms"},
		{999499, "999 us"},
		{999500, "1 ms"},
		{1400 * NSEC_PER_USEC, "1 ms"},
		{1500 * NSEC_PER_USEC, "2 ms"},
		{NSEC_PER_SEC - NSEC_PER_MSEC, "999 ms"},
		{NSEC_PER_SEC - 1, "1 s"},
		{NSEC_PER_SEC, "1 s"},
		{1499 * NSEC_PER_MSEC, "1 s"},
		{1998 * NSEC_PER_MSEC, "2 s"},
		{59 * NSEC_PER_SEC, "59 s"},
		{59499 * NSEC_PER_MSEC, "59 s"},
		{59500 * NSEC_PER_MSEC, "1 min"},
		{60 * NSEC_PER_SEC, "1 min"},
		{72 * NSEC_PER_SEC, "1 min 12 s"},
		{3 * 3600 * NSEC_PER_SEC + 59 * NSEC_PER_SEC, "3 h"},
		{3 * 3600 * NSEC_PER_SEC + 300 * NSEC_PER_SEC, "3 h 5 min"},
		{(12 * 86400 + 4 * 3600) * NSEC_PER_SEC, "12 d 4 h"},
		{INT64_MAX, "106751 d 23 h"},
	};
	char text[UNITS_TEXT_MAX];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		ck_assert_str_eq(units_duration(cases[i].ns, text), cases[i].text);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		test_bytes,
		test_durations,
	};

	return run_suite("units", tests, ARRAY_SIZE(tests));
}
