/* SPDX-License-Identifier: BSD-3-Clause */
/* The fixture of the spool's suites. */

#include "tests/unit/common/spool/support.h"

#include "common/file.h"
#include "common/spool/cursor.h"
#include "common/spool/directory.h"
#include "common/time_text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

struct spool_test spool_test;

char *path_join(const char *parent, const char *name)
{
	char *path;

	ck_assert_int_gt(asprintf(&path, "%s/%s", parent, name), 0);
	return path;
}

static void setup(void)
{
	struct spool_test *t = &spool_test;

	*t = (struct spool_test){};
	scratch_make(t->directory);
	t->spool = path_join(t->directory, "spool");
	t->upload = path_join(t->directory, "upload");
	t->machine_id = path_join(t->directory, "machine-id");
	t->boot_id = path_join(t->directory, "boot-id");
	text_write(t->machine_id, "0123456789abcdef0123456789abcdef\n");
	text_write(t->boot_id, "01234567-89ab-cdef-0123-456789abcdef\n");
	ck_assert_int_eq(mkdir(t->upload, 0700), 0);
	t->options = (struct spool_writer_options){
		.directory = t->spool,
		.max_size = 8 << 20,
		.sync = SPOOL_SYNC_INTERVAL,
		.sync_interval = 3600 * NSEC_PER_SEC,
		.upload_directory = t->upload,
		.file_mode = 0600,
		.retry_interval = 10 * NSEC_PER_MSEC,
		.machine_id_file = t->machine_id,
		.boot_id_file = t->boot_id,
		.files = &t->files,
	};
	spool_test_make_disk(&t->disk, &t->files);
}

static void teardown(void)
{
	struct spool_test *t = &spool_test;

	spool_test_close();
	free(t->spool);
	free(t->upload);
	free(t->machine_id);
	free(t->boot_id);
}

int spool_test_run(const char *name, const TTest *const *tests, size_t n)
{
	Suite *suite = suite_create(name);
	SRunner *runner;
	int failed;

	for (size_t i = 0; i < n; i++) {
		TCase *one = tcase_create(tests[i]->name);

		tcase_add_checked_fixture(one, setup, teardown);
		tcase_set_timeout(one, 120);
		tcase_add_test(one, tests[i]);
		suite_add_tcase(suite, one);
	}
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

static void on_stored(uint64_t sequence, void *userdata)
{
	struct spool_test *t = userdata;

	__atomic_store_n(&t->stored, sequence, __ATOMIC_SEQ_CST);
}

static void on_lost(const struct spool_loss *loss, void *userdata)
{
	struct spool_test *t = userdata;

	if (t->lost_calls++ == 0)
		t->lost.from = loss->from;
	t->lost.to = loss->to;
	t->lost.messages += loss->messages;
	t->lost.bytes += loss->bytes;
}

void spool_test_open(void)
{
	static const struct spool_writer_ops ops = {.stored = on_stored, .lost = on_lost};
	struct spool_test *t = &spool_test;
	char *reason = NULL;

	ck_assert_ptr_null(t->writer);
	ck_assert_int_eq(spool_writer_new(&t->options, &ops, t, &t->writer, &reason), 0);
	ck_assert_ptr_null(reason);
}

void spool_test_close(void)
{
	spool_writer_free(TAKE_PTR(spool_test.writer));
}

void spool_test_text(uint64_t i, size_t length, char *ret_text)
{
	memset(ret_text, 'a' + (int)(i % 26), length);
	ret_text[snprintf(ret_text, length, "{\"number\":%llu,\"x\":\"", (unsigned long long)i)] =
		(char)('a' + (int)(i % 26));
	memcpy(ret_text + length - 2, "\"}", 3);
}

char *spool_test_message(uint64_t i, size_t length)
{
	char *text = malloc(length + 1);

	ck_assert_ptr_nonnull(text);
	ck_assert_uint_ge(length, 32);
	spool_test_text(i, length, text);
	return text;
}

void spool_test_append(uint64_t i, size_t length)
{
	_cleanup_free_ char *text = spool_test_message(i, length);

	ck_assert_int_eq(spool_writer_append(spool_test.writer, text, length, (int64_t)i * NSEC_PER_SEC), 0);
}

void spool_test_sync(void)
{
	ck_assert_int_eq(spool_writer_sync(spool_test.writer, 20000), 0);
}

struct spool_status spool_test_status(void)
{
	struct spool_status status;

	spool_writer_get_status(spool_test.writer, &status);
	return status;
}

void spool_test_await_error(int error)
{
	/* Each call is a try of the writer that it waits for. */
	for (int i = 0; i < 1000 && spool_test_status().error != error; i++)
		spool_writer_sync(spool_test.writer, 10);
	ck_assert_int_eq(spool_test_status().error, error);
}

uint64_t spool_test_number(const struct spool_message *message)
{
	_cleanup_free_ char *expected = NULL;
	unsigned long long number;

	ck_assert_uint_ge(message->length, 32);
	ck_assert_int_eq(sscanf(message->data, "{\"number\":%llu,", &number), 1);
	expected = spool_test_message(number, message->length);
	ck_assert_mem_eq(message->data, expected, message->length);
	ck_assert_int_eq(message->time, (int64_t)number * NSEC_PER_SEC);
	ck_assert_uint_eq(message->sequence, message->position.sequence);
	return number;
}

struct spool_reader *spool_test_reader(const char *path)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct spool_reader *reader = NULL;

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(spool_reader_new(fd, &reader), 0);
	return reader;
}

void spool_test_expect(struct spool_reader *reader, uint64_t number)
{
	struct spool_message message;
	struct spool_gap gap;

	ck_assert_int_eq(spool_reader_next(reader, &message, &gap), SPOOL_READ_MESSAGE);
	ck_assert_uint_eq(spool_test_number(&message), number);
}

void spool_test_expect_end(struct spool_reader *reader)
{
	struct spool_message message;
	struct spool_gap gap;

	ck_assert_int_eq(spool_reader_next(reader, &message, &gap), SPOOL_READ_END);
}

void spool_test_holds(uint64_t first, uint64_t last)
{
	_cleanup_(spool_reader_freep) struct spool_reader *reader = spool_test_reader(spool_test.spool);

	for (uint64_t i = first; i <= last; i++)
		spool_test_expect(reader, i);
	spool_test_expect_end(reader);
}

struct spool_position spool_test_position(uint64_t number)
{
	_cleanup_(spool_reader_freep) struct spool_reader *reader = spool_test_reader(spool_test.spool);
	struct spool_position position = {};
	struct spool_message message;
	struct spool_gap gap;
	int r;

	while ((r = spool_reader_next(reader, &message, &gap)) > 0)
		if (r == SPOOL_READ_MESSAGE && spool_test_number(&message) == number)
			position = message.position;
	ck_assert_uint_ne(position.sequence, 0);
	return position;
}

void spool_test_cursor(const char *sink, const struct spool_position *position)
{
	_cleanup_free_ char *path = path_join(spool_test.upload, sink);
	_cleanup_(cursor_freep) struct cursor *cursor = NULL;
	_cleanup_close_ int fd = -1;

	ck_assert(mkdir(path, 0700) == 0 || errno == EEXIST);
	fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(cursor_open(fd, 0600, &cursor), 0);
	ck_assert_int_eq(cursor_write(cursor, &(struct cursor_state){.delivered = *position}), 0);
}

static struct spool_listing list(void)
{
	_cleanup_close_ int fd = open(spool_test.spool, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct spool_listing listing;

	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(spool_list(fd, &listing), 0);
	return listing;
}

size_t spool_test_segments(void)
{
	_cleanup_spool_listing_ struct spool_listing listing = list();

	return listing.n;
}

char *spool_test_segment(size_t i)
{
	_cleanup_spool_listing_ struct spool_listing listing = list();

	ck_assert_uint_lt(i, listing.n);
	return path_join(spool_test.spool, listing.entries[i].name);
}

uint8_t *bytes_read(const char *path, size_t *ret_size)
{
	char *data;

	ck_assert_int_eq(file_read(AT_FDCWD, path, SIZE_MAX / 2, &data, ret_size, NULL), 0);
	return (uint8_t *)data;
}

void bytes_write(const char *path, const void *data, size_t n)
{
	FILE *file = fopen(path, "we");

	ck_assert_ptr_nonnull(file);
	ck_assert_uint_eq(fwrite(data, 1, n, file), n);
	ck_assert_int_eq(fclose(file), 0);
}

void text_write(const char *path, const char *text)
{
	bytes_write(path, text, strlen(text));
}

static char sink_a[] = "a", sink_b[] = "b";

char *const spool_test_sinks[] = {sink_a, sink_b, NULL};

void spool_test_prune_to(size_t n)
{
	spool_writer_prune(spool_test.writer);
	spool_test_append(1000, 50);
	spool_test_sync();
	ck_assert_uint_eq(spool_test_segments(), n);
}

uint64_t spool_test_du(void)
{
	_cleanup_free_ char *command = NULL;
	unsigned long long bytes = 0;
	FILE *pipe;

	/* By its path: busybox's shell has one of its own. */
	ck_assert_int_gt(asprintf(&command, "/usr/bin/du -s --block-size=1 %s", spool_test.spool), 0);
	pipe = popen(command, "re");
	ck_assert_ptr_nonnull(pipe);
	ck_assert_int_eq(fscanf(pipe, "%llu", &bytes), 1);
	ck_assert_int_eq(pclose(pipe), 0);
	return bytes;
}
