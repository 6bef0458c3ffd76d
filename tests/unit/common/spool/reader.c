/* SPDX-License-Identifier: BSD-3-Clause */
/* What readers get: messages in order while the spool grows, positions, backlogs, formats; and what is
 * missing. */

#include "common/crc32c.h"
#include "common/little_endian.h"
#include "common/spool/check.h"
#include "tests/unit/common/spool/support.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <zstd.h>

START_TEST(a_reader_follows_the_writer)
{
	spool_test_open();
	_cleanup_(spool_reader_freep) struct spool_reader *reader = spool_test_reader(spool_test.spool);
	ck_assert_str_eq(spool_reader_id(reader), "");
	spool_test_expect_end(reader);
	/* Over several segments: an eighth of 8 MiB each. */
	for (uint64_t i = 1; i <= 50; i++) {
		spool_test_append(i, 100000);
		spool_test_sync();
		spool_test_expect(reader, i);
		spool_test_expect_end(reader);
	}
	ck_assert_uint_ge(spool_test_segments(), 5);
	ck_assert_str_eq(spool_reader_id(reader), spool_test_status().spool_id);
}
END_TEST

/* Reads what is there; messages are in order, none is missing. Returns the last number. */
static uint64_t read_on(struct spool_reader *reader, uint64_t last)
{
	struct spool_message message;
	struct spool_gap gap;
	int r;

	while ((r = spool_reader_next(reader, &message, &gap)) == SPOOL_READ_MESSAGE) {
		ck_assert_uint_eq(spool_test_number(&message), last + 1);
		last++;
	}
	ck_assert_int_eq(r, SPOOL_READ_END);
	return last;
}

START_TEST(a_reader_reads_what_is_being_written)
{
	uint64_t last = 0, n = 10000;

	spool_test.options.max_size = 64 << 20;
	spool_test.options.segment_size = 100000;
	spool_test.options.sync_bytes = 50000;
	spool_test.disk.short_writes = 5000;
	spool_test_open();
	_cleanup_(spool_reader_freep) struct spool_reader *reader = spool_test_reader(spool_test.spool);
	for (uint64_t i = 1; i <= n; i++) {
		spool_test_append(i, 32 + (size_t)i * 37 % 1500);
		/* Now and then a file that is not to be trusted any more. */
		if (i % 1000 == 0) {
			spool_test_disk_lock();
			spool_test.disk.sync_error = EIO;
			spool_test.disk.sync_failures = 1;
			spool_test_disk_unlock();
		}
		last = read_on(reader, last);
	}
	while (spool_writer_sync(spool_test.writer, 20000) < 0)
		;
	ck_assert_uint_eq(read_on(reader, last), n);
	ck_assert_uint_gt(spool_test.disk.failed_syncs, 0);
	spool_test_holds(1, n);
	ck_assert_uint_eq(spool_test_status().lost_messages, 0);
}
END_TEST

START_TEST(seek_and_backlog)
{
	uint64_t messages, bytes;
	int64_t oldest;

	spool_test_open();
	for (uint64_t i = 1; i <= 100; i++)
		spool_test_append(i, 100000);
	spool_test_sync();
	/* A part is gone by the cap. */
	uint64_t first = spool_test_status().first_sequence;
	ck_assert_uint_gt(first, 1);

	_cleanup_(spool_reader_freep) struct spool_reader *reader = spool_test_reader(spool_test.spool);
	ck_assert_int_eq(spool_reader_backlog(reader, 0, &messages, &bytes, &oldest), 0);
	ck_assert_uint_eq(messages, 101 - first);
	ck_assert_uint_eq(bytes, (101 - first) * 100000);
	ck_assert_int_eq(oldest, (int64_t)first * 1000000000);
	for (uint64_t i = first; i <= 101; i++) {
		ck_assert_int_eq(spool_reader_backlog(reader, i, &messages, &bytes, &oldest), 0);
		ck_assert_uint_eq(messages, 101 - i);
		ck_assert_uint_eq(bytes, (101 - i) * 100000);
		ck_assert_int_eq(oldest, i == 101 ? 0 : (int64_t)i * 1000000000);
	}
	ck_assert_int_eq(spool_reader_backlog(reader, 90, &messages, &bytes, &oldest), 0);
	ck_assert_uint_eq(messages, 11);
	for (uint64_t i = 100; i >= first; i--) {
		ck_assert_int_eq(spool_reader_seek(reader, i), 0);
		spool_test_expect(reader, i);
	}
	ck_assert_int_eq(spool_reader_seek(reader, 1), 0);
	spool_test_expect(reader, first);
	ck_assert_int_eq(spool_reader_seek(reader, 101), 0);
	spool_test_expect_end(reader);
	spool_test_append(101, 50);
	spool_test_sync();
	spool_test_expect(reader, 101);
}
END_TEST

START_TEST(a_newer_format_is_left_alone)
{
	_cleanup_free_ char *path = NULL;
	struct spool_writer *writer = NULL;
	struct spool_reader *reader = NULL;
	struct spool_report report;
	uint8_t data[SPOOL_HEADER_SIZE];
	char *reason = NULL;

	spool_test_open();
	spool_test_append(1, 50);
	spool_test_close();
	path = path_join(spool_test.spool, "0000000000000002-0000.seg");
	spool_header_encode(&(struct spool_header){.first_sequence = 2}, data);
	data[8] = 2;
	uint32_t crc = crc32c(0, data, 160);
	put_le32(data + 160, crc);
	bytes_write(path, data, sizeof(data));
	ck_assert_int_eq(spool_writer_new(&spool_test.options, NULL, NULL, &writer, &reason),
			 -EPROTONOSUPPORT);
	ck_assert_ptr_nonnull(strstr(reason, "newer version"));
	free(reason);
	_cleanup_close_ int fd = open(spool_test.spool, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ck_assert_int_eq(spool_reader_new(fd, &reader), -EPROTONOSUPPORT);
	ck_assert_int_eq(spool_check(fd, NULL, NULL, &report), -EPROTONOSUPPORT);
}
END_TEST

START_TEST(compressed_frames_are_read)
{
	uint8_t *data, *larger;
	size_t size, packed;
	char *path = spool_test_make(1, &data, &size);
	_cleanup_free_ char *message = spool_test_message(2, 5000);
	struct spool_frame frame = {.flags = SPOOL_FRAME_ZSTD,
				    .length = 5000,
				    .sequence = 2,
				    .time = 2000000000,
				    .bytes_before = 40};

	larger = malloc(size + SPOOL_FRAME_SIZE + 6000);
	memcpy(larger, data, size);
	packed = ZSTD_compress(larger + size + SPOOL_FRAME_SIZE, 6000, message, 5000, 1);
	ck_assert(!ZSTD_isError(packed));
	frame.stored = (uint32_t)packed;
	spool_frame_encode(&frame, larger + size + SPOOL_FRAME_SIZE, larger + size);
	bytes_write(path, larger, size + SPOOL_FRAME_SIZE + packed);
	spool_test_holds(1, 2);
	/* One that does not decompress to what it says is damage, also with a right checksum. */
	frame.length = 4999;
	spool_frame_encode(&frame, larger + size + SPOOL_FRAME_SIZE, larger + size);
	bytes_write(path, larger, size + SPOOL_FRAME_SIZE + packed);
	spool_test_holds(1, 1);
	free(larger);
	free(data);
	free(path);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		a_reader_follows_the_writer,  a_reader_reads_what_is_being_written, seek_and_backlog,
		a_newer_format_is_left_alone, compressed_frames_are_read,
	};

	return spool_test_run("spool reader", tests, ARRAY_SIZE(tests));
}
