/* SPDX-License-Identifier: BSD-3-Clause */
/* Secrets in files: what is read of them, and which are refused. */

#include "daemon/upload/credentials/secret.h"

#include "tests/unit/scratch.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void expect(const char *content, size_t size, mode_t mode, int result, const char *expected)
{
	char path[SCRATCH_MAX];
	_cleanup_(wipe_freep) char *secret = NULL;
	int fd = scratch_make_file(path);

	ck_assert_int_eq(write(fd, content, size), (ssize_t)size);
	ck_assert_int_eq(fchmod(fd, mode), 0);
	close(fd);
	ck_assert_int_eq(secret_read(NULL, path, &secret), result);
	if (expected)
		ck_assert_str_eq(secret, expected);
	else
		ck_assert_ptr_null(secret);
}

START_TEST(test_line_ends_are_cut)
{
	expect("token", 5, 0600, 0, "token");
	expect("token\n", 6, 0600, 0, "token");
	expect("token\r\n", 7, 0400, 0, "token");
	expect(" to ken ", 8, 0600, 0, " to ken ");
	expect("t\xc3\xb6ken", 6, 0600, 0, "t\xc3\xb6ken");
}
END_TEST

START_TEST(test_refused)
{
	static char large[4097];

	memset(large, 'x', sizeof(large));
	expect("token", 5, 0640, -EPERM, NULL);
	expect("token", 5, 0604, -EPERM, NULL);
	expect("", 0, 0600, -EINVAL, NULL);
	expect("\n", 1, 0600, -EINVAL, NULL);
	expect("to\nken", 6, 0600, -EINVAL, NULL);
	expect("token\n\n", 7, 0600, -EINVAL, NULL);
	expect("to\0ken", 6, 0600, -EINVAL, NULL);
	expect("to\x7fken", 6, 0600, -EINVAL, NULL);
	expect(large, sizeof(large), 0600, -EFBIG, NULL);
	expect(large, sizeof(large) - 1, 0640, -EPERM, NULL);
}
END_TEST

/* systemd's credentials: 0440, which is the mask of an access control list. */
START_TEST(test_credentials_of_the_service_manager)
{
	char root[SCRATCH_MAX], path[128], link_path[128];
	const char *const names[] = {"", "-other", "/below"};
	_cleanup_(wipe_freep) char *secret = NULL;

	scratch_make(root);
	snprintf(link_path, sizeof(link_path), "%s/link", root);
	snprintf(path, sizeof(path), "%s/unit", root);
	ck_assert_int_eq(setenv("CREDENTIALS_DIRECTORY", path, 1), 0);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		int fd;

		snprintf(path, sizeof(path), "%s/unit%s", root, names[i]);
		ck_assert_int_eq(mkdir(path, 0700), 0);
		snprintf(path, sizeof(path), "%s/unit%s/token", root, names[i]);
		fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0440);
		ck_assert_int_ge(fd, 0);
		ck_assert_int_eq(write(fd, "token", 5), 5);
		close(fd);
		/* The directory, not what its name begins like. */
		ck_assert_int_eq(secret_read(NULL, path, &secret), i == 1 ? -EPERM : 0);
		secret = wipe_free(secret);
		/* By whatever way it is reached. */
		ck_assert_int_eq(symlink(path, link_path), 0);
		ck_assert_int_eq(secret_read(NULL, link_path, &secret), i == 1 ? -EPERM : 0);
		secret = wipe_free(secret);
		unlink(link_path);
	}
	unsetenv("CREDENTIALS_DIRECTORY");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("secret");
	TCase *tcase = tcase_create("secret");
	SRunner *runner;
	int failed;

	tcase_add_test(tcase, test_line_ends_are_cut);
	tcase_add_test(tcase, test_refused);
	tcase_add_test(tcase, test_credentials_of_the_service_manager);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed > 0;
}
