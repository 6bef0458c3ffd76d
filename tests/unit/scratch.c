/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * All directories of a process are in one, and a process of its own, the keeper, waits until nobody holds the
 * other end of a socket any more. It is in no group or session that could be killed together with the test.
 */

#include "tests/unit/scratch.h"

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define ROOT_MAX (SCRATCH_MAX - (int)sizeof("/XXXXXX") + 1)

static char root[ROOT_MAX];
static pid_t owner;

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *walk)
{
	(void)status;
	(void)type;
	(void)walk;
	return remove(path);
}

void scratch_remove(const char *path)
{
	nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS);
}

/* Where a process ends by itself, its directories are gone when it has ended. */
static void remove_at_exit(void)
{
	if (getpid() == owner)
		scratch_remove(root);
}

static _Noreturn void keep(int test)
{
	char byte;

	/* Others may wait for an end that this process has inherited. */
	dup2(test, STDIN_FILENO);
	close_range(STDIN_FILENO + 1, ~0U, 0);
	if (mkdtemp(root)) {
		send(STDIN_FILENO, root, sizeof(root), MSG_NOSIGNAL);
		while (read(STDIN_FILENO, &byte, 1) < 0 && errno == EINTR)
			;
		scratch_remove(root);
	}
	_exit(0);
}

/* Not a child of this process, which may count its own. It makes the directory itself: so there is no moment
 * at which nobody would remove it. */
static void start_keeper(void)
{
	int ends[2], status;
	pid_t child;

	ck_assert_int_eq(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends), 0);
	child = fork();
	ck_assert_int_ge(child, 0);
	if (child == 0) {
		pid_t keeper = setsid() < 0 ? -1 : fork();

		if (keeper == 0)
			keep(ends[0]);
		_exit(keeper < 0);
	}
	close(ends[0]);
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(status, 0);
	ck_assert_int_eq(recv(ends[1], root, sizeof(root), 0), (ssize_t)sizeof(root));
}

/* A path below all of the process, as a template of mkdtemp() and mkostemp(). */
static void name_entry(char ret_path[static SCRATCH_MAX])
{
	if (!owner) {
		const char *parent = getenv("TMPDIR") ?: "/tmp";

		ck_assert_int_lt(snprintf(root, sizeof(root), "%s/netlogd-test-XXXXXX", parent), ROOT_MAX);
		start_keeper();
		owner = getpid();
		atexit(remove_at_exit);
	}
	snprintf(ret_path, SCRATCH_MAX, "%s/XXXXXX", root);
}

void scratch_make(char ret_path[static SCRATCH_MAX])
{
	name_entry(ret_path);
	ck_assert_ptr_nonnull(mkdtemp(ret_path));
}

int scratch_make_file(char ret_path[static SCRATCH_MAX])
{
	int fd;

	name_entry(ret_path);
	fd = mkostemp(ret_path, O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	return fd;
}
