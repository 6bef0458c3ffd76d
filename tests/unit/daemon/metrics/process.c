/* SPDX-License-Identifier: BSD-3-Clause */
/* What a process tells of itself, beside what it knows otherwise. */

#include "daemon/metrics/process.h"

#include "common/buffer.h"

#include <check.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

static long long value_of(const char *name)
{
	_cleanup_buffer_ struct buffer text = {};
	const char *found;
	char line[64];

	metrics_write_process(&text, "");
	buffer_append_char(&text, '\0');
	ck_assert_int_eq(buffer_error(&text), 0);
	snprintf(line, sizeof(line), " gauge\n%s ", name);
	found = strstr(text.data, line);
	return found ? strtoll(found + strlen(line), NULL, 10) : -1;
}

START_TEST(descriptors)
{
	long long before = value_of("process_open_fds");
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	struct rlimit limit;

	ck_assert_int_ge(fd, 0);
	ck_assert_int_ge(before, 3);
	ck_assert_int_eq(value_of("process_open_fds"), before + 1);
	close(fd);
	ck_assert_int_eq(value_of("process_open_fds"), before);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	limit.rlim_cur = 123;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	ck_assert_int_eq(value_of("process_max_fds"), 123);
}
END_TEST

START_TEST(names_may_have_a_prefix)
{
	_cleanup_buffer_ struct buffer text = {};

	metrics_write_process(&text, "other_");
	buffer_append_char(&text, '\0');
	ck_assert_int_eq(buffer_error(&text), 0);
	ck_assert_ptr_nonnull(
		strstr(text.data, "# TYPE other_process_threads gauge\nother_process_threads 1\n"));
	ck_assert_ptr_null(strstr(text.data, " process_"));
	ck_assert_ptr_null(strstr(text.data, "\nprocess_"));
}
END_TEST

START_TEST(without_descriptors_the_rest_is_there)
{
	struct rlimit limit, none;
	long long values[3];

	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	none = (struct rlimit){.rlim_cur = 0, .rlim_max = limit.rlim_max};
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
	values[0] = value_of("process_open_fds");
	values[1] = value_of("process_threads");
	values[2] = value_of("process_max_fds");
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	ck_assert_int_eq(values[0], -1);
	ck_assert_int_eq(values[1], -1);
	ck_assert_int_eq(values[2], 0);
}
END_TEST

START_TEST(threads_and_memory)
{
	ck_assert_int_eq(value_of("process_threads"), 1);
	ck_assert_int_ge(value_of("process_virtual_memory_bytes"), 1 << 20);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("process");
	TCase *tcase = tcase_create("process");
	SRunner *runner;
	int failed;

	tcase_add_test(tcase, descriptors);
	tcase_add_test(tcase, names_may_have_a_prefix);
	tcase_add_test(tcase, without_descriptors_the_rest_is_there);
	tcase_add_test(tcase, threads_and_memory);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
