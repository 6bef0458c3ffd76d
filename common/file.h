/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * Small files as a whole: replaced so that a crash leaves the old content or the new one, never a part, and
 * read up to a bound. Paths are relative to a directory descriptor, or AT_FDCWD.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * Writes a temporary file beside it (<path>.tmp-<random>), syncs it, renames it over the path and syncs the
 * directory. The mode does not depend on the umask. 0 or -errno; on failure the old file is as it was.
 */
int file_write_atomic(int directory_fd, const char *path, const void *data, size_t size, mode_t mode);
/* The same without syncing, for what need not survive a power cut: a reader sees the old content or the
 * new. */
int file_replace(int directory_fd, const char *path, const void *data, size_t size, mode_t mode);
/* As the first, but never replaces: -EEXIST if the path exists, whatever it is. */
int file_create_atomic(int directory_fd, const char *path, const void *data, size_t size, mode_t mode);

/*
 * Makes a directory unless it is there, and syncs the one that holds it: what is synced within is safe only
 * then. 0 or -errno; a parent that may not be opened is not synced.
 */
int make_directory_at(int directory_fd, const char *path, mode_t mode);

/*
 * Whether a path leads to the file that fd has open: 1; 0 when nothing is there or another file, so that fd's
 * was removed, moved or replaced; or -errno when that cannot be known. flags: of fstatat(2).
 */
int file_is_at(int fd, int directory_fd, const char *path, int flags);

/* Opens a directory for reading. Below another one (`at`), a symbolic link is refused. The descriptor or
 * -errno. */
int open_directory(const char *path);
int open_directory_at(int directory_fd, const char *name);

/* Syncs the directory that holds the path: only then is a new name in it safe from a power cut. 0 or
 * -errno. */
int file_sync_directory(int directory_fd, const char *path);

/*
 * Removes the temporary files that killed runs left in a directory: those of this name, or of all names
 * (NULL). Only for a directory that no other process writes to.
 */
void file_remove_temporary(int directory_fd, const char *name);

/*
 * Reads a regular file; a NUL follows the data. -EFBIG if it is larger than max, -EINVAL if it is not a
 * regular file, -ENOMEM, or what opening and reading say. The caller frees the data. Either of ret_size and
 * ret_mode may be NULL.
 */
int file_read(int directory_fd, const char *path, size_t max, char **ret_data, size_t *ret_size,
	      mode_t *ret_mode);
/* The same for an open file, from its current offset. */
int file_read_fd(int fd, size_t max, char **ret_data, size_t *ret_size, mode_t *ret_mode);

/*
 * Whether an open file with this mode is for its owner alone. That is so for all files below
 * $CREDENTIALS_DIRECTORY: the directory belongs to the service alone, and the access control list by which it
 * may read them looks like rights of the group (systemd.exec(5), https://systemd.io/CREDENTIALS/).
 */
bool file_is_private(int fd, mode_t mode);

/*
 * Takes a write lock on a file for this open file description (fcntl(2) F_OFD_SETLK), as long as that lives.
 * Waits half a second for another holder: a process that was killed while it started another leaves its
 * descriptors to that one until it executes its program. 0, -EWOULDBLOCK, or another -errno.
 */
int file_lock(int fd);

/* Writes everything, over short writes and EINTR, to a descriptor that blocks. 0 or -errno. */
int write_all(int fd, const void *data, size_t size);
/* Reads size bytes from an offset, fewer where the file ends, over short reads and EINTR. 0 or -errno. */
int read_at(int fd, void *data, size_t size, uint64_t offset, size_t *ret_size);
