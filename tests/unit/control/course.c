/* SPDX-License-Identifier: BSD-3-Clause */
/* How a connection went, from which end it is told, and its flags as letters. */

#include "control/course.h"

#include "common/cleanup.h"
#include "tests/unit/control/support.h"

#include <errno.h>

enum { F = 1, S = 2, R = 4, P = 8, A = 16 };

static struct flow make_flow(uint8_t proto, struct details details, struct counts counts)
{
	return (struct flow){.connection.proto = proto, .details = details, .counts = counts};
}

/* The same as seen by the other end's node, but for drops, which are this node's. */
static struct flow seen_from_there(const struct flow *flow)
{
	struct flow there = *flow;

	there.details.tx_flags = flow->details.rx_flags;
	there.details.rx_flags = flow->details.tx_flags;
	there.counts.tx_packets = flow->counts.rx_packets;
	there.counts.rx_packets = flow->counts.tx_packets;
	if (flow->details.opener == OPENER_SRC)
		there.details.opener = OPENER_DST;
	return there;
}

static const struct {
	enum opener opener;
	uint32_t starts, ends;
	uint8_t tx, rx;
	enum course course;
} tcp_cases[] = {
	{OPENER_SRC, 1, 0, S | A, S | A, COURSE_OPENED},
	{OPENER_SRC, 1, 0, S | P | A, S | P | A, COURSE_OPENED},
	{OPENER_SRC, 1, 1, S | F | P | A, S | F | P | A, COURSE_CLOSED},
	{OPENER_SRC, 0, 1, F | A, F | A, COURSE_CLOSED},
	{OPENER_UNKNOWN, 0, 1, F | A, F | A, COURSE_CLOSED},
	{OPENER_SRC, 1, 1, S | F | A, S | A, COURSE_HALF_CLOSED},
	{OPENER_SRC, 0, 1, P | A, F | A, COURSE_HALF_CLOSED},
	/* The second FIN alone: whose was the first is not told. */
	{OPENER_SRC, 0, 0, A, F | A, COURSE_UNKNOWN},
	{OPENER_SRC, 1, 1, S | R | P | A, S | A, COURSE_RESET},
	{OPENER_SRC, 1, 1, S | F | A, S | R | A, COURSE_RESET},
	{OPENER_SRC, 1, 1, S | F | R | A, S | F | A, COURSE_CLOSED},
	{OPENER_SRC, 0, 1, 0, R | A, COURSE_RESET},
	{OPENER_SRC, 1, 1, S, R | A, COURSE_REFUSED},
	{OPENER_SRC, 3, 3, S, R | A, COURSE_REFUSED},
	/* nmap's scan of an open port: it resets what was answered. */
	{OPENER_SRC, 1, 1, S | R, S | A, COURSE_HALF_OPEN},
	{OPENER_SRC, 1, 0, S, S | A, COURSE_HALF_OPEN},
	/* The other end gives up. */
	{OPENER_SRC, 1, 1, S, S | R | A, COURSE_HALF_OPEN},
	{OPENER_SRC, 1, 0, S, 0, COURSE_UNANSWERED},
	{OPENER_SRC, 0, 0, S, 0, COURSE_UNANSWERED},
	/* A SYN that is answered by a bare ACK, as for a connection that the other end still has. */
	{OPENER_SRC, 1, 0, S, A, COURSE_UNKNOWN},
	/* It just goes on, or was there before. */
	{OPENER_SRC, 0, 0, P | A, P | A, COURSE_UNKNOWN},
	{OPENER_UNKNOWN, 0, 0, P | A, P | A, COURSE_UNKNOWN},
	/* The SYN came a second time, and only now its answer. */
	{OPENER_SRC, 0, 0, S | A, S | A, COURSE_UNKNOWN},
	/* Several, which went the same way or not. */
	{OPENER_SRC, 3, 3, S | F | P | A, S | F | P | A, COURSE_CLOSED},
	{OPENER_SRC, 3, 3, S | R | A, S | A, COURSE_RESET},
	{OPENER_SRC, 3, 3, S | F | R | A, S | F | A, COURSE_UNKNOWN},
	{OPENER_SRC, 3, 2, S | F | A, S | F | A, COURSE_UNKNOWN},
	{OPENER_SRC, 3, 3, S | F | A, S | A, COURSE_UNKNOWN},
	{OPENER_SRC, 2, 0, S | A, S | A, COURSE_OPENED},
	/* Both opened it at once, or one after the other. */
	{OPENER_UNKNOWN, 1, 0, S | A, S | A, COURSE_OPENED},
	{OPENER_UNKNOWN, 2, 1, S, R | A, COURSE_UNKNOWN},
	/* No flags are known: of a source that counts only. */
	{OPENER_SRC, 1, 1, 0, 0, COURSE_UNKNOWN},
	/* Scans without a SYN. */
	{OPENER_UNKNOWN, 0, 0, F | P, 0, COURSE_UNKNOWN},
};

START_TEST(test_tcp)
{
	for (size_t i = 0; i < ARRAY_SIZE(tcp_cases); i++) {
		struct flow flow = make_flow(6,
					     (struct details){.opener = tcp_cases[i].opener,
							      .starts = tcp_cases[i].starts,
							      .ends = tcp_cases[i].ends,
							      .tx_flags = tcp_cases[i].tx,
							      .rx_flags = tcp_cases[i].rx},
					     (struct counts){.tx_packets = 1, .rx_packets = 1});
		struct flow there = seen_from_there(&flow);

		ck_assert_msg(course_of(&flow) == tcp_cases[i].course, "case %zu: %s", i,
			      course_name(course_of(&flow)));
		ck_assert_msg(course_of(&there) == tcp_cases[i].course, "case %zu from there: %s", i,
			      course_name(course_of(&there)));
	}
}
END_TEST

static const struct {
	uint8_t proto;
	struct details details;
	struct counts counts;
	enum course course;
} other_cases[] = {
	{17, {.opener = OPENER_SRC, .starts = 1}, {.tx_packets = 2}, COURSE_UNANSWERED},
	{17, {.opener = OPENER_SRC, .starts = 1}, {.tx_packets = 2, .rx_packets = 1}, COURSE_OPENED},
	{1, {.opener = OPENER_DST, .starts = 1}, {.rx_packets = 2}, COURSE_UNANSWERED},
	{1, {.opener = OPENER_DST, .starts = 1}, {.rx_packets = 2, .tx_packets = 2}, COURSE_OPENED},
	/* It began earlier, or nobody knows. */
	{17, {.opener = OPENER_SRC}, {.tx_packets = 2}, COURSE_UNKNOWN},
	{17, {}, {.tx_packets = 2}, COURSE_UNKNOWN},
	/* Kept from arriving; from leaving; only in part. */
	{17, {.rx_drops = 3}, {.rx_packets = 3}, COURSE_DROPPED},
	{17, {.tx_drops = 3}, {}, COURSE_DROPPED},
	{17,
	 {.opener = OPENER_DST, .starts = 1, .rx_drops = 1},
	 {.rx_packets = 2, .tx_packets = 1},
	 COURSE_OPENED},
	{17, {.tx_drops = 3}, {.tx_packets = 9}, COURSE_UNKNOWN},
	/* The question left, its answer was dropped. */
	{17,
	 {.opener = OPENER_SRC, .starts = 1, .rx_drops = 1},
	 {.tx_packets = 1, .rx_packets = 1},
	 COURSE_DROPPED},
	{6,
	 {.opener = OPENER_DST, .starts = 1, .rx_flags = S, .rx_drops = 2},
	 {.rx_packets = 2},
	 COURSE_DROPPED},
	/* nftables' reject drops the packet and sends a RST: the other end was told. */
	{6,
	 {.opener = OPENER_DST, .starts = 1, .ends = 1, .rx_flags = S, .tx_flags = R | A, .rx_drops = 1},
	 {.rx_packets = 1, .tx_packets = 1},
	 COURSE_REFUSED},
	/* The answer was kept from arriving. */
	{6,
	 {.opener = OPENER_SRC, .starts = 1, .tx_flags = S, .rx_flags = S | A, .rx_drops = 9},
	 {.tx_packets = 1, .rx_packets = 3},
	 COURSE_DROPPED},
	/* A scan without a SYN. */
	{6, {.rx_flags = F | P, .rx_drops = 1}, {.rx_packets = 1}, COURSE_DROPPED},
	{6, {.rx_drops = 1}, {.rx_packets = 1}, COURSE_DROPPED},
	/* The last ACK, and the RST: the kernel has no use for them. */
	{6, {.opener = OPENER_DST, .rx_flags = A, .rx_drops = 1}, {.rx_packets = 1}, COURSE_UNKNOWN},
	{6, {.opener = OPENER_DST, .ends = 1, .rx_flags = R, .rx_drops = 1}, {.rx_packets = 1}, COURSE_RESET},
};

START_TEST(test_others)
{
	for (size_t i = 0; i < ARRAY_SIZE(other_cases); i++) {
		struct flow flow =
			make_flow(other_cases[i].proto, other_cases[i].details, other_cases[i].counts);

		ck_assert_msg(course_of(&flow) == other_cases[i].course, "case %zu: %s", i,
			      course_name(course_of(&flow)));
	}
}
END_TEST

START_TEST(test_from_opener)
{
	struct flow flow = {
		.connection = {.src.port = 22, .dst.port = 40000, .proto = 6},
		.counts = {.tx_packets = 1, .tx_bytes = 2, .rx_packets = 3, .rx_bytes = 4},
		.details = {.starts = 5,
			    .tx_flags = S | A,
			    .rx_flags = S,
			    .tx_drops = 6,
			    .rx_drops = 7,
			    .opener = OPENER_DST},
	};
	struct flow turned = course_from_opener(&flow), same;

	ck_assert_uint_eq(turned.connection.src.port, 40000);
	ck_assert_uint_eq(turned.connection.dst.port, 22);
	ck_assert_uint_eq(turned.connection.proto, 6);
	ck_assert_uint_eq(turned.counts.tx_packets, 3);
	ck_assert_uint_eq(turned.counts.tx_bytes, 4);
	ck_assert_uint_eq(turned.counts.rx_packets, 1);
	ck_assert_uint_eq(turned.counts.rx_bytes, 2);
	ck_assert_uint_eq(turned.details.starts, 5);
	ck_assert_uint_eq(turned.details.tx_flags, S);
	ck_assert_uint_eq(turned.details.rx_flags, S | A);
	ck_assert_uint_eq(turned.details.tx_drops, 7);
	ck_assert_uint_eq(turned.details.rx_drops, 6);
	ck_assert_uint_eq(turned.details.opener, OPENER_SRC);
	for (int opener = OPENER_UNKNOWN; opener <= OPENER_BOTH; opener++) {
		flow.details.opener = (uint8_t)opener;
		same = course_from_opener(&flow);
		ck_assert_uint_eq(same.connection.src.port, opener == OPENER_DST ? 40000 : 22);
		ck_assert_int_eq(course_has_opener(&flow.details),
				 opener == OPENER_SRC || opener == OPENER_DST);
	}
}
END_TEST

START_TEST(test_texts)
{
	static const struct {
		uint8_t tx, rx;
		const char *text;
	} cases[] = {
		{0, 0, ""},
		{S, 0, "S/-"},
		{S, R | A, "S/RA"},
		{0, R, "-/R"},
		{S | F | P | A, S | F | A, "SFPA/SFA"},
		{0xff, 0xff, "SFRPAUEC/SFRPAUEC"},
	};
	char text[COURSE_FLAGS_MAX];
	enum course course;

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct details details = {.tx_flags = cases[i].tx, .rx_flags = cases[i].rx};

		ck_assert_str_eq(course_flags(&details, text), cases[i].text);
	}
	for (int i = COURSE_UNKNOWN + 1; i < N_COURSES; i++) {
		ck_assert_int_eq(course_parse(course_name((enum course)i), &course), 0);
		ck_assert_int_eq(course, i);
	}
	ck_assert_int_eq(course_parse("", &course), -EINVAL);
	ck_assert_int_eq(course_parse("lost", &course), -EINVAL);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {test_tcp, test_others, test_from_opener, test_texts};

	return run_suite("course", tests, ARRAY_SIZE(tests));
}
