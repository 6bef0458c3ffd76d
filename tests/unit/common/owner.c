/* SPDX-License-Identifier: BSD-3-Clause */
/* Files that root makes for others, and what is said of those that are not given. */

#include "common/owner.h"

#include "common/cleanup.h"
#include "tests/unit/common/support.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* Nobody has these. */
#define USER  54321
#define GROUP 54322

static struct stat status_of(const char *path)
{
	struct stat st;

	ck_assert_int_eq(lstat(path, &st), 0);
	return st;
}

/* Makes a file and gives it to the owner of its directory. */
static struct stat give(const char *name, const char *second_name)
{
	_cleanup_free_ char *path = path_in(name), *link_path = path_in("second");
	_cleanup_close_ int directory = open(test_directory(), O_RDONLY | O_DIRECTORY | O_CLOEXEC), fd = -1;
	struct stat st;

	fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	ck_assert_int_ge(fd, 0);
	if (second_name)
		ck_assert_int_eq(link(path, link_path), 0);
	ck_assert_int_eq(owner_give(fd, directory), 0);
	st = status_of(path);
	unlink(link_path);
	unlink(path);
	return st;
}

START_TEST(test_give)
{
	struct stat st;

	st = give("file", NULL);
	ck_assert_uint_eq(st.st_uid, 0);
	ck_assert_int_eq(chown(test_directory(), USER, GROUP), 0);
	st = give("file", NULL);
	ck_assert_uint_eq(st.st_uid, USER);
	ck_assert_uint_eq(st.st_gid, GROUP);
	st = give("file", "second");
	ck_assert_uint_eq(st.st_uid, 0);
	ck_assert_int_eq(chown(test_directory(), 0, 0), 0);
}
END_TEST

/* What another user is told of a path. */
static char *told(const char *path)
{
	_cleanup_free_ char *text = NULL;
	char buffer[512] = "";
	int pipes[2], status;
	pid_t pid;

	ck_assert_int_eq(pipe2(pipes, O_CLOEXEC), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		int fd = -1;

		if (setresgid(GROUP, GROUP, GROUP) < 0 || setresuid(USER, USER, USER) < 0)
			_exit(1);
		fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
		text = fd < 0 ? owner_error_text(path, -errno) : strdup("opened");
		_exit(text && write(pipes[1], text, strlen(text)) > 0 ? 0 : 1);
	}
	close(pipes[1]);
	ck_assert_int_gt(read(pipes[0], buffer, sizeof(buffer) - 1), 0);
	close(pipes[0]);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	return strdup(buffer);
}

static void assert_told(const char *path, const char *denying, const char *mode)
{
	_cleanup_free_ char *text = told(path), *expected = NULL;

	ck_assert_int_gt(
		asprintf(&expected,
			 "Permission denied: %s belongs to root (mode %s), this process to user 54321",
			 denying, mode),
		0);
	ck_assert_str_eq(text, expected);
}

START_TEST(test_denied)
{
	_cleanup_free_ char *file = path_in("lock"), *directory = path_in("inner"),
			    *inner = path_in("inner/lock"), *parent = path_in("..");

	/* The way to the directory is open. */
	ck_assert_int_eq(chmod(parent, 0711), 0);
	ck_assert_int_eq(chmod(test_directory(), 0755), 0);
	/* The directory that would hold it, the file, a directory on the way. */
	assert_told(file, test_directory(), "0755");
	make_file(file, "", 0600);
	assert_told(file, file, "0600");
	ck_assert_int_eq(mkdir(directory, 0700), 0);
	make_file(inner, "", 0644);
	assert_told(inner, directory, "0700");
	ck_assert_int_eq(chmod(parent, 0700), 0);
}
END_TEST

START_TEST(test_other_errors)
{
	_cleanup_free_ char *text = owner_error_text("/nowhere/lock", -ENOENT);
	_cleanup_free_ char *full = owner_error_text("/tmp/lock", ENOSPC);

	ck_assert_str_eq(text, "No such file or directory");
	ck_assert_str_eq(full, "No space left on device");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("owner");
	TCase *test_case = tcase_create("owner");

	if (geteuid() != 0) {
		puts("only root can make files for other users");
		return 77;
	}
	add_directory(test_case);
	tcase_add_test(test_case, test_give);
	tcase_add_test(test_case, test_denied);
	tcase_add_test(test_case, test_other_errors);
	suite_add_tcase(suite, test_case);
	return run_suite(suite);
}
