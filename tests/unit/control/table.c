/* SPDX-License-Identifier: BSD-3-Clause */
/* Tables, figures and points in time, to the character. */

#include "control/table.h"
#include "common/time_text.h"
#include "control/units.h"
#include "control/when.h"
#include "tests/unit/control/support.h"

#include <errno.h>
#include <locale.h>
#include <string.h>

static const struct table_column columns[] = {
	{"NAME", TABLE_LEFT},
	{"N", TABLE_RIGHT},
	{"NOTE", TABLE_LEFT},
};

static void assert_table(const struct table *table, bool color, size_t width, const char *expected)
{
	_cleanup_free_ char *text = NULL;
	size_t n;
	FILE *file = open_memstream(&text, &n);

	ck_assert_int_eq(table_print(table, file, color, width), 0);
	fclose(file);
	ck_assert_str_eq(text, expected);
}

static void add(struct table *table, const char *name, const char *n, const char *note)
{
	table_cell(table, "%s", name);
	table_cell(table, "%s", n);
	table_cell(table, "%s", note);
}

START_TEST(test_columns)
{
	_cleanup_(table_freep) struct table *table = NULL;

	ck_assert_int_eq(table_new(columns, ARRAY_SIZE(columns), &table), 0);
	add(table, "a", "1", "x");
	add(table, "longer", "12345", "");
	add(table, "", "", "only a note");
	ck_assert_uint_eq(table_rows(table), 3);
	assert_table(table, false, 0,
		     "NAME        N  NOTE\n"
		     "a           1  x\n"
		     "longer  12345\n"
		     "               only a note\n");
	/* Cut at the terminal's edge. */
	assert_table(table, false, 17,
		     "NAME        N  NO\n"
		     "a           1  x\n"
		     "longer  12345\n"
		     "               on\n");
	table_hide_titles(table);
	assert_table(table, false, 3, "a\nlon\n\n");
}
END_TEST

START_TEST(test_empty_columns_vanish)
{
	_cleanup_(table_freep) struct table *table = NULL;

	ck_assert_int_eq(table_new(columns, ARRAY_SIZE(columns), &table), 0);
	add(table, "a", "", "x");
	add(table, "b", "", "y");
	assert_table(table, false, 0, "NAME  NOTE\na     x\nb     y\n");
}
END_TEST

START_TEST(test_headings)
{
	_cleanup_(table_freep) struct table *table = NULL;

	ck_assert_int_eq(table_new(columns, ARRAY_SIZE(columns), &table), 0);
	table_heading(table, "group %d, with a long title", 1);
	add(table, "a", "1", "x");
	assert_table(table, false, 0, "NAME  N  NOTE\ngroup 1, with a long title\na     1  x\n");
}
END_TEST

START_TEST(test_colors)
{
	_cleanup_(table_freep) struct table *table = NULL;

	ck_assert_int_eq(table_new(columns, ARRAY_SIZE(columns), &table), 0);
	table_cell_color(table, TABLE_RED, "lost");
	table_cell(table, "1");
	table_cell(table, "x");
	table_hide_titles(table);
	assert_table(table, true, 0, "\033[31mlost\033[0m  1  x\n");
	assert_table(table, false, 0, "lost  1  x\n");
}
END_TEST

START_TEST(test_foreign_text)
{
	static const struct {
		const char *text, *clean;
	} cases[] = {
		{"plain", "plain"},
		{"M\xc3\xbcnchen \xe2\x82\xac \xf0\x9f\x98\x80",
		 "M\xc3\xbcnchen \xe2\x82\xac \xf0\x9f\x98\x80"},
		{"a\033[31mb", "a?[31mb"},
		{"a\nb\tc\rd\x7f", "a?b?c?d?"},
		{"\xc2\x9b"
		 "31m",
		 "?31m"}, /* a control sequence in one character */
		{"\xe2\x80\xae"
		 "abc",
		 "?abc"}, /* right to left */
		{"\xff\xc3", "??"},
		{"\xed\xa0\x80", "???"}, /* half a surrogate pair */
		{"\xc0\xaf", "??"},	 /* overlong */
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		_cleanup_free_ char *clean = text_for_terminal(cases[i].text);

		ck_assert_str_eq(clean, cases[i].clean);
	}
}
END_TEST

START_TEST(test_width_is_what_is_seen)
{
	_cleanup_(table_freep) struct table *table = NULL;

	ck_assert_int_eq(table_new(columns, ARRAY_SIZE(columns), &table), 0);
	add(table, "M\xc3\xbcnchen", "1", "");
	add(table, "Leipzig", "2", "");
	table_hide_titles(table);
	assert_table(table, false, 0, "M\xc3\xbcnchen  1\nLeipzig  2\n");
	assert_table(table, false, 2, "M\xc3\xbc\nLe\n");
}
END_TEST

/* Two columns for each character of "東京", none for a combining accent. */
START_TEST(test_wide_characters)
{
	_cleanup_(table_freep) struct table *table = NULL;

	ck_assert_ptr_nonnull(setlocale(LC_CTYPE, "C.UTF-8"));
	ck_assert_int_eq(table_new(columns, ARRAY_SIZE(columns), &table), 0);
	add(table, "\xe6\x9d\xb1\xe4\xba\xac", "1", "");
	add(table, "Lie\xcc\x80ge", "2", "");
	table_hide_titles(table);
	assert_table(table, false, 0, "\xe6\x9d\xb1\xe4\xba\xac   1\nLie\xcc\x80ge  2\n");
	assert_table(table, false, 3, "\xe6\x9d\xb1\nLie\xcc\x80\n");
	setlocale(LC_CTYPE, "C");
}
END_TEST

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
		{NSEC_PER_SEC, "1 s"},
		{59 * NSEC_PER_SEC, "59 s"},
		{60 * NSEC_PER_SEC, "1 min"},
		{72 * NSEC_PER_SEC, "1 min 12 s"},
		{3 * 3600 * NSEC_PER_SEC + 59 * NSEC_PER_SEC, "3 h"},
		{3 * 3600 * NSEC_PER_SEC + 300 * NSEC_PER_SEC, "3 h 5 min"},
		{(12 * 86400 + 4 * 3600) * NSEC_PER_SEC, "12 d 4 h"},
	};
	char text[UNITS_TEXT_MAX];

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		ck_assert_str_eq(units_duration(cases[i].ns, text), cases[i].text);
}
END_TEST

START_TEST(test_when)
{
	static const struct {
		const char *text, *time;
	} good[] = {
		{"now", "2026-11-22T20:23:14.5Z"},
		{"today", "2026-11-22T00:00:00Z"},
		{"yesterday", "2026-11-21T00:00:00Z"},
		{"2026-11-20", "2026-11-20T00:00:00Z"},
		{"2026-11-20 08:30", "2026-11-20T08:30:00Z"},
		{"2026-11-20 08:30:15", "2026-11-20T08:30:15Z"},
		{"2026-11-20T08:30:15+01:00", "2026-11-20T07:30:15Z"},
		{"10m", "2026-11-22T20:13:14.5Z"},
		{"10m ago", "2026-11-22T20:13:14.5Z"},
		{"1h30m", "2026-11-22T18:53:14.5Z"},
		{"2d ago", "2026-11-20T20:23:14.5Z"},
	};
	static const char *const bad[] = {"",	 "ago",	    " ago",	  "10",
					  "10x", "m",	    "10m x",	  "1h30",
					  "-5m", "2026-11", "2026-13-01", "2026-11-20 8:30"};
	int64_t now, time;
	char text[TIME_TEXT_MAX];

	ck_assert_int_eq(time_parse("2026-11-22T20:23:14.5Z", &now), 0);
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		ck_assert_msg(when_parse(good[i].text, now, &time) == 0, "%s", good[i].text);
		time_format(time, text);
		ck_assert_str_eq(text, good[i].time);
	}
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		ck_assert_msg(when_parse(bad[i], now, &time) == -EINVAL, "%s", bad[i]);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		test_columns,	      test_empty_columns_vanish,
		test_headings,	      test_colors,
		test_foreign_text,    test_width_is_what_is_seen,
		test_wide_characters, test_bytes,
		test_durations,	      test_when,
	};

	return run_suite("table", tests, ARRAY_SIZE(tests));
}
