/* SPDX-License-Identifier: BSD-3-Clause */
/* Where paths lead, through links and through directories that the uploader's user can write. */

#include "daemon/upload/broker/path.h"

#include "tests/unit/daemon/upload/broker/support.h"

#include <check.h>
#include <string.h>

/* What opening a secret gives: its text, or the error as text. */
static const char *read_secret(const char *name)
{
	static char text[64];
	ssize_t n;
	int fd;

	sinks[0].password_file = path_of(name);
	start_broker();
	fd = broker_open_secret(broker, sinks[0].password_file);
	broker_free(broker);
	broker = NULL;
	if (fd < 0)
		return strerrorname_np(-fd);
	n = read(fd, text, sizeof(text) - 1);
	close(fd);
	ck_assert_int_ge(n, 0);
	text[n] = '\0';
	return text;
}

START_TEST(test_roots_secret)
{
	make_link("secret", "closed/link", 0);
	make_link("../closed/./link", "closed/second", 0);
	make_link(path_of("closed/second"), "absolute", 0);
	make_link("loop", "closed/loop", 0);
	ck_assert_str_eq(read_secret("closed/secret"), "secret");
	/* Links of root's are followed, as those of certificates must be. */
	ck_assert_str_eq(read_secret("closed/link"), "secret");
	ck_assert_str_eq(read_secret("closed/second"), "secret");
	ck_assert_str_eq(read_secret("absolute"), "secret");
	ck_assert_str_eq(read_secret("closed/loop"), "ELOOP");
	ck_assert_str_eq(read_secret("closed/missing"), "ENOENT");
	ck_assert_str_eq(read_secret("closed/secret/below"), "ENOTDIR");
}
END_TEST

START_TEST(test_their_directory)
{
	make_file("closed/theirs/own", "own", 0600, THEIRS);
	make_link("../secret", "closed/theirs/link", THEIRS);
	make_link("..", "closed/theirs/directory", THEIRS);
	/* On the way of a path that the operator meant to be root's. */
	make_link("theirs/link", "closed/there", 0);
	ck_assert_str_eq(read_secret("closed/theirs/own"), "own");
	ck_assert_str_eq(read_secret("closed/theirs/link"), "EACCES");
	ck_assert_str_eq(read_secret("closed/theirs/directory/secret"), "EACCES");
	ck_assert_str_eq(read_secret("closed/there"), "EACCES");
	ck_assert_str_eq(read_secret("closed/theirs/../secret"), "EACCES");
}
END_TEST

START_TEST(test_sticky_directory)
{
	make_file("sticky/roots", "roots", 0600, 0);
	make_link(path_of("closed/secret"), "sticky/link", THEIRS);
	make_link(path_of("closed/secret"), "sticky/roots-link", 0);
	ck_assert_str_eq(read_secret("sticky/roots"), "roots");
	ck_assert_str_eq(read_secret("sticky/roots-link"), "secret");
	ck_assert_str_eq(read_secret("sticky/link"), "EACCES");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("path");
	TCase *tcase = tcase_create("path");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tcase, broker_setup, broker_teardown);
	tcase_add_test(tcase, test_roots_secret);
	if (getuid() == 0) {
		tcase_add_test(tcase, test_their_directory);
		tcase_add_test(tcase, test_sticky_directory);
	} else {
		printf("path: skipped: directories of another user, which take root\n");
	}
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed > 0;
}
