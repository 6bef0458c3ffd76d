/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Addresses, endpoints and prefixes as values. A struct address has no padding and its unused bytes are zero,
 * so that comparing bytes compares family, then number.
 */

#include "common/address.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(sizeof(struct address) == 17, "addresses are compared as bytes");

struct address address_ipv4(const uint8_t bytes[static 4])
{
	struct address address = {.family = ADDRESS_IPV4};

	memcpy(address.bytes, bytes, 4);
	return address;
}

struct address address_ipv6(const uint8_t bytes[static 16])
{
	struct address address = {.family = ADDRESS_IPV6};

	memcpy(address.bytes, bytes, 16);
	return address;
}

int address_compare(const struct address *a, const struct address *b)
{
	return memcmp(a, b, sizeof(*a));
}

int endpoint_compare(const struct endpoint *a, const struct endpoint *b)
{
	int order = address_compare(&a->address, &b->address);

	return order ? order : (int)a->port - (int)b->port;
}

bool address_is_link_local(const struct address *address)
{
	return address->family == ADDRESS_IPV6 && address->bytes[0] == 0xfe &&
	       (address->bytes[1] & 0xc0) == 0x80;
}

unsigned int address_bits(const struct address *address)
{
	switch (address->family) {
	case ADDRESS_IPV4:
		return 32;
	case ADDRESS_IPV6:
		return 128;
	default:
		return 0;
	}
}

struct prefix prefix_masked(const struct prefix *prefix)
{
	struct prefix masked = *prefix;
	unsigned int whole = masked.length / 8;

	if (whole >= sizeof(masked.address.bytes))
		return masked;
	masked.address.bytes[whole] &= (uint8_t)(0xff00 >> (masked.length % 8));
	memset(masked.address.bytes + whole + 1, 0, sizeof(masked.address.bytes) - whole - 1);
	return masked;
}

bool prefix_contains(const struct prefix *prefix, const struct address *address)
{
	unsigned int whole = prefix->length / 8;
	unsigned int rest = prefix->length % 8;

	if (prefix->address.family != address->family || !address_bits(address))
		return false;
	if (memcmp(prefix->address.bytes, address->bytes, whole) != 0)
		return false;
	return !rest || !((prefix->address.bytes[whole] ^ address->bytes[whole]) >> (8 - rest));
}

bool prefix_is_single(const struct prefix *prefix)
{
	unsigned int bits = address_bits(&prefix->address);

	return bits && prefix->length == bits;
}

int prefix_compare(const struct prefix *a, const struct prefix *b)
{
	int order = address_compare(&a->address, &b->address);

	return order ? order : (int)a->length - (int)b->length;
}

bool prefix_equal(const struct prefix *a, const struct prefix *b)
{
	return prefix_compare(a, b) == 0;
}

/*
 * The array's size is not kept: it is at least the count rounded up to a power of two, so that it has to grow
 * exactly when the count is a power of two.
 */
static size_t round_up(size_t n)
{
	size_t size = 1;

	while (size < n)
		size *= 2;
	return size;
}

int prefix_list_add(struct prefix_list *list, const struct prefix *prefix)
{
	if (list->n == 0 || (list->n & (list->n - 1)) == 0) {
		struct prefix *items = reallocarray(list->items, round_up(list->n + 1), sizeof(*items));

		if (!items)
			return -ENOMEM;
		list->items = items;
	}
	list->items[list->n++] = *prefix;
	return 0;
}

int prefix_list_copy(const struct prefix_list *list, struct prefix_list *ret_list)
{
	struct prefix_list copy = {.n = list->n};

	if (copy.n) {
		copy.items = calloc(round_up(copy.n), sizeof(*copy.items));
		if (!copy.items)
			return -ENOMEM;
		memcpy(copy.items, list->items, copy.n * sizeof(*copy.items));
	}
	*ret_list = copy;
	return 0;
}

static int compare_items(const void *a, const void *b)
{
	return prefix_compare(a, b);
}

void prefix_list_sort(struct prefix_list *list)
{
	size_t kept = 1;

	if (list->n < 2)
		return;
	qsort(list->items, list->n, sizeof(*list->items), compare_items);
	for (size_t i = 1; i < list->n; i++)
		if (!prefix_equal(&list->items[i], &list->items[kept - 1]))
			list->items[kept++] = list->items[i];
	list->n = kept;
}

bool prefix_list_equal(const struct prefix_list *a, const struct prefix_list *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (!prefix_equal(&a->items[i], &b->items[i]))
			return false;
	return true;
}

void prefix_list_deinit(struct prefix_list *list)
{
	free(list->items);
	*list = (struct prefix_list){};
}
