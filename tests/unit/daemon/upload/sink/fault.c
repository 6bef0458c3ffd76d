/* SPDX-License-Identifier: BSD-3-Clause */
#include "fault.h"

#include "common/spool/reader.h"
#include "support.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

/* As long as all fails: shorter than what a sink takes for the end of a disk, or of a quarantine. */
#define A_WHILE (5 * SECOND)

struct fault fault;

/* Whether a call of this kind is to fail now; errno is set. */
static bool fails(enum fault_kind kind)
{
	if (!fault.armed || fault.at == 0 || kind != fault.kind)
		return false;
	if (++fault.calls == fault.at) {
		fault.hit = true;
		fault.until = boot_now + A_WHILE;
	} else if (!fault.hit || !fault.lasting || boot_now >= fault.until) {
		return false;
	}
	errno = fault.error;
	return true;
}

#define WRAP(type, name, kind, failure, parameters, arguments)                                               \
	type __real_##name parameters;                                                                       \
	type __wrap_##name parameters;                                                                       \
	type __wrap_##name parameters                                                                        \
	{                                                                                                    \
		return fails(kind) ? (failure) : __real_##name arguments;                                    \
	}

WRAP(ssize_t, pread64, FAULT_READ, -1, (int fd, void *data, size_t n, off_t at), (fd, data, n, at))
WRAP(ssize_t, read, FAULT_READ, -1, (int fd, void *data, size_t n), (fd, data, n))
WRAP(int, fstat64, FAULT_READ, -1, (int fd, struct stat *st), (fd, st))
WRAP(DIR *, fdopendir, FAULT_LIST, NULL, (int fd), (fd))
WRAP(struct dirent *, readdir64, FAULT_LIST, NULL, (DIR * list), (list))
WRAP(ssize_t, pwrite64, FAULT_WRITE, -1, (int fd, const void *data, size_t n, off_t at), (fd, data, n, at))
WRAP(ssize_t, write, FAULT_WRITE, -1, (int fd, const void *data, size_t n), (fd, data, n))
WRAP(int, mkdirat, FAULT_WRITE, -1, (int fd, const char *path, mode_t mode), (fd, path, mode))
WRAP(int, renameat, FAULT_RENAME, -1, (int from_fd, const char *from, int to_fd, const char *to),
     (from_fd, from, to_fd, to))
WRAP(int, renameat2, FAULT_RENAME, -1,
     (int from_fd, const char *from, int to_fd, const char *to, unsigned int flags),
     (from_fd, from, to_fd, to, flags))
WRAP(void *, malloc, FAULT_ALLOCATE, NULL, (size_t n), (n))
WRAP(void *, calloc, FAULT_ALLOCATE, NULL, (size_t n, size_t size), (n, size))
WRAP(void *, realloc, FAULT_ALLOCATE, NULL, (void *data, size_t n), (data, n))
WRAP(void *, reallocarray, FAULT_ALLOCATE, NULL, (void *data, size_t n, size_t size), (data, n, size))

int __wrap_fsync(int fd);
int __wrap_fsync(int fd)
{
	/* To sync really would tell nothing more, and take most of the time. */
	(void)fd;
	return fails(FAULT_SYNC) ? -1 : 0;
}

int __wrap_fdatasync(int fd);
int __wrap_fdatasync(int fd)
{
	return __wrap_fsync(fd);
}

int __real_openat64(int directory_fd, const char *path, int flags, ...);
int __wrap_openat64(int directory_fd, const char *path, int flags, ...);
int __wrap_openat64(int directory_fd, const char *path, int flags, ...)
{
	va_list arguments;
	mode_t mode;

	va_start(arguments, flags);
	mode = flags & O_CREAT ? va_arg(arguments, mode_t) : 0;
	va_end(arguments);
	return fails(FAULT_OPEN) ? -1 : __real_openat64(directory_fd, path, flags, mode);
}

int __real_spool_reader_next(struct spool_reader *reader, struct spool_message *ret_message,
			     struct spool_gap *ret_gap);
int __wrap_spool_reader_next(struct spool_reader *reader, struct spool_message *ret_message,
			     struct spool_gap *ret_gap);
int __wrap_spool_reader_next(struct spool_reader *reader, struct spool_message *ret_message,
			     struct spool_gap *ret_gap)
{
	int r = __real_spool_reader_next(reader, ret_message, ret_gap);

	if (fault.skip == 0 || r != SPOOL_READ_MESSAGE || ret_message->sequence != fault.skip)
		return r;
	return __real_spool_reader_next(reader, ret_message, ret_gap);
}
