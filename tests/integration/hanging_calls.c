/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Preloaded to make a call hang as it does on a dead disk, or with a directory service that does not answer:
 * while the file $HANGING_CALLS.NAME exists. $HANGING_CALLS.NAME.seen is made when a call begins to hang.
 */

#include <dlfcn.h>
#include <fcntl.h>
#include <pwd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static void hang(const char *name)
{
	const struct timespec pause = {.tv_nsec = 10000000};
	const char *prefix = getenv("HANGING_CALLS");
	char path[256], seen[300];

	if (!prefix)
		return;
	snprintf(path, sizeof(path), "%s.%s", prefix, name);
	snprintf(seen, sizeof(seen), "%s.seen", path);
	if (access(path, F_OK) < 0)
		return;
	close(open(seen, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	while (access(path, F_OK) == 0)
		nanosleep(&pause, NULL);
}

/* The metrics' file (*.prom) moves to its place. */
int renameat(int old_directory, const char *old_path, int new_directory, const char *new_path)
{
	int (*next)(int, const char *, int, const char *) =
		(int (*)(int, const char *, int, const char *))dlsym(RTLD_NEXT, "renameat");

	if (strstr(new_path, ".prom"))
		hang("metrics");
	return next(old_directory, old_path, new_directory, new_path);
}

int getpwnam_r(const char *name, struct passwd *entry, char *buffer, size_t size, struct passwd **ret_entry)
{
	int (*next)(const char *, struct passwd *, char *, size_t, struct passwd **) =
		(int (*)(const char *, struct passwd *, char *, size_t, struct passwd **))dlsym(RTLD_NEXT,
												"getpwnam_r");

	hang("user");
	return next(name, entry, buffer, size, ret_entry);
}
