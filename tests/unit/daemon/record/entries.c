/* SPDX-License-Identifier: BSD-3-Clause */
/* The table of entries: merging, order by the bytes of the keys whatever they are, and memory given back. */

#include "daemon/record/entries.h"

#include "common/cleanup.h"
#include "tests/unit/daemon/record/support.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static struct entries entries;

static void setup(void)
{
	ck_assert_int_eq(entries_init(&entries), 0);
}

static void teardown(void)
{
	entries_deinit(&entries);
}

static void add(const struct entry_key *key, uint64_t packets)
{
	struct counts counts = {.tx_packets = packets, .rx_bytes = 1};

	entries_add(&entries, key, entries_hash(&entries, key), &counts);
}

START_TEST(a_key_is_laid_out_in_the_order_of_the_log)
{
	struct connection connection = test_connection("1.2.3.4:258", "[2001:db8::ff]:772", 17);
	struct entry_key key;
	static const uint8_t expected[ENTRY_KEY_SIZE] = {
		CLASS_EXIT, 4, 1, 2, 3, 4, [18] = 1, 2, 6, 0x20, 1, 0x0d, 0xb8, [36] = 0xff, 3, 4, 17};

	entry_key_make(&key, CLASS_EXIT, &connection);
	ck_assert_mem_eq(key.bytes, expected, ENTRY_KEY_SIZE);
}
END_TEST

/* So many that some share the 32 bits of their hash: about ten pairs. */
START_TEST(different_keys_stay_apart)
{
	enum { N = 300000 };
	struct entry_key key = {};
	uint64_t sum = 0;

	for (int pass = 0; pass < 2; pass++) {
		for (uint32_t i = 0; i < N; i++) {
			if (i % 1000 == 0)
				ck_assert_int_eq(entries_reserve(&entries, 1000), 0);
			memcpy(key.bytes + 7, &i, sizeof(i));
			add(&key, i);
		}
		ck_assert_uint_eq(entries.n, N);
	}
	for (uint32_t i = 0; i < N; i++) {
		memcpy(key.bytes + 7, &i, sizeof(i));
		ck_assert(memcmp(&entries.items[i].key, &key, sizeof(key)) == 0);
		ck_assert(entries.items[i].counts.tx_packets == 2 * (uint64_t)i);
		sum += entries.items[i].counts.rx_bytes;
	}
	ck_assert_uint_eq(sum, 2 * N);
}
END_TEST

static int key_compare(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct entry_key));
}

/* Keys that differ in some of their bytes only, by few or many values. */
static void sort_random(size_t n, uint64_t state)
{
	_cleanup_free_ struct entry_key *keys = NULL;
	struct region work = {};
	struct entry_order *order;
	uint64_t columns = test_random(&state), mask = test_random(&state) & 1 ? 0xff : 3;

	entries_reset(&entries);
	ck_assert_int_eq(entries_reserve(&entries, n), 0);
	for (size_t i = 0; i < n; i++) {
		struct entry_key key;

		memset(&key, 0x55, sizeof(key));
		for (size_t at = 0; at < ENTRY_KEY_SIZE; at++)
			if (columns >> at & 1)
				key.bytes[at] = (uint8_t)(test_random(&state) & mask);
		add(&key, 1);
	}
	keys = calloc(entries.n + 1, sizeof(*keys));
	for (size_t i = 0; i < entries.n; i++)
		keys[i] = entries.items[i].key;
	qsort(keys, entries.n, sizeof(*keys), key_compare);

	ck_assert_int_eq(entries_sort(&entries, &work, &order), 0);
	for (size_t i = 0; i < entries.n; i++)
		ck_assert(memcmp(&entries.items[order[i].index].key, &keys[i], sizeof(*keys)) == 0);
	region_deinit(&work);
}

START_TEST(sorted_like_the_library_does)
{
	static const size_t sizes[] = {0, 1, 2, 3, 15, 16, 17, 255, 256, 257, 1000, 5000};

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
		for (uint64_t seed = 0; seed < 20; seed++)
			sort_random(sizes[i], seed * 31 + 1000 * i);
}
END_TEST

/* Every number of bytes that differ, in the order that comes from the lowest one. */
START_TEST(sorted_by_any_number_of_bytes)
{
	for (size_t bytes = 1; bytes <= ENTRY_KEY_SIZE; bytes++) {
		struct region work = {};
		struct entry_order *order;
		struct entry_key key = {};

		entries_reset(&entries);
		ck_assert_int_eq(entries_reserve(&entries, 300), 0);
		for (unsigned int i = 300; i-- > 0;) {
			for (size_t at = 0; at < bytes; at++)
				key.bytes[ENTRY_KEY_SIZE - 1 - at] = (uint8_t)(i >> (at & 1 ? 8 : 0));
			add(&key, i + 1);
		}
		ck_assert_int_eq(entries_sort(&entries, &work, &order), 0);
		for (size_t i = 1; i < entries.n; i++)
			ck_assert(key_compare(&entries.items[order[i - 1].index].key,
					      &entries.items[order[i].index].key) < 0);
		region_deinit(&work);
	}
}
END_TEST

START_TEST(room_that_is_too_large)
{
	ck_assert_int_eq(entries_reserve(&entries, SIZE_MAX / 2), -ENOMEM);
	ck_assert_int_eq(entries_reserve(&entries, UINT32_MAX), -ENOMEM);
	ck_assert_int_eq(entries_reserve(&entries, 10), 0);
}
END_TEST

static size_t mapped(void)
{
	return entries.item_region.size + entries.slot_region.size;
}

START_TEST(memory_after_a_large_window)
{
	struct entry_key key = {};
	size_t large;

	ck_assert_int_eq(entries_reserve(&entries, 100000), 0);
	for (uint32_t i = 0; i < 100000; i++) {
		memcpy(key.bytes, &i, sizeof(i));
		add(&key, 1);
	}
	large = mapped();
	entries_reset(&entries);
	ck_assert_uint_eq(entries.n, 0);
	/* The next window may well be as large. */
	ck_assert_uint_ge(entries.item_region.size, 100000 * sizeof(struct entry));
	for (int window = 0; window < 40; window++) {
		ck_assert_int_eq(entries_reserve(&entries, 10), 0);
		add(&key, 1);
		ck_assert_uint_eq(entries.n, 1);
		ck_assert_uint_eq(entries.items[0].counts.tx_packets, 1);
		entries_reset(&entries);
	}
	ck_assert_uint_lt(mapped(), large / 50);
}
END_TEST

START_TEST(region)
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
	/* Nothing is mapped behind it any more. */
	ck_assert_int_eq(mincore(data + 2 * page, page, &resident), -1);
	ck_assert_int_eq(errno, ENOMEM);
	region_shrink(&part, 0);
	ck_assert_ptr_null(part.data);
	region_deinit(&part);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("entries");
	TCase *cases = tcase_create("entries");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(cases, setup, teardown);
	tcase_set_timeout(cases, 60);
	tcase_add_test(cases, a_key_is_laid_out_in_the_order_of_the_log);
	tcase_add_test(cases, different_keys_stay_apart);
	tcase_add_test(cases, sorted_like_the_library_does);
	tcase_add_test(cases, sorted_by_any_number_of_bytes);
	tcase_add_test(cases, room_that_is_too_large);
	tcase_add_test(cases, memory_after_a_large_window);
	tcase_add_test(cases, region);
	suite_add_tcase(suite, cases);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
