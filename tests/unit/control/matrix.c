/* SPDX-License-Identifier: BSD-3-Clause */
/* Who sent how much to whom. */

#include "control/matrix.h"

#include "tests/unit/control/support.h"

static struct flow_row pair(enum traffic_class class, struct book_node *src_node, uint8_t src,
			    struct book_node *dst_node, uint8_t dst, uint64_t tx, uint64_t rx)
{
	return (struct flow_row){
		.class = class,
		.connection = {.src.address = address_ipv4((const uint8_t[]){10, 0, 0, src}),
			       .dst.address = address_ipv4((const uint8_t[]){10, 0, 0, dst})},
		.src_node = src_node,
		.dst_node = dst_node,
		.counts = {.tx_bytes = tx, .rx_bytes = rx},
	};
}

START_TEST(test_ends)
{
	struct book_node gate = {.number = 1}, laptop = {.number = 2};
	const struct flow_row rows[] = {
		pair(CLASS_VIRTUAL, &gate, 1, &laptop, 2, 100, 10),
		/* The same nodes in another class, by another address, and told from the other end. */
		pair(CLASS_SUBNET, &laptop, 3, &gate, 1, 5, 50),
		/* An address of a node where it is not known as one is an end of its own. */
		pair(CLASS_VIRTUAL, &gate, 1, NULL, 2, 7, 0),
		pair(CLASS_VIRTUAL, &gate, 1, &gate, 4, 3, 2),
		pair(CLASS_PHYSICAL, NULL, 0, &laptop, 2, 1000, 1000),
		{.class = CLASS_EXIT, .counts = {.tx_bytes = 1000}},
	};
	struct matrix matrix;

	ck_assert_int_eq(matrix_make(rows, ARRAY_SIZE(rows), &matrix), 0);
	ck_assert_uint_eq(matrix.n, 3);
	ck_assert_uint_eq(matrix.n_others, 0);
	ck_assert_ptr_eq(matrix.ends[0].node, &gate);
	ck_assert_ptr_eq(matrix.ends[1].node, &laptop);
	ck_assert_ptr_null(matrix.ends[2].node);
	ck_assert_uint_eq(matrix.bytes[0][1], 150);
	ck_assert_uint_eq(matrix.bytes[1][0], 15);
	ck_assert_uint_eq(matrix.bytes[0][2], 7);
	ck_assert_uint_eq(matrix.bytes[2][0], 0);
	ck_assert_uint_eq(matrix.bytes[0][0], 5);

	ck_assert_int_eq(matrix_make(NULL, 0, &matrix), 0);
	ck_assert_uint_eq(matrix.n, 0);
}
END_TEST

/* What has no place of its own is not lost. */
START_TEST(test_others)
{
	struct flow_row rows[100];
	struct matrix matrix;
	uint64_t sum = 0;

	for (uint8_t i = 0; i < ARRAY_SIZE(rows); i++)
		rows[i] = pair(CLASS_VIRTUAL, NULL, i, NULL, (uint8_t)(i + 100), 1000 + i, i);
	ck_assert_int_eq(matrix_make(rows, ARRAY_SIZE(rows), &matrix), 0);
	ck_assert_uint_eq(matrix.n, MATRIX_ENDS);
	ck_assert_uint_eq(matrix.n_others, 200 - MATRIX_ENDS);
	/* Equal ends of a pair in the order of their addresses. */
	ck_assert_uint_eq(matrix.ends[0].address.bytes[3], 99);
	ck_assert_uint_eq(matrix.ends[1].address.bytes[3], 199);
	ck_assert_uint_eq(matrix.bytes[0][1], 1099);
	ck_assert_uint_eq(matrix.bytes[1][0], 99);
	for (size_t i = 0; i <= MATRIX_ENDS; i++)
		for (size_t j = 0; j <= MATRIX_ENDS; j++)
			sum += matrix.bytes[i][j];
	ck_assert_uint_eq(sum, 100 * 1000 + 2 * 4950);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {test_ends, test_others};

	return run_suite("matrix", tests, ARRAY_SIZE(tests));
}
