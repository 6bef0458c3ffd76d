/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * IP addresses, endpoints and prefixes as values: compared and hashed as bytes, written and read in the
 * text forms of the log (lower-case IPv6 with the longest run of zero groups as "::", IPv4-mapped as
 * "::ffff:1.2.3.4", "1.2.3.4:5", "[2001:db8::1]:5", nothing as "").
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum address_family {
	ADDRESS_NONE = 0, /* no address; sorts first */
	ADDRESS_IPV4 = 4,
	ADDRESS_IPV6 = 6,
};

/* Network byte order; an IPv4 address is in the first four bytes, all others are zero. */
struct address {
	uint8_t family;
	uint8_t bytes[16];
};

struct endpoint {
	struct address address;
	uint16_t port; /* host byte order */
};

/* Host bits beyond the length are kept as given: "10.0.0.1/8" as a local address names 10.0.0.1. */
struct prefix {
	struct address address;
	uint8_t length; /* 0 to 32 or 128 */
};

#define ADDRESS_TEXT_MAX  46 /* with the final NUL */
#define ENDPOINT_TEXT_MAX 54
#define PREFIX_TEXT_MAX	  50

struct address address_ipv4(const uint8_t bytes[static 4]);
struct address address_ipv6(const uint8_t bytes[static 16]);

/* Total order: none, IPv4, IPv6, each by number. Returns <0, 0 or >0. */
int address_compare(const struct address *a, const struct address *b);
/* By address, then port as a number. */
int endpoint_compare(const struct endpoint *a, const struct endpoint *b);

/* fe80::/10 (RFC 4291, 2.5.6). */
bool address_is_link_local(const struct address *address);

/* 32 or 128; 0 without an address. */
unsigned int address_bits(const struct address *address);

/*
 * Write the text and a final NUL; return its length without the NUL. Without an address: "" (for an
 * endpoint too, whatever its port). The buffer has room for *_TEXT_MAX bytes.
 */
size_t address_format(const struct address *address, char *ret_text);
size_t endpoint_format(const struct endpoint *endpoint, char *ret_text);
size_t prefix_format(const struct prefix *prefix, char *ret_text);

/*
 * Read a whole text, without zone and without leading zeros in IPv4. An endpoint and an address may be "" (no
 * address). A prefix without "/length" is a single address. 0 or -EINVAL.
 */
int address_parse(const char *text, struct address *ret_address);
int endpoint_parse(const char *text, struct endpoint *ret_endpoint);
/* The first n characters of a longer text. */
int endpoint_parse_n(const char *text, size_t n, struct endpoint *ret_endpoint);
int prefix_parse(const char *text, struct prefix *ret_prefix);

/* A copy with the bits beyond the length set to zero. */
struct prefix prefix_masked(const struct prefix *prefix);
bool prefix_contains(const struct prefix *prefix, const struct address *address);
bool prefix_is_single(const struct prefix *prefix);
/* Total order: by address, then length. */
int prefix_compare(const struct prefix *a, const struct prefix *b);
bool prefix_equal(const struct prefix *a, const struct prefix *b);

/* A list of prefixes that owns its array. Zero-initialised is empty. */
struct prefix_list {
	struct prefix *items;
	size_t n;
};

/* Appends a copy; 0 or -ENOMEM. */
int prefix_list_add(struct prefix_list *list, const struct prefix *prefix);
/* The copy is owned by the caller. 0 or -ENOMEM. */
int prefix_list_copy(const struct prefix_list *list, struct prefix_list *ret_list);
/* Sorts, and drops equal prefixes. */
void prefix_list_sort(struct prefix_list *list);
bool prefix_list_equal(const struct prefix_list *a, const struct prefix_list *b);
void prefix_list_deinit(struct prefix_list *list);
