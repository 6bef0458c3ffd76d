/* SPDX-License-Identifier: BSD-3-Clause */
/* Regions: growing keeps the data, shrinking gives pages back. */

#include "common/region.h"

#include "tests/unit/common/support.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

START_TEST(grows_and_shrinks)
{
	struct region part = {};
	unsigned char resident;
	char *data;
	size_t page;

	ck_assert_int_eq(region_grow(&part, 1), 0);
	page = part.size;
	data = part.data;
	ck_assert_int_eq(data[0], 0);
	data[0] = 'x';
	ck_assert_int_eq(region_grow(&part, 10 * page), 0);
	data = part.data;
	ck_assert_int_eq(data[0], 'x');
	ck_assert_int_eq(data[10 * page - 1], 0);
	ck_assert_int_eq(region_grow(&part, SIZE_MAX), -ENOMEM);
	ck_assert_uint_eq(part.size, 10 * page);

	region_shrink(&part, page + 1);
	ck_assert_uint_eq(part.size, 2 * page);
	ck_assert_ptr_eq(part.data, data);
	ck_assert_int_eq(data[0], 'x');
	/* Nothing is mapped after it any more. */
	ck_assert_int_eq(mincore(data + 2 * page, page, &resident), -1);
	ck_assert_int_eq(errno, ENOMEM);
	region_shrink(&part, 0);
	ck_assert_ptr_null(part.data);
	region_deinit(&part);
}
END_TEST

START_TEST(cleared_it_takes_no_memory)
{
	struct region part = {};
	unsigned char resident = 1;
	size_t size;

	region_clear(&part);
	ck_assert_int_eq(region_grow(&part, 1), 0);
	size = part.size;
	memset(part.data, 'x', size);
	region_clear(&part);
	ck_assert_uint_eq(part.size, size);
	ck_assert_int_eq(mincore(part.data, size, &resident), 0);
	ck_assert_uint_eq(resident & 1, 0);
	for (size_t i = 0; i < size; i++)
		ck_assert_int_eq(((const char *)part.data)[i], 0);
	region_deinit(&part);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("region");
	TCase *cases = tcase_create("region");

	tcase_add_test(cases, grows_and_shrinks);
	tcase_add_test(cases, cleared_it_takes_no_memory);
	suite_add_tcase(suite, cases);
	return run_suite(suite) ? EXIT_FAILURE : EXIT_SUCCESS;
}
