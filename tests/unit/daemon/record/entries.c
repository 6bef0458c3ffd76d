/* SPDX-License-Identifier: BSD-3-Clause */
/* The entries of a window: keys, merging, and memory given back. */

#include "daemon/record/entries.h"

#include "common/details.h"
#include "tests/unit/daemon/record/support.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

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
	struct entry entry;
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
		ck_assert(entries_read(&entries, i, &entry));
		ck_assert(memcmp(&entry.key, &key, sizeof(key)) == 0);
		ck_assert(entry.counts.tx_packets == 2 * (uint64_t)i);
		sum += entry.counts.rx_bytes;
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

static struct entry entry_of(const struct entry_key *key)
{
	struct entry entry, found;
	size_t n = 0;

	for (size_t slot = 0; slot < entries_slots(&entries); slot++) {
		if (!entries_read(&entries, slot, &entry) || memcmp(&entry.key, key, sizeof(*key)) != 0)
			continue;
		found = entry;
		n++;
	}
	ck_assert_uint_eq(n, 1);
	return found;
}

static void add_details(const struct entry_key *key, const struct counts *counts,
			const struct details *details)
{
	ck_assert_int_eq(entries_reserve(&entries, 1), 0);
	entries_add(&entries, key, entries_hash(&entries, key), counts, details);
}

/* Whatever an entry is kept as, nothing of it gets lost. */
static void check_kept(const char *src, const char *dst, uint8_t proto, bool narrow)
{
	const struct connection connection = test_connection(src, dst, proto);
	const struct counts counts = {UINT32_MAX, 2, 3, 4};
	const struct details details = {
		.starts = 1,
		.ends = 1,
		.tx_drops = 5,
		.rx_drops = UINT32_MAX,
		.first_syn = proto == 6 ? 7 : 0,
		.last_syn = 8,
		.first_time = proto == 6 ? 0 : 9,
		.drop_reason = 10,
		.bits = 0x3ff,
		.tx_flags = 11,
		.rx_flags = 12,
		.opener = OPENER_BOTH,
	};
	struct entry entry;
	struct entry_key key;

	entries_reset(&entries);
	entry_key_make(&key, CLASS_SUBNET, &connection);
	add_details(&key, &counts, &details);
	ck_assert_uint_eq(entries.n_narrow, narrow);
	ck_assert_uint_eq(entries.n_wide, !narrow);
	entry = entry_of(&key);
	ck_assert(counts_equal(&entry.counts, &counts));
	ck_assert_mem_eq(&entry.details, &details, offsetof(struct details, opener) + 1);
	/* More than 32 bits, each time. */
	for (uint64_t i = 1; i <= 3; i++) {
		add_details(&key, &(struct counts){1, UINT32_MAX, 0, UINT64_C(1) << 40}, NULL);
		ck_assert_uint_eq(entries.n, 1);
		entry = entry_of(&key);
		ck_assert(counts_equal(&entry.counts, &(struct counts){UINT32_MAX + i, 2 + i * UINT32_MAX, 3,
								       4 + (i << 40)}));
		ck_assert_mem_eq(&entry.details, &details, offsetof(struct details, opener) + 1);
	}
	ck_assert(entries_add_known(&entries, &key, entries_hash(&entries, &key), &counts, NULL));
	ck_assert_uint_eq(entry_of(&key).counts.rx_packets, 6);
}

START_TEST(entries_of_every_kind)
{
	check_kept("100.64.0.1:1", "100.64.0.2:65535", 6, true);
	check_kept("255.255.255.255:65535", "0.0.0.0:0", 255, true);
	check_kept("[fd7a::1]:1", "[fd7a::2]:2", 17, false);
	check_kept("100.64.0.1:1", "[fd7a::2]:2", 6, false);
	check_kept("100.64.0.1:1", "", 0, false);
	check_kept("", "", 0, false);
}
END_TEST

/* Ports fold: narrow entries join others, be those large by then, or become so. */
START_TEST(joining_what_becomes_large)
{
	enum { N = 3000 };
	struct connection connection = test_connection("100.64.0.1:1", "100.64.0.2:2", 6);
	struct entry_key key;
	struct entry entry;

	for (unsigned int i = 0; i < N; i++) {
		connection.src.port = (uint16_t)(1 + i);
		entry_key_make(&key, CLASS_VIRTUAL, &connection);
		add_details(&key, &(struct counts){1, i % 2 ? UINT32_MAX : UINT64_C(1) << 33, 0, 0},
			    &(struct details){.starts = 1});
	}
	ck_assert_uint_eq(entries.n_wide, N / 2);
	for (size_t slot = 0; slot < entries_slots(&entries); slot++) {
		ck_assert(entries_read(&entries, slot, &entry));
		memset(entry.key.bytes + ENTRY_SRC_PORT, 0, 2);
		/* One is dropped before. */
		if (slot == 7)
			entries_drop(&entries, slot);
		else
			entries_write(&entries, slot, &entry);
	}
	entries_join(&entries, details_add_others);
	ck_assert_uint_eq(entries.n, 1);
	connection.src.port = 0;
	entry_key_make(&key, CLASS_VIRTUAL, &connection);
	entry = entry_of(&key);
	ck_assert_uint_eq(entry.details.starts, N - 1);
	ck_assert(counts_equal(
		&entry.counts,
		&(struct counts){N - 1, (N / 2 - 1) * (uint64_t)UINT32_MAX + (N / 2 * UINT64_C(1) << 33), 0,
				 0}));
}
END_TEST

static size_t mapped(void)
{
	return entries.narrow.size + entries.wide.size + entries.index.slots.size;
}

static size_t resident(const struct region *region)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), n = 0;
	unsigned char pages[4096];

	ck_assert_uint_le(region->size / page, sizeof(pages));
	ck_assert_int_eq(mincore(region->data, region->size, pages), 0);
	for (size_t i = 0; i < region->size / page; i++)
		n += pages[i] & 1;
	return n * page;
}

START_TEST(memory_while_nothing_is_added)
{
	struct connection connection = test_connection("100.64.0.1:1", "100.64.0.2:2", 6);
	struct entry_key key;

	ck_assert_int_eq(entries_reserve(&entries, 50000), 0);
	for (int window = 0; window < 2; window++) {
		for (uint16_t i = 0; i < 50000; i++) {
			connection.src.port = i;
			entry_key_make(&key, CLASS_VIRTUAL, &connection);
			add(&key, 1);
			add(&key, 1);
		}
		ck_assert_uint_eq(entries.n, 50000);
		ck_assert_uint_ge(resident(&entries.index.slots), 50000 * sizeof(struct hash_slot));
		entries_close(&entries);
		ck_assert_uint_eq(resident(&entries.index.slots), 0);
		ck_assert_uint_eq(resident(&entries.wide), 0);
		ck_assert_uint_le(resident(&entries.narrow), 50064 * 64);
		entries_reset(&entries);
	}
}
END_TEST

START_TEST(memory_after_a_large_window)
{
	struct entry_key key = {};
	struct entry entry;
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
	ck_assert_uint_ge(entries.wide.size, 100000 * sizeof(struct entry));
	for (int window = 0; window < 40; window++) {
		ck_assert_int_eq(entries_reserve(&entries, 10), 0);
		add(&key, 1);
		ck_assert_uint_eq(entries.n, 1);
		ck_assert(entries_read(&entries, 0, &entry));
		ck_assert_uint_eq(entry.counts.tx_packets, 1);
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
	tcase_add_test(cases, entries_of_every_kind);
	tcase_add_test(cases, joining_what_becomes_large);
	tcase_add_test(cases, room_that_is_too_large);
	tcase_add_test(cases, memory_while_nothing_is_added);
	tcase_add_test(cases, memory_after_a_large_window);
	suite_add_tcase(suite, cases);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
