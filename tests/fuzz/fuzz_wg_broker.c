/* SPDX-License-Identifier: BSD-3-Clause */
/* The broker's filter, over a userspace WireGuard's answer: the same lines pass in whatever pieces it
 * arrives, none with a secret, and nothing is left behind. And the same bytes as a request. */

#include "daemon/device/peers/broker.h"
#include "tests/fuzz/fuzz_support.h"

#include <stdlib.h>
#include <string.h>

static int filter_all(const uint8_t *data, size_t size, size_t step, struct buffer *out)
{
	static const struct wg_broker_filter wiped;
	struct wg_broker_filter filter = {};
	int r = 0;

	for (size_t i = 0; i < size && r == 0; i += step)
		r = wg_broker_filter_feed(&filter, (const char *)data + i, MIN(step, size - i), out);
	REQUIRE(r <= 0);
	REQUIRE(filter.length < sizeof(filter.line));
	wg_broker_filter_deinit(&filter);
	REQUIRE(memcmp(&filter, &wiped, sizeof(filter)) == 0);
	return r;
}

static bool holds(const struct buffer *out, const char *text)
{
	return out->length && memmem(out->data, out->length, text, strlen(text)) != NULL;
}

static void parse_request(const uint8_t *data, size_t size)
{
	char interface[IFNAMSIZ], request[WG_BROKER_REQUEST_MAX], token[WG_NAMES_TOKEN_MAX];
	char *text = strndup((const char *)data, size);

	REQUIRE(text);
	if (wg_broker_parse_request(text, interface) == 0) {
		REQUIRE(wg_broker_is_interface(interface));
		if (wg_broker_is_names(text, token))
			wg_broker_request_names(interface, token, request);
		else if (wg_broker_is_here(text))
			wg_broker_request_here(interface, request);
		else
			wg_broker_request(interface, request);
		REQUIRE(strcmp(request, text) == 0);
	}
	free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	_cleanup_buffer_ struct buffer whole = {}, pieces = {};
	int r = filter_all(data, size, size + 1, &whole);

	REQUIRE(filter_all(data, size, 3, &pieces) == r);
	REQUIRE(whole.length == pieces.length && whole.length <= size);
	REQUIRE(whole.length == 0 || memcmp(whole.data, pieces.data, whole.length) == 0);
	REQUIRE(whole.length < 12 || memcmp(whole.data, "private_key=", 12) != 0);
	REQUIRE(!holds(&whole, "\nprivate_key=") && !holds(&whole, "\npreshared_key="));
	parse_request(data, size);
	return 0;
}
