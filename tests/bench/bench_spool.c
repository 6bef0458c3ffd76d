/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * How fast the spool takes messages, and how fast a large one opens. In a directory of its own below TMPDIR,
 * which is removed; what the disk itself can do is measured beside it, because machines differ more than
 * programs.
 */

#include "common/cleanup.h"
#include "common/spool/reader.h"
#include "common/time_text.h"
#include "daemon/spool/writer.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>

#define MIB ((size_t)1 << 20)

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static double cpu(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void die(const char *what, int r)
{
	fprintf(stderr, "%s: %s\n", what, strerror(-r));
	abort();
}

static int remove_entry(const char *path, const struct stat *status, int type, struct FTW *walk)
{
	(void)status;
	(void)type;
	(void)walk;
	return remove(path);
}

static struct spool_writer *open_writer(const char *directory, uint64_t max_size, uint64_t sync_bytes)
{
	const struct spool_writer_options options = {
		.directory = directory,
		.max_size = max_size,
		.sync = SPOOL_SYNC_INTERVAL,
		.sync_interval = NSEC_PER_SEC,
		.file_mode = 0600,
		.sync_bytes = sync_bytes,
	};
	struct spool_writer *writer;
	int r = spool_writer_new(&options, NULL, NULL, &writer, NULL);

	if (r < 0)
		die("opening the spool", r);
	return writer;
}

/* The reference: plain writes of 1 MiB, each synced. */
static void bench_disk(const char *parent, size_t total)
{
	_cleanup_free_ char *path = NULL, *data = malloc(MIB);
	_cleanup_close_ int fd = -1;
	double begin;

	if (!data || asprintf(&path, "%s/plain", parent) < 0)
		die("memory", -ENOMEM);
	memset(data, 'x', MIB);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	begin = now();
	for (size_t done = 0; done < total; done += MIB)
		if (write(fd, data, MIB) != (ssize_t)MIB || fdatasync(fd) < 0)
			die("writing", -errno);
	printf("plain file, 1 MiB writes, each synced: %.0f MB/s\n", (double)total / 1e6 / (now() - begin));
	unlink(path);
}

static void bench_append(const char *directory, size_t length, size_t total, uint64_t sync_bytes)
{
	struct spool_writer *writer = open_writer(directory, (uint64_t)2 << 30, sync_bytes);
	_cleanup_free_ char *message = malloc(length);
	size_t n = total / length;
	double begin, taken, cpu_begin;
	struct spool_status status;
	int r;

	if (!message)
		die("memory", -ENOMEM);
	memset(message, 'm', length);
	begin = now();
	cpu_begin = cpu();
	for (size_t i = 0; i < n; i++) {
		r = spool_writer_append(writer, message, length, (int64_t)i);
		if (r < 0)
			die("appending", r);
	}
	r = spool_writer_sync(writer, 60000);
	if (r < 0)
		die("syncing", r);
	taken = now() - begin;
	spool_writer_get_status(writer, &status);
	if (status.lost_messages > 0)
		die("messages were lost", -EIO);
	printf("append, messages of %zu bytes, a sync per %llu MiB: %.0f MB/s, %.0f messages/s, %.2f s CPU per GB\n",
	       length, (unsigned long long)(sync_bytes / MIB), (double)total / 1e6 / taken, (double)n / taken,
	       (cpu() - cpu_begin) / ((double)total / 1e9));
	spool_writer_free(writer);
}

static void bench_start(const char *directory)
{
	struct spool_status status;
	struct spool_writer *writer;
	double begin = now(), taken;

	writer = open_writer(directory, (uint64_t)2 << 30, 0);
	taken = now() - begin;
	spool_writer_get_status(writer, &status);
	printf("start with a spool of %.0f MB, %llu messages: %.1f ms\n", (double)status.bytes / 1e6,
	       (unsigned long long)status.messages, taken * 1e3);
	spool_writer_free(writer);
}

static void bench_read(const char *directory)
{
	_cleanup_close_ int fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct spool_reader *reader;
	struct spool_message message;
	struct spool_gap gap;
	uint64_t messages = 0, bytes = 0;
	double begin = now(), taken;
	int r = spool_reader_new(fd, &reader);

	if (r < 0)
		die("reading", r);
	while ((r = spool_reader_next(reader, &message, &gap)) == SPOOL_READ_MESSAGE) {
		messages++;
		bytes += message.length;
	}
	if (r != SPOOL_READ_END)
		die("reading", r);
	taken = now() - begin;
	printf("read: %.0f MB/s, %.0f messages/s\n", (double)bytes / 1e6 / taken, (double)messages / taken);
	spool_reader_free(reader);
}

int main(void)
{
	_cleanup_free_ char *parent = NULL, *large = NULL, *small = NULL;
	const char *below = getenv("TMPDIR") ?: "/tmp";

	if (asprintf(&parent, "%s/netlogd-bench-XXXXXX", below) < 0 || !mkdtemp(parent))
		die(below, -errno);
	if (asprintf(&large, "%s/large", parent) < 0 || asprintf(&small, "%s/small", parent) < 0)
		die("memory", -ENOMEM);
	bench_disk(parent, 1024 * MIB);
	/* Four messages with their headers. */
	bench_append(large, 256 << 10, 1024 * MIB, MIB + 4 * SPOOL_FRAME_SIZE);
	bench_start(large);
	bench_read(large);
	nftw(large, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
	bench_append(small, 1024, 256 * MIB, 4 * MIB);
	bench_read(small);
	nftw(parent, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
	return 0;
}
