/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Ranges of addresses with flags. Every prefix is two edges, where it begins and where it has ended; a walk
 * over the sorted edges knows at each point which sets it is in, and begins a new range only where the flags
 * change, so that adjacent and nested prefixes merge.
 */

#include "daemon/routes/ranges.h"

#include "common/cleanup.h"

#include <endian.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static uint64_t load_be64(const uint8_t *bytes)
{
	uint64_t value;

	memcpy(&value, bytes, sizeof(value));
	return be64toh(value);
}

static uint32_t load_be32(const uint8_t *bytes)
{
	uint32_t value;

	memcpy(&value, bytes, sizeof(value));
	return be32toh(value);
}

static int wide_compare(const struct wide *a, const struct wide *b)
{
	if (a->high != b->high)
		return a->high < b->high ? -1 : 1;
	if (a->low != b->low)
		return a->low < b->low ? -1 : 1;
	return 0;
}

static int edges_add(struct range_edges *edges, const struct wide *at, unsigned int set, int step)
{
	if (edges->n == edges->allocated) {
		size_t allocated = MAX(2 * edges->allocated, (size_t)16);
		struct range_edge *items = reallocarray(edges->items, allocated, sizeof(struct range_edge));

		if (!items)
			return -ENOMEM;
		edges->items = items;
		edges->allocated = allocated;
	}
	edges->items[edges->n++] = (struct range_edge){.at = *at, .set = (uint8_t)set, .step = (int8_t)step};
	return 0;
}

int ranges_builder_add(struct ranges_builder *builder, unsigned int set, const struct prefix *prefix)
{
	struct prefix masked = prefix_masked(prefix);
	unsigned int host = address_bits(&masked.address) - masked.length;
	bool ipv4 = prefix->address.family == ADDRESS_IPV4;
	struct range_edges *edges = ipv4 ? &builder->edges4 : &builder->edges6;
	struct wide first = {}, end;
	int r;

	if (prefix->address.family == ADDRESS_NONE || set >= RANGES_SETS)
		return 0;

	/* IPv4 uses the low half alone, so that one walk serves both families. */
	if (ipv4) {
		first.low = load_be32(masked.address.bytes);
	} else {
		first.high = load_be64(masked.address.bytes);
		first.low = load_be64(masked.address.bytes + 8);
	}
	r = edges_add(edges, &first, set, +1);
	if (r < 0)
		return r;

	/* A prefix that reaches the end of the address space has no edge after it. */
	end = first;
	if (host >= 64) {
		if (host == 128 || __builtin_add_overflow(end.high, UINT64_C(1) << (host - 64), &end.high))
			return 0;
	} else if (__builtin_add_overflow(end.low, UINT64_C(1) << host, &end.low)) {
		if (__builtin_add_overflow(end.high, UINT64_C(1), &end.high))
			return 0;
	}
	if (ipv4 && end.low > UINT32_MAX)
		return 0;
	return edges_add(edges, &end, set, -1);
}

void ranges_builder_deinit(struct ranges_builder *builder)
{
	free(builder->edges4.items);
	free(builder->edges6.items);
	*builder = (struct ranges_builder){};
}

static int edge_compare(const void *a, const void *b)
{
	const struct range_edge *left = a, *right = b;

	return wide_compare(&left->at, &right->at);
}

/* Calls range() where the flags change. Returns the number of ranges. */
static size_t edges_walk(const struct range_edges *edges, uint8_t (*resolve)(unsigned int sets),
			 void (*range)(struct ranges *ranges, size_t i, const struct wide *at, uint8_t flags),
			 struct ranges *ranges)
{
	int64_t depth[RANGES_SETS] = {};
	unsigned int sets = 0;
	uint8_t flags = resolve(0);
	struct wide zero = {};
	size_t n = 1;

	range(ranges, 0, &zero, flags);
	for (size_t i = 0; i < edges->n;) {
		const struct wide at = edges->items[i].at;
		uint8_t after;

		for (; i < edges->n && wide_compare(&edges->items[i].at, &at) == 0; i++) {
			unsigned int set = edges->items[i].set;

			depth[set] += edges->items[i].step;
			sets = depth[set] > 0 ? sets | 1U << set : sets & ~(1U << set);
		}
		after = resolve(sets);
		if (after == flags)
			continue;
		flags = after;
		range(ranges, n++, &at, flags);
	}
	return n;
}

static void range4(struct ranges *ranges, size_t i, const struct wide *at, uint8_t flags)
{
	ranges->start4[i] = (uint32_t)at->low;
	ranges->flags4[i] = flags;
}

static void range6(struct ranges *ranges, size_t i, const struct wide *at, uint8_t flags)
{
	ranges->start6[i] = *at;
	ranges->flags6[i] = flags;
}

static void edges_sort(struct range_edges *edges)
{
	if (edges->n > 1)
		qsort(edges->items, edges->n, sizeof(edges->items[0]), edge_compare);
}

int ranges_build(struct ranges_builder *builder, uint8_t (*resolve)(unsigned int sets),
		 struct ranges *ret_ranges)
{
	_cleanup_(ranges_deinit) struct ranges ranges = {};

	edges_sort(&builder->edges4);
	edges_sort(&builder->edges6);

	ranges.start4 = calloc(builder->edges4.n + 1, sizeof(*ranges.start4));
	ranges.flags4 = calloc(builder->edges4.n + 1, sizeof(*ranges.flags4));
	ranges.start6 = calloc(builder->edges6.n + 1, sizeof(*ranges.start6));
	ranges.flags6 = calloc(builder->edges6.n + 1, sizeof(*ranges.flags6));
	if (!ranges.start4 || !ranges.flags4 || !ranges.start6 || !ranges.flags6)
		return -ENOMEM;

	ranges.n4 = edges_walk(&builder->edges4, resolve, range4, &ranges);
	ranges.n6 = edges_walk(&builder->edges6, resolve, range6, &ranges);

	*ret_ranges = ranges;
	ranges = (struct ranges){};
	return 0;
}

void ranges_deinit(struct ranges *ranges)
{
	free(ranges->start4);
	free(ranges->flags4);
	free(ranges->start6);
	free(ranges->flags6);
	*ranges = (struct ranges){};
}

/* The last range that begins at or before the address: there always is one, since the first begins at zero.
 * The steps do not depend on the result of comparing, so there are no branches to mispredict. */
static uint8_t lookup4(const struct ranges *ranges, uint32_t address)
{
	const uint32_t *base = ranges->start4;
	size_t n = ranges->n4;

	while (n > 1) {
		size_t half = n / 2;

		base = base[half] <= address ? base + half : base;
		n -= half;
	}
	return ranges->flags4[base - ranges->start4];
}

static uint8_t lookup6(const struct ranges *ranges, const struct wide *address)
{
	const struct wide *base = ranges->start6;
	size_t n = ranges->n6;

	while (n > 1) {
		size_t half = n / 2;

		if (wide_compare(&base[half], address) <= 0)
			base += half;
		n -= half;
	}
	return ranges->flags6[base - ranges->start6];
}

uint8_t ranges_lookup(const struct ranges *ranges, const struct address *address)
{
	if (address->family == ADDRESS_IPV4)
		return ranges->n4 ? lookup4(ranges, load_be32(address->bytes)) : 0;

	if (address->family == ADDRESS_IPV6) {
		struct wide wide = {
			.high = load_be64(address->bytes),
			.low = load_be64(address->bytes + 8),
		};

		return ranges->n6 ? lookup6(ranges, &wide) : 0;
	}
	return 0;
}
