/* SPDX-License-Identifier: BSD-3-Clause */
/* Which devices lead to the endpoints, by the routes of a network namespace. */

#include "daemon/device/underlay/route_lookup.h"
#include "common/cleanup.h"
#include "tests/unit/daemon/net/support.h"

#include <check.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct rtnl *rtnl;
static struct route_lookup lookup;
static struct wg_peers peers;

/* A second uplink beside lan0; tun0 is the tunnel. */
static void setup(void)
{
	network_setup();
	ip("link add up0 type veth peer name up1");
	ip("link set up1 up");
	ip("link set up0 addrgenmode none");
	ip("address add 192.168.8.1/24 dev up0");
	ip("link set up0 up");
	ck_assert_int_eq(rtnl_new(&rtnl), 0);
	lookup.tunnel = if_nametoindex("tun0");
	peers.listen_port = 51820;
}

static void teardown(void)
{
	route_lookup_deinit(&lookup);
	wg_peers_deinit(&peers);
	rtnl_free(rtnl);
}

static void peer(const char *endpoint)
{
	int r = 0;
	struct wg_peer *added = wg_peers_add(&peers, &r);

	ck_assert_ptr_nonnull(added);
	ck_assert_int_eq(endpoint_parse(endpoint, &added->endpoint), 0);
}

/* The devices' names, in the order in which they were found. */
static const char *found(bool changed)
{
	_cleanup_(rtnl_addresses_deinit) struct rtnl_addresses addresses = {};
	static char text[256];
	char name[IFNAMSIZ];

	ck_assert_int_eq(rtnl_get_addresses(rtnl, 0, &addresses), 0);
	ck_assert_int_eq(route_lookup_follow(&lookup, rtnl, &peers, &addresses, changed), 0);
	text[0] = '\0';
	for (size_t i = 0; i < lookup.n_devices; i++) {
		ck_assert_ptr_nonnull(if_indextoname(lookup.devices[i], name));
		snprintf(text + strlen(text), sizeof(text) - strlen(text), "%s%s", i ? " " : "", name);
	}
	return text;
}

START_TEST(by_each_endpoints_route)
{
	peer("");
	peer("203.0.113.5:51820");
	peer("[2001:db8::5]:51820");
	ck_assert_str_eq(found(true), "");
	peer("198.51.100.5:51820");
	ip("route add 203.0.113.0/24 via 192.168.8.2 dev up0");
	ip("route add 198.51.100.0/24 via 192.168.7.2 dev lan0");
	ck_assert_str_eq(found(true), "lan0 up0");
}
END_TEST

START_TEST(not_by_the_tunnel)
{
	peer("203.0.113.5:51820");
	/* As wg-quick does: everything into the tunnel except what has the mark. */
	ip("route add default dev tun0 table 51820");
	ip("route add default via 192.168.7.2 dev lan0");
	ip("rule add not fwmark 51820 table 51820");
	peers.fwmark = 51820;
	ck_assert_str_eq(found(true), "lan0");
	ip("route del default");
	ck_assert_str_eq(found(true), "");
}
END_TEST

static bool matters(const char *text)
{
	struct prefix prefix;

	ck_assert_int_eq(prefix_parse(text, &prefix), 0);
	return route_lookup_matters(&lookup, &prefix);
}

/* Only routes to endpoints concern the tunnel. */
START_TEST(routes_that_matter)
{
	ck_assert(matters("0.0.0.0/0") && !matters("203.0.113.0/24"));
	peer("203.0.113.5:51820");
	peer("198.51.100.5:1");
	peer("[2001:db8::5]:51820");
	found(true);
	ck_assert(matters("203.0.113.0/24") && matters("203.0.113.5") && matters("200.0.0.0/5"));
	ck_assert(matters("198.51.100.0/22") && matters("2001:db8::/32") && matters("::/0"));
	ck_assert(!matters("203.0.113.6") && !matters("203.0.113.4") && !matters("204.0.0.0/8"));
	ck_assert(!matters("198.51.101.0/24") && !matters("2001:db8::6") && !matters("2001:db8:1::/48"));
}
END_TEST

START_TEST(by_every_next_hop)
{
	peer("203.0.113.5:51820");
	ip("route add 203.0.113.0/24 nexthop via 192.168.7.2 dev lan0 nexthop via 192.168.8.2 dev up0");
	found(true);
	ck_assert_uint_eq(lookup.n_devices, 2);
	ck_assert_uint_ne(lookup.devices[0], lookup.devices[1]);
}
END_TEST

START_TEST(by_source_address)
{
	peer("203.0.113.5:51820");
	ip("route add default via 192.168.7.2 dev lan0");
	ip("route add default via 192.168.8.2 dev up0 table 90");
	ip("rule add from 192.168.8.1 table 90");
	ck_assert_str_eq(found(true), "lan0 up0");
}
END_TEST

START_TEST(known_routes_are_kept_until_something_changes)
{
	peer("203.0.113.5:51820");
	ip("route add 203.0.113.0/24 via 192.168.8.2 dev up0");
	ck_assert_str_eq(found(false), "up0");
	ip("route del 203.0.113.0/24");
	ip("route add 203.0.113.0/24 via 192.168.7.2 dev lan0");
	ck_assert_str_eq(found(false), "up0");
	ck_assert_str_eq(found(true), "lan0");
	/* A new port may have other rules. */
	ip("route del 203.0.113.0/24");
	peers.listen_port = 51821;
	ck_assert_str_eq(found(false), "");
	/* A new endpoint is looked up, and so are devices for it. */
	ip("route add 198.51.100.0/24 via 192.168.7.2 dev lan0");
	peer("198.51.100.5:51820");
	ck_assert_str_eq(found(false), "lan0");
	wg_peers_deinit(&peers);
	ck_assert_str_eq(found(false), "");
}
END_TEST

/* Whoever comes will most likely come by a default route. */
START_TEST(default_routes_while_an_endpoint_is_missing)
{
	ip("route add default via 192.168.8.2 dev up0");
	ck_assert_str_eq(found(true), "");
	peer("");
	ck_assert_str_eq(found(true), "up0");
	/* Each uplink has one; of IPv6, and in halves. */
	ip("route add default via 192.168.7.2 dev lan0 table 90");
	ip("rule add from 192.168.7.1 table 90");
	ck_assert_str_eq(found(true), "up0 lan0");
	ip("rule del from 192.168.7.1 table 90");
	ip("route del default");
	ck_assert_str_eq(found(true), "");
	ip("route add 128.0.0.0/1 via 192.168.8.2 dev up0");
	ck_assert_str_eq(found(true), "up0");
	ip("route del 128.0.0.0/1");
	ip("-6 route add default dev up0");
	ck_assert_str_eq(found(true), "up0");
	/* Beside the endpoint that is known; and no longer than one is missing. */
	peer("192.168.7.9:51820");
	ck_assert_str_eq(found(true), "lan0 up0");
	wg_peers_deinit(&peers);
	peers.listen_port = 51820;
	peer("192.168.7.9:51820");
	ck_assert_str_eq(found(false), "lan0");
}
END_TEST

/* A link-local address may be on each link: only the peer's own is watched, if it is known. */
START_TEST(by_the_link_of_a_link_local_endpoint)
{
	ip("address add fe80::1/64 dev up0 nodad");
	ip("address add fe80::1/64 dev lan0 nodad");
	peer("[fe80::9]:51820");
	found(true);
	ck_assert_uint_gt(lookup.n_devices, 2);
	peers.items[0].link = if_nametoindex("up0");
	ck_assert_str_eq(found(false), "up0");
	ck_assert_uint_eq(route_lookup_device(&lookup, &peers.items[0]), if_nametoindex("up0"));
	peers.items[0].link = if_nametoindex("lan0");
	ck_assert_uint_eq(route_lookup_device(&lookup, &peers.items[0]), 0);
	ck_assert_str_eq(found(false), "lan0");
	/* One on each. */
	peer("[fe80::9]:51820");
	peers.items[1].link = if_nametoindex("up0");
	found(false);
	ck_assert_uint_eq(lookup.n_devices, 2);
}
END_TEST

START_TEST(device_of_each_endpoint)
{
	peer("192.168.7.9:51820");
	peer("203.0.113.5:51820");
	peer("");
	peer("192.168.8.9:51820");
	found(true);
	ck_assert_uint_eq(route_lookup_device(&lookup, &peers.items[0]), if_nametoindex("lan0"));
	ck_assert_uint_eq(route_lookup_device(&lookup, &peers.items[1]), 0);
	ck_assert_uint_eq(route_lookup_device(&lookup, &peers.items[2]), 0);
	ck_assert_uint_eq(route_lookup_device(&lookup, &peers.items[3]), if_nametoindex("up0"));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("route_lookup");
	TCase *tcase = tcase_create("all");
	SRunner *runner = srunner_create(suite);
	int failed;

	if (getuid() != 0) {
		puts("skipped: a network namespace of its own needs root");
		return 77;
	}
	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_set_timeout(tcase, 60);
	tcase_add_test(tcase, by_each_endpoints_route);
	tcase_add_test(tcase, not_by_the_tunnel);
	tcase_add_test(tcase, routes_that_matter);
	tcase_add_test(tcase, by_every_next_hop);
	tcase_add_test(tcase, by_source_address);
	tcase_add_test(tcase, known_routes_are_kept_until_something_changes);
	tcase_add_test(tcase, default_routes_while_an_endpoint_is_missing);
	tcase_add_test(tcase, by_the_link_of_a_link_local_endpoint);
	tcase_add_test(tcase, device_of_each_endpoint);
	suite_add_tcase(suite, tcase);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
