/* SPDX-License-Identifier: BSD-3-Clause */
/* What a reload needs to know of two configurations: equal, or different in a key that needs a restart. */

#include "common/config/config.h"

#include "tests/unit/common/config/support.h"

START_TEST(equality)
{
	struct config *a = parse_config(LOGTAIL "url=https://a\nheader=A: b\n[routes]\nroute=10.0.0.0/8\n");
	struct config *b = parse_config(LOGTAIL "url=https://a\nheader=A: b\n[routes]\nroute=10.0.0.0/8\n");
	struct config *c =
		parse_config("[tun]\ninterface=wg1\n[upload a]\ntype=logtail\ncollection=c\nurl=https://a\n"
			     "header=A: b, C: d\n[routes]\nroute=10.0.0.0/9\n[spool]\ndirectory=/x\n");
	struct route_lists copy;

	ck_assert(device_config_equal(&a->tun, &b->tun));
	ck_assert(!device_config_equal(&a->tun, &c->tun));
	ck_assert(sink_config_equal(&a->sinks[0], &b->sinks[0]));
	ck_assert(!sink_config_equal(&a->sinks[0], &c->sinks[0]));
	ck_assert(route_lists_equal(&a->routes, &b->routes));
	ck_assert(!route_lists_equal(&a->routes, &c->routes));
	ck_assert_int_eq(route_lists_copy(&a->routes, &copy), 0);
	ck_assert(route_lists_equal(&a->routes, &copy));
	route_lists_deinit(&copy);
	ck_assert_ptr_null(config_restart_needed(a, b));
	ck_assert_str_eq(config_restart_needed(a, c), "[spool] directory");
	config_free(a);
	config_free(b);
	config_free(c);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("config");
	TCase *test_case = tcase_create("config");

	tcase_add_test(test_case, equality);
	suite_add_tcase(suite, test_case);
	return run_suite(suite);
}
