/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The counting programs through the kernel's test run, against the vectors and, with random packets, against
 * the model.
 */

#include "tests/unit/daemon/device/support/program.h"
#include "common/cleanup.h"
#include "daemon/bpf/tun_maps.h"
#include "daemon/device/preemption.h"
#include "tests/unit/daemon/device/support/model.h"
#include "tests/unit/daemon/device/support/random_packet.h"
#include "tests/unit/daemon/device/support/vectors.h"

#include <check.h>
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define EXIT_SKIPPED 77

static struct program *program;

static void setup(void)
{
	ck_assert_int_eq(program_new(1024, &program), 0);
}

static void teardown(void)
{
	program_free(program);
	program = NULL;
}

/* Runs one packet and checks that exactly it was counted, as that connection. False: refused. */
static bool check_packet(const char *name, const uint8_t *packet, size_t length, bool received,
			 const struct connection *transmitted)
{
	struct program_run run = {.packet = packet, .length = length, .received = received};
	struct connection expected = received ? connection_swapped(transmitted) : *transmitted;
	struct counts counts = {};
	struct program_counts seen;
	int error = program_run(program, &run, NULL);

	if (error == -EINVAL)
		return false;
	ck_assert_msg(error == 0, "%s: %s", name, strerror(-error));
	ck_assert_int_eq(program_extract(program, false, &seen), 0);
	if (received) {
		counts.rx_packets = 1;
		counts.rx_bytes = length;
	} else {
		counts.tx_packets = 1;
		counts.tx_bytes = length;
	}
	ck_assert_msg(seen.flows.n == 1, "%s: %zu flows", name, seen.flows.n);
	ck_assert_msg(connection_compare(&seen.flows.items[0].connection, &expected) == 0,
		      "%s (%s): proto %u, not %u; ports %u %u", name, received ? "received" : "transmitted",
		      seen.flows.items[0].connection.proto, expected.proto,
		      seen.flows.items[0].connection.src.port, seen.flows.items[0].connection.dst.port);
	ck_assert_msg(counts_equal(&seen.flows.items[0].counts, &counts), "%s: counts", name);
	ck_assert_msg(counts_equal(&seen.totals, &counts), "%s: totals", name);
	ck_assert(counts_is_zero(&seen.overflow));
	ck_assert(counts_is_zero(&seen.inexact));
	program_counts_deinit(&seen);
	return true;
}

static size_t check_file(const char *file, bool received, size_t *ret_refused)
{
	struct vectors vectors;
	size_t n;

	*ret_refused = 0;
	vectors_load(&vectors, file);
	for (size_t i = 0; i < vectors.n; i++) {
		const struct vector *vector = &vectors.items[i];

		if (!check_packet(vector->name, vector->packet, vector->length, received,
				  &vector->connection)) {
			fprintf(stderr, "refused: %s (%zu bytes)\n", vector->name, vector->length);
			++*ret_refused;
		}
	}
	n = vectors.n;
	vectors_deinit(&vectors);
	return n;
}

START_TEST(vectors_agree)
{
	size_t refused;

	ck_assert_uint_eq(check_file("decode.json", _i, &refused), 81);
	/* The kernel's test run requires a whole IP header. */
	ck_assert_uint_eq(refused, 2);
}
END_TEST

START_TEST(extension_header_vectors_agree)
{
	size_t refused;

	ck_assert_uint_ge(check_file("extra.json", _i, &refused), 40);
	ck_assert_uint_eq(refused, 0);
}
END_TEST

START_TEST(random_packets_agree_with_the_model)
{
	uint64_t state = 0x9e3779b97f4a7c15ULL * (uint64_t)(_i + 1);
	uint8_t packet[RANDOM_PACKET_MAX];
	unsigned int checked = 0;
	struct vectors vectors;

	vectors_load(&vectors, _i % 2 ? "decode.json" : "extra.json");
	for (unsigned int i = 0; i < 4000; i++) {
		size_t length = random_packet(&state, &vectors, packet);
		struct connection connection = model_decode(packet, length);
		char name[40];

		snprintf(name, sizeof(name), "seed %d, packet %u", _i, i);
		checked += check_packet(name, packet, length, i % 2, &connection);
	}
	ck_assert_uint_ge(checked, 3500);
	vectors_deinit(&vectors);
}
END_TEST

#define RUNS_AT_ONCE 20000

/* One CPU's packets: millions a second, since the kernel does the repetition. */
struct sender {
	pthread_t thread;
	int cpu;
	int64_t until; /* CLOCK_MONOTONIC, ns */
	uint64_t sent;
};

static int64_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000000000LL + time.tv_nsec;
}

static void stay_on(int cpu)
{
	cpu_set_t cpus;

	CPU_ZERO(&cpus);
	CPU_SET(cpu, &cpus);
	ck_assert_int_eq(pthread_setaffinity_np(pthread_self(), sizeof(cpus), &cpus), 0);
}

static void *sender_run(void *userdata)
{
	struct sender *sender = userdata;
	uint8_t packet[28] = {0x45, 0, 0, 28, [9] = 17, [15] = 1, [19] = 2};
	struct program_run run = {.packet = packet, .length = sizeof(packet), .repeat = RUNS_AT_ONCE};

	stay_on(sender->cpu);
	while (now() < sender->until) {
		int error = program_run(program, &run, NULL);

		if (error == 0)
			sender->sent += RUNS_AT_ONCE;
		else if (error != -EINTR)
			return NULL;
		/* Both CPUs use the same connection at the same time, for some milliseconds each. */
		packet[21] = (uint8_t)(now() / 20000000);
	}
	return NULL;
}

/* Window after window, as fast as possible, while both CPUs count. */
START_TEST(exact_while_windows_change)
{
	struct sender senders[2] = {{.cpu = 0}, {.cpu = 1}};
	uint64_t entries = 0, totals = 0, sent = 0;
	int64_t end = now() + 1500000000LL;
	unsigned int windows = 0, last = 0;

	for (int i = 0; i < 2; i++) {
		senders[i].until = end;
		ck_assert_int_eq(pthread_create(&senders[i].thread, NULL, sender_run, &senders[i]), 0);
	}
	/* Two more at the end, for packets during the last one. */
	while (last < 2) {
		struct program_counts counts;

		if (now() >= end && last++ == 0)
			for (int i = 0; i < 2; i++) {
				pthread_join(senders[i].thread, NULL);
				sent += senders[i].sent;
			}
		ck_assert_int_eq(program_extract(program, true, &counts), 0);
		for (size_t i = 0; i < counts.flows.n; i++)
			entries += counts.flows.items[i].counts.tx_packets;
		totals += counts.totals.tx_packets;
		program_counts_deinit(&counts);
		windows++;
	}
	fprintf(stderr, "%u windows, %llu packets\n", windows, (unsigned long long)sent);
	ck_assert_uint_gt(sent, 0);
	ck_assert_uint_ge(windows, 5);
	ck_assert_uint_eq(totals, sent);
	ck_assert_uint_eq(entries, sent);
}
END_TEST

#define CONNECTIONS 3000

/* Sends `packets` of connection number `n`, which is its source port. */
static void send_connection(unsigned int n, uint32_t packets)
{
	uint8_t packet[28] = {0x45, 0, 0, 28, [9] = 17, [15] = 1, [19] = 2};
	const struct program_run run = {.packet = packet, .length = sizeof(packet), .repeat = packets};

	packet[20] = (uint8_t)(n >> 8);
	packet[21] = (uint8_t)n;
	ck_assert_int_eq(program_run(program, &run, NULL), 0);
}

/* Ends the window: how many packets of each connection are in entries; how many entries there are. */
static size_t take_window(uint64_t packets[static CONNECTIONS], struct program_counts *ret_counts)
{
	size_t n;

	memset(packets, 0, CONNECTIONS * sizeof(*packets));
	ck_assert_int_eq(program_extract(program, false, ret_counts), 0);
	for (size_t i = 0; i < ret_counts->flows.n; i++) {
		const struct flow *flow = &ret_counts->flows.items[i];

		ck_assert_uint_lt(flow->connection.src.port, CONNECTIONS);
		ck_assert_uint_eq(flow->counts.tx_bytes, flow->counts.tx_packets * 28);
		packets[flow->connection.src.port] += flow->counts.tx_packets;
	}
	n = ret_counts->flows.n;
	flows_deinit(&ret_counts->flows);
	return n;
}

/* Both sides in turn, with more than fits: the first connections have entries, the rest is overflow. */
START_TEST(a_full_table_counts_overflow)
{
	uint64_t packets[CONNECTIONS];
	struct program_counts counts;

	stay_on(0);
	for (int window = 0; window < 4; window++) {
		size_t entries, held = 0;

		for (unsigned int n = 0; n < CONNECTIONS; n++)
			send_connection(n, 2);
		entries = take_window(packets, &counts);
		for (unsigned int n = 0; n < CONNECTIONS; n++)
			held += packets[n] == 2;
		ck_assert_uint_ge(entries, 1024);
		/* The rest of a block and a batch for each CPU, or for each program that may run on it. */
		ck_assert_uint_le(entries, 1024 + (16 + 16) * (programs_preempt() ? FLOW_LEVELS : 1) *
							   (size_t)sysconf(_SC_NPROCESSORS_CONF));
		ck_assert_uint_ge(held, entries - 2 * (size_t)sysconf(_SC_NPROCESSORS_CONF));
		ck_assert_uint_eq(counts.totals.tx_packets, 2 * CONNECTIONS);
		for (unsigned int n = 0; n < CONNECTIONS; n++)
			counts.totals.tx_packets -= packets[n];
		ck_assert_uint_eq(counts.overflow.tx_packets, counts.totals.tx_packets);
	}
}
END_TEST

/* Windows of many sizes: nothing stays, nothing is missing. */
START_TEST(windows_begin_empty)
{
	static const unsigned int sizes[] = {0, 1, 16, 17, 511, 512, 513, 1000, 1024, 1, 0, 700, 3};
	uint64_t packets[CONNECTIONS];
	struct program_counts counts;

	stay_on(0);
	for (unsigned int window = 0; window < 4 * ARRAY_SIZE(sizes); window++) {
		unsigned int size = sizes[window % ARRAY_SIZE(sizes)], first = window * 157 % 1900;

		for (unsigned int n = first; n < first + size; n++)
			send_connection(n, 1 + n % 3);
		for (unsigned int n = first; n < first + size; n++)
			send_connection(n, 1);
		take_window(packets, &counts);
		ck_assert(counts_is_zero(&counts.overflow));
		for (unsigned int n = 0; n < CONNECTIONS; n++)
			ck_assert_uint_eq(packets[n], n >= first && n < first + size ? 2 + n % 3 : 0);
	}
}
END_TEST

/* So many that some share their slot and all hash bits in it. */
START_TEST(connections_that_look_alike)
{
	const unsigned int connections = 131072;
	uint8_t packet[28] = {0x45, 0, 0, 28, [9] = 17, [15] = 1, [19] = 2};
	const struct program_run run = {.packet = packet, .length = sizeof(packet)};
	struct program_counts counts;
	struct program *large;

	stay_on(0);
	ck_assert_int_eq(program_new(connections, &large), 0);
	for (unsigned int n = 0; n < connections; n++) {
		packet[14] = (uint8_t)(n >> 16);
		packet[20] = (uint8_t)(n >> 8);
		packet[21] = (uint8_t)n;
		ck_assert_int_eq(program_run(large, &run, NULL), 0);
	}
	ck_assert_int_eq(program_extract(large, false, &counts), 0);
	ck_assert_uint_eq(counts.flows.n, connections);
	for (size_t i = 0; i < counts.flows.n; i++)
		ck_assert_uint_eq(counts.flows.items[i].counts.tx_packets, 1);
	program_counts_deinit(&counts);
	program_free(large);
}
END_TEST

/* The packets that were handed over. */
static uint64_t check_sums(struct program_counts *counts)
{
	struct counts sum = counts->overflow;

	for (size_t i = 0; i < counts->flows.n; i++)
		counts_add(&sum, &counts->flows.items[i].counts);
	ck_assert(counts_equal(&sum, &counts->totals));
	program_counts_deinit(counts);
	return sum.tx_packets;
}

/* An extraction that fails after it has handed over the entries, but neither the totals nor what waits in
 * batches: nothing is handed over twice, nothing is missing, and both agree in every extraction. */
START_TEST(an_extraction_that_fails_midway)
{
	const unsigned int size = _i == 0 ? 3 : 700;
	struct program_counts counts;

	stay_on(0);
	for (int round = 0; round < 3; round++) {
		uint64_t left[2];

		for (int side = 0; side < 2; side++) {
			for (unsigned int n = 0; n < size; n++)
				send_connection(n, 2);
			ck_assert_int_eq(program_extract_failing(program, &counts), -EBADF);
			left[side] = 2 * size - check_sums(&counts);
			ck_assert_uint_le(left[side], 2 * 16);
			ck_assert(size > 16 || left[side] == 2 * size);
		}
		for (int side = 0; side < 2; side++) {
			for (unsigned int n = 1; n < size + 1; n++)
				send_connection(n, 1);
			ck_assert_int_eq(program_extract(program, false, &counts), 0);
			ck_assert_uint_eq(check_sums(&counts), left[side] + size);
		}
	}
}
END_TEST

static TCase *make_case(void)
{
	TCase *tcase = tcase_create("test run");

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_set_timeout(tcase, 60);
	tcase_add_loop_test(tcase, vectors_agree, 0, 2);
	tcase_add_loop_test(tcase, extension_header_vectors_agree, 0, 2);
	tcase_add_loop_test(tcase, random_packets_agree_with_the_model, 0, 4);
	tcase_add_test(tcase, exact_while_windows_change);
	tcase_add_test(tcase, a_full_table_counts_overflow);
	tcase_add_test(tcase, windows_begin_empty);
	tcase_add_test(tcase, connections_that_look_alike);
	tcase_add_loop_test(tcase, an_extraction_that_fails_midway, 0, 2);
	return tcase;
}

int main(void)
{
	struct program *probe = NULL;
	SRunner *runner;
	int error = program_new(16, &probe), failed;
	Suite *suite;

	if (error < 0) {
		fprintf(stderr, "skipped: cannot load programs here: %s\n", strerror(-error));
		return error == -EPERM || error == -EOPNOTSUPP ? EXIT_SKIPPED : EXIT_FAILURE;
	}
	program_free(probe);
	suite = suite_create("program");
	suite_add_tcase(suite, make_case());
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
