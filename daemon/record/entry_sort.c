/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sorting a window's entries. Most bytes of the keys are the same in all entries of a window (the class, the
 * family, the node's own address, the empty rest of an IPv4 address), and the few that are not decide. So the
 * first eight bytes at which the keys differ are packed into one number, the numbers are sorted byte by byte
 * (least significant first), and only runs that are still equal are sorted again, by their own differing
 * bytes. Each such step uses up eight of forty bytes, so there are at most five.
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

/* The bytes at which the entries of a run differ. */
static struct columns find_columns(const struct entry *items, const struct entry_order *run, size_t n)
{
	const struct entry_key *first = &items[run[0].index].key;
	struct columns columns = {};
	struct entry_key differing = {};

	for (size_t i = 1; i < n; i++) {
		const struct entry_key *key = &items[run[i].index].key;

		for (size_t word = 0; word < ARRAY_SIZE(key->words); word++)
			differing.words[word] |= key->words[word] ^ first->words[word];
	}
	for (size_t i = 0; i < ENTRY_KEY_SIZE; i++) {
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
static void sort_run(const struct entry *items, struct entry_order *run, struct entry_order *spare, size_t n)
{
	struct columns columns;

	if (n < 2)
		return;
	columns = find_columns(items, run, n);
	if (columns.n == 0)
		return;
	for (size_t i = 0; i < n; i++) {
		const uint8_t *key = items[run[i].index].key.bytes;
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
		sort_run(items, run + begin, spare, end - begin);
	}
}

int entries_sort(const struct entries *entries, struct region *work, struct entry_order **ret_order)
{
	struct entry_order *order;
	int r;

	r = region_grow(work, 2 * entries->n * sizeof(*order));
	if (r < 0)
		return r;
	order = work->data;
	for (size_t i = 0; i < entries->n; i++)
		order[i].index = (uint32_t)i;
	if (order)
		sort_run(entries->items, order, order + entries->n, entries->n);
	/* Sorted, it needs no spare room. */
	region_shrink(work, entries->n * sizeof(*order));
	*ret_order = work->data;
	return 0;
}
