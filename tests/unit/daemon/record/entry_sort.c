/* SPDX-License-Identifier: BSD-3-Clause */
/* Entries are sorted by the bytes of their keys, whatever they are. */

#include "daemon/record/entry_sort.h"

#include "common/cleanup.h"
#include "tests/unit/daemon/record/support.h"

#include <stdlib.h>
#include <string.h>

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

	entries_add(&entries, key, entries_hash(&entries, key), &counts, NULL);
}

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

int main(void)
{
	Suite *suite = suite_create("entry_sort");
	TCase *cases = tcase_create("entry_sort");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(cases, setup, teardown);
	tcase_set_timeout(cases, 60);
	tcase_add_test(cases, sorted_like_the_library_does);
	tcase_add_test(cases, sorted_by_any_number_of_bytes);
	suite_add_tcase(suite, cases);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
