/* SPDX-License-Identifier: BSD-3-Clause */
/* Files: what the uploader can open, and what it can't. */

#include "daemon/upload/sandbox/landlock.h"

#include "common/config/config.h"
#include "tests/unit/daemon/upload/sandbox/support.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>

/* 0 when opening says what is expected: 0 or an errno. */
static int try_open(const char *name, int flags, int expected)
{
	char path[SANDBOX_PATH_MAX];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", sandbox_directory, name);
	fd = open(path, flags | O_CLOEXEC, 0600);
	return (fd < 0 ? errno : 0) == expected ? 0 : 1;
}

static int check_files(void)
{
	if (try_open("upload/file", O_RDWR, 0) || try_open("upload/new", O_RDWR | O_CREAT, 0))
		return 1;
	/* What the configuration names comes from the broker; nothing else can be reached. */
	if (try_open("spool/file", O_RDONLY, EACCES) || try_open("spool/new", O_RDWR | O_CREAT, EACCES) ||
	    try_open("other/file", O_RDONLY, EACCES))
		return 2;
	if (open("/root", O_RDONLY | O_DIRECTORY | O_CLOEXEC) >= 0 || errno != EACCES)
		return 3;
	if (open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC) >= 0 || errno != EACCES)
		return 4;
	if (open("/etc/resolv.conf", O_RDONLY | O_CLOEXEC) < 0 && errno != ENOENT)
		return 5;
	if (open("/etc/passwd", O_RDONLY | O_CLOEXEC) >= 0 || errno != EACCES)
		return 7;
	if (open("/etc/netlogd-test", O_WRONLY | O_CREAT | O_CLOEXEC, 0600) >= 0 || errno != EACCES)
		return 6;
	return 0;
}

START_TEST(test_files)
{
	ck_assert_int_eq(sandbox_confined(check_files), 0);
}
END_TEST

START_TEST(test_needs_restart)
{
	char upload[SANDBOX_PATH_MAX], spool[SANDBOX_PATH_MAX], config_file[SANDBOX_PATH_MAX];
	struct sink_config file = {.path = (char *)"/var/x/a"};
	struct config old, new;

	sandbox_make_config(&old, upload, spool, config_file);
	new = old;
	ck_assert(!landlock_needs_restart(&old, &new));
	/* The broker opens it, wherever it is. */
	new.sinks = &file;
	new.n_sinks = 1;
	ck_assert(!landlock_needs_restart(&old, &new));
	new.metrics_listen = (char *)"127.0.0.1:9000";
	ck_assert(landlock_needs_restart(&old, &new));
	old.metrics_listen = new.metrics_listen;
	ck_assert(!landlock_needs_restart(&old, &new));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("landlock");
	TCase *tcase = tcase_create("landlock");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tcase, sandbox_setup, NULL);
	tcase_add_test(tcase, test_files);
	tcase_add_test(tcase, test_needs_restart);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed > 0;
}
