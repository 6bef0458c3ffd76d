/* SPDX-License-Identifier: BSD-3-Clause */
/* Losses: added up, and as text. */

#include "daemon/upload/sink/loss.h"

#include "support.h"

#include <string.h>

static void check_text(const struct cursor_loss *loss, const char *text, const char *members)
{
	_cleanup_buffer_ struct buffer buffer = {}, expected = {};

	buffer_printf(&expected,
		      "{\"logtail\":{\"client_time\":\"1970-01-01T00:02:00Z\",\"proc_id\":7},"
		      "\"text\":\"netlogd: lost %s\",\"event\":{\"type\":\"lost\",%s,\"sink\":\"main\"}}",
		      text, members);
	buffer_append_char(&expected, '\0');
	loss_encode(&buffer, loss, "main");
	buffer_append_char(&buffer, '\0');
	ck_assert_int_eq(buffer_error(&buffer), 0);
	ck_assert_str_eq(buffer.data, expected.data);
}

START_TEST(test_text)
{
	struct cursor_loss loss = {
		.messages = 2,
		.bytes = 300,
		.from = 1 * SECOND,
		.to = 61 * SECOND,
		.client_time = 120 * SECOND,
		.proc_id = 7,
		.reason = CURSOR_LOSS_SPOOL_FULL,
	};

	check_text(&loss,
		   "2 messages (300 bytes) from 1970-01-01T00:00:01Z to 1970-01-01T00:01:01Z: spool full",
		   "\"messages\":2,\"bytes\":300,\"from\":\"1970-01-01T00:00:01Z\","
		   "\"to\":\"1970-01-01T00:01:01Z\",\"reason\":\"spool full\"");
	/* The first time is not known: both are the second. */
	loss.from = 0;
	loss.messages = 1;
	loss.reason = CURSOR_LOSS_DAMAGED;
	check_text(&loss,
		   "1 message (300 bytes) from 1970-01-01T00:01:01Z to 1970-01-01T00:01:01Z: damaged on disk",
		   "\"messages\":1,\"bytes\":300,\"from\":\"1970-01-01T00:01:01Z\","
		   "\"to\":\"1970-01-01T00:01:01Z\",\"reason\":\"damaged on disk\"");
	loss.bytes = 1;
	loss.to = 0;
	loss.reason = CURSOR_LOSS_REFUSED;
	check_text(&loss, "1 message (1 byte): refused and not kept",
		   "\"messages\":1,\"bytes\":1,\"reason\":\"refused and not kept\"");
	loss.reason = CURSOR_LOSS_CUT_OUT;
	check_text(&loss, "1 message (1 byte): removed from the middle of the spool",
		   "\"messages\":1,\"bytes\":1,\"reason\":\"removed from the middle of the spool\"");
	loss.reason = CURSOR_LOSS_GONE;
	check_text(&loss, "1 message (1 byte): removed from the spool, which is not full",
		   "\"messages\":1,\"bytes\":1,\"reason\":\"removed from the spool, which is not full\"");
}
END_TEST

START_TEST(test_add)
{
	struct cursor_loss loss = {};
	const struct cursor_loss first = {.messages = 2, .bytes = 10, .from = 5, .to = 6, .client_time = 9};
	const struct cursor_loss second = {.messages = 1, .bytes = 4, .from = 7, .to = 8};

	loss_add(&loss, &first);
	ck_assert_uint_eq(loss.messages, 2);
	ck_assert_int_eq(loss.client_time, 9);
	/* Nothing more: the same text. */
	loss_add(&loss, &(struct cursor_loss){});
	ck_assert_int_eq(loss.client_time, 9);
	loss_add(&loss, &second);
	ck_assert_uint_eq(loss.messages, 3);
	ck_assert_uint_eq(loss.bytes, 14);
	ck_assert_int_eq(loss.from, 5);
	ck_assert_int_eq(loss.to, 8);
	ck_assert_int_eq(loss.client_time, 0);
}
END_TEST

START_TEST(test_proc_id)
{
	static const struct {
		const char *message;
		uint32_t proc_id;
	} cases[] = {
		{"{\"logtail\":{\"proc_id\":12,\"proc_seq\":1}}", 12},
		{"{\"logtail\":{\"proc_id\":4294967295}}", UINT32_MAX},
		{"{\"logtail\":{\"proc_id\":4294967296}}", 0},
		{"{\"logtail\":{\"proc_id\":99999999999999999999}}", 0},
		{"{\"logtail\":{\"proc_id\":", 0},
		{"{\"text\":\"no id\"}", 0},
		{"", 0},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		ck_assert_uint_eq(loss_proc_id(cases[i].message, strlen(cases[i].message)), cases[i].proc_id);
}
END_TEST

int main(void)
{
	TCase *tcase = make_case("loss");

	tcase_add_test(tcase, test_text);
	tcase_add_test(tcase, test_add);
	tcase_add_test(tcase, test_proc_id);
	return run_case(tcase);
}
