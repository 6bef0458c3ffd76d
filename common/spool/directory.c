/* SPDX-License-Identifier: BSD-3-Clause */
/* Finds segments, in the same way for writer, reader and check. */

#include "common/spool/directory.h"

#include "common/cleanup.h"
#include "common/fd_pass.h"
#include "common/file.h"
#include "common/owner.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

void spool_listing_deinit(struct spool_listing *listing)
{
	free(listing->entries);
	*listing = (struct spool_listing){};
}

static int compare(const void *a, const void *b)
{
	const struct spool_entry *x = a, *y = b;

	return strcmp(x->name, y->name);
}

static int add(struct spool_listing *listing, size_t *allocated, const char *name)
{
	struct spool_entry entry = {};

	if (spool_name_parse(name, &entry.first_sequence, &entry.attempt) < 0)
		return 0;
	if (listing->n == *allocated) {
		size_t n = MAX(*allocated * 2, (size_t)64);
		struct spool_entry *entries = reallocarray(listing->entries, n, sizeof(*entries));

		if (!entries)
			return -ENOMEM;
		listing->entries = entries;
		*allocated = n;
	}
	memcpy(entry.name, name, sizeof(entry.name));
	listing->entries[listing->n++] = entry;
	return 0;
}

/* A descriptor, or -errno. */
static int open_entry(int directory_fd, const char *name, int flags)
{
	int fd = openat(directory_fd, name, flags | O_RDONLY | O_CLOEXEC | O_NONBLOCK), fds[FD_PASS_MAX];
	int r;

	if (fd >= 0 || errno != ENOTDIR)
		return fd < 0 ? -errno : fd;
	r = fd_pass_request(directory_fd, name, strlen(name), fds);
	return r < 0 ? r : fds[0];
}

int spool_directory_open(int directory_fd)
{
	struct stat st;

	/* The socket serves as well as what it would return. */
	if (fstat(directory_fd, &st) == 0 && S_ISSOCK(st.st_mode)) {
		int fd = fcntl(directory_fd, F_DUPFD_CLOEXEC, 0);

		return fd < 0 ? -errno : fd;
	}
	return open_entry(directory_fd, ".", O_DIRECTORY);
}

int spool_list(int directory_fd, struct spool_listing *ret_listing)
{
	_cleanup_spool_listing_ struct spool_listing listing = {};
	size_t allocated = 0;
	struct dirent *item;
	DIR *directory;
	int fd, r = 0;

	fd = open_entry(directory_fd, ".", O_DIRECTORY);
	if (fd < 0)
		return fd;
	directory = fdopendir(fd);
	if (!directory) {
		r = -errno;
		safe_close(fd);
		return r;
	}
	while (r == 0) {
		errno = 0;
		item = readdir(directory);
		if (!item) {
			r = -errno;
			break;
		}
		r = add(&listing, &allocated, item->d_name);
	}
	closedir(directory);
	if (r < 0)
		return r;
	if (listing.n > 1)
		qsort(listing.entries, listing.n, sizeof(*listing.entries), compare);
	*ret_listing = listing;
	listing = (struct spool_listing){};
	return 0;
}

int spool_is_spool(int directory_fd)
{
	_cleanup_spool_listing_ struct spool_listing listing = {};
	int r = spool_list(directory_fd, &listing);

	if (r < 0 || listing.n > 0)
		return r < 0 ? r : 1;
	/* A writer makes both before its first segment. */
	return faccessat(directory_fd, SPOOL_LOCK_NAME, F_OK, AT_SYMLINK_NOFOLLOW) == 0 &&
	       faccessat(directory_fd, SPOOL_RESERVE_NAME, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

int spool_segment_open(int directory_fd, const char *name, struct spool_header *ret_header,
		       uint64_t *ret_size, int *ret_fd)
{
	_cleanup_close_ int fd = -1;
	uint8_t data[SPOOL_HEADER_SIZE_MAX];
	struct stat st;
	size_t n;
	int r;

	fd = open_entry(directory_fd, name, O_NOFOLLOW);
	if (fd < 0)
		return fd;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EBADMSG;
	r = read_at(fd, data, sizeof(data), 0, &n);
	if (r >= 0)
		r = spool_header_decode(data, n, ret_header);
	if (r < 0)
		return r;
	if (ret_size)
		*ret_size = (uint64_t)st.st_size;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

int spool_rename(int directory_fd, const char *from, const char *to)
{
	if (renameat2(directory_fd, from, directory_fd, to, RENAME_NOREPLACE) == 0)
		return 0;
	if (errno != EINVAL && errno != ENOSYS)
		return -errno;
	/* A file system that cannot do it: NFS, ZFS before 2.2. */
	if (faccessat(directory_fd, to, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return -EEXIST;
	if (errno != ENOENT)
		return -errno;
	return renameat(directory_fd, from, directory_fd, to) < 0 ? -errno : 0;
}

int spool_lock(int directory_fd, int *ret_fd)
{
	_cleanup_close_ int fd = -1;
	int r;

	fd = openat(directory_fd, SPOOL_LOCK_NAME, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK,
		    0600);
	if (fd < 0)
		return -errno;
	r = owner_give(fd, directory_fd);
	r = r ?: file_lock(fd);
	if (r < 0)
		return r;
	*ret_fd = TAKE_FD(fd);
	return 0;
}

bool spool_is_locked(int directory_fd)
{
	struct flock lock = {.l_type = F_RDLCK, .l_whence = SEEK_SET};
	_cleanup_close_ int fd = -1;

	fd = openat(directory_fd, SPOOL_LOCK_NAME, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
	return fd >= 0 && fcntl(fd, F_OFD_GETLK, &lock) == 0 && lock.l_type != F_UNLCK;
}
