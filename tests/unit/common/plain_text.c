/* SPDX-License-Identifier: BSD-3-Clause */
/* Which characters a terminal and a log may get. */

#include "common/plain_text.h"
#include "tests/unit/common/support.h"

#include <check.h>
#include <string.h>

static void check_clean(const char *text, const char *expected)
{
	char buffer[64];

	strcpy(buffer, text);
	ck_assert_uint_eq(plain_text_clean(buffer), strlen(expected));
	ck_assert_str_eq(buffer, expected);
	ck_assert_int_eq(plain_text_is(text), strcmp(text, expected) == 0);
}

START_TEST(test_characters)
{
	check_clean("", "");
	check_clean("plain \u00fc \u05d0 \u4e2d \U0001f600", "plain \u00fc \u05d0 \u4e2d \U0001f600");
	check_clean("a\x1b[31mb\n\x7f", "a?[31mb??");
	check_clean("a\xc2\x85"
		    "b\xc2\x9b",
		    "a?b?");
	check_clean("\u200e\u200f\u061c", "???");
	check_clean("\u2028\u2029\u202a\u202e", "????");
	check_clean("\u2066x\u2069", "?x?");
	check_clean("\u200d\u202f\u2065\u206a", "\u200d\u202f\u2065\u206a");
	/* Not UTF-8: each byte, also at the end. */
	check_clean("\xff\xc0\x80"
		    "a\xe2\x80",
		    "???a??");
	check_clean("\xed\xa0\x80\xf4\x90\x80\x80", "???????");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("plain_text");
	TCase *test_case = tcase_create("plain_text");

	tcase_add_test(test_case, test_characters);
	suite_add_tcase(suite, test_case);
	return run_suite(suite);
}
