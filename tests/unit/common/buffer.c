/* SPDX-License-Identifier: BSD-3-Clause */
/* Growing buffers, JSON strings, decimal numbers. */

#include "common/buffer.h"
#include "common/decimal.h"
#include "tests/unit/common/support.h"

#include <errno.h>
#include <inttypes.h>
#include <jansson.h>

START_TEST(test_append)
{
	struct buffer buffer = {};
	size_t length;
	char *text;

	buffer_append_text(&buffer, "a");
	buffer_append_char(&buffer, 'b');
	buffer_append(&buffer, "c\0d", 3);
	buffer_append_u64(&buffer, 0);
	buffer_append_u64(&buffer, UINT64_MAX);
	buffer_printf(&buffer, "%s-%d", "x", 7);
	ck_assert_int_eq(buffer_error(&buffer), 0);
	text = buffer_take(&buffer, &length);
	ck_assert_uint_eq(length, 29);
	ck_assert_mem_eq(text, "abc\0d018446744073709551615x-7", 29);
	free(text);
	ck_assert_ptr_null(buffer.data);
}
END_TEST

START_TEST(test_growth)
{
	struct buffer buffer = {};
	char *text;

	for (unsigned int i = 0; i < 100000; i++)
		buffer_append_char(&buffer, (char)('a' + i % 26));
	ck_assert_uint_eq(buffer.length, 100000);
	for (unsigned int i = 0; i < 100000; i++)
		ck_assert_int_eq(buffer.data[i], 'a' + (int)(i % 26));
	buffer_reset(&buffer);
	ck_assert_uint_eq(buffer.length, 0);
	ck_assert_uint_ge(buffer.allocated, 100000);
	text = buffer_take(&buffer, NULL);
	ck_assert_str_eq(text, "");
	free(text);
}
END_TEST

START_TEST(test_error)
{
	struct buffer buffer = {};

	buffer_append_text(&buffer, "abc");
	ck_assert_ptr_null(buffer_reserve(&buffer, SIZE_MAX));
	ck_assert_int_eq(buffer_error(&buffer), -ENOMEM);
	/* sticks */
	buffer_append_text(&buffer, "def");
	buffer_append_u64(&buffer, 5);
	ck_assert_uint_eq(buffer.length, 3);
	ck_assert_ptr_null(buffer_take(&buffer, NULL));
	/* and the buffer is like a new one */
	buffer_append_text(&buffer, "x");
	ck_assert_int_eq(buffer_error(&buffer), 0);
	ck_assert_uint_eq(buffer.length, 1);
	buffer_deinit(&buffer);
}
END_TEST

static const struct {
	const char *text;
	const char *json;
} strings[] = {
	{"", "\"\""},
	{"abc", "\"abc\""},
	{"a\"b\\c/", "\"a\\\"b\\\\c/\""},
	{"\n\r\t", "\"\\n\\r\\t\""},
	{"\x01\x1f\x7f", "\"\\u0001\\u001f\x7f\""},
	{"\u00e4\u20ac\U0001f600", "\"\u00e4\u20ac\U0001f600\""},
	/* not UTF-8: a lone byte, overlong, a surrogate, too large, cut short */
	{"a\xff"
	 "b",
	 "\"a\ufffd"
	 "b\""},
	{"\xc0\x80", "\"\ufffd\ufffd\""},
	{"\xed\xa0\x80", "\"\ufffd\ufffd\ufffd\""},
	{"\xf4\x90\x80\x80", "\"\ufffd\ufffd\ufffd\ufffd\""},
	{"\xe2\x82", "\"\ufffd\ufffd\""},
	{"\xf0\x9f\x98\"", "\"\ufffd\ufffd\ufffd\\\"\""},
};

START_TEST(test_json_string)
{
	struct buffer buffer = {};
	json_t *value;
	char *text;

	buffer_append_json_string(&buffer, strings[_i].text);
	text = buffer_take(&buffer, NULL);
	ck_assert_str_eq(text, strings[_i].json);
	value = json_loads(text, JSON_DECODE_ANY, NULL);
	ck_assert_ptr_nonnull(value);
	json_decref(value);
	free(text);
}
END_TEST

static void assert_decimal(uint64_t value)
{
	char text[DECIMAL_TEXT_MAX + 1], expected[DECIMAL_TEXT_MAX + 1];

	snprintf(expected, sizeof(expected), "%" PRIu64, value);
	ck_assert_uint_eq(decimal_format(value, text), strlen(expected));
	ck_assert_mem_eq(text, expected, strlen(expected));
}

START_TEST(test_decimal)
{
	uint64_t power = 1;

	for (uint64_t value = 0; value < 100000; value++)
		assert_decimal(value);
	for (int i = 0; i < 20; i++, power *= 10) {
		assert_decimal(power - 1);
		assert_decimal(power);
		assert_decimal(power + 1);
	}
	assert_decimal(INT64_MAX);
	assert_decimal(UINT64_MAX);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("buffer");
	TCase *test_case = tcase_create("buffer");

	tcase_add_test(test_case, test_append);
	tcase_add_test(test_case, test_growth);
	tcase_add_test(test_case, test_error);
	tcase_add_loop_test(test_case, test_json_string, 0, ARRAY_SIZE(strings));
	tcase_add_test(test_case, test_decimal);
	suite_add_tcase(suite, test_case);
	return run_suite(suite);
}
