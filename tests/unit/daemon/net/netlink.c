/* SPDX-License-Identifier: BSD-3-Clause */
/* Netlink answers: whole, cut, interrupted, abandoned, and wrong. */

#include "daemon/net/netlink.h"
#include "common/time_text.h"
#include "tests/unit/daemon/net/support.h"

#include <check.h>
#include <errno.h>
#include <libmnl/libmnl.h>
#include <limits.h>
#include <linux/rtnetlink.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TYPE 30

static unsigned int taken;

static int take(const struct nlmsghdr *message, void *userdata)
{
	ck_assert_uint_eq(message->nlmsg_type, TYPE);
	taken++;
	return userdata ? *(int *)userdata : 0;
}

static struct netlink_answer waiting(bool dump)
{
	taken = 0;
	return (struct netlink_answer){.port = 42, .sequence = 7, .dump = dump};
}

/* Appends a message to a datagram; returns its header. */
static struct nlmsghdr *append(char *datagram, size_t *n, uint16_t type, const void *payload, size_t size)
{
	struct nlmsghdr *message = (void *)(datagram + *n);

	memset(message, 0, sizeof(*message));
	message->nlmsg_len = (uint32_t)(sizeof(*message) + size);
	message->nlmsg_type = type;
	message->nlmsg_seq = 7;
	message->nlmsg_pid = 42;
	if (size)
		memcpy(message + 1, payload, size);
	*n += MNL_ALIGN(message->nlmsg_len);
	return message;
}

START_TEST(dump_in_two_datagrams)
{
	char datagram[512] __attribute__((aligned(8)));
	struct netlink_answer answer = waiting(true);
	size_t n = 0;
	int end = 0;

	append(datagram, &n, TYPE, "abcd", 4);
	append(datagram, &n, TYPE, NULL, 0);
	/* Another's, a no-op and an old answer are skipped. */
	append(datagram, &n, TYPE, NULL, 0)->nlmsg_pid = 43;
	append(datagram, &n, TYPE, NULL, 0)->nlmsg_seq = 6;
	append(datagram, &n, NLMSG_NOOP, NULL, 0);
	ck_assert_int_eq(netlink_answer_read(&answer, datagram, n, take, NULL), 0);
	ck_assert_uint_eq(taken, 2);
	ck_assert(!answer.done);
	n = 0;
	append(datagram, &n, TYPE, NULL, 0)->nlmsg_flags = NLM_F_DUMP_INTR;
	append(datagram, &n, NLMSG_DONE, &end, sizeof(end));
	append(datagram, &n, TYPE, NULL, 0);
	ck_assert_int_eq(netlink_answer_read(&answer, datagram, n, take, NULL), 0);
	ck_assert_uint_eq(taken, 3);
	ck_assert(answer.done);
	ck_assert(answer.interrupted);
}
END_TEST

START_TEST(errors)
{
	char datagram[512] __attribute__((aligned(8)));
	struct netlink_answer answer = waiting(true);
	int error = -ENODEV;
	size_t n = 0;

	append(datagram, &n, NLMSG_ERROR, &error, sizeof(error));
	ck_assert_int_eq(netlink_answer_read(&answer, datagram, n, take, NULL), -ENODEV);
	/* A dump may fail at its end. */
	n = 0;
	answer = waiting(true);
	append(datagram, &n, NLMSG_DONE, &error, sizeof(error));
	ck_assert_int_eq(netlink_answer_read(&answer, datagram, n, take, NULL), -ENODEV);
	/* The acknowledgement. */
	n = 0;
	error = 0;
	answer = waiting(false);
	append(datagram, &n, NLMSG_ERROR, &error, sizeof(error));
	ck_assert_int_eq(netlink_answer_read(&answer, datagram, n, take, NULL), 0);
	ck_assert(answer.done);
	/* A positive errno, and one that is cut off. */
	n = 0;
	error = 5;
	answer = waiting(false);
	append(datagram, &n, NLMSG_ERROR, &error, sizeof(error));
	ck_assert_int_eq(netlink_answer_read(&answer, datagram, n, take, NULL), -EBADMSG);
	n = 0;
	answer = waiting(false);
	append(datagram, &n, NLMSG_ERROR, &error, 2);
	ck_assert_int_eq(netlink_answer_read(&answer, datagram, n, take, NULL), -EBADMSG);
	/* An error of the callback ends it. */
	n = 0;
	error = -E2BIG;
	answer = waiting(true);
	append(datagram, &n, TYPE, NULL, 0);
	append(datagram, &n, TYPE, NULL, 0);
	ck_assert_int_eq(netlink_answer_read(&answer, datagram, n, take, &error), -E2BIG);
	ck_assert_uint_eq(taken, 1);
}
END_TEST

START_TEST(malformed)
{
	char datagram[512] __attribute__((aligned(8)));
	struct netlink_answer answer = waiting(true);
	size_t n = 0;

	append(datagram, &n, TYPE, "abcd", 4);
	for (size_t cut = 1; cut < n; cut++) {
		answer = waiting(true);
		ck_assert_int_eq(netlink_answer_read(&answer, datagram, cut, take, NULL),
				 cut > 3 ? -EBADMSG : 0);
		ck_assert_uint_eq(taken, 0);
	}
	((struct nlmsghdr *)datagram)->nlmsg_len = 15;
	ck_assert_int_eq(netlink_answer_read(&answer, datagram, n, take, NULL), -EBADMSG);
	((struct nlmsghdr *)datagram)->nlmsg_len = UINT32_MAX;
	ck_assert_int_eq(netlink_answer_read(&answer, datagram, n, take, NULL), -EBADMSG);
}
END_TEST

/* --- dumps from the kernel --- */

static int count_or_fail(const struct nlmsghdr *message, void *userdata)
{
	unsigned int *left = userdata;

	(void)message;
	return (*left)-- ? 0 : -E2BIG;
}

/* As on a busy machine, where a dump takes longer than each of its datagrams may. */
static int take_slowly(const struct nlmsghdr *message, void *userdata)
{
	int64_t until = time_now_boot() + 300 * NSEC_PER_USEC;

	while (time_now_boot() < until)
		;
	return count_or_fail(message, userdata);
}

static int dump_routes(struct netlink *netlink, int timeout_ms, netlink_message_fn message,
		       unsigned int *left)
{
	char buffer[NETLINK_REQUEST_MAX] __attribute__((aligned(8)));
	struct nlmsghdr *request = mnl_nlmsg_put_header(buffer);
	struct rtmsg *info;

	request->nlmsg_type = RTM_GETROUTE;
	request->nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
	info = mnl_nlmsg_put_extra_header(request, sizeof(*info));
	info->rtm_family = AF_INET;
	return netlink_request(netlink, request, timeout_ms, message, left, NULL);
}

/* The rest of an abandoned dump must not block the next one. */
START_TEST(abandoned_dump)
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

START_TEST(long_dump)
{
	_cleanup_(netlink_freep) struct netlink *netlink = NULL;
	unsigned int left = UINT_MAX;

	add_many_routes();
	ck_assert_int_eq(netlink_new(NETLINK_ROUTE, &netlink), 0);
	ck_assert_int_eq(dump_routes(netlink, 1000, take_slowly, &left), 0);
	ck_assert_uint_ge(UINT_MAX - left, 5000);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("netlink");
	TCase *tcase = tcase_create("all");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_test(tcase, dump_in_two_datagrams);
	tcase_add_test(tcase, errors);
	tcase_add_test(tcase, malformed);
	suite_add_tcase(suite, tcase);
	if (getuid() == 0) {
		TCase *dumps = tcase_create("dumps");

		tcase_add_checked_fixture(dumps, network_setup, NULL);
		tcase_set_timeout(dumps, 60);
		tcase_add_test(dumps, abandoned_dump);
		tcase_add_test(dumps, long_dump);
		suite_add_tcase(suite, dumps);
	} else {
		puts("skipped: dumps in a network namespace need root");
	}
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
