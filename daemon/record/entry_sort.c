/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sorting a window's entries. Most bytes of the keys are the same in all entries of a window (the class, the
 * family, the node's own address, the empty rest of an IPv4 address), and the few that are not decide. So the
 * first eight bytes at which the keys differ are packed into one number, the numbers are sorted byte by byte
 * (least significant first), and only runs that are still equal are sorted again, by their own differing
 * bytes. Each such step uses up eight of forty bytes, so there are at most five. Narrow entries and others
 * are sorted apart, and then merged.
 */

#include "daemon/record/entry_sort.h"

#include "common/cleanup.h"

#include <stdlib.h>
#include <string.h>

#define COLUMNS_MAX 8

/* Below these, comparing costs less than a call for each comparison, and than counting 256 buckets. */
#define INSERTION_MAX 16
#define RADIX_MIN     256

struct columns {
	uint8_t at[COLUMNS_MAX]; /* offsets in the key, ascending */
	size_t n;
	bool more; /* there are others after them */
};

/* The keys of one kind of entries: the first one and its slot, their distance, and their length in words. */
struct keys {
	const void *first;
	size_t first_slot, distance, words;
};

static const void *key_of(const struct keys *keys, uint32_t slot)
{
	return (const char *)keys->first + (slot - keys->first_slot) * keys->distance;
}

/* The bytes at which the entries of a run differ. */
static struct columns find_columns(const struct keys *keys, const struct entry_order *run, size_t n)
{
	const uint64_t *first = key_of(keys, run[0].slot);
	struct columns columns = {};
	struct entry_key differing = {};

	for (size_t i = 1; i < n; i++) {
		const uint64_t *key = key_of(keys, run[i].slot);

		for (size_t word = 0; word < keys->words; word++)
			differing.words[word] |= key[word] ^ first[word];
	}
	for (size_t i = 0; i < keys->words * 8; i++) {
		if (!differing.bytes[i])
			continue;
		if (columns.n == COLUMNS_MAX) {
			columns.more = true;
			break;
		}
		columns.at[columns.n++] = (uint8_t)i;
	}
	return columns;
}

static int part_compare(const void *a, const void *b)
{
	const struct entry_order *left = a, *right = b;

	return left->part < right->part ? -1 : left->part > right->part;
}

static void insertion_sort(struct entry_order *run, size_t n)
{
	for (size_t i = 1; i < n; i++) {
		struct entry_order moving = run[i];
		size_t at = i;

		for (; at > 0 && run[at - 1].part > moving.part; at--)
			run[at] = run[at - 1];
		run[at] = moving;
	}
}

/* Sorts by the low `bytes` bytes of the parts; the result is in run. */
static void radix_sort(struct entry_order *run, struct entry_order *spare, size_t n, size_t bytes)
{
	struct entry_order *from = run, *to = spare;

	for (size_t byte = 0; byte < bytes; byte++) {
		unsigned int shift = (unsigned int)(8 * byte);
		struct entry_order *swap;
		uint32_t place[256] = {};
		uint32_t sum = 0;

		for (size_t i = 0; i < n; i++)
			place[from[i].part >> shift & 0xff]++;
		for (size_t value = 0; value < ARRAY_SIZE(place); value++) {
			uint32_t count = place[value];

			place[value] = sum;
			sum += count;
		}
		for (size_t i = 0; i < n; i++)
			to[place[from[i].part >> shift & 0xff]++] = from[i];
		swap = from;
		from = to;
		to = swap;
	}
	if (from != run)
		memcpy(run, from, n * sizeof(*run));
}

/* NOLINTNEXTLINE(misc-no-recursion): at most five deep, see above */
static void sort_run(const struct keys *keys, struct entry_order *run, struct entry_order *spare, size_t n)
{
	struct columns columns;

	if (n < 2)
		return;
	columns = find_columns(keys, run, n);
	if (columns.n == 0)
		return;
	for (size_t i = 0; i < n; i++) {
		const uint8_t *key = key_of(keys, run[i].slot);
		uint64_t part = 0;

		for (size_t column = 0; column < columns.n; column++)
			part = part << 8 | key[columns.at[column]];
		run[i].part = part;
	}
	if (n < INSERTION_MAX)
		insertion_sort(run, n);
	else if (n < RADIX_MIN)
		qsort(run, n, sizeof(*run), part_compare);
	else
		radix_sort(run, spare, n, columns.n);
	if (!columns.more)
		return;

	for (size_t begin = 0, end; begin < n; begin = end) {
		for (end = begin + 1; end < n && run[end].part == run[begin].part; end++)
			;
		sort_run(keys, run + begin, spare, end - begin);
	}
}

/* Merges the narrow entries with the others behind them. */
static void merge(const struct entries *entries, struct entry_order *order, struct entry_order *spare,
		  size_t n_narrow)
{
	size_t narrow = 0, wide = n_narrow, n = 0;
	struct entry left, right;

	entries_read(entries, order[narrow].slot, &left);
	entries_read(entries, order[wide].slot, &right);
	while (narrow < n_narrow && wide < entries->n) {
		if (memcmp(&left.key, &right.key, sizeof(left.key)) < 0) {
			spare[n++] = order[narrow++];
			if (narrow < n_narrow)
				entries_read(entries, order[narrow].slot, &left);
		} else {
			spare[n++] = order[wide++];
			if (wide < entries->n)
				entries_read(entries, order[wide].slot, &right);
		}
	}
	while (narrow < n_narrow)
		spare[n++] = order[narrow++];
	/* What is left of the others is where it belongs. */
	memcpy(order, spare, n * sizeof(*order));
}

/* Adds those of a kind that are not empty, sorted. */
static size_t sort_kind(const struct entries *entries, const struct keys *keys, size_t slots,
			struct entry_order *order, struct entry_order *spare)
{
	size_t n = 0;

	for (size_t i = keys->first_slot; i < keys->first_slot + slots; i++)
		if (entries_has(entries, i))
			order[n++].slot = (uint32_t)i;
	sort_run(keys, order, spare, n);
	return n;
}

int entries_sort(const struct entries *entries, struct region *work, struct entry_order **ret_order)
{
	const struct keys narrow = {entries->narrow.data, 0, sizeof(struct narrow_entry),
				    sizeof(struct narrow_key) / 8};
	const struct keys wide = {entries->wide.data, entries->n_narrow, sizeof(struct entry),
				  ENTRY_KEY_SIZE / 8};
	struct entry_order *order;
	size_t n_narrow, n_wide;
	int r;

	r = region_grow(work, 2 * entries->n * sizeof(*order));
	if (r < 0)
		return r;
	*ret_order = NULL;
	if (entries->n == 0)
		return 0;
	order = work->data;
	n_narrow = sort_kind(entries, &narrow, entries->n_narrow, order, order + entries->n);
	n_wide = sort_kind(entries, &wide, entries->n_wide, order + n_narrow, order + entries->n);
	if (n_narrow > 0 && n_wide > 0)
		merge(entries, order, order + entries->n, n_narrow);
	/* Sorted, it needs no spare room. */
	region_shrink(work, entries->n * sizeof(*order));
	*ret_order = work->data;
	return 0;
}
