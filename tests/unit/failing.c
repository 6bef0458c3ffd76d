/* SPDX-License-Identifier: BSD-3-Clause */
/* Fails in the way that is its argument, for test_scratch.py, with files in a directory of its own. */

#include "tests/unit/scratch.h"

#include <check.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *how;

START_TEST(fails)
{
	char directory[SCRATCH_MAX], below[SCRATCH_MAX + 8], file[SCRATCH_MAX];

	scratch_make(directory);
	close(scratch_make_file(file));
	snprintf(below, sizeof(below), "%s/below", directory);
	ck_assert_int_eq(mkdir(below, 0700), 0);
	printf("%s\n", directory);
	fflush(stdout);
	ck_assert_str_ne(how, "assert");
	if (strcmp(how, "crash") == 0)
		raise(SIGSEGV);
	for (;;)
		pause();
}
END_TEST

int main(int argc, char *argv[])
{
	Suite *suite = suite_create("failing");
	TCase *test_case = tcase_create("failing");
	SRunner *runner;
	int failed;

	if (argc != 2)
		return 2;
	how = argv[1];
	tcase_set_timeout(test_case, strcmp(how, "time out") == 0 ? 1 : 0);
	tcase_add_test(test_case, fails);
	suite_add_tcase(suite, test_case);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_SILENT);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed;
}
