/* SPDX-License-Identifier: BSD-3-Clause */
/* Small files as a whole: atomic replacement and bounded reading. */

#include "common/file.h"
#include "common/cleanup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

/* Half a second in total. */
#define LOCK_TRIES    50
#define LOCK_PAUSE_MS 10
/* Of ".tmp-" and the random part. */
#define TEMPORARY_LENGTH 21

int write_all(int fd, const void *data, size_t size)
{
	const char *p = data;

	while (size > 0) {
		ssize_t n = write(fd, p, size);

		if (n < 0) {
			if (errno == EINTR)
				continue;
			return -errno;
		}
		p += n;
		size -= (size_t)n;
	}
	return 0;
}

int read_at(int fd, void *data, size_t size, uint64_t offset, size_t *ret_size)
{
	size_t have = 0;

	while (have < size) {
		ssize_t n = pread(fd, (char *)data + have, size - have, (off_t)(offset + have));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		have += (size_t)n;
	}
	*ret_size = have;
	return 0;
}

/* Opens a new file beside the path, under a name that no other process uses. */
static int open_temporary(int directory_fd, const char *path, char **ret_name)
{
	_cleanup_free_ char *name = NULL;
	uint32_t random[2];
	int fd;

	if (getrandom(random, sizeof(random), 0) != sizeof(random))
		return -EIO;
	if (asprintf(&name, "%s.tmp-%08x%08x", path, random[0], random[1]) < 0) {
		name = NULL;
		return -ENOMEM;
	}
	fd = openat(directory_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;
	*ret_name = TAKE_PTR(name);
	return fd;
}

int file_sync_directory(int directory_fd, const char *path)
{
	_cleanup_free_ char *directory = NULL;
	_cleanup_close_ int fd = -1;
	const char *slash = strrchr(path, '/');

	if (!slash)
		directory = strdup(".");
	else
		directory = strndup(path, slash == path ? 1 : (size_t)(slash - path));
	if (!directory)
		return -ENOMEM;
	fd = openat(directory_fd, directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	return fsync(fd) < 0 ? -errno : 0;
}

int make_directory_at(int directory_fd, const char *path, mode_t mode)
{
	int r;

	if (mkdirat(directory_fd, path, mode) < 0 && errno != EEXIST)
		return -errno;
	/* Also if it is there: who made it may have been killed before. */
	r = file_sync_directory(directory_fd, path);
	return r == -EACCES || r == -EPERM || r == -EINVAL ? 0 : r;
}

static int rename_noreplace(int directory_fd, const char *from, const char *to)
{
	if (renameat2(directory_fd, from, directory_fd, to, RENAME_NOREPLACE) == 0)
		return 0;
	if (errno != EINVAL && errno != ENOSYS)
		return -errno;
	/* A file system that cannot do it (NFS): making a second name fails if it exists. */
	if (linkat(directory_fd, from, directory_fd, to, 0) < 0)
		return -errno;
	unlinkat(directory_fd, from, 0);
	return 0;
}

static int write_file(int directory_fd, const char *path, const void *data, size_t size, mode_t mode,
		      bool replace, bool sync)
{
	_cleanup_free_ char *temporary = NULL;
	_cleanup_close_ int fd = -1;
	int r;

	fd = open_temporary(directory_fd, path, &temporary);
	if (fd < 0)
		return fd;
	r = fchmod(fd, mode) < 0 ? -errno : write_all(fd, data, size);
	if (r == 0 && sync && fsync(fd) < 0)
		r = -errno;
	if (r == 0 && replace)
		r = renameat(directory_fd, temporary, directory_fd, path) < 0 ? -errno : 0;
	else if (r == 0)
		r = rename_noreplace(directory_fd, temporary, path);
	if (r < 0) {
		unlinkat(directory_fd, temporary, 0);
		return r;
	}
	return sync ? file_sync_directory(directory_fd, path) : 0;
}

int file_write_atomic(int directory_fd, const char *path, const void *data, size_t size, mode_t mode)
{
	return write_file(directory_fd, path, data, size, mode, true, true);
}

int file_replace(int directory_fd, const char *path, const void *data, size_t size, mode_t mode)
{
	return write_file(directory_fd, path, data, size, mode, true, false);
}

int file_create_atomic(int directory_fd, const char *path, const void *data, size_t size, mode_t mode)
{
	return write_file(directory_fd, path, data, size, mode, false, true);
}

int file_lock(int fd)
{
	struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

	for (int tries = 0; fcntl(fd, F_OFD_SETLK, &lock) < 0; tries++) {
		if (errno != EACCES && errno != EAGAIN)
			return -errno;
		if (tries == LOCK_TRIES)
			return -EWOULDBLOCK;
		poll(NULL, 0, LOCK_PAUSE_MS);
	}
	return 0;
}

/* "<of>.tmp-<16 hex digits>"; of NULL: of any name. */
static bool is_temporary(const char *name, const char *of)
{
	size_t length = strlen(name);
	const char *suffix = name + length - TEMPORARY_LENGTH;

	if (length <= TEMPORARY_LENGTH || strncmp(suffix, ".tmp-", 5) != 0 ||
	    strspn(suffix + 5, "0123456789abcdef") != TEMPORARY_LENGTH - 5)
		return false;
	return !of || (strlen(of) == length - TEMPORARY_LENGTH && strncmp(name, of, strlen(of)) == 0);
}

void file_remove_temporary(int directory_fd, const char *name)
{
	int fd = openat(directory_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *directory = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;

	if (!directory) {
		safe_close(fd);
		return;
	}
	while ((entry = readdir(directory)))
		if (is_temporary(entry->d_name, name))
			unlinkat(directory_fd, entry->d_name, 0);
	closedir(directory);
}

int file_read_fd(int fd, size_t max, char **ret_data, size_t *ret_size, mode_t *ret_mode)
{
	_cleanup_free_ char *data = NULL;
	size_t size = 0, allocated = 0;
	struct stat status;

	if (fstat(fd, &status) < 0)
		return -errno;
	if (!S_ISREG(status.st_mode))
		return S_ISDIR(status.st_mode) ? -EISDIR : -EINVAL;
	/* To the end, which may not be where fstat() says: the file may be growing, or be in /proc. */
	for (;;) {
		ssize_t n;

		if (allocated - size < 2) {
			char *larger;

			allocated = allocated ? allocated * 2 : 4096;
			larger = realloc(data, allocated);
			if (!larger)
				return -ENOMEM;
			data = larger;
		}
		n = read(fd, data + size, allocated - size - 1);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			break;
		size += (size_t)n;
		if (size > max)
			return -EFBIG;
	}
	data[size] = '\0';
	*ret_data = TAKE_PTR(data);
	if (ret_size)
		*ret_size = size;
	if (ret_mode)
		*ret_mode = status.st_mode & 07777;
	return 0;
}

bool file_is_private(int fd, mode_t mode)
{
	const char *variable = getenv("CREDENTIALS_DIRECTORY");
	_cleanup_free_ char *directory = NULL;
	char link[64], path[PATH_MAX];
	ssize_t n;

	if (!(mode & 077))
		return true;
	if (!variable || *variable != '/')
		return false;
	/* Where the file is, by whatever links its path led there. The directory may be closed to this user.
	 */
	directory = realpath(variable, NULL);
	if (!directory)
		directory = strdup(variable);
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof(path) - 1);
	if (!directory || n < 0)
		return false;
	path[n] = '\0';
	n = (ssize_t)strlen(directory);
	return strncmp(path, directory, (size_t)n) == 0 && path[n] == '/';
}

int file_read(int directory_fd, const char *path, size_t max, char **ret_data, size_t *ret_size,
	      mode_t *ret_mode)
{
	_cleanup_close_ int fd = -1;

	/* Without O_NONBLOCK, opening a FIFO would wait for a writer. */
	fd = openat(directory_fd, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
	return fd < 0 ? -errno : file_read_fd(fd, max, ret_data, ret_size, ret_mode);
}

int open_directory(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

int file_is_at(int fd, int directory_fd, const char *path, int flags)
{
	struct stat opened, named;

	if (fstat(fd, &opened) < 0)
		return -errno;
	/* Removed: that is known also where the path may not be searched. */
	if (opened.st_nlink == 0)
		return 0;
	if (fstatat(directory_fd, path, &named, flags) < 0)
		return errno == ENOENT || errno == ENOTDIR ? 0 : -errno;
	return opened.st_dev == named.st_dev && opened.st_ino == named.st_ino;
}

int open_directory_at(int directory_fd, const char *name)
{
	int fd = openat(directory_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

	return fd < 0 ? -errno : fd;
}
