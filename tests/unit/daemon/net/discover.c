/* SPDX-License-Identifier: BSD-3-Clause */
/* Routes that are found in a network namespace. */

#include "daemon/net/discover.h"
#include "common/buffer.h"
#include "tests/unit/daemon/net/support.h"

#include <check.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
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

static void check_lists(struct discovery *discovery, const char *const *expected)
{
	_cleanup_buffer_ struct buffer buffer = {};
	struct route_lists lists = {};
	struct prefix_list tailnet = {};

	ck_assert_int_eq(discovery_get(discovery, &lists, &tailnet), 0);
	ck_assert_str_eq(list_text(&buffer, &lists.local_addrs), expected[0]);
	ck_assert_str_eq(list_text(&buffer, &lists.routes), expected[1]);
	ck_assert_str_eq(list_text(&buffer, &lists.subnet_routes), expected[2]);
	ck_assert_str_eq(list_text(&buffer, &tailnet), expected[3]);
	prefix_list_deinit(&tailnet);
	route_lists_deinit(&lists);
}

static void check_found(const char *interface, bool connected, const char *const *expected)
{
	_cleanup_(discovery_freep) struct discovery *discovery = NULL;
	struct discovery_changes changes;

	ck_assert_int_eq(discovery_new(interface, connected, &discovery), 0);
	ck_assert_int_eq(discovery_follow(discovery, &changes), 0);
	ck_assert(changes.all);
	check_lists(discovery, expected);
	discovery_changes_deinit(&changes);
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
	check_found("tun0", false,
		    (const char *const[]){"100.64.0.1/32 fd7a::1/128",
					  "0.0.0.0/0 10.9.0.0/16 10.10.0.0/16 10.11.0.0/16 100.64.0.0/24 "
					  "fd00:9::/32 fd7a::/64",
					  "", "100.64.0.0/24 fd7a::/64"});
	check_found("tun0", true,
		    (const char *const[]){"100.64.0.1/32 fd7a::1/128",
					  "0.0.0.0/0 10.9.0.0/16 10.10.0.0/16 10.11.0.0/16 "
					  "100.64.0.0/24 fd00:9::/32 fd7a::/64",
					  "192.168.7.0/24", "100.64.0.0/24 fd7a::/64"});
	check_found(NULL, true, (const char *const[]){"", "", "100.64.0.0/24 192.168.7.0/24 fd7a::/64", ""});
}
END_TEST

START_TEST(point_to_point)
{
	ip("address flush dev tun0");
	ip("address add 10.0.0.1 peer 10.0.0.2/32 dev tun0");
	check_found("tun0", false,
		    (const char *const[]){"10.0.0.1/32", "10.0.0.2/32", "", "10.0.0.1/32 10.0.0.2/32"});
}
END_TEST

START_TEST(no_interface)
{
	struct discovery *discovery = NULL;

	ck_assert_int_eq(discovery_new("none0", false, &discovery), -ENODEV);
	ck_assert_int_eq(discovery_new("a-name-of-more-than-16", false, &discovery), -ENODEV);
	ck_assert_ptr_null(discovery);
}
END_TEST

/* --- following --- */

static struct discovery *discovery;

static void end(void)
{
	discovery_free(discovery);
}

static void begin(const char *interface, bool connected)
{
	struct discovery_changes changes;

	ck_assert_int_eq(discovery_new(interface, connected, &discovery), 0);
	ck_assert_int_eq(discovery_follow(discovery, &changes), 0);
	discovery_changes_deinit(&changes);
}

static struct discovery_counters counters(void)
{
	struct discovery_counters counters;

	discovery_get_counters(discovery, &counters);
	return counters;
}

/* The destinations that came and went, as texts. */
static void check_changes(const char *came, const char *went)
{
	_cleanup_buffer_ struct buffer buffer = {};
	struct discovery_changes changes;

	ck_assert_int_eq(discovery_follow(discovery, &changes), 0);
	ck_assert_str_eq(list_text(&buffer, &changes.came), came);
	ck_assert_str_eq(list_text(&buffer, &changes.went), went);
	discovery_changes_deinit(&changes);
}

static void add_all(struct prefix_list *to, const struct prefix_list *from)
{
	for (size_t i = 0; i < from->n; i++)
		ck_assert_int_eq(prefix_list_add(to, &from->items[i]), 0);
	prefix_list_sort(to);
}

/* Follows until these have come and gone, some of them perhaps later than others: reading again may have to
 * wait for its share of the time. */
static void wait_for_changes(const char *expected_came, const char *expected_went)
{
	_cleanup_buffer_ struct buffer came_text = {}, went_text = {};
	struct prefix_list came = {}, went = {};

	for (int i = 0; i < 1000; i++) {
		struct discovery_changes changes;

		ck_assert_int_eq(discovery_follow(discovery, &changes), 0);
		add_all(&came, &changes.came);
		add_all(&went, &changes.went);
		discovery_changes_deinit(&changes);
		if (strcmp(list_text(&came_text, &came), expected_came) == 0 &&
		    strcmp(list_text(&went_text, &went), expected_went) == 0)
			break;
		poll(NULL, 0, 10);
	}
	ck_assert_str_eq(came_text.data, expected_came);
	ck_assert_str_eq(list_text(&went_text, &went), expected_went);
	prefix_list_deinit(&came);
	prefix_list_deinit(&went);
}

START_TEST(changes_are_followed_without_reading_again)
{
	struct discovery_counters before;

	begin("tun0", false);
	before = counters();
	ip("route add 10.9.0.0/16 dev tun0");
	check_changes("10.9.0.0/16", "");
	for (int i = 0; i < 20; i++) {
		ip("route del 10.9.0.0/16 dev tun0");
		ip("route add 10.8.0.0/16 via 192.168.7.9 dev lan0");
		ip("route add 10.9.0.0/16 dev tun0");
		ip("route del 10.8.0.0/16");
		check_changes("", "");
	}
	ip("route del 10.9.0.0/16");
	check_changes("", "10.9.0.0/16");
	/* Of other tables, of both families, of several next hops. */
	ip("route add 10.10.0.0/16 dev tun0 table 77");
	ip("-6 route add fd00:9::/32 dev tun0");
	ip("route add 10.11.0.0/16 nexthop dev tun0 nexthop dev lan0");
	ip("route add 10.10.0.0/16 dev tun0 table 78");
	check_changes("10.10.0.0/16 10.11.0.0/16 fd00:9::/32", "");
	ip("route del 10.10.0.0/16 table 77");
	ip("-6 route del fd00:9::/32");
	ip("route del 10.11.0.0/16");
	check_changes("", "10.11.0.0/16 fd00:9::/32");
	ck_assert_uint_eq(counters().dumps, before.dumps);
	/* The 40 changes of lan0's route did not even arrive. */
	ck_assert_uint_eq(counters().changes - before.changes, 1 + 40 + 1 + 7);
}
END_TEST

/* A replaced route is gone without a notification of its own. */
START_TEST(replaced)
{
	ip("route add 10.9.0.0/16 dev lan0");
	begin("tun0", false);
	ip("route replace 10.9.0.0/16 dev tun0");
	check_changes("10.9.0.0/16", "");
	ip("route replace 10.9.0.0/16 dev lan0");
	wait_for_changes("", "10.9.0.0/16");
	ip("route replace 10.9.0.0/16 dev tun0");
	check_changes("10.9.0.0/16", "");
	ip("route replace blackhole 10.9.0.0/16");
	wait_for_changes("", "10.9.0.0/16");
}
END_TEST

/* Two routes in one place: the first that goes does not take the second with it. */
START_TEST(two_in_one_place)
{
	begin("tun0", false);
	ip("route add 10.9.0.0/16 dev tun0 src 100.64.0.1");
	ip("route append 10.9.0.0/16 dev tun0");
	check_changes("10.9.0.0/16", "");
	ip("route del 10.9.0.0/16 dev tun0 src 100.64.0.1");
	check_changes("", "");
	ip("route del 10.9.0.0/16 dev tun0");
	wait_for_changes("", "10.9.0.0/16");
}
END_TEST

/* The kernel removes the routes of a link that goes down, and those with a source address that goes,
 * silently. */
START_TEST(removed_silently)
{
	ip("address add 192.168.7.77/24 dev lan0");
	ip("route add 10.9.0.0/16 dev tun0 src 192.168.7.77");
	ip("route add 10.10.0.0/16 dev tun0");
	begin("tun0", false);
	ip("address del 192.168.7.77/24 dev lan0");
	wait_for_changes("", "10.9.0.0/16");
	ip("-6 address flush dev tun0");
	ip("link set tun0 down");
	wait_for_changes("", "10.10.0.0/16 100.64.0.0/24 fd7a::/64");
}
END_TEST

START_TEST(interface_goes)
{
	struct discovery_changes changes;

	begin("tun0", false);
	/* Before Linux 6.2 only what is down gets another name. */
	ip("link set tun0 down");
	ip("link set tun0 name tun7");
	ck_assert_int_eq(discovery_follow(discovery, &changes), -ENODEV);
	discovery_free(discovery);
	begin("tun7", false);
	ip("link del tun7");
	ck_assert_int_eq(discovery_follow(discovery, &changes), -ENODEV);
}
END_TEST

/* Messages about a link have its first name, whatever name it was asked for by. */
START_TEST(alternative_name)
{
	struct discovery_changes changes;

	ip("link property add dev tun0 altname office.vpn");
	begin("office.vpn", false);
	ip("link set tun0 alias here");
	ck_assert_int_eq(discovery_follow(discovery, &changes), 0);
	discovery_changes_deinit(&changes);
	ip("link set tun0 down");
	ip("link set tun0 name tun7");
	ck_assert_int_eq(discovery_follow(discovery, &changes), -ENODEV);
}
END_TEST

START_TEST(addresses)
{
	struct discovery_changes changes;

	begin("tun0", true);
	ip("address add 10.1.1.1/24 dev tun0");
	ip("address add 10.2.2.2/24 dev lan0");
	ck_assert_int_eq(discovery_follow(discovery, &changes), 0);
	ck_assert(changes.all);
	discovery_changes_deinit(&changes);
	check_lists(discovery,
		    (const char *const[]){"10.1.1.1/32 100.64.0.1/32 fd7a::1/128",
					  "10.1.1.0/24 100.64.0.0/24 fd7a::/64", "10.2.2.0/24 192.168.7.0/24",
					  "10.1.1.0/24 100.64.0.0/24 fd7a::/64"});
}
END_TEST

/* --- nexthop objects --- */

START_TEST(nexthop_objects)
{
	write_sysctl("/proc/sys/net/ipv4/nexthop_compat_mode", _i ? "1" : "0");
	ip("nexthop add id 10 dev tun0");
	ip("nexthop add id 11 dev lan0");
	ip("nexthop add id 12 blackhole");
	ip("nexthop add id 5 group 10/11");
	ip("nexthop add id 6 group 11");
	ip("-6 nexthop add id 20 dev tun0");
	ip("route add 10.1.0.0/16 nhid 10");
	ip("route add 10.2.0.0/16 nhid 11");
	ip("route add 10.3.0.0/16 nhid 12");
	ip("route add 10.5.0.0/16 nhid 5");
	ip("route add 10.6.0.0/16 nhid 6");
	ip("-6 route add fd00:9::/32 nhid 20");
	begin("tun0", false);
	check_lists(discovery,
		    (const char *const[]){"100.64.0.1/32 fd7a::1/128",
					  "10.1.0.0/16 10.5.0.0/16 100.64.0.0/24 fd00:9::/32 fd7a::/64", "",
					  "100.64.0.0/24 fd7a::/64"});
	/* New ones, and routes that use them at once. */
	ip("nexthop add id 30 dev tun0");
	ip("nexthop add id 31 group 30");
	ip("route add 10.30.0.0/16 nhid 30");
	ip("route add 10.31.0.0/16 nhid 31");
	ip("-6 route add fd00:a::/32 nhid 20");
	check_changes("10.30.0.0/16 10.31.0.0/16 fd00:a::/32", "");
	ip("route del 10.31.0.0/16 nhid 31");
	check_changes("", "10.31.0.0/16");
	/* An object that leads elsewhere takes its routes with it, and those of its groups. */
	ip("nexthop replace id 10 dev lan0");
	wait_for_changes("", "10.1.0.0/16 10.5.0.0/16");
	ip("nexthop replace id 11 dev tun0");
	wait_for_changes("10.2.0.0/16 10.5.0.0/16 10.6.0.0/16", "");
	ip("nexthop replace id 30 blackhole");
	wait_for_changes("", "10.30.0.0/16");
	ip("nexthop del id 20");
	wait_for_changes("", "fd00:9::/32 fd00:a::/32");
}
END_TEST

/* --- many --- */

static void check_number(size_t n)
{
	struct discovery_changes changes;
	struct prefix_list tailnet = {};
	struct route_lists lists = {};

	ck_assert_int_eq(discovery_follow(discovery, &changes), 0);
	discovery_changes_deinit(&changes);
	ck_assert_int_eq(discovery_get(discovery, &lists, &tailnet), 0);
	ck_assert_uint_eq(lists.routes.n, n);
	prefix_list_deinit(&tailnet);
	route_lists_deinit(&lists);
}

/* More notifications than are kept: one reading finds what they said. */
START_TEST(missed_notifications)
{
	int size = 1;
	struct discovery_changes changes;

	begin("tun0", false);
	ck_assert_int_eq(setsockopt(discovery_fd(discovery), SOL_SOCKET, SO_RCVBUF, &size, sizeof(size)), 0);
	add_many_routes();
	for (int i = 0; i < 1000 && counters().dumps < 4; i++) {
		ck_assert_int_eq(discovery_follow(discovery, &changes), 0);
		discovery_changes_deinit(&changes);
		poll(NULL, 0, 10);
	}
	ck_assert_uint_ge(counters().missed, 1);
	ck_assert_uint_eq(counters().dumps, 4); /* both families, at the start and once again */
	check_number(2500 + 2);
}
END_TEST

START_TEST(many_routes)
{
	begin("tun0", false);
	add_many_routes();
	check_number(2500 + 2);
	ck_assert_uint_eq(counters().dumps, 2);
	/* Those of the other interface were not even looked at. */
	ck_assert_uint_eq(counters().changes, 2500);
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
	tcase_add_checked_fixture(tcase, network_setup, end);
	tcase_set_timeout(tcase, 60);
	tcase_add_test(tcase, found);
	tcase_add_test(tcase, point_to_point);
	tcase_add_test(tcase, no_interface);
	tcase_add_test(tcase, changes_are_followed_without_reading_again);
	tcase_add_test(tcase, replaced);
	tcase_add_test(tcase, two_in_one_place);
	tcase_add_test(tcase, removed_silently);
	tcase_add_test(tcase, interface_goes);
	tcase_add_test(tcase, alternative_name);
	tcase_add_test(tcase, addresses);
	tcase_add_loop_test(tcase, nexthop_objects, 0, 2);
	tcase_add_test(tcase, missed_notifications);
	tcase_add_test(tcase, many_routes);
	suite_add_tcase(suite, tcase);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
