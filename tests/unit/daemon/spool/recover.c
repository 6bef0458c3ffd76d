/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a crash or a bad disk can leave: the spool cut at every byte, every byte changed, segments without a
 * header. A wrong message is never handed out, what is missing is reported, and sequences never repeat.
 */

#include "daemon/spool/recover.h"
#include "common/spool/cursor.h"
#include "tests/unit/common/spool/support.h"
#include <fcntl.h>
#include <sys/stat.h>

#include <stdio.h>
#include <string.h>
#include <unistd.h>

START_TEST(a_new_run_goes_on_in_a_new_segment)
{
	for (uint64_t run = 0; run < 4; run++) {
		spool_test_open();
		ck_assert_int_eq(spool_writer_last_time(spool_test.writer), (int64_t)run * 10 * 1000000000);
		for (uint64_t i = 1; i <= 10; i++)
			spool_test_append(run * 10 + i, 50);
		spool_test_close();
		ck_assert_uint_eq(spool_test_segments(), run + 1);
	}
	spool_test_open();
	ck_assert_uint_eq(spool_test_status().last_sequence, 40);
	spool_test_holds(1, 40);
}
END_TEST

START_TEST(another_boot_jumps)
{
	spool_test_open();
	spool_test_append(1, 50);
	spool_test_close();
	text_write(spool_test.boot_id, "fedcba98-89ab-cdef-0123-456789abcdef\n");
	spool_test_open();
	spool_test_append(2, 50);
	spool_test_sync();
	ck_assert_uint_eq(spool_test_status().last_sequence, 2 + SPOOL_SEQUENCE_JUMP);
	ck_assert_uint_eq(spool_test_status().messages, 2);
	/* That is not a gap. */
	spool_test_holds(1, 2);
}
END_TEST

/* What a sink may have seen beyond the spool's end must not be seen again as something else. */
START_TEST(a_sink_that_may_be_ahead_makes_it_jump)
{
	static char sink[] = "a";
	struct spool_position position;

	spool_test.options.sinks = (char *const[]){sink, NULL};
	for (uint64_t i = 1, expected = 1; i <= 4; i++, expected++) {
		spool_test_open();
		spool_test_append(i, 50);
		spool_test_sync();
		ck_assert_uint_eq(spool_test_status().last_sequence, expected);
		position = spool_test_position(i);
		if (i == 3) {
			position.sequence++;
			expected += SPOOL_SEQUENCE_JUMP;
		}
		if (i > 1)
			spool_test_cursor(sink, &position);
		spool_test_close();
	}
	/* One whose state can't be read may be anywhere. */
	_cleanup_free_ char *directory = path_join(spool_test.upload, sink);
	_cleanup_free_ char *cursor = path_join(directory, "cursor");
	ck_assert_int_eq(truncate(cursor, 10), 0);
	spool_test_open();
	spool_test_append(5, 50);
	spool_test_sync();
	ck_assert_uint_eq(spool_test_status().last_sequence, 5 + 2 * SPOOL_SEQUENCE_JUMP);
	spool_test_close();
}
END_TEST

/* The batch under way counts like what was delivered: its sequences are not given to others. */
START_TEST(a_batch_that_may_be_ahead_makes_it_jump)
{
	static char sink[] = "a";
	_cleanup_free_ char *directory = path_join(spool_test.upload, sink);
	_cleanup_(cursor_freep) struct cursor *cursor = NULL;
	_cleanup_close_ int fd = -1;
	struct cursor_state state = {};

	spool_test.options.sinks = (char *const[]){sink, NULL};
	spool_test_open();
	spool_test_append(1, 50);
	spool_test_sync();
	state.delivered = spool_test_position(1);
	spool_test_close();
	state.batch = (struct cursor_batch){.first = 2, .last = 4, .messages = 3};
	ck_assert_int_eq(mkdir(directory, 0700), 0);
	fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	ck_assert_int_eq(cursor_open(fd, 0600, &cursor), 0);
	ck_assert_int_eq(cursor_write(cursor, &state), 0);
	spool_test_open();
	spool_test_append(5, 50);
	spool_test_sync();
	ck_assert_uint_eq(spool_test_status().last_sequence, 2 + SPOOL_SEQUENCE_JUMP);
	spool_test_close();
	/* Further than a jump: from there on. */
	state.batch.last = 10 * SPOOL_SEQUENCE_JUMP;
	ck_assert_int_eq(cursor_write(cursor, &state), 0);
	spool_test_open();
	spool_test_append(6, 50);
	spool_test_sync();
	ck_assert_uint_eq(spool_test_status().last_sequence, 11 * SPOOL_SEQUENCE_JUMP + 1);
	spool_test_close();
	/* To where no sequence is left: another spool. */
	state.batch.last = UINT64_MAX - 1;
	ck_assert_int_eq(cursor_write(cursor, &state), 0);
	spool_test_open();
	spool_test_append(7, 50);
	spool_test_sync();
	ck_assert_uint_eq(spool_test_status().last_sequence, 12 * SPOOL_SEQUENCE_JUMP + 2);
	spool_test_close();
}
END_TEST

START_TEST(another_machine_begins_another_spool)
{
	char id[33];
	struct spool_message message;
	struct spool_gap gap;

	spool_test_open();
	memcpy(id, spool_test_status().spool_id, sizeof(id));
	spool_test_append(1, 50);
	spool_test_close();
	text_write(spool_test.machine_id, "1123456789abcdef0123456789abcdef\n");
	spool_test_open();
	ck_assert_str_ne(spool_test_status().spool_id, id);
	spool_test_append(2, 50);
	spool_test_sync();

	_cleanup_(spool_reader_freep) struct spool_reader *reader = spool_test_reader(spool_test.spool);
	spool_test_expect(reader, 1);
	ck_assert_str_eq(spool_reader_id(reader), id);
	ck_assert_int_eq(spool_reader_next(reader, &message, &gap), SPOOL_READ_NEW_SPOOL);
	ck_assert_str_eq(spool_reader_id(reader), spool_test_status().spool_id);
	spool_test_expect(reader, 2);
	spool_test_expect_end(reader);
}
END_TEST

START_TEST(cut_at_every_byte_of_the_last_frame)
{
	uint8_t *data;
	size_t size;
	char *path = spool_test_make(5, &data, &size);
	size_t last = SPOOL_FRAME_SIZE + 44;

	for (size_t cut = size - last; cut < size; cut++) {
		bytes_write(path, data, cut);
		/* Readers need no recovery. */
		ck_assert_uint_eq(spool_test_read().messages, 4);
		spool_test_open();
		ck_assert_uint_eq(spool_test_status().messages, 4);
		ck_assert_uint_eq(spool_test_status().damaged_frames, 0);
		ck_assert_int_eq(spool_writer_last_time(spool_test.writer), 4000000000);
		spool_test_append(6, 50);
		spool_test_close();
		struct spool_seen seen = spool_test_read();
		ck_assert_uint_eq(seen.messages, 5);
		ck_assert_uint_eq(seen.last, 6);
		ck_assert_uint_eq(seen.missing, 0);
		struct spool_report report = spool_test_check();
		ck_assert(spool_report_is_sound(&report));
		ck_assert_uint_eq(report.torn_tails, 0);
		spool_test_keep(path);
	}
	free(data);
	free(path);
}
END_TEST

START_TEST(every_prefix_is_a_start)
{
	uint8_t *data;
	size_t size;
	char *path = spool_test_make(4, &data, &size);

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
		struct spool_seen seen = spool_test_read();
		ck_assert_uint_eq(seen.messages, whole + 1);
		ck_assert_uint_eq(seen.last, 9);
		ck_assert_uint_eq(seen.missing, 0);
		spool_test_keep(path);
	}
	free(data);
	free(path);
}
END_TEST

/* With one byte changed, before and after a new run: nothing wrong, at most one message missing, and that is
 * told. */
static void change_byte(const char *path, uint8_t *data, size_t size, size_t at, uint64_t n)
{
	struct spool_seen seen;

	data[at] ^= 0x41;
	bytes_write(path, data, size);
	data[at] ^= 0x41;
	seen = spool_test_read();
	if (at < SPOOL_HEADER_SIZE)
		ck_assert_uint_eq(seen.messages, 0);
	else
		ck_assert_uint_eq(seen.messages, n - 1);

	spool_test_open();
	spool_test_append(n + 1, 50);
	spool_test_close();
	seen = spool_test_read();
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
	char *path = spool_test_make(n, &data, &size);

	for (size_t at = 0; at < size; at++) {
		change_byte(path, data, size, at, n);
		spool_test_keep(path);
	}
	free(data);
	free(path);
}
END_TEST

START_TEST(damage_at_the_end_of_a_run_is_told_by_the_next)
{
	uint8_t *data;
	size_t size;
	char *path = spool_test_make(3, &data, &size);
	struct spool_seen seen;

	data[size - 3] ^= 1;
	bytes_write(path, data, size);
	seen = spool_test_read();
	ck_assert_uint_eq(seen.messages, 2);
	ck_assert_uint_eq(seen.missing, 0);
	spool_test_open();
	ck_assert_uint_eq(spool_test_status().damaged_frames, 1);
	spool_test_append(4, 50);
	spool_test_close();
	seen = spool_test_read();
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
		struct spool_seen seen = spool_test_read();

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
	struct spool_seen seen;

	break_header(2);
	ck_assert_uint_eq(spool_test_check().damaged_segments, 1);
	ck_assert_uint_eq(spool_test_read().messages, 6);
	spool_test_open();
	ck_assert_uint_eq(spool_test_status().damaged_frames, 1);
	spool_test_append(10, 50);
	spool_test_close();
	seen = spool_test_read();
	ck_assert_uint_eq(seen.messages, 7);
	ck_assert_uint_eq(seen.last, 10);
	ck_assert_uint_eq(seen.missing, 3);
	ck_assert_uint_eq(seen.missing_bytes, 150);
	ck_assert_uint_eq(spool_test_check().damaged_segments, 0);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		a_new_run_goes_on_in_a_new_segment,
		another_boot_jumps,
		a_sink_that_may_be_ahead_makes_it_jump,
		a_batch_that_may_be_ahead_makes_it_jump,
		another_machine_begins_another_spool,
		cut_at_every_byte_of_the_last_frame,
		every_prefix_is_a_start,
		every_byte_changed,
		damage_at_the_end_of_a_run_is_told_by_the_next,
		a_segment_without_header_is_a_gap,
		the_last_segment_without_header_is_a_gap_too,
	};

	return spool_test_run("spool recovery", tests, ARRAY_SIZE(tests));
}
