/* SPDX-License-Identifier: BSD-3-Clause */
/* The mark is an empty file: its being there is all that it says. */

#include "daemon/logger/run_mark.h"

#include "common/cleanup.h"
#include "common/file.h"
#include "common/owner.h"

#include <errno.h>
#include <fcntl.h>

#define MARK "running"

int run_mark_is_set(const char *state_directory)
{
	_cleanup_close_ int directory = open_directory(state_directory);

	if (directory < 0)
		return directory == -ENOENT ? 0 : directory;
	if (faccessat(directory, MARK, F_OK, 0) == 0)
		return 1;
	return errno == ENOENT ? 0 : -errno;
}

int run_mark_set(const char *state_directory, bool running)
{
	_cleanup_close_ int directory = open_directory(state_directory);
	_cleanup_close_ int fd = -1;

	if (directory < 0)
		return directory;
	if (running) {
		fd = openat(directory, MARK, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
		if (fd < 0)
			return -errno;
		(void)owner_give(fd, directory);
	} else if (unlinkat(directory, MARK, 0) < 0 && errno != ENOENT) {
		return -errno;
	}
	return fsync(directory) < 0 ? -errno : 0;
}
