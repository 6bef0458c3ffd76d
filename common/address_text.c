/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The text of addresses. Own code writes them (a message holds two per entry, and the form is part of the
 * contract) and reads IPv4; the C library reads IPv6.
 */

#include "common/address.h"
#include "common/decimal.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

/* Each number of an IPv4 address with the dot after it: four bytes to copy, two to four to keep. */
#define DIGIT(n, unit)	('0' + (n) / (unit) % 10)
#define OCTET_FIRST(n)	((n) >= 100 ? DIGIT(n, 100) : (n) >= 10 ? DIGIT(n, 10) : DIGIT(n, 1))
#define OCTET_SECOND(n) ((n) >= 100 ? DIGIT(n, 10) : (n) >= 10 ? DIGIT(n, 1) : '.')
#define OCTET_THIRD(n)	((n) >= 100 ? DIGIT(n, 1) : '.')

/* clang-format off */
#define OCTET(n)     { OCTET_FIRST(n), OCTET_SECOND(n), OCTET_THIRD(n), '.' }
/* clang-format on */
#define OCTETS_4(n)  OCTET(n), OCTET((n) + 1), OCTET((n) + 2), OCTET((n) + 3)
#define OCTETS_16(n) OCTETS_4(n), OCTETS_4((n) + 4), OCTETS_4((n) + 8), OCTETS_4((n) + 12)
#define OCTETS_64(n) OCTETS_16(n), OCTETS_16((n) + 16), OCTETS_16((n) + 32), OCTETS_16((n) + 48)

static const char octets[256][4] = {OCTETS_64(0), OCTETS_64(64), OCTETS_64(128), OCTETS_64(192)};

/* Returns the end. May write up to three bytes beyond it. */
static char *write_ipv4(const uint8_t *bytes, char *p)
{
	for (int i = 0; i < 4; i++) {
		memcpy(p, octets[bytes[i]], 4);
		p += 2 + (bytes[i] >= 10) + (bytes[i] >= 100);
	}
	return p - 1;
}

static char *write_group(unsigned int group, char *p)
{
	static const char hex[16] = {"0123456789abcdef"};

	if (group >= 0x1000)
		*p++ = hex[group >> 12];
	if (group >= 0x100)
		*p++ = hex[group >> 8 & 15];
	if (group >= 0x10)
		*p++ = hex[group >> 4 & 15];
	*p++ = hex[group & 15];
	return p;
}

/* The longest run of at least two zero groups, the first of equals (RFC 5952, 4.2). */
static void find_zero_run(const unsigned int groups[static 8], int *ret_start, int *ret_length)
{
	int best = -1, best_length = 1;

	for (int i = 0; i < 8; i++) {
		int start = i;

		while (i < 8 && groups[i] == 0)
			i++;
		if (i - start > best_length) {
			best = start;
			best_length = i - start;
		}
	}
	*ret_start = best;
	*ret_length = best < 0 ? 0 : best_length;
}

static char *write_ipv6(const uint8_t *bytes, char *p)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
	unsigned int groups[8];
	int start, length;

	if (memcmp(bytes, mapped, sizeof(mapped)) == 0) {
		memcpy(p, "::ffff:", 7);
		return write_ipv4(bytes + 12, p + 7);
	}
	for (int i = 0; i < 8; i++)
		groups[i] = (unsigned int)bytes[2 * i] << 8 | bytes[2 * i + 1];
	find_zero_run(groups, &start, &length);
	for (int i = 0; i < 8; i++) {
		if (i == start) {
			*p++ = ':';
			*p++ = ':';
			i += length;
			if (i == 8)
				break;
		} else if (i > 0) {
			*p++ = ':';
		}
		p = write_group(groups[i], p);
	}
	return p;
}

static char *write_address(const struct address *address, char *p)
{
	switch (address->family) {
	case ADDRESS_IPV4:
		return write_ipv4(address->bytes, p);
	case ADDRESS_IPV6:
		return write_ipv6(address->bytes, p);
	default:
		return p;
	}
}

size_t address_format(const struct address *address, char *ret_text)
{
	char *end = write_address(address, ret_text);

	*end = '\0';
	return (size_t)(end - ret_text);
}

size_t endpoint_format(const struct endpoint *endpoint, char *ret_text)
{
	char *p = ret_text;

	switch (endpoint->address.family) {
	case ADDRESS_IPV4:
		p = write_ipv4(endpoint->address.bytes, p);
		break;
	case ADDRESS_IPV6:
		*p++ = '[';
		p = write_ipv6(endpoint->address.bytes, p);
		*p++ = ']';
		break;
	default:
		*p = '\0';
		return 0;
	}
	*p++ = ':';
	p += decimal_format(endpoint->port, p);
	*p = '\0';
	return (size_t)(p - ret_text);
}

size_t prefix_format(const struct prefix *prefix, char *ret_text)
{
	char *p = write_address(&prefix->address, ret_text);

	if (p > ret_text) {
		*p++ = '/';
		p += decimal_format(prefix->length, p);
	}
	*p = '\0';
	return (size_t)(p - ret_text);
}

/* Exactly four numbers, without leading zeros. */
static bool read_ipv4(const char *text, size_t n, uint8_t *ret_bytes)
{
	const char *end = text + n;

	for (int i = 0; i < 4; i++) {
		unsigned int value = 0;
		const char *start;

		if (i > 0 && (text == end || *text++ != '.'))
			return false;
		for (start = text; text < end && *text >= '0' && *text <= '9'; text++) {
			value = value * 10 + (unsigned int)(*text - '0');
			if (value > 255)
				return false;
		}
		if (text == start || (*start == '0' && text - start > 1))
			return false;
		ret_bytes[i] = (uint8_t)value;
	}
	return text == end;
}

static int parse_address(const char *text, size_t n, struct address *ret_address)
{
	struct address address = {};
	char part[ADDRESS_TEXT_MAX];

	if (read_ipv4(text, n, address.bytes)) {
		address.family = ADDRESS_IPV4;
		*ret_address = address;
		return 0;
	}
	if (n == 0 || n >= sizeof(part))
		return -EINVAL;
	memcpy(part, text, n);
	part[n] = '\0';
	if (strlen(part) != n || inet_pton(AF_INET6, part, address.bytes) != 1)
		return -EINVAL;
	address.family = ADDRESS_IPV6;
	*ret_address = address;
	return 0;
}

int address_parse(const char *text, struct address *ret_address)
{
	if (*text)
		return parse_address(text, strlen(text), ret_address);
	*ret_address = (struct address){};
	return 0;
}

/* A number up to a limit, without leading zeros. */
static int parse_number(const char *text, size_t n, unsigned int max, unsigned int *ret_value)
{
	unsigned int value = 0;

	if (n == 0 || (text[0] == '0' && n > 1))
		return -EINVAL;
	for (size_t i = 0; i < n; i++) {
		if (text[i] < '0' || text[i] > '9')
			return -EINVAL;
		value = value * 10 + (unsigned int)(text[i] - '0');
		if (value > max)
			return -EINVAL;
	}
	*ret_value = value;
	return 0;
}

int endpoint_parse_n(const char *text, size_t n, struct endpoint *ret_endpoint)
{
	struct endpoint endpoint = {};
	bool bracket = n > 0 && text[0] == '[';
	const char *colon = n > 0 ? memrchr(text, ':', n) : NULL;
	unsigned int port;
	size_t length;

	if (n == 0) {
		*ret_endpoint = endpoint;
		return 0;
	}
	if (!colon || parse_number(colon + 1, n - (size_t)(colon + 1 - text), UINT16_MAX, &port) < 0)
		return -EINVAL;
	length = (size_t)(colon - text);
	if (bracket) {
		if (length < 2 || colon[-1] != ']')
			return -EINVAL;
		text++;
		length -= 2;
	}
	if (parse_address(text, length, &endpoint.address) < 0)
		return -EINVAL;
	if (endpoint.address.family != (bracket ? ADDRESS_IPV6 : ADDRESS_IPV4))
		return -EINVAL;
	endpoint.port = (uint16_t)port;
	*ret_endpoint = endpoint;
	return 0;
}

int endpoint_parse(const char *text, struct endpoint *ret_endpoint)
{
	return endpoint_parse_n(text, strlen(text), ret_endpoint);
}

int prefix_parse(const char *text, struct prefix *ret_prefix)
{
	const char *slash = strchr(text, '/');
	struct prefix prefix = {};
	unsigned int length;

	if (parse_address(text, slash ? (size_t)(slash - text) : strlen(text), &prefix.address) < 0)
		return -EINVAL;
	length = address_bits(&prefix.address);
	if (slash && parse_number(slash + 1, strlen(slash + 1), length, &length) < 0)
		return -EINVAL;
	prefix.length = (uint8_t)length;
	*ret_prefix = prefix;
	return 0;
}
