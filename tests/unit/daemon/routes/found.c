/* SPDX-License-Identifier: BSD-3-Clause */
/* Default routes in parts, and the networks in which a node's own addresses lie. */

#include "daemon/routes/found.h"

#include "tests/unit/daemon/record/support.h"

#include <stdlib.h>
#include <string.h>

static const char *text_of(struct prefix_list *list)
{
	static char text[4096];
	size_t n = 0;

	text[0] = '\0';
	for (size_t i = 0; i < list->n; i++) {
		if (i > 0)
			text[n++] = ' ';
		n += prefix_format(&list->items[i], text + n);
	}
	prefix_list_deinit(list);
	return text;
}

static void expect_rest(const char *routes_text, const char *expected)
{
	struct prefix_list routes = {}, rest = {};

	test_list_add(&routes, routes_text);
	prefix_list_sort(&routes);
	ck_assert_int_eq(found_without_default(&routes, &rest), 0);
	ck_assert_str_eq(text_of(&rest), expected);
	prefix_list_deinit(&routes);
}

static void expect_networks(const char *addresses_text, const char *routes_text, const char *expected)
{
	struct prefix_list addresses = {}, routes = {}, networks = {};

	test_list_add(&addresses, addresses_text);
	test_list_add(&routes, routes_text);
	ck_assert_int_eq(found_own_networks(&addresses, &routes, &networks), 0);
	ck_assert_str_eq(text_of(&networks), expected);
	prefix_list_deinit(&addresses);
	prefix_list_deinit(&routes);
}

#define ALL_BUT_10 "0.0.0.0/5 8.0.0.0/7 11.0.0.0/8 12.0.0.0/6 16.0.0.0/4 32.0.0.0/3 64.0.0.0/2 128.0.0.0/1"

START_TEST(parts_of_a_default_route)
{
	expect_rest("", "");
	expect_rest(ALL_BUT_10, "");
	/* What is narrower than a part, private, or one host, is a route like any other. */
	expect_rest(ALL_BUT_10 " 10.9.0.0/24 203.0.113.0/24 10.0.0.1/32",
		    "10.0.0.1/32 10.9.0.0/24 203.0.113.0/24");
	expect_rest("0.0.0.0/1 128.0.0.0/2 192.0.2.1/32 192.168.0.0/16 198.0.0.0/7",
		    "192.0.2.1/32 192.168.0.0/16");
	/* Exactly half is none, one part more makes it one. */
	expect_rest("0.0.0.0/2 128.0.0.0/2", "0.0.0.0/2 128.0.0.0/2");
	expect_rest("0.0.0.0/2 128.0.0.0/2 203.0.113.0/24", "");
	expect_rest("0.0.0.0/1", "0.0.0.0/1");
	/* What lies in another one adds nothing. */
	expect_rest("0.0.0.0/1 4.0.0.0/8 64.0.0.0/2", "0.0.0.0/1 4.0.0.0/8 64.0.0.0/2");
}
END_TEST

START_TEST(known_default_routes)
{
	expect_rest("0.0.0.0/0 203.0.113.0/24 ::/0", "0.0.0.0/0 203.0.113.0/24 ::/0");
	expect_rest("0.0.0.0/1 128.0.0.0/1 203.0.113.0/24", "0.0.0.0/1 128.0.0.0/1 203.0.113.0/24");
	expect_rest("::/1 8000::/1 2001:db8::/32", "::/1 2001:db8::/32 8000::/1");
}
END_TEST

START_TEST(parts_of_a_default_route_of_ipv6)
{
	expect_rest("::/3 2000::/4 3000::/4 fc00::/7", "fc00::/7");
	expect_rest("::/3 2000::/4 fc00::/7", "::/3 2000::/4 fc00::/7");
	expect_rest("2000::/3 fd00:8::/64", "fd00:8::/64");
	expect_rest("::/2 2001:db8::/32", "2001:db8::/32");
	expect_rest("2001:db8::/32 2001:db9::/32", "2001:db8::/32 2001:db9::/32");
	/* The families are apart. */
	expect_rest(ALL_BUT_10 " 2001:db8::/32", "2001:db8::/32");
}
END_TEST

START_TEST(networks_of_own_addresses)
{
	expect_networks("10.9.0.2 fd00:9::2", "10.9.0.0/24 10.0.0.0/8 10.1.0.0/16 fd00:9::/64",
			"10.9.0.0/24 fd00:9::/64");
	expect_networks("10.9.0.2", "10.9.0.0/16 10.9.0.2/32 10.9.0.7/32", "10.9.0.0/16");
	expect_networks("10.9.0.2", "0.0.0.0/0 0.0.0.0/1 8.0.0.0/7 10.1.0.0/16", "");
	expect_networks("10.9.0.2 fd00:9::2", "10.8.0.0/15 10.0.0.0/8 fd00:8::/31 fc00::/7 ::/0", "");
	expect_networks("fd00:9::2", "fd00:9::/48", "fd00:9::/48");
	expect_networks("", "10.9.0.0/24", "");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("found");
	TCase *tcase = tcase_create("all");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_test(tcase, parts_of_a_default_route);
	tcase_add_test(tcase, known_default_routes);
	tcase_add_test(tcase, parts_of_a_default_route_of_ipv6);
	tcase_add_test(tcase, networks_of_own_addresses);
	suite_add_tcase(suite, tcase);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
