/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Preloaded to make system calls of one kind fail: after a number that succeed, either one call or all until
 * a given time. A file says which; the test may change it at any time.
 *
 * It calls the kernel directly, so that it needs nothing that might fail and works before a sanitizer is set
 * up. It does not see the calls that libraries make internally.
 */

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum kind { OPEN = 1, READ, SEEK, WRITE, SYNC, RENAME, MAP, ALLOCATE, ACCEPT, RENAME_FLAGS };

/* The file, in the machine's byte order. */
struct order {
	_Atomic int32_t kind; /* 0: none fails */
	_Atomic int32_t error;
	_Atomic int64_t left;  /* calls that succeed before */
	_Atomic int64_t until; /* boot time, ns; 0: only one call fails */
	_Atomic int64_t failed;
};

static struct order *order;

__attribute__((constructor)) static void map_order(void)
{
	const char *path = getenv("FAILING_CALLS");
	int fd = path ? (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC, 0) : -1;
	void *data;

	if (fd < 0)
		return;
	data = (void *)syscall(SYS_mmap, NULL, sizeof(*order), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0L);
	close(fd);
	if (data != MAP_FAILED)
		order = data;
}

static bool fails(enum kind kind)
{
	int64_t until, left;
	struct timespec now;

	if (!order || order->kind != (int32_t)kind)
		return false;
	left = atomic_fetch_sub(&order->left, 1);
	if (left > 0)
		return false;
	until = order->until;
	syscall(SYS_clock_gettime, CLOCK_BOOTTIME, &now);
	if (until == 0 ? left < 0 : now.tv_sec * INT64_C(1000000000) + now.tv_nsec >= until)
		return false;
	order->failed++;
	errno = order->error;
	return true;
}

static mode_t mode_of(int flags, va_list arguments)
{
	return flags & O_CREAT || (flags & O_TMPFILE) == O_TMPFILE ? va_arg(arguments, mode_t) : 0;
}

#define OPENING(name, parameters, directory)                                                                 \
	int name parameters                                                                                  \
	{                                                                                                    \
		va_list arguments;                                                                           \
		mode_t mode;                                                                                 \
                                                                                                             \
		va_start(arguments, flags);                                                                  \
		mode = mode_of(flags, arguments);                                                            \
		va_end(arguments);                                                                           \
		return fails(OPEN) ? -1 : (int)syscall(SYS_openat, directory, path, flags, mode);            \
	}

#define CALL(type, name, kind, parameters, ...)                                                              \
	type name parameters                                                                                 \
	{                                                                                                    \
		return fails(kind) ? (type)-1 : (type)syscall(__VA_ARGS__);                                  \
	}

/* Large-file names: the same functions here, and not declared by any header in this form. */
#pragma GCC diagnostic ignored "-Wmissing-prototypes"
#pragma GCC diagnostic ignored "-Wmissing-declarations"
OPENING(open, (const char *path, int flags, ...), AT_FDCWD)
OPENING(open64, (const char *path, int flags, ...), AT_FDCWD)
OPENING(openat, (int fd, const char *path, int flags, ...), fd)
OPENING(openat64, (int fd, const char *path, int flags, ...), fd)
CALL(ssize_t, read, READ, (int fd, void *data, size_t n), SYS_read, fd, data, n)
CALL(ssize_t, pread, READ, (int fd, void *data, size_t n, off_t at), SYS_pread64, fd, data, n, at)
CALL(ssize_t, pread64, READ, (int fd, void *data, size_t n, off_t at), SYS_pread64, fd, data, n, at)
CALL(off_t, lseek, SEEK, (int fd, off_t at, int whence), SYS_lseek, fd, at, whence)
CALL(off_t, lseek64, SEEK, (int fd, off_t at, int whence), SYS_lseek, fd, at, whence)
CALL(ssize_t, write, WRITE, (int fd, const void *data, size_t n), SYS_write, fd, data, n)
CALL(ssize_t, pwrite, WRITE, (int fd, const void *data, size_t n, off_t at), SYS_pwrite64, fd, data, n, at)
CALL(ssize_t, pwrite64, WRITE, (int fd, const void *data, size_t n, off_t at), SYS_pwrite64, fd, data, n, at)
CALL(int, fsync, SYNC, (int fd), SYS_fsync, fd)
CALL(int, fdatasync, SYNC, (int fd), SYS_fdatasync, fd)
CALL(int, rename, RENAME, (const char *from, const char *to), SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0)
CALL(int, renameat, RENAME, (int from_fd, const char *from, int to_fd, const char *to), SYS_renameat2,
     from_fd, from, to_fd, to, 0)
int renameat2(int from_fd, const char *from, int to_fd, const char *to, unsigned int flags)
{
	if (fails(RENAME) || (flags && fails(RENAME_FLAGS)))
		return -1;
	return (int)syscall(SYS_renameat2, from_fd, from, to_fd, to, flags);
}
CALL(void *, mmap, MAP, (void *at, size_t n, int protection, int flags, int fd, off_t offset), SYS_mmap, at,
     n, protection, flags, fd, offset)
CALL(void *, mmap64, MAP, (void *at, size_t n, int protection, int flags, int fd, off_t offset), SYS_mmap, at,
     n, protection, flags, fd, offset)
CALL(int, accept4, ACCEPT, (int fd, struct sockaddr *address, socklen_t *length, int flags), SYS_accept4, fd,
     address, length, flags)

#if FAILS_ALLOCATIONS
/* glibc's own functions, under their other names. */
void *__libc_malloc(size_t n);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *data, size_t n);

void *malloc(size_t n)
{
	return fails(ALLOCATE) ? NULL : __libc_malloc(n);
}

void *calloc(size_t n, size_t size)
{
	return fails(ALLOCATE) ? NULL : __libc_calloc(n, size);
}

void *realloc(void *data, size_t n)
{
	return fails(ALLOCATE) ? NULL : __libc_realloc(data, n);
}
#endif
