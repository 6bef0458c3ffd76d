/* SPDX-License-Identifier: BSD-3-Clause */
/* The memory of live connections: what it adds to and takes from a window's details, and its bounds. */

#include "daemon/record/live.h"
#include "common/details.h"
#include "common/time_text.h"
#include "daemon/device/control_details.h"
#include "tests/unit/daemon/record/support.h"

#include <stdlib.h>
#include <string.h>

#define SYN CONTROL_SYN
#define ACK CONTROL_ACK
#define FIN CONTROL_FIN
#define RST CONTROL_RST
#define PSH 0x08

#define TCP    6
#define UDP    17
#define PERIOD (5 * NSEC_PER_SEC)

static struct live *live;
static int64_t now;

static void setup(void)
{
	ck_assert_int_eq(live_new(1024, &live), 0);
	now = 1000 * NSEC_PER_SEC;
	live_begin(live, now);
}

static void teardown(void)
{
	live_free(live);
}

static void next_window(int64_t length)
{
	live_begin_window(live, now, now + length);
	now += length;
}

static void pass(int64_t seconds)
{
	for (; seconds > 0; seconds -= 5)
		next_window(PERIOD);
}

static struct entry entry_of(uint32_t number, uint8_t proto)
{
	struct connection connection = test_connection("100.64.0.1:1", "100.64.0.2:2", proto);
	struct entry entry = {.counts.tx_packets = 1};

	connection.src.port = (uint16_t)number;
	connection.dst.port = (uint16_t)(number >> 16);
	entry_key_make(&entry.key, CLASS_VIRTUAL, &connection);
	return entry;
}

static void follow(struct entry *entry)
{
	live_follow(live, live_hash(live, &entry->key), entry);
}

struct step {
	bool received;
	uint8_t flags;
	uint32_t seq;
};

static struct details observe(const struct step *steps, size_t n)
{
	struct flow_control control = {};
	struct details details = {};

	for (size_t i = 0; i < n; i++) {
		control_step(&control, steps[i].received, steps[i].flags, steps[i].seq);
		*(steps[i].received ? &details.rx_flags : &details.tx_flags) |= steps[i].flags;
	}
	control_details(&control, &details);
	return details;
}

#define TCP_WINDOW(...)                                                                                      \
	tcp_window((const struct step[]){__VA_ARGS__},                                                       \
		   sizeof((struct step[]){__VA_ARGS__}) / sizeof(struct step))

/* What a window says of the connection in which these packets came. */
static struct details tcp_window(const struct step *steps, size_t n)
{
	struct entry entry = entry_of(1, TCP);

	next_window(PERIOD);
	entry.details = observe(steps, n);
	follow(&entry);
	return entry.details;
}

static void expect(struct details details, uint32_t starts, uint32_t ends, enum opener opener)
{
	ck_assert_uint_eq(details.starts, starts);
	ck_assert_uint_eq(details.ends, ends);
	ck_assert_uint_eq(details.opener, opener);
}

/* Both ends have opened one in the window: nobody is named. */
static void expect_both(struct details details, uint32_t starts, uint32_t ends)
{
	ck_assert_uint_eq(details.starts, starts);
	ck_assert_uint_eq(details.ends, ends);
	ck_assert(details.bits & DETAILS_OPENERS_DIFFER);
}

static void open_one(uint32_t number, bool answered)
{
	const struct step steps[] = {{false, SYN, number}, {true, SYN | ACK, 5}};
	struct entry entry = entry_of(number, TCP);

	entry.details = observe(steps, answered ? 2 : 1);
	follow(&entry);
	ck_assert_uint_eq(entry.details.starts, 1);
}

START_TEST(the_opener_is_known_as_long_as_it_lives)
{
	expect(TCP_WINDOW({true, SYN, 1}, {false, SYN | ACK, 5}), 1, 0, OPENER_DST);
	expect(TCP_WINDOW({true, ACK, 2}), 0, 0, OPENER_DST);
	pass(4 * 24 * 3600);
	expect(TCP_WINDOW({false, ACK, 2}), 0, 0, OPENER_DST);
	expect(TCP_WINDOW({false, FIN | ACK, 2}), 0, 1, OPENER_DST);
	/* Half closed; the other end is in no hurry. */
	for (int i = 0; i < 100; i++)
		expect(TCP_WINDOW({true, ACK, 2}), 0, 0, OPENER_DST);
	expect(TCP_WINDOW({true, FIN | ACK, 2}), 0, 0, OPENER_DST);
	/* Long over: the same ports are others. */
	pass(300);
	expect(TCP_WINDOW({true, FIN | ACK, 2}), 0, 1, OPENER_UNKNOWN);
}
END_TEST

/* The end that has not closed it may be silent for hours, and close it, or reset it. */
START_TEST(half_closed)
{
	for (int received = 0; received < 2; received++) {
		expect(TCP_WINDOW({false, SYN, 1}, {true, SYN | ACK, 5}, {false, ACK, 2}), 1, 0, OPENER_SRC);
		expect(TCP_WINDOW({received, FIN | ACK, 2}, {!received, ACK, 6}), 0, 1, OPENER_SRC);
		/* sent again */
		expect(TCP_WINDOW({received, FIN | ACK, 2}), 0, 0, OPENER_SRC);
		pass(6 * 3600);
		expect(TCP_WINDOW({!received, PSH | ACK, 6}, {received, ACK, 6}), 0, 0, OPENER_SRC);
		pass(6 * 3600);
		expect(TCP_WINDOW({!received, FIN | ACK, 6}, {received, RST, 6}), 0, 0, OPENER_SRC);
		/* Now it is over. */
		pass(400);
		ck_assert_uint_eq(live_get_status(live).connections, 0);
	}
	/* All in one window, after one that has ended, */
	expect(TCP_WINDOW({true, SYN, 0}, {false, SYN | ACK, 4}, {true, FIN | ACK, 1}, {false, RST, 5}), 1, 1,
	       OPENER_DST);
	expect(TCP_WINDOW({true, SYN, 1}, {false, SYN | ACK, 5}, {true, FIN | ACK, 2}), 1, 1, OPENER_DST);
	pass(3600);
	expect(TCP_WINDOW({false, FIN | ACK, 6}, {true, ACK, 3}), 0, 0, OPENER_DST);
	pass(400);
	ck_assert_uint_eq(live_get_status(live).connections, 0);
	/* reset in the same window, */
	expect(TCP_WINDOW({true, SYN, 0}, {false, SYN | ACK, 4}, {true, FIN | ACK, 1}, {false, RST, 5}), 1, 1,
	       OPENER_DST);
	pass(400);
	ck_assert_uint_eq(live_get_status(live).connections, 0);
	/* never answered, and what was there before anybody counted: of these anybody can make many. */
	expect(TCP_WINDOW({true, SYN | FIN, 1}), 1, 1, OPENER_DST);
	next_window(PERIOD);
	open_one(2, false);
	pass(400);
	expect(TCP_WINDOW({true, FIN | ACK, 1}, {false, ACK, 1}), 0, 1, OPENER_UNKNOWN);
	pass(400);
	ck_assert_uint_eq(live_get_status(live).connections, 0);
}
END_TEST

START_TEST(a_syn_sent_again_begins_nothing)
{
	expect(TCP_WINDOW({false, SYN, 1}), 1, 0, OPENER_SRC);
	expect(TCP_WINDOW({false, SYN, 1}, {false, SYN, 1}), 0, 0, OPENER_SRC);
	pass(30);
	expect(TCP_WINDOW({false, SYN, 1}, {true, RST, 0}), 0, 1, OPENER_SRC);
	/* refused again: it had ended */
	expect(TCP_WINDOW({false, SYN, 1}, {true, RST, 0}), 0, 0, OPENER_SRC);
	expect(TCP_WINDOW({false, SYN, 2}, {true, RST, 0}), 1, 1, OPENER_SRC);
}
END_TEST

/* As long as a connection that has ended may still be heard of. */
START_TEST(what_has_ended_is_known_for_four_minutes)
{
	expect(TCP_WINDOW({false, SYN, 1}, {true, RST, 0}), 1, 1, OPENER_SRC);
	expect(TCP_WINDOW({false, SYN, 1}), 0, 0, OPENER_SRC);
	pass(230);
	/* It had ended before the SYN that was sent again. */
	expect(TCP_WINDOW({false, SYN, 1}, {true, RST, 0}), 0, 0, OPENER_SRC);
	pass(240);
	expect(TCP_WINDOW({false, SYN, 1}, {true, RST, 0}), 1, 1, OPENER_SRC);
}
END_TEST

START_TEST(there_before_anybody_counted)
{
	expect(TCP_WINDOW({true, ACK, 1}), 0, 0, OPENER_UNKNOWN);
	ck_assert_uint_eq(live_get_status(live).connections, 0);
	expect(TCP_WINDOW({true, FIN | ACK, 1}), 0, 1, OPENER_UNKNOWN);
	expect(TCP_WINDOW({false, FIN | ACK, 1}), 0, 0, OPENER_UNKNOWN);
	/* The port is used again, from the other end. */
	expect(TCP_WINDOW({true, SYN, 1}), 1, 0, OPENER_DST);
	expect(TCP_WINDOW({true, FIN | ACK, 1}, {true, SYN, 2}, {false, RST, 1}), 1, 2, OPENER_DST);
}
END_TEST

START_TEST(opened_by_both)
{
	expect(TCP_WINDOW({false, SYN, 1}), 1, 0, OPENER_SRC);
	expect(TCP_WINDOW({true, SYN, 7}), 0, 0, OPENER_BOTH);
	expect(TCP_WINDOW({false, SYN | ACK, 1}, {true, SYN | ACK, 7}), 0, 0, OPENER_BOTH);
	expect(TCP_WINDOW({true, SYN, 7}), 0, 0, OPENER_BOTH);
	expect(TCP_WINDOW({false, SYN, 1}), 0, 0, OPENER_BOTH);
	expect(TCP_WINDOW({true, FIN | ACK, 8}), 0, 1, OPENER_BOTH);
}
END_TEST

START_TEST(opened_anew_by_the_other_end)
{
	struct details details;

	expect(TCP_WINDOW({false, SYN, 1}, {true, SYN | ACK, 1}), 1, 0, OPENER_SRC);
	/* It never ended here, but it had been answered: this is no simultaneous opening. */
	details = TCP_WINDOW({true, SYN, 7}, {false, SYN | ACK, 9});
	expect(details, 1, 0, OPENER_DST);
	ck_assert(details.bits & DETAILS_OPENERS_DIFFER);
	expect(TCP_WINDOW({true, FIN, 7}, {false, FIN, 9}), 0, 1, OPENER_DST);
	/* The window has nothing of the first. */
	details = TCP_WINDOW({false, SYN, 3});
	expect(details, 1, 0, OPENER_SRC);
	ck_assert(!(details.bits & DETAILS_OPENERS_DIFFER));
}
END_TEST

/* Of a SYN-ACK alone nobody knows whether it is an answer. */
START_TEST(a_syn_ack_without_a_syn)
{
	for (int received = 0; received < 2; received++) {
		enum opener opener = received ? OPENER_SRC : OPENER_DST;

		expect(TCP_WINDOW({received, SYN | ACK, 1}), 0, 0, OPENER_UNKNOWN);
		expect(TCP_WINDOW({received, SYN | ACK, 1}, {!received, RST, 1}), 0, 1, OPENER_UNKNOWN);
		pass(400);
		expect(TCP_WINDOW({received, SYN | ACK, 1}, {!received, RST | ACK, 1}), 0, 1, OPENER_UNKNOWN);
		pass(400);
		/* It is one to a SYN that came before anybody counted. */
		expect(TCP_WINDOW({received, SYN | ACK, 1}, {!received, ACK, 1}), 0, 0, opener);
		expect(TCP_WINDOW({received, ACK, 2}), 0, 0, opener);
		live_begin(live, now);
	}
}
END_TEST

/* An open connection is not the other end's because of its SYN, which nobody answers. */
START_TEST(a_syn_in_the_middle)
{
	for (int received = 0; received < 2; received++) {
		enum opener opener = received ? OPENER_DST : OPENER_SRC;

		expect(TCP_WINDOW({received, SYN, 1}, {!received, SYN | ACK, 1}, {received, ACK, 2}), 1, 0,
		       opener);
		expect(TCP_WINDOW({!received, ACK, 1}), 0, 0, opener);
		expect_both(TCP_WINDOW({!received, SYN, 7}, {received, ACK, 2}), 1, 0);
		expect(TCP_WINDOW({!received, SYN, 7}, {received, ACK, 2}), 0, 0, opener);
		/* Others, and traffic in the same window, */
		expect_both(TCP_WINDOW({!received, SYN, 8}, {!received, ACK, 2}, {!received, SYN, 9}), 2, 0);
		/* which is open, and stays in memory as such. */
		pass(3600);
		expect(TCP_WINDOW({received, ACK, 2}, {!received, ACK, 2}), 0, 0, opener);
		expect(TCP_WINDOW({received, FIN | ACK, 2}, {!received, FIN | ACK, 2}), 0, 1, opener);
		live_begin(live, now);
	}
}
END_TEST

/* Only an end can tell whether a RST was for the attempt alone. */
START_TEST(a_syn_in_the_middle_refused)
{
	for (int received = 0; received < 2; received++) {
		enum opener opener = received ? OPENER_DST : OPENER_SRC;
		enum opener other = received ? OPENER_SRC : OPENER_DST;

		for (int later = 0; later < 2; later++) {
			expect(TCP_WINDOW({received, SYN, 1}, {!received, SYN | ACK, 1}), 1, 0, opener);
			if (later) {
				expect_both(TCP_WINDOW({!received, SYN, 7}), 1, 0);
				expect(TCP_WINDOW({received, RST, 0}), 0, 1, opener);
			} else {
				expect_both(TCP_WINDOW({!received, SYN, 7}, {received, RST, 0}), 1, 1);
			}
			expect(TCP_WINDOW({received, ACK, 2}, {!received, ACK, 2}), 0, 0, opener);
			/* After that, another one is the other end's. */
			expect(TCP_WINDOW({!received, SYN, 8}, {received, RST, 0}), 1, 1, other);
			live_begin(live, now);
		}
	}
}
END_TEST

/* Then it is a new connection, in whatever window the answer comes. */
START_TEST(a_syn_in_the_middle_answered)
{
	for (int received = 0; received < 2; received++) {
		enum opener opener = received ? OPENER_DST : OPENER_SRC;
		enum opener other = received ? OPENER_SRC : OPENER_DST;

		for (int later = 0; later < 3; later++) {
			expect(TCP_WINDOW({received, SYN, 1}, {!received, SYN | ACK, 1}), 1, 0, opener);
			if (later > 0)
				expect_both(TCP_WINDOW({!received, SYN, 7}, {received, ACK, 2}), 1, 0);
			if (later < 2)
				expect(TCP_WINDOW({!received, SYN, 7}, {received, SYN | ACK, 1}), later == 0,
				       0, other);
			else
				expect(TCP_WINDOW({received, SYN | ACK, 1}), 0, 0, other);
			expect(TCP_WINDOW({!received, ACK, 8}, {received, ACK, 2}), 0, 0, other);
			/* And what the first end sends now is in the middle of that. */
			expect_both(TCP_WINDOW({received, SYN, 3}), 1, 0);
			expect(TCP_WINDOW({!received, FIN | ACK, 8}), 0, 1, other);
			live_begin(live, now);
		}
	}
}
END_TEST

/* The same where all of it is in one window. */
START_TEST(a_syn_in_the_middle_of_a_window)
{
	for (int received = 0; received < 2; received++) {
		enum opener opener = received ? OPENER_DST : OPENER_SRC;
		enum opener other = received ? OPENER_SRC : OPENER_DST;

		expect_both(TCP_WINDOW({received, SYN, 1}, {!received, SYN | ACK, 1}, {received, ACK, 2},
				       {!received, SYN, 7}, {received, ACK, 2}),
			    2, 0);
		/* It is open, and stays in memory as such. */
		pass(3600);
		expect(TCP_WINDOW({received, ACK, 2}, {!received, ACK, 2}), 0, 0, opener);
		expect(TCP_WINDOW({received, RST, 2}), 0, 1, opener);
		/* Closed by the end that has sent it, while the other goes on. */
		expect_both(TCP_WINDOW({received, SYN, 3}, {!received, SYN | ACK, 3}, {!received, SYN, 9},
				       {!received, FIN | ACK, 4}),
			    2, 1);
		expect(TCP_WINDOW({received, ACK, 4}), 0, 0, opener);
		expect(TCP_WINDOW({received, RST, 4}), 0, 0, opener);
		/* After an end there is nothing that could live on, */
		TCP_WINDOW({received, SYN, 5}, {!received, SYN | ACK, 5}, {received, RST, 6},
			   {!received, SYN, 11});
		expect(TCP_WINDOW({received, SYN | ACK, 1}), 0, 0, other);
		expect(TCP_WINDOW({received, RST, 1}), 0, 1, other);
		/* nor once the other end's is answered. */
		TCP_WINDOW({received, SYN, 7}, {!received, SYN | ACK, 7}, {!received, SYN, 13},
			   {received, SYN | ACK, 1});
		expect(TCP_WINDOW({received, ACK, 2}), 0, 0, other);
		live_begin(live, now);
	}
}
END_TEST

/* What is left of the connection before on these ports does not answer the SYN. */
START_TEST(opened_by_both_on_a_port_used_again)
{
	for (int received = 0; received < 2; received++) {
		expect(TCP_WINDOW({received, SYN, 1}, {!received, SYN | ACK, 1}, {!received, RST | ACK, 2},
				  {received, SYN, 9}),
		       2, 1, received ? OPENER_DST : OPENER_SRC);
		expect(TCP_WINDOW({!received, SYN, 7}, {!received, SYN | ACK, 7}), 0, 0, OPENER_BOTH);
		expect(TCP_WINDOW({received, ACK, 9}, {!received, ACK, 8}), 0, 0, OPENER_BOTH);
		expect(TCP_WINDOW({received, RST, 9}), 0, 1, OPENER_BOTH);
	}
}
END_TEST

/* However windows cut it, the sums are those of one observer. */
START_TEST(any_windows_add_up)
{
	static const uint8_t flags[] = {SYN, SYN, SYN | ACK, FIN | ACK, RST, FIN | ACK, ACK};
	uint64_t state = 88172645463325252ULL;

	for (uint32_t round = 0; round < 20000; round++) {
		struct details whole, sum = {};
		struct step steps[12];
		uint32_t number = round * 100;
		size_t n = 0, width;

		/* One end opens, the other answers. */
		for (size_t i = 0; i < 12; i++) {
			uint8_t flag = flags[test_random(&state) % sizeof(flags)];

			steps[i].flags = flag;
			steps[i].received = flag == SYN ? false : flag == (SYN | ACK) ? true : state >> 9 & 1;
			steps[i].seq = number + (test_random(&state) & 1);
			number += flag & (FIN | RST) ? 2 : 0;
		}
		whole = observe(steps, 12);
		for (; n < 12; n += width) {
			struct entry entry = entry_of(round % 500, TCP);

			width = 1 + test_random(&state) % 4;
			width = n + width > 12 ? 12 - n : width;
			next_window(PERIOD);
			entry.details = observe(steps + n, width);
			follow(&entry);
			sum.starts += entry.details.starts;
			sum.ends += entry.details.ends;
			sum.opener = entry.details.opener;
		}
		/* What is known only by a SYN-ACK may be left out in some windows. */
		if (sum.opener == OPENER_UNKNOWN && whole.starts == 0)
			whole.opener = OPENER_UNKNOWN;
		expect(sum, whole.starts, whole.ends, whole.opener);
		pass(7200);
		live_begin(live, now);
	}
}
END_TEST

static struct details other_window(uint8_t proto, bool received)
{
	struct entry entry = entry_of(1, proto);

	next_window(PERIOD);
	entry.details.bits = (uint16_t)(DETAILS_HAS_FIRST | (received ? DETAILS_FIRST_RECEIVED : 0));
	follow(&entry);
	return entry.details;
}

START_TEST(others_begin_after_a_minute_of_silence)
{
	struct entry entry;

	/* It may have spoken shortly before counting began. */
	expect(other_window(UDP, false), 0, 0, OPENER_UNKNOWN);
	pass(50);
	expect(other_window(UDP, false), 0, 0, OPENER_UNKNOWN);
	pass(55);
	expect(other_window(UDP, true), 0, 0, OPENER_UNKNOWN);
	pass(65);
	expect(other_window(UDP, true), 1, 0, OPENER_DST);
	expect(other_window(UDP, false), 0, 0, OPENER_DST);
	pass(50);
	expect(other_window(UDP, false), 0, 0, OPENER_DST);
	pass(65);
	expect(other_window(1, false), 1, 0, OPENER_SRC);
	expect(other_window(UDP, false), 1, 0, OPENER_SRC);

	/* Both ends at once, as far as anybody can tell. */
	pass(65);
	next_window(PERIOD);
	entry = entry_of(2, UDP);
	entry.details.bits = DETAILS_HAS_FIRST | DETAILS_FIRST_EITHER;
	follow(&entry);
	expect(entry.details, 1, 0, OPENER_UNKNOWN);
	next_window(PERIOD);
	entry = entry_of(2, UDP);
	entry.details.bits = DETAILS_HAS_FIRST;
	follow(&entry);
	expect(entry.details, 0, 0, OPENER_UNKNOWN);
}
END_TEST

START_TEST(packets_that_were_missed)
{
	pass(65);
	live_miss(live, now);
	pass(50);
	expect(other_window(UDP, false), 0, 0, OPENER_UNKNOWN);
	pass(65);
	expect(other_window(UDP, false), 1, 0, OPENER_SRC);
}
END_TEST

START_TEST(no_connections)
{
	static const uint8_t protos[] = {0, 255};

	pass(65);
	for (size_t i = 0; i < sizeof(protos); i++)
		expect(other_window(protos[i], false), 0, 0, OPENER_UNKNOWN);
	ck_assert_uint_eq(live_get_status(live).connections, 0);
	/* What a source says that does not see packets stays. */
	for (int i = 0; i < 2; i++) {
		struct entry entry = entry_of(3, UDP);

		entry.details = (struct details){.starts = 2, .opener = OPENER_DST};
		next_window(PERIOD);
		follow(&entry);
		expect(entry.details, 2, 0, OPENER_DST);
	}
}
END_TEST

/* A source that does not see packets tells what it knows, once or in each window. */
START_TEST(told_by_the_source)
{
	static const uint8_t protos[] = {TCP, UDP};

	for (size_t i = 0; i < sizeof(protos); i++) {
		for (int window = 0; window < 4; window++) {
			struct entry entry = entry_of(1, protos[i]);

			if (window == 0)
				entry.details = (struct details){.starts = 1, .opener = OPENER_DST};
			if (window == 2)
				entry.details.ends = 1;
			next_window(PERIOD);
			follow(&entry);
			expect(entry.details, window == 0, window == 2, OPENER_DST);
		}
		for (int window = 0; window < 3; window++) {
			struct entry entry = entry_of(2, protos[i]);

			entry.details = (struct details){.starts = 5, .ends = 4, .opener = OPENER_SRC};
			next_window(PERIOD);
			follow(&entry);
			expect(entry.details, 5, 4, OPENER_SRC);
			ck_assert_uint_eq(entry.details.bits, 0);
		}
		/* Another one, of which it does not say who opened it. */
		for (int window = 0; window < 2; window++) {
			struct entry entry = entry_of(2, protos[i]);

			entry.details.starts = window == 0;
			next_window(PERIOD);
			follow(&entry);
			expect(entry.details, window == 0, 0, OPENER_UNKNOWN);
		}
	}
}
END_TEST

/* It knows better than what is remembered. */
START_TEST(told_otherwise_by_the_source)
{
	static const struct details told[] = {
		{.starts = 1, .opener = OPENER_DST},
		{.starts = 1, .opener = OPENER_SRC},
		{.ends = 1, .opener = OPENER_DST},
		{.opener = OPENER_SRC},
		{.starts = 2, .ends = 1, .opener = OPENER_DST},
	};
	static const uint8_t protos[] = {TCP, UDP};

	for (size_t i = 0; i < sizeof(protos); i++) {
		for (size_t window = 0; window < sizeof(told) / sizeof(*told); window++) {
			struct entry entry = entry_of(1, protos[i]);

			entry.details = told[window];
			next_window(PERIOD);
			follow(&entry);
			/* Without starts and ends, of TCP it is the flags that count. */
			if (protos[i] == UDP || told[window].starts | told[window].ends)
				ck_assert_mem_eq(&entry.details, &told[window], sizeof(entry.details));
		}
	}
}
END_TEST

START_TEST(drops_alone)
{
	struct entry entry = entry_of(1, TCP);

	expect(TCP_WINDOW({true, SYN, 1}, {false, SYN | ACK, 4}), 1, 0, OPENER_DST);
	next_window(PERIOD);
	entry.counts = (struct counts){};
	entry.details.rx_drops = 3;
	follow(&entry);
	expect(entry.details, 0, 0, OPENER_DST);
	/* They begin nothing. */
	entry = entry_of(2, UDP);
	entry.counts = (struct counts){};
	entry.details.tx_drops = 3;
	pass(65);
	next_window(PERIOD);
	follow(&entry);
	expect(entry.details, 0, 0, OPENER_UNKNOWN);
	ck_assert_uint_eq(live_get_status(live).connections, 1);
}
END_TEST

static struct details follow_drops(unsigned int n, uint16_t bits)
{
	struct entry entry = entry_of(n, TCP);

	entry.counts = (struct counts){};
	entry.details.tx_drops = 3;
	entry.details.bits = bits;
	next_window(PERIOD);
	follow(&entry);
	return entry.details;
}

/* Some may still be in memory, which is swept in parts. */
START_TEST(drops_of_what_was_silent)
{
	pass(65);
	for (unsigned int window = 0; window < 2; window++) {
		next_window(PERIOD);
		for (unsigned int n = 0; n < 100; n++) {
			struct entry entry = entry_of(n, UDP);

			entry.details.bits = DETAILS_HAS_FIRST;
			if (window == 1) {
				entry.counts = (struct counts){};
				entry.details = (struct details){.tx_drops = 1};
			}
			follow(&entry);
			expect(entry.details, window == 0, 0, window == 0 ? OPENER_SRC : OPENER_UNKNOWN);
		}
		next_window(70 * NSEC_PER_SEC);
	}
}
END_TEST

/* A SYN among them tells who tried, as far as nothing else may be open. */
START_TEST(dropped_syns)
{
	expect(follow_drops(1, 0), 0, 0, OPENER_UNKNOWN);
	expect(follow_drops(1, DETAILS_SRC_SYN_DROPPED), 0, 0, OPENER_SRC);
	expect(follow_drops(1, DETAILS_DST_SYN_DROPPED), 0, 0, OPENER_DST);
	expect(follow_drops(1, DETAILS_SRC_SYN_DROPPED | DETAILS_DST_SYN_DROPPED), 0, 0, OPENER_BOTH);
	/* Nothing has begun that would be remembered. */
	ck_assert_uint_eq(live_get_status(live).connections, 0);
	expect(TCP_WINDOW({true, SYN, 1}, {false, SYN | ACK, 4}), 1, 0, OPENER_DST);
	expect(follow_drops(1, DETAILS_DST_SYN_DROPPED), 0, 0, OPENER_DST);
	expect(follow_drops(1, DETAILS_SRC_SYN_DROPPED), 0, 0, OPENER_BOTH);
	expect(TCP_WINDOW({true, RST, 1}), 0, 1, OPENER_DST);
	expect(follow_drops(1, 0), 0, 0, OPENER_DST);
	expect(follow_drops(1, DETAILS_SRC_SYN_DROPPED), 0, 0, OPENER_SRC);
	/* What passed says more. */
	struct entry entry = entry_of(2, TCP);

	entry.details.bits = DETAILS_SRC_SYN_DROPPED;
	next_window(PERIOD);
	follow(&entry);
	expect(entry.details, 0, 0, OPENER_UNKNOWN);
}
END_TEST

/* The same connection in another class, after routes changed in the middle of a window. */
START_TEST(classes_share_a_connection)
{
	struct entry a = entry_of(1, UDP), b = a;

	pass(65);
	a.details.bits = b.details.bits = DETAILS_HAS_FIRST;
	b.key.bytes[ENTRY_CLASS] = CLASS_SUBNET;
	next_window(PERIOD);
	follow(&a);
	follow(&b);
	expect(a.details, 1, 0, OPENER_SRC);
	expect(b.details, 0, 0, OPENER_SRC);
}
END_TEST

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
	uint64_t state = 88172645463325252ULL;

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
		ck_assert_uint_eq(live_get_status(live).connections, 1024);
	}
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
	Suite *suite = suite_create("live");
	TCase *cases = tcase_create("live");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(cases, setup, teardown);
	tcase_set_timeout(cases, 60);
	tcase_add_test(cases, the_opener_is_known_as_long_as_it_lives);
	tcase_add_test(cases, half_closed);
	tcase_add_test(cases, a_syn_sent_again_begins_nothing);
	tcase_add_test(cases, what_has_ended_is_known_for_four_minutes);
	tcase_add_test(cases, there_before_anybody_counted);
	tcase_add_test(cases, opened_by_both);
	tcase_add_test(cases, opened_anew_by_the_other_end);
	tcase_add_test(cases, a_syn_ack_without_a_syn);
	tcase_add_test(cases, a_syn_in_the_middle);
	tcase_add_test(cases, a_syn_in_the_middle_refused);
	tcase_add_test(cases, a_syn_in_the_middle_answered);
	tcase_add_test(cases, a_syn_in_the_middle_of_a_window);
	tcase_add_test(cases, opened_by_both_on_a_port_used_again);
	tcase_add_test(cases, any_windows_add_up);
	tcase_add_test(cases, others_begin_after_a_minute_of_silence);
	tcase_add_test(cases, packets_that_were_missed);
	tcase_add_test(cases, no_connections);
	tcase_add_test(cases, told_by_the_source);
	tcase_add_test(cases, told_otherwise_by_the_source);
	tcase_add_test(cases, drops_alone);
	tcase_add_test(cases, drops_of_what_was_silent);
	tcase_add_test(cases, dropped_syns);
	tcase_add_test(cases, classes_share_a_connection);
	tcase_add_test(cases, a_flood_of_syns);
	tcase_add_test(cases, half_closed_ones_make_room);
	tcase_add_test(cases, a_flood_of_datagrams);
	tcase_add_test(cases, it_grows_and_shrinks);
	tcase_add_test(cases, none_is_forgotten_while_it_may_grow);
	tcase_add_test(cases, open_ones_move);
	tcase_add_test(cases, windows_of_any_length);
	suite_add_tcase(suite, cases);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
