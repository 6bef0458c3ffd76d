/* SPDX-License-Identifier: BSD-3-Clause */
/* A disk that fails as a test wants it to. */

#include "tests/unit/common/spool/support.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

void spool_test_disk_lock(void)
{
	pthread_mutex_lock(&spool_test.disk.lock);
}

void spool_test_disk_unlock(void)
{
	pthread_mutex_unlock(&spool_test.disk.lock);
}

static int disk_openat(int directory_fd, const char *name, int flags, mode_t mode, void *userdata)
{
	struct spool_test_disk *disk = userdata;
	int error;

	pthread_mutex_lock(&disk->lock);
	error = disk->open_error;
	pthread_mutex_unlock(&disk->lock);
	if (error) {
		errno = error;
		return -1;
	}
	return spool_files_system.openat(directory_fd, name, flags, mode, NULL);
}

/* How much of a write the disk takes; -1 with errno. Called with the lock held. */
static ssize_t disk_takes(struct spool_test_disk *disk, size_t n)
{
	disk->writes++;
	errno = disk->write_error;
	if (disk->write_error)
		return -1;
	if (disk->short_writes > 0)
		n = MIN(n, disk->short_writes);
	errno = ENOSPC;
	if (disk->limited && disk->room <= 0)
		return -1;
	if (disk->limited)
		n = MIN(n, (size_t)disk->room);
	disk->room -= (int64_t)n;
	return (ssize_t)n;
}

static ssize_t disk_write(int fd, const void *data, size_t n, void *userdata)
{
	struct spool_test_disk *disk = userdata;
	ssize_t takes;

	pthread_mutex_lock(&disk->lock);
	takes = disk_takes(disk, n);
	pthread_mutex_unlock(&disk->lock);
	return takes < 0 ? -1 : write(fd, data, (size_t)takes);
}

static int disk_sync(int fd, void *userdata)
{
	struct spool_test_disk *disk = userdata;
	int error = 0;

	(void)fd;
	pthread_mutex_lock(&disk->lock);
	disk->syncs++;
	if (disk->sync_failures > 0) {
		disk->sync_failures--;
		disk->failed_syncs++;
		error = disk->sync_error;
	}
	pthread_mutex_unlock(&disk->lock);
	errno = error;
	return error ? -1 : 0;
}

static void give_back(struct spool_test_disk *disk, int64_t bytes)
{
	pthread_mutex_lock(&disk->lock);
	disk->room += bytes;
	pthread_mutex_unlock(&disk->lock);
}

static int disk_ftruncate(int fd, off_t size, void *userdata)
{
	struct spool_test_disk *disk = userdata;
	struct stat st;

	if (disk->no_truncate) {
		errno = EIO;
		return -1;
	}
	if (fstat(fd, &st) < 0 || ftruncate(fd, size) < 0)
		return -1;
	give_back(disk, st.st_size - size);
	return 0;
}

static int disk_fallocate(int fd, off_t size, void *userdata)
{
	struct spool_test_disk *disk = userdata;
	bool room;

	pthread_mutex_lock(&disk->lock);
	room = !disk->limited || disk->room >= size;
	if (room)
		disk->room -= size;
	pthread_mutex_unlock(&disk->lock);
	errno = ENOSPC;
	return room ? ftruncate(fd, size) : -1;
}

static int disk_unlinkat(int directory_fd, const char *name, void *userdata)
{
	struct stat st;

	if (fstatat(directory_fd, name, &st, AT_SYMLINK_NOFOLLOW) < 0 || unlinkat(directory_fd, name, 0) < 0)
		return -1;
	give_back(userdata, st.st_size);
	return 0;
}

static int64_t disk_now(void *userdata)
{
	struct spool_test_disk *disk = userdata;

	return disk->now;
}

void spool_test_make_disk(struct spool_test_disk *disk, struct spool_files *ret_files)
{
	*ret_files = (struct spool_files){
		.openat = disk_openat,
		.write = disk_write,
		.fdatasync = disk_sync,
		.fsync = disk_sync,
		.ftruncate = disk_ftruncate,
		.fallocate = disk_fallocate,
		.renameat = spool_files_system.renameat,
		.unlinkat = disk_unlinkat,
		.now = disk_now,
		.userdata = disk,
	};
	pthread_mutex_init(&disk->lock, NULL);
}
