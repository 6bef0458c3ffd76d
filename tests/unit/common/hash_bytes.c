/* SPDX-License-Identifier: BSD-3-Clause */
/* The hash: every byte and the length matter, and it can be continued. */

#include "common/hash_bytes.h"

#include "tests/unit/common/support.h"

#include <string.h>

START_TEST(every_byte_matters)
{
	char data[64] = {};
	uint64_t plain;

	for (size_t size = 1; size <= sizeof(data); size++) {
		plain = hash_bytes(0, data, size);
		ck_assert_uint_eq(hash_bytes(0, data, size), plain);
		ck_assert_uint_ne(hash_bytes(0, data, size - 1), plain);
		ck_assert_uint_ne(hash_bytes(1, data, size), plain);
		for (size_t i = 0; i < size; i++) {
			data[i] = 1;
			ck_assert_uint_ne(hash_bytes(0, data, size), plain);
			data[i] = 0;
		}
	}
}
END_TEST

/* The order of parts, and where one ends and the next begins. */
START_TEST(parts)
{
	uint64_t ab = hash_bytes(hash_bytes(0, "a", 1), "b", 1);

	ck_assert_uint_ne(ab, hash_bytes(hash_bytes(0, "b", 1), "a", 1));
	ck_assert_uint_ne(ab, hash_bytes(0, "ab", 2));
	ck_assert_uint_ne(ab, hash_bytes(hash_bytes(0, "ab", 2), NULL, 0));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("hash_bytes");
	TCase *cases = tcase_create("hash_bytes");

	tcase_add_test(cases, every_byte_matters);
	tcase_add_test(cases, parts);
	suite_add_tcase(suite, cases);
	return run_suite(suite);
}
