/* Shared by the suites of common/. */

#include "tests/unit/common/support.h"

#include "common/cleanup.h"

#include <fcntl.h>
#include <ftw.h>
#include <string.h>
#include <sys/stat.h>

int run_suite(const char *name, const TTest *const *tests, size_t n)
{
	Suite *suite = suite_create(name);
	TCase *test_case = tcase_create(name);
	SRunner *runner;
	int failed;

	tcase_set_timeout(test_case, 60);
	for (size_t i = 0; i < n; i++)
		tcase_add_test(test_case, tests[i]);
	suite_add_tcase(suite, test_case);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed > 0;
}

char *path_in(const char *directory, const char *name)
{
	char *path;

	ck_assert_int_gt(asprintf(&path, "%s/%s", directory, name), 0);
	return path;
}

char *directory_make(void)
{
	const char *parent = getenv("TMPDIR");
	char *path = path_in(parent ? parent : "/tmp", "netlogd-test-XXXXXX");

	ck_assert_ptr_nonnull(mkdtemp(path));
	return path;
}

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *walk)
{
	(void)status;
	(void)type;
	(void)walk;
	return remove(path);
}

void directory_remove(char *path)
{
	if (path)
		nftw(path, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
	free(path);
}

void file_make(const char *path, const char *content, unsigned int mode)
{
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, content, strlen(content)), (ssize_t)strlen(content));
	ck_assert_int_eq(fchmod(fd, mode), 0);
}
