/* SPDX-License-Identifier: BSD-3-Clause */
/* The memory of live connections: how much it holds, what it forgets, and when. */

#include "tests/unit/daemon/record/live_support.h"

/* A bucket holds four: some of the 600 lie in full ones when the flood comes, but none is worth less. */
START_TEST(a_flood_of_syns)
{
	struct live_status status;

	next_window(PERIOD);
	for (uint32_t i = 0; i < 600; i++)
		open_one(i, true);
	ck_assert_uint_eq(live_get_status(live).connections, 600);
	for (uint32_t window = 1; window <= 20; window++) {
		next_window(PERIOD);
		for (uint32_t i = 0; i < 50000; i++)
			open_one(window * 100000 + i, false);
	}
	status = live_get_status(live);
	ck_assert_uint_eq(status.capacity, 1024);
	ck_assert_uint_le(status.connections, 1640);
	ck_assert_uint_eq(status.forgotten, 600 + 20 * 50000 - status.connections);
	ck_assert_uint_le(status.memory, 1024 * 26 + 4096);
	/* Those that are answered are still known. */
	next_window(PERIOD);
	for (uint32_t i = 0; i < 600; i++) {
		struct entry entry = entry_of(i, TCP);

		follow(&entry);
		expect(entry.details, 0, 0, OPENER_SRC);
	}
	/* And nothing of the flood after some minutes. */
	pass(600);
	ck_assert_uint_eq(live_get_status(live).connections, 600);
}
END_TEST

/* One end of these has said that it is done. */
START_TEST(half_closed_ones_make_room)
{
	next_window(PERIOD);
	for (uint32_t i = 0; i < 600; i++)
		open_one(i, true);
	next_window(PERIOD);
	for (uint32_t i = 1000; i < 20000; i++) {
		const struct step steps[] = {{false, SYN, i}, {true, SYN | ACK, 5}, {false, FIN | ACK, i}};
		struct entry entry = entry_of(i, TCP);

		entry.details = observe(steps, 3);
		follow(&entry);
	}
	next_window(PERIOD);
	for (uint32_t i = 0; i < 600; i++) {
		struct entry entry = entry_of(i, TCP);

		follow(&entry);
		expect(entry.details, 0, 0, OPENER_SRC);
	}
}
END_TEST

/* Datagrams that had to be forgotten may be of connections that live. */
START_TEST(a_flood_of_datagrams)
{
	pass(65);
	for (int i = 0; i < 2; i++) {
		next_window(PERIOD);
		for (uint32_t n = 0; n < 5000; n++) {
			struct entry entry = entry_of(n, UDP);

			entry.details.bits = DETAILS_HAS_FIRST;
			follow(&entry);
			ck_assert_uint_le(entry.details.starts, i == 0);
		}
	}
	pass(70);
	expect(other_window(UDP, false), 1, 0, OPENER_SRC);
}
END_TEST

START_TEST(it_grows_and_shrinks)
{
	struct live_status status;
	uint64_t again = 0, before;

	live_set_capacity(live, 200000);
	next_window(PERIOD);
	for (uint32_t i = 0; i < 200000; i++)
		open_one(i, false);
	status = live_get_status(live);
	ck_assert_uint_le(status.forgotten, 200);
	ck_assert_uint_eq(status.connections, 200000 - status.forgotten);
	ck_assert_uint_eq(status.capacity, 200000);
	ck_assert_uint_le(status.memory, 200000 * 26);
	for (uint32_t i = 0; i < 200000; i++) {
		struct entry entry = entry_of(i, TCP);

		entry.details = observe(&(struct step){false, SYN, i}, 1);
		follow(&entry);
		again += entry.details.starts;
	}
	ck_assert_uint_le(again, 2 * status.forgotten);
	pass(240 + 16 * 5 * 14);
	ck_assert_uint_eq(live_get_status(live).connections, 0);
	ck_assert_uint_le(live_get_status(live).memory, 8192);

	before = live_get_status(live).forgotten;
	for (uint32_t i = 0; i < 20000; i++)
		open_one(i, true);
	live_set_capacity(live, 1000);
	status = live_get_status(live);
	ck_assert_uint_le(status.connections, 1640);
	ck_assert_uint_eq(status.forgotten - before, 20000 - status.connections);
	live_begin(live, now);
	ck_assert_uint_eq(live_get_status(live).connections, 0);
}
END_TEST

/* Where the hashes of a few collide, the table grows. */
START_TEST(none_is_forgotten_while_it_may_grow)
{
	uint64_t state = 88172645463325252ULL;

	live_set_capacity(live, 1 << 20);
	for (uint32_t round = 0; round < 100; round++) {
		uint32_t n = 300 + round * 50;

		live_begin(live, now);
		next_window(PERIOD);
		for (uint32_t i = 0; i < n; i++)
			open_one((uint32_t)test_random(&state) << 16 | i, true);
		ck_assert_uint_eq(live_get_status(live).connections, n);
	}
	ck_assert_uint_eq(live_get_status(live).forgotten, 0);
}
END_TEST

/* At the bound too: one moves to where there is room, or a connection that is missed less. */
START_TEST(open_ones_move)
{
	uint64_t state = 88172645463325252ULL, missing = 0;

	for (uint32_t round = 0; round < 50; round++) {
		live_begin(live, now);
		next_window(PERIOD);
		for (uint32_t i = 0; i < 2 * 768; i++)
			open_one((uint32_t)test_random(&state) << 16 | i, i % 2);
		next_window(PERIOD);
		for (uint32_t i = 0; i < 256; i++)
			open_one((uint32_t)test_random(&state) << 16 | (4096 + i), true);
		ck_assert_uint_ge(live_get_status(live).connections, 1024);
		pass(400);
		ck_assert_uint_le(live_get_status(live).connections, 1024);
		missing += 1024 - live_get_status(live).connections;
	}
	/* The table's seed is random: once in some thousand rounds there is nowhere to move to. */
	ck_assert_uint_le(missing, 5);
}
END_TEST

START_TEST(windows_of_any_length)
{
	struct entry entry = entry_of(1, UDP);

	/* The first packet may have come at the beginning of this one. */
	next_window(65 * NSEC_PER_SEC);
	entry.details.bits = DETAILS_HAS_FIRST;
	follow(&entry);
	expect(entry.details, 0, 0, OPENER_UNKNOWN);
	entry.details = (struct details){};
	/* Windows of 100 ms, */
	for (int i = 0; i < 605; i++)
		next_window(100 * NSEC_PER_MSEC);
	entry.details.bits = DETAILS_HAS_FIRST;
	follow(&entry);
	expect(entry.details, 1, 0, OPENER_SRC);
	for (int i = 0; i < 598; i++)
		next_window(100 * NSEC_PER_MSEC);
	entry.details = (struct details){.bits = DETAILS_HAS_FIRST | DETAILS_FIRST_RECEIVED};
	follow(&entry);
	expect(entry.details, 0, 0, OPENER_SRC);
	for (int i = 0; i < 605; i++)
		next_window(100 * NSEC_PER_MSEC);
	entry.details = (struct details){.bits = DETAILS_HAS_FIRST | DETAILS_FIRST_RECEIVED};
	follow(&entry);
	expect(entry.details, 1, 0, OPENER_DST);
	/* of an hour, */
	next_window(3600 * NSEC_PER_SEC);
	entry.details = (struct details){.bits = DETAILS_HAS_FIRST};
	follow(&entry);
	expect(entry.details, 0, 0, OPENER_DST);
	/* and a machine that slept for a month. */
	next_window(30 * 86400 * NSEC_PER_SEC);
	ck_assert_uint_eq(live_get_status(live).connections, 0);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		a_flood_of_syns,       half_closed_ones_make_room,	    a_flood_of_datagrams,
		it_grows_and_shrinks,  none_is_forgotten_while_it_may_grow, open_ones_move,
		windows_of_any_length,
	};

	return run_live_tests("live_bounds", tests, sizeof(tests) / sizeof(*tests));
}
