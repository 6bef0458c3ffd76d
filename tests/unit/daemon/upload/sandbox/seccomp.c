/* SPDX-License-Identifier: BSD-3-Clause */
/* System calls: each one that is forbidden is tried. */

#include "daemon/upload/sandbox/seccomp.h"

#include "common/cleanup.h"
#include "common/sanitizer.h"
#include "tests/unit/daemon/upload/sandbox/support.h"

#include <check.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static int check_execve(void)
{
	char *const arguments[] = {(char *)"true", NULL};

	execv("/bin/true", arguments);
	return 7;
}

static int try_fork(void)
{
	return syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0) < 0 && errno == EPERM ? 0 : 1;
}

static int check_ptrace(void)
{
	syscall(SYS_ptrace, 0, 0, 0, 0);
	return 7;
}

START_TEST(test_no_other_program)
{
	ck_assert_int_eq(sandbox_confined(check_execve), 256 + SIGSYS);
	ck_assert_int_eq(sandbox_confined(try_fork), 0);
	ck_assert_int_eq(sandbox_confined(check_ptrace), 256 + SIGSYS);
}
END_TEST

static int check_sockets(void)
{
	int families[] = {AF_INET, AF_INET6}, pair[2];

	for (size_t i = 0; i < ARRAY_SIZE(families); i++)
		if (socket(families[i], SOCK_STREAM | SOCK_CLOEXEC, 0) < 0)
			return 1;
	if (socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0) >= 0 || errno != EPERM)
		return 4;
	/* A pair of streams stays connected; datagram sockets can be reconnected, to any other socket. */
	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return 5;
	if (socketpair(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0, pair) >= 0 || errno != EPERM)
		return 6;
	if (socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, 0) >= 0 || errno != EPERM)
		return 2;
	if (socket(AF_VSOCK, SOCK_STREAM | SOCK_CLOEXEC, 0) >= 0 || errno != EPERM)
		return 3;
	return 0;
}

START_TEST(test_sockets)
{
	ck_assert_int_eq(sandbox_confined(check_sockets), 0);
}
END_TEST

static int check_memory(void)
{
	void *page = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (page == MAP_FAILED)
		return 1;
	if (mprotect(page, 4096, PROT_READ | PROT_EXEC) == 0 || errno != EPERM)
		return 2;
	if (mmap(NULL, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) !=
		    MAP_FAILED ||
	    errno != EPERM)
		return 3;
	return mprotect(page, 4096, PROT_READ) == 0 ? 0 : 4;
}

START_TEST(test_memory)
{
	ck_assert_int_eq(sandbox_confined(check_memory), 0);
}
END_TEST

static void *nothing(void *userdata)
{
	return userdata;
}

static int check_thread(void)
{
	pthread_t thread;
	void *result;

	if (pthread_create(&thread, NULL, nothing, sandbox_directory) != 0 ||
	    pthread_join(thread, &result) != 0)
		return 1;
	return result == sandbox_directory ? 0 : 2;
}

START_TEST(test_threads_are_allowed)
{
	ck_assert_int_eq(sandbox_confined(check_thread), 0);
}
END_TEST

static pid_t parent;

static int check_processes(void)
{
	struct rlimit limit = {};

	if (syscall(SYS_tgkill, getpid(), gettid(), 0) < 0 || getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return 1;
	if (kill(parent, 0) == 0 || errno != EPERM || syscall(SYS_tgkill, parent, parent, 0) == 0 ||
	    errno != EPERM)
		return 2;
	if (prlimit(parent, RLIMIT_NOFILE, &limit, NULL) == 0 || errno != EPERM)
		return 3;
	return 0;
}

START_TEST(test_other_processes)
{
	parent = getpid();
	ck_assert_int_eq(sandbox_confined(check_processes), 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("seccomp");
	TCase *tcase = tcase_create("seccomp");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tcase, sandbox_setup, NULL);
	/* Sanitizer builds have no filter (sandbox_enter()). */
	if (!SANITIZER_BUILD) {
		tcase_add_test(tcase, test_no_other_program);
		tcase_add_test(tcase, test_sockets);
		tcase_add_test(tcase, test_memory);
		tcase_add_test(tcase, test_other_processes);
	}
	tcase_add_test(tcase, test_threads_are_allowed);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed > 0;
}
