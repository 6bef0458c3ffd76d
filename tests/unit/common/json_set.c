/* SPDX-License-Identifier: BSD-3-Clause */
/* Members of status: what is left out, and what is bounded. */

#include "common/json_set.h"

#include "tests/unit/common/support.h"

#include <string.h>

static json_t *object;

static void setup(void)
{
	object = json_object();
}

static void teardown(void)
{
	json_decref(object);
}

START_TEST(texts)
{
	json_set_text(object, "none", NULL);
	json_set_text(object, "empty", "");
	ck_assert_uint_eq(json_object_size(object), 0);
	json_set_text(object, "text", "a");
	json_set_text(object, "text", "b");
	/* What is not UTF-8 cannot be in JSON. */
	json_set_text(object, "bytes", "\xff");
	ck_assert_uint_eq(json_object_size(object), 1);
	ck_assert_str_eq(json_string_value(json_object_get(object, "text")), "b");
}
END_TEST

START_TEST(numbers)
{
	json_set_number(object, "zero", 0);
	json_set_number(object, "largest", INT64_MAX);
	json_set_number(object, "beyond", (uint64_t)INT64_MAX + 1);
	json_set_number(object, "all", UINT64_MAX);
	ck_assert_int_eq(json_integer_value(json_object_get(object, "zero")), 0);
	ck_assert(json_is_integer(json_object_get(object, "zero")));
	ck_assert(json_integer_value(json_object_get(object, "largest")) == INT64_MAX);
	ck_assert(json_integer_value(json_object_get(object, "beyond")) == INT64_MAX);
	ck_assert(json_integer_value(json_object_get(object, "all")) == INT64_MAX);
}
END_TEST

START_TEST(times)
{
	json_set_time(object, "none", 0);
	ck_assert_uint_eq(json_object_size(object), 0);
	json_set_time(object, "early", 1);
	json_set_time(object, "late", INT64_C(1665692594700000000));
	json_set_time(object, "before", -1);
	ck_assert_str_eq(json_string_value(json_object_get(object, "early")),
			 "1970-01-01T00:00:00.000000001Z");
	ck_assert_str_eq(json_string_value(json_object_get(object, "late")), "2022-10-13T20:23:14.7Z");
	ck_assert_str_eq(json_string_value(json_object_get(object, "before")),
			 "1969-12-31T23:59:59.999999999Z");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("json_set");
	TCase *test_case = tcase_create("json_set");

	tcase_add_checked_fixture(test_case, setup, teardown);
	tcase_add_test(test_case, texts);
	tcase_add_test(test_case, numbers);
	tcase_add_test(test_case, times);
	suite_add_tcase(suite, test_case);
	return run_suite(suite);
}
