/* SPDX-License-Identifier: BSD-3-Clause */
/* Unix sockets by path. */

#include "common/unix_socket.h"
#include "common/cleanup.h"
#include "common/time_text.h"
#include "tests/unit/common/support.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>

static void assert_flags(int fd)
{
	ck_assert_int_ne(fcntl(fd, F_GETFD) & FD_CLOEXEC, 0);
	ck_assert_int_ne(fcntl(fd, F_GETFL) & O_NONBLOCK, 0);
}

START_TEST(test_connect)
{
	_cleanup_free_ char *path = path_in("socket");
	_cleanup_close_ int server = -1, client = -1, waiting = -1, accepted = -1;
	struct unix_peer peer;
	struct stat status;
	char byte;

	ck_assert_int_eq(unix_socket_listen(path, 0620, UNIX_SOCKET_NO_GROUP, &server), 0);
	assert_flags(server);
	ck_assert_int_eq(stat(path, &status), 0);
	ck_assert_uint_eq(status.st_mode & 07777, 0620);
	ck_assert_int_eq(unix_socket_connect(path, 0, &client), 0);
	assert_flags(client);
	ck_assert_int_eq(unix_socket_connect(path, NSEC_PER_SEC, &waiting), 0);
	assert_flags(waiting);
	accepted = accept4(server, NULL, NULL, SOCK_CLOEXEC);
	ck_assert_int_ge(accepted, 0);
	ck_assert_int_eq(write(client, "x", 1), 1);
	ck_assert_int_eq(read(accepted, &byte, 1), 1);
	ck_assert_int_eq(byte, 'x');
	ck_assert_int_eq(unix_socket_peer(accepted, &peer), 0);
	ck_assert_int_eq(peer.pid, getpid());
	ck_assert_uint_eq(peer.uid, geteuid());
	ck_assert_uint_eq(peer.gid, getegid());
}
END_TEST

/* Whose a socket is shows by its file, and by who listens. */
START_TEST(test_owner)
{
	_cleanup_free_ char *path = path_in("owned");
	_cleanup_close_ int server = -1, client = -1;
	uid_t owner = 1;

	ck_assert_int_eq(unix_socket_listen(path, 0666, UNIX_SOCKET_NO_GROUP, &server), 0);
	ck_assert_int_eq(unix_socket_connect(path, 0, &client), 0);
	ck_assert_int_eq(unix_socket_check_owner(client, path, &owner), 0);
	ck_assert_uint_eq(owner, 1);
	if (geteuid() == 0) {
		ck_assert_int_eq(chown(path, 4711, (gid_t)-1), 0);
		ck_assert_int_eq(unix_socket_check_owner(client, path, &owner), -EPERM);
		ck_assert_uint_eq(owner, 4711);
	}
	ck_assert_int_eq(unlink(path), 0);
	ck_assert_int_eq(unix_socket_check_owner(client, path, &owner), -ENOENT);
}
END_TEST

START_TEST(test_stale)
{
	_cleanup_free_ char *path = path_in("socket");
	_cleanup_close_ int server = -1, again = -1, client = -1;

	ck_assert_int_eq(unix_socket_connect(path, 0, &client), -ENOENT);
	ck_assert_int_eq(unix_socket_listen(path, 0600, UNIX_SOCKET_NO_GROUP, &server), 0);
	/* A living one keeps its path. */
	ck_assert_int_eq(unix_socket_listen(path, 0600, UNIX_SOCKET_NO_GROUP, &again), -EADDRINUSE);
	ck_assert_int_eq(again, -1);
	ck_assert_int_eq(unix_socket_connect(path, 0, &client), 0);
	client = safe_close(client);
	/* A dead one does not. */
	server = safe_close(server);
	ck_assert_int_eq(unix_socket_connect(path, NSEC_PER_SEC, &client), -ECONNREFUSED);
	ck_assert_int_eq(unix_socket_listen(path, 0600, UNIX_SOCKET_NO_GROUP, &server), 0);
	ck_assert_int_eq(unix_socket_connect(path, 0, &client), 0);
}
END_TEST

START_TEST(test_full)
{
	_cleanup_free_ char *path = path_in("socket");
	_cleanup_close_ int server = -1;
	int clients[256];
	size_t n = 0;
	int64_t before;
	int r;

	ck_assert_int_eq(unix_socket_listen(path, 0600, UNIX_SOCKET_NO_GROUP, &server), 0);
	/* Nobody accepts: the queue fills, and then connecting takes as long as it may. */
	while ((r = unix_socket_connect(path, 0, &clients[n])) == 0)
		ck_assert_uint_lt(++n, ARRAY_SIZE(clients));
	ck_assert_int_eq(r, -ETIMEDOUT);
	ck_assert_uint_gt(n, 1);
	before = time_now_boot();
	ck_assert_int_eq(unix_socket_connect(path, 50 * NSEC_PER_MSEC, &clients[n]), -ETIMEDOUT);
	ck_assert_int_ge(time_now_boot() - before, 45 * NSEC_PER_MSEC);
	/* It is alive all the same. */
	ck_assert_int_eq(unix_socket_listen(path, 0600, UNIX_SOCKET_NO_GROUP, &r), -EADDRINUSE);
	while (n > 0)
		close(clients[--n]);
}
END_TEST

START_TEST(test_wrong_path)
{
	_cleanup_free_ char *file = path_in("file"), *missing = path_in("missing/socket");
	char longer[200];
	int fd = -1;

	make_file(file, "x", 0600);
	ck_assert_int_eq(unix_socket_listen(file, 0600, UNIX_SOCKET_NO_GROUP, &fd), -EEXIST);
	ck_assert_int_eq(access(file, F_OK), 0);
	ck_assert_int_eq(unix_socket_listen(missing, 0600, UNIX_SOCKET_NO_GROUP, &fd), -ENOENT);
	memset(longer, 'x', sizeof(longer) - 1);
	longer[0] = '/';
	longer[108] = '\0';
	ck_assert_int_eq(unix_socket_listen(longer, 0600, UNIX_SOCKET_NO_GROUP, &fd), -ENAMETOOLONG);
	ck_assert_int_eq(unix_socket_connect(longer, 0, &fd), -ENAMETOOLONG);
	ck_assert_int_eq(unix_socket_connect("", 0, &fd), -ENOENT);
	ck_assert_int_eq(fd, -1);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("unix_socket");
	TCase *test_case = tcase_create("unix_socket");

	add_directory(test_case);
	tcase_add_test(test_case, test_connect);
	tcase_add_test(test_case, test_owner);
	tcase_add_test(test_case, test_stale);
	tcase_add_test(test_case, test_full);
	tcase_add_test(test_case, test_wrong_path);
	suite_add_tcase(suite, test_case);
	return run_suite(suite);
}
