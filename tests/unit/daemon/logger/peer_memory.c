/* SPDX-License-Identifier: BSD-3-Clause */
/* Peers from one reading to the next, on clocks and a calendar of the test's own. */

#include "daemon/logger/peer_memory.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define SECOND INT64_C(1000000000)
#define HOUR   (3600 * SECOND)
/* 2023-11-14T12:00:00Z: ten hours past midnight in a zone that is two hours behind. */
#define NOON (INT64_C(1699963200) * SECOND)

/* A device whose peers are those of the test. */
static struct device_peer peers[PEER_MEMORY_MAX + 8];
static size_t n_peers;

static void foreach_peer(struct device *device, void (*peer)(const struct device_peer *peer, void *userdata),
			 void *userdata)
{
	(void)device;
	for (size_t i = 0; i < n_peers; i++)
		peer(&peers[i], userdata);
}

static const struct device_ops ops = {.foreach_peer = foreach_peer};
static const struct device_ops ops_without_peers = {};
static struct device tunnel = {.ops = &ops};

static struct peer_memory *memory;
static int64_t wall, boot;

static void setup(void)
{
	setenv("TZ", "XYZ2", 1);
	tzset();
	ck_assert_int_eq(peer_memory_new(&memory), 0);
	memset(peers, 0, sizeof(peers));
	n_peers = 0;
	wall = NOON;
	boot = 1000 * SECOND;
}

static void teardown(void)
{
	peer_memory_free(memory);
}

static void pass(int64_t time)
{
	wall += time;
	boot += time;
}

static void read_peers(void)
{
	peer_memory_read(memory, &tunnel, wall, boot);
}

static struct endpoint at(const char *text)
{
	struct endpoint endpoint;

	ck_assert_int_eq(endpoint_parse(text, &endpoint), 0);
	return endpoint;
}

static struct device_peer *add(const char *id, uint64_t tx, uint64_t rx)
{
	peers[n_peers] = (struct device_peer){.id = id, .tx_bytes = tx, .rx_bytes = rx};
	return &peers[n_peers++];
}

static const struct peer_record *record(const char *id)
{
	const struct peer_record *found = peer_memory_find(memory, id);

	ck_assert_ptr_nonnull(found);
	return found;
}

START_TEST(test_rates)
{
	struct device_peer *a = add("a", 1000, 500);

	/* What was there before the first reading was not moved since. */
	read_peers();
	ck_assert_uint_eq(record("a")->tx_moved, 0);
	ck_assert_int_eq(record("a")->moved_in, 0);
	pass(5 * SECOND);
	a->tx_bytes += 250;
	a->rx_bytes += 50;
	read_peers();
	ck_assert_uint_eq(record("a")->tx_moved, 250);
	ck_assert_uint_eq(record("a")->rx_moved, 50);
	ck_assert_int_eq(record("a")->moved_in, 5 * SECOND);
	/* The clock of the wall has no part in it. */
	wall -= HOUR;
	pass(SECOND);
	read_peers();
	ck_assert_uint_eq(record("a")->tx_moved, 0);
	ck_assert_int_eq(record("a")->moved_in, SECOND);
	ck_assert_uint_eq(record("a")->tx_today, 250);
	ck_assert_ptr_null(peer_memory_find(memory, "b"));
}
END_TEST

START_TEST(test_a_peer_that_comes_counts_from_zero)
{
	add("a", 1000, 500);
	read_peers();
	pass(5 * SECOND);
	add("b", 30, 40);
	read_peers();
	ck_assert_uint_eq(record("b")->tx_moved, 30);
	ck_assert_uint_eq(record("b")->rx_today, 40);
	ck_assert_int_eq(record("b")->today_since, NOON + 5 * SECOND);
	ck_assert_int_eq(record("a")->today_since, NOON);
	ck_assert_uint_eq(peer_memory_get_status(memory).peers, 2);
}
END_TEST

START_TEST(test_a_counter_that_goes_backwards_counts_from_zero)
{
	struct device_peer *a = add("a", 1000, 500);

	a->last_handshake = NOON;
	read_peers();
	/* Sent has passed its old value already. */
	*a = (struct device_peer){.id = "a", .tx_bytes = 1200, .rx_bytes = 20, .last_handshake = NOON + 1};
	pass(5 * SECOND);
	read_peers();
	ck_assert_uint_eq(record("a")->tx_moved, 1200);
	ck_assert_uint_eq(record("a")->rx_moved, 20);
	/* Both have, but it has forgotten its handshake. */
	*a = (struct device_peer){.id = "a", .tx_bytes = 1300, .rx_bytes = 30};
	pass(5 * SECOND);
	read_peers();
	ck_assert_uint_eq(record("a")->tx_today, 2500);
	ck_assert_uint_eq(record("a")->rx_today, 50);
}
END_TEST

/* A device that is made again: its peers are known, and go on. */
START_TEST(test_while_the_device_is_away)
{
	struct device without = {.ops = &ops_without_peers};
	struct device_peer *a = add("a", 1000, 500);

	read_peers();
	pass(5 * SECOND);
	a->tx_bytes += 10;
	read_peers();
	pass(5 * SECOND);
	peer_memory_read(memory, NULL, wall, boot);
	ck_assert_ptr_null(peer_memory_find(memory, "a"));
	ck_assert_uint_eq(peer_memory_get_status(memory).peers, 0);
	peer_memory_read(memory, &without, wall, boot);
	pass(5 * SECOND);
	a->tx_bytes = 3;
	a->rx_bytes = 4;
	add("b", 70, 80);
	read_peers();
	ck_assert_uint_eq(record("a")->tx_today, 13);
	ck_assert_uint_eq(record("a")->rx_today, 4);
	/* In how long it has moved that is not known. */
	ck_assert_int_eq(record("a")->moved_in, 0);
	ck_assert_uint_eq(record("b")->tx_today, 0);
	ck_assert_int_eq(record("b")->today_since, NOON + 15 * SECOND);
	/* One that is missing from the readings of others for a while, too. */
	n_peers = 1;
	pass(5 * SECOND);
	read_peers();
	n_peers = 2;
	peers[1].tx_bytes += 2;
	pass(5 * SECOND);
	read_peers();
	ck_assert_int_eq(record("b")->moved_in, 0);
	ck_assert_uint_eq(record("b")->tx_today, 2);
	ck_assert_int_eq(record("a")->moved_in, 5 * SECOND);
}
END_TEST

START_TEST(test_midnight)
{
	struct device_peer *a = add("a", 0, 0), *b = add("b", 0, 0);

	read_peers();
	a->tx_bytes = b->tx_bytes = 100;
	pass(14 * HOUR - SECOND);
	read_peers();
	ck_assert_uint_eq(record("a")->tx_today, 100);
	ck_assert_int_eq(record("a")->today_since, NOON);
	/* What is read after midnight is the new day's. */
	a->tx_bytes += 7;
	pass(SECOND);
	read_peers();
	ck_assert_uint_eq(record("a")->tx_today, 7);
	ck_assert_uint_eq(record("b")->tx_today, 0);
	ck_assert_int_eq(record("a")->today_since, NOON + 14 * HOUR);
	/* Set back to the day before: that has begun at its own midnight. */
	wall -= 2 * HOUR;
	a->tx_bytes += 5;
	read_peers();
	ck_assert_uint_eq(record("a")->tx_today, 5);
	ck_assert_int_eq(record("a")->today_since, NOON - 10 * HOUR);
}
END_TEST

/* The day on which the clocks go back has 25 hours. */
START_TEST(test_a_longer_day)
{
	struct device_peer *a = add("a", 0, 0);

	setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3", 1);
	wall = INT64_C(1698530400) * SECOND; /* 2023-10-28T22:00:00Z: midnight */
	read_peers();
	a->tx_bytes = 9;
	pass(25 * HOUR - SECOND);
	read_peers();
	ck_assert_uint_eq(record("a")->tx_today, 9);
	pass(SECOND);
	read_peers();
	ck_assert_uint_eq(record("a")->tx_today, 0);
}
END_TEST

/* Where the clocks go back at one o'clock, midnight comes twice, and is that of one day. */
START_TEST(test_midnight_twice)
{
	const int64_t midnight = INT64_C(1699156800) * SECOND; /* 2023-11-05T04:00:00Z */
	struct device_peer *a = add("a", 0, 0);

	setenv("TZ", "CST5CDT,M3.2.0/0,M11.1.0/1", 1);
	/* The C library takes that one of two midnights whose time was in use when it was last asked. */
	wall = midnight + 48 * HOUR;
	read_peers();
	wall = midnight;
	read_peers();
	for (int i = 1; i <= 4; i++) {
		a->tx_bytes += 10;
		pass(HOUR / 2 - SECOND);
		read_peers();
		ck_assert_uint_eq(record("a")->tx_today, (uint64_t)i * 10);
		ck_assert_int_eq(record("a")->today_since, midnight);
	}
	pass(23 * HOUR);
	read_peers();
	ck_assert_uint_eq(record("a")->tx_today, 40);
	pass(5 * SECOND);
	read_peers();
	ck_assert_uint_eq(record("a")->tx_today, 0);
}
END_TEST

/* Peers that have gone are remembered until midnight, and no longer. */
START_TEST(test_peers_that_have_gone)
{
	add("a", 0, 0);
	add("b", 0, 0)->tx_bytes = 50;
	read_peers();
	pass(SECOND);
	peers[1].tx_bytes += 20;
	read_peers();
	n_peers = 1;
	pass(13 * HOUR);
	read_peers();
	n_peers = 2;
	pass(SECOND);
	read_peers();
	ck_assert_uint_eq(record("b")->tx_today, 20);
	n_peers = 1;
	read_peers();
	pass(HOUR);
	read_peers();
	n_peers = 2;
	pass(SECOND);
	read_peers();
	/* A new one now, which counts from zero. */
	ck_assert_uint_eq(record("b")->tx_today, 70);
	ck_assert_int_eq(record("b")->today_since, wall);
}
END_TEST

START_TEST(test_silence)
{
	struct device_peer *a = add("a", 10, 10), *b = add("b", 0, 0), *c = add("c", 5, 5);

	a->last_handshake = NOON - 100 * SECOND;
	c->last_handshake = NOON - 1000 * SECOND;
	read_peers();
	ck_assert(record("a")->active);
	ck_assert_int_eq(record("a")->last_seen, NOON - 100 * SECOND);
	ck_assert(!record("b")->active);
	ck_assert_int_eq(record("b")->last_seen, 0);
	ck_assert(!record("c")->active);
	ck_assert_int_eq(record("c")->last_seen, NOON - 1000 * SECOND);
	ck_assert_uint_eq(peer_memory_get_status(memory).active, 1);
	/* Sending is no sign of life of the other end, receiving is. */
	pass(79 * SECOND);
	a->tx_bytes += 100;
	b->rx_bytes += 1;
	read_peers();
	ck_assert(record("a")->active);
	ck_assert(record("b")->active);
	ck_assert_int_eq(record("b")->last_seen, NOON + 79 * SECOND);
	pass(SECOND);
	read_peers();
	ck_assert(!record("a")->active);
	ck_assert_int_eq(record("a")->last_seen, NOON - 100 * SECOND);
	/* A step of the clock makes nobody silent. */
	wall += 10 * HOUR;
	pass(178 * SECOND);
	read_peers();
	ck_assert(record("b")->active);
	pass(SECOND);
	read_peers();
	ck_assert(!record("b")->active);
	/* What the tunnel itself tells. */
	b->last_seen = wall - SECOND;
	read_peers();
	ck_assert(record("b")->active);
	ck_assert_int_eq(record("b")->last_seen, wall - SECOND);
	pass(PEER_SILENT_AFTER - 2 * SECOND);
	read_peers();
	ck_assert(record("b")->active);
	pass(SECOND);
	read_peers();
	ck_assert(!record("b")->active);
}
END_TEST

/* The wall clock is set back: what comes from a peer is a sign of life all the same. */
START_TEST(test_no_silence_after_the_clock_was_set_back)
{
	struct device_peer *a = add("a", 0, 0);

	read_peers();
	for (int i = 0; i < 5; i++) {
		pass(100 * SECOND);
		a->rx_bytes++;
		read_peers();
		ck_assert(record("a")->active);
		ck_assert_int_eq(record("a")->last_seen, wall);
		wall -= i == 1 ? HOUR : 0;
	}
	pass(PEER_SILENT_AFTER);
	read_peers();
	ck_assert(!record("a")->active);
	ck_assert_int_eq(record("a")->last_seen, wall - PEER_SILENT_AFTER);
}
END_TEST

START_TEST(test_moves)
{
	struct device_peer *a = add("a", 0, 0);
	char via[] = "fra";

	/* Where it is at first is no move, nor is what is not known any more. */
	read_peers();
	ck_assert_int_eq(record("a")->path, DEVICE_PATH_UNKNOWN);
	a->path = DEVICE_PATH_DIRECT;
	a->endpoint = at("192.0.2.1:1");
	pass(SECOND);
	read_peers();
	ck_assert_int_eq(record("a")->moved_at, 0);
	a->path = DEVICE_PATH_UNKNOWN;
	a->endpoint = at("");
	pass(SECOND);
	read_peers();
	ck_assert_int_eq(record("a")->moved_at, 0);
	ck_assert_int_eq(record("a")->path, DEVICE_PATH_DIRECT);
	a->path = DEVICE_PATH_DIRECT;
	a->endpoint = at("192.0.2.1:2");
	pass(SECOND);
	read_peers();
	ck_assert_int_eq(record("a")->moved_at, NOON + 3 * SECOND);
	ck_assert_int_eq(record("a")->from_path, DEVICE_PATH_DIRECT);
	ck_assert_int_eq(record("a")->from_endpoint.port, 1);
	ck_assert_int_eq(record("a")->endpoint.port, 2);
	ck_assert_ptr_null(record("a")->from_via);
	a->path = DEVICE_PATH_DERP;
	a->endpoint = at("127.3.3.40:4");
	a->via = via;
	a->region = 4;
	pass(SECOND);
	read_peers();
	ck_assert_int_eq(record("a")->moved_at, NOON + 4 * SECOND);
	ck_assert_str_eq(record("a")->via, "fra");
	/* Only the region's code has changed; the texts are borrowed. */
	memcpy(via, "ams", sizeof(via));
	pass(SECOND);
	read_peers();
	ck_assert_int_eq(record("a")->moved_at, NOON + 5 * SECOND);
	ck_assert_int_eq(record("a")->from_path, DEVICE_PATH_DERP);
	ck_assert_str_eq(record("a")->from_via, "fra");
	ck_assert_str_eq(record("a")->via, "ams");
	pass(SECOND);
	read_peers();
	ck_assert_int_eq(record("a")->moved_at, NOON + 5 * SECOND);
}
END_TEST

START_TEST(test_one_id_twice_and_this_node)
{
	add("a", 10, 0);
	add("a", 20, 0);
	add("self", 5, 5)->self = true;
	read_peers();
	pass(SECOND);
	peers[0].tx_bytes += 1;
	peers[1].tx_bytes += 2;
	read_peers();
	ck_assert_uint_eq(record("a")->tx_moved, 1);
	ck_assert_uint_eq(peer_memory_get_status(memory).peers, 1);
	ck_assert_ptr_null(peer_memory_find(memory, "self"));
}
END_TEST

START_TEST(test_bound)
{
	static char ids[PEER_MEMORY_MAX + 8][12];

	for (size_t i = 0; i < PEER_MEMORY_MAX + 5; i++) {
		snprintf(ids[i], sizeof(ids[i]), "n%zu", i);
		add(ids[i], 0, 0);
	}
	read_peers();
	ck_assert_uint_eq(peer_memory_get_status(memory).peers, PEER_MEMORY_MAX);
	ck_assert_uint_eq(peer_memory_get_status(memory).forgotten, 5);
	ck_assert_ptr_nonnull(peer_memory_find(memory, ids[PEER_MEMORY_MAX - 1]));
	ck_assert_ptr_null(peer_memory_find(memory, ids[PEER_MEMORY_MAX]));
	/* Those that have gone make room for others. */
	for (size_t i = 0; i < 5; i++)
		peers[i] = peers[PEER_MEMORY_MAX + i];
	n_peers = PEER_MEMORY_MAX;
	pass(SECOND);
	read_peers();
	ck_assert_uint_eq(peer_memory_get_status(memory).forgotten, 5);
	pass(SECOND);
	read_peers();
	ck_assert_uint_eq(peer_memory_get_status(memory).forgotten, 0);
	ck_assert_ptr_nonnull(peer_memory_find(memory, ids[PEER_MEMORY_MAX + 4]));
	ck_assert_ptr_null(peer_memory_find(memory, ids[0]));
	ck_assert_int_eq(record(ids[5])->moved_in, SECOND);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		test_rates,
		test_a_peer_that_comes_counts_from_zero,
		test_a_counter_that_goes_backwards_counts_from_zero,
		test_while_the_device_is_away,
		test_midnight,
		test_a_longer_day,
		test_midnight_twice,
		test_peers_that_have_gone,
		test_silence,
		test_no_silence_after_the_clock_was_set_back,
		test_moves,
		test_one_id_twice_and_this_node,
		test_bound,
	};
	Suite *suite = suite_create("peer_memory");
	TCase *tcase = tcase_create("peer_memory");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tcase, setup, teardown);
	for (size_t i = 0; i < ARRAY_SIZE(tests); i++)
		tcase_add_test(tcase, tests[i]);
	suite_add_tcase(suite, tcase);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
