/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Counters of peers, as those see them who read them after every window, every two minutes, or seldom:
 * whatever peers come, go, move and change their names, nothing is counted twice, and nothing is missed.
 */

#include "common/cleanup.h"
#include "tests/unit/daemon/logger/peer_traffic_support.h"

#include <stdlib.h>
#include <string.h>

static uint64_t random_state;

static uint64_t next_random(uint64_t below)
{
	uint64_t z = (random_state += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return (z ^ z >> 31) % below;
}

/* Bytes sent, by label and path, as Prometheus reads them and sums what they grow by. */
struct reader {
	struct series {
		char label[PEER_LABEL_MAX];
		size_t path;
		uint64_t last;
	} series[4096];
	size_t n;
	uint64_t increase;
};

static void read_series(struct reader *reader, const char *label, size_t path, uint64_t value)
{
	for (size_t i = 0; i < reader->n; i++) {
		struct series *series = &reader->series[i];

		if (series->path != path || strcmp(series->label, label) != 0)
			continue;
		/* A counter that is less than before has begun again at zero. */
		reader->increase += value >= series->last ? value - series->last : value;
		series->last = value;
		return;
	}
	/* What it was before its first reading nobody knows. */
	ck_assert_uint_lt(reader->n, ARRAY_SIZE(reader->series));
	reader->series[reader->n].path = path;
	reader->series[reader->n].last = value;
	strcpy(reader->series[reader->n++].label, label);
}

/* Returns the sum of what is shown, and what is withdrawn. */
static uint64_t read_all(struct reader *reader)
{
	_cleanup_(peer_samples_unrefp) struct peer_samples *samples = peer_traffic_sample(traffic);
	uint64_t sum;

	ck_assert_ptr_nonnull(samples);
	sum = samples->withdrawn.tx_bytes;
	for (size_t path = 0; path < PEER_PATHS; path++) {
		sum += samples->other[path].tx_bytes;
		read_series(reader, "other", path, samples->other[path].tx_bytes);
	}
	for (size_t i = 0; i < samples->n; i++)
		for (size_t path = 0; path < PEER_PATHS; path++) {
			const struct peer_sample *peer = &samples->items[i];

			sum += peer->counts[path].tx_bytes;
			if (peer->has[path])
				read_series(reader, peer->label, path, peer->counts[path].tx_bytes);
			else
				ck_assert_uint_eq(peer->counts[path].tx_bytes, 0);
		}
	return sum;
}

static void change_something(bool peers_too)
{
	struct fake_peer *peer = &fake.peers[next_random(FAKE_MAX)];

	switch (next_random(peers_too ? 8 : 4)) {
	case 0:
		peer_traffic_set_max(traffic, 1 + next_random(20));
		break;
	case 1:
	case 2:
		peer->path = 1 + next_random(PEER_PATHS - 1);
		break;
	case 4:
		peer->present = !peer->present;
		fake.identities++;
		break;
	case 5:
		/* Sometimes the name of another one. */
		snprintf(peer->name, sizeof(peer->name), "peer%03zu", (size_t)next_random(2 * FAKE_MAX));
		fake.identities++;
		break;
	default:
		break;
	}
}

/* A few have most of it. Returns the bytes. */
static uint64_t add_something(void)
{
	uint64_t sum = 0;

	for (uint64_t n = next_random(20); n > 0; n--) {
		uint64_t bytes = next_random(1000);

		add((size_t)(next_random(next_random(FAKE_MAX) + 1)), bytes, 0);
		sum += bytes;
	}
	return sum;
}

START_TEST(what_counters_grow_by_is_what_was_counted)
{
	static struct reader every, patient, seldom;
	uint64_t counted = 0, read_until = 0;
	int64_t read_at;

	every = patient = seldom = (struct reader){};
	random_state = (uint64_t)_i;
	fake.device.ops = _i % 4 ? &fake_ops : &fake_ops_without;
	peer_traffic_set_max(traffic, 1 + next_random(20));
	/* Some begin with peers, others without. */
	have(_i % 3 ? FAKE_MAX : 0);
	begin_window();
	end_window(0);
	read_at = now;
	read_all(&every);
	read_all(&patient);
	read_all(&seldom);
	for (int i = 0; i < 800; i++) {
		if (next_random(4) == 0)
			change_something(_i % 2 == 0);
		if (next_random(20) == 0)
			peer_traffic_follow(traffic, NULL, NULL);
		else
			begin_window();
		counted += add_something();
		end_window((int64_t)next_random(20) * SECOND);
		ck_assert_uint_eq(read_all(&every), counted);
		ck_assert_uint_eq(every.increase, counted);
		/* Whoever reads every two minutes sees all, too. */
		if (now - read_at >= 100 * SECOND) {
			read_all(&patient);
			read_at = now;
			ck_assert_uint_eq(patient.increase, counted);
		}
		if (next_random(50) == 0) {
			read_all(&seldom);
			read_until = counted;
		}
		/* Others may miss something, but nothing ever counts twice. */
		ck_assert_uint_le(seldom.increase, read_until);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("peer_traffic_readers");
	TCase *tcase = tcase_create("peer_traffic_readers");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tcase, set_up, tear_down);
	tcase_add_loop_test(tcase, what_counters_grow_by_is_what_was_counted, 0, 60);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
