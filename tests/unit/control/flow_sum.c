/* SPDX-License-Identifier: BSD-3-Clause */
/* Sums of many messages. */

#include "control/flow_sum.h"
#include "common/buffer.h"

#include "common/message.h"
#include "tests/unit/control/support.h"

#include <string.h>

/* Many rows: the hash grows, is sorted and added to again, and nothing is lost. */
START_TEST(test_sum_grows)
{
	const struct flow_filter all = {.since = INT64_MIN, .until = INT64_MAX};
	const struct flow_row *rows;
	struct flow_sum *sum;
	uint64_t bytes = 0;
	size_t n;

	ck_assert_int_eq(flow_sum_new(FLOW_BY_CONNECTION, &sum), 0);
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 5000; i++) {
			_cleanup_free_ char *text = NULL;
			struct message message;

			ck_assert_int_gt(
				asprintf(
					&text,
					"{\"start\":\"2026-11-22T20:00:00Z\",\"end\":\"2026-11-22T20:00:05Z\","
					"\"virtualTraffic\":[{\"proto\":6,\"src\":\"100.64.0.1:%d\","
					"\"dst\":\"100.64.0.2:22\",\"txBytes\":%d}]}",
					i + 1, i + 1),
				0);
			ck_assert_int_eq(message_parse(text, strlen(text), &message), 0);
			ck_assert_int_eq(flow_sum_add(sum, &message, &all), 1);
			message_deinit(&message);
		}
		rows = flow_sum_sorted(sum, &n);
		ck_assert_uint_eq(n, 5000);
		ck_assert_uint_eq(rows[0].counts.tx_bytes, 5000u * (unsigned int)(round + 1));
		ck_assert_uint_eq(rows[4999].counts.tx_bytes, (unsigned int)round + 1);
	}
	for (size_t i = 0; i < n; i++)
		bytes += rows[i].counts.tx_bytes;
	ck_assert_uint_eq(bytes, 3u * 5000 * 5001 / 2);
	flow_sum_free(sum);
}
END_TEST

/* Sorted when the index has just grown for a row that then was none: 768 rows fill a kilo of slots. */
START_TEST(test_sum_of_any_size)
{
	const struct flow_filter all = {.since = INT64_MIN, .until = INT64_MAX};
	struct flow_sum *sum;
	size_t n;

	ck_assert_int_eq(flow_sum_new(FLOW_BY_CONNECTION, &sum), 0);
	for (int i = 0; i < 1600; i++)
		for (int again = 0; again < 2; again++) {
			_cleanup_free_ char *text = NULL;
			struct message message;

			ck_assert_int_gt(
				asprintf(
					&text,
					"{\"start\":\"2026-11-22T20:00:00Z\",\"end\":\"2026-11-22T20:00:05Z\","
					"\"virtualTraffic\":[{\"proto\":6,\"src\":\"100.64.0.1:%d\","
					"\"dst\":\"100.64.0.2:22\",\"txBytes\":1}]}",
					i + 1),
				0);
			ck_assert_int_eq(message_parse(text, strlen(text), &message), 0);
			ck_assert_int_eq(flow_sum_add(sum, &message, &all), 1);
			message_deinit(&message);
			(void)flow_sum_sorted(sum, &n);
			ck_assert_uint_eq(n, (size_t)i + 1);
		}
	flow_sum_free(sum);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {test_sum_grows, test_sum_of_any_size};

	return run_suite("flow_sum", tests, ARRAY_SIZE(tests));
}
