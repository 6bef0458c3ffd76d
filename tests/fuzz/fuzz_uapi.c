/* SPDX-License-Identifier: BSD-3-Clause */
/* The answer of a userspace WireGuard: the same peers in whatever pieces it arrives. */

#include "daemon/device/peers/uapi_format.h"
#include "tests/fuzz/fuzz_support.h"

static int read_all(const uint8_t *data, size_t size, size_t step, struct wg_peers *peers)
{
	struct uapi_answer answer = {};
	int r = 0;

	for (size_t i = 0; i < size && r == 0; i += step)
		r = uapi_answer_feed(&answer, (const char *)data + i, MIN(step, size - i), peers);
	REQUIRE(r <= 0);
	REQUIRE(r < 0 || answer.length < sizeof(answer.line));
	uapi_answer_deinit(&answer);
	wg_peers_sort(peers);
	return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct wg_peers whole = {}, pieces = {};
	int r = read_all(data, size, size + 1, &whole);

	REQUIRE(read_all(data, size, 3, &pieces) == r);
	REQUIRE(whole.n == pieces.n && whole.n_allowed_ips == pieces.n_allowed_ips);
	REQUIRE(whole.listen_port == pieces.listen_port && whole.fwmark == pieces.fwmark);
	for (size_t i = 0; i < whole.n; i++) {
		struct address address = wg_peer_tailnet_address(&whole.items[i]);

		REQUIRE(address.family == 0 || whole.items[i].allowed_ips.n > 0);
		REQUIRE(wg_peers_find(&whole, whole.items[i].public_key) == &whole.items[i]);
	}
	wg_peers_deinit(&whole);
	wg_peers_deinit(&pieces);
	return 0;
}
