/* SPDX-License-Identifier: BSD-3-Clause */
/* The broker: what it opens for an uploader, and what it does not. */

#include "daemon/upload/broker/broker.h"

#include "common/fd_pass.h"
#include "common/log_id.h"
#include "common/spool/directory.h"
#include "tests/unit/daemon/upload/broker/support.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>

START_TEST(test_lines)
{
	int fd, directory_fd;
	struct stat st;

	sinks[0].path = path_of("closed/flows");
	sinks[1].path = path_of("closed/theirs/flows");
	make_link("../secret", "closed/theirs/flows", THEIRS);
	start_broker();
	writer = broker_open_writer(broker);
	ck_assert_int_ge(writer, 0);
	ck_assert_int_eq(broker_open_lines(writer, sinks[0].path, &fd, &directory_fd), 0);
	ck_assert_int_eq(write(fd, "line\n", 5), 5);
	ck_assert_int_eq(fsync(directory_fd), 0);
	close(fd);
	close(directory_fd);
	ck_assert_int_eq(stat(sinks[0].path, &st), 0);
	ck_assert_int_eq(st.st_mode & 07777, 0600);
	ck_assert_int_eq(st.st_uid, getuid());
	/* As the operator has set it, also after it was given another name. */
	ck_assert_int_eq(chmod(sinks[0].path, 0644), 0);
	ck_assert_int_eq(broker_rotate_lines(writer, sinks[0].path), 0);
	ck_assert_int_eq(stat(sinks[0].path, &st), 0);
	ck_assert_int_eq(st.st_mode & 07777, 0644);
	ck_assert_int_eq(st.st_size, 0);
	ck_assert_int_eq(stat(path_of("closed/flows.1"), &st), 0);
	ck_assert_int_eq(st.st_size, 5);
	if (getuid() == 0)
		ck_assert_int_eq(broker_open_lines(writer, sinks[1].path, &fd, &directory_fd), -EACCES);
	ck_assert_int_eq(broker_open_lines(writer, path_of("closed/secret"), &fd, &directory_fd), -EPERM);
	ck_assert_int_eq(broker_rotate_lines(writer, path_of("closed/secret")), -EPERM);
}
END_TEST

START_TEST(test_log_id)
{
	struct log_id first, again;
	struct stat st;
	int fd;

	config.log_id_file = path_of("closed/node.logid");
	start_broker();
	fd = broker_open_log_id(broker, config.log_id_file);
	ck_assert_int_eq(log_id_read_fd(fd, &first), 0);
	close(fd);
	ck_assert_int_eq(stat(config.log_id_file, &st), 0);
	ck_assert_int_eq(st.st_mode & 07777, 0600);
	fd = broker_open_log_id(broker, config.log_id_file);
	ck_assert_int_eq(log_id_read_fd(fd, &again), 0);
	close(fd);
	ck_assert_mem_eq(&first, &again, sizeof(first));
	ck_assert_int_eq(broker_open_log_id(broker, path_of("closed/other")), -EPERM);
	ck_assert_int_eq(access(path_of("closed/other"), F_OK), -1);
}
END_TEST

START_TEST(test_named_after_a_reload)
{
	char text[600];
	int fd;

	make_file("closed/netlogd.conf", "nonsense\n", 0600, 0);
	sinks[0].password_file = path_of("closed/secret");
	start_broker();
	/* A file with an error is handed over, and changes nothing. */
	fd = broker_open_config(broker, config.file);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(read(fd, text, sizeof(text)), 9);
	close(fd);
	fd = broker_open_secret(broker, sinks[0].password_file);
	ck_assert_int_ge(fd, 0);
	close(fd);
	snprintf(
		text, sizeof(text),
		"[upload a]\ntype=logtail\nurl=https://a.example\ncollection=c\nbearer-token-file=%s/closed/token\n",
		root);
	make_file("closed/netlogd.conf", text, 0600, 0);
	make_file("closed/token", "token", 0600, 0);
	fd = broker_open_config(broker, config.file);
	ck_assert_int_ge(fd, 0);
	close(fd);
	ck_assert_int_eq(broker_open_secret(broker, sinks[0].password_file), -EPERM);
	fd = broker_open_secret(broker, path_of("closed/token"));
	ck_assert_int_ge(fd, 0);
	close(fd);
}
END_TEST

START_TEST(test_spool)
{
	struct spool_header header;
	struct spool_listing listing;
	char segment[SPOOL_NAME_MAX], missing[SPOOL_NAME_MAX], path[64];
	bool watched = true;
	int fd, entry;

	spool_name_format(1, 0, segment);
	spool_name_format(2, 0, missing);
	snprintf(path, sizeof(path), "spool/%s", segment);
	make_file(path, "no segment", 0600, 0);
	make_file("spool/lock", "", 0600, 0);
	start_broker();
	fd = broker_open_spool(broker, &watched);
	ck_assert_int_ge(fd, 0);
	ck_assert(!watched);
	ck_assert_int_eq(spool_list(fd, &listing), 0);
	spool_listing_deinit(&listing);
	/* It is there, and no segment. */
	ck_assert_int_eq(spool_segment_open(fd, segment, &header, NULL, &entry), -EBADMSG);
	ck_assert_int_eq(spool_segment_open(fd, missing, &header, NULL, &entry), -ENOENT);
	/* The lock above all. */
	for (const char *const *name = (const char *const[]){"lock", "entry", "../closed/secret", "..", NULL};
	     *name; name++)
		ck_assert_int_eq(spool_segment_open(fd, *name, &header, NULL, &entry), -EPERM);
	close(fd);
}
END_TEST

/* A reply whose descriptor could not be taken is not taken for the reply to the next request. */
START_TEST(test_no_room_for_a_descriptor)
{
	struct rlimit limit, none;
	char text[64] = {};
	int fd;

	make_file("closed/token", "token", 0600, 0);
	sinks[0].password_file = path_of("closed/secret");
	sinks[1].password_file = path_of("closed/token");
	start_broker();
	fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
	close(fd);
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &limit), 0);
	none = limit;
	none.rlim_cur = (rlim_t)fd;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &none), 0);
	ck_assert_int_eq(broker_open_secret(broker, sinks[0].password_file), -EMFILE);
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &limit), 0);
	fd = broker_open_secret(broker, sinks[1].password_file);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(read(fd, text, sizeof(text)), 5);
	ck_assert_str_eq(text, "token");
	close(fd);
}
END_TEST

/* What an uploader that was taken over might send. */
START_TEST(test_nonsense)
{
	static char long_request[FD_PASS_REQUEST_MAX + 100];
	const struct {
		const char *text;
		size_t size;
		int result;
	} requests[] = {
		{"x", 1, -EINVAL},	  {"s", 1, -EPERM},
		{"s\0", 2, -EPERM},	  {long_request, sizeof(long_request), -EINVAL},
		{"\377\377", 2, -EINVAL}, {"l/closed/flows", 14, -EINVAL},
	};
	int fds[FD_PASS_MAX], copy = -1;

	memset(long_request, 's', sizeof(long_request));
	start_broker();
	/* Its socket is the first of sequenced packets that this process has. */
	for (int fd = 3; copy < 0; fd++) {
		int type = 0;
		socklen_t length = sizeof(type);

		ck_assert_int_lt(fd, 1000);
		if (getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &length) == 0 && type == SOCK_SEQPACKET)
			copy = fd;
	}
	for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++)
		ck_assert_int_eq(fd_pass_request(copy, requests[i].text, requests[i].size, fds),
				 requests[i].result);
	ck_assert(broker_is_alive(broker));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("broker");
	TCase *tcase = tcase_create("broker");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tcase, broker_setup, broker_teardown);
	tcase_add_test(tcase, test_lines);
	tcase_add_test(tcase, test_log_id);
	tcase_add_test(tcase, test_named_after_a_reload);
	tcase_add_test(tcase, test_spool);
	tcase_add_test(tcase, test_no_room_for_a_descriptor);
	tcase_add_test(tcase, test_nonsense);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed > 0;
}
