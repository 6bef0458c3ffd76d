/* SPDX-License-Identifier: BSD-3-Clause */
/* The Routes object: what is accepted, what is refused, and with which text. */

#include "daemon/routes/json.h"

#include "tests/unit/daemon/record/support.h"

#include <errno.h>
#include <stdlib.h>

static void read_json(const char *text, int result, const char *value)
{
	_cleanup_free_ char *refused = NULL;
	json_t *json = json_loads(text, JSON_DECODE_ANY, NULL);
	struct route_lists lists = {};

	ck_assert_ptr_nonnull(json);
	ck_assert_int_eq(routes_from_json(json, &lists, &refused), result);
	json_decref(json);
	if (value)
		ck_assert_str_eq(refused, value);
	else
		ck_assert_ptr_null(refused);
	test_lists_deinit(&lists);
}

START_TEST(read_strictly)
{
	json_t *object = json_loads("{\"localAddrs\":[\"100.64.0.1\",\"10.0.0.1/8\"],\"routes\":[\"::/0\"],"
				    "\"subnetRoutes\":[\"192.168.0.0/16\",\"192.168.0.0/16\"]}",
				    0, NULL);
	_cleanup_free_ char *refused = NULL;
	struct route_lists lists = {};

	ck_assert_int_eq(routes_from_json(object, &lists, &refused), 0);
	json_decref(object);
	ck_assert_uint_eq(lists.local_addrs.n, 2);
	ck_assert_uint_eq(lists.local_addrs.items[1].length, 8);
	ck_assert_uint_eq(lists.routes.n, 1);
	ck_assert_uint_eq(lists.routes.items[0].address.family, ADDRESS_IPV6);
	ck_assert_uint_eq(lists.subnet_routes.n, 2);
	test_lists_deinit(&lists);

	read_json("{}", 0, NULL);
	read_json("{\"routes\":null}", 0, NULL);
	read_json("[]", -EINVAL, "an object is expected");
	read_json("{\"routes\":[\"10.0.0.0/33\"]}", -EINVAL, "10.0.0.0/33");
	read_json("{\"routes\":[\"\"]}", -EINVAL, "");
	read_json("{\"routes\":[\"10.0.0.0/8\",5]}", -EINVAL, "5");
	read_json("{\"routes\":\"10.0.0.0/8\"}", -EINVAL, "routes");
	read_json("{\"route\":[]}", -EINVAL, "route");
	read_json("{\"tailnet\":[]}", -EINVAL, "tailnet");
	read_json("{\"subnetRoutes\":[\"fe80::1%eth0\"]}", -EINVAL, "fe80::1%eth0");
}
END_TEST

START_TEST(refused_values_are_bounded)
{
	char text[2000], expected[257];

	/* Characters of two bytes after one: the bound falls into the middle of one. */
	strcpy(text, "{\"routes\":[\"x");
	for (size_t i = 0; i < 500; i++)
		strcat(text, "\xc3\xa4");
	strcat(text, "\"]}");
	memcpy(expected, text + strlen("{\"routes\":[\""), 255);
	expected[255] = '\0';
	read_json(text, -EINVAL, expected);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("json");
	TCase *cases = tcase_create("json");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_test(cases, read_strictly);
	tcase_add_test(cases, refused_values_are_bounded);
	suite_add_tcase(suite, cases);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
