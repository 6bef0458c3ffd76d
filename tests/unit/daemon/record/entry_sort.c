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

static struct entry_key key_in(size_t slot)
{
	struct entry entry;

	ck_assert(entries_read(&entries, slot, &entry));
	return entry.key;
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
		keys[i] = key_in(i);
	qsort(keys, entries.n, sizeof(*keys), key_compare);

	ck_assert_int_eq(entries_sort(&entries, &work, &order), 0);
	for (size_t i = 0; i < entries.n; i++)
		ck_assert_mem_eq(key_in(order[i].slot).bytes, &keys[i], sizeof(*keys));
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

/* Narrow entries and others, some of them empty. */
START_TEST(sorted_whatever_they_are_kept_as)
{
	static const char *const addresses[] = {"100.64.0.1:1", "100.64.0.2:1", "[fd7a::1]:1", ""};
	uint64_t state = 1;

	for (unsigned int round = 0; round < 50; round++) {
		const unsigned int kinds = 1 + round % 15; /* which addresses there are */
		struct region work = {};
		struct entry_order *order;
		struct entry_key before, here;

		entries_reset(&entries);
		ck_assert_int_eq(entries_reserve(&entries, 1000), 0);
		for (unsigned int i = 0; i < 1000; i++) {
			unsigned int src = (unsigned int)(test_random(&state) % 4);
			unsigned int dst = (unsigned int)(test_random(&state) % 4);
			struct connection connection;

			if (!(kinds >> src & 1) || !(kinds >> dst & 1))
				continue;
			connection = test_connection(addresses[src], addresses[dst],
						     (uint8_t)(test_random(&state) % 3));
			connection.src.port = (uint16_t)test_random(&state);
			connection.dst.port = (uint16_t)(test_random(&state) % 4);
			entry_key_make(&here, (enum traffic_class)(test_random(&state) % N_CLASSES),
				       &connection);
			/* Too large for a narrow one, now and then after it was one. */
			for (uint64_t more = test_random(&state) % 3; more > 0; more--)
				add(&here, test_random(&state) % UINT32_MAX);
		}
		for (size_t slot = 0; slot < entries_slots(&entries); slot += 5)
			if (entries_has(&entries, slot))
				entries_drop(&entries, slot);
		ck_assert_int_eq(entries_sort(&entries, &work, &order), 0);
		for (size_t i = 0; i < entries.n; i++) {
			here = key_in(order[i].slot);
			ck_assert(i == 0 || key_compare(&before, &here) < 0);
			before = here;
		}
		region_deinit(&work);
	}
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
		for (size_t i = 1; i < entries.n; i++) {
			struct entry_key before = key_in(order[i - 1].slot), key_here = key_in(order[i].slot);

			ck_assert(key_compare(&before, &key_here) < 0);
		}
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
	tcase_add_test(cases, sorted_whatever_they_are_kept_as);
	tcase_add_test(cases, sorted_by_any_number_of_bytes);
	suite_add_tcase(suite, cases);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
