/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A process's /proc/PID/ns/net may be read only by who may trace it. But anybody may read /proc/PID/net,
 * which shows its network namespace, and the files in there are the same ones (by their inode) in the same
 * namespace.
 */

#include "daemon/device/peers/owner.h"

#include "common/cleanup.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define PATH_SIZE 64

static void write_path(char path[static PATH_SIZE], pid_t process)
{
	if (process)
		snprintf(path, PATH_SIZE, "/proc/%lld/net/dev", (long long)process);
	else
		snprintf(path, PATH_SIZE, "/proc/thread-self/net/dev");
}

/* The file of a namespace's interfaces. */
static int find(pid_t process, struct stat *ret_file)
{
	char path[PATH_SIZE];

	write_path(path, process);
	if (stat(path, ret_file) == 0)
		return 0;
	return errno == ENOENT ? -ESRCH : -errno;
}

/* 1: the namespace of the process has an interface of this name; 0: it has none. */
static int has_interface(pid_t process, const char *interface)
{
	_cleanup_fclose_ FILE *file = NULL;
	char path[PATH_SIZE], line[512];

	write_path(path, process);
	file = fopen(path, "re");
	if (!file)
		return errno == ENOENT ? -ESRCH : -errno;
	/* "  eth0: 1 2 3 ..." */
	while (fgets(line, sizeof(line), file)) {
		char *name = line + strspn(line, " "), *end = strchr(name, ':');

		if (!end)
			continue;
		*end = '\0';
		if (strcmp(name, interface) == 0)
			return 1;
	}
	return ferror(file) ? -EIO : 0;
}

int wg_owner_check(pid_t process, pid_t here, const char *interface)
{
	struct stat theirs, ours;
	int r;

	if (process <= 0)
		return -ESRCH;
	r = find(process, &theirs);
	if (r == 0)
		r = find(here, &ours);
	if (r < 0)
		return r;
	if (theirs.st_dev == ours.st_dev && theirs.st_ino == ours.st_ino)
		return 0;
	r = has_interface(process, interface);
	if (r < 0)
		return r;
	return r > 0 ? -EXDEV : 0;
}
