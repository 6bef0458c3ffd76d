/* SPDX-License-Identifier: BSD-3-Clause */
/* The memory of live connections: what it adds to and takes from a window's details. */

#include "tests/unit/daemon/record/live_support.h"

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

/* It is not of an end whose SYN nobody answers. */
START_TEST(a_syn_in_one_that_was_there_before)
{
	for (int received = 0; received < 2; received++) {
		expect(TCP_WINDOW({received, SYN, 7}, {!received, ACK, 2}), 1, 0, OPENER_UNKNOWN);
		expect(TCP_WINDOW({received, ACK, 1}, {!received, ACK, 2}), 0, 0, OPENER_UNKNOWN);
		expect(TCP_WINDOW({received, SYN, 8}), 1, 0, received ? OPENER_DST : OPENER_SRC);
		expect(TCP_WINDOW({received, ACK, 1}, {!received, FIN | ACK, 2}), 0, 1, OPENER_UNKNOWN);
		live_begin(live, now);
		/* Sent again, it is none either, until somebody answers it. */
		expect(TCP_WINDOW({received, SYN, 7}, {!received, ACK, 2}), 1, 0, OPENER_UNKNOWN);
		expect(TCP_WINDOW({received, SYN, 7}, {!received, ACK, 2}), 0, 0, OPENER_UNKNOWN);
		expect(TCP_WINDOW({received, ACK, 1}, {!received, ACK, 2}), 0, 0, OPENER_UNKNOWN);
		expect(TCP_WINDOW({received, SYN, 7}, {!received, SYN | ACK, 9}), 0, 0,
		       received ? OPENER_DST : OPENER_SRC);
		live_begin(live, now);
	}
}
END_TEST

/* Nor is a half-closed one of the end that has not closed it. */
START_TEST(a_syn_in_a_half_closed_one)
{
	for (int received = 0; received < 2; received++) {
		enum opener opener = received ? OPENER_DST : OPENER_SRC;
		enum opener other = received ? OPENER_SRC : OPENER_DST;

		for (int answered = 0; answered < 2; answered++) {
			expect(TCP_WINDOW({received, SYN, 1}, {!received, SYN | ACK, 5},
					  {received, FIN | ACK, 2}),
			       1, 1, opener);
			expect(TCP_WINDOW({!received, SYN, 7}, {received, ACK, 3}), 1, 0, OPENER_UNKNOWN);
			if (answered)
				expect(TCP_WINDOW({received, SYN | ACK, 9}, {!received, ACK, 8}), 0, 0,
				       other);
			else
				expect(TCP_WINDOW({!received, ACK, 6}, {received, ACK, 3}), 0, 0,
				       OPENER_UNKNOWN);
			live_begin(live, now);
		}
		/* Closed by the other end too, it is over. */
		expect(TCP_WINDOW({received, SYN, 1}, {!received, SYN | ACK, 5}, {received, FIN | ACK, 2}), 1,
		       1, opener);
		expect(TCP_WINDOW({!received, FIN | ACK, 6}, {received, ACK, 3}, {!received, SYN, 7}), 1, 0,
		       other);
		live_begin(live, now);
	}
}
END_TEST

/* The answer of the first SYN and another end's SYN in one window: these do not cross. */
START_TEST(a_syn_in_the_window_of_the_answer)
{
	for (int received = 0; received < 2; received++) {
		enum opener opener = received ? OPENER_DST : OPENER_SRC;
		enum opener other = received ? OPENER_SRC : OPENER_DST;

		expect(TCP_WINDOW({received, SYN, 1}), 1, 0, opener);
		expect_both(TCP_WINDOW({!received, SYN | ACK, 5}, {!received, SYN, 7}, {received, ACK, 2}), 1,
			    0);
		expect(TCP_WINDOW({received, ACK, 2}, {!received, ACK, 6}), 0, 0, opener);
		live_begin(live, now);
		expect(TCP_WINDOW({received, SYN, 1}), 1, 0, opener);
		expect_both(
			TCP_WINDOW({!received, SYN | ACK, 5}, {!received, SYN, 7}, {received, SYN | ACK, 9}),
			1, 0);
		expect(TCP_WINDOW({received, ACK, 2}, {!received, ACK, 6}), 0, 0, other);
		live_begin(live, now);
		/* These cross, and another is begun: of the window nobody is the opener. */
		expect(TCP_WINDOW({received, SYN, 1}), 1, 0, opener);
		expect_both(TCP_WINDOW({!received, SYN, 7}, {!received, SYN | ACK, 7}, {!received, RST, 8},
				       {!received, SYN, 9}),
			    1, 1);
		live_begin(live, now);
	}
}
END_TEST

/* A SYN into an own connection changes nothing. */
START_TEST(a_syn_of_the_opener)
{
	for (int same = 0; same < 2; same++) {
		if (same) {
			expect(TCP_WINDOW({false, SYN, 1}, {true, SYN | ACK, 1}, {false, SYN, 9}), 2, 0,
			       OPENER_SRC);
		} else {
			expect(TCP_WINDOW({false, SYN, 1}, {true, SYN | ACK, 1}), 1, 0, OPENER_SRC);
			expect(TCP_WINDOW({false, SYN, 9}, {true, ACK, 1}), 1, 0, OPENER_SRC);
		}
		pass(3600);
		expect(TCP_WINDOW({true, ACK, 1}), 0, 0, OPENER_SRC);
		live_begin(live, now);
	}
}
END_TEST

/* Of one that was there, other flags than the SYN's may come before it, or after it. */
START_TEST(a_syn_after_what_was_there)
{
	/* It has ended: in the same window, or before. */
	expect(TCP_WINDOW({true, FIN | ACK, 5}, {false, SYN, 1}), 1, 1, OPENER_SRC);
	live_begin(live, now);
	expect(TCP_WINDOW({true, FIN | ACK, 5}), 0, 1, OPENER_UNKNOWN);
	expect(TCP_WINDOW({true, ACK, 6}, {false, SYN, 1}), 1, 0, OPENER_SRC);
	live_begin(live, now);
	/* It goes on, and lives long. */
	expect(TCP_WINDOW({true, ACK, 5}, {false, SYN, 1}, {true, ACK, 5}), 1, 0, OPENER_UNKNOWN);
	pass(3600);
	ck_assert_uint_eq(live_get_status(live).connections, 1);
	live_begin(live, now);
	/* A refusal is no going on. */
	expect(TCP_WINDOW({false, SYN, 1}), 1, 0, OPENER_SRC);
	expect(TCP_WINDOW({true, RST | ACK, 0}), 0, 1, OPENER_SRC);
	live_begin(live, now);
	/* Once it has ended, a SYN that nobody answers does not live long. */
	expect(TCP_WINDOW({false, SYN, 1}, {true, SYN | ACK, 5}, {false, RST, 2}), 1, 1, OPENER_SRC);
	expect(TCP_WINDOW({false, SYN, 9}), 1, 0, OPENER_SRC);
	pass(400);
	ck_assert_uint_eq(live_get_status(live).connections, 0);
}
END_TEST

START_TEST(opened_by_both)
{
	expect(TCP_WINDOW({false, SYN, 1}, {true, SYN, 7}), 1, 0, OPENER_BOTH);
	expect(TCP_WINDOW({true, ACK, 8}), 0, 0, OPENER_BOTH);
	live_begin(live, now);
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
		bool waits = false;

		/* One end opens, the other answers before it says anything else. */
		for (size_t i = 0; i < 12; i++) {
			uint8_t flag = flags[test_random(&state) % sizeof(flags)];
			bool other = state >> 9 & 1 && (!waits || flag == RST);

			waits = flag == SYN || (waits && flag != (SYN | ACK));
			steps[i].flags = flag;
			steps[i].received = flag != SYN && (flag == (SYN | ACK) || other);
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
		/* What is known only by a SYN-ACK, or has none, may be left out in some windows. */
		if (sum.opener == OPENER_UNKNOWN && (whole.starts == 0 || !(whole.bits & DETAILS_ANSWERED)))
			whole.opener = OPENER_UNKNOWN;
		expect(sum, whole.starts, whole.ends, whole.opener);
		pass(7200);
		live_begin(live, now);
	}
}
END_TEST

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

int main(void)
{
	const TTest *const tests[] = {
		the_opener_is_known_as_long_as_it_lives,
		half_closed,
		a_syn_sent_again_begins_nothing,
		what_has_ended_is_known_for_four_minutes,
		there_before_anybody_counted,
		a_syn_in_one_that_was_there_before,
		a_syn_in_a_half_closed_one,
		a_syn_in_the_window_of_the_answer,
		a_syn_of_the_opener,
		a_syn_after_what_was_there,
		opened_by_both,
		opened_anew_by_the_other_end,
		a_syn_ack_without_a_syn,
		a_syn_in_the_middle,
		a_syn_in_the_middle_refused,
		a_syn_in_the_middle_answered,
		a_syn_in_the_middle_of_a_window,
		opened_by_both_on_a_port_used_again,
		any_windows_add_up,
		others_begin_after_a_minute_of_silence,
		packets_that_were_missed,
		no_connections,
		told_by_the_source,
		told_otherwise_by_the_source,
		drops_alone,
		drops_of_what_was_silent,
		dropped_syns,
		classes_share_a_connection,
	};

	return run_live_tests("live", tests, sizeof(tests) / sizeof(*tests));
}
