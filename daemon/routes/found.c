/* SPDX-License-Identifier: BSD-3-Clause */
/* Sorted routes: one that lies in another comes right behind it, or behind others that do. */

#include "daemon/routes/found.h"

#include "common/cleanup.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

/* RFC 1918, RFC 6598, RFC 3927; RFC 4193, RFC 4291. */
static const struct prefix private_networks[] = {
	{.address = {.family = ADDRESS_IPV4, .bytes = {10}}, .length = 8},
	{.address = {.family = ADDRESS_IPV4, .bytes = {172, 16}}, .length = 12},
	{.address = {.family = ADDRESS_IPV4, .bytes = {192, 168}}, .length = 16},
	{.address = {.family = ADDRESS_IPV4, .bytes = {100, 64}}, .length = 10},
	{.address = {.family = ADDRESS_IPV4, .bytes = {169, 254}}, .length = 16},
	{.address = {.family = ADDRESS_IPV6, .bytes = {0xfc}}, .length = 7},
	{.address = {.family = ADDRESS_IPV6, .bytes = {0xfe, 0x80}}, .length = 10},
};

static bool lies_in(const struct prefix *prefix, const struct prefix *other)
{
	return prefix->length >= other->length && prefix_contains(other, &prefix->address);
}

static bool is_private(const struct prefix *prefix)
{
	for (size_t i = 0; i < ARRAY_SIZE(private_networks); i++)
		if (lies_in(prefix, &private_networks[i]))
			return true;
	return false;
}

/* How much of the Internet it is: of IPv4 in addresses, of IPv6 in networks of /64. */
static uint64_t share_of(const struct prefix *prefix)
{
	static const struct prefix internet6 = {.address = {.family = ADDRESS_IPV6, .bytes = {0x20}},
						.length = 3};

	if (prefix->address.family == ADDRESS_IPV4)
		return UINT64_C(1) << (32 - prefix->length);
	if (lies_in(&internet6, prefix))
		return UINT64_C(1) << 61;
	return prefix->length <= 64 && lies_in(prefix, &internet6) ? UINT64_C(1) << (64 - prefix->length) : 0;
}

/* A default route, or half of one. These are known by themselves. */
static bool is_default(const struct prefix *prefix, const struct prefix_list *routes)
{
	struct prefix other = *prefix;
	bool has_other = false;

	if (prefix->length != 1)
		return prefix->length == 0;
	other.address.bytes[0] ^= 0x80;
	for (size_t i = 0; i < routes->n; i++)
		has_other = has_other || prefix_equal(&routes->items[i], &other);
	return has_other;
}

int found_without_default(const struct prefix_list *routes, struct prefix_list *ret_rest)
{
	static const uint64_t halves[] = {UINT64_C(1) << 31, UINT64_C(1) << 60}; /* IPv4, IPv6 */
	_cleanup_free_ bool *is_part = calloc(routes->n + 1, sizeof(*is_part));
	struct prefix_list rest = {};
	struct prefix outer = {};
	uint64_t covered[2] = {};
	int r = 0;

	if (!is_part)
		return -ENOMEM;
	for (size_t i = 0; i < routes->n; i++) {
		const struct prefix *prefix = &routes->items[i];

		if (is_default(prefix, routes) || lies_in(prefix, &outer))
			continue;
		outer = *prefix;
		covered[prefix->address.family == ADDRESS_IPV6] += share_of(prefix);
		is_part[i] = !prefix_is_single(prefix) && !is_private(prefix);
	}
	for (size_t i = 0; r == 0 && i < routes->n; i++) {
		const struct prefix *prefix = &routes->items[i];
		size_t family = prefix->address.family == ADDRESS_IPV6;

		if (!is_part[i] || covered[family] <= halves[family])
			r = prefix_list_add(&rest, prefix);
	}
	if (r < 0)
		prefix_list_deinit(&rest);
	else
		*ret_rest = rest;
	return r;
}

static bool may_be_own(const struct prefix *route)
{
	return route->length >= (route->address.family == ADDRESS_IPV4 ? 16 : 48) && !prefix_is_single(route);
}

int found_own_networks(const struct prefix_list *addresses, const struct prefix_list *routes,
		       struct prefix_list *ret_networks)
{
	struct prefix_list networks = {};
	int r = 0;

	for (size_t i = 0; r == 0 && i < addresses->n; i++) {
		const struct prefix *narrowest = NULL;

		for (size_t j = 0; j < routes->n; j++) {
			const struct prefix *route = &routes->items[j];

			if (may_be_own(route) && prefix_contains(route, &addresses->items[i].address) &&
			    (!narrowest || route->length > narrowest->length))
				narrowest = route;
		}
		if (narrowest)
			r = prefix_list_add(&networks, narrowest);
	}
	if (r < 0)
		prefix_list_deinit(&networks);
	else
		*ret_networks = networks;
	return r;
}
