/* SPDX-License-Identifier: BSD-3-Clause */
/* The kernel's counters of UDP sockets that had no room. */

#include "daemon/device/wireguard/socket_drops.h"

#include <check.h>
#include <stdlib.h>

#define NAMES                                                                                                \
	"\nUdp: InDatagrams NoPorts InErrors OutDatagrams RcvbufErrors SndbufErrors InCsumErrors MemErrors"

START_TEST(both_families)
{
	ck_assert_uint_eq(socket_drops_parse("Ip: Forwarding\nIp: 1" NAMES "\nUdp: 9 8 7 6 5 4 3 2\n"
					     "UdpLite: RcvbufErrors\nUdpLite: 100\n",
					     "Ip6InReceives 5\nUdp6InErrors 3\nUdp6RcvbufErrors      \t10\n"
					     "Udp6MemErrors 20\nUdpLite6RcvbufErrors 7\n"),
			  5 + 2 + 10 + 20);
	ck_assert_uint_eq(socket_drops_parse("Ip: 1" NAMES "\nUdp: 9 8 7 6 5 4 3 2\n", ""), 7);
	ck_assert_uint_ne(socket_drops_read(), UINT64_MAX);
}
END_TEST

START_TEST(what_is_not_there_is_not_known)
{
	ck_assert_uint_eq(socket_drops_parse("", "Udp6RcvbufErrors 10\n"), UINT64_MAX);
	ck_assert_uint_eq(socket_drops_parse("Ip: 1" NAMES, ""), UINT64_MAX);
	ck_assert_uint_eq(socket_drops_parse("Ip: 1" NAMES "\nUdp: 9 x", ""), UINT64_MAX);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("socket_drops");
	TCase *tcase = tcase_create("all");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_test(tcase, both_families);
	tcase_add_test(tcase, what_is_not_there_is_not_known);
	suite_add_tcase(suite, tcase);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
