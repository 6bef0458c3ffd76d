/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* The spool writer's file calls, in a table that tests replace with a failing disk. */

#include <stdint.h>
#include <sys/types.h>

struct spool_files {
	/* Each like the system call of its name: -1 with errno. */
	int (*openat)(int directory_fd, const char *name, int flags, mode_t mode, void *userdata);
	ssize_t (*write)(int fd, const void *data, size_t n, void *userdata);
	int (*fdatasync)(int fd, void *userdata);
	int (*fsync)(int fd, void *userdata); /* of a directory */
	int (*ftruncate)(int fd, off_t size, void *userdata);
	int (*fallocate)(int fd, off_t size, void *userdata); /* from 0 */
	int (*renameat)(int directory_fd, const char *from, const char *to, void *userdata);
	int (*unlinkat)(int directory_fd, const char *name, void *userdata);
	int64_t (*now)(void *userdata); /* wall clock, ns */
	void *userdata;
};

extern const struct spool_files spool_files_system;
