/* SPDX-License-Identifier: BSD-3-Clause */
/* Shared by the suites of common/. */

#include "tests/unit/common/support.h"

#include "common/cleanup.h"
#include "tests/unit/scratch.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

static char directory[SCRATCH_MAX];

int run_suite(Suite *suite)
{
	SRunner *runner = srunner_create(suite);
	int failed;

	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed > 0;
}

static void make_directory(void)
{
	scratch_make(directory);
}

void add_directory(TCase *test_case)
{
	tcase_add_checked_fixture(test_case, make_directory, NULL);
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
