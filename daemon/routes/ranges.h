/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * A map from addresses to flags, made once from prefixes: sorted ranges that never overlap, IPv4 and IPv6
 * apart, so that a lookup is one binary search however many prefixes they came from.
 */

#include "common/address.h"

#include <stddef.h>
#include <stdint.h>

/* An IPv6 address as two numbers in host byte order. */
struct wide {
	uint64_t high;
	uint64_t low;
};

/*
 * Range i begins at start[i] and ends before start[i + 1] (the last one at the end of the address space); all
 * of it has flags[i]. The first range begins at zero, and is empty if the second does too. Zero-initialised
 * is empty: no flags anywhere.
 */
struct ranges {
	uint32_t *start4;
	uint8_t *flags4;
	size_t n4;
	struct wide *start6;
	uint8_t *flags6;
	size_t n6;
};

/* Where a set of addresses begins or ends, while ranges are gathered. */
struct range_edge {
	struct wide at;
	uint8_t set; /* 0 to RANGES_SETS - 1 */
	int8_t step; /* +1 a prefix begins here, -1 one has ended before here */
};

struct range_edges {
	struct range_edge *items;
	size_t n;
	size_t allocated;
};

/* Sets of prefixes whose ranges are being gathered. Zero-initialised is empty. */
struct ranges_builder {
	struct range_edges edges4;
	struct range_edges edges6;
};

#define RANGES_SETS 8

/* Adds a prefix to a set, without its host bits; one without an address is ignored. 0 or -ENOMEM. */
int ranges_builder_add(struct ranges_builder *builder, unsigned int set, const struct prefix *prefix);
void ranges_builder_deinit(struct ranges_builder *builder);

/*
 * Makes the ranges: resolve() turns the sets that an address is in (bit n: set n) into its flags. The builder
 * is used up but still to be released. 0 or -ENOMEM.
 */
int ranges_build(struct ranges_builder *builder, uint8_t (*resolve)(unsigned int sets),
		 struct ranges *ret_ranges);
void ranges_deinit(struct ranges *ranges);

/* The flags of an address; 0 for none. */
uint8_t ranges_lookup(const struct ranges *ranges, const struct address *address);
