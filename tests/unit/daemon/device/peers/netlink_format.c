/* SPDX-License-Identifier: BSD-3-Clause */
/* Messages as the kernel sends them: split, cut, and wrong. */

#include "daemon/device/peers/netlink_format.h"
#include "tests/unit/daemon/net/netlink_build.h"

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <linux/genetlink.h>
#include <linux/wireguard.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>

static void build_device(struct built *built)
{
	build(built, 30, sizeof(struct genlmsghdr));
	mnl_attr_put_u16(built->message, WGDEVICE_A_LISTEN_PORT, 51820);
	mnl_attr_put_u32(built->message, WGDEVICE_A_FWMARK, 0xca6c);
}

static struct nlattr *build_peer(struct built *built, uint8_t key)
{
	struct nlattr *peer = mnl_attr_nest_start(built->message, 0);
	uint8_t bytes[WG_KEY_LEN];

	memset(bytes, key, sizeof(bytes));
	mnl_attr_put(built->message, WGPEER_A_PUBLIC_KEY, sizeof(bytes), bytes);
	return peer;
}

static void build_counters(struct built *built, uint64_t rx, uint64_t tx, const char *address, uint16_t port)
{
	struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port)};
	int64_t handshake[2] = {1700000000, 5};

	inet_pton(AF_INET, address, &in.sin_addr);
	mnl_attr_put(built->message, WGPEER_A_ENDPOINT, sizeof(in), &in);
	mnl_attr_put_u64(built->message, WGPEER_A_RX_BYTES, rx);
	mnl_attr_put_u64(built->message, WGPEER_A_TX_BYTES, tx);
	mnl_attr_put(built->message, WGPEER_A_LAST_HANDSHAKE_TIME, sizeof(handshake), handshake);
}

static void build_allowed_ip(struct built *built, const char *address, uint8_t length)
{
	struct nlattr *nest = mnl_attr_nest_start(built->message, 0);
	uint16_t family = strchr(address, ':') ? AF_INET6 : AF_INET;
	uint8_t bytes[16];

	inet_pton(family, address, bytes);
	mnl_attr_put_u16(built->message, WGALLOWEDIP_A_FAMILY, family);
	mnl_attr_put(built->message, WGALLOWEDIP_A_IPADDR, family == AF_INET ? 4 : 16, bytes);
	mnl_attr_put_u8(built->message, WGALLOWEDIP_A_CIDR_MASK, length);
	mnl_attr_nest_end(built->message, nest);
}

START_TEST(peer_in_two_messages)
{
	_cleanup_wg_peers_ struct wg_peers peers = {};
	struct nlattr *list, *peer, *ips;
	struct built built;

	build_device(&built);
	list = mnl_attr_nest_start(built.message, WGDEVICE_A_PEERS);
	peer = build_peer(&built, 1);
	build_counters(&built, 100, 200, "192.0.2.9", 51821);
	ips = mnl_attr_nest_start(built.message, WGPEER_A_ALLOWEDIPS);
	build_allowed_ip(&built, "10.0.0.0", 8);
	build_allowed_ip(&built, "fd7a::2", 128);
	mnl_attr_nest_end(built.message, ips);
	mnl_attr_nest_end(built.message, peer);
	mnl_attr_nest_end(built.message, list);
	ck_assert_int_eq(wg_netlink_read(built.message, &peers), 0);

	build(&built, 30, sizeof(struct genlmsghdr));
	list = mnl_attr_nest_start(built.message, WGDEVICE_A_PEERS);
	peer = build_peer(&built, 1);
	ips = mnl_attr_nest_start(built.message, WGPEER_A_ALLOWEDIPS);
	build_allowed_ip(&built, "100.64.0.5", 32);
	mnl_attr_nest_end(built.message, ips);
	mnl_attr_nest_end(built.message, peer);
	peer = build_peer(&built, 2);
	mnl_attr_nest_end(built.message, peer);
	mnl_attr_nest_end(built.message, list);
	ck_assert_int_eq(wg_netlink_read(built.message, &peers), 0);

	ck_assert_uint_eq(peers.n, 2);
	ck_assert_uint_eq(peers.listen_port, 51820);
	ck_assert_uint_eq(peers.fwmark, 0xca6c);
	ck_assert_uint_eq(peers.items[0].rx_bytes, 100);
	ck_assert_uint_eq(peers.items[0].tx_bytes, 200);
	ck_assert_uint_eq(peers.items[0].endpoint.port, 51821);
	ck_assert_int_eq(peers.items[0].last_handshake, 1700000000000000005);
	ck_assert_uint_eq(peers.items[0].allowed_ips.n, 3);
	ck_assert_uint_eq(peers.n_allowed_ips, 3);
	ck_assert_uint_eq(peers.items[1].allowed_ips.n, 0);
	ck_assert_int_eq(peers.items[1].public_key[31], 2);
}
END_TEST

/* "endpoint link" of a peer at this IPv6 address. */
static const char *endpoint_at(const char *address, uint32_t scope)
{
	struct sockaddr_in6 in6 = {
		.sin6_family = AF_INET6, .sin6_port = htons(51820), .sin6_scope_id = scope};
	_cleanup_wg_peers_ struct wg_peers peers = {};
	static char text[128];
	struct nlattr *list, *peer;
	char endpoint[ENDPOINT_TEXT_MAX];
	struct built built;

	inet_pton(AF_INET6, address, &in6.sin6_addr);
	build_device(&built);
	list = mnl_attr_nest_start(built.message, WGDEVICE_A_PEERS);
	peer = build_peer(&built, 1);
	mnl_attr_put(built.message, WGPEER_A_ENDPOINT, sizeof(in6), &in6);
	mnl_attr_nest_end(built.message, peer);
	mnl_attr_nest_end(built.message, list);
	ck_assert_int_eq(wg_netlink_read(built.message, &peers), 0);
	endpoint_format(&peers.items[0].endpoint, endpoint);
	snprintf(text, sizeof(text), "%s %u", endpoint, peers.items[0].link);
	return text;
}

START_TEST(endpoints_of_ipv6)
{
	ck_assert_str_eq(endpoint_at("2001:db8::1", 0), "[2001:db8::1]:51820 0");
	ck_assert_str_eq(endpoint_at("2001:db8::1", 7), "[2001:db8::1]:51820 0");
	ck_assert_str_eq(endpoint_at("fe80::1", 7), "[fe80::1]:51820 7");
	ck_assert_str_eq(endpoint_at("::ffff:192.0.2.2", 0), "192.0.2.2:51820 0");
}
END_TEST

static void build_whole(struct built *built)
{
	struct nlattr *list, *peer, *ips;

	build_device(built);
	list = mnl_attr_nest_start(built->message, WGDEVICE_A_PEERS);
	peer = build_peer(built, 1);
	build_counters(built, 1, 2, "192.0.2.9", 1);
	ips = mnl_attr_nest_start(built->message, WGPEER_A_ALLOWEDIPS);
	build_allowed_ip(built, "10.0.0.0", 8);
	mnl_attr_nest_end(built->message, ips);
	mnl_attr_nest_end(built->message, peer);
	mnl_attr_nest_end(built->message, list);
}

/* Cut at every byte, and with every byte changed: no byte beyond the message is read, which the sanitizers
 * would report, since the copy has its exact size. */
START_TEST(cut_and_changed_anywhere)
{
	struct built built;
	size_t length, refused = 0;

	build_whole(&built);
	length = built.message->nlmsg_len;
	for (size_t i = sizeof(struct nlmsghdr); i <= length; i++) {
		_cleanup_wg_peers_ struct wg_peers peers = {};
		struct nlmsghdr *copy = malloc(i);

		memcpy(copy, built.data, i);
		copy->nlmsg_len = (uint32_t)i;
		refused += wg_netlink_read(copy, &peers) < 0;
		free(copy);
	}
	ck_assert_uint_gt(refused, length / 2);
	for (size_t i = sizeof(struct nlmsghdr); i < length; i++) {
		_cleanup_wg_peers_ struct wg_peers peers = {};
		char *copy = malloc(length);

		memcpy(copy, built.data, length);
		copy[i] = (char)~copy[i];
		wg_netlink_read((void *)copy, &peers);
		free(copy);
	}
}
END_TEST

START_TEST(values_of_the_wrong_size)
{
	_cleanup_wg_peers_ struct wg_peers peers = {};
	struct nlattr *list, *peer;
	struct built built;

	build(&built, 30, sizeof(struct genlmsghdr));
	mnl_attr_put_u32(built.message, WGDEVICE_A_LISTEN_PORT, 51820);
	ck_assert_int_eq(wg_netlink_read(built.message, &peers), -EBADMSG);

	build(&built, 30, sizeof(struct genlmsghdr));
	list = mnl_attr_nest_start(built.message, WGDEVICE_A_PEERS);
	peer = build_peer(&built, 1);
	mnl_attr_put_u32(built.message, WGPEER_A_RX_BYTES, 1);
	mnl_attr_nest_end(built.message, peer);
	mnl_attr_nest_end(built.message, list);
	ck_assert_int_eq(wg_netlink_read(built.message, &peers), -EBADMSG);

	/* A peer without a key. */
	build(&built, 30, sizeof(struct genlmsghdr));
	list = mnl_attr_nest_start(built.message, WGDEVICE_A_PEERS);
	peer = mnl_attr_nest_start(built.message, 0);
	mnl_attr_put_u64(built.message, WGPEER_A_RX_BYTES, 1);
	mnl_attr_nest_end(built.message, peer);
	mnl_attr_nest_end(built.message, list);
	ck_assert_int_eq(wg_netlink_read(built.message, &peers), -EBADMSG);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("netlink_format");
	TCase *tcase = tcase_create("all");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_test(tcase, peer_in_two_messages);
	tcase_add_test(tcase, endpoints_of_ipv6);
	tcase_add_test(tcase, cut_and_changed_anywhere);
	tcase_add_test(tcase, values_of_the_wrong_size);
	suite_add_tcase(suite, tcase);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
