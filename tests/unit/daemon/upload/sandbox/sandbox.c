/* SPDX-License-Identifier: BSD-3-Clause */
/* What the confinement takes away, apart from files and system calls. */

#include "daemon/upload/sandbox/sandbox.h"

#include "common/cleanup.h"
#include "tests/unit/daemon/upload/sandbox/support.h"

#include <check.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

static int check_privileges(void)
{
	char line[256];
	FILE *status = fopen("/proc/self/status", "re");
	int zeros = 0;

	if (!status)
		return 1;
	while (fgets(line, sizeof(line), status)) {
		if (strncmp(line, "CapEff:\t0000000000000000", 24) == 0 ||
		    strncmp(line, "CapPrm:\t0000000000000000", 24) == 0 ||
		    strncmp(line, "CapInh:\t0000000000000000", 24) == 0 ||
		    strncmp(line, "CapAmb:\t0000000000000000", 24) == 0 ||
		    strncmp(line, "NoNewPrivs:\t1", 13) == 0)
			zeros++;
	}
	fclose(status);
	return zeros == 5 ? 0 : 2;
}

START_TEST(test_privileges)
{
	ck_assert_int_eq(sandbox_confined(check_privileges), 0);
}
END_TEST

START_TEST(test_descriptors)
{
	int kept = open("/dev/null", O_RDONLY | O_CLOEXEC), other = open("/dev/null", O_RDONLY | O_CLOEXEC);
	int status;
	pid_t pid = fork();

	if (pid == 0) {
		const int keep[] = {-1, kept};

		sandbox_close_descriptors(keep, ARRAY_SIZE(keep));
		if (fcntl(kept, F_GETFD) < 0)
			_exit(1);
		_exit(fcntl(other, F_GETFD) >= 0 ? 2 : fcntl(1, F_GETFD) < 0 ? 3 : 0);
	}
	ck_assert_int_eq(waitpid(pid, &status, 0), pid);
	ck_assert_int_eq(status, 0);
	close(kept);
	close(other);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("sandbox");
	TCase *tcase = tcase_create("sandbox");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tcase, sandbox_setup, NULL);
	tcase_add_test(tcase, test_privileges);
	tcase_add_test(tcase, test_descriptors);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed > 0;
}
