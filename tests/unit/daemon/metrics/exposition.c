/* SPDX-License-Identifier: BSD-3-Clause */
/* The text format, to the letter: names come from anywhere, and one bad byte costs Prometheus the whole page.
 */

#include "daemon/metrics/exposition.h"

#include "common/buffer.h"

#include <check.h>
#include <stdlib.h>

static struct buffer text;

static void tear_down(void)
{
	buffer_deinit(&text);
}

static void expect(const char *wanted)
{
	buffer_append_char(&text, '\0');
	ck_assert_int_eq(buffer_error(&text), 0);
	ck_assert_str_eq(text.data, wanted);
	buffer_reset(&text);
}

START_TEST(a_family_has_two_lines)
{
	exposition_family(&text, "a_total", "counter", "What it counts.");
	expect("# HELP a_total What it counts.\n# TYPE a_total counter\n");
}
END_TEST

START_TEST(samples_with_and_without_labels)
{
	const struct label labels[] = {{"one", "1"}, {"empty", ""}, {"none", NULL}, {"two", "b"}, {NULL}};
	const struct label empty[] = {{"none", NULL}, {NULL}};

	exposition_integer(&text, "a", NULL, -3);
	exposition_integer(&text, "a", labels, INT64_MAX);
	exposition_integer(&text, "a", empty, 0);
	expect("a -3\na{one=\"1\",two=\"b\"} 9223372036854775807\na 0\n");
}
END_TEST

START_TEST(numbers_keep_milliseconds_of_today)
{
	exposition_number(&text, "a", NULL, 1700000000.123);
	exposition_number(&text, "a", NULL, 0.000015);
	exposition_number(&text, "a", NULL, 5);
	expect("a 1700000000.123\na 1.5e-05\na 5\n");
}
END_TEST

static const struct {
	const char *value, *written;
} values[] = {
	{"plain text", "plain text"},
	{"quote \" backslash \\ newline \n", "quote \\\" backslash \\\\ newline \\n"},
	{"{a=\"b\"} 1", "{a=\\\"b\\\"} 1"},
	{"M\xc3\xbcller \xe2\x82\xac \xf0\x9f\x98\x80", "M\xc3\xbcller \xe2\x82\xac \xf0\x9f\x98\x80"},
	/* Not UTF-8: a byte of Latin-1, an overlong form, a surrogate, an end that is missing. */
	{"M\xfcller", "M\xef\xbf\xbdller"},
	{"\xc0\xaf", "\xef\xbf\xbd\xef\xbf\xbd"},
	{"\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
	{"\xe2\x82", "\xef\xbf\xbd\xef\xbf\xbd"},
	/* What steers a terminal: an escape, a carriage return, C1, right-to-left. */
	{"\x1b[2J\rx", "\xef\xbf\xbd[2J\xef\xbf\xbdx"},
	{"\xc2\x9b", "\xef\xbf\xbd"},
	{"\xe2\x80\xaelog", "\xef\xbf\xbdlog"},
};

START_TEST(any_text_is_a_value)
{
	const struct label labels[] = {{"name", values[_i].value}, {NULL}};
	char wanted[128];

	exposition_integer(&text, "a", labels, 1);
	snprintf(wanted, sizeof(wanted), "a{name=\"%s\"} 1\n", values[_i].written);
	expect(wanted);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("exposition");
	TCase *tcase = tcase_create("exposition");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tcase, NULL, tear_down);
	tcase_add_test(tcase, a_family_has_two_lines);
	tcase_add_test(tcase, samples_with_and_without_labels);
	tcase_add_test(tcase, numbers_keep_milliseconds_of_today);
	tcase_add_loop_test(tcase, any_text_is_a_value, 0, ARRAY_SIZE(values));
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
