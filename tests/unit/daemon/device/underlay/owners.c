/* SPDX-License-Identifier: BSD-3-Clause */
/* Which peer an endpoint belongs to, when peers move and leave. */

#include "daemon/device/underlay/owners.h"

#include <arpa/inet.h>
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void peer(struct wg_peers *peers, uint8_t key, const char *endpoint)
{
	struct prefix prefix = {.address = {.family = ADDRESS_IPV4, .bytes = {100, 64, 0, key}},
				.length = 32};
	int r = 0;
	struct wg_peer *added = wg_peers_add(peers, &r);

	ck_assert_ptr_nonnull(added);
	memset(added->public_key, key, sizeof(added->public_key));
	ck_assert_int_eq(endpoint_parse(endpoint, &added->endpoint), 0);
	ck_assert_int_eq(wg_peers_add_allowed_ip(peers, added, &prefix), 0);
}

static const struct endpoint_owner *find(const struct endpoint_owners *owners, const char *text,
					 unsigned int link)
{
	struct wg_peer at = {.link = link};
	struct underlay_remote remote;

	ck_assert_int_eq(endpoint_parse(text, &at.endpoint), 0);
	remote = underlay_remote_of(&at);
	return endpoint_owners_find(owners, &remote);
}

/* The last byte of the owner's address; 0: none. */
static int owner(const struct endpoint_owners *owners, const char *text)
{
	const struct endpoint_owner *found = find(owners, text, 0);

	return found ? found->tailnet.bytes[3] : 0;
}

START_TEST(start_and_end)
{
	_cleanup_wg_peers_ struct wg_peers before = {}, after = {};
	struct endpoint_owners owners;

	peer(&before, 1, "192.0.2.1:1");
	peer(&before, 2, "192.0.2.2:1");
	peer(&before, 3, "192.0.2.3:1");
	peer(&before, 5, "");
	peer(&after, 1, "198.51.100.1:9"); /* moved */
	peer(&after, 2, "192.0.2.2:1");
	peer(&after, 4, "192.0.2.3:1"); /* took 3's place; 3 is gone */
	peer(&after, 6, "[2001:db8::1]:1");
	peer(&after, 7, "[2001:db8::1]:1"); /* two at one place: the lower key */
	ck_assert_int_eq(endpoint_owners_make(&before, &after, &owners), 0);
	ck_assert_uint_eq(owners.n, 5);
	ck_assert_int_eq(owner(&owners, "192.0.2.1:1"), 1);
	ck_assert_int_eq(owner(&owners, "198.51.100.1:9"), 1);
	ck_assert_int_eq(owner(&owners, "192.0.2.2:1"), 2);
	ck_assert_int_eq(owner(&owners, "192.0.2.3:1"), 4);
	ck_assert_int_eq(owner(&owners, "[2001:db8::1]:1"), 6);
	ck_assert_int_eq(owner(&owners, "192.0.2.2:2"), 0);
	endpoint_owners_deinit(&owners);
	ck_assert_int_eq(endpoint_owners_make(&before, NULL, &owners), 0);
	ck_assert_uint_eq(owners.n, 3);
	ck_assert_int_eq(owner(&owners, "192.0.2.3:1"), 3);
	endpoint_owners_deinit(&owners);
}
END_TEST

/* Peers are numbered as in the later list. Those of both readings that have an endpoint share it, but not
 * with a peer that is gone. */
START_TEST(numbers_and_shared_endpoints)
{
	_cleanup_wg_peers_ struct wg_peers before = {}, after = {};
	struct endpoint_owners owners;

	peer(&before, 1, "192.0.2.1:1");
	peer(&before, 2, "192.0.2.2:1");
	peer(&before, 3, "192.0.2.3:1");
	peer(&after, 2, "192.0.2.9:1");
	peer(&after, 3, "192.0.2.3:1");
	peer(&after, 4, "192.0.2.2:1"); /* took 2's place, who has another */
	peer(&after, 5, "192.0.2.1:1"); /* took 1's place, who is gone */
	ck_assert_int_eq(endpoint_owners_make(&before, &after, &owners), 0);
	ck_assert(owners.any_shared);
	ck_assert_uint_eq(find(&owners, "192.0.2.9:1", 0)->peer, 0);
	ck_assert_uint_eq(find(&owners, "192.0.2.3:1", 0)->peer, 1);
	ck_assert(!find(&owners, "192.0.2.3:1", 0)->shared);
	ck_assert(find(&owners, "192.0.2.2:1", 0)->shared);
	ck_assert_uint_eq(find(&owners, "192.0.2.1:1", 0)->peer, 3);
	ck_assert(!find(&owners, "192.0.2.1:1", 0)->shared);
	endpoint_owners_deinit(&owners);
	/* A peer that only the earlier one has. */
	ck_assert_int_eq(endpoint_owners_make(&after, &before, &owners), 0);
	ck_assert_uint_eq(find(&owners, "192.0.2.1:1", 0)->peer, 0);
	endpoint_owners_deinit(&owners);
	wg_peers_deinit(&before);
	ck_assert_int_eq(endpoint_owners_make(&after, &before, &owners), 0);
	ck_assert_uint_eq(owners.n, 4);
	ck_assert_uint_eq(owners.items[0].peer, OWNER_GONE);
	ck_assert(!owners.any_shared);
	endpoint_owners_deinit(&owners);
}
END_TEST

START_TEST(link_local_endpoints)
{
	_cleanup_wg_peers_ struct wg_peers peers = {};
	struct endpoint_owners owners;

	for (uint8_t key = 1; key <= 4; key++)
		peer(&peers, key, key == 4 ? "[fe80::9]:1" : "[fe80::1]:1");
	peers.items[0].link = 7;
	peers.items[1].link = 8;
	ck_assert_int_eq(endpoint_owners_make(&peers, NULL, &owners), 0);
	ck_assert_uint_eq(find(&owners, "[fe80::1]:1", 7)->peer, 0);
	ck_assert_uint_eq(find(&owners, "[fe80::1]:1", 8)->peer, 1);
	/* Any other link: the one whose link is not known. */
	ck_assert_uint_eq(find(&owners, "[fe80::1]:1", 9)->peer, 2);
	ck_assert_uint_eq(find(&owners, "[fe80::9]:1", 9)->peer, 3);
	ck_assert(!owners.any_shared);
	endpoint_owners_deinit(&owners);
}
END_TEST

START_TEST(kernel_form_and_back)
{
	static const char *const texts[] = {"192.0.2.1:51820", "[2001:db8::1]:1", "[::ffff:1.2.3.4]:65535"};

	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		struct underlay_remote remote;
		struct wg_peer at = {};
		struct endpoint back;
		char text[ENDPOINT_TEXT_MAX];

		ck_assert_int_eq(endpoint_parse(texts[i], &at.endpoint), 0);
		remote = underlay_remote_of(&at);
		ck_assert_uint_eq(remote.port, htons(at.endpoint.port));
		back = underlay_remote_endpoint(&remote);
		endpoint_format(&back, text);
		ck_assert_str_eq(text, texts[i]);
	}
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("owners");
	TCase *tcase = tcase_create("all");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_test(tcase, start_and_end);
	tcase_add_test(tcase, numbers_and_shared_endpoints);
	tcase_add_test(tcase, link_local_endpoints);
	tcase_add_test(tcase, kernel_form_and_back);
	suite_add_tcase(suite, tcase);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
