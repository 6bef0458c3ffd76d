/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A segment can't have a hole, so what stands behind a damaged part becomes a segment of its own, durably,
 * before the old one is cut off; until then readers merely see those messages twice, and drop them.
 */

#include "common/spool/repair.h"

#include "common/cleanup.h"
#include "common/file.h"
#include "common/spool/directory.h"
#include "common/spool/scan.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

struct repair {
	int directory_fd;
	const char *name; /* of the segment under repair */
	int fd;
	struct spool_header header;
	struct stat status;
	uint64_t cut; /* where the first damage or the torn tail begins; UINT64_MAX none */
	bool damaged; /* a region was found since the last frame */
	int error;    /* of setting aside */
	int out;      /* the segment that takes what stands behind the damage */
};

static int open_damaged(const struct repair *repair)
{
	struct stat st;
	int fd = make_directory_at(repair->directory_fd, SPOOL_DAMAGED_NAME, 0700);

	if (fd < 0)
		return fd;
	fd = openat(repair->directory_fd, SPOOL_DAMAGED_NAME,
		    O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
	if (fd < 0)
		return -errno;
	/* Like the spool itself, as far as we are allowed. */
	if (fstat(repair->directory_fd, &st) == 0 && fchown(fd, st.st_uid, st.st_gid) == 0)
		(void)fchmod(fd, st.st_mode & 0777);
	return fd;
}

static void on_damage(uint64_t offset, uint64_t length, void *userdata)
{
	struct repair *repair = userdata;
	_cleanup_close_ int directory = -1;
	_cleanup_free_ char *data = NULL;
	char name[64];
	size_t n = 0;
	int r;

	repair->damaged = true;
	repair->cut = MIN(repair->cut, offset);
	data = malloc(length);
	directory = open_damaged(repair);
	if (!data || directory < 0) {
		repair->error = data ? directory : -ENOMEM;
		return;
	}
	r = read_at(repair->fd, data, length, offset, &n);
	snprintf(name, sizeof(name), "%s.%llu", repair->name, (unsigned long long)offset);
	if (r == 0)
		r = file_create_atomic(directory, name, data, n, repair->status.st_mode & 0777);
	if (r < 0 && r != -EEXIST)
		repair->error = r;
}

/* Makes the new segment durable, under a free name. */
static int finish_part(struct repair *repair, uint64_t first_sequence)
{
	char name[SPOOL_NAME_MAX];
	int r;

	if (repair->out < 0)
		return 0;
	if (fsync(repair->out) < 0)
		return -errno;
	repair->out = safe_close(repair->out);
	for (unsigned int attempt = 0; attempt <= 0xffff; attempt++) {
		spool_name_format(first_sequence, attempt, name);
		r = spool_rename(repair->directory_fd, SPOOL_TEMPORARY_NAME, name);
		if (r == 0)
			return fsync(repair->directory_fd) < 0 ? -errno : 0;
		if (r != -EEXIST)
			return r;
	}
	return -EEXIST;
}

static int begin_part(struct repair *repair, const struct spool_frame *frame)
{
	struct spool_header header = repair->header;
	uint8_t data[SPOOL_HEADER_SIZE];

	repair->out = openat(repair->directory_fd, SPOOL_TEMPORARY_NAME,
			     O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (repair->out < 0)
		return -errno;
	if (fchown(repair->out, repair->status.st_uid, repair->status.st_gid) < 0 && errno != EPERM)
		return -errno;
	if (fchmod(repair->out, repair->status.st_mode & 0777) < 0)
		return -errno;
	header.messages_before = spool_messages_before(&repair->header, frame->sequence);
	header.bytes_before = frame->bytes_before;
	header.first_sequence = frame->sequence;
	header.first_time = frame->time;
	spool_header_encode(&header, data);
	return write_all(repair->out, data, sizeof(data));
}

/* Writes the frames behind the first damaged part into segments of their own. */
static int split(struct repair *repair, uint64_t *ret_end)
{
	struct spool_scan scan;
	struct spool_frame frame;
	const uint8_t *payload;
	_cleanup_free_ char *buffer = NULL;
	size_t buffer_size = 0;
	const char *message;
	uint64_t first = 0;
	int r;

	spool_scan_init(&scan, repair->fd, &repair->header);
	scan.on_damage = on_damage;
	scan.userdata = repair;
	while ((r = spool_scan_next(&scan, &frame, &payload)) > 0) {
		if (repair->error < 0) {
			r = repair->error;
			break;
		}
		/* Checksums hold, but it may still not decompress to a message. */
		r = spool_frame_message(&frame, payload, &buffer, &buffer_size, &message);
		if (r == -EBADMSG) {
			on_damage(scan.offset - SPOOL_FRAME_SIZE - frame.stored,
				  SPOOL_FRAME_SIZE + (uint64_t)frame.stored, repair);
			continue;
		}
		if (r == 0 && repair->damaged) {
			repair->damaged = false;
			r = finish_part(repair, first);
			r = r ?: begin_part(repair, &frame);
			first = frame.sequence;
		}
		/* The scan returns the payload behind its header, as both stand in the file. */
		if (r == 0 && repair->out >= 0)
			r = write_all(repair->out, payload - SPOOL_FRAME_SIZE,
				      SPOOL_FRAME_SIZE + (size_t)frame.stored);
		if (r < 0)
			break;
	}
	*ret_end = scan.offset;
	spool_scan_deinit(&scan);
	if (r == 0)
		r = repair->error;
	return r ?: finish_part(repair, first);
}

static int repair_segment(int directory_fd, const char *name)
{
	struct repair repair = {.directory_fd = directory_fd, .name = name, .cut = UINT64_MAX, .out = -1};
	_cleanup_close_ int fd = -1, damaged = -1, writable = -1;
	uint64_t end, size;
	int r;

	r = spool_segment_open(directory_fd, name, &repair.header, &size, &fd);
	if (r == -EBADMSG || r == -EIO) {
		/* As a whole: without a header nothing in it can be delivered. */
		damaged = open_damaged(&repair);
		if (damaged < 0)
			return damaged;
		if (renameat(directory_fd, name, damaged, name) < 0)
			return -errno;
		return fsync(directory_fd) < 0 || fsync(damaged) < 0 ? -errno : 0;
	}
	if (r < 0)
		return r;
	repair.fd = fd;
	if (fstat(fd, &repair.status) < 0)
		return -errno;
	r = split(&repair, &end);
	safe_close(repair.out);
	if (r < 0)
		return r;
	repair.cut = MIN(repair.cut, end);
	if (repair.cut >= size)
		return 0;
	writable = openat(directory_fd, name, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
	if (writable < 0)
		return -errno;
	return ftruncate(writable, (off_t)repair.cut) < 0 || fsync(writable) < 0 ? -errno : 0;
}

int spool_repair(int directory_fd, spool_found found, void *userdata, struct spool_report *ret_report)
{
	_cleanup_spool_listing_ struct spool_listing listing = {};
	_cleanup_close_ int lock_fd = -1;
	int r;

	r = spool_lock(directory_fd, &lock_fd);
	if (r < 0)
		return r;
	r = spool_check(directory_fd, found, userdata, ret_report);
	if (r < 0)
		return r;
	ret_report->in_use = false;
	if (unlinkat(directory_fd, SPOOL_TEMPORARY_NAME, 0) < 0 && errno != ENOENT)
		return -errno;
	r = spool_list(directory_fd, &listing);
	for (size_t i = 0; r == 0 && i < listing.n; i++)
		r = repair_segment(directory_fd, listing.entries[i].name);
	return r;
}
