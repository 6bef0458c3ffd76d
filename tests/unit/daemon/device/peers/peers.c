/* SPDX-License-Identifier: BSD-3-Clause */
/* The list of peers. */

#include "daemon/device/peers/peers.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static void check_tailnet(const char *const *allowed, const char *expected)
{
	struct wg_peers peers = {};
	struct wg_peer peer = {};
	struct address address;
	struct prefix prefix;
	char text[ADDRESS_TEXT_MAX];

	for (; *allowed; allowed++) {
		ck_assert_int_eq(prefix_parse(*allowed, &prefix), 0);
		ck_assert_int_eq(wg_peers_add_allowed_ip(&peers, &peer, &prefix), 0);
	}
	address = wg_peer_tailnet_address(&peer);
	address_format(&address, text);
	ck_assert_str_eq(text, expected);
	prefix_list_deinit(&peer.allowed_ips);
}

START_TEST(tailnet_address)
{
	check_tailnet((const char *const[]){NULL}, "");
	check_tailnet((const char *const[]){"fd7a::9/128", "10.0.0.0/8", "fd7a::8/128", NULL}, "fd7a::8");
	check_tailnet((const char *const[]){"fd7a::9/128", "100.64.0.3/32", "100.64.0.2/32", NULL},
		      "100.64.0.2");
	check_tailnet((const char *const[]){"fd00::/8", "192.168.0.0/16", "10.0.0.0/8", NULL}, "10.0.0.0");
	check_tailnet((const char *const[]){"10.0.0.7/24", NULL}, "10.0.0.7");
	/* What everything goes to has no address by that, in whatever pieces it is written. */
	check_tailnet((const char *const[]){"0.0.0.0/0", NULL}, "");
	check_tailnet((const char *const[]){"::/0", "0.0.0.0/0", NULL}, "");
	check_tailnet((const char *const[]){"128.0.0.0/1", "0.0.0.0/1", NULL}, "");
	check_tailnet((const char *const[]){"8.0.0.0/7", "0.0.0.0/5", "11.0.0.0/8", NULL}, "");
	check_tailnet((const char *const[]){"8000::/1", "::/1", NULL}, "");
	check_tailnet((const char *const[]){"0.0.0.0/0", "fd00::/64", NULL}, "fd00::");
	check_tailnet((const char *const[]){"0.0.0.0/0", "fd00::7/128", "::/0", NULL}, "fd00::7");
	check_tailnet((const char *const[]){"0.0.0.0/0", "10.7.0.1/32", NULL}, "10.7.0.1");
}
END_TEST

static struct wg_peer *add_peer(struct wg_peers *peers, const char *allowed)
{
	int r = 0;
	struct wg_peer *peer = wg_peers_add(peers, &r);
	struct prefix prefix;

	ck_assert_ptr_nonnull(peer);
	ck_assert_int_eq(prefix_parse(allowed, &prefix), 0);
	ck_assert_int_eq(wg_peers_add_allowed_ip(peers, peer, &prefix), 0);
	return peer;
}

static void check_own(const struct wg_peers *peers, size_t i, const char *expected)
{
	struct address address = wg_peer_tailnet_address(&peers->items[i]);
	char text[ADDRESS_TEXT_MAX];

	address_format(&address, text);
	ck_assert_str_eq(text, expected);
}

/* The other side of a point-to-point address is the peer that may have it, if only one may. */
START_TEST(the_only_peer_without_an_address)
{
	_cleanup_wg_peers_ struct wg_peers peers = {};
	struct prefix items[] = {{.length = 32}, {.length = 32}};
	struct prefix_list candidates = {.items = items, .n = 2};

	items[0].address = address_ipv4((const uint8_t[]){10, 0, 0, 9});
	items[1].address = address_ipv4((const uint8_t[]){10, 7, 0, 1});
	ck_assert(!wg_peers_lack_own(&peers));
	add_peer(&peers, "10.0.0.0/24");
	ck_assert(!wg_peers_lack_own(&peers));
	add_peer(&peers, "0.0.0.0/0");
	ck_assert(wg_peers_lack_own(&peers));
	check_own(&peers, 1, "");
	wg_peers_set_own(&peers, &candidates);
	/* The first one is the other peer's. */
	check_own(&peers, 0, "10.0.0.0");
	check_own(&peers, 1, "10.7.0.1");
	ck_assert(!wg_peers_lack_own(&peers));
	/* Of two, nobody knows which it is. */
	add_peer(&peers, "::/0");
	add_peer(&peers, "::/1");
	ck_assert(!wg_peers_lack_own(&peers));
	wg_peers_set_own(&peers, &candidates);
	check_own(&peers, 2, "");
	check_own(&peers, 3, "");
}
END_TEST

START_TEST(sorted_and_found)
{
	_cleanup_wg_peers_ struct wg_peers peers = {};
	uint8_t key[WG_PEERS_KEY_SIZE];
	int r = 0;

	for (unsigned int i = 0; i < 300; i++) {
		struct wg_peer *peer = wg_peers_add(&peers, &r);

		ck_assert_ptr_nonnull(peer);
		memset(peer->public_key, (int)(i * 7 % 100), sizeof(key));
	}
	wg_peers_sort(&peers);
	ck_assert_uint_eq(peers.n, 100);
	for (int i = 0; i < 100; i++) {
		memset(key, i, sizeof(key));
		ck_assert_ptr_eq(wg_peers_find(&peers, key), &peers.items[i]);
	}
	memset(key, 200, sizeof(key));
	ck_assert_ptr_null(wg_peers_find(&peers, key));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("peers");
	TCase *tcase = tcase_create("all");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_test(tcase, tailnet_address);
	tcase_add_test(tcase, the_only_peer_without_an_address);
	tcase_add_test(tcase, sorted_and_found);
	suite_add_tcase(suite, tcase);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
