/* SPDX-License-Identifier: BSD-3-Clause */
/* The index: every item is found whatever its hash, also after growing and emptying. */

#include "common/hash_index.h"

#include "tests/unit/common/support.h"

#include <errno.h>
#include <stdlib.h>

#define N 50000

static struct hash_index index_;

static void teardown(void)
{
	hash_index_deinit(&index_);
}

/* The item of a key is the key itself plus an offset. */
static bool equal(const void *owner, size_t item, const void *key)
{
	return item - *(const size_t *)owner == *(const size_t *)key;
}

static struct hash_slot *find(size_t key, uint32_t hash, size_t offset)
{
	return hash_index_find(&index_, hash, equal, &offset, &key);
}

/* Adds keys and looks up each that was added and one that was not, all the way through several growths. */
static void add_all(size_t n, uint32_t (*hash_of)(size_t key), size_t offset)
{
	for (size_t key = 0; key < n; key++) {
		struct hash_slot *slot;

		ck_assert_int_eq(hash_index_reserve(&index_, key + 1), 0);
		ck_assert_uint_le(key + 1, index_.n_slots / 4 * 3);
		slot = find(key, hash_of(key), offset);
		ck_assert_uint_eq(slot->item, 0);
		hash_slot_take(slot, hash_of(key), key + offset);
		slot = find(key / 2, hash_of(key / 2), offset);
		ck_assert_uint_eq(slot->item, key / 2 + offset + 1);
	}
	for (size_t key = 0; key < n; key++)
		ck_assert_uint_eq(find(key, hash_of(key), offset)->item, key + offset + 1);
	ck_assert_uint_eq(find(n, hash_of(n), offset)->item, 0);
}

static uint32_t spread(size_t key)
{
	return (uint32_t)(key * UINT64_C(0x9e3779b97f4a7c15) >> 32);
}

static uint32_t one_for_all(size_t key)
{
	(void)key;
	return UINT32_MAX;
}

/* All in the last slots, so that searches run over the end; the bits above tell them apart. */
static uint32_t same_place(size_t key)
{
	return (uint32_t)key << 20 | 0xfffff;
}

START_TEST(all_are_found)
{
	add_all(N, spread, 0);
}
END_TEST

START_TEST(all_are_found_with_one_hash)
{
	add_all(2000, one_for_all, 0);
}
END_TEST

START_TEST(all_are_found_with_one_place)
{
	add_all(2000, same_place, 0);
}
END_TEST

START_TEST(reserved_for_none)
{
	ck_assert_int_eq(hash_index_reserve(&index_, 0), 0);
	ck_assert_uint_gt(index_.n_slots, 0);
	ck_assert_uint_eq(find(1, 1, 0)->item, 0);
}
END_TEST

START_TEST(too_many)
{
	ck_assert_int_eq(hash_index_reserve(&index_, UINT32_MAX), -ENOMEM);
	ck_assert_uint_eq(index_.n_slots, 0);
	add_all(10, spread, 0);
	ck_assert_int_eq(hash_index_reserve(&index_, UINT32_MAX), -ENOMEM);
	ck_assert_uint_eq(find(3, spread(3), 0)->item, 4);
}
END_TEST

START_TEST(cleared)
{
	size_t n_slots;

	hash_index_clear(&index_, 0);
	add_all(N, spread, 0);
	n_slots = index_.n_slots;
	hash_index_clear(&index_, N);
	ck_assert_uint_eq(index_.n_slots, n_slots);
	for (size_t key = 0; key < N; key++)
		ck_assert_uint_eq(find(key, spread(key), 0)->item, 0);
	add_all(N, spread, 7);
	/* Much less is kept: the memory is given back. */
	hash_index_clear(&index_, 1000);
	ck_assert_uint_eq(index_.n_slots, 0);
	ck_assert_ptr_null(index_.slots.data);
	add_all(1000, spread, 0);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("hash_index");
	TCase *cases = tcase_create("hash_index");

	tcase_add_checked_fixture(cases, NULL, teardown);
	tcase_add_test(cases, all_are_found);
	tcase_add_test(cases, all_are_found_with_one_hash);
	tcase_add_test(cases, all_are_found_with_one_place);
	tcase_add_test(cases, reserved_for_none);
	tcase_add_test(cases, too_many);
	tcase_add_test(cases, cleared);
	suite_add_tcase(suite, cases);
	return run_suite(suite) ? EXIT_FAILURE : EXIT_SUCCESS;
}
