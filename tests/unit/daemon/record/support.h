/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* Short ways to say prefixes, connections and lists in tests. */

#include "common/config/config.h"
#include "common/connection.h"

#include <check.h>

static inline struct prefix test_prefix(const char *text)
{
	struct prefix prefix;

	ck_assert_msg(prefix_parse(text, &prefix) == 0, "%s is not a prefix", text);
	return prefix;
}

static inline struct address test_address(const char *text)
{
	struct address address;

	ck_assert_msg(address_parse(text, &address) == 0, "%s is not an address", text);
	return address;
}

static inline struct endpoint test_endpoint(const char *text)
{
	struct endpoint endpoint;

	ck_assert_msg(endpoint_parse(text, &endpoint) == 0, "%s is not an endpoint", text);
	return endpoint;
}

/* Adds texts that are separated by blanks. */
static inline void test_list_add(struct prefix_list *list, const char *texts)
{
	char copy[1024], *rest, *word;

	ck_assert_uint_lt(strlen(texts), sizeof(copy));
	strcpy(copy, texts);
	for (word = strtok_r(copy, " ", &rest); word; word = strtok_r(NULL, " ", &rest)) {
		struct prefix prefix = test_prefix(word);

		ck_assert_int_eq(prefix_list_add(list, &prefix), 0);
	}
}

static inline struct route_lists test_lists(const char *local_addrs, const char *routes,
					    const char *subnet_routes)
{
	struct route_lists lists = {};

	test_list_add(&lists.local_addrs, local_addrs);
	test_list_add(&lists.routes, routes);
	test_list_add(&lists.subnet_routes, subnet_routes);
	return lists;
}

static inline void test_lists_deinit(struct route_lists *lists)
{
	prefix_list_deinit(&lists->local_addrs);
	prefix_list_deinit(&lists->routes);
	prefix_list_deinit(&lists->subnet_routes);
}

static inline struct connection test_connection(const char *src, const char *dst, uint8_t proto)
{
	return (struct connection){.src = test_endpoint(src), .dst = test_endpoint(dst), .proto = proto};
}

/* A small generator with a seed, so that a failure can be repeated. */
static inline uint64_t test_random(uint64_t *state)
{
	uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}
