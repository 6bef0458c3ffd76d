/* SPDX-License-Identifier: BSD-3-Clause */
/* Losses before the spool that a run could not report are not forgotten. */

#include "daemon/spool/loss.h"
#include "tests/unit/common/spool/support.h"

#include <errno.h>

static void set_room(bool limited)
{
	spool_test_disk_lock();
	spool_test.disk.limited = limited;
	spool_test.disk.room = 0;
	spool_test_disk_unlock();
}

START_TEST(losses_add_up)
{
	struct spool_loss sum = {};

	spool_loss_add(&sum, &(struct spool_loss){});
	ck_assert_int_eq(sum.from, 0);
	spool_loss_add(&sum, &(struct spool_loss){2, 200, 50, 60});
	spool_loss_add(&sum, &(struct spool_loss){});
	spool_loss_add(&sum, &(struct spool_loss){3, 30, 40, 55});
	ck_assert_uint_eq(sum.messages, 5);
	ck_assert_uint_eq(sum.bytes, 230);
	ck_assert_int_eq(sum.from, 40);
	ck_assert_int_eq(sum.to, 60);
}
END_TEST

START_TEST(note_comes_back)
{
	const struct spool_loss loss = {120, 1234567, -5, 1665692594000000001};
	_cleanup_free_ char *path = path_join(spool_test.directory, "lost");
	struct spool_loss read = {};

	ck_assert_int_eq(spool_loss_note_read(spool_test.directory, &read), -ENOENT);
	ck_assert_int_eq(spool_loss_note_write(spool_test.directory, &loss), 0);
	ck_assert_int_eq(spool_loss_note_read(spool_test.directory, &read), 0);
	ck_assert_uint_eq(read.messages, loss.messages);
	ck_assert_uint_eq(read.bytes, loss.bytes);
	ck_assert_int_eq(read.from, loss.from);
	ck_assert_int_eq(read.to, loss.to);
	spool_loss_note_remove(spool_test.directory);
	ck_assert_int_eq(spool_loss_note_read(spool_test.directory, &read), -ENOENT);
	for (const char *const *text =
		     (const char *const[]){"", "{", "[]", "{\"version\":1}",
					   "{\"version\":2,\"messages\":1,\"bytes\":1,\"from\":1,\"to\":1}",
					   "{\"version\":1,\"messages\":0,\"bytes\":1,\"from\":1,\"to\":1}",
					   "{\"version\":1,\"messages\":1,\"bytes\":-1,\"from\":1,\"to\":1}",
					   "{\"version\":1,\"messages\":1,\"bytes\":1,\"from\":2,\"to\":1}",
					   NULL};
	     *text; text++) {
		text_write(path, *text);
		ck_assert_int_eq(spool_loss_note_read(spool_test.directory, &read), -EBADMSG);
	}
	ck_assert_int_eq(spool_loss_note_write("/proc/netlogd-no-such-place", &loss), -ENOENT);
}
END_TEST

/* Dropped for want of memory, or never written: both are there at the end, each once. */
START_TEST(said_at_the_end)
{
	struct spool_loss loss;

	spool_test.options.memory_max = 10 * (1000 + SPOOL_FRAME_SIZE);
	spool_test_open();
	spool_test_append(1, 1000);
	spool_test_sync();
	set_room(true);
	for (uint64_t i = 2; i <= 31; i++) {
		spool_test_append(i, 1000);
		if (i == 2)
			spool_test_await_error(-ENOSPC);
	}
	spool_writer_close(TAKE_PTR(spool_test.writer), &loss);
	ck_assert_uint_eq(spool_test.lost_calls, 0);
	ck_assert_uint_eq(loss.messages, 30);
	ck_assert_uint_eq(loss.bytes, 30 * 1000);
	ck_assert_int_eq(loss.from, 2000000000);
	ck_assert_int_eq(loss.to, 31000000000);
	/* The next run reports it, with what it loses itself. */
	spool_test_open();
	spool_writer_add_loss(spool_test.writer, &loss);
	spool_test_append(32, 1000);
	spool_test_await_error(-ENOSPC);
	set_room(false);
	spool_test_sync();
	spool_writer_close(TAKE_PTR(spool_test.writer), &loss);
	ck_assert_uint_eq(loss.messages, 0);
	ck_assert_uint_eq(spool_test.lost_calls, 1);
	ck_assert_uint_eq(spool_test.lost.messages, 30);
	ck_assert_int_eq(spool_test.lost.from, 2000000000);
	ck_assert_int_eq(spool_test.lost.to, 31000000000);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {losses_add_up, note_comes_back, said_at_the_end};

	return spool_test_run("spool loss", tests, ARRAY_SIZE(tests));
}
