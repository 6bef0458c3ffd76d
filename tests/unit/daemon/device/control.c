/* SPDX-License-Identifier: BSD-3-Clause */
/* What SYN, FIN and RST packets say of a flow's connections, case by case and against a plain model. */

#include "common/cleanup.h"
#include "daemon/device/control_details.h"
#include "tests/unit/common/support.h"

#include <string.h>

_Static_assert(sizeof(struct flow_control) == 20, "no padding");
#define SYN	CONTROL_SYN
#define SYN_ACK (CONTROL_SYN | CONTROL_ACK)
#define FIN_ACK (CONTROL_FIN | CONTROL_ACK)
#define RST	CONTROL_RST

struct step {
	bool received;
	uint8_t flags;
	uint32_t seq;
};

struct example {
	const char *name;
	struct step steps[10];
	uint32_t starts, ends;
	enum opener opener;
	unsigned int bits;
};

#define FIRST_AND_LAST_RECEIVED (CONTROL_HAS_SYN | CONTROL_FIRST_SYN_RECEIVED | CONTROL_LAST_SYN_RECEIVED)

static const struct example examples[] = {
	{"made", {{false, SYN, 1}, {true, SYN_ACK, 7}}, 1, 0, OPENER_SRC, CONTROL_HAS_SYN | CONTROL_ANSWERED},
	{"made and ended by both",
	 {{true, SYN, 1}, {false, SYN_ACK, 7}, {false, FIN_ACK, 8}, {true, FIN_ACK, 2}},
	 1,
	 1,
	 OPENER_DST,
	 FIRST_AND_LAST_RECEIVED | CONTROL_ANSWERED | CONTROL_ENDED | CONTROL_FIRST_ENDED},
	{"refused",
	 {{false, SYN, 1}, {true, RST | CONTROL_ACK, 0}},
	 1,
	 1,
	 OPENER_SRC,
	 CONTROL_HAS_SYN | CONTROL_ENDED | CONTROL_FIRST_ENDED},
	{"half-open scan",
	 {{true, SYN, 1}, {false, SYN_ACK, 7}, {true, RST, 2}},
	 1,
	 1,
	 OPENER_DST,
	 FIRST_AND_LAST_RECEIVED | CONTROL_ANSWERED | CONTROL_ENDED | CONTROL_FIRST_ENDED},
	{"a SYN again and again",
	 {{false, SYN, 1}, {false, SYN, 1}, {false, SYN, 1}},
	 1,
	 0,
	 OPENER_SRC,
	 CONTROL_HAS_SYN},
	{"opened by both at once",
	 {{false, SYN, 1}, {true, SYN, 7}, {false, SYN_ACK, 1}, {true, SYN_ACK, 7}, {true, SYN, 7}},
	 1,
	 0,
	 OPENER_BOTH,
	 CONTROL_HAS_SYN | CONTROL_ANSWERED},
	{"opened by both at once, on a port used again",
	 {{true, SYN, 1},
	  {false, SYN_ACK, 7},
	  {true, RST, 2},
	  {false, SYN, 9},
	  {true, SYN, 3},
	  {false, SYN_ACK, 9},
	  {true, SYN_ACK, 3}},
	 2,
	 1,
	 OPENER_BOTH,
	 CONTROL_HAS_SYN | CONTROL_FIRST_SYN_RECEIVED | CONTROL_ANSWERED | CONTROL_FIRST_ENDED |
		 CONTROL_OPENERS_DIFFER},
	{"a SYN of the other end in the middle",
	 {{false, SYN, 1},
	  {true, SYN_ACK, 7},
	  {false, CONTROL_ACK, 2},
	  {true, SYN, 9},
	  {false, CONTROL_ACK, 2}},
	 2,
	 0,
	 OPENER_SRC,
	 CONTROL_HAS_SYN | CONTROL_LAST_SYN_RECEIVED | CONTROL_OPENERS_DIFFER},
	{"two of them, refused",
	 {{false, SYN, 1},
	  {true, SYN_ACK, 7},
	  {true, SYN, 9},
	  {true, SYN, 11},
	  {false, RST | CONTROL_ACK, 2},
	  {false, CONTROL_ACK, 2}},
	 3,
	 1,
	 OPENER_SRC,
	 CONTROL_HAS_SYN | CONTROL_LAST_SYN_RECEIVED | CONTROL_OPENERS_DIFFER | CONTROL_ENDED},
	{"a SYN-ACK that nobody has asked for, then a SYN",
	 {{true, SYN_ACK, 7}, {true, SYN, 9}},
	 1,
	 0,
	 OPENER_DST,
	 FIRST_AND_LAST_RECEIVED | CONTROL_OPENERS_DIFFER},
	{"both ends' SYNs in the middle",
	 {{false, SYN, 1}, {true, SYN_ACK, 7}, {true, SYN, 9}, {false, SYN, 2}, {true, SYN_ACK, 9}},
	 2,
	 0,
	 OPENER_BOTH,
	 CONTROL_HAS_SYN | CONTROL_LAST_SYN_RECEIVED | CONTROL_OPENERS_DIFFER},
	{"the other end's SYN in the middle, answered",
	 {{false, SYN, 1}, {true, SYN_ACK, 7}, {true, SYN, 9}, {false, SYN_ACK, 5}, {true, SYN, 9}},
	 2,
	 0,
	 OPENER_DST,
	 CONTROL_HAS_SYN | CONTROL_LAST_SYN_RECEIVED | CONTROL_OPENERS_DIFFER | CONTROL_ANSWERED},
	{"no end answers its own SYN",
	 {{false, SYN, 1}, {false, SYN_ACK, 1}, {true, SYN, 9}},
	 1,
	 0,
	 OPENER_BOTH,
	 CONTROL_HAS_SYN},
	{"a port used again",
	 {{false, SYN, 1}, {true, SYN_ACK, 7}, {false, FIN_ACK, 2}, {true, FIN_ACK, 8}, {false, SYN, 900}},
	 2,
	 1,
	 OPENER_SRC,
	 CONTROL_HAS_SYN | CONTROL_FIRST_ENDED},
	{"a port used again without an end",
	 {{false, SYN, 1}, {false, SYN, 900}, {true, RST, 0}},
	 2,
	 1,
	 OPENER_SRC,
	 CONTROL_HAS_SYN | CONTROL_ENDED},
	{"opened by one end, then by the other",
	 {{false, SYN, 1}, {true, RST, 0}, {true, SYN, 1}, {false, RST, 0}},
	 2,
	 2,
	 OPENER_DST,
	 CONTROL_HAS_SYN | CONTROL_LAST_SYN_RECEIVED | CONTROL_ENDED | CONTROL_FIRST_ENDED |
		 CONTROL_OPENERS_DIFFER},
	{"there before", {{true, CONTROL_ACK, 1}, {false, 0, 1}}, 0, 0, OPENER_UNKNOWN, 0},
	{"only its end",
	 {{true, FIN_ACK, 1}, {false, FIN_ACK, 1}},
	 0,
	 1,
	 OPENER_UNKNOWN,
	 CONTROL_EARLY_END | CONTROL_ENDED},
	{"an end, then another",
	 {{true, FIN_ACK, 1}, {false, SYN, 5}, {true, RST, 0}},
	 1,
	 2,
	 OPENER_SRC,
	 CONTROL_EARLY_END | CONTROL_HAS_SYN | CONTROL_ENDED | CONTROL_FIRST_ENDED},
	{"the answer alone tells who asked", {{true, SYN_ACK, 1}}, 0, 0, OPENER_SRC, 0},
	{"all flags", {{true, 0xff, 1}}, 0, 1, OPENER_SRC, CONTROL_EARLY_END | CONTROL_ENDED},
	{"SYN and FIN in one",
	 {{true, SYN | CONTROL_FIN, 1}},
	 1,
	 1,
	 OPENER_DST,
	 FIRST_AND_LAST_RECEIVED | CONTROL_ENDED | CONTROL_FIRST_ENDED},
};

START_TEST(test_example)
{
	const struct example *example = &examples[_i];
	struct flow_control control = {};

	for (size_t i = 0; i < ARRAY_SIZE(example->steps); i++)
		control_step(&control, example->steps[i].received, example->steps[i].flags,
			     example->steps[i].seq);
	ck_assert_msg(control.starts == example->starts && control.ends == example->ends, "%s: %u and %u",
		      example->name, control.starts, control.ends);
	ck_assert_msg(control.opener == example->opener, "%s: opener %u", example->name, control.opener);
	ck_assert_msg(control.bits == example->bits, "%s: bits %#x", example->name, control.bits);
}
END_TEST

/* A connection, as the model remembers all of them. */
struct lived {
	enum opener opener;
	bool began_received, seen_to_begin, answered, ended;
	bool attempt; /* not answered, while the other end's lives */
	uint32_t seq;
};

struct model {
	struct lived all[64];
	size_t n;
};

static struct lived *model_last(struct model *model)
{
	if (model->n == 0)
		model->n = 1; /* one that was there before */
	return &model->all[model->n - 1];
}

static enum opener opener_now(const struct lived *lived)
{
	return lived->attempt ? OPENER_BOTH - lived->opener : lived->opener;
}

static void model_step(struct model *model, const struct step *step)
{
	bool syn = step->flags & SYN, ack = step->flags & CONTROL_ACK;
	struct lived *last = model->n ? model_last(model) : NULL;
	bool same = last && last->seen_to_begin && last->began_received == step->received &&
		    last->seq == step->seq;
	bool other = last && last->seen_to_begin && last->began_received != step->received;
	bool crossing = other && !last->ended && (!last->answered || last->opener == OPENER_BOTH);

	if (syn && !ack && crossing) {
		last->opener = OPENER_BOTH;
		last->attempt = false;
	} else if (syn && !ack && !same) {
		model->all[model->n++] = (struct lived){
			.opener = step->received ? OPENER_DST : OPENER_SRC,
			.attempt = last && last->seen_to_begin && !last->ended &&
				   opener_now(last) == (step->received ? OPENER_SRC : OPENER_DST),
			.began_received = step->received,
			.seen_to_begin = true,
			.seq = step->seq,
		};
	} else if (syn && ack && model_last(model)->opener == OPENER_UNKNOWN) {
		model_last(model)->opener = step->received ? OPENER_SRC : OPENER_DST;
	} else if (syn && ack && other) {
		last->answered = true;
		last->attempt = false;
	}
	if (step->flags & (CONTROL_FIN | CONTROL_RST))
		model_last(model)->ended = true;
}

static void model_check(const struct model *model, const struct flow_control *control)
{
	const struct lived *first = NULL, *last = model->n ? &model->all[model->n - 1] : NULL;
	uint32_t starts = 0, ends = 0;
	bool differ = false, early = model->n && !model->all[0].seen_to_begin && model->all[0].ended;

	for (size_t i = 0; i < model->n; i++) {
		const struct lived *lived = &model->all[i], *next = lived + 1;

		if (!first && lived->seen_to_begin)
			first = lived;
		starts += lived->seen_to_begin;
		ends += lived->ended;
		differ |= next < model->all + model->n && lived->opener != OPENER_UNKNOWN &&
			  lived->opener != (next->began_received ? OPENER_DST : OPENER_SRC);
	}
	ck_assert_uint_eq(control->starts, starts);
	ck_assert_uint_eq(control->ends, ends);
	ck_assert_uint_eq(control->opener, last ? opener_now(last) : OPENER_UNKNOWN);
	ck_assert_int_eq(!!(control->bits & CONTROL_HAS_SYN), first != NULL);
	ck_assert_int_eq(!!(control->bits & CONTROL_EARLY_END), early);
	ck_assert_int_eq(!!(control->bits & CONTROL_ENDED), last && last->ended);
	ck_assert_int_eq(!!(control->bits & CONTROL_OPENERS_DIFFER), differ);
	ck_assert_int_eq(!!(control->bits & CONTROL_ANSWERED), last && last->answered);
	ck_assert_int_eq(!!(control->bits & CONTROL_FIRST_ENDED), first && first->ended);
	if (!first)
		return;
	ck_assert_uint_eq(control->first_syn, first->seq);
	ck_assert_uint_eq(control->last_syn, last->seq);
	ck_assert_int_eq(!!(control->bits & CONTROL_FIRST_SYN_RECEIVED), first->began_received);
	ck_assert_int_eq(!!(control->bits & CONTROL_LAST_SYN_RECEIVED), last->began_received);
}

START_TEST(test_details)
{
	const struct flow_control control = {
		.starts = 2, .ends = 3, .first_syn = 4, .last_syn = 5, .bits = 0x3e7, .opener = CONTROL_DST};
	struct details details = {.tx_flags = 1, .bits = DETAILS_HAS_FIRST, .tx_drops = 6};

	control_details(&control, &details);
	ck_assert_uint_eq(details.starts, 2);
	ck_assert_uint_eq(details.ends, 3);
	ck_assert_uint_eq(details.first_syn, 4);
	ck_assert_uint_eq(details.last_syn, 5);
	ck_assert_uint_eq(details.opener, OPENER_DST);
	ck_assert_uint_eq(details.bits, 0x3e7 | DETAILS_HAS_FIRST);
	ck_assert_uint_eq(details.tx_flags, 1);
	ck_assert_uint_eq(details.tx_drops, 6);
}
END_TEST

START_TEST(test_model)
{
	uint64_t state = 88172645463325252ULL;

	for (unsigned int round = 0; round < 20000; round++) {
		struct flow_control control = {};
		struct model model = {};

		for (unsigned int i = 0; i < 12; i++) {
			static const uint8_t flags[] = {SYN, SYN, SYN, SYN_ACK, FIN_ACK, RST, 0, CONTROL_ACK};
			struct step step;

			state ^= state << 13;
			state ^= state >> 7;
			state ^= state << 17;
			step = (struct step){
				.received = state & 1,
				.flags = state >> 40 & 15 ? flags[state >> 1 & 7] : (uint8_t)(state >> 8),
				.seq = state >> 20 & 3,
			};
			control_step(&control, step.received, step.flags, step.seq);
			model_step(&model, &step);
			model_check(&model, &control);
		}
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("control");
	TCase *test_case = tcase_create("control");

	tcase_set_timeout(test_case, 60);
	tcase_add_loop_test(test_case, test_example, 0, (int)ARRAY_SIZE(examples));
	tcase_add_test(test_case, test_details);
	tcase_add_test(test_case, test_model);
	suite_add_tcase(suite, test_case);
	return run_suite(suite);
}
