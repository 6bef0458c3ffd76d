/* SPDX-License-Identifier: BSD-3-Clause */
/* Tables, to the character. */

#include "control/table.h"

#include "tests/unit/control/support.h"

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
	assert_table(table, false, 3, "NAM\na\nlon\n\n");
}
END_TEST

/* Two go together, a third one later; an empty one takes no room, and one that is needed is cut. */
START_TEST(test_dispensable_columns)
{
	static const struct table_column many[] = {
		{"NAME", TABLE_LEFT, 0}, {"B", TABLE_LEFT, 2},	   {"C", TABLE_LEFT, 1},
		{"D", TABLE_LEFT, 2},	 {"EMPTY", TABLE_LEFT, 3},
	};
	static const struct {
		size_t width;
		const char *text;
	} cases[] = {
		{0, "NAME  B  C  D\na     b  c  d\n"},
		{13, "NAME  B  C  D\na     b  c  d\n"},
		{12, "NAME  C\na     c\n"},
		{7, "NAME  C\na     c\n"},
		{6, "NAME\na\n"},
		{3, "NAM\na\n"},
	};
	_cleanup_(table_freep) struct table *table = NULL;

	ck_assert_int_eq(table_new(many, ARRAY_SIZE(many), &table), 0);
	add(table, "a", "b", "c");
	table_cell(table, "d");
	table_cell(table, "%s", "");
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_table(table, false, cases[i].width, cases[i].text);
	ck_assert(table_shows(table, 1, 0) && table_shows(table, 1, 13) && !table_shows(table, 1, 12));
	ck_assert(table_shows(table, 2, 7) && !table_shows(table, 2, 6) && !table_shows(table, 4, 0));
}
END_TEST

/* Once nothing can be left out, the widest text that may is shortened in the middle, by columns. */
START_TEST(test_shortened_columns)
{
	static const struct table_column many[] = {
		{.title = "NAME", .shortest = 6},
		{.title = "OTHER", .shortest = 5},
		{.title = "GONE", .dispensable = 1},
	};
	static const struct {
		size_t width;
		const char *text;
	} cases[] = {
		{0, "NAME                OTHER         GONE\nlaptop.example.net  server.local  x\n"},
		{37, "NAME                OTHER\nlaptop.example.net  server.local\n"},
		{32, "NAME                OTHER\nlaptop.example.net  server.local\n"},
		{31, "NAME               OTHER\nlaptop.e…mple.net  server.local\n"},
		{24, "NAME         OTHER\nlapto…e.net  serve…local\n"},
		{13, "NAME    OTHER\nlap…et  se…al\n"},
		{12, "NAME    OTHE\nlap…et  se…a\n"},
	};
	_cleanup_(table_freep) struct table *table = NULL, *wide = NULL;

	setlocale(LC_ALL, "C.UTF-8");
	ck_assert_int_eq(table_new(many, ARRAY_SIZE(many), &table), 0);
	add(table, "laptop.example.net", "server.local", "x");
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_table(table, false, cases[i].width, cases[i].text);
	/* A character of two columns stays whole. */
	ck_assert_int_eq(table_new(many, ARRAY_SIZE(many), &wide), 0);
	add(wide, "東京東京東京", "s", "");
	assert_table(wide, false, 15, "NAME      OTHER\n東京…京   s\n");
	setlocale(LC_ALL, "C");
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
	assert_table(table, true, 0,
		     "\033[2mNAME\033[0m  \033[2mN\033[0m  \033[2mNOTE\033[0m\n"
		     "\033[31mlost\033[0m  1  x\n");
	assert_table(table, false, 0, "NAME  N  NOTE\nlost  1  x\n");
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
	assert_table(table, false, 0, "NAME     N\nM\xc3\xbcnchen  1\nLeipzig  2\n");
	assert_table(table, false, 2, "NA\nM\xc3\xbc\nLe\n");
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
	assert_table(table, false, 0, "NAME   N\n\xe6\x9d\xb1\xe4\xba\xac   1\nLie\xcc\x80ge  2\n");
	assert_table(table, false, 3, "NAM\n\xe6\x9d\xb1\nLie\xcc\x80\n");
	setlocale(LC_CTYPE, "C");
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		test_columns,		test_dispensable_columns,
		test_shortened_columns, test_empty_columns_vanish,
		test_headings,		test_colors,
		test_foreign_text,	test_width_is_what_is_seen,
		test_wide_characters,
	};

	return run_suite("table", tests, ARRAY_SIZE(tests));
}
