/* SPDX-License-Identifier: BSD-3-Clause */
/* Reading from a socket that answers, and from those that do not. */

#include "daemon/device/peers/reader.h"
#include "tests/unit/daemon/device/peers/support.h"

#include <check.h>
#include <errno.h>
#include <stdlib.h>

static int read_from(const char *reply, bool trickle, struct wg_reader **ret_reader)
{
	struct tunnel tunnel = {.trickle = trickle};
	int r;

	tunnel_start(&tunnel, reply);
	r = wg_reader_new_userspace(tunnel.folder, NULL, "wg0", ret_reader);
	tunnel_stop(&tunnel);
	return r;
}

START_TEST(socket_that_answers)
{
	_cleanup_(wg_reader_freep) struct wg_reader *reader = NULL;
	_cleanup_wg_peers_ struct wg_peers peers = {};
	struct tunnel tunnel = {};

	tunnel_start(&tunnel, uapi_text);
	ck_assert_int_eq(wg_reader_new_userspace(tunnel.folder, NULL, "wg0", &reader), 0);
	ck_assert_str_eq(wg_reader_source(reader), tunnel.path);
	ck_assert_int_eq(wg_reader_read(reader, &peers), 0);
	check_uapi_peers(&peers);
	tunnel_stop(&tunnel);
	ck_assert_int_eq(wg_reader_read(reader, &peers), -ENODEV);
	check_uapi_peers(&peers);
}
END_TEST

START_TEST(socket_that_does_not_answer)
{
	struct wg_reader *reader = NULL;

	ck_assert_int_eq(read_from("", false, &reader), -EBADMSG);
	ck_assert_int_eq(read_from("garbage\n", false, &reader), -EBADMSG);
	ck_assert_int_eq(read_from("listen_port=1\n", false, &reader), -EBADMSG);
	ck_assert_int_eq(read_from("errno=1\n\n", false, &reader), -EIO);
	ck_assert_int_eq(read_from(NULL, false, &reader), -ETIMEDOUT);
	ck_assert_int_eq(read_from("x=y\n", true, &reader), -ETIMEDOUT);
	ck_assert_int_eq(wg_reader_new_userspace("/nonexistent", NULL, "wg0", &reader), -ENODEV);
	ck_assert_int_eq(wg_reader_new_userspace("/tmp", NULL, "../wg0", &reader), -EINVAL);
	ck_assert_int_eq(wg_reader_new_userspace("/tmp", NULL, "a-name-of-16-bytes", &reader), -EINVAL);
	ck_assert_ptr_null(reader);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("reader");
	TCase *tcase = tcase_create("all");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_set_timeout(tcase, 30);
	tcase_add_test(tcase, socket_that_answers);
	tcase_add_test(tcase, socket_that_does_not_answer);
	suite_add_tcase(suite, tcase);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
