/* SPDX-License-Identifier: BSD-3-Clause */
/* Routes that are found: in a network namespace of the test's own, with interfaces made by ip(8). */

#include "daemon/net/discover.h"
#include "common/buffer.h"
#include "common/time_text.h"
#include "daemon/net/link_monitor.h"
#include "daemon/net/netlink.h"
#include "daemon/net/rtnl.h"

#include <check.h>
#include <errno.h>
#include <event2/event.h>
#include <libmnl/libmnl.h>
#include <limits.h>
#include <linux/rtnetlink.h>
#include <sched.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

extern char **environ;

static void ip(const char *arguments)
{
	char command[256] = "ip ", *words[32] = {NULL}, *rest = NULL;
	size_t n = 0;
	pid_t child;
	int status;

	strncat(command, arguments, sizeof(command) - strlen(command) - 1);
	for (char *word = strtok_r(command, " ", &rest); word && n < 31; word = strtok_r(NULL, " ", &rest))
		words[n++] = word;
	ck_assert_int_eq(posix_spawnp(&child, "ip", NULL, NULL, words, environ), 0);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_msg(status == 0, "ip %s", arguments);
}

/* Check runs each test in a process of its own, which may have a namespace of its own. */
static void setup(void)
{
	ck_assert_int_eq(unshare(CLONE_NEWNET), 0);
	ip("link set lo up");
	ip("link add tun0 type veth peer name tun1");
	ip("link set tun1 up");
	ip("link set tun0 addrgenmode none");
	ip("address add 100.64.0.1/24 dev tun0");
	ip("address add fd7a::1/64 dev tun0 nodad");
	ip("link set tun0 up");
	ip("link add lan0 type veth peer name lan1");
	ip("link set lan1 up");
	ip("link set lan0 addrgenmode none");
	ip("address add 192.168.7.1/24 dev lan0");
	ip("link set lan0 up");
}

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

static void add_many_routes(void)
{
	char path[] = "/tmp/nlroutesXXXXXX", command[64];
	int fd = mkstemp(path);

	ck_assert_int_ge(fd, 0);
	for (int i = 0; i < 5000; i++)
		dprintf(fd, "route add 10.%d.%d.0/24 dev %s\n", i / 250, i % 250, i % 2 ? "tun0" : "lan0");
	close(fd);
	snprintf(command, sizeof(command), "-batch %s", path);
	ip(command);
	unlink(path);
}

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

static int count_or_fail(const struct nlmsghdr *message, void *userdata)
{
	unsigned int *left = userdata;

	(void)message;
	return (*left)-- ? 0 : -E2BIG;
}

/* As on a machine that is so busy that a dump takes longer than a part of it may. */
static int take_slowly(const struct nlmsghdr *message, void *userdata)
{
	int64_t until = time_now_boot() + 300 * NSEC_PER_USEC;

	while (time_now_boot() < until)
		;
	return count_or_fail(message, userdata);
}

static int dump_routes(struct netlink *netlink, int timeout_ms, netlink_message_fn take, unsigned int *left)
{
	char buffer[NETLINK_REQUEST_MAX] __attribute__((aligned(8)));
	struct nlmsghdr *request = mnl_nlmsg_put_header(buffer);
	struct rtmsg *info;

	request->nlmsg_type = RTM_GETROUTE;
	request->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	info = mnl_nlmsg_put_extra_header(request, sizeof(*info));
	info->rtm_family = AF_INET;
	return netlink_request(netlink, request, timeout_ms, take, left, NULL);
}

/* What is left of a dump that nobody wants to read on must not stand in the way of the next one. */
START_TEST(a_dump_that_is_given_up)
{
	_cleanup_(netlink_freep) struct netlink *netlink = NULL;
	unsigned int left;

	add_many_routes();
	ck_assert_int_eq(netlink_new(NETLINK_ROUTE, &netlink), 0);
	for (unsigned int i = 0; i < 3; i++) {
		left = i;
		ck_assert_int_eq(dump_routes(netlink, 10000, count_or_fail, &left), -E2BIG);
		left = UINT_MAX;
		ck_assert_int_eq(dump_routes(netlink, 10000, count_or_fail, &left), 0);
		ck_assert_uint_ge(UINT_MAX - left, 5000);
	}
}
END_TEST

START_TEST(a_dump_that_takes_long)
{
	_cleanup_(netlink_freep) struct netlink *netlink = NULL;
	unsigned int left = UINT_MAX;

	add_many_routes();
	ck_assert_int_eq(netlink_new(NETLINK_ROUTE, &netlink), 0);
	ck_assert_int_eq(dump_routes(netlink, 1000, take_slowly, &left), 0);
	ck_assert_uint_ge(UINT_MAX - left, 5000);
}
END_TEST

START_TEST(way)
{
	_cleanup_(rtnl_freep) struct rtnl *rtnl = NULL;
	struct rtnl_link tun, lan;
	struct address address;
	unsigned int index = 0;

	ck_assert_int_eq(rtnl_new(&rtnl), 0);
	ck_assert_int_eq(rtnl_get_link(rtnl, "tun0", 0, &tun), 0);
	ck_assert_int_eq(rtnl_get_link(rtnl, "lan0", 0, &lan), 0);
	ck_assert_str_eq(lan.kind, "veth");
	ck_assert_int_eq(address_parse("203.0.113.5", &address), 0);
	ck_assert_int_eq(rtnl_get_way(rtnl, &(struct rtnl_way_query){.destination = address}, &index),
			 -ENETUNREACH);
	/* As wg-quick does: everything into the tunnel but what bears the mark. */
	ip("route add default dev tun0 table 51820");
	ip("route add default dev lan0");
	ip("rule add not fwmark 51820 table 51820");
	ck_assert_int_eq(rtnl_get_way(rtnl, &(struct rtnl_way_query){.destination = address}, &index), 0);
	ck_assert_uint_eq(index, tun.index);
	ck_assert_int_eq(
		rtnl_get_way(rtnl, &(struct rtnl_way_query){.destination = address, .mark = 51820}, &index),
		0);
	ck_assert_uint_eq(index, lan.index);
	ck_assert_int_eq(rtnl_get_way(rtnl, &(struct rtnl_way_query){}, &index), -EINVAL);
}
END_TEST

static void on_change(void *userdata)
{
	++*(unsigned int *)userdata;
}

static unsigned int wait_for_change(struct event_base *base, unsigned int *changes)
{
	const struct timeval limit = {.tv_sec = 10};

	*changes = 0;
	event_base_loopexit(base, &limit);
	while (*changes == 0 && !event_base_got_exit(base))
		event_base_loop(base, EVLOOP_ONCE);
	return *changes;
}

START_TEST(changes_are_told)
{
	static const char *const changes[] = {
		"link add new0 type veth peer name new1",
		"link set new0 up",
		"link set new0 down",
		"link set new0 name newer0",
		"link set newer0 up",
		"address add 10.1.1.1/24 dev newer0",
		"-6 address add fd01::1/64 dev newer0",
		"route add 10.2.0.0/16 dev newer0",
		"rule add fwmark 7 table 7",
		"link del newer0",
	};
	struct event_base *base = event_base_new();
	struct link_monitor *monitor = NULL;
	unsigned int told = 0;

	ck_assert_int_eq(link_monitor_new(base, on_change, &told, &monitor), 0);
	for (size_t i = 0; i < ARRAY_SIZE(changes); i++) {
		/* One change may make several messages, which are all there when ip has ended. */
		while (event_base_loop(base, EVLOOP_NONBLOCK), told > 0)
			told = 0;
		ip(changes[i]);
		ck_assert_msg(wait_for_change(base, &told) > 0, "%s", changes[i]);
	}
	link_monitor_free(monitor);
	event_base_free(base);
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
	tcase_add_checked_fixture(tcase, setup, NULL);
	tcase_set_timeout(tcase, 60);
	tcase_add_test(tcase, found);
	tcase_add_test(tcase, point_to_point);
	tcase_add_test(tcase, no_interface);
	tcase_add_test(tcase, many_routes);
	tcase_add_test(tcase, a_dump_that_is_given_up);
	tcase_add_test(tcase, a_dump_that_takes_long);
	tcase_add_test(tcase, way);
	tcase_add_test(tcase, changes_are_told);
	suite_add_tcase(suite, tcase);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
