/* SPDX-License-Identifier: BSD-3-Clause */
/* The log: what is written to standard error. */

#include "common/log.h"
#include "common/cleanup.h"
#include "common/file.h"
#include "tests/unit/common/support.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

/* Puts a new file in place of standard error; the test runs in a process of its own. */
static char *redirect(void)
{
	char *path = path_in("stderr");
	_cleanup_close_ int fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(dup2(fd, STDERR_FILENO), STDERR_FILENO);
	unsetenv("JOURNAL_STREAM");
	return path;
}

static void assert_written(const char *path, const char *expected)
{
	_cleanup_free_ char *text = NULL;

	ck_assert_int_eq(file_read(AT_FDCWD, path, 10000, &text, NULL, NULL), 0);
	ck_assert_str_eq(text, expected);
}

START_TEST(test_levels)
{
	_cleanup_free_ char *path = redirect();
	enum log_level level;

	program_invocation_short_name = (char *)"prog";
	ck_assert_int_eq(log_get_level(), LOG_LEVEL_INFO);
	log_debug("not %d", 1);
	log_info("a %s", "b");
	log_set_level(LOG_LEVEL_ERROR);
	log_warning("not");
	log_error("c");
	ck_assert_int_eq(log_level_parse("debug", &level), 0);
	log_set_level(level);
	log_debug("d");
	log_warning("e");
	assert_written(path, "prog: info: a b\nprog: error: c\nprog: debug: d\nprog: warning: e\n");
	ck_assert_int_eq(log_level_parse("loud", &level), -EINVAL);
	ck_assert_int_eq(level, LOG_LEVEL_DEBUG);
	ck_assert_str_eq(log_level_name(LOG_LEVEL_WARNING), "warning");
}
END_TEST

START_TEST(test_journal)
{
	_cleanup_free_ char *path = redirect();
	struct stat status;
	char stream[64];

	ck_assert_int_eq(fstat(STDERR_FILENO, &status), 0);
	snprintf(stream, sizeof(stream), "%ju:%ju", (uintmax_t)status.st_dev, (uintmax_t)status.st_ino);
	setenv("JOURNAL_STREAM", stream, 1);
	log_warning("a");
	log_info("b");
	setenv("JOURNAL_STREAM", "1:2", 1);
	program_invocation_short_name = (char *)"prog";
	log_info("c");
	assert_written(path, "<4>a\n<6>b\nprog: info: c\n");
}
END_TEST

START_TEST(test_lines)
{
	_cleanup_free_ char *path = redirect(), *text = NULL;
	char longer[3000];
	size_t size;

	program_invocation_short_name = (char *)"prog";
	errno = ENOENT;
	log_error("a\nb\x1b[31m\u202ec\u2028\xff: %m");
	ck_assert_int_eq(errno, ENOENT);
	assert_written(path, "prog: error: a?b?[31m?c??: No such file or directory\n");
	memset(longer, 'x', sizeof(longer) - 1);
	longer[sizeof(longer) - 1] = '\0';
	ck_assert_int_eq(ftruncate(STDERR_FILENO, 0), 0);
	ck_assert_int_eq(lseek(STDERR_FILENO, 0, SEEK_SET), 0);
	log_error("%s", longer);
	ck_assert_int_eq(file_read(AT_FDCWD, path, 10000, &text, &size, NULL), 0);
	ck_assert_uint_eq(size, 1024);
	ck_assert_int_eq(text[1023], '\n');
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("log");
	TCase *test_case = tcase_create("log");

	add_directory(test_case);
	tcase_add_test(test_case, test_levels);
	tcase_add_test(test_case, test_journal);
	tcase_add_test(test_case, test_lines);
	suite_add_tcase(suite, test_case);
	return run_suite(suite);
}
