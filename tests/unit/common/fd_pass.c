/* SPDX-License-Identifier: BSD-3-Clause */
/* Requests, and descriptors as replies; a socket keeps what is sent before the other side asks for it. */

#include "common/fd_pass.h"

#include "common/cleanup.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

static int ours, theirs;

static void setup(void)
{
	ck_assert_int_eq(fd_pass_pair(&ours, &theirs), 0);
	ck_assert_int_eq(fcntl(ours, F_GETFD), FD_CLOEXEC);
	ck_assert_int_eq(fcntl(theirs, F_GETFD), FD_CLOEXEC);
}

static void teardown(void)
{
	safe_close(ours);
	safe_close(theirs);
}

START_TEST(test_descriptors_in_their_order)
{
	char request[FD_PASS_REQUEST_MAX + 1];
	int sent[FD_PASS_MAX], got[FD_PASS_MAX];

	for (size_t i = 0; i < FD_PASS_MAX; i++)
		sent[i] = open(i == 0 ? "/dev/null" : "/dev/zero", O_RDONLY | O_CLOEXEC);
	ck_assert_int_eq(fd_pass_reply(theirs, 7, sent), 0);
	ck_assert_int_eq(fd_pass_request(ours, "path", 4, got), 7);
	ck_assert_int_eq(fd_pass_receive(theirs, request), 4);
	ck_assert_str_eq(request, "path");
	for (size_t i = 0; i < FD_PASS_MAX; i++) {
		struct stat expected, st;

		ck_assert_int_eq(fcntl(got[i], F_GETFD), FD_CLOEXEC);
		ck_assert_int_eq(fstat(sent[i], &expected), 0);
		ck_assert_int_eq(fstat(got[i], &st), 0);
		ck_assert_uint_eq(st.st_rdev, expected.st_rdev);
		close(sent[i]);
		close(got[i]);
	}
}
END_TEST

START_TEST(test_results_without_descriptors)
{
	const int none[FD_PASS_MAX] = {-1, -1};
	int got[FD_PASS_MAX];

	ck_assert_int_eq(fd_pass_reply(theirs, 0, none), 0);
	ck_assert_int_eq(fd_pass_reply(theirs, -ENOENT, none), 0);
	ck_assert_int_eq(fd_pass_request(ours, "a", 1, got), 0);
	ck_assert_int_eq(got[0], -1);
	ck_assert_int_eq(got[1], -1);
	ck_assert_int_eq(fd_pass_request(ours, "b", 1, got), -ENOENT);
}
END_TEST

START_TEST(test_long_requests)
{
	static char path[1 << 22], request[FD_PASS_REQUEST_MAX + 1];
	const int none[FD_PASS_MAX] = {-1, -1};
	int got[FD_PASS_MAX];

	memset(path, 'x', sizeof(path));
	ck_assert_int_eq(fd_pass_reply(theirs, 0, none), 0);
	ck_assert_int_eq(fd_pass_request(ours, path, FD_PASS_REQUEST_MAX, got), 0);
	ck_assert_int_eq(fd_pass_receive(theirs, request), FD_PASS_REQUEST_MAX);
	ck_assert_uint_eq(strlen(request), FD_PASS_REQUEST_MAX);
	/* Half a path would be another path. */
	ck_assert_int_eq(fd_pass_reply(theirs, 0, none), 0);
	ck_assert_int_eq(fd_pass_request(ours, path, FD_PASS_REQUEST_MAX + 1, got), 0);
	ck_assert_int_gt(fd_pass_receive(theirs, request), 0);
	ck_assert_str_eq(request, "");
	/* More than the socket takes is not sent, and the socket can still be used. */
	ck_assert_int_eq(fd_pass_request(ours, path, sizeof(path), got), -EMSGSIZE);
	ck_assert_int_eq(fd_pass_reply(theirs, 1, none), 0);
	ck_assert_int_eq(fd_pass_request(ours, "a", 1, got), 1);
}
END_TEST

START_TEST(test_other_side_is_gone)
{
	char request[FD_PASS_REQUEST_MAX + 1];
	int got[FD_PASS_MAX];

	theirs = safe_close(theirs);
	ck_assert_int_eq(fd_pass_request(ours, "a", 1, got), -EPIPE);
	ck_assert_int_eq(fd_pass_receive(ours, request), 0);
}
END_TEST

START_TEST(test_nonsense_for_a_reply)
{
	const int none[FD_PASS_MAX] = {-1, -1};
	int got[FD_PASS_MAX];

	ck_assert_int_eq(send(theirs, "ab", 2, MSG_NOSIGNAL), 2);
	ck_assert_int_eq(fd_pass_reply(theirs, 0, none), 0);
	ck_assert_int_eq(fd_pass_request(ours, "a", 1, got), -EPROTO);
	/* What is still on its way must not be taken for the next reply. */
	ck_assert_int_eq(fd_pass_request(ours, "b", 1, got), -EPIPE);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("fd_pass");
	TCase *tcase = tcase_create("fd_pass");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, test_descriptors_in_their_order);
	tcase_add_test(tcase, test_results_without_descriptors);
	tcase_add_test(tcase, test_long_requests);
	tcase_add_test(tcase, test_other_side_is_gone);
	tcase_add_test(tcase, test_nonsense_for_a_reply);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed > 0;
}
