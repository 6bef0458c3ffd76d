/* SPDX-License-Identifier: BSD-3-Clause */
/* Where the IP header lies in an interface's packets, by its link type. */

#include "daemon/device/interface.h"
#include "common/cleanup.h"
#include "tests/unit/daemon/device/support/tunnel.h"

#include <check.h>
#include <errno.h>
#include <linux/if_tun.h>
#include <net/if_arp.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>

static struct tunnel tunnel;

static void setup(void)
{
	namespace_enter();
	tunnel_init(&tunnel, &(struct tunnel_options){});
	interface_set_up(tunnel.name, false);
}

static void teardown(void)
{
	tunnel_deinit(&tunnel);
}

/* What interface_find() says of a tun device of this link type: a length, or -errno. */
static int length_of(unsigned long type)
{
	struct interface interface = {};
	int r;

	ck_assert_int_eq(ioctl(tunnel.fds[0], TUNSETLINK, type), 0);
	r = interface_find(tunnel.name, &interface);
	return r < 0 ? r : (int)interface.l2_length;
}

/* The numbers are the kernel's (include/uapi/linux/if_arp.h): the types of ipip, ip6tnl, sit, gre and ip6gre
 * among them. */
START_TEST(without_a_header)
{
	static const unsigned long types[] = {256, 257, 258, 259, 512, 519, 768, 769, 776, 778, 823, 0xfffe};

	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		ck_assert_msg(length_of(types[i]) == 0, "link type %lu", types[i]);
}
END_TEST

START_TEST(ethernet)
{
	ck_assert_int_eq(length_of(ARPHRD_ETHER), 14);
	ck_assert_int_eq(length_of(ARPHRD_LOOPBACK), 14);
}
END_TEST

START_TEST(other_headers)
{
	static const unsigned long types[] = {ARPHRD_INFINIBAND, ARPHRD_IEEE1394, ARPHRD_IEEE802154,
					      ARPHRD_AX25, ARPHRD_PIMREG};

	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		ck_assert_int_eq(length_of(types[i]), -EOPNOTSUPP);
}
END_TEST

START_TEST(missing)
{
	struct interface interface;

	ck_assert_int_eq(interface_find("none0", &interface), -ENODEV);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("interface");
	TCase *tcase = tcase_create("all");
	SRunner *runner;
	int failed;

	if (!tunnel_is_possible()) {
		puts("skipped: no tun devices or namespaces here");
		return 77;
	}
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, without_a_header);
	tcase_add_test(tcase, ethernet);
	tcase_add_test(tcase, other_headers);
	tcase_add_test(tcase, missing);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
