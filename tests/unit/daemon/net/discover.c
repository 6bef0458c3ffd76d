/* SPDX-License-Identifier: BSD-3-Clause */
/* Routes that are found in a network namespace. */

#include "daemon/net/discover.h"
#include "common/buffer.h"
#include "tests/unit/daemon/net/support.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

static char *list_text(struct buffer *buffer, const struct prefix_list *list)
{
	char text[PREFIX_TEXT_MAX];

	buffer_reset(buffer);
	for (size_t i = 0; i < list->n; i++) {
		prefix_format(&list->items[i], text);
		buffer_printf(buffer, "%s%s", i ? " " : "", text);
	}
	buffer_append_char(buffer, '\0');
	return buffer->data;
}

static void check_found(const char *interface, const char *allowed, bool connected,
			const char *const *expected)
{
	_cleanup_buffer_ struct buffer buffer = {};
	struct prefix_list allowed_ips = {}, tailnet = {};
	struct route_lists lists = {};
	struct prefix prefix;

	if (allowed) {
		ck_assert_int_eq(prefix_parse(allowed, &prefix), 0);
		ck_assert_int_eq(prefix_list_add(&allowed_ips, &prefix), 0);
	}
	ck_assert_int_eq(discover_routes(interface, &allowed_ips, connected, &lists, &tailnet), 0);
	ck_assert_str_eq(list_text(&buffer, &lists.local_addrs), expected[0]);
	ck_assert_str_eq(list_text(&buffer, &lists.routes), expected[1]);
	ck_assert_str_eq(list_text(&buffer, &lists.subnet_routes), expected[2]);
	ck_assert_str_eq(list_text(&buffer, &tailnet), expected[3]);
	prefix_list_deinit(&allowed_ips);
	prefix_list_deinit(&tailnet);
	route_lists_deinit(&lists);
}

START_TEST(found)
{
	ip("route add 10.9.0.0/16 dev tun0");
	ip("route add 10.10.0.0/16 dev tun0 table 77");
	ip("route add default dev tun0 table 78");
	ip("route add blackhole 10.12.0.0/16");
	ip("route add 10.11.0.0/16 nexthop dev tun0 nexthop dev lan0");
	ip("route add 10.13.0.0/16 dev lan0");
	ip("route add local 10.14.0.1 dev tun0 table 80");
	ip("-6 route add fd00:9::/32 dev tun0 table 79");
	check_found("tun0", "100.64.0.9/32", false,
		    (const char *const[]){"100.64.0.1/32 fd7a::1/128",
					  "0.0.0.0/0 10.9.0.0/16 10.10.0.0/16 10.11.0.0/16 100.64.0.0/24 "
					  "fd00:9::/32 fd7a::/64",
					  "", "100.64.0.0/24 100.64.0.9/32 fd7a::/64"});
	check_found("tun0", "10.0.0.0/8", true,
		    (const char *const[]){"100.64.0.1/32 fd7a::1/128",
					  "0.0.0.0/0 10.9.0.0/16 10.10.0.0/16 10.11.0.0/16 "
					  "100.64.0.0/24 fd00:9::/32 fd7a::/64",
					  "192.168.7.0/24", "100.64.0.0/24 fd7a::/64"});
	check_found(NULL, "100.64.0.9/32", true,
		    (const char *const[]){"", "", "100.64.0.0/24 192.168.7.0/24 fd7a::/64", "100.64.0.9/32"});
}
END_TEST

START_TEST(point_to_point)
{
	ip("address flush dev tun0");
	ip("address add 10.0.0.1 peer 10.0.0.2/32 dev tun0");
	check_found("tun0", NULL, false,
		    (const char *const[]){"10.0.0.1/32", "10.0.0.2/32", "", "10.0.0.1/32 10.0.0.2/32"});
}
END_TEST

START_TEST(no_interface)
{
	struct prefix_list tailnet = {.n = 77};
	struct route_lists lists = {.routes.n = 77};

	ck_assert_int_eq(discover_routes("none0", NULL, false, &lists, &tailnet), -ENODEV);
	ck_assert_int_eq(discover_routes("a-name-of-more-than-16", NULL, false, &lists, &tailnet), -ENODEV);
	ck_assert_uint_eq(lists.routes.n, 77);
	ck_assert_uint_eq(tailnet.n, 77);
}
END_TEST

START_TEST(many_routes)
{
	struct prefix_list tailnet = {};
	struct route_lists lists = {};

	add_many_routes();
	ck_assert_int_eq(discover_routes("tun0", NULL, false, &lists, &tailnet), 0);
	ck_assert_uint_eq(lists.routes.n, 2500 + 2);
	prefix_list_deinit(&tailnet);
	route_lists_deinit(&lists);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("discover");
	TCase *tcase = tcase_create("all");
	SRunner *runner = srunner_create(suite);
	int failed;

	if (getuid() != 0) {
		puts("skipped: a network namespace of its own needs root");
		return 77;
	}
	tcase_add_checked_fixture(tcase, network_setup, NULL);
	tcase_set_timeout(tcase, 60);
	tcase_add_test(tcase, found);
	tcase_add_test(tcase, point_to_point);
	tcase_add_test(tcase, no_interface);
	tcase_add_test(tcase, many_routes);
	suite_add_tcase(suite, tcase);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
