/* SPDX-License-Identifier: BSD-3-Clause */
/* Windows that do not fit into one message, for many sizes around every limit. */

#include "tests/unit/daemon/record/random.h"

/* Counts of up to 2^63: the sums of many may saturate, so keep them small here and large elsewhere. */
static struct counts small_counts(size_t i)
{
	return (struct counts){.tx_packets = i + 1, .tx_bytes = (i + 1) * 1000, .rx_bytes = i % 3};
}

static void try_random_window(uint64_t state, bool overflow)
{
	size_t n = test_random(&state) % 400 + 1;

	aggregate_reset(aggregate);
	settings.max_message_size = ENCODE_MESSAGE_MIN + test_random(&state) % 5000;
	add_random(n, &state);
	if (overflow)
		aggregate_add_overflow(aggregate, &(struct counts){1, 2, 3, 4},
				       &(struct counts){.rx_bytes = COUNT_MAX});
	encode();
	ck_assert_uint_eq(read_back().overflows, overflow);
}

START_TEST(random_windows)
{
	for (uint64_t seed = 0; seed < 25; seed++)
		try_random_window(seed + 1000 * (uint64_t)_i, seed % 2);
}
END_TEST

/* One more byte of limit at a time: the last entry that still fits moves by one at the right place. */
START_TEST(every_size_around_the_limit)
{
	size_t whole, n = 30;

	for (size_t i = 0; i < n; i++) {
		struct flow flow = {.connection = test_connection("100.64.0.1:1", "100.64.0.2:1000", 6),
				    .counts = small_counts(i)};
		struct flows flows = {.items = &flow, .n = 1};

		flow.connection.dst.port = (uint16_t)(1000 + i * 100);
		ck_assert_int_eq(
			i % 10 == 9 ? aggregate_add_sock(aggregate, &flows, NULL)
				    : aggregate_add_tun(aggregate, &flows, routing, &gathering, NULL, NULL),
			0);
	}
	aggregate_add_overflow(aggregate, &(struct counts){1, 2, 3, 4}, NULL);
	settings.max_message_size = 262144;
	sequence.proc_seq = 1000000;
	encode();
	ck_assert_uint_eq(messages.n, 1);
	whole = messages.sizes[0];
	/* The smallest limit is ENCODE_MESSAGE_MIN, so the window must be around that. */
	for (; whole < ENCODE_MESSAGE_MIN + 200; n++) {
		struct flow flow = {.connection = test_connection("100.64.0.1:1", "100.64.0.2:1000", 6),
				    .counts = small_counts(n)};
		struct flows flows = {.items = &flow, .n = 1};

		flow.connection.dst.port = (uint16_t)(1000 + n * 100);
		ck_assert_int_eq(aggregate_add_tun(aggregate, &flows, routing, &gathering, NULL, NULL), 0);
		encode();
		whole = messages.sizes[0];
	}

	settings.max_message_size = whole;
	encode();
	ck_assert_uint_eq(messages.n, 1);
	for (size_t limit = whole - 1; limit >= ENCODE_MESSAGE_MIN; limit--) {
		settings.max_message_size = limit;
		encode();
		ck_assert_uint_eq(messages.n, 2);
		ck_assert_uint_eq(read_back().overflows, 1);
		/* As full as it can be: no room for another entry of at most 200 bytes. */
		ck_assert_uint_gt(messages.sizes[0] + 200, limit);
	}
}
END_TEST

START_TEST(the_default_limit)
{
	struct flows flows = {};
	struct counts tun, sock;

	settings.max_message_size = 262144;
	for (size_t i = 0; i < 10000; i++) {
		struct connection connection = test_connection("100.64.0.1:1", "100.64.0.2:1", 17);
		struct counts counts = small_counts(i);

		connection.src.port = (uint16_t)(i * 7919);
		connection.dst.address.bytes[2] = (uint8_t)(i >> 8);
		connection.dst.address.bytes[3] = (uint8_t)i;
		/* As two CPUs do. */
		ck_assert_int_eq(flows_add(&flows, &connection, &counts), 0);
		ck_assert_int_eq(flows_add(&flows, &connection, &counts), 0);
	}
	for (size_t i = 0; i < flows.n; i += 512) {
		struct flows slice = {.items = flows.items + i, .n = MIN(flows.n - i, (size_t)512)};

		ck_assert_int_eq(aggregate_add_tun(aggregate, &slice, routing, &gathering, NULL, NULL), 0);
	}
	flows_deinit(&flows);
	aggregate_get_sums(aggregate, &tun, &sock);
	ck_assert_uint_eq(tun.tx_packets, 10000 * 10001);
	ck_assert_uint_eq(aggregate_entries(aggregate), 10000);
	encode();
	ck_assert_uint_eq(messages.n, 4);
	for (size_t i = 0; i + 1 < messages.n; i++)
		ck_assert_uint_gt(messages.sizes[i] + 200, 262144);
	read_back();
}
END_TEST

START_TEST(a_message_that_is_refused_ends_it)
{
	struct encode_times window = {.start = 1, .end = 5};
	uint64_t state = 4;

	add_random(300, &state);
	messages.fail_at = 3;
	ck_assert_int_eq(encode_window(aggregate, &window, &settings, &sequence, 9, messages_take, &messages),
			 -EIO);
	ck_assert_uint_eq(messages.n, 2);
	/* Its number is used: a reader of the log sees that something is missing. */
	ck_assert_uint_eq(sequence.proc_seq, 3);
	encode();
	read_back();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("encode_sizes");
	TCase *cases = tcase_create("encode_sizes");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(cases, setup, teardown);
	tcase_set_timeout(cases, 60);
	tcase_add_loop_test(cases, random_windows, 0, 4);
	tcase_add_test(cases, every_size_around_the_limit);
	tcase_add_test(cases, the_default_limit);
	tcase_add_test(cases, a_message_that_is_refused_ends_it);
	suite_add_tcase(suite, cases);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
