/* SPDX-License-Identifier: BSD-3-Clause */
/* A sink's turns: syncs, the rate limit, the flush interval, a flush. */

#include "script.h"

#include <fcntl.h>
#include <unistd.h>

static struct cursor_state durable[8];

/* What would be known after a crash, at each try. The fourth comes after a while and finds an outage. */
static struct answer crash_and_accept(const struct batch_bounds *bounds, size_t attempt)
{
	(void)bounds;
	ck_assert_uint_lt(attempt, 8);
	ck_assert_int_eq(cursor_read(upload_fd, "fake/cursor", &durable[attempt]), 0);
	if (attempt == 2)
		boot_now += SECOND / 10;
	return say(attempt == 4 ? VERDICT_RETRY : VERDICT_DELIVERED, -1);
}

START_TEST(test_full_batches_share_a_sync)
{
	struct cursor_state now;

	fill(60);
	world.batch_max = 10;
	world.server = crash_and_accept;
	make_sink();
	run_until(boot_now + SECOND / 5);
	ck_assert_uint_eq(world.n_tries, 5);
	for (size_t i = 0; i < 5; i++)
		ck_assert_uint_eq(world.tries[i].first, 10 * i + 1);
	ck_assert_uint_eq(durable[0].batch.first, 1);
	ck_assert_uint_eq(durable[1].delivered.sequence, 0);
	ck_assert_uint_eq(durable[2].delivered.sequence, 0);
	ck_assert_uint_eq(durable[3].delivered.sequence, 30);
	ck_assert_uint_eq(durable[4].delivered.sequence, 30);
	/* What waits is on disk, and so is what was accepted before it. */
	ck_assert_int_eq(cursor_read(upload_fd, "fake/cursor", &now), 0);
	ck_assert_uint_eq(now.delivered.sequence, 40);
	ck_assert_uint_eq(now.batch.first, 41);
	ck_assert_uint_eq(now.batch.last, 50);
	run_until(boot_now + 2 * SECOND);
	ck_assert_uint_eq(world.n_tries, 7);
	/* The last one was not full: more might have come. */
	ck_assert_uint_eq(durable[6].delivered.sequence, 50);
	ck_assert_uint_eq(durable[6].batch.last, 60);
	ck_assert_int_eq(cursor_read(upload_fd, "fake/cursor", &now), 0);
	ck_assert_uint_eq(now.delivered.sequence, 60);
}
END_TEST

START_TEST(test_rate_limit)
{
	fill(30);
	world.server = accept_all;
	world.batch_max = 10;
	sink_config.rate_limit = 500; /* and every batch is said to take 1000 bytes */
	make_sink();
	run_until(boot_now + 60 * SECOND);
	ck_assert_uint_eq(world.n_tries, 3);
	ck_assert_int_eq(world.tries[1].at - world.tries[0].at, 2 * SECOND);
	ck_assert_int_eq(world.tries[2].at - world.tries[1].at, 2 * SECOND);
}
END_TEST

START_TEST(test_flush_interval)
{
	fill(30);
	world.server = accept_all;
	sink_config.flush_interval = 60 * SECOND;
	make_sink();
	run_until(boot_now + 59 * SECOND);
	/* The phase that chance gave is zero, and what comes at that moment waits for the next. */
	ck_assert_uint_eq(world.n_tries, 0);
	run_until(boot_now + 2 * SECOND);
	ck_assert_uint_eq(world.n_tries, 1);
	ck_assert_uint_eq(world.tries[0].messages, 30);
}
END_TEST

static struct answer more_meanwhile(const struct batch_bounds *bounds, size_t attempt)
{
	if (attempt == 0) {
		fill(1);
	}
	return accept_all(bounds, attempt);
}

/* What comes while the last batch is under way belongs to the flush: it was stored before it was asked for.
 */
START_TEST(test_flush_looks_again_after_an_answer)
{
	struct sink_status status;

	fill(3);
	world.server = more_meanwhile;
	make_sink();
	sink_flush(world.sink, boot_now + SECOND);
	sink_run(world.sink);
	ck_assert_uint_eq(world.n_tries, 1);
	ck_assert(!sink_is_settled(world.sink));
	run_until(boot_now + SECOND);
	ck_assert(sink_is_settled(world.sink));
	sink_get_status(world.sink, &status);
	ck_assert_uint_eq(status.sent_messages, 4);
}
END_TEST

static void remove_cursor(void)
{
	ck_assert_int_eq(unlinkat(upload_fd, "fake/cursor", 0), 0);
	(void)unlinkat(upload_fd, "fake/recent", 0);
	ck_assert_int_eq(unlinkat(upload_fd, "fake", AT_REMOVEDIR), 0);
}

/* The sink's directory is removed: it is made again, with the cursor as it is in memory. */
START_TEST(test_a_directory_that_is_removed)
{
	struct cursor_state state;
	struct sink_status status;

	fill(3);
	world.server = accept_all;
	make_sink();
	run_until(boot_now + SECOND);
	remove_cursor();
	fill(2);
	sink_wake(world.sink);
	run_until(boot_now + SECOND);
	ck_assert_uint_eq(world.n_tries, 2);
	ck_assert_int_eq(cursor_read(upload_fd, "fake/cursor", &state), 0);
	ck_assert_uint_eq(state.delivered.sequence, 5);
	sink_get_status(world.sink, &status);
	ck_assert_int_eq(status.state, SINK_STATE_IDLE);
	/* Also while there is nothing to deliver. */
	remove_cursor();
	sink_wake(world.sink);
	run_until(boot_now + SECOND);
	ck_assert_int_eq(cursor_read(upload_fd, "fake/cursor", &state), 0);
	ck_assert_uint_eq(state.delivered.sequence, 5);
}
END_TEST

/* It can't be made again: an error that lasts as long as that. */
START_TEST(test_a_directory_that_cannot_be_made_again)
{
	struct cursor_state state;
	struct sink_status status;
	int fd;

	fill(3);
	world.server = accept_all;
	make_sink();
	run_until(boot_now + SECOND);
	remove_cursor();
	fd = openat(upload_fd, "fake", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	ck_assert_int_ge(fd, 0);
	close(fd);
	fill(2);
	sink_wake(world.sink);
	run_until(boot_now + 5 * SECOND);
	sink_get_status(world.sink, &status);
	ck_assert_int_eq(status.state, SINK_STATE_RETRYING);
	ck_assert_str_eq(status.last_error, "cursor: Not a directory");
	ck_assert_uint_eq(status.sent_messages, 5);
	ck_assert_int_eq(unlinkat(upload_fd, "fake", 0), 0);
	run_until(boot_now + 2 * SECOND);
	sink_get_status(world.sink, &status);
	ck_assert_int_eq(status.state, SINK_STATE_IDLE);
	ck_assert_str_eq(status.last_error, "");
	ck_assert_int_eq(cursor_read(upload_fd, "fake/cursor", &state), 0);
	ck_assert_uint_eq(state.delivered.sequence, 5);
}
END_TEST

int main(void)
{
	TCase *tcase = make_case("turns");

	tcase_add_checked_fixture(tcase, setup_world, teardown_world);
	tcase_set_timeout(tcase, 60);
	tcase_add_test(tcase, test_full_batches_share_a_sync);
	tcase_add_test(tcase, test_rate_limit);
	tcase_add_test(tcase, test_flush_interval);
	tcase_add_test(tcase, test_flush_looks_again_after_an_answer);
	tcase_add_test(tcase, test_a_directory_that_is_removed);
	tcase_add_test(tcase, test_a_directory_that_cannot_be_made_again);
	return run_case(tcase);
}
