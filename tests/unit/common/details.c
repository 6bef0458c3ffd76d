/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Details joined: parts say together what one observer of all packets would have said
 * (daemon/bpf/control.h is the observer).
 */

#include "common/details.h"
#include "common/cleanup.h"
#include "tests/unit/common/observe.h"
#include "tests/unit/common/support.h"

#define SYN CONTROL_SYN
#define ACK CONTROL_ACK
#define FIN CONTROL_FIN
#define RST CONTROL_RST

START_TEST(test_sums)
{
	struct details sum = {.tx_drops = 3, .drop_reason = 7, .tx_flags = 1, .starts = UINT32_MAX - 1};
	const struct details dropped = {
		.rx_drops = UINT32_MAX - 1, .drop_reason = 9, .tx_flags = 2, .bits = DETAILS_DST_SYN_DROPPED};

	ck_assert(details_is_zero(&(struct details){}));
	ck_assert(!details_is_zero(&sum));
	details_add(&sum, &(struct details){.rx_drops = 2, .drop_reason = 8, .rx_flags = 0x10, .starts = 3});
	ck_assert_uint_eq(sum.tx_drops, 3);
	ck_assert_uint_eq(sum.rx_drops, 2);
	ck_assert_uint_eq(sum.drop_reason, 7);
	ck_assert_uint_eq(sum.tx_flags, 1);
	ck_assert_uint_eq(sum.rx_flags, 0x10);
	ck_assert_uint_eq(sum.starts, UINT32_MAX);
	details_add(&sum, &dropped);
	ck_assert_uint_eq(sum.bits, DETAILS_DST_SYN_DROPPED);
	ck_assert_uint_eq(sum.drop_reason, 9);
	ck_assert_uint_eq(sum.tx_flags, 3);
	ck_assert_uint_eq(sum.rx_drops, UINT32_MAX);
}
END_TEST

/* Those of other connections: nothing of theirs is taken for the same. */
START_TEST(test_others)
{
	struct details sum = {.starts = 1,
			      .ends = 1,
			      .first_syn = 5,
			      .last_syn = 5,
			      .tx_flags = SYN,
			      .opener = OPENER_SRC,
			      .bits = DETAILS_HAS_SYN | DETAILS_ENDED};
	const struct details again = sum;
	struct details other = sum;

	other.bits |= DETAILS_EARLY_END;
	other.rx_flags = ACK;
	other.tx_drops = 3;
	other.drop_reason = 4;
	details_add_others(&sum, &other);
	ck_assert_uint_eq(sum.starts, 2);
	ck_assert_uint_eq(sum.ends, 2);
	ck_assert_uint_eq(sum.tx_flags, SYN);
	ck_assert_uint_eq(sum.rx_flags, ACK);
	ck_assert_uint_eq(sum.tx_drops, 3);
	ck_assert_uint_eq(sum.drop_reason, 4);
	ck_assert_uint_eq(sum.opener, OPENER_SRC);
	ck_assert(!(sum.bits & DETAILS_OPENERS_DIFFER));
	/* Another end's, now or before. */
	other.opener = OPENER_DST;
	details_add_others(&sum, &other);
	ck_assert(sum.bits & DETAILS_OPENERS_DIFFER);
	sum = other = again;
	other.bits |= DETAILS_OPENERS_DIFFER;
	details_add_others(&sum, &other);
	ck_assert(sum.bits & DETAILS_OPENERS_DIFFER);
}
END_TEST

/* The answer's flags are in a part that counted the packet, which need not be the one that noted it. */
START_TEST(test_answers_without_flags)
{
	for (int received = 0; received < 2; received++) {
		const struct step steps[] = {{received, SYN, 1}, {!received, SYN | ACK, 5}};
		const struct details asked = observe(steps, 1), both = observe(steps, 2);
		struct details sum = asked, again = both;

		again.tx_flags = again.rx_flags = 0;
		details_add(&sum, &again);
		ck_assert_uint_eq(sum.starts, 1);
		ck_assert(sum.bits & DETAILS_ANSWERED);
		sum = asked;
		details_add(&sum, &(struct details){.opener = both.opener});
		ck_assert_uint_eq(sum.starts, 1);
		ck_assert(sum.bits & DETAILS_ANSWERED);
	}
}
END_TEST

static struct details first(bool received, uint32_t time)
{
	return (struct details){.first_time = time,
				.bits = DETAILS_HAS_FIRST | (received ? DETAILS_FIRST_RECEIVED : 0)};
}

START_TEST(test_first_packet)
{
	struct details sum = {}, sent = first(false, 5), received = first(true, 3), early = first(true, -2U);

	details_add(&sum, &sent);
	ck_assert_uint_eq(sum.bits, DETAILS_HAS_FIRST);
	details_add(&sum, &received);
	ck_assert_uint_eq(sum.bits, DETAILS_HAS_FIRST | DETAILS_FIRST_RECEIVED);
	ck_assert_uint_eq(sum.first_time, 3);
	details_add(&sum, &sent);
	ck_assert_uint_eq(sum.first_time, 3);
	details_add(&sum, &(struct details){.tx_flags = 1});
	ck_assert_uint_eq(sum.first_time, 3);
	/* before the clock went around */
	details_add(&sum, &early);
	ck_assert_uint_eq(sum.first_time, -2U);

	/* At the same time in both directions: nobody knows, whatever comes later, */
	sum = sent;
	received.first_time = sent.first_time;
	details_add(&sum, &received);
	ck_assert_uint_eq(sum.bits & DETAILS_FIRST_EITHER, DETAILS_FIRST_EITHER);
	details_add(&sum, &sent);
	ck_assert_uint_eq(sum.bits & DETAILS_FIRST_EITHER, DETAILS_FIRST_EITHER);
	/* until a part was earlier. */
	details_add(&sum, &early);
	ck_assert_uint_eq(sum.bits, DETAILS_HAS_FIRST | DETAILS_FIRST_RECEIVED);
}
END_TEST

/* Packets of an hour, in µs, read in any order. */
START_TEST(test_packets_of_an_hour)
{
	const uint32_t second = 1000000;

	for (uint32_t minute = 0; minute < 300; minute++) {
		uint32_t begin = minute * 60 * second;
		struct details details = {};

		details_note_packet(&details, begin, begin + 70 * second, true);
		details_note_packet(&details, begin, begin + 60 * second, false);
		details_note_packet(&details, begin, begin + 3660 * second, true);
		ck_assert_uint_eq(details.bits, DETAILS_HAS_FIRST);
		ck_assert_uint_eq(details.first_time, begin + 60 * second);
		details_note_packet(&details, begin, begin + 60 * second, true);
		ck_assert_uint_eq(details.bits, DETAILS_HAS_FIRST | DETAILS_FIRST_EITHER);
		details_note_packet(&details, begin, begin + 60 * second - 1, true);
		ck_assert_uint_eq(details.bits, DETAILS_HAS_FIRST | DETAILS_FIRST_RECEIVED);

		/* the last one read first */
		details = (struct details){};
		details_note_packet(&details, begin, begin + 3660 * second, true);
		details_note_packet(&details, begin, begin + 60 * second, false);
		ck_assert_uint_eq(details.bits, DETAILS_HAS_FIRST);
	}
}
END_TEST

struct example {
	const char *name;
	struct step steps[8]; /* one part ends where flags are 0 */
	uint32_t starts, ends;
	enum opener opener;
};

static const struct example examples[] = {
	{"a SYN again", {{false, SYN, 1}, {}, {false, SYN, 1}}, 1, 0, OPENER_SRC},
	{"a new one", {{false, SYN, 1}, {}, {false, SYN, 2}}, 2, 0, OPENER_SRC},
	{"answered later", {{true, SYN, 1}, {}, {false, SYN | ACK, 9}, {true, ACK, 2}}, 1, 0, OPENER_DST},
	{"ended later", {{true, SYN, 1}, {}, {true, FIN | ACK, 9}, {false, FIN | ACK, 2}}, 1, 1, OPENER_DST},
	{"ended by both", {{false, FIN | ACK, 9}, {}, {true, FIN | ACK, 2}}, 0, 1, OPENER_UNKNOWN},
	{"refused, tried again with the same number",
	 {{true, SYN, 1}, {false, RST, 0}, {}, {true, SYN, 1}, {false, RST, 0}},
	 1,
	 1,
	 OPENER_DST},
	{"opened by both", {{true, SYN, 1}, {}, {false, SYN, 7}, {false, SYN | ACK, 7}}, 1, 0, OPENER_BOTH},
	{"opened by one, long after by the other",
	 {{true, SYN, 1}, {false, SYN | ACK, 4}, {}, {false, SYN, 7}},
	 2,
	 0,
	 OPENER_DST},
	{"opened by one, long after by the other, which is answered",
	 {{true, SYN, 1}, {false, SYN | ACK, 4}, {}, {false, SYN, 7}, {true, SYN | ACK, 2}},
	 2,
	 0,
	 OPENER_SRC},
	{"a SYN of the other end once it is answered",
	 {{false, SYN, 1}, {true, SYN | ACK, 4}, {true, SYN, 7}, {}, {false, ACK, 2}, {true, ACK, 5}},
	 2,
	 0,
	 OPENER_SRC},
	{"again, and refused",
	 {{false, SYN, 1}, {true, SYN | ACK, 4}, {true, SYN, 7}, {}, {true, SYN, 7}, {false, RST, 0}},
	 2,
	 1,
	 OPENER_SRC},
	{"answered later than it came",
	 {{false, SYN, 1}, {true, SYN | ACK, 4}, {true, SYN, 7}, {}, {false, SYN | ACK, 2}},
	 2,
	 0,
	 OPENER_DST},
	{"answered when it came again",
	 {{false, SYN, 1}, {true, SYN | ACK, 4}, {true, SYN, 7}, {}, {true, SYN, 7}, {false, SYN | ACK, 2}},
	 2,
	 0,
	 OPENER_DST},
	{"again, and another one",
	 {{false, SYN, 1}, {true, SYN | ACK, 4}, {true, SYN, 7}, {}, {true, SYN, 7}, {true, SYN, 9}},
	 3,
	 0,
	 OPENER_SRC},
	{"one answered, then another one",
	 {{false, SYN, 1}, {true, SYN | ACK, 4}, {}, {true, SYN, 7}, {false, SYN | ACK, 2}, {true, SYN, 9}},
	 3,
	 0,
	 OPENER_DST},
	{"one refused, then another one",
	 {{false, SYN, 1}, {true, SYN | ACK, 4}, {}, {true, SYN, 7}, {false, RST, 0}, {true, SYN, 9}},
	 3,
	 1,
	 OPENER_DST},
	{"then the first end's",
	 {{false, SYN, 1}, {true, SYN | ACK, 4}, {true, SYN, 7}, {}, {false, SYN, 9}},
	 2,
	 0,
	 OPENER_BOTH},
	{"a port used again, opened by both",
	 {{false, SYN, 1},
	  {true, SYN | ACK, 4},
	  {true, RST | ACK, 5},
	  {false, SYN, 9},
	  {},
	  {true, SYN, 7},
	  {true, SYN | ACK, 7}},
	 2,
	 1,
	 OPENER_BOTH},
};

START_TEST(test_parts)
{
	const struct example *example = &examples[_i];
	size_t n = 0, begin;
	struct details sum, more, before;

	while (example->steps[n].flags)
		n++;
	begin = n + 1;
	sum = before = observe(example->steps, n);
	for (n = begin; n < ARRAY_SIZE(example->steps) && example->steps[n].flags;)
		n++;
	more = observe(example->steps + begin, n - begin);
	details_add(&sum, &more);
	ck_assert_msg(sum.starts == example->starts && sum.ends == example->ends, "%s: %u and %u",
		      example->name, sum.starts, sum.ends);
	ck_assert_msg(sum.opener == example->opener, "%s: opener %u", example->name, sum.opener);
	/* The same as another window. */
	details_follow(&more, &before);
	ck_assert_msg(before.starts + more.starts == sum.starts && before.ends + more.ends == sum.ends,
		      "%s: a window later %u and %u", example->name, more.starts, more.ends);
	ck_assert_msg(more.opener == example->opener, "%s: a window later opener %u", example->name,
		      more.opener);
}
END_TEST

/* Both ends at once over a cut, with more to come: what is unknown there is not worth knowing. */
static bool is_crossing(const struct details *before, const struct details *more)
{
	return more->bits & DETAILS_HAS_SYN && before->bits & DETAILS_HAS_SYN &&
	       !(before->bits & DETAILS_ANSWERED) &&
	       !(more->bits & DETAILS_FIRST_SYN_RECEIVED) != !(before->bits & DETAILS_LAST_SYN_RECEIVED);
}

/*
 * A part that begins with a SYN sent again does not know that it had been answered before that: to this
 * part, the other end's SYN is a crossing one.
 */
static bool is_answered_before(const struct details *before, const struct details *more,
			       const struct step *steps, size_t n)
{
	const bool received = before->bits & DETAILS_LAST_SYN_RECEIVED;
	bool answered = before->bits & DETAILS_ANSWERED, other = false;

	for (size_t i = 0; i < n; i++) {
		bool syn = steps[i].flags & SYN && steps[i].received != received;

		answered |= syn && steps[i].flags & ACK;
		other |= syn && !(steps[i].flags & ACK);
	}
	return other && answered && more->bits & DETAILS_HAS_SYN &&
	       !(more->bits & DETAILS_FIRST_SYN_RECEIVED) == !received && more->first_syn == before->last_syn;
}

/*
 * An end answers what it has opened itself. To a part where the other end's SYN comes after that, it is the
 * answer to this one.
 */
static bool is_own_answer(const struct details *before, const struct step *steps, size_t n)
{
	size_t i = 0;

	while (i < n && !(steps[i].flags & SYN))
		i++;
	return i < n && steps[i].flags & ACK && before->bits & DETAILS_HAS_SYN &&
	       steps[i].received == (bool)(before->bits & DETAILS_LAST_SYN_RECEIVED);
}

START_TEST(test_any_cut)
{
	static const uint8_t flags[] = {SYN, SYN, SYN | ACK, FIN | ACK, RST, FIN | ACK};
	uint64_t state = 88172645463325252ULL;
	unsigned int compared = 0;

	for (unsigned int round = 0; round < 100000; round++) {
		struct details whole, sum, more, rest, window, past;
		struct step steps[10];
		uint32_t number = 0;
		size_t cut, second;

		for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
			state ^= state << 13;
			state ^= state >> 7;
			state ^= state << 17;
			/* Mostly one end opens. */
			steps[i] =
				(struct step){state >> 9 & 7 ? false : true, flags[state % ARRAY_SIZE(flags)],
					      number + (state >> 20 & 1)};
			/* Nobody repeats a SYN after the end. */
			number += steps[i].flags & (FIN | RST) ? 2 : 0;
		}
		cut = state >> 24 & 7;
		second = cut + (state >> 30 & 1);
		whole = observe(steps, ARRAY_SIZE(steps));
		sum = past = observe(steps, cut);
		more = observe(steps + cut, second - cut);
		rest = observe(steps + second, ARRAY_SIZE(steps) - second);
		if (is_crossing(&sum, &more) || whole.opener == OPENER_BOTH || sum.opener == OPENER_BOTH ||
		    more.opener == OPENER_BOTH || rest.opener == OPENER_BOTH)
			continue;
		if (is_answered_before(&sum, &more, steps + cut, second - cut) ||
		    is_own_answer(&sum, steps + cut, second - cut))
			continue;
		details_add(&sum, &more);
		if (is_crossing(&sum, &rest) || sum.opener == OPENER_BOTH ||
		    is_answered_before(&sum, &rest, steps + second, ARRAY_SIZE(steps) - second) ||
		    is_own_answer(&sum, steps + second, ARRAY_SIZE(steps) - second))
			continue;
		window = rest;
		past = sum;
		details_add(&sum, &rest);
		ck_assert_uint_eq(sum.starts, whole.starts);
		ck_assert_uint_eq(sum.ends, whole.ends);
		ck_assert_uint_eq(sum.opener, whole.opener);
		/* An end that answers what it has opened itself makes a part doubt. */
		ck_assert_uint_eq(sum.bits & ~DETAILS_OPENERS_DIFFER, whole.bits & ~DETAILS_OPENERS_DIFFER);
		ck_assert_uint_ge(sum.bits, whole.bits);
		ck_assert_uint_eq(sum.first_syn, whole.first_syn);
		ck_assert_uint_eq(sum.last_syn, whole.last_syn);
		/* As two windows. */
		details_follow(&window, &past);
		ck_assert_uint_eq(past.starts + window.starts, whole.starts);
		ck_assert_uint_eq(past.ends + window.ends, whole.ends);
		ck_assert_uint_eq(window.opener, whole.opener);
		compared++;
	}
	ck_assert_uint_gt(compared, 20000);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("details");
	TCase *test_case = tcase_create("details");

	tcase_set_timeout(test_case, 60);
	tcase_add_test(test_case, test_sums);
	tcase_add_test(test_case, test_others);
	tcase_add_test(test_case, test_answers_without_flags);
	tcase_add_test(test_case, test_first_packet);
	tcase_add_test(test_case, test_packets_of_an_hour);
	tcase_add_loop_test(test_case, test_parts, 0, (int)ARRAY_SIZE(examples));
	tcase_add_test(test_case, test_any_cut);
	suite_add_tcase(suite, test_case);
	return run_suite(suite);
}
