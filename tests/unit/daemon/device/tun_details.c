/* SPDX-License-Identifier: BSD-3-Clause */
/* What the tun programs note beside the counts, through the kernel's test run. */

#include "common/cleanup.h"
#include "common/details.h"
#include "daemon/device/control_details.h"
#include "tests/unit/daemon/device/support/program.h"

#include <check.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXIT_SKIPPED 77

#define CONNECTIONS 8
#define SYNS	    20000 /* on each CPU */

enum { FIN = 0x01, SYN = 0x02, RST = 0x04, PSH = 0x08, ACK = 0x10, ECE = 0x40, CWR = 0x80 };

static struct program *program;
static unsigned int senders_done;

static void setup(void)
{
	ck_assert_int_eq(program_new_with_details(1024, &program), 0);
}

static void teardown(void)
{
	program_free(program);
	program = NULL;
}

static void stay_on(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	ck_assert_int_eq(sched_setaffinity(0, sizeof(set), &set), 0);
}

/* A packet of connection n as the node that owns 10.0.0.1 (fd00::1) sends or receives it. */
struct sent {
	unsigned int n;
	uint8_t proto;
	bool ipv6, received;
	uint8_t flags;
	uint32_t seq;
	uint16_t fragment; /* of IPv4: flags and offset */
	size_t cut;	   /* bytes that the packet lacks at its end */
};

static size_t make_packet(const struct sent *sent, uint8_t packet[static 60])
{
	uint8_t *near, *far, *transport;
	size_t header = sent->ipv6 ? 40 : 20, length = header + 20 - sent->cut;

	memset(packet, 0, 60);
	if (sent->ipv6) {
		memcpy(packet,
		       (const uint8_t[]){0x60, 0, 0, 0, 0, (uint8_t)(20 - sent->cut), sent->proto, 64}, 8);
		near = packet + (sent->received ? 24 : 8);
		far = packet + (sent->received ? 8 : 24);
		near[0] = far[0] = 0xfd;
		near[15] = 1;
		far[15] = 2;
	} else {
		memcpy(packet,
		       (const uint8_t[]){0x45, 0, 0, (uint8_t)length, 0, 1, (uint8_t)(sent->fragment >> 8),
					 (uint8_t)sent->fragment, 64, sent->proto},
		       10);
		near = packet + (sent->received ? 16 : 12);
		far = packet + (sent->received ? 12 : 16);
		near[0] = far[0] = 10;
		near[3] = 1;
		far[3] = 2;
	}
	transport = packet + header;
	transport[sent->received ? 3 : 1] = (uint8_t)sent->n;
	transport[sent->received ? 1 : 3] = 80;
	if (sent->proto == IPPROTO_TCP) {
		memcpy(transport + 4, &sent->seq, sizeof(sent->seq));
		transport[12] = 0x50;
		transport[13] = sent->flags;
	}
	return length;
}

static void send_packet(const struct sent *sent)
{
	uint8_t packet[60];
	struct program_run run = {.packet = packet, .received = sent->received};

	run.length = make_packet(sent, packet);
	ck_assert_int_eq(program_run(program, &run, NULL), 0);
}

/* Ends the window: the details of each connection, its parts joined. */
static void take(struct details details[static 2 * CONNECTIONS], uint64_t packets[static 2 * CONNECTIONS])
{
	struct program_counts counts;

	memset(details, 0, 2 * CONNECTIONS * sizeof(*details));
	memset(packets, 0, 2 * CONNECTIONS * sizeof(*packets));
	ck_assert_int_eq(program_extract(program, false, &counts), 0);
	ck_assert_uint_eq(counts.lost_details, 0);
	for (size_t i = 0; i < counts.flows.n; i++) {
		const struct flow *flow = &counts.flows.items[i];
		unsigned int n = flow->connection.src.port;

		ck_assert_uint_lt(n, CONNECTIONS);
		n += flow->connection.src.address.family == ADDRESS_IPV6 ? CONNECTIONS : 0;
		details_add(&details[n], &flow->details);
		packets[n] += flow->counts.tx_packets + flow->counts.rx_packets;
	}
	program_counts_deinit(&counts);
}

/* The same steps by the state machine in user space. */
static void step(const struct sent *sent, struct flow_control *control, struct details *details)
{
	bool tells = sent->proto == IPPROTO_TCP && sent->cut == 0 && !(sent->fragment & 0x1fff);

	if (!tells)
		return;
	if (sent->received)
		details->rx_flags |= sent->flags;
	else
		details->tx_flags |= sent->flags;
	if (sent->flags & (SYN | FIN | RST))
		control_step(control, sent->received, sent->flags, sent->seq);
}

/* Any flags in any order, on both CPUs, among packets that have none: cut off, fragments. */
START_TEST(as_the_state_machine_says)
{
	unsigned int seed = (unsigned int)_i;
	struct details seen[2 * CONNECTIONS];
	uint64_t packets[2 * CONNECTIONS];

	for (int window = 0; window < 40; window++) {
		struct flow_control control[2 * CONNECTIONS] = {};
		struct details expected[2 * CONNECTIONS] = {};
		uint64_t sent_packets[2 * CONNECTIONS] = {};

		for (int i = rand_r(&seed) % 200; i > 0; i--) {
			struct sent sent = {
				.n = (unsigned int)rand_r(&seed) % CONNECTIONS,
				.proto = IPPROTO_TCP,
				.ipv6 = rand_r(&seed) % 2,
				.received = rand_r(&seed) % 2,
				.flags = (uint8_t)(rand_r(&seed) % 3 ? (1 << rand_r(&seed) % 8)
								     : rand_r(&seed)),
				.seq = (uint32_t)rand_r(&seed) % 3,
			};
			unsigned int at = sent.n + (sent.ipv6 ? CONNECTIONS : 0);

			/* A first fragment is as if it were whole. */
			if (!sent.ipv6 && rand_r(&seed) % 8 == 0)
				sent.fragment = 0x2000;
			if (rand_r(&seed) % 16 == 0)
				stay_on(rand_r(&seed) % 2);
			send_packet(&sent);
			step(&sent, &control[at], &expected[at]);
			sent_packets[at]++;
		}
		take(seen, packets);
		for (size_t i = 0; i < ARRAY_SIZE(seen); i++) {
			control_details(&control[i], &expected[i]);
			ck_assert_msg(memcmp(&seen[i], &expected[i], sizeof(seen[i])) == 0,
				      "window %d, connection %zu: starts %u, not %u; ends %u, not %u; flags "
				      "%02x %02x, not %02x %02x; opener %u, not %u; bits %x, not %x",
				      window, i, seen[i].starts, expected[i].starts, seen[i].ends,
				      expected[i].ends, seen[i].tx_flags, seen[i].rx_flags,
				      expected[i].tx_flags, expected[i].rx_flags, seen[i].opener,
				      expected[i].opener, seen[i].bits, expected[i].bits);
			ck_assert_uint_eq(packets[i], sent_packets[i]);
		}
	}
}
END_TEST

/* Later fragments and headers that are cut off have no flags, whatever bytes lie there. */
START_TEST(nothing_where_no_header_is)
{
	static const struct sent sent[] = {
		{.n = 1, .proto = IPPROTO_TCP, .flags = SYN, .fragment = 10},
		{.n = 1, .proto = IPPROTO_TCP, .flags = SYN, .fragment = 1},
		{.n = 1, .proto = IPPROTO_TCP, .flags = SYN, .cut = 1},
		{.n = 1, .proto = IPPROTO_TCP, .ipv6 = true, .flags = SYN, .cut = 1},
	};
	struct program_counts counts;

	for (size_t i = 0; i < ARRAY_SIZE(sent); i++)
		send_packet(&sent[i]);
	ck_assert_int_eq(program_extract(program, false, &counts), 0);
	for (size_t i = 0; i < counts.flows.n; i++)
		ck_assert(details_is_empty(&counts.flows.items[i].details));
	ck_assert_uint_eq(counts.totals.tx_packets, ARRAY_SIZE(sent));
	program_counts_deinit(&counts);
}
END_TEST

/* What is not TCP: the first packet's direction, also where the other CPU counts the answers. */
START_TEST(the_first_packet_of_all)
{
	struct details details[2 * CONNECTIONS];
	uint64_t packets[2 * CONNECTIONS];

	for (int round = 0; round < 4; round++) {
		for (unsigned int n = 0; n < CONNECTIONS; n++) {
			struct sent sent = {
				.n = n, .proto = IPPROTO_UDP, .ipv6 = round % 2, .received = n % 2};

			stay_on((int)(n / 2 % 2));
			send_packet(&sent);
			stay_on((int)((n / 2 + n / 4) % 2));
			sent.received = !sent.received;
			send_packet(&sent);
			send_packet(&sent);
		}
		take(details, packets);
		for (unsigned int n = 0; n < CONNECTIONS; n++) {
			const struct details *of_it = &details[n + (round % 2 ? CONNECTIONS : 0)];

			ck_assert_uint_eq(packets[n + (round % 2 ? CONNECTIONS : 0)], 3);
			ck_assert(of_it->bits & DETAILS_HAS_FIRST);
			ck_assert(!(of_it->bits & DETAILS_FIRST_EITHER));
			ck_assert_int_eq(!!(of_it->bits & DETAILS_FIRST_RECEIVED), n % 2);
		}
	}
}
END_TEST

/* More connections than there is room for: counts stay exact, and what is not noted is told. */
START_TEST(a_flood_of_syns)
{
	struct program_counts counts;
	uint64_t noted = 0;

	for (unsigned int i = 0; i < 3000; i++) {
		uint8_t packet[60];
		struct program_run run = {.packet = packet};

		run.length =
			make_packet(&(struct sent){.proto = IPPROTO_TCP, .flags = SYN, .seq = i}, packet);
		packet[20] = (uint8_t)(i >> 8);
		packet[21] = (uint8_t)i;
		ck_assert_int_eq(program_run(program, &run, NULL), 0);
	}
	ck_assert_int_eq(program_extract(program, false, &counts), 0);
	ck_assert_uint_eq(counts.totals.tx_packets, 3000);
	for (size_t i = 0; i < counts.flows.n; i++)
		noted += counts.flows.items[i].details.starts;
	ck_assert_uint_ge(noted, 1000);
	ck_assert_uint_eq(noted + counts.lost_details, 3000);
	program_counts_deinit(&counts);
	/* The next window begins with all the room. */
	send_packet(&(struct sent){.n = 1, .proto = IPPROTO_TCP, .flags = SYN});
	ck_assert_int_eq(program_extract(program, false, &counts), 0);
	ck_assert_uint_eq(counts.lost_details, 0);
	program_counts_deinit(&counts);
}
END_TEST

/* Windows with so few packets that none of them leaves its CPU's batch: notes are made without entries. */
START_TEST(the_room_of_little_windows)
{
	for (unsigned int i = 0; i < 300; i++) {
		struct program_counts counts;

		send_packet(&(struct sent){.n = 1, .proto = IPPROTO_TCP, .flags = SYN, .seq = i});
		ck_assert_int_eq(program_extract(program, false, &counts), 0);
		ck_assert_uint_eq(counts.lost_details, 0);
		ck_assert_uint_eq(counts.flows.n, 1);
		ck_assert_uint_eq(counts.flows.items[0].details.starts, 1);
		program_counts_deinit(&counts);
	}
}
END_TEST

/* SYNs with numbers that no other has, each of which begins a connection. */
static void *send_syns(void *userdata)
{
	const int cpu = *(const int *)userdata;

	stay_on(cpu);
	for (uint32_t i = 0; i < SYNS; i++)
		send_packet(&(struct sent){
			.proto = IPPROTO_TCP,
			.ipv6 = i / 100 % 2,
			.flags = SYN,
			.seq = i << 1 | (uint32_t)cpu,
		});
	__atomic_fetch_add(&senders_done, 1, __ATOMIC_SEQ_CST);
	return NULL;
}

/* Both CPUs note what they see of the same connections, while windows end: nothing is lost or noted twice. */
START_TEST(both_cpus_at_once)
{
	static const int cpus[] = {0, 1};
	pthread_t threads[ARRAY_SIZE(cpus)];
	uint64_t starts = 0, ends = 0;
	bool last = false;

	senders_done = 0;
	for (size_t i = 0; i < ARRAY_SIZE(cpus); i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, send_syns, (void *)&cpus[i]), 0);
	while (!last) {
		struct program_counts counts;

		last = __atomic_load_n(&senders_done, __ATOMIC_SEQ_CST) == ARRAY_SIZE(cpus);
		ck_assert_int_eq(program_extract(program, true, &counts), 0);
		ck_assert_uint_eq(counts.lost_details, 0);
		for (size_t i = 0; i < counts.flows.n; i++) {
			const struct details *details = &counts.flows.items[i].details;

			starts += details->starts;
			ends += details->ends;
			ck_assert_uint_eq(details->bits, details->starts ? DETAILS_HAS_SYN : 0);
			ck_assert_uint_eq(details->opener, details->starts ? OPENER_SRC : OPENER_UNKNOWN);
		}
		program_counts_deinit(&counts);
	}
	for (size_t i = 0; i < ARRAY_SIZE(cpus); i++)
		pthread_join(threads[i], NULL);
	ck_assert_uint_eq(starts, (uint64_t)SYNS * ARRAY_SIZE(cpus));
	ck_assert_uint_eq(ends, 0);
}
END_TEST

int main(void)
{
	struct program *probe = NULL;
	int error = program_new(16, &probe), failed;
	Suite *suite = suite_create("tun details");
	TCase *tcase = tcase_create("test run");
	SRunner *runner;

	if (error < 0) {
		fprintf(stderr, "skipped: cannot load programs here: %s\n", strerror(-error));
		return error == -EPERM || error == -EOPNOTSUPP ? EXIT_SKIPPED : EXIT_FAILURE;
	}
	program_free(probe);
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_set_timeout(tcase, 60);
	tcase_add_loop_test(tcase, as_the_state_machine_says, 0, 8);
	tcase_add_test(tcase, nothing_where_no_header_is);
	tcase_add_test(tcase, the_first_packet_of_all);
	tcase_add_test(tcase, a_flood_of_syns);
	tcase_add_test(tcase, the_room_of_little_windows);
	tcase_add_test(tcase, both_cpus_at_once);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
