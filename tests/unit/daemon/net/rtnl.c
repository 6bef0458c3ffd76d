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
	suite_add_tcase(suite, tcase);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
