/* SPDX-License-Identifier: BSD-3-Clause */
/* A disk that is full, fails, writes partially or lies: only what memory can't hold is lost, and that is
 * counted to the message. */

#include "tests/unit/common/spool/support.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static void set_room(int64_t room)
{
	spool_test_disk_lock();
	spool_test.disk.limited = true;
	spool_test.disk.room = room;
	spool_test_disk_unlock();
}

START_TEST(short_writes_are_no_trouble)
{
	spool_test.disk.short_writes = 7;
	spool_test_open();
	for (uint64_t i = 1; i <= 100; i++)
		spool_test_append(i, 1000);
	spool_test_sync();
	spool_test_holds(1, 100);
	ck_assert_uint_gt(spool_test.disk.writes, 100 * 1000 / 7);
}
END_TEST

START_TEST(full_and_room_again)
{
	struct spool_status status;

	spool_test_open();
	/* Room for ten messages and a half. */
	set_room(SPOOL_HEADER_SIZE + 10 * (1000 + SPOOL_FRAME_SIZE) + 500);
	for (uint64_t i = 1; i <= 30; i++)
		spool_test_append(i, 1000);
	spool_test_await_error(-ENOSPC);
	status = spool_test_status();
	ck_assert_uint_eq(status.lost_messages, 0);
	ck_assert_uint_gt(status.waiting_messages, 0);
	/* What is there can be read meanwhile: the reserve that was given up may have let some more in. */
	_cleanup_(spool_reader_freep) struct spool_reader *reader = spool_test_reader(spool_test.spool);
	for (uint64_t i = 1; i <= 10; i++)
		spool_test_expect(reader, i);
	set_room(1 << 20);
	spool_test_sync();
	status = spool_test_status();
	ck_assert_int_eq(status.error, 0);
	ck_assert_uint_eq(status.waiting_messages, 0);
	for (uint64_t i = 11; i <= 30; i++)
		spool_test_expect(reader, i);
	spool_test_expect_end(reader);
	spool_test_holds(1, 30);
	ck_assert_uint_eq(spool_test_check().torn_tails, 0);
	ck_assert_uint_eq(spool_test.lost_calls, 0);
}
END_TEST

START_TEST(the_reserve_is_given_up_for_others)
{
	_cleanup_free_ char *path = path_join(spool_test.spool, "reserve");
	struct stat st;

	/* No tries but those that are asked for: each takes the reserve for a moment. */
	spool_test.options.retry_interval = 3600 * INT64_C(1000000000);
	spool_test_open();
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_int_eq(st.st_size, 128 << 10);
	set_room(SPOOL_HEADER_SIZE + 5000);
	for (uint64_t i = 1; i <= 10; i++)
		spool_test_append(i, 1000);
	spool_test_await_error(-ENOSPC);
	/* Something else may take it, and does. */
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_int_eq(st.st_size, 0);
	set_room(1000);
	ck_assert_int_eq(spool_writer_sync(spool_test.writer, 10000), -ENOSPC);
	set_room(1 << 20);
	spool_test_sync();
	ck_assert_int_eq(stat(path, &st), 0);
	ck_assert_int_eq(st.st_size, 128 << 10);
	spool_test_holds(1, 10);
}
END_TEST

/* A message is most of the disk: the one before it goes as soon as the sink has it, though it is retained. */
START_TEST(large_messages_one_after_another)
{
	struct spool_position position;

	spool_test.options.sinks = (char *const[]){spool_test_sinks[0], NULL};
	spool_test.options.retain = 3600 * INT64_C(1000000000);
	spool_test.options.segment_size = 100 << 10;
	spool_test_open();
	set_room(300 << 10);
	spool_test_append(1, 190 << 10);
	spool_test_sync();
	for (uint64_t i = 2; i <= 5; i++) {
		spool_test_append(i, 190 << 10);
		spool_test_await_error(-ENOSPC);
		position = spool_test_position(i - 1);
		spool_test_cursor(spool_test_sinks[0], &position);
		spool_writer_prune(spool_test.writer);
		for (int attempt = 0; attempt < 50 && spool_writer_sync(spool_test.writer, 10000) < 0;
		     attempt++)
			;
		ck_assert_int_eq(spool_test_status().error, 0);
		spool_test_holds(i, i);
	}
	ck_assert_uint_eq(spool_test_status().lost_messages, 0);
}
END_TEST

START_TEST(memory_holds_what_it_can_and_counts_the_rest)
{
	spool_test.options.memory_max = 100 * (1000 + SPOOL_FRAME_SIZE);
	spool_test_open();
	set_room(0);
	for (uint64_t i = 1; i <= 250; i++) {
		spool_test_append(i, 1000);
		if (i == 1)
			spool_test_await_error(-ENOSPC);
	}
	ck_assert_uint_eq(spool_test_status().waiting_messages, 100);
	ck_assert_uint_eq(spool_test_status().lost_messages, 150);
	ck_assert_uint_eq(spool_test_status().lost_bytes, 150 * 1000);
	set_room(2 << 20);
	spool_test_sync();
	spool_test_holds(151, 250);
	/* What was never in the spool is not a gap in it. */
	ck_assert_uint_eq(spool_test_status().first_sequence, 1);
	spool_test_close();
	ck_assert_uint_eq(spool_test.lost_calls, 1);
	ck_assert_uint_eq(spool_test.lost.messages, 150);
	ck_assert_uint_eq(spool_test.lost.bytes, 150 * 1000);
	ck_assert_int_eq(spool_test.lost.from, 1000000000);
	ck_assert_int_eq(spool_test.lost.to, 150 * 1000000000LL);
}
END_TEST

START_TEST(a_failed_sync_is_written_again_elsewhere)
{
	spool_test_open();
	_cleanup_(spool_reader_freep) struct spool_reader *reader = spool_test_reader(spool_test.spool);
	for (uint64_t i = 1; i <= 5; i++)
		spool_test_append(i, 1000);
	spool_test_sync();
	spool_test_disk_lock();
	spool_test.disk.sync_error = EIO;
	spool_test.disk.sync_failures = 1;
	spool_test_disk_unlock();
	for (uint64_t i = 6; i <= 10; i++)
		spool_test_append(i, 1000);
	spool_test_sync();
	ck_assert_uint_eq(spool_test.disk.failed_syncs, 1);
	ck_assert_uint_eq(spool_test_segments(), 2);
	for (uint64_t i = 1; i <= 10; i++)
		spool_test_expect(reader, i);
	spool_test_expect_end(reader);

	/* What the failed file held after the last good sync may be anything: cut it off. */
	_cleanup_free_ char *first = spool_test_segment(0);
	ck_assert_int_eq(truncate(first, SPOOL_HEADER_SIZE + 5 * (1000 + SPOOL_FRAME_SIZE)), 0);
	spool_test_holds(1, 10);
	struct spool_report report = spool_test_check();
	ck_assert_uint_eq(report.messages, 10);
	ck_assert_uint_eq(report.gaps, 0);
	spool_test_append(11, 1000);
	spool_test_sync();
	spool_test_holds(1, 11);
	spool_test_close();
	spool_test_open();
	ck_assert_uint_eq(spool_test_status().messages, 11);
	spool_test_holds(1, 11);
}
END_TEST

/* The file that is being written is removed: what comes next goes into another one. */
START_TEST(a_segment_that_is_removed)
{
	spool_test_open();
	for (uint64_t i = 1; i <= 5; i++)
		spool_test_append(i, 1000);
	spool_test_sync();
	_cleanup_free_ char *path = spool_test_segment(0);
	ck_assert_int_eq(unlink(path), 0);
	for (uint64_t i = 6; i <= 8; i++)
		spool_test_append(i, 1000);
	for (int i = 0; i < 20 && spool_writer_sync(spool_test.writer, 10000) < 0; i++)
		;
	ck_assert_int_eq(spool_test_status().error, 0);
	ck_assert_uint_eq(spool_test_segments(), 1);
	spool_test_holds(6, 8);
	ck_assert_uint_eq(spool_test_status().lost_messages, 0);
}
END_TEST

/* Syncs again until it succeeds: a lost file is an error first. */
static void sync_anew(void)
{
	for (int i = 0; i < 50 && spool_writer_sync(spool_test.writer, 10000) < 0; i++)
		;
	ck_assert_int_eq(spool_test_status().error, 0);
}

/* Expects what was not synced, after the gap of what was. */
static void holds_the_rest(struct spool_reader *reader)
{
	struct spool_message message;
	struct spool_gap gap;
	struct spool_status status = spool_test_status();

	ck_assert_int_eq(spool_reader_next(reader, &message, &gap), SPOOL_READ_GAP);
	ck_assert_uint_eq(gap.messages, 3);
	for (uint64_t i = 6; i <= 8; i++)
		spool_test_expect(reader, i);
	spool_test_expect_end(reader);
	spool_test_holds(6, 8);
	ck_assert_uint_eq(status.vanished_segments, 1);
	ck_assert_uint_eq(status.vanished_messages, 5);
	ck_assert_uint_eq(status.messages, 3);
	spool_test_close();
	/* Nor is any of it lost by the next start. */
	spool_test_open();
	spool_test_append(9, 1000);
	spool_test_sync();
	spool_test_expect(reader, 9);
	spool_test_holds(6, 9);
}

/* Five messages that are synced, and a reader that has had two of them. */
static struct spool_reader *begin_with_five(void)
{
	struct spool_position position;
	struct spool_reader *reader;

	spool_test_open();
	for (uint64_t i = 1; i <= 5; i++)
		spool_test_append(i, 1000);
	spool_test_sync();
	position = spool_test_position(2);
	reader = spool_test_reader(spool_test.spool);
	ck_assert_int_eq(spool_reader_seek_position(reader, &position), 0);
	return reader;
}

static void append_three(void)
{
	for (uint64_t i = 6; i <= 8; i++)
		spool_test_append(i, 1000);
}

/* The file that is being written is cut off, to nothing or in the middle of a message. */
static void cut_off(off_t size)
{
	_cleanup_(spool_reader_freep) struct spool_reader *reader = begin_with_five();
	_cleanup_free_ char *path = spool_test_segment(0);

	ck_assert_int_eq(truncate(path, size), 0);
	append_three();
	sync_anew();
	holds_the_rest(reader);
}

START_TEST(a_segment_that_is_emptied)
{
	cut_off(0);
}
END_TEST

START_TEST(a_segment_that_is_cut_off)
{
	cut_off(SPOOL_HEADER_SIZE + 500);
}
END_TEST

/* Another file has the name of the one that is being written. */
START_TEST(a_segment_that_is_replaced)
{
	_cleanup_(spool_reader_freep) struct spool_reader *reader = begin_with_five();
	_cleanup_free_ char *path = spool_test_segment(0);
	_cleanup_free_ char *other = path_join(spool_test.directory, "other");

	text_write(other, "not a segment");
	ck_assert_int_eq(rename(other, path), 0);
	append_three();
	sync_anew();
	holds_the_rest(reader);
}
END_TEST

/* One that is complete is removed: counted, with how much of it a sink has yet to read. */
START_TEST(a_closed_segment_that_is_removed)
{
	struct spool_status status;
	struct spool_position position;

	spool_test.options.sinks = (char *const[]){spool_test_sinks[0], NULL};
	spool_reader_free(begin_with_five());
	position = spool_test_position(3);
	spool_test_cursor(spool_test_sinks[0], &position);
	spool_test_close();
	spool_test_open();
	spool_test_append(6, 1000);
	spool_test_sync();
	ck_assert_uint_eq(spool_test_status().messages, 6);
	_cleanup_free_ char *path = spool_test_segment(0);
	ck_assert_int_eq(unlink(path), 0);
	spool_test_append(7, 1000);
	spool_test_sync();
	status = spool_test_status();
	ck_assert_uint_eq(status.messages, 2);
	ck_assert_uint_eq(status.first_sequence, 6);
	ck_assert_uint_eq(status.vanished_segments, 1);
	ck_assert_uint_eq(status.vanished_messages, 5);
	ck_assert_uint_eq(status.vanished_bytes, 5000);
	ck_assert_uint_eq(status.vanished_undelivered, 2);
	spool_test_holds(6, 7);
}
END_TEST

/* The directory is moved away: what comes next goes to the place that is configured. */
static void move_away(bool make_again)
{
	_cleanup_free_ char *moved = path_join(spool_test.directory, "moved");
	_cleanup_(spool_reader_freep) struct spool_reader *reader = NULL;
	struct spool_position position;

	reader = begin_with_five();
	position = spool_test_position(2);
	ck_assert_int_eq(rename(spool_test.spool, moved), 0);
	if (make_again)
		ck_assert_int_eq(mkdir(spool_test.spool, 0700), 0);
	append_three();
	sync_anew();
	spool_reader_free(TAKE_PTR(reader));
	reader = spool_test_reader(spool_test.spool);
	ck_assert_int_eq(spool_reader_seek_position(reader, &position), 0);
	holds_the_rest(reader);
}

START_TEST(a_directory_that_is_moved)
{
	move_away(false);
}
END_TEST

START_TEST(a_directory_that_is_moved_and_made_again)
{
	move_away(true);
}
END_TEST

/* A reader that has had what is written again finds what follows it. */
START_TEST(a_removed_segment_does_not_come_back_under_its_name)
{
	spool_test_open();
	spool_test_append(1, 1000);
	for (int i = 0; i < 10000 && __atomic_load_n(&spool_test.stored, __ATOMIC_SEQ_CST) < 1; i++)
		usleep(1000);
	_cleanup_(spool_reader_freep) struct spool_reader *reader = spool_test_reader(spool_test.spool);
	spool_test_expect(reader, 1);
	_cleanup_free_ char *path = spool_test_segment(0);
	ck_assert_int_eq(unlink(path), 0);
	sync_anew();
	spool_test_append(2, 1000);
	sync_anew();
	spool_test_expect(reader, 2);
	spool_test_holds(1, 2);
}
END_TEST

START_TEST(syncs_that_fail_again_and_again)
{
	spool_test_open();
	spool_test_disk_lock();
	spool_test.disk.sync_error = EIO;
	spool_test.disk.sync_failures = 12;
	spool_test_disk_unlock();
	spool_test_append(1, 1000);
	spool_test_await_error(-EIO);
	for (uint64_t i = 2; i <= 20; i++)
		spool_test_append(i, 1000);
	/* Each sync waits for a try; the thirteenth succeeds. */
	for (int i = 0; i < 20 && spool_writer_sync(spool_test.writer, 10000) < 0; i++)
		;
	ck_assert_int_eq(spool_test_status().error, 0);
	ck_assert_uint_eq(spool_test.disk.failed_syncs, 12);
	spool_test_holds(1, 20);
	ck_assert_uint_eq(spool_test_status().lost_messages, 0);
}
END_TEST

/* A disk that takes everything and keeps nothing: each try is another file, but what they push out is each
 * other. */
START_TEST(syncs_that_never_succeed_push_out_nothing)
{
	spool_test.options.max_size = 1 << 20;
	spool_test_open();
	for (uint64_t i = 1; i <= 20; i++)
		spool_test_append(i, 20000);
	spool_test_sync();
	spool_test_disk_lock();
	spool_test.disk.sync_error = EIO;
	spool_test.disk.sync_failures = UINT32_MAX;
	spool_test_disk_unlock();
	for (uint64_t i = 21; i <= 25; i++)
		spool_test_append(i, 20000);
	for (int i = 0; i < 20; i++)
		ck_assert_int_eq(spool_writer_sync(spool_test.writer, 10000), -EIO);
	ck_assert_uint_ge(spool_test.disk.failed_syncs, 20);
	/* Readers have all of it, whatever a power cut would leave. */
	spool_test_holds(1, 25);
	ck_assert_uint_eq(spool_test_status().removed_messages, 0);
	ck_assert_uint_le(spool_test_segments(), 8);
	spool_test_disk_lock();
	spool_test.disk.sync_failures = 0;
	spool_test_disk_unlock();
	spool_test_sync();
	spool_test_holds(1, 25);
	ck_assert_uint_eq(spool_test_status().messages, 25);
	ck_assert_uint_eq(spool_test_check().gaps, 0);
}
END_TEST

/* A sync fails, and the process is killed while it writes again elsewhere: a reader that had read on in the
 * file that failed misses nothing. */
START_TEST(killed_while_it_writes_again)
{
	uint8_t *data;
	size_t size;

	spool_test_open();
	_cleanup_(spool_reader_freep) struct spool_reader *reader = spool_test_reader(spool_test.spool);
	for (uint64_t i = 1; i <= 5; i++)
		spool_test_append(i, 1000);
	spool_test_sync();
	spool_test_disk_lock();
	spool_test.disk.sync_error = EIO;
	spool_test.disk.sync_failures = 1;
	spool_test_disk_unlock();
	for (uint64_t i = 6; i <= 10; i++)
		spool_test_append(i, 1000);
	spool_test_sync();
	ck_assert_uint_eq(spool_test_segments(), 2);
	for (uint64_t i = 1; i <= 10; i++)
		spool_test_expect(reader, i);
	spool_test_close();
	_cleanup_free_ char *second = spool_test_segment(1);
	data = bytes_read(second, &size);
	bytes_write(second, data, SPOOL_HEADER_SIZE + 2 * (1000 + SPOOL_FRAME_SIZE) + 100);
	free(data);
	spool_test_open();
	spool_test_append(11, 1000);
	spool_test_sync();
	spool_test_expect(reader, 11);
	spool_test_holds(1, 11);
	ck_assert_uint_eq(spool_test_check().gaps, 0);
	/* Nor does one that comes back later, wherever it was: what the second file lacks is in the first. */
	for (uint64_t i = 1; i <= 10; i++) {
		struct spool_position position = spool_test_position(i);
		_cleanup_(spool_reader_freep) struct spool_reader *later =
			spool_test_reader(spool_test.spool);

		ck_assert_int_eq(spool_reader_seek_position(later, &position), 0);
		for (uint64_t number = i + 1; number <= 11; number++)
			spool_test_expect(later, number);
		spool_test_expect_end(later);
		ck_assert_int_eq(spool_reader_seek(later, position.sequence), 0);
		spool_test_expect(later, i);
	}
}
END_TEST

START_TEST(dropped_after_it_was_seen_is_a_gap_for_the_rest)
{
	struct spool_message message;
	struct spool_gap gap;

	spool_test.options.memory_max = 10 * (1000 + SPOOL_FRAME_SIZE);
	spool_test.options.retry_interval = 3600 * INT64_C(1000000000);
	spool_test_open();
	spool_test_append(1, 1000);
	spool_test_sync();
	_cleanup_(spool_reader_freep) struct spool_reader *reader = spool_test_reader(spool_test.spool);
	spool_test_expect(reader, 1);
	/* Two failures: the second waits for its retry. */
	spool_test_disk_lock();
	spool_test.disk.sync_error = EIO;
	spool_test.disk.sync_failures = 2;
	spool_test_disk_unlock();
	for (uint64_t i = 2; i <= 6; i++)
		spool_test_append(i, 1000);
	ck_assert_int_eq(spool_writer_sync(spool_test.writer, 20000), -EIO);
	/* Files that held them once are empty now: the disk has forgotten. */
	for (size_t i = spool_test_segments(); i > 0; i--) {
		_cleanup_free_ char *path = spool_test_segment(i - 1);
		size_t keep = i == 1 ? SPOOL_FRAME_SIZE + 1000 : 0;

		ck_assert_int_eq(truncate(path, (off_t)(SPOOL_HEADER_SIZE + keep)), 0);
	}
	for (uint64_t i = 7; i <= 15; i++)
		spool_test_append(i, 1000);
	ck_assert_uint_eq(spool_test_status().removed_messages, 4);
	ck_assert_uint_eq(spool_test_status().lost_messages, 0);
	spool_test_sync();
	ck_assert_int_eq(spool_reader_next(reader, &message, &gap), SPOOL_READ_GAP);
	ck_assert_uint_eq(gap.messages, 4);
	ck_assert_uint_eq(gap.bytes, 4000);
	ck_assert_int_eq(gap.from, 1000000000);
	ck_assert_int_eq(gap.to, 6000000000);
	for (uint64_t i = 6; i <= 15; i++)
		spool_test_expect(reader, i);
	spool_test_expect_end(reader);
}
END_TEST

START_TEST(a_failed_write_is_written_again_elsewhere)
{
	spool_test_open();
	for (uint64_t i = 1; i <= 5; i++)
		spool_test_append(i, 1000);
	spool_test_sync();
	spool_test_disk_lock();
	spool_test.disk.write_error = EIO;
	spool_test_disk_unlock();
	spool_test_append(6, 1000);
	spool_test_await_error(-EIO);
	for (uint64_t i = 7; i <= 9; i++)
		spool_test_append(i, 1000);
	spool_test_holds(1, 5);
	spool_test_disk_lock();
	spool_test.disk.write_error = 0;
	spool_test_disk_unlock();
	spool_test_sync();
	spool_test_holds(1, 9);
	ck_assert_uint_eq(spool_test_segments(), 2);
	ck_assert_uint_eq(spool_test_check().gaps, 0);
}
END_TEST

START_TEST(full_and_the_partial_frame_stays)
{
	spool_test_open();
	spool_test.disk.no_truncate = true;
	set_room(SPOOL_HEADER_SIZE + 3 * (1000 + SPOOL_FRAME_SIZE) + 500);
	for (uint64_t i = 1; i <= 8; i++)
		spool_test_append(i, 1000);
	spool_test_await_error(-ENOSPC);
	set_room(1 << 20);
	spool_test_sync();
	spool_test_holds(1, 8);
	struct spool_report report = spool_test_check();
	ck_assert_uint_eq(report.torn_tails, 1);
	ck_assert_uint_eq(report.messages, 8);
	ck_assert_uint_eq(report.gaps, 0);
}
END_TEST

START_TEST(no_directory_yet)
{
	spool_test.options.directory = "/proc/netlogd-no-such-place/spool";
	spool_test_open();
	spool_test_append(1, 50);
	ck_assert_int_eq(spool_writer_sync(spool_test.writer, 10000), -ENOENT);
	ck_assert_int_eq(spool_test_status().error, -ENOENT);
	ck_assert_uint_eq(spool_test_status().waiting_messages, 1);
}
END_TEST

START_TEST(a_directory_that_comes_later)
{
	_cleanup_free_ char *later = path_join(spool_test.directory, "later");
	_cleanup_free_ char *directory = path_join(later, "spool");

	spool_test.options.directory = directory;
	spool_test_open();
	spool_test_append(1, 50);
	ck_assert_int_eq(spool_writer_sync(spool_test.writer, 10000), -ENOENT);
	ck_assert_int_eq(mkdir(later, 0700), 0);
	spool_test_sync();
	_cleanup_(spool_reader_freep) struct spool_reader *reader = spool_test_reader(directory);
	spool_test_expect(reader, 1);
	spool_test_close();
}
END_TEST

START_TEST(no_more_files)
{
	spool_test_open();
	spool_test_disk_lock();
	spool_test.disk.open_error = EMFILE;
	spool_test_disk_unlock();
	spool_test_append(1, 50);
	spool_test_await_error(-EMFILE);
	spool_test_disk_lock();
	spool_test.disk.open_error = 0;
	spool_test_disk_unlock();
	spool_test_sync();
	spool_test_holds(1, 1);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		short_writes_are_no_trouble,
		full_and_room_again,
		the_reserve_is_given_up_for_others,
		large_messages_one_after_another,
		memory_holds_what_it_can_and_counts_the_rest,
		a_failed_sync_is_written_again_elsewhere,
		a_segment_that_is_removed,
		a_segment_that_is_emptied,
		a_segment_that_is_cut_off,
		a_segment_that_is_replaced,
		a_closed_segment_that_is_removed,
		a_directory_that_is_moved,
		a_directory_that_is_moved_and_made_again,
		a_removed_segment_does_not_come_back_under_its_name,
		syncs_that_fail_again_and_again,
		syncs_that_never_succeed_push_out_nothing,
		killed_while_it_writes_again,
		dropped_after_it_was_seen_is_a_gap_for_the_rest,
		a_failed_write_is_written_again_elsewhere,
		full_and_the_partial_frame_stays,
		no_directory_yet,
		a_directory_that_comes_later,
		no_more_files,
	};

	return spool_test_run("spool faults", tests, ARRAY_SIZE(tests));
}
