/* SPDX-License-Identifier: BSD-3-Clause */
#include "support.h"

#include "daemon/spool/writer.h"
#include "tests/unit/common/support.h"

#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

char directory[SCRATCH_MAX];
int upload_fd, spool_fd;
int64_t boot_now, next_run;

static unsigned int written;

static int64_t clock_now(void *userdata)
{
	(void)userdata;
	return boot_now;
}

static int64_t clock_wall_now(void *userdata)
{
	(void)userdata;
	return WALL_START + boot_now;
}

static uint64_t clock_no_chance(void *userdata)
{
	(void)userdata;
	return 0;
}

const struct clock test_clock = {.boot = clock_now, .wall = clock_wall_now, .random = clock_no_chance};

static void wake_at(struct sink *sink, int64_t boot, void *userdata)
{
	(void)sink;
	(void)userdata;
	next_run = boot;
}

static void changed(struct sink *sink, void *userdata)
{
	(void)sink;
	(void)userdata;
}

const struct sink_host_ops test_host = {.wake_at = wake_at, .changed = changed};

void make_directory(void)
{
	scratch_make(directory);
	upload_fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ck_assert_int_ge(upload_fd, 0);
	spool_fd = -1;
	written = 0;
}

void remove_directory(void)
{
	close(upload_fd);
	if (spool_fd >= 0)
		close(spool_fd);
	scratch_remove(directory);
}

static void stored(uint64_t sequence, void *userdata)
{
	(void)sequence;
	(void)userdata;
}

static void write_messages(int n, bool padded)
{
	static const struct spool_writer_ops ops = {.stored = stored};
	char path[320], message[1200];
	struct spool_writer_options options = {
		.directory = path,
		.max_size = 64 << 20,
		.upload_directory = directory,
		.file_mode = 0600,
	};
	struct spool_writer *writer;
	char *reason = NULL;

	snprintf(path, sizeof(path), "%s/spool", directory);
	ck_assert_int_eq(spool_writer_new(&options, &ops, NULL, &writer, &reason), 0);
	for (int i = 0; i < n; i++) {
		int length = snprintf(message, sizeof(message),
				      "{\"logtail\":{\"proc_id\":1,\"proc_seq\":%u}", ++written);

		length += snprintf(message + length, sizeof(message) - (size_t)length,
				   padded ? ",\"pad\":\"%.*d\"}" : "}", written % 3 == 0 ? 1000 : 1, 0);
		ck_assert_int_eq(spool_writer_append(writer, message, (size_t)length, SECOND), 0);
	}
	ck_assert_int_eq(spool_writer_sync(writer, 10000), 0);
	spool_writer_free(writer);
	if (spool_fd >= 0)
		return;
	spool_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ck_assert_int_ge(spool_fd, 0);
}

void fill(int n)
{
	write_messages(n, false);
}

void fill_padded(int n)
{
	write_messages(n, true);
}

void damage_message(int number)
{
	char pattern[320], text[64];
	static char data[1 << 16];
	glob_t found;
	bool done = false;

	snprintf(pattern, sizeof(pattern), "%s/spool/*.seg", directory);
	snprintf(text, sizeof(text), "\"proc_seq\":%d}", number);
	ck_assert_int_eq(glob(pattern, 0, NULL, &found), 0);
	for (size_t i = 0; i < found.gl_pathc && !done; i++) {
		int fd = open(found.gl_pathv[i], O_RDWR | O_CLOEXEC);
		ssize_t n = pread(fd, data, sizeof(data), 0);
		char *at = n > 0 ? memmem(data, (size_t)n, text, strlen(text)) : NULL;

		done = at && pwrite(fd, "X", 1, at - data) == 1;
		close(fd);
	}
	globfree(&found);
	ck_assert(done);
}

TCase *make_case(const char *name)
{
	return tcase_create(name);
}

int run_case(TCase *tcase)
{
	Suite *suite = suite_create("sink");

	suite_add_tcase(suite, tcase);
	return run_suite(suite);
}
