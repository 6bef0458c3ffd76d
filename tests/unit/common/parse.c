/* SPDX-License-Identifier: BSD-3-Clause */
/* Numbers, sizes, durations, lists. */

#include "common/parse.h"
#include "common/cleanup.h"
#include "common/time_text.h"
#include "tests/unit/common/support.h"

#include <errno.h>

START_TEST(test_u64)
{
	uint64_t value = 42;

	ck_assert_int_eq(parse_u64("0", &value), 0);
	ck_assert_uint_eq(value, 0);
	ck_assert_int_eq(parse_u64("18446744073709551615", &value), 0);
	ck_assert_uint_eq(value, UINT64_MAX);
	value = 42;
	ck_assert_int_eq(parse_u64("18446744073709551616", &value), -ERANGE);
	ck_assert_int_eq(parse_u64("99999999999999999999999", &value), -ERANGE);
	ck_assert_int_eq(parse_u64("", &value), -EINVAL);
	ck_assert_int_eq(parse_u64("-1", &value), -EINVAL);
	ck_assert_int_eq(parse_u64("+1", &value), -EINVAL);
	ck_assert_int_eq(parse_u64(" 1", &value), -EINVAL);
	ck_assert_int_eq(parse_u64("1 ", &value), -EINVAL);
	ck_assert_int_eq(parse_u64("1.0", &value), -EINVAL);
	ck_assert_int_eq(parse_u64("0x1", &value), -EINVAL);
	ck_assert_uint_eq(value, 42);
}
END_TEST

START_TEST(test_hex)
{
	uint8_t bytes[3] = {1, 2, 3};

	ck_assert_int_eq(parse_hex("", bytes, 2), -EINVAL);
	ck_assert_int_eq(parse_hex("09a", bytes, 2), -EINVAL);
	ck_assert_int_eq(parse_hex("09ag", bytes, 2), -EINVAL);
	ck_assert_int_eq(parse_hex("09af0", bytes, 2), -EINVAL);
	ck_assert_int_eq(parse_hex("-9af", bytes, 2), -EINVAL);
	ck_assert_mem_eq(bytes, "\1\2\3", 3);
	ck_assert_int_eq(parse_hex("09aF", bytes, 2), 0);
	ck_assert_mem_eq(bytes, "\x09\xaf\3", 3);
	ck_assert_int_eq(parse_hex("", bytes, 0), 0);
}
END_TEST

START_TEST(test_size)
{
	uint64_t value = 42;

	ck_assert_int_eq(parse_size("0", &value), 0);
	ck_assert_uint_eq(value, 0);
	ck_assert_int_eq(parse_size("1000", &value), 0);
	ck_assert_uint_eq(value, 1000);
	ck_assert_int_eq(parse_size("256K", &value), 0);
	ck_assert_uint_eq(value, 262144);
	ck_assert_int_eq(parse_size("512M", &value), 0);
	ck_assert_uint_eq(value, 536870912);
	ck_assert_int_eq(parse_size("17179869183G", &value), 0);
	ck_assert_uint_eq(value, UINT64_C(17179869183) << 30);
	value = 42;
	ck_assert_int_eq(parse_size("17179869184G", &value), -ERANGE);
	ck_assert_int_eq(parse_size("1k", &value), -EINVAL);
	ck_assert_int_eq(parse_size("1KB", &value), -EINVAL);
	ck_assert_int_eq(parse_size("1.5M", &value), -EINVAL);
	ck_assert_int_eq(parse_size("K", &value), -EINVAL);
	ck_assert_int_eq(parse_size("", &value), -EINVAL);
	ck_assert_uint_eq(value, 42);
}
END_TEST

static const struct {
	const char *text;
	int64_t ns;
	int result;
} durations[] = {
	{"0", 0, 0},
	{"0s", 0, 0},
	{"100ms", 100 * NSEC_PER_MSEC, 0},
	{"5s", 5 * NSEC_PER_SEC, 0},
	{"1.5s", 1500 * NSEC_PER_MSEC, 0},
	{"0.25m", 15 * NSEC_PER_SEC, 0},
	{"1.000000001s", NSEC_PER_SEC + 1, 0},
	{"15m", 900 * NSEC_PER_SEC, 0},
	{"2h", 7200 * NSEC_PER_SEC, 0},
	{"7d", 7 * (86400 * NSEC_PER_SEC), 0},
	{"106751d", 106751 * (86400 * NSEC_PER_SEC), 0},
	{"106752d", 0, -ERANGE},
	{"9223372036.854775808s", 0, -ERANGE},
	{"99999999999999999999s", 0, -ERANGE},
	{"", 0, -EINVAL},
	{"5", 0, -EINVAL},
	{"0.0", 0, -EINVAL},
	{"s", 0, -EINVAL},
	{"5 s", 0, -EINVAL},
	{"5S", 0, -EINVAL},
	{"5sec", 0, -EINVAL},
	{"1.s", 0, -EINVAL},
	{".5s", 0, -EINVAL},
	{"-5s", 0, -EINVAL},
	{"1h30m", 0, -EINVAL},
};

START_TEST(test_duration)
{
	int64_t ns = 42;

	ck_assert_msg(parse_duration(durations[_i].text, &ns) == durations[_i].result, "%s",
		      durations[_i].text);
	ck_assert_int_eq(ns, durations[_i].result < 0 ? 42 : durations[_i].ns);
}
END_TEST

START_TEST(test_bool)
{
	static const char *const yes[] = {"yes", "true", "on", "1", "Yes"};
	static const char *const no[] = {"no", "false", "off", "0", "OFF"};
	bool value;

	for (size_t i = 0; i < ARRAY_SIZE(yes); i++) {
		ck_assert_int_eq(parse_bool(yes[i], &value), 0);
		ck_assert(value);
		ck_assert_int_eq(parse_bool(no[i], &value), 0);
		ck_assert(!value);
	}
	ck_assert_int_eq(parse_bool("", &value), -EINVAL);
	ck_assert_int_eq(parse_bool("y", &value), -EINVAL);
	ck_assert_int_eq(parse_bool("2", &value), -EINVAL);
}
END_TEST

START_TEST(test_list)
{
	char **list;

	ck_assert_int_eq(parse_list(" a, b c\t,,\td ,", &list), 0);
	ck_assert_str_eq(list[0], "a");
	ck_assert_str_eq(list[1], "b c");
	ck_assert_str_eq(list[2], "d");
	ck_assert_ptr_null(list[3]);
	strv_free(list);
	ck_assert_int_eq(parse_list("", &list), 0);
	ck_assert_ptr_null(list);
	ck_assert_int_eq(parse_list(" , ,", &list), 0);
	ck_assert_ptr_null(list);
	strv_free(NULL);
}
END_TEST

START_TEST(test_list_equal)
{
	char a[] = "a", b[] = "b", again[] = "b", c[] = "c";
	char *none[] = {NULL}, *one[] = {a, NULL}, *two[] = {a, b, NULL};

	ck_assert(strv_equal(NULL, NULL));
	ck_assert(!strv_equal(NULL, none));
	ck_assert(!strv_equal(one, NULL));
	ck_assert(strv_equal(none, none));
	ck_assert(strv_equal(two, (char *[]){a, again, NULL}));
	ck_assert(!strv_equal(one, two));
	ck_assert(!strv_equal(two, one));
	ck_assert(!strv_equal(two, (char *[]){a, c, NULL}));
}
END_TEST

START_TEST(test_copies)
{
	char a[] = "a", b[] = "b", *none[] = {NULL}, *two[] = {a, b, NULL};
	char *text = a, **list = two;

	ck_assert_int_eq(text_copy(NULL, &text), 0);
	ck_assert_ptr_null(text);
	ck_assert_int_eq(text_copy(a, &text), 0);
	ck_assert_ptr_ne(text, a);
	ck_assert_str_eq(text, "a");
	free(text);

	ck_assert_int_eq(strv_copy(NULL, &list), 0);
	ck_assert_ptr_null(list);
	ck_assert_int_eq(strv_copy(none, &list), 0);
	ck_assert_ptr_null(list);
	ck_assert_int_eq(strv_copy(two, &list), 0);
	ck_assert_ptr_ne(list, two);
	ck_assert_ptr_ne(list[0], a);
	ck_assert(strv_equal(list, two));
	strv_free(list);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("parse");
	TCase *test_case = tcase_create("parse");

	tcase_add_test(test_case, test_u64);
	tcase_add_test(test_case, test_hex);
	tcase_add_test(test_case, test_size);
	tcase_add_loop_test(test_case, test_duration, 0, ARRAY_SIZE(durations));
	tcase_add_test(test_case, test_bool);
	tcase_add_test(test_case, test_list);
	tcase_add_test(test_case, test_list_equal);
	tcase_add_test(test_case, test_copies);
	suite_add_tcase(suite, test_case);
	return run_suite(suite);
}
