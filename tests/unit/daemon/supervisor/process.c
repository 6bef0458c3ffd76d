/* SPDX-License-Identifier: BSD-3-Clause */
/* The uploader as a child: what it is given, when it is restarted, and that it is gone afterwards. */

#include "daemon/supervisor/process.h"

#include "common/cleanup.h"
#include "common/log.h"
#include "tests/unit/control/support.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct fixture {
	struct event_base *base;
	struct uploader_process *process;
	int socket;
	unsigned int n_started, n_asked;
	int spool_error; /* 0: the spool directory opens */
	char said[512];
	struct event *heard;
};

static struct fixture f;

static int open_spool(void *userdata)
{
	struct fixture *fixture = userdata;

	fixture->n_asked++;
	if (fixture->spool_error)
		return fixture->spool_error;
	return open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static void on_heard(evutil_socket_t fd, short what, void *userdata)
{
	struct fixture *fixture = userdata;
	ssize_t n = read(fd, fixture->said, sizeof(fixture->said) - 1);

	(void)what;
	if (n > 0)
		fixture->said[n] = '\0';
	else
		event_del(fixture->heard);
}

static void forget_socket(struct fixture *fixture)
{
	if (fixture->heard)
		event_free(TAKE_PTR(fixture->heard));
	fixture->socket = safe_close(fixture->socket);
	fixture->said[0] = '\0';
}

static void on_started(int fd, void *userdata)
{
	struct fixture *fixture = userdata;

	forget_socket(fixture);
	fixture->socket = fd;
	fixture->n_started++;
	fixture->heard = event_new(fixture->base, fd, EV_READ | EV_PERSIST, on_heard, fixture);
	ck_assert_ptr_nonnull(fixture->heard);
	ck_assert_int_eq(event_add(fixture->heard, NULL), 0);
}

static void setup(void)
{
	f = (struct fixture){.base = event_base_new(), .socket = -1};
	ck_assert_ptr_nonnull(f.base);
	log_set_level(LOG_LEVEL_ERROR);
	/* Those that the suite was started with. */
	ck_assert_int_eq(close_range(3, ~0U, CLOSE_RANGE_CLOEXEC), 0);
}

static void teardown(void)
{
	uploader_process_free(f.process);
	forget_socket(&f);
	event_base_free(f.base);
}

static void start(void)
{
	struct uploader_process_options options = {
		.config_file = "/etc/first",
		.open_spool = open_spool,
		.started = on_started,
		.userdata = &f,
	};

	ck_assert_int_eq(uploader_process_new(f.base, &options, &f.process), 0);
}

static void tell(const char *command)
{
	f.said[0] = '\0';
	ck_assert_int_eq(write(f.socket, command, 1), 1);
}

START_TEST(test_child_is_given_two_descriptors_and_no_more)
{
	_cleanup_close_ int other = open("/dev/null", O_RDONLY | O_CLOEXEC);
	sigset_t mask;
	pid_t pid;

	ck_assert_int_ge(other, 0);
	sigemptyset(&mask);
	sigaddset(&mask, SIGUSR1);
	ck_assert_int_eq(sigprocmask(SIG_BLOCK, &mask, NULL), 0);
	start();
	ck_assert_uint_eq(f.n_started, 1);
	pid = uploader_process_pid(f.process);
	ck_assert_int_gt(pid, 0);
	ck_assert_int_eq(kill(pid, 0), 0);
	turn_until(f.base, f.said[0]);
	ck_assert_str_eq(f.said, "/etc/first own clear 34");
	uploader_process_free(TAKE_PTR(f.process));
	ck_assert_int_eq(kill(pid, 0), -1);
	ck_assert_int_eq(errno, ESRCH);
}
END_TEST

START_TEST(test_child_is_restarted)
{
	static const char *const ends[] = {"0", "3", "k"};

	start();
	for (unsigned int i = 0; i < ARRAY_SIZE(ends); i++) {
		pid_t pid = uploader_process_pid(f.process);

		turn_until(f.base, f.said[0]);
		if (i == 1)
			uploader_process_set_config(f.process, "/etc/second");
		tell(ends[i]);
		turn_until(f.base, f.n_started == i + 2);
		ck_assert_int_eq(kill(pid, 0), -1);
		ck_assert_uint_eq(uploader_process_restarts(f.process), i + 1);
	}
	turn_until(f.base, f.said[0]);
	ck_assert_str_eq(f.said, "/etc/second own clear 34");
}
END_TEST

START_TEST(test_start_is_retried)
{
	f.spool_error = -ENOSPC;
	start();
	ck_assert_uint_eq(f.n_asked, 1);
	ck_assert_uint_eq(f.n_started, 0);
	ck_assert_int_eq(uploader_process_pid(f.process), 0);
	turn_until(f.base, f.n_asked == 2);
	ck_assert_uint_eq(f.n_started, 0);
	f.spool_error = 0;
	turn_until(f.base, f.n_started == 1);
	ck_assert_uint_eq(f.n_asked, 3);
	ck_assert_uint_eq(uploader_process_restarts(f.process), 2);
}
END_TEST

START_TEST(test_child_that_ignores_the_signal_is_killed)
{
	pid_t pid;

	start();
	pid = uploader_process_pid(f.process);
	turn_until(f.base, f.said[0]);
	tell("i");
	turn_until(f.base, strcmp(f.said, "ignored") == 0);
	uploader_process_free(TAKE_PTR(f.process));
	ck_assert_int_eq(kill(pid, 0), -1);
	ck_assert_int_eq(errno, ESRCH);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("process");
	TCase *tcase = tcase_create("process");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, test_child_is_given_two_descriptors_and_no_more);
	tcase_add_test(tcase, test_child_is_restarted);
	tcase_add_test(tcase, test_start_is_retried);
	tcase_add_test(tcase, test_child_that_ignores_the_signal_is_killed);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
