/* SPDX-License-Identifier: BSD-3-Clause */
/* Addresses, endpoints and prefixes: what can be read is written in one form, which reads as the same. */

#include "common/address.h"
#include "common/cleanup.h"
#include "tests/fuzz/fuzz_support.h"

static void check_address(const char *input)
{
	char text[ADDRESS_TEXT_MAX];
	struct address address, again;

	if (address_parse(input, &address) < 0)
		return;
	REQUIRE(address_format(&address, text) == strlen(text));
	REQUIRE(strlen(text) < sizeof(text));
	REQUIRE(address_parse(text, &again) == 0);
	REQUIRE(address_compare(&address, &again) == 0);
}

static void check_endpoint(const char *input)
{
	char text[ENDPOINT_TEXT_MAX];
	struct endpoint endpoint, again;

	if (endpoint_parse(input, &endpoint) < 0)
		return;
	REQUIRE(endpoint_format(&endpoint, text) == strlen(text));
	REQUIRE(strlen(text) < sizeof(text));
	REQUIRE(endpoint_parse(text, &again) == 0);
	REQUIRE(endpoint_compare(&endpoint, &again) == 0);
}

static void check_prefix(const char *input)
{
	char text[PREFIX_TEXT_MAX];
	struct prefix prefix, again, masked;

	if (prefix_parse(input, &prefix) < 0)
		return;
	REQUIRE(prefix_format(&prefix, text) == strlen(text));
	REQUIRE(strlen(text) < sizeof(text));
	REQUIRE(prefix_parse(text, &again) == 0);
	REQUIRE(prefix_equal(&prefix, &again));
	masked = prefix_masked(&prefix);
	REQUIRE(prefix_contains(&masked, &prefix.address));
	REQUIRE(prefix_contains(&prefix, &masked.address));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_free_ char *input = text_of_input(data, size);
	struct address address;
	char text[ADDRESS_TEXT_MAX];

	check_address(input);
	check_endpoint(input);
	check_prefix(input);
	if (size >= 16) {
		struct address again;

		address = address_ipv6(data);
		REQUIRE(address_format(&address, text) < sizeof(text));
		REQUIRE(address_parse(text, &again) == 0);
		REQUIRE(address_compare(&address, &again) == 0);
	}
	return 0;
}
