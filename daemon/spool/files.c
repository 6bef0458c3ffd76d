/* SPDX-License-Identifier: BSD-3-Clause */
/* The real disk: plain system calls. */

#include "daemon/spool/files.h"

#include "common/spool/directory.h"
#include "common/time_text.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

static int system_openat(int directory_fd, const char *name, int flags, mode_t mode, void *userdata)
{
	(void)userdata;
	return openat(directory_fd, name, flags, mode);
}

static ssize_t system_write(int fd, const void *data, size_t n, void *userdata)
{
	(void)userdata;
	return write(fd, data, n);
}

static int system_fdatasync(int fd, void *userdata)
{
	(void)userdata;
	return fdatasync(fd);
}

static int system_fsync(int fd, void *userdata)
{
	(void)userdata;
	return fsync(fd);
}

static int system_ftruncate(int fd, off_t size, void *userdata)
{
	(void)userdata;
	return ftruncate(fd, size);
}

static int system_fallocate(int fd, off_t size, void *userdata)
{
	(void)userdata;
	return fallocate(fd, 0, 0, size);
}

static int system_renameat(int directory_fd, const char *from, const char *to, void *userdata)
{
	int r = spool_rename(directory_fd, from, to);

	(void)userdata;
	errno = -r;
	return r < 0 ? -1 : 0;
}

static int system_unlinkat(int directory_fd, const char *name, void *userdata)
{
	(void)userdata;
	return unlinkat(directory_fd, name, 0);
}

static int64_t system_now(void *userdata)
{
	(void)userdata;
	return time_now_wall();
}

const struct spool_files spool_files_system = {
	.openat = system_openat,
	.write = system_write,
	.fdatasync = system_fdatasync,
	.fsync = system_fsync,
	.ftruncate = system_ftruncate,
	.fallocate = system_fallocate,
	.renameat = system_renameat,
	.unlinkat = system_unlinkat,
	.now = system_now,
};
