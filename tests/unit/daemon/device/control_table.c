/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The table of notes under two CPUs that meet on the same connections, in user space (user_maps.h): what is
 * noted of a connection in a window must be what the state machine says of both CPUs' packets in some order
 * that keeps each CPU's. Once with the CPUs' steps interleaved by a seed, and every access checked; once with
 * threads that run freely. NETLOGD_TEST_WINDOWS=100000 runs longer.
 */

#include "common/cleanup.h"
#include "daemon/bpf/control_note.h"
#include "daemon/device/control_details.h"
#include "tests/unit/daemon/device/support/user_maps.h"
#include "tests/unit/daemon/device/support/user_steps.h"

#include <arpa/inet.h>
#include <check.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CONNECTIONS 12
/* Of a connection, on one CPU, in one window: so many that all orders can be tried. */
#define EVENTS 4
/* After so many a CPU yields. */
#define PACKETS 100

struct event {
	bool received;
	uint8_t flags;
	uint32_t seq;
};

/* A connection's packets with SYN, FIN or RST, in order. */
struct events {
	unsigned int n;
	struct event items[EVENTS];
};

struct worker {
	pthread_t thread;
	unsigned int cpu;
	uint64_t random;
	bool stops;
	uint32_t calls; /* odd while the program runs */
	struct events events[FLOW_SIDES][CONNECTIONS];
};

static struct worker workers[USER_CPUS];

static uint64_t next_random(uint64_t *state)
{
	*state = *state * 6364136223846793005ULL + 1442695040888963407ULL;
	return *state >> 33;
}

#define LAST_OF_DESTINATION 0x12345678

/* Their keys differ in one bit, each in another one: of a port, or of a part of an address. */
static struct flow_key make_key(unsigned int connection)
{
	static const uint32_t differs[] = {0, 0, 1, 1U << 31, 1U << 16, 1U << 15};
	struct flow_key key = {
		.proto = IPPROTO_TCP,
		.family = connection % 2 ? 6 : 4,
		.src = {htonl(0x0a000001)},
		.dst = {LAST_OF_DESTINATION},
		.src_port = htons(connection / 2 == 1),
	};

	if (key.family == 4) {
		key.src[0] ^= differs[connection / 2];
		return key;
	}
	key.dst[3] = LAST_OF_DESTINATION;
	if (connection / 2 % 2)
		key.src[connection / 4] ^= differs[connection / 2];
	else
		key.dst[connection / 4] ^= differs[connection / 2];
	return key;
}

static unsigned int connection_of(const struct flow *flow)
{
	for (unsigned int i = 0; i < CONNECTIONS; i++) {
		struct flow_key key = make_key(i);
		const struct address *src = &flow->connection.src.address,
				     *dst = &flow->connection.dst.address;
		const size_t size = key.family == 6 ? 16 : 4;

		if (src->family == (key.family == 6 ? ADDRESS_IPV6 : ADDRESS_IPV4) &&
		    memcmp(src->bytes, key.src, size) == 0 && memcmp(dst->bytes, key.dst, size) == 0 &&
		    flow->connection.src.port == ntohs(key.src_port))
			return i;
	}
	ck_abort_msg("a flow of no connection");
}

static void send_packet(unsigned int connection, const struct event *event)
{
	const struct user_packet packet = {
		.key = make_key(connection),
		.packets = 1,
		.bytes = 40,
		.tcp_flags = event->flags,
		.tcp_seq = event->seq,
	};

	user_tun_count(&packet, event->received);
}

static void send_any(struct worker *worker)
{
	static const uint8_t flags[] = {CONTROL_SYN, CONTROL_SYN, CONTROL_SYN | CONTROL_ACK,
					CONTROL_FIN | CONTROL_ACK, CONTROL_RST};
	unsigned int connection = (unsigned int)next_random(&worker->random) % CONNECTIONS;
	struct event event = {
		.received = next_random(&worker->random) % 2,
		.flags = flags[next_random(&worker->random) % ARRAY_SIZE(flags)],
		.seq = (uint32_t)next_random(&worker->random) % 3,
	};
	struct events *events;

	if (worker->events[user_maps_side()][connection].n == EVENTS)
		event.flags = CONTROL_ACK;
	send_packet(connection, &event);
	/* The side may have changed before the program began. */
	events = &worker->events[user_maps_last_side()][connection];
	if (event.flags != CONTROL_ACK && events->n < EVENTS)
		events->items[events->n++] = event;
	else if (event.flags != CONTROL_ACK)
		events->n = EVENTS + 1;
}

static void *worker_run(void *userdata)
{
	struct worker *worker = userdata;

	user_cpu = worker->cpu;
	steps_enter();
	for (unsigned int i = 1; !__atomic_load_n(&worker->stops, __ATOMIC_RELAXED); i++) {
		__atomic_fetch_add(&worker->calls, 1, __ATOMIC_SEQ_CST);
		send_any(worker);
		__atomic_fetch_add(&worker->calls, 1, __ATOMIC_SEQ_CST);
		/* Enough for a window, so that there are many. */
		if (i % PACKETS == 0)
			steps_yield();
	}
	steps_leave();
	return NULL;
}

static void wait_for_programs(void)
{
	for (size_t i = 0; i < USER_CPUS; i++) {
		uint32_t calls = __atomic_load_n(&workers[i].calls, __ATOMIC_SEQ_CST);

		while (calls % 2 && __atomic_load_n(&workers[i].calls, __ATOMIC_SEQ_CST) == calls)
			steps_yield();
	}
}

/* Until it has run the program so often again. */
static void wait_for_calls(const struct worker *worker, uint32_t n)
{
	uint32_t calls = __atomic_load_n(&worker->calls, __ATOMIC_RELAXED);

	while (__atomic_load_n(&worker->calls, __ATOMIC_RELAXED) - calls < 2 * n)
		sched_yield();
}

/* Whether some order of what is left of both leads to it. */
static bool can_be(struct flow_control control, const struct events *a, unsigned int at_a,
		   const struct events *b, unsigned int at_b, const struct details *seen)
{
	struct details details = {.tx_flags = seen->tx_flags, .rx_flags = seen->rx_flags};
	struct flow_control next = control;

	if (at_a == a->n && at_b == b->n) {
		control_details(&control, &details);
		return memcmp(&details, seen, sizeof(details)) == 0;
	}
	if (at_a < a->n) {
		control_step(&next, a->items[at_a].received, a->items[at_a].flags, a->items[at_a].seq);
		if (can_be(next, a, at_a + 1, b, at_b, seen))
			return true;
	}
	if (at_b == b->n)
		return false;
	next = control;
	control_step(&next, b->items[at_b].received, b->items[at_b].flags, b->items[at_b].seq);
	return can_be(next, a, at_a, b, at_b + 1, seen);
}

static bool has_note(const struct details *details)
{
	return details->starts | details->ends | details->opener | details->bits;
}

/* Ends a window: each connection's note is in one flow, and says what happened in it. */
static void take_window(unsigned int window, int fail_after)
{
	unsigned int side = user_maps_flip(), noted[CONNECTIONS] = {};
	struct details seen[CONNECTIONS] = {};
	struct extraction extraction = {};
	int r;

	wait_for_programs();
	r = user_maps_drain(side, fail_after, &extraction);
	ck_assert(r == 0 || fail_after >= 0);
	ck_assert_uint_eq(extraction.lost_details, 0);
	for (size_t i = 0; i < extraction.flows.n; i++) {
		const struct flow *flow = &extraction.flows.items[i];
		unsigned int connection = connection_of(flow);

		if (!has_note(&flow->details))
			continue;
		seen[connection] = flow->details;
		noted[connection]++;
	}
	for (unsigned int i = 0; i < CONNECTIONS && (r == 0 || extraction.flows.n > 0); i++) {
		struct events *a = &workers[0].events[side][i], *b = &workers[1].events[side][i];

		ck_assert_uint_le(noted[i], 1);
		if (a->n <= EVENTS && b->n <= EVENTS)
			ck_assert_msg(can_be((struct flow_control){}, a, 0, b, 0, &seen[i]),
				      "window %u, connection %u: %u and %u packets; starts %u, ends %u, "
				      "opener %u, bits %x",
				      window, i, a->n, b->n, seen[i].starts, seen[i].ends, seen[i].opener,
				      seen[i].bits);
		a->n = b->n = 0;
	}
	extraction_deinit(&extraction);
}

static unsigned int windows_wanted(unsigned int usual)
{
	const char *text = getenv("NETLOGD_TEST_WINDOWS");

	return text ? (unsigned int)strtoul(text, NULL, 10) : usual;
}

/* Anywhere, or nearly all of a family at the same place. */
static void make_table(int number, uint32_t max_entries, uint32_t max_notes)
{
	static const uint32_t one_hash[FLOW_SEEDS] = {[1] = -(uint32_t)LAST_OF_DESTINATION};

	memset(workers, 0, sizeof(workers));
	user_maps_init(max_entries, max_notes, number % 2 ? one_hash : NULL);
}

static void run_windows(int number, unsigned int windows, bool with_steps)
{
	uint64_t random = (uint64_t)number;

	for (unsigned int i = 0; i < USER_CPUS; i++) {
		workers[i].cpu = i;
		workers[i].random = (uint64_t)number * USER_CPUS + i;
		ck_assert_int_eq(pthread_create(&workers[i].thread, NULL, worker_run, &workers[i]), 0);
	}
	for (unsigned int window = 0; window < windows; window++) {
		bool fails = with_steps && next_random(&random) % 8 == 0;

		if (with_steps)
			steps_set_pace(1U << next_random(&random) % 7);
		for (size_t i = 0; i < USER_CPUS && !with_steps; i++)
			wait_for_calls(&workers[i], (uint32_t)next_random(&random) % 100);
		for (uint64_t i = with_steps ? next_random(&random) % 200 : 0; i > 0; i--)
			steps_yield();
		take_window(window, fails ? (int)(next_random(&random) % 4) : -1);
		ck_assert_msg(!steps_fault(), "window %u: %s", window, steps_fault());
	}
	for (size_t i = 0; i < USER_CPUS; i++)
		__atomic_store_n(&workers[i].stops, true, __ATOMIC_RELAXED);
	steps_leave();
	for (size_t i = 0; i < USER_CPUS; i++)
		pthread_join(workers[i].thread, NULL);
	for (unsigned int i = 0; i < FLOW_SIDES; i++)
		take_window(windows + i, -1);
	user_maps_deinit();
}

START_TEST(both_cpus_at_every_step)
{
	make_table(_i, 1024, 1024);
	steps_begin((uint64_t)_i, USER_CPUS);
	run_windows(_i, windows_wanted(400), true);
	steps_end();
}
END_TEST

START_TEST(both_cpus_as_free_threads)
{
	make_table(_i, 1024, 1024);
	run_windows(_i, windows_wanted(200), false);
}
END_TEST

static void take(struct extraction *extraction)
{
	ck_assert_int_eq(user_maps_drain(user_maps_flip(), -1, extraction), 0);
}

/* More of one connection than fit in the state. */
START_TEST(thousands_of_one_connection)
{
	struct extraction extraction = {};
	struct details details = {};

	make_table(_i, 1024, 1024);
	for (uint32_t seq = 1; seq <= 3000; seq++) {
		send_packet(0, &(struct event){.flags = CONTROL_SYN, .seq = seq});
		if (seq % 2)
			send_packet(0, &(struct event){.flags = CONTROL_RST});
	}
	take(&extraction);
	for (size_t i = 0; i < extraction.flows.n; i++)
		if (has_note(&extraction.flows.items[i].details))
			details = extraction.flows.items[i].details;
	ck_assert_uint_eq(details.starts, 3000);
	ck_assert_uint_eq(details.ends, 1500);
	ck_assert_uint_eq(details.first_syn, 1);
	ck_assert_uint_eq(details.last_syn, 3000);
	ck_assert_uint_eq(details.opener, OPENER_SRC);
	ck_assert_uint_eq(details.bits, DETAILS_HAS_SYN | DETAILS_FIRST_ENDED);
	ck_assert_uint_eq(extraction.lost_details, 0);
	extraction_deinit(&extraction);
	user_maps_deinit();
}
END_TEST

static struct control_note *only_note(void)
{
	struct control_note *note;

	for (uint32_t at = 0; (note = user_map_lookup(user_tun_maps[USER_NOTES], &at)); at++)
		if (note->key.words[0])
			return note;
	ck_abort_msg("no note");
}

/* What could not be counted any more is lost, and told. */
START_TEST(millions_of_one_connection)
{
	const uint32_t most = CONTROL_UNITS_FULL * CONTROL_UNIT;
	struct extraction extraction = {};
	struct control_note *note;

	make_table(_i, 1024, 1024);
	send_packet(0, &(struct event){.flags = CONTROL_SYN, .seq = 1});
	note = only_note();
	note->more += CONTROL_UNITS_FULL * CONTROL_UNIT_STARTS;
	for (uint32_t seq = 2; seq < CONTROL_COUNT_FULL + 10; seq++)
		send_packet(0, &(struct event){.flags = CONTROL_SYN, .seq = seq});
	take(&extraction);
	ck_assert_uint_eq(extraction.flows.n, 1);
	ck_assert_uint_eq(extraction.flows.items[0].details.starts, most + CONTROL_COUNT_FULL - 1);
	ck_assert_uint_eq(extraction.flows.items[0].details.ends, 0);
	ck_assert_uint_eq(extraction.flows.items[0].details.first_syn, 1);
	ck_assert_uint_eq(extraction.lost_details, 10);
	extraction_deinit(&extraction);
	user_maps_deinit();
}
END_TEST

/* Ends a window: the connections that began in it, and what was lost of them. */
static void take_sums(uint64_t *ret_starts, uint64_t *ret_lost)
{
	struct extraction extraction = {};

	take(&extraction);
	*ret_starts = 0;
	*ret_lost = extraction.lost_details;
	for (size_t i = 0; i < extraction.flows.n; i++)
		*ret_starts += extraction.flows.items[i].details.starts;
	extraction_deinit(&extraction);
}

#define MANY 400

static void begin_many(unsigned int window)
{
	for (unsigned int i = 0; i < MANY; i++) {
		struct user_packet packet = {.packets = 1, .bytes = 40, .tcp_flags = CONTROL_SYN};

		user_cpu = i % USER_CPUS;
		packet.key = make_key(window % 2);
		packet.key.dst_port = (uint16_t)i;
		user_tun_count(&packet, false);
	}
}

/* Room for few notes: what is noted and what is lost are all; the next window begins with all the room. */
START_TEST(more_connections_than_notes)
{
	uint64_t starts, lost;

	make_table(_i, 1024, 1);
	for (unsigned int window = 0; window < 4; window++) {
		begin_many(window);
		take_sums(&starts, &lost);
		ck_assert_uint_eq(starts + lost, MANY);
		/* A block for each CPU. */
		ck_assert_uint_ge(starts, USER_CPUS * FLOW_BLOCK);
		ck_assert_uint_le(starts, USER_CPUS * FLOW_BLOCK + 1);
	}
	user_maps_deinit();
}
END_TEST

/* Notes of connections that have no entry are not lost. */
START_TEST(more_connections_than_entries)
{
	uint64_t starts, lost;

	make_table(_i, 1, 1024);
	for (unsigned int window = 0; window < 4; window++) {
		begin_many(window);
		take_sums(&starts, &lost);
		ck_assert_uint_eq(starts, MANY - lost);
		ck_assert_uint_eq(lost, 0);
	}
	user_maps_deinit();
}
END_TEST

/* A note, its parts, and its key, each bit of which tells connections apart. */
START_TEST(a_note_says_what_was_noted)
{
	const struct flow_control control = {
		.starts = 1022,
		.ends = 1021,
		.last_syn = 0xfedcba98,
		.bits = CONTROL_BITS,
		.opener = CONTROL_BOTH,
	};
	struct control_note note = {.state = control_pack(&control)};
	struct flow_control read;

	note.more = 0x12345678 + 2 * CONTROL_UNIT_STARTS + 3 * CONTROL_UNIT_ENDS;
	control_note_read(&note, &read);
	ck_assert_uint_eq(read.starts, 1022 + 2 * CONTROL_UNIT);
	ck_assert_uint_eq(read.ends, 1021 + 3 * CONTROL_UNIT);
	ck_assert_uint_eq(read.first_syn, 0x12345678);
	ck_assert_uint_eq(read.last_syn, 0xfedcba98);
	ck_assert_uint_eq(read.bits, CONTROL_BITS);
	ck_assert_uint_eq(read.opener, CONTROL_BOTH);
	for (unsigned int i = 0; i < 16 * offsetof(struct flow_key, cpu); i++) {
		struct flow_key key = make_key(i % 2), again;
		struct control_key words, other;
		unsigned int bit = i / 2;

		if (key.family == 4 && bit < 256 && bit / 32 % 4 != 0)
			continue;
		control_key_make(&key, &other);
		((uint8_t *)&key)[bit / 8] ^= (uint8_t)(1 << bit % 8);
		control_key_make(&key, &words);
		ck_assert_int_ne(memcmp(&words, &other, sizeof(words)), 0);
		control_key_read(&words, &again);
		ck_assert_int_eq(memcmp(&again, &key, sizeof(key)), 0);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("control table");
	TCase *tcase = tcase_create("notes");
	SRunner *runner;
	int failed;

	tcase_set_timeout(tcase, getenv("NETLOGD_TEST_WINDOWS") ? 0 : 60);
	tcase_add_test(tcase, a_note_says_what_was_noted);
	tcase_add_loop_test(tcase, both_cpus_at_every_step, 0, 16);
	tcase_add_loop_test(tcase, both_cpus_as_free_threads, 0, 4);
	tcase_add_loop_test(tcase, thousands_of_one_connection, 0, 2);
	tcase_add_loop_test(tcase, millions_of_one_connection, 0, 2);
	tcase_add_loop_test(tcase, more_connections_than_notes, 0, 2);
	tcase_add_loop_test(tcase, more_connections_than_entries, 0, 2);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
