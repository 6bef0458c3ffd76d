/* SPDX-License-Identifier: BSD-3-Clause */
/* Links, and the devices that datagrams leave by, in a network namespace. */

#include "daemon/net/rtnl.h"
#include "tests/unit/daemon/net/support.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

START_TEST(find_device)
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
	ck_assert_int_eq(rtnl_find_device(rtnl, &(struct rtnl_datagram){.destination = address}, &index),
			 -ENETUNREACH);
	/* As wg-quick does: everything into the tunnel except what has the mark. */
	ip("route add default dev tun0 table 51820");
	ip("route add default dev lan0");
	ip("rule add not fwmark 51820 table 51820");
	ck_assert_int_eq(rtnl_find_device(rtnl, &(struct rtnl_datagram){.destination = address}, &index), 0);
	ck_assert_uint_eq(index, tun.index);
	ck_assert_int_eq(rtnl_find_device(rtnl,
					  &(struct rtnl_datagram){.destination = address, .mark = 51820},
					  &index),
			 0);
	ck_assert_uint_eq(index, lan.index);
	ck_assert_int_eq(rtnl_find_device(rtnl, &(struct rtnl_datagram){}, &index), -EINVAL);
}
END_TEST

/* Routes by nexthop objects; without the kernel's compatible mode the answers name nothing but the object. */
START_TEST(find_device_by_object)
{
	_cleanup_(rtnl_freep) struct rtnl *rtnl = NULL;
	struct rtnl_datagram datagrams[2] = {};
	struct rtnl_link tun, lan;
	unsigned int index;

	write_sysctl("/proc/sys/net/ipv4/nexthop_compat_mode", _i ? "1" : "0");
	ck_assert_int_eq(rtnl_new(&rtnl), 0);
	ck_assert_int_eq(rtnl_get_link(rtnl, "tun0", 0, &tun), 0);
	ck_assert_int_eq(rtnl_get_link(rtnl, "lan0", 0, &lan), 0);
	ck_assert_int_eq(address_parse("203.0.113.5", &datagrams[0].destination), 0);
	ck_assert_int_eq(address_parse("2001:db8::5", &datagrams[1].destination), 0);
	ip("nexthop add id 1 via 100.64.0.9 dev tun0");
	ip("nexthop add id 2 via 192.168.7.9 dev lan0");
	ip("nexthop add id 3 via fd7a::9 dev tun0");
	ip("nexthop add id 4 blackhole");
	ip("nexthop add id 10 group 2/1");
	ip("route add 203.0.113.0/24 nhid 10");
	ip("-6 route add 2001:db8::/32 nhid 3");
	ip("route add 203.0.113.77/32 nhid 4");
	for (size_t i = 0; i < ARRAY_SIZE(datagrams); i++) {
		index = 0;
		datagrams[i].device = tun.index;
		ck_assert_int_eq(rtnl_find_device(rtnl, &datagrams[i], &index), 0);
		ck_assert_uint_eq(index, tun.index);
	}
	datagrams[0].device = datagrams[1].device = lan.index;
	ck_assert_int_eq(rtnl_find_device(rtnl, &datagrams[0], &index), 0);
	ck_assert_uint_eq(index, lan.index);
	/* Not the object's. */
	ck_assert_int_lt(rtnl_find_device(rtnl, &datagrams[1], &index), 0);
	/* Only one is left in the group. */
	ip("nexthop del id 1");
	ck_assert_int_eq(rtnl_find_device(rtnl, &datagrams[0], &index), 0);
	datagrams[0].device = tun.index;
	ck_assert_int_lt(rtnl_find_device(rtnl, &datagrams[0], &index), 0);
	ck_assert_int_eq(address_parse("203.0.113.77", &datagrams[0].destination), 0);
	ck_assert_int_lt(rtnl_find_device(rtnl, &datagrams[0], &index), 0);
	/* Any device. */
	datagrams[1].device = 0;
	ck_assert_int_eq(rtnl_find_device(rtnl, &datagrams[1], &index), 0);
	ck_assert_uint_eq(index, tun.index);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("rtnl");
	TCase *tcase = tcase_create("all");
	SRunner *runner = srunner_create(suite);
	int failed;

	if (getuid() != 0) {
		puts("skipped: a network namespace of its own needs root");
		return 77;
	}
	tcase_add_checked_fixture(tcase, network_setup, NULL);
	tcase_set_timeout(tcase, 60);
	tcase_add_test(tcase, find_device);
	tcase_add_loop_test(tcase, find_device_by_object, 0, 2);
	suite_add_tcase(suite, tcase);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
