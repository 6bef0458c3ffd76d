/* SPDX-License-Identifier: BSD-3-Clause */
/* The entries of a window: keys, merging, and memory given back. */

#include "daemon/record/entries.h"

#include "tests/unit/daemon/record/support.h"

#include <errno.h>
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

START_TEST(room_that_is_too_large)
{
	ck_assert_int_eq(entries_reserve(&entries, SIZE_MAX / 2), -ENOMEM);
	ck_assert_int_eq(entries_reserve(&entries, UINT32_MAX), -ENOMEM);
	ck_assert_int_eq(entries_reserve(&entries, 10), 0);
}
END_TEST

static size_t mapped(void)
{
	return entries.item_region.size + entries.index.slots.size;
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
	tcase_add_test(cases, room_that_is_too_large);
	tcase_add_test(cases, memory_after_a_large_window);
	suite_add_tcase(suite, cases);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
