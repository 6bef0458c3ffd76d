/* SPDX-License-Identifier: BSD-3-Clause */
/* A sink that is killed between two syncs of its cursor. */

#include "script.h"

#include "common/file.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static struct cursor_state durable[2]; /* the cursor, and what was kept beside it */

static struct answer accept_three(const struct batch_bounds *bounds, size_t attempt)
{
	(void)bounds;
	/* Killed while the fourth is under way: nobody hears the answer. */
	if (attempt == 3) {
		ck_assert_int_eq(cursor_read(upload_fd, "fake/cursor", &durable[0]), 0);
		ck_assert_int_eq(cursor_read(upload_fd, "fake/recent", &durable[1]), 0);
	}
	return say(VERDICT_DELIVERED, -1);
}

enum { KILLED, POWER_CUT, CURSOR_REMOVED, CURSOR_DAMAGED };

/* As after SIGKILL; after a power cut without what was not synced; or without the cursor. */
static void begin_again_from(int how)
{
	uint8_t recent[CURSOR_SLOT_SIZE];
	struct cursor *cursor;
	int fd;

	sink_free(world.sink);
	ck_assert_int_eq(renameat(upload_fd, "fake", upload_fd, "old"), 0);
	ck_assert_int_eq(mkdirat(upload_fd, "fake", 0700), 0);
	fd = openat(upload_fd, "fake", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (how == CURSOR_DAMAGED) {
		ck_assert_int_eq(file_write_atomic(fd, "cursor", "damaged", 7, 0600), 0);
	} else if (how != CURSOR_REMOVED) {
		ck_assert_int_eq(cursor_open(fd, 0600, &cursor), 0);
		ck_assert_int_eq(cursor_write(cursor, &durable[0]), 0);
		cursor_free(cursor);
	}
	cursor_encode(&durable[1], 1, recent);
	if (how != POWER_CUT)
		ck_assert_int_eq(file_write_atomic(fd, "recent", recent, sizeof(recent), 0600), 0);
	close(fd);
	if (how == CURSOR_REMOVED || how == CURSOR_DAMAGED) {
		/* It begins, and is killed once more before anything is delivered. */
		world.server = outage;
		make_sink();
		run_until(boot_now);
		sink_free(world.sink);
	}
	world.n_tries = 0;
	world.server = accept_all;
	make_sink();
	run_until(boot_now + SECOND);
}

START_TEST(test_killed_between_syncs)
{
	fill(60);
	world.batch_max = 10;
	world.server = accept_three;
	make_sink();
	run_until(boot_now + SECOND / 5);
	ck_assert_uint_eq(durable[0].delivered.sequence, 0);
	begin_again_from(_i);
	/* The batch under way, or all since the last sync; the same ones as before. What was kept beside a
	 * cursor says nothing without it. */
	ck_assert_uint_eq(world.tries[0].first, _i == KILLED ? 31 : 1);
	ck_assert_uint_eq(world.tries[0].last, _i == KILLED ? 40 : 10);
	ck_assert_uint_eq(world.tries[world.n_tries - 1].last, 60);
	ck_assert_uint_eq(world.n_tries, _i == KILLED ? 3 : 6);
}
END_TEST

int main(void)
{
	TCase *tcase = make_case("recent");

	tcase_add_checked_fixture(tcase, setup_world, teardown_world);
	tcase_set_timeout(tcase, 60);
	tcase_add_loop_test(tcase, test_killed_between_syncs, KILLED, CURSOR_DAMAGED + 1);
	return run_case(tcase);
}
