/* SPDX-License-Identifier: BSD-3-Clause */
/* Shared by the suites of common/. */

#include "tests/unit/common/support.h"

#include "common/cleanup.h"

#include <fcntl.h>
#include <ftw.h>
#include <string.h>
#include <sys/stat.h>

/* One for the case, made and removed by the process that all tests are forked from, and one in it per test.
 */
static char *case_directory, *directory;

int run_suite(Suite *suite)
{
	SRunner *runner = srunner_create(suite);
	int failed;

	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed > 0;
}

static void set_up_case(void)
{
	const char *parent = getenv("TMPDIR");

	ck_assert_int_gt(asprintf(&case_directory, "%s/netlogd-test-XXXXXX", parent ? parent : "/tmp"), 0);
	ck_assert_ptr_nonnull(mkdtemp(case_directory));
}

static void set_up_test(void)
{
	ck_assert_int_gt(asprintf(&directory, "%s/XXXXXX", case_directory), 0);
	ck_assert_ptr_nonnull(mkdtemp(directory));
}

static void tear_down_test(void)
{
	free(directory);
	directory = NULL;
}

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *walk)
{
	(void)status;
	(void)type;
	(void)walk;
	return remove(path);
}

static void tear_down_case(void)
{
	nftw(case_directory, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
	free(case_directory);
	case_directory = NULL;
}

void add_directory(TCase *test_case)
{
	tcase_add_unchecked_fixture(test_case, set_up_case, tear_down_case);
	tcase_add_checked_fixture(test_case, set_up_test, tear_down_test);
}

const char *test_directory(void)
{
	return directory;
}

char *path_in(const char *name)
{
	char *path;

	ck_assert_int_gt(asprintf(&path, "%s/%s", directory, name), 0);
	return path;
}

void make_file(const char *path, const char *content, unsigned int mode)
{
	_cleanup_close_ int fd = -1;

	unlink(path);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, content, strlen(content)), (ssize_t)strlen(content));
	ck_assert_int_eq(fchmod(fd, mode), 0);
}
