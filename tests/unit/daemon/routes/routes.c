/* SPDX-License-Identifier: BSD-3-Clause */
/* The effective routes over windows: what comes, goes, lingers, and where each prefix comes from. */

#include "daemon/routes/routes.h"

#include "daemon/routes/routing.h"
#include "tests/unit/daemon/record/support.h"

#include <errno.h>
#include <stdlib.h>

static struct config config;
static struct routes *routes;

static void setup(void)
{
	config = (struct config){.routes_mode = ROUTES_MODE_AUTO};
	config.routes = test_lists("100.64.0.1/10", "10.1.0.0/16 0.0.0.0/0", "192.168.1.0/24");
	test_list_add(&config.tailnet, "100.64.0.0/10");
	test_list_add(&config.tailnet_exclude, "100.115.92.0/23");
	ck_assert_int_eq(routes_new(&config, &routes), 0);
}

static void teardown(void)
{
	routes_free(routes);
	test_lists_deinit(&config.routes);
	prefix_list_deinit(&config.tailnet);
	prefix_list_deinit(&config.tailnet_exclude);
}

static bool within(const char *text)
{
	struct address address = test_address(text);

	return routing_contains(routes_current(routes), &address);
}

static bool is_node(const char *text)
{
	struct address address = test_address(text);

	return routing_is_node_address(routes_current(routes), &address);
}

static void found(const char *local_addrs, const char *routes_text, const char *tailnet_text)
{
	struct route_lists lists = test_lists(local_addrs, routes_text, "");
	struct prefix_list tailnet = {};

	test_list_add(&tailnet, tailnet_text);
	ck_assert_int_eq(routes_set_found(routes, &lists, NULL, &tailnet), 0);
	prefix_list_deinit(&tailnet);
	test_lists_deinit(&lists);
}

static void reconfigure(const char *local_addrs, const char *routes_text, const char *subnet_routes)
{
	struct route_lists lists = test_lists(local_addrs, routes_text, subnet_routes);

	ck_assert_int_eq(routes_reconfigure(routes, &lists), 0);
	test_lists_deinit(&lists);
}

/* "localAddrs 100.64.0.1/32 configured" for each, with a newline. */
static void print_entry(const struct route_entry *entry, void *userdata)
{
	char *text = userdata, prefix[PREFIX_TEXT_MAX];

	prefix_format(&entry->prefix, prefix);
	sprintf(text + strlen(text), "%s %s%s%s%s%s%s\n", route_list_name(entry->list), prefix,
		entry->origins & ROUTE_ORIGIN_CONFIGURED ? " configured" : "",
		entry->origins & ROUTE_ORIGIN_RECONFIGURED ? " reconfigured" : "",
		entry->origins & ROUTE_ORIGIN_FOUND ? " found" : "",
		entry->origins & ROUTE_ORIGIN_FOUND_PEER ? " peer" : "", entry->origins ? "" : " gone");
}

static void expect(const char *expected)
{
	char text[4096] = "";

	routes_foreach(routes, print_entry, text);
	ck_assert_str_eq(text, expected);
}

START_TEST(configured)
{
	expect("localAddrs 100.64.0.1/32 configured\n"
	       "routes 0.0.0.0/0 configured\n"
	       "routes 10.1.0.0/16 configured\n"
	       "subnetRoutes 192.168.1.0/24 configured\n"
	       "tailnet 100.64.0.0/10 configured\n");
	ck_assert_uint_eq(routes_count(routes), 5);
	ck_assert(within("100.64.0.1") && is_node("100.64.0.1"));
	ck_assert(!within("100.64.0.2"));
	ck_assert(within("10.1.255.1") && within("192.168.1.9"));
	ck_assert_uint_eq(routes_local_addrs(routes)->n, 1);
	ck_assert_uint_eq(routes_local_addrs(routes)->items[0].length, 32);
}
END_TEST

START_TEST(the_same_routing_as_long_as_nothing_changes)
{
	const struct routing *before = routes_current(routes);

	found("100.64.0.1/10", "10.1.0.0/16 10.1.2.3/16", "");
	ck_assert_ptr_eq(routes_current(routes), before);
	routes_end_window(routes);
	ck_assert_ptr_eq(routes_current(routes), before);
	expect("localAddrs 100.64.0.1/32 configured found\n"
	       "routes 0.0.0.0/0 configured\n"
	       "routes 10.1.0.0/16 configured found\n"
	       "subnetRoutes 192.168.1.0/24 configured\n"
	       "tailnet 100.64.0.0/10 configured\n");
	/* Going away as found, it is still configured. */
	found("", "", "");
	ck_assert_ptr_eq(routes_current(routes), before);
	expect("localAddrs 100.64.0.1/32 configured\n"
	       "routes 0.0.0.0/0 configured\n"
	       "routes 10.1.0.0/16 configured\n"
	       "subnetRoutes 192.168.1.0/24 configured\n"
	       "tailnet 100.64.0.0/10 configured\n");
}
END_TEST

START_TEST(a_new_peer_counts_in_the_window_in_which_it_is_found)
{
	found("", "100.64.0.7/32 10.7.0.0/16", "10.7.0.0/16");
	ck_assert(within("100.64.0.7") && is_node("100.64.0.7"));
	ck_assert(is_node("10.7.1.1"));
}
END_TEST

START_TEST(a_removed_peer_counts_until_the_window_after_has_ended)
{
	found("", "100.64.0.7/32", "172.20.0.0/16");
	routes_end_window(routes); /* window 1 */
	/* It goes in window 2, which is seen at its end. */
	found("", "", "");
	ck_assert(is_node("100.64.0.7"));
	expect("localAddrs 100.64.0.1/32 configured\n"
	       "routes 0.0.0.0/0 configured\n"
	       "routes 10.1.0.0/16 configured\n"
	       "routes 100.64.0.7/32 gone\n"
	       "subnetRoutes 192.168.1.0/24 configured\n"
	       "tailnet 100.64.0.0/10 configured\n"
	       "tailnet 172.20.0.0/16 gone\n");
	routes_end_window(routes); /* window 2 */
	ck_assert(is_node("100.64.0.7"));
	found("", "", "");
	ck_assert(is_node("100.64.0.7"));
	routes_end_window(routes); /* window 3, the one after the change */
	ck_assert(!within("100.64.0.7"));
	ck_assert_uint_eq(routes_count(routes), 5);
}
END_TEST

START_TEST(a_peer_that_comes_back_stays)
{
	found("", "100.64.0.7/32", "");
	routes_end_window(routes);
	found("", "", "");
	routes_end_window(routes);
	found("", "100.64.0.7/32", "");
	for (int i = 0; i < 5; i++)
		routes_end_window(routes);
	ck_assert(is_node("100.64.0.7"));
	/* And it lingers again when it goes again. */
	found("", "", "");
	routes_end_window(routes);
	ck_assert(is_node("100.64.0.7"));
	routes_end_window(routes);
	ck_assert(!within("100.64.0.7"));
}
END_TEST

START_TEST(reconfigured_in_place_of_configured)
{
	reconfigure("100.64.0.2", "10.2.0.0/16 10.1.0.0/16", "");
	expect("localAddrs 100.64.0.1/32 gone\n"
	       "localAddrs 100.64.0.2/32 reconfigured\n"
	       "routes 0.0.0.0/0 gone\n"
	       "routes 10.1.0.0/16 reconfigured\n"
	       "routes 10.2.0.0/16 reconfigured\n"
	       "subnetRoutes 192.168.1.0/24 gone\n"
	       "tailnet 100.64.0.0/10 configured\n");
	ck_assert(within("192.168.1.1") && within("10.2.0.1"));
	routes_end_window(routes); /* of the window with the change */
	ck_assert(within("192.168.1.1"));
	routes_end_window(routes); /* of the one after it */
	ck_assert(!within("192.168.1.1") && within("10.1.0.1") && is_node("100.64.0.2"));
	/* Found routes come on top. */
	found("100.64.0.3", "", "");
	ck_assert(is_node("100.64.0.3"));
	/* The next Reconfig replaces only what the one before set. */
	reconfigure("", "10.3.0.0/16", "");
	routes_end_window(routes);
	routes_end_window(routes);
	expect("localAddrs 100.64.0.3/32 found\n"
	       "routes 10.3.0.0/16 reconfigured\n"
	       "tailnet 100.64.0.0/10 configured\n");
}
END_TEST

START_TEST(reload_ends_reconfig)
{
	reconfigure("100.64.0.2", "", "");
	routes_end_window(routes);
	routes_end_window(routes);
	ck_assert(!within("10.1.0.1"));
	ck_assert_int_eq(routes_set_configured(routes, &config), 0);
	ck_assert(within("10.1.0.1") && within("100.64.0.2"));
	routes_end_window(routes);
	routes_end_window(routes);
	ck_assert(!within("100.64.0.2"));
	expect("localAddrs 100.64.0.1/32 configured\n"
	       "routes 0.0.0.0/0 configured\n"
	       "routes 10.1.0.0/16 configured\n"
	       "subnetRoutes 192.168.1.0/24 configured\n"
	       "tailnet 100.64.0.0/10 configured\n");
}
END_TEST

START_TEST(reload_changes_the_tailnet)
{
	prefix_list_deinit(&config.tailnet);
	test_list_add(&config.tailnet, "10.1.0.0/17");
	ck_assert_int_eq(routes_set_configured(routes, &config), 0);
	ck_assert(is_node("10.1.0.1") && !is_node("10.1.128.1") && is_node("100.64.0.1"));
	routes_end_window(routes);
	routes_end_window(routes);
	ck_assert(is_node("10.1.0.1") && !is_node("100.64.0.1"));
	test_list_add(&config.tailnet_exclude, "10.1.0.0/24");
	ck_assert_int_eq(routes_set_configured(routes, &config), 0);
	ck_assert(!is_node("10.1.0.1") && is_node("10.1.1.1"));
}
END_TEST

START_TEST(static_mode_finds_nothing)
{
	found("", "100.64.0.7/32", "172.20.0.0/16");
	config.routes_mode = ROUTES_MODE_STATIC;
	ck_assert_int_eq(routes_set_configured(routes, &config), 0);
	ck_assert(is_node("100.64.0.7"));
	routes_end_window(routes);
	routes_end_window(routes);
	ck_assert(!within("100.64.0.7"));
	found("", "100.64.0.8/32", "");
	ck_assert(!within("100.64.0.8"));
}
END_TEST

/* A route that both the kernel and a peer have is gone when neither has it. */
START_TEST(found_by_the_kernel_and_by_a_peer)
{
	struct route_lists kernel = test_lists("", "10.7.0.0/16", "");
	struct prefix_list peer = {}, none = {};
	struct route_lists nothing = {};

	test_list_add(&peer, "10.7.0.0/16");
	ck_assert_int_eq(routes_set_found(routes, &kernel, &peer, &none), 0);
	ck_assert_int_eq(routes_set_found(routes, &nothing, &peer, &none), 0);
	for (int i = 0; i < 3; i++)
		routes_end_window(routes);
	ck_assert(within("10.7.0.1"));
	ck_assert_int_eq(routes_set_found(routes, &kernel, &none, &none), 0);
	for (int i = 0; i < 3; i++)
		routes_end_window(routes);
	ck_assert(within("10.7.0.1"));
	ck_assert_int_eq(routes_set_found(routes, &nothing, &none, &none), 0);
	ck_assert(within("10.7.0.1"));
	for (int i = 0; i < 2; i++)
		routes_end_window(routes);
	ck_assert(!within("10.7.0.1"));
	prefix_list_deinit(&peer);
	test_lists_deinit(&kernel);
}
END_TEST

static void change_found(const char *came_text, const char *went_text)
{
	struct prefix_list came = {}, went = {};

	test_list_add(&came, came_text);
	test_list_add(&went, went_text);
	ck_assert_int_eq(routes_change_found(routes, &came, &went), 0);
	prefix_list_deinit(&came);
	prefix_list_deinit(&went);
}

START_TEST(single_routes_come_and_go)
{
	found("100.64.0.1/32", "10.7.0.0/16 10.8.0.0/16", "");
	change_found("10.9.0.0/16 10.9.0.0/24", "10.7.0.0/16 10.77.0.0/16");
	ck_assert(within("10.7.0.1") && within("10.8.0.1") && within("10.9.0.1"));
	for (int i = 0; i < 2; i++)
		routes_end_window(routes);
	ck_assert(!within("10.7.0.1") && within("10.8.0.1") && within("10.9.0.1"));
	/* Back before it is forgotten; what else has it keeps it. */
	reconfigure("", "10.9.0.0/16", "");
	change_found("", "10.8.0.0/16 10.9.0.0/16 10.9.0.0/24");
	routes_end_window(routes);
	change_found("10.8.0.0/16", "");
	for (int i = 0; i < 3; i++)
		routes_end_window(routes);
	ck_assert(within("10.8.0.1") && within("10.9.0.1"));
	config.routes_mode = ROUTES_MODE_STATIC;
	ck_assert_int_eq(routes_set_configured(routes, &config), 0);
	change_found("10.10.0.0/16", "");
	ck_assert(!within("10.10.0.1"));
}
END_TEST

/* subnet-route=connected */
START_TEST(static_mode_takes_the_connected_networks)
{
	struct route_lists lists = test_lists("100.64.0.1/32", "100.64.0.8/32", "172.20.0.0/16");

	config.routes_mode = ROUTES_MODE_STATIC;
	ck_assert_int_eq(routes_set_configured(routes, &config), 0);
	ck_assert_int_eq(routes_set_found(routes, &lists, NULL, NULL), 0);
	ck_assert(!within("100.64.0.8") && within("172.20.0.1"));
	test_lists_deinit(&lists);
}
END_TEST

/* Without a window nothing can be in flight. */
START_TEST(a_change_while_stopped_is_over_at_the_start)
{
	reconfigure("100.64.0.2", "", "");
	routes_begin(routes);
	ck_assert(!within("10.1.0.1") && within("100.64.0.2"));
	expect("localAddrs 100.64.0.2/32 reconfigured\n"
	       "tailnet 100.64.0.0/10 configured\n");
}
END_TEST

START_TEST(a_half_that_comes_makes_a_default_route)
{
	found("", "0.0.0.0/1", "");
	ck_assert(within("8.8.8.8"));
	found("", "0.0.0.0/1 128.0.0.0/1", "");
	ck_assert(!within("8.8.8.8") && !within("200.0.0.1"));
}
END_TEST

/* --- random sequences of changes against a simple model of the last windows --- */

#define PREFIXES 12

START_TEST(random_changes)
{
	uint64_t state = (uint64_t)_i;
	/* By prefix: the last window in which it was there for some time. */
	int last[PREFIXES];

	for (int i = 0; i < PREFIXES; i++)
		last[i] = -9;
	for (int window = 0; window < 400; window++) {
		struct route_lists lists = {};

		for (int i = 0; i < PREFIXES; i++) {
			struct prefix prefix = {.length = 24};

			if (test_random(&state) % 3)
				continue;
			prefix.address = address_ipv4((uint8_t[4]){10, 200, (uint8_t)i, 0});
			ck_assert_int_eq(prefix_list_add(&lists.routes, &prefix), 0);
			last[i] = window;
		}
		/* Read at the end of the window, and again at the start of the next: the same. */
		ck_assert_int_eq(routes_set_found(routes, &lists, NULL, NULL), 0);
		for (int i = 0; i < PREFIXES; i++) {
			struct address address = address_ipv4((uint8_t[4]){10, 200, (uint8_t)i, 1});

			/* Gone at the end of window w means: there at its start, and until w + 1 has ended.
			 */
			ck_assert_msg(
				routing_contains(routes_current(routes), &address) == (window - last[i] <= 2),
				"window %d, prefix %d, last there at the end of %d", window, i, last[i]);
		}
		routes_end_window(routes);
		ck_assert_int_eq(routes_set_found(routes, &lists, NULL, NULL), 0);
		test_lists_deinit(&lists);
	}
}
END_TEST

START_TEST(found_routes_mean_more_together)
{
	found("10.9.0.2/32",
	      "10.9.0.0/24 0.0.0.0/5 8.0.0.0/7 11.0.0.0/8 12.0.0.0/6 16.0.0.0/4 32.0.0.0/3 64.0.0.0/2 128.0.0.0/1",
	      "");
	ck_assert(is_node("10.9.0.7"));
	ck_assert(!within("203.0.113.7"));
	ck_assert(within("192.168.1.7")); /* configured */
	ck_assert_uint_eq(routes_count_of(routes, ROUTE_LIST_TAILNET), 2);
	/* What was found lingers, with what it meant. */
	found("10.9.0.2/32", "", "");
	routes_end_window(routes);
	ck_assert(is_node("10.9.0.7"));
	ck_assert(!within("203.0.113.7"));
	routes_end_window(routes);
	ck_assert(!is_node("10.9.0.7"));
	/* What the configuration says counts as it says it. */
	reconfigure("", "0.0.0.0/2 64.0.0.0/2 128.0.0.0/2", "");
	ck_assert(within("129.0.0.1"));
	ck_assert(!within("203.0.113.7"));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("routes");
	TCase *cases = tcase_create("routes");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(cases, setup, teardown);
	tcase_add_test(cases, configured);
	tcase_add_test(cases, the_same_routing_as_long_as_nothing_changes);
	tcase_add_test(cases, a_new_peer_counts_in_the_window_in_which_it_is_found);
	tcase_add_test(cases, a_removed_peer_counts_until_the_window_after_has_ended);
	tcase_add_test(cases, a_peer_that_comes_back_stays);
	tcase_add_test(cases, reconfigured_in_place_of_configured);
	tcase_add_test(cases, reload_ends_reconfig);
	tcase_add_test(cases, reload_changes_the_tailnet);
	tcase_add_test(cases, static_mode_finds_nothing);
	tcase_add_test(cases, found_by_the_kernel_and_by_a_peer);
	tcase_add_test(cases, single_routes_come_and_go);
	tcase_add_test(cases, static_mode_takes_the_connected_networks);
	tcase_add_test(cases, a_change_while_stopped_is_over_at_the_start);
	tcase_add_test(cases, a_half_that_comes_makes_a_default_route);
	tcase_add_loop_test(cases, random_changes, 0, 3);
	tcase_add_test(cases, found_routes_mean_more_together);
	suite_add_tcase(suite, cases);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
