/* SPDX-License-Identifier: BSD-3-Clause */
/* Connections and counts. */

#include "common/connection.h"
#include "common/cleanup.h"
#include "tests/unit/common/support.h"

#include <errno.h>
#include <string.h>

static struct connection connection_of(const char *src, const char *dst, uint8_t proto)
{
	struct connection connection = {.proto = proto};

	ck_assert_int_eq(endpoint_parse(src, &connection.src), 0);
	ck_assert_int_eq(endpoint_parse(dst, &connection.dst), 0);
	return connection;
}

START_TEST(test_order)
{
	struct connection sorted[] = {
		connection_of("", "1.1.1.1:1", 9),	    connection_of("1.1.1.1:1", "", 1),
		connection_of("1.1.1.1:1", "", 2),	    connection_of("1.1.1.1:1", "2.2.2.2:1", 0),
		connection_of("1.1.1.1:1", "2.2.2.2:2", 0), connection_of("1.1.1.1:2", "", 0),
	};

	for (size_t i = 0; i < ARRAY_SIZE(sorted); i++)
		for (size_t j = 0; j < ARRAY_SIZE(sorted); j++) {
			int order = connection_compare(&sorted[i], &sorted[j]);

			ck_assert_int_eq((order > 0) - (order < 0), (i > j) - (i < j));
		}
}
END_TEST

START_TEST(test_counts)
{
	struct counts sum = {1, 2, 3, COUNT_MAX - 1};

	counts_add(&sum, &(struct counts){10, 20, 30, 1});
	ck_assert(counts_equal(&sum, &(struct counts){11, 22, 33, COUNT_MAX}));
	/* saturates, also where 64 bits overflow */
	counts_add(&sum, &(struct counts){COUNT_MAX, UINT64_MAX, 0, 1});
	ck_assert(counts_equal(&sum, &(struct counts){COUNT_MAX, COUNT_MAX, 33, COUNT_MAX}));
	ck_assert(!counts_is_zero(&sum));
	ck_assert(!counts_is_zero(&(struct counts){.rx_bytes = 1}));
	ck_assert(counts_is_zero(&(struct counts){}));
	ck_assert(!counts_equal(&sum, &(struct counts){}));
}
END_TEST

START_TEST(test_flows)
{
	struct connection connection = connection_of("1.1.1.1:1", "2.2.2.2:2", 6);
	struct flows flows = {};

	for (uint64_t i = 0; i < 1000; i++)
		ck_assert_int_eq(flows_add(&flows, &connection, &(struct counts){.tx_packets = i}), 0);
	ck_assert_uint_eq(flows.n, 1000);
	for (uint64_t i = 0; i < 1000; i++)
		ck_assert_uint_eq(flows.items[i].counts.tx_packets, i);
	ck_assert_int_eq(connection_compare(&flows.items[999].connection, &connection), 0);
	ck_assert_int_eq(flows_reserve(&flows, 5000), 0);
	ck_assert_uint_ge(flows.allocated, 6000);
	ck_assert_int_eq(flows_reserve(&flows, SIZE_MAX), -ENOMEM);
	ck_assert_uint_eq(flows.n, 1000);
	flows_deinit(&flows);
	ck_assert_uint_eq(flows.n, 0);
}
END_TEST

START_TEST(test_classes)
{
	for (unsigned int i = 0; i < N_CLASSES; i++) {
		enum traffic_class class;

		ck_assert_int_eq(traffic_class_parse(traffic_class_name((enum traffic_class)i), &class), 0);
		ck_assert_uint_eq(class, i);
	}
	ck_assert_str_eq(traffic_class_name(CLASS_PHYSICAL), "physical");
	ck_assert_int_eq(traffic_class_parse("virtua", &(enum traffic_class){0}), -EINVAL);
	ck_assert_ptr_null(traffic_class_name(N_CLASSES));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("connection");
	TCase *test_case = tcase_create("connection");

	tcase_add_test(test_case, test_order);
	tcase_add_test(test_case, test_counts);
	tcase_add_test(test_case, test_flows);
	tcase_add_test(test_case, test_classes);
	suite_add_tcase(suite, test_case);
	return run_suite(suite);
}
