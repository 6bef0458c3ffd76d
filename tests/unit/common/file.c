/* SPDX-License-Identifier: BSD-3-Clause */
/* Atomic replacement and bounded reading. */

#include "common/file.h"
#include "common/cleanup.h"
#include "tests/unit/common/support.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

/* How many names the test's directory holds: no temporary file may be left. */
static unsigned int count_names(void)
{
	DIR *directory = opendir(test_directory());
	struct dirent *entry;
	unsigned int n = 0;

	ck_assert_ptr_nonnull(directory);
	while ((entry = readdir(directory)))
		n += entry->d_name[0] != '.';
	closedir(directory);
	return n;
}

static void assert_content(const char *path, const char *content, mode_t mode)
{
	_cleanup_free_ char *data = NULL;
	size_t size;
	mode_t actual;

	ck_assert_int_eq(file_read(AT_FDCWD, path, 100, &data, &size, &actual), 0);
	ck_assert_uint_eq(size, strlen(content));
	ck_assert_str_eq(data, content);
	ck_assert_uint_eq(actual, mode);
}

START_TEST(test_write)
{
	_cleanup_free_ char *path = path_in("file");
	mode_t old = umask(0077);

	ck_assert_int_eq(file_write_atomic(AT_FDCWD, path, "one", 3, 0640), 0);
	assert_content(path, "one", 0640);
	ck_assert_int_eq(file_write_atomic(AT_FDCWD, path, "second", 6, 0604), 0);
	assert_content(path, "second", 0604);
	ck_assert_int_eq(file_replace(AT_FDCWD, path, "third", 5, 0644), 0);
	assert_content(path, "third", 0644);
	ck_assert_uint_eq(count_names(), 1);
	umask(old);
}
END_TEST

START_TEST(test_write_relative)
{
	_cleanup_close_ int directory = open(test_directory(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	_cleanup_free_ char *path = path_in("file");
	_cleanup_free_ char *data = NULL;

	ck_assert_int_eq(file_write_atomic(directory, "file", "x", 1, 0600), 0);
	assert_content(path, "x", 0600);
	ck_assert_int_eq(file_read(directory, "file", 100, &data, NULL, NULL), 0);
	ck_assert_str_eq(data, "x");
}
END_TEST

START_TEST(test_write_failure)
{
	_cleanup_free_ char *path = path_in("directory");
	_cleanup_free_ char *missing = path_in("missing/file");

	/* A directory cannot be replaced: it stays, and nothing else is left. */
	ck_assert_int_eq(mkdir(path, 0700), 0);
	ck_assert_int_eq(file_write_atomic(AT_FDCWD, path, "x", 1, 0600), -EISDIR);
	ck_assert_int_eq(file_write_atomic(AT_FDCWD, missing, "x", 1, 0600), -ENOENT);
	ck_assert_uint_eq(count_names(), 1);
}
END_TEST

/* A write that fails in the middle leaves the old content and nothing beside it. */
START_TEST(test_write_refused)
{
	_cleanup_free_ char *path = path_in("file");
	struct rlimit limit;

	ck_assert_int_eq(file_write_atomic(AT_FDCWD, path, "old", 3, 0600), 0);
	ck_assert_int_eq(getrlimit(RLIMIT_FSIZE, &limit), 0);
	ck_assert_ptr_ne(signal(SIGXFSZ, SIG_IGN), SIG_ERR);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &(struct rlimit){5, limit.rlim_max}), 0);
	ck_assert_int_eq(file_write_atomic(AT_FDCWD, path, "0123456789", 10, 0600), -EFBIG);
	ck_assert_int_eq(setrlimit(RLIMIT_FSIZE, &limit), 0);
	assert_content(path, "old", 0600);
	ck_assert_uint_eq(count_names(), 1);
}
END_TEST

START_TEST(test_create)
{
	_cleanup_free_ char *path = path_in("file"), *link = path_in("link");

	ck_assert_int_eq(file_create_atomic(AT_FDCWD, path, "one", 3, 0600), 0);
	ck_assert_int_eq(file_create_atomic(AT_FDCWD, path, "two", 3, 0600), -EEXIST);
	assert_content(path, "one", 0600);
	/* not through a link to nowhere either */
	ck_assert_int_eq(symlink("nowhere", link), 0);
	ck_assert_int_eq(file_create_atomic(AT_FDCWD, link, "two", 3, 0600), -EEXIST);
	ck_assert_uint_eq(count_names(), 2);
}
END_TEST

START_TEST(test_lock)
{
	_cleanup_free_ char *path = path_in("lock");
	_cleanup_close_ int first = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600),
			    second = open(path, O_RDWR | O_CLOEXEC);
	int held[2], release[2], status;
	char byte;
	pid_t pid;

	ck_assert_int_eq(file_lock(first), 0);
	ck_assert_int_eq(file_lock(first), 0);
	ck_assert_int_eq(file_lock(second), -EWOULDBLOCK);
	ck_assert_int_eq(file_lock(-1), -EBADF);

	/* What a killed process leaves to a child that has not executed its program yet: it goes in a moment.
	 */
	ck_assert_int_eq(pipe2(held, O_CLOEXEC), 0);
	ck_assert_int_eq(pipe2(release, O_CLOEXEC), 0);
	pid = fork();
	ck_assert_int_ge(pid, 0);
	if (pid == 0) {
		close(release[1]);
		if (write(held[1], "h", 1) != 1 || read(release[0], &byte, 1) != 0)
			_exit(1);
		_exit(0);
	}
	ck_assert_int_eq(read(held[0], &byte, 1), 1);
	close(release[0]);
	first = safe_close(first);
	close(release[1]);
	ck_assert_int_eq(file_lock(second), 0);
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	close(held[0]);
	close(held[1]);
}
END_TEST

START_TEST(test_remove_temporary)
{
	static const char *const names[] = {
		"a",
		"a.tmp-0123456789abcdef",
		"b.tmp-0123456789abcde",
		"b.tmp-0123456789abcdeg",
		".tmp-0123456789abcdef",
		"aa",
		"b.tmp-fedcba9876543210",
		"a.tmp-0123456789abcdef.json",
	};
	_cleanup_close_ int fd = open(test_directory(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		ck_assert_int_eq(file_create_atomic(fd, names[i], "", 0, 0600), 0);
	file_remove_temporary(fd, "a");
	ck_assert_int_eq(faccessat(fd, names[1], F_OK, 0), -1);
	ck_assert_int_eq(faccessat(fd, names[6], F_OK, 0), 0);
	file_remove_temporary(fd, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		ck_assert_int_eq(faccessat(fd, names[i], F_OK, 0), i == 1 || i == 6 ? -1 : 0);
	/* Not a directory, or a bad descriptor: nothing happens. */
	file_remove_temporary(-1, NULL);
}
END_TEST

START_TEST(test_read)
{
	_cleanup_free_ char *path = path_in("file"), *fifo = path_in("fifo");
	char *data = NULL;
	size_t size = 42;

	ck_assert_int_eq(file_read(AT_FDCWD, path, 100, &data, &size, NULL), -ENOENT);
	ck_assert_int_eq(file_read(AT_FDCWD, test_directory(), 100, &data, &size, NULL), -EISDIR);
	ck_assert_int_eq(mkfifo(fifo, 0600), 0);
	ck_assert_int_eq(file_read(AT_FDCWD, fifo, 100, &data, &size, NULL), -EINVAL);
	make_file(path, "12345", 0600);
	ck_assert_int_eq(file_read(AT_FDCWD, path, 4, &data, &size, NULL), -EFBIG);
	ck_assert_ptr_null(data);
	ck_assert_uint_eq(size, 42);
	ck_assert_int_eq(file_read(AT_FDCWD, path, 5, &data, &size, NULL), 0);
	ck_assert_uint_eq(size, 5);
	free(data);
	make_file(path, "", 0600);
	ck_assert_int_eq(file_read(AT_FDCWD, path, 0, &data, &size, NULL), 0);
	ck_assert_uint_eq(size, 0);
	ck_assert_str_eq(data, "");
	free(data);
}
END_TEST

START_TEST(test_read_at)
{
	_cleanup_free_ char *path = path_in("file");
	_cleanup_close_ int fd = -1;
	char data[8] = "-------";
	size_t n = 0;

	make_file(path, "0123456789", 0600);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(read_at(fd, data, 4, 2, &n), 0);
	ck_assert_uint_eq(n, 4);
	ck_assert_str_eq(data, "2345---");
	ck_assert_int_eq(read_at(fd, data, 4, 8, &n), 0);
	ck_assert_uint_eq(n, 2);
	ck_assert_str_eq(data, "8945---");
	ck_assert_int_eq(read_at(fd, data, 4, 10, &n), 0);
	ck_assert_uint_eq(n, 0);
	n = 99;
	ck_assert_int_eq(read_at(-1, data, 4, 0, &n), -EBADF);
	ck_assert_uint_eq(n, 99);
}
END_TEST

START_TEST(test_read_large)
{
	_cleanup_free_ char *path = path_in("file"), *text = malloc(100001), *data = NULL;
	size_t size;

	for (size_t i = 0; i < 100000; i++)
		text[i] = (char)('a' + i % 26);
	text[100000] = '\0';
	make_file(path, text, 0600);
	ck_assert_int_eq(file_read(AT_FDCWD, path, 100000, &data, &size, NULL), 0);
	ck_assert_uint_eq(size, 100000);
	ck_assert_str_eq(data, text);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("file");
	TCase *test_case = tcase_create("file");

	add_directory(test_case);
	tcase_add_test(test_case, test_write);
	tcase_add_test(test_case, test_write_relative);
	tcase_add_test(test_case, test_write_failure);
	tcase_add_test(test_case, test_write_refused);
	tcase_add_test(test_case, test_create);
	tcase_add_test(test_case, test_lock);
	tcase_add_test(test_case, test_remove_temporary);
	tcase_add_test(test_case, test_read);
	tcase_add_test(test_case, test_read_at);
	tcase_add_test(test_case, test_read_large);
	suite_add_tcase(suite, test_case);
	return run_suite(suite);
}
