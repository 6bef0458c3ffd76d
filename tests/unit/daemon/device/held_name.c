/* SPDX-License-Identifier: BSD-3-Clause */
#include "daemon/device/held_name.h"
#include "common/cleanup.h"

#include <check.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static char name[64];

static void choose_name(void)
{
	snprintf(name, sizeof(name), "netlogd-test:%d", (int)getpid());
}

START_TEST(one_holder)
{
	_cleanup_close_ int again = -1;
	int fd = -1, other = -1;

	choose_name();
	ck_assert_int_eq(held_name_ask(name), 0);
	ck_assert_int_eq(held_name_take(name, &fd), 0);
	ck_assert_int_eq(held_name_ask(name), 1);
	/* Longer and shorter ones are others. */
	name[strlen(name) - 1] = '\0';
	ck_assert_int_eq(held_name_ask(name), 0);
	choose_name();
	ck_assert_int_eq(held_name_take(name, &other), -EADDRINUSE);
	ck_assert_int_eq(other, -1);
	close(fd);
	ck_assert_int_eq(held_name_ask(name), 0);
	ck_assert_int_eq(held_name_take(name, &again), 0);
}
END_TEST

START_TEST(until_a_process_is_killed)
{
	int ready[2], status;
	char byte;
	pid_t child;

	choose_name();
	ck_assert_int_eq(pipe(ready), 0);
	child = fork();
	ck_assert_int_ge(child, 0);
	if (child == 0) {
		int fd;

		close(ready[0]);
		if (held_name_take(name, &fd) == 0 && write(ready[1], "", 1) == 1)
			pause();
		_exit(1);
	}
	close(ready[1]);
	ck_assert_int_eq(read(ready[0], &byte, 1), 1);
	ck_assert_int_eq(held_name_ask(name), 1);
	kill(child, SIGKILL);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(held_name_ask(name), 0);
	close(ready[0]);
}
END_TEST

START_TEST(a_name_that_is_too_long)
{
	char longer[200];
	int fd = -1;

	memset(longer, 'x', sizeof(longer));
	longer[sizeof(longer) - 1] = '\0';
	ck_assert_int_eq(held_name_take(longer, &fd), -ENAMETOOLONG);
	ck_assert_int_eq(held_name_ask(longer), -ENAMETOOLONG);
	ck_assert_int_eq(fd, -1);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("held_name");
	TCase *tcase = tcase_create("held_name");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_test(tcase, one_holder);
	tcase_add_test(tcase, until_a_process_is_killed);
	tcase_add_test(tcase, a_name_that_is_too_long);
	suite_add_tcase(suite, tcase);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
