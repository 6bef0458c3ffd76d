/* SPDX-License-Identifier: BSD-3-Clause */
/* SYN, FIN and RST packets that were read in another order than they came. */

#include "daemon/device/control_log.h"

#include "common/cleanup.h"
#include "daemon/device/control_details.h"
#include "tests/unit/common/support.h"

#include <string.h>

#define SYN CONTROL_SYN
#define ACK CONTROL_ACK
#define FIN CONTROL_FIN
#define RST CONTROL_RST

static struct control_log controls;
static struct flow items[4];
static struct flows flows = {.items = items, .n = 4};

static void setup(void)
{
	memset(items, 0, sizeof(items));
}

static void note(int64_t time, uint32_t flow, bool received, uint8_t flags, uint32_t seq)
{
	struct control_event event = {time, flow, seq, flags, received};

	ck_assert_int_eq(control_log_add(&controls, &event, &flows), 0);
}

static void expect(uint32_t flow, uint32_t starts, uint32_t ends, uint8_t opener, unsigned int ended)
{
	const struct details *details = &items[flow].details;

	ck_assert_uint_eq(details->starts, starts);
	ck_assert_uint_eq(details->ends, ends);
	ck_assert_uint_eq(details->opener, opener);
	ck_assert_uint_eq(details->bits & DETAILS_ENDED, ended);
}

/* First all that was received, then all that was sent. */
START_TEST(test_directions_read_apart)
{
	note(20, 0, true, RST | ACK, 0);
	note(40, 0, true, SYN | ACK, 50);
	note(15, 1, true, SYN, 9);
	note(60, 1, true, FIN | ACK, 9);
	note(10, 0, false, SYN, 1);
	note(30, 0, false, SYN, 2);
	note(50, 0, false, FIN | ACK, 3);
	note(16, 1, false, SYN | ACK, 9);
	control_log_apply(&controls, &flows);
	expect(0, 2, 2, OPENER_SRC, DETAILS_ENDED);
	expect(1, 1, 1, OPENER_DST, DETAILS_ENDED);
	ck_assert_uint_eq(controls.n, 0);
	ck_assert_ptr_null(controls.events);
	control_log_apply(&controls, &flows);
	expect(0, 2, 2, OPENER_SRC, DETAILS_ENDED);
}
END_TEST

START_TEST(test_at_the_same_time)
{
	note(10, 0, true, RST | ACK, 0);
	note(10, 0, false, SYN, 1);
	note(10, 1, true, SYN | ACK, 5);
	note(10, 1, false, SYN, 1);
	control_log_apply(&controls, &flows);
	expect(0, 1, 1, OPENER_SRC, DETAILS_ENDED);
	ck_assert(!(items[0].details.bits & DETAILS_EARLY_END));
	expect(1, 1, 0, OPENER_SRC, 0);
}
END_TEST

START_TEST(test_more_than_can_wait)
{
	/* So that there is a pair of which only the first fits. */
	note(-1, 1, false, SYN, 1);
	for (uint32_t i = 0; i < 3 * CONTROL_LOG_MAX; i++) {
		/* Each pair in the wrong order. */
		note(i % 2 ? i - 1 : i + 1, 2, i % 2 == 0, i % 2 ? SYN : RST, i);
		ck_assert_uint_le(controls.n, CONTROL_LOG_MAX);
	}
	control_log_apply(&controls, &flows);
	expect(1, 1, 0, OPENER_SRC, 0);
	expect(2, 3 * CONTROL_LOG_MAX / 2, 3 * CONTROL_LOG_MAX / 2, OPENER_SRC, DETAILS_ENDED);
	ck_assert(!(items[2].details.bits & DETAILS_EARLY_END));
	control_log_deinit(&controls);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("control_log");
	TCase *test_case = tcase_create("control_log");

	tcase_add_checked_fixture(test_case, setup, NULL);
	tcase_add_test(test_case, test_directions_read_apart);
	tcase_add_test(test_case, test_at_the_same_time);
	tcase_add_test(test_case, test_more_than_can_wait);
	suite_add_tcase(suite, test_case);
	return run_suite(suite);
}
