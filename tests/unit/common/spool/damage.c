/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a crash or a bad disk can leave: the spool cut at every byte, every byte changed, segments without
 * header. A wrong message is never handed out, and what is missing is told.
 */

#include "common/crc32c.h"
#include "common/little_endian.h"
#include "common/spool/check.h"
#include "common/spool/directory.h"
#include "common/spool/repair.h"
#include "tests/unit/common/spool/support.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>

/* A spool of one run with n messages of 40, 41, ... bytes, closed; the only segment's path and bytes. */
static char *make_spool(uint64_t n, uint8_t **ret_data, size_t *ret_size)
{
	char *path;

	spool_test_open();
	for (uint64_t i = 1; i <= n; i++)
		spool_test_append(i, 39 + i);
	spool_test_close();
	ck_assert_uint_eq(spool_test_segments(), 1);
	path = spool_test_segment(0);
	*ret_data = bytes_read(path, ret_size);
	return path;
}

struct seen {
	uint64_t messages, last, missing, missing_bytes;
	bool damaged;
};

/* Reads all, asserting that messages are as they were made and ascend. */
static struct seen read_all(void)
{
	_cleanup_(spool_reader_freep) struct spool_reader *reader = spool_test_reader(spool_test.spool);
	struct seen seen = {};
	struct spool_message message;
	struct spool_gap gap;
	int r;

	while ((r = spool_reader_next(reader, &message, &gap)) != SPOOL_READ_END) {
		ck_assert_int_gt(r, 0);
		if (r == SPOOL_READ_GAP) {
			seen.missing += gap.messages;
			seen.missing_bytes += gap.bytes;
			seen.damaged = seen.damaged || gap.damaged;
		} else if (r == SPOOL_READ_MESSAGE) {
			uint64_t number = spool_test_number(&message);

			ck_assert_uint_gt(number, seen.last);
			seen.last = number;
			seen.messages++;
		}
	}
	return seen;
}

static struct spool_report check_spool(void)
{
	_cleanup_close_ int fd = open(spool_test.spool, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct spool_report report;

	ck_assert_int_eq(spool_check(fd, NULL, NULL, &report), 0);
	return report;
}

static struct spool_report repair_spool(void)
{
	_cleanup_close_ int fd = open(spool_test.spool, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct spool_report report;

	ck_assert_int_eq(spool_repair(fd, NULL, NULL, &report), 0);
	return report;
}

/* All segments but the one given are removed. */
static void remove_others(const char *path)
{
	for (size_t i = spool_test_segments(); i > 0; i--) {
		_cleanup_free_ char *other = spool_test_segment(i - 1);

		if (strcmp(other, path) != 0)
			ck_assert_int_eq(unlink(other), 0);
	}
}

START_TEST(cut_at_every_byte_of_the_last_frame)
{
	uint8_t *data;
	size_t size;
	char *path = make_spool(5, &data, &size);
	size_t last = SPOOL_FRAME_SIZE + 44;

	for (size_t cut = size - last; cut < size; cut++) {
		bytes_write(path, data, cut);
		/* Readers need no recovery. */
		ck_assert_uint_eq(read_all().messages, 4);
		spool_test_open();
		ck_assert_uint_eq(spool_test_status().messages, 4);
		ck_assert_uint_eq(spool_test_status().damaged_frames, 0);
		ck_assert_int_eq(spool_writer_last_time(spool_test.writer), 4000000000);
		spool_test_append(6, 50);
		spool_test_close();
		struct seen seen = read_all();
		ck_assert_uint_eq(seen.messages, 5);
		ck_assert_uint_eq(seen.last, 6);
		ck_assert_uint_eq(seen.missing, 0);
		struct spool_report report = check_spool();
		ck_assert(spool_report_is_sound(&report));
		ck_assert_uint_eq(report.torn_tails, 0);
		remove_others(path);
	}
	free(data);
	free(path);
}
END_TEST

START_TEST(every_prefix_is_a_start)
{
	uint8_t *data;
	size_t size;
	char *path = make_spool(4, &data, &size);

	for (size_t cut = 0; cut <= size; cut++) {
		uint64_t whole = 0;

		for (size_t end = SPOOL_HEADER_SIZE; whole < 4; whole++) {
			end += SPOOL_FRAME_SIZE + 40 + whole;
			if (end > cut)
				break;
		}
		bytes_write(path, data, cut);
		spool_test_open();
		spool_test_append(9, 50);
		spool_test_close();
		struct seen seen = read_all();
		ck_assert_uint_eq(seen.messages, whole + 1);
		ck_assert_uint_eq(seen.last, 9);
		ck_assert_uint_eq(seen.missing, 0);
		remove_others(path);
	}
	free(data);
	free(path);
}
END_TEST

/* With one byte changed, before and after a new run: nothing wrong, at most one message missing, and that is
 * told. */
static void change_byte(const char *path, uint8_t *data, size_t size, size_t at, uint64_t n)
{
	struct seen seen;

	data[at] ^= 0x41;
	bytes_write(path, data, size);
	data[at] ^= 0x41;
	seen = read_all();
	if (at < SPOOL_HEADER_SIZE)
		ck_assert_uint_eq(seen.messages, 0);
	else
		ck_assert_uint_eq(seen.messages, n - 1);

	spool_test_open();
	spool_test_append(n + 1, 50);
	spool_test_close();
	seen = read_all();
	ck_assert_uint_eq(seen.last, n + 1);
	if (at >= SPOOL_HEADER_SIZE)
		ck_assert_uint_eq(seen.messages, n);
	else
		ck_assert_uint_eq(seen.messages, 1);
}

START_TEST(every_byte_changed)
{
	uint64_t n = 4;
	uint8_t *data;
	size_t size;
	char *path = make_spool(n, &data, &size);

	for (size_t at = 0; at < size; at++) {
		change_byte(path, data, size, at, n);
		remove_others(path);
	}
	free(data);
	free(path);
}
END_TEST

/* A spool of ten messages of which three are damaged: 42, 43 and 46 bytes, in two places. */
static void make_damaged(void)
{
	uint64_t n = 10;
	uint8_t *data;
	size_t size;
	char *path = make_spool(n, &data, &size);

	/* The frame headers of messages 3 and 4, and the payload of 7. */
	for (uint64_t i = 1, at = SPOOL_HEADER_SIZE; i <= n; at += SPOOL_FRAME_SIZE + 39 + i, i++) {
		if (i == 3 || i == 4)
			data[at + 9] ^= 1;
		if (i == 7)
			data[at + SPOOL_FRAME_SIZE + 20] ^= 1;
	}
	bytes_write(path, data, size);
	free(data);
	free(path);
}

START_TEST(damage_in_the_middle_is_told_and_counted)
{
	struct spool_report report;
	struct seen seen;

	make_damaged();
	seen = read_all();
	ck_assert_uint_eq(seen.messages, 7);
	ck_assert_uint_eq(seen.missing, 3);
	ck_assert_uint_eq(seen.missing_bytes, 42 + 43 + 46);
	ck_assert(seen.damaged);
	report = check_spool();
	ck_assert(!spool_report_is_sound(&report));
	ck_assert_uint_eq(report.damaged_regions, 2);
	ck_assert_uint_eq(report.damaged_bytes, 3 * SPOOL_FRAME_SIZE + 42 + 43 + 46);
	ck_assert_uint_eq(report.gaps, 2);
	ck_assert_uint_eq(report.missing_messages, 3);
	ck_assert_uint_eq(report.missing_bytes, 42 + 43 + 46);
	ck_assert_uint_eq(report.messages, 7);
}
END_TEST

START_TEST(damaged_parts_are_set_aside_once)
{
	make_damaged();
	/* The daemon counts them and puts them aside, once. */
	for (int i = 0; i < 2; i++) {
		_cleanup_free_ char *name =
			path_join(spool_test.spool, "damaged/0000000000000001-0000.seg.341");
		struct stat st;

		spool_test_open();
		ck_assert_uint_eq(spool_test_status().damaged_frames, 2);
		ck_assert_uint_eq(spool_test_status().messages, 10);
		spool_test_close();
		ck_assert_int_eq(stat(name, &st), 0);
		ck_assert_int_eq(st.st_size, 2 * SPOOL_FRAME_SIZE + 42 + 43);
	}
}
END_TEST

START_TEST(repair_leaves_gaps_and_nothing_else)
{
	struct spool_report report;
	struct seen seen;

	make_damaged();
	/* Repaired, it is sound but for the gaps, and nothing else has gone. */
	report = repair_spool();
	ck_assert_uint_eq(report.damaged_regions, 2);
	report = check_spool();
	ck_assert_uint_eq(report.segments, 3);
	ck_assert_uint_eq(report.damaged_regions, 0);
	ck_assert_uint_eq(report.messages, 7);
	ck_assert_uint_eq(report.missing_messages, 3);
	ck_assert_uint_eq(report.missing_bytes, 42 + 43 + 46);
	ck_assert_uint_eq(read_all().messages, 7);
	spool_test_open();
	spool_test_append(11, 50);
	spool_test_close();
	seen = read_all();
	ck_assert_uint_eq(seen.messages, 8);
	ck_assert_uint_eq(seen.missing, 3);
}
END_TEST

START_TEST(damage_at_the_end_of_a_run_is_told_by_the_next)
{
	uint8_t *data;
	size_t size;
	char *path = make_spool(3, &data, &size);
	struct seen seen;

	data[size - 3] ^= 1;
	bytes_write(path, data, size);
	seen = read_all();
	ck_assert_uint_eq(seen.messages, 2);
	ck_assert_uint_eq(seen.missing, 0);
	spool_test_open();
	ck_assert_uint_eq(spool_test_status().damaged_frames, 1);
	spool_test_append(4, 50);
	spool_test_close();
	seen = read_all();
	ck_assert_uint_eq(seen.messages, 3);
	ck_assert_uint_eq(seen.missing, 1);
	ck_assert_uint_eq(seen.missing_bytes, 42);
	ck_assert(seen.damaged);
	free(data);
	free(path);
}
END_TEST

/* Three runs of three messages each, the first byte of the middle one's segment changed. */
static void break_header(size_t segment)
{
	_cleanup_free_ uint8_t *data = NULL;
	_cleanup_free_ char *path = NULL;
	size_t size;

	for (uint64_t run = 0; run < 3; run++) {
		spool_test_open();
		for (uint64_t i = 1; i <= 3; i++)
			spool_test_append(run * 3 + i, 50);
		spool_test_close();
	}
	path = spool_test_segment(segment);
	data = bytes_read(path, &size);
	data[30] ^= 1;
	bytes_write(path, data, size);
}

START_TEST(a_segment_without_header_is_a_gap)
{
	break_header(1);
	for (int i = 0; i < 2; i++) {
		struct seen seen = read_all();

		ck_assert_uint_eq(seen.messages, 6);
		ck_assert_uint_eq(seen.last, 9);
		ck_assert_uint_eq(seen.missing, 3);
		ck_assert_uint_eq(seen.missing_bytes, 150);
		ck_assert(seen.damaged || i == 1);
		/* The second time round it has been set aside. */
		spool_test_open();
		ck_assert_uint_eq(spool_test_segments(), 2);
		ck_assert_uint_eq(spool_test_status().damaged_frames, i == 0);
		spool_test_close();
	}
}
END_TEST

START_TEST(the_last_segment_without_header_is_a_gap_too)
{
	struct seen seen;

	break_header(2);
	ck_assert_uint_eq(check_spool().damaged_segments, 1);
	ck_assert_uint_eq(read_all().messages, 6);
	spool_test_open();
	ck_assert_uint_eq(spool_test_status().damaged_frames, 1);
	spool_test_append(10, 50);
	spool_test_close();
	seen = read_all();
	ck_assert_uint_eq(seen.messages, 7);
	ck_assert_uint_eq(seen.last, 10);
	ck_assert_uint_eq(seen.missing, 3);
	ck_assert_uint_eq(seen.missing_bytes, 150);
	ck_assert_uint_eq(check_spool().damaged_segments, 0);
}
END_TEST

START_TEST(leftovers_go)
{
	_cleanup_free_ char *temporary = path_join(spool_test.spool, SPOOL_TEMPORARY_NAME);
	struct stat st;

	spool_test_open();
	spool_test_append(1, 50);
	spool_test_close();
	text_write(temporary, "half a header");
	ck_assert_uint_eq(check_spool().leftovers, 1);
	ck_assert_uint_eq(repair_spool().leftovers, 1);
	ck_assert_uint_eq(check_spool().leftovers, 0);
	text_write(temporary, "half a header");
	spool_test_open();
	ck_assert_int_lt(stat(temporary, &st), 0);
	ck_assert_int_eq(errno, ENOENT);
	spool_test_holds(1, 1);
}
END_TEST

START_TEST(repair_leaves_a_spool_in_use_alone)
{
	_cleanup_close_ int fd = -1;
	struct spool_report report;

	spool_test_open();
	spool_test_append(1, 50);
	spool_test_sync();
	fd = open(spool_test.spool, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ck_assert_int_eq(spool_repair(fd, NULL, NULL, &report), -EWOULDBLOCK);
	ck_assert(check_spool().in_use);
	spool_test_close();
	ck_assert(!check_spool().in_use);
	ck_assert_int_eq(spool_repair(fd, NULL, NULL, &report), 0);
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
	char *path = make_spool(1, &data, &size);
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
		cut_at_every_byte_of_the_last_frame,
		every_prefix_is_a_start,
		every_byte_changed,
		damage_in_the_middle_is_told_and_counted,
		damaged_parts_are_set_aside_once,
		repair_leaves_gaps_and_nothing_else,
		damage_at_the_end_of_a_run_is_told_by_the_next,
		a_segment_without_header_is_a_gap,
		the_last_segment_without_header_is_a_gap_too,
		leftovers_go,
		repair_leaves_a_spool_in_use_alone,
		a_newer_format_is_left_alone,
		compressed_frames_are_read,
	};

	return spool_test_run("spool damage", tests, ARRAY_SIZE(tests));
}
