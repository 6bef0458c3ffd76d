/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The tun programs' table under two CPUs, in user space: each connection's counts in each window, not sums,
 * while windows end at any moment. Once with the CPUs' steps interleaved by a seed, and every access checked;
 * once with threads that run freely. NETLOGD_TEST_WINDOWS=100000 runs longer.
 */

#include "common/cleanup.h"
#include "tests/unit/daemon/device/support/user_maps.h"
#include "tests/unit/daemon/device/support/user_steps.h"

#include <arpa/inet.h>
#include <check.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Connections 0 to SHARED are on both CPUs, and as many more on each alone. */
#define SHARED	    32
#define CONNECTIONS (SHARED * (1 + USER_CPUS))

#define DESTINATION 0x64400002

/* After so many in a window a CPU yields. */
#define PACKETS 300

/* Whether a CPU begins every window with the same connections in the same order. */
enum order { ALIKE, ALIKE_IN_TRAINS, OWN_ONLY, ANY, N_ORDERS };

struct worker {
	pthread_t thread;
	unsigned int cpu;
	enum order order;
	uint64_t random;
	bool stops;
	uint32_t calls; /* odd while the program runs */
	uint64_t packets;
	/* Of each side since its last drain. */
	struct counts expected[FLOW_SIDES][CONNECTIONS];
};

static struct worker workers[USER_CPUS];
static const struct counts none;
static bool incomplete[FLOW_SIDES]; /* the last drain failed */
static bool has_room;		    /* for all connections */
/* Overflow that failed drains have told of what is still expected. */
static struct counts told[FLOW_SIDES];

static uint64_t next_random(uint64_t *state)
{
	*state = *state * 6364136223846793005ULL + 1442695040888963407ULL;
	return *state >> 33;
}

/* The connection of a CPU's i-th packet in a window. */
static unsigned int choose_connection(struct worker *worker, unsigned int i)
{
	const unsigned int own = SHARED * (1 + worker->cpu);

	switch (worker->order) {
	case ALIKE_IN_TRAINS:
		i /= 3;
		__attribute__((fallthrough));
	case ALIKE:
		i %= 2 * SHARED;
		return i < SHARED ? i : own + i - SHARED;
	case OWN_ONLY:
		return own + i % SHARED;
	default:
		i = (unsigned int)next_random(&worker->random) % (2 * SHARED);
		return i < SHARED ? i : own + i - SHARED;
	}
}

/* Every second one has IPv6 addresses. */
static struct flow_key make_key(unsigned int connection)
{
	struct flow_key key = {.proto = 17, .family = connection % 2 ? 6 : 4};
	unsigned int last = key.family == 6 ? 3 : 0;

	key.src[last] = htonl(connection);
	key.dst[last] = DESTINATION;
	return key;
}

static unsigned int connection_of(const struct flow *flow)
{
	const struct address *address = &flow->connection.src.address;

	return address->bytes[address->family == ADDRESS_IPV6 ? 15 : 3];
}

static void count_packet(struct worker *worker, unsigned int connection)
{
	struct user_packet packet = {.key = make_key(connection), .packets = 1, .bytes = 64 + connection};
	bool received = next_random(&worker->random) % 2;
	struct counts counts = received ? (struct counts){.rx_packets = 1, .rx_bytes = packet.bytes}
					: (struct counts){.tx_packets = 1, .tx_bytes = packet.bytes};

	user_tun_count(&packet, received);
	counts_add(&worker->expected[user_maps_last_side()][connection], &counts);
	__atomic_fetch_add(&worker->packets, 1, __ATOMIC_RELAXED);
}

static void *worker_run(void *userdata)
{
	struct worker *worker = userdata;
	unsigned int side = user_maps_side(), i = 0;

	user_cpu = worker->cpu;
	steps_enter();
	while (!__atomic_load_n(&worker->stops, __ATOMIC_RELAXED)) {
		__atomic_fetch_add(&worker->calls, 1, __ATOMIC_SEQ_CST);
		if (user_maps_side() != side) {
			side = !side;
			i = 0;
		}
		count_packet(worker, choose_connection(worker, i++));
		__atomic_fetch_add(&worker->calls, 1, __ATOMIC_SEQ_CST);
		/* Enough for a window, so that there are many. */
		if (i > PACKETS)
			steps_yield();
	}
	steps_leave();
	return NULL;
}

/* Until all programs that began before have ended, as epoch_wait() does. */
static void wait_for_programs(void)
{
	for (size_t i = 0; i < USER_CPUS; i++) {
		uint32_t calls = __atomic_load_n(&workers[i].calls, __ATOMIC_SEQ_CST);

		while (calls % 2 && __atomic_load_n(&workers[i].calls, __ATOMIC_SEQ_CST) == calls)
			steps_yield();
	}
}

static void take(struct counts *from, const struct counts *counts)
{
	ck_assert_uint_ge(from->tx_packets, counts->tx_packets);
	ck_assert_uint_ge(from->tx_bytes, counts->tx_bytes);
	ck_assert_uint_ge(from->rx_packets, counts->rx_packets);
	ck_assert_uint_ge(from->rx_bytes, counts->rx_bytes);
	*from = counts_difference(from, counts);
}

static void check_flow(const struct flow *flow, struct counts *expected, unsigned int window)
{
	unsigned int connection = connection_of(flow);
	struct counts *of_it = &expected[connection];

	ck_assert_uint_lt(connection, CONNECTIONS);
	ck_assert_uint_eq(flow->counts.tx_bytes + flow->counts.rx_bytes,
			  (flow->counts.tx_packets + flow->counts.rx_packets) * (64 + connection));
	ck_assert_msg(flow->counts.tx_packets <= of_it->tx_packets &&
			      flow->counts.rx_packets <= of_it->rx_packets,
		      "window %u: connection %u has more than was sent", window, connection);
	take(of_it, &flow->counts);
}

/* Ends a window, and compares what was counted in it with what is extracted. */
static void take_window(unsigned int window, int fail_after)
{
	unsigned int side = user_maps_flip();
	struct counts expected[CONNECTIONS] = {}, sum = {}, missing = {};
	struct extraction extraction = {};
	size_t entries = 0;
	int r;

	wait_for_programs();
	for (size_t i = 0; i < USER_CPUS; i++)
		for (size_t j = 0; j < CONNECTIONS; j++) {
			counts_add(&expected[j], &workers[i].expected[side][j]);
			entries += !counts_is_zero(&workers[i].expected[side][j]);
			workers[i].expected[side][j] = none;
		}
	r = user_maps_drain(side, fail_after, &extraction);
	ck_assert(r == 0 || fail_after >= 0);
	/* One on each CPU, or one more, where a failed drain has emptied a place before it; and batches. */
	if (!incomplete[side])
		ck_assert_uint_le(extraction.flows.n, entries + USER_CPUS * FLOW_BATCH);
	incomplete[side] = r < 0;
	for (size_t i = 0; i < extraction.flows.n; i++) {
		check_flow(&extraction.flows.items[i], expected, window);
		counts_add(&sum, &extraction.flows.items[i].counts);
	}
	counts_add(&sum, &extraction.overflow);
	ck_assert(counts_equal(&sum, &extraction.totals));
	/* What could not be moved comes with the side's next window; what else is missing found no room. */
	counts_add(&told[side], &extraction.overflow);
	for (unsigned int i = 0; i < CONNECTIONS; i++)
		counts_add(&missing, &expected[i]);
	if (r < 0) {
		memcpy(workers[0].expected[side], expected, sizeof(expected));
	} else {
		ck_assert_msg(counts_equal(&missing, &told[side]),
			      "window %u misses %llu packets, overflow %llu", window,
			      (unsigned long long)(missing.tx_packets + missing.rx_packets),
			      (unsigned long long)(told[side].tx_packets + told[side].rx_packets));
		told[side] = none;
	}
	ck_assert(!has_room || counts_is_zero(&extraction.overflow));
	extraction_deinit(&extraction);
}

static void start(enum order order, uint64_t seed)
{
	for (unsigned int i = 0; i < USER_CPUS; i++) {
		workers[i] = (struct worker){.cpu = i, .order = order, .random = seed * USER_CPUS + i};
		ck_assert_int_eq(pthread_create(&workers[i].thread, NULL, worker_run, &workers[i]), 0);
	}
}

static void stop(unsigned int window)
{
	for (size_t i = 0; i < USER_CPUS; i++)
		__atomic_store_n(&workers[i].stops, true, __ATOMIC_RELAXED);
	steps_leave();
	for (size_t i = 0; i < USER_CPUS; i++)
		pthread_join(workers[i].thread, NULL);
	for (unsigned int i = 0; i < FLOW_SIDES; i++)
		take_window(window + i, -1);
	user_maps_deinit();
}

static unsigned int windows_wanted(unsigned int usual)
{
	const char *text = getenv("NETLOGD_TEST_WINDOWS");

	return text ? (unsigned int)strtoul(text, NULL, 10) : usual;
}

/*
 * Every way to begin, with room for all and with room for few; and with the same hash for all connections, so
 * that CPUs meet at every slot.
 */
#define CASES (N_ORDERS * 4)

static void make_table(int number)
{
	static const uint32_t one_hash[FLOW_SEEDS] = {[1] = -(uint32_t)DESTINATION};

	memset(told, 0, sizeof(told));
	has_room = number % 2 == 0;
	user_maps_init(has_room ? 2 * CONNECTIONS : 4, 0, number / 2 % 2 ? one_hash : NULL);
}

START_TEST(each_connection_at_every_step)
{
	const unsigned int windows = windows_wanted(200);
	uint64_t random = (uint64_t)_i;

	make_table(_i);
	steps_begin((uint64_t)_i, USER_CPUS);
	start((enum order)(_i / 4), (uint64_t)_i);
	for (unsigned int window = 0; window < windows; window++) {
		bool fails = next_random(&random) % 8 == 0;

		steps_set_pace(1U << next_random(&random) % 7);
		for (uint64_t i = next_random(&random) % 200; i > 0; i--)
			steps_yield();
		take_window(window, fails ? (int)(next_random(&random) % 5) : -1);
		ck_assert_msg(!steps_fault(), "window %u: %s", window, steps_fault());
	}
	stop(windows);
	steps_end();
}
END_TEST

START_TEST(each_connection_with_free_threads)
{
	const unsigned int windows = windows_wanted(500);
	uint64_t random = (uint64_t)_i, packets = 0;

	make_table(_i);
	start((enum order)(_i / 4), (uint64_t)_i);
	for (unsigned int window = 0; window < windows; window++) {
		const uint64_t wanted = next_random(&random) % PACKETS;

		for (size_t i = 0; i < USER_CPUS; i++) {
			uint64_t before = __atomic_load_n(&workers[i].packets, __ATOMIC_RELAXED);

			while (__atomic_load_n(&workers[i].packets, __ATOMIC_RELAXED) - before < wanted)
				steps_yield();
		}
		take_window(window, -1);
	}
	stop(windows);
	for (size_t i = 0; i < USER_CPUS; i++)
		packets += workers[i].packets;
	fprintf(stderr, "%u windows, %llu packets\n", windows, (unsigned long long)packets);
}
END_TEST

static void add_up(struct flows *flows, void *userdata)
{
	struct counts *sum = userdata;

	for (size_t i = 0; i < flows->n; i++)
		counts_add(sum, &flows->items[i].counts);
}

/* The totals, which stay behind, are those of all flows, also of the ones that have been taken. */
START_TEST(a_drain_that_fails_after_its_slices)
{
	enum { MANY = 10000 };
	struct counts flows = {}, totals = {};
	const struct flow_taker taker = {.take = add_up, .userdata = &flows};
	struct user_packet packet = {
		.key = {.proto = 17, .family = 4, .dst = {DESTINATION}}, .packets = 1, .bytes = 64};
	unsigned int side;

	user_maps_init(MANY, 0, NULL);
	for (uint32_t i = 0; i < MANY; i++) {
		packet.key.src[0] = htonl(i);
		user_tun_count(&packet, true);
	}
	side = user_maps_flip();
	/* The number of entries is read, and then the totals cannot be. */
	for (int fail_after = 1; fail_after >= -1; fail_after -= 2) {
		struct extraction extraction = {.taker = &taker};

		ck_assert_int_eq(user_maps_drain(side, fail_after, &extraction) == 0, fail_after < 0);
		if (fail_after > 0)
			ck_assert_uint_ge(extraction.n_taken, MANY / 2);
		add_up(&extraction.flows, &flows);
		counts_add(&totals, &extraction.totals);
		ck_assert(counts_equal(&flows, &totals));
		extraction_deinit(&extraction);
	}
	ck_assert(counts_equal(&totals, &(struct counts){.rx_packets = MANY, .rx_bytes = 64 * MANY}));
	user_maps_deinit();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("table");
	TCase *tcase = tcase_create("two CPUs");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_set_timeout(tcase, getenv("NETLOGD_TEST_WINDOWS") ? 0 : 60);
	tcase_add_loop_test(tcase, each_connection_at_every_step, 0, CASES);
	tcase_add_loop_test(tcase, each_connection_with_free_threads, 0, CASES);
	tcase_add_test(tcase, a_drain_that_fails_after_its_slices);
	suite_add_tcase(suite, tcase);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
