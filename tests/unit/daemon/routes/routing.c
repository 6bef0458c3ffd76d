/* SPDX-License-Identifier: BSD-3-Clause */
/* Routing against every sentence of the contract, and against a simple model with random prefixes. */

#include "daemon/routes/routing.h"

#include "tests/unit/daemon/record/support.h"

#include <stdlib.h>

static const char *const tailnet_text = "100.64.0.0/10 fd7a:115c:a1e0::/48";
static const char *const exclude_text = "100.115.92.0/23";

static struct routing *make(const char *local_addrs, const char *routes, const char *subnet_routes)
{
	struct route_lists lists = test_lists(local_addrs, routes, subnet_routes);
	struct prefix_list tailnet = {}, exclude = {};
	struct routing *routing = NULL;

	test_list_add(&tailnet, tailnet_text);
	test_list_add(&exclude, exclude_text);
	ck_assert_int_eq(routing_new(&lists, &tailnet, &exclude, &routing), 0);
	prefix_list_deinit(&tailnet);
	prefix_list_deinit(&exclude);
	test_lists_deinit(&lists);
	return routing;
}

static bool within(const struct routing *routing, const char *text)
{
	struct address address = test_address(text);

	return routing_contains(routing, &address);
}

static bool is_node(const struct routing *routing, const char *text)
{
	struct address address = test_address(text);

	return routing_is_node_address(routing, &address);
}

static const char *class_of(const struct routing *routing, const char *src, const char *dst)
{
	struct connection connection = test_connection(src, dst, 6);

	return traffic_class_name(routing_classify(routing, &connection));
}

START_TEST(single_addresses_of_any_list)
{
	_cleanup_(routing_freep) struct routing *routing =
		make("100.64.0.1/32 fd7a:115c:a1e0::1/128", "100.64.0.2/32", "10.0.0.9");

	ck_assert(within(routing, "100.64.0.1"));
	ck_assert(within(routing, "100.64.0.2"));
	ck_assert(within(routing, "10.0.0.9"));
	ck_assert(within(routing, "fd7a:115c:a1e0::1"));
	ck_assert(!within(routing, "100.64.0.0"));
	ck_assert(!within(routing, "100.64.0.3"));
	ck_assert(!within(routing, "10.0.0.8"));
	ck_assert(!within(routing, "10.0.0.10"));
	ck_assert(!within(routing, "fd7a:115c:a1e0::2"));
	ck_assert(!within(routing, ""));
}
END_TEST

START_TEST(prefixes_of_routes_and_subnet_routes)
{
	_cleanup_(routing_freep) struct routing *routing =
		make("", "10.1.0.0/16 2001:db8::/32", "192.168.7.0/24 10.1.2.0/24");

	ck_assert(within(routing, "10.1.0.0"));
	ck_assert(within(routing, "10.1.255.255"));
	ck_assert(within(routing, "10.1.2.3"));
	ck_assert(within(routing, "192.168.7.255"));
	ck_assert(within(routing, "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff"));
	ck_assert(!within(routing, "10.0.255.255"));
	ck_assert(!within(routing, "10.2.0.0"));
	ck_assert(!within(routing, "192.168.8.0"));
	ck_assert(!within(routing, "2001:db9::"));
	ck_assert(!within(routing, "2001:db7:ffff:ffff:ffff:ffff:ffff:ffff"));
}
END_TEST

START_TEST(the_ends_of_the_address_space)
{
	_cleanup_(routing_freep) struct routing *routing =
		make("0.0.0.0 ::", "255.255.255.0/24 ffff::/16 128.0.0.0/1", "");

	ck_assert(within(routing, "0.0.0.0"));
	ck_assert(!within(routing, "0.0.0.1"));
	ck_assert(within(routing, "255.255.255.255"));
	ck_assert(within(routing, "128.0.0.0"));
	ck_assert(!within(routing, "127.255.255.255"));
	ck_assert(within(routing, "::"));
	ck_assert(!within(routing, "::1"));
	ck_assert(within(routing, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"));
	ck_assert(!within(routing, "fffe:ffff:ffff:ffff:ffff:ffff:ffff:ffff"));
}
END_TEST

START_TEST(a_local_address_stands_for_itself_alone)
{
	_cleanup_(routing_freep) struct routing *routing = make("10.9.8.7/8 fd00::5/64 172.16.0.1/0", "", "");

	ck_assert(within(routing, "10.9.8.7"));
	ck_assert(within(routing, "fd00::5"));
	ck_assert(within(routing, "172.16.0.1"));
	ck_assert(!within(routing, "10.9.8.6"));
	ck_assert(!within(routing, "10.0.0.0"));
	ck_assert(!within(routing, "fd00::"));
	ck_assert(!within(routing, "172.16.0.2"));
}
END_TEST

START_TEST(a_default_route_is_not_within)
{
	_cleanup_(routing_freep) struct routing *routing = make("", "0.0.0.0/0 ::/0", "0.0.0.0/0 ::/0");

	ck_assert(!within(routing, "0.0.0.0"));
	ck_assert(!within(routing, "8.8.8.8"));
	ck_assert(!within(routing, "2001:db8::1"));
	ck_assert_str_eq(class_of(routing, "8.8.8.8:1", "[2001:db8::1]:2"), "exit");
}
END_TEST

START_TEST(halves_of_a_default_route)
{
	_cleanup_(routing_freep) struct routing *both = make("", "0.0.0.0/1 128.0.0.0/1 8000::/1 ::/1", "");
	_cleanup_(routing_freep) struct routing *apart = make("", "0.0.0.0/1 ::/1", "128.0.0.0/1 8000::/1");
	_cleanup_(routing_freep) struct routing *lower = make("", "0.0.0.0/1 8000::/1", "");
	_cleanup_(routing_freep) struct routing *mixed =
		make("", "0.0.0.0/1 8000::/1 10.0.0.0/8", "128.0.0.0/1");
	/* As a local address it is a single address and no half of anything. */
	_cleanup_(routing_freep) struct routing *local = make("128.0.0.0/1", "0.0.0.0/1", "");

	ck_assert(!within(both, "1.1.1.1") && !within(both, "200.1.1.1"));
	ck_assert(!within(both, "2001:db8::1") && !within(both, "fd00::1"));
	ck_assert(!within(apart, "1.1.1.1") && !within(apart, "200.1.1.1"));
	ck_assert(!within(apart, "2001:db8::1") && !within(apart, "fd00::1"));
	ck_assert(within(lower, "1.1.1.1") && !within(lower, "200.1.1.1"));
	ck_assert(!within(lower, "2001:db8::1") && within(lower, "fd00::1"));
	ck_assert(!within(mixed, "1.1.1.1") && !within(mixed, "200.1.1.1"));
	ck_assert(within(mixed, "10.1.1.1") && within(mixed, "fd00::1"));
	ck_assert(within(local, "1.1.1.1") && within(local, "128.0.0.0") && !within(local, "128.0.0.1"));
}
END_TEST

START_TEST(node_addresses)
{
	_cleanup_(routing_freep) struct routing *routing =
		make("100.64.0.1", "100.64.0.0/10 10.0.0.0/8 fd7a:115c:a1e0::/48", "");

	ck_assert(is_node(routing, "100.64.0.1"));
	ck_assert(is_node(routing, "100.127.255.255"));
	ck_assert(is_node(routing, "fd7a:115c:a1e0::53"));
	/* within the routes, but not in the tailnet or taken out of it */
	ck_assert(!is_node(routing, "10.0.0.1") && within(routing, "10.0.0.1"));
	ck_assert(!is_node(routing, "100.115.92.0") && within(routing, "100.115.92.0"));
	ck_assert(!is_node(routing, "100.115.93.255") && within(routing, "100.115.93.255"));
	ck_assert(is_node(routing, "100.115.91.255"));
	ck_assert(is_node(routing, "100.115.94.0"));
	/* in neither */
	ck_assert(!is_node(routing, "100.128.0.0"));
	ck_assert(!is_node(routing, "fd7a:115c:a1e1::"));
	ck_assert(!is_node(routing, ""));
}
END_TEST

START_TEST(in_the_tailnet_but_not_within_the_routes)
{
	_cleanup_(routing_freep) struct routing *routing = make("100.64.0.1", "100.64.0.2", "");

	ck_assert(!is_node(routing, "100.64.0.3"));
	ck_assert_str_eq(class_of(routing, "100.64.0.1:1", "100.64.0.2:2"), "virtual");
	ck_assert_str_eq(class_of(routing, "100.64.0.1:1", "100.64.0.3:2"), "exit");
}
END_TEST

START_TEST(classes)
{
	_cleanup_(routing_freep) struct routing *routing =
		make("100.64.0.1", "100.64.0.2 fd7a:115c:a1e0::2 172.16.0.0/12 0.0.0.0/0", "192.168.0.0/16");

	ck_assert_str_eq(class_of(routing, "100.64.0.1:1", "100.64.0.2:2"), "virtual");
	ck_assert_str_eq(class_of(routing, "100.64.0.2:1", "100.64.0.2:2"), "virtual");
	ck_assert_str_eq(class_of(routing, "100.64.0.1:1", "[fd7a:115c:a1e0::2]:2"), "virtual");
	ck_assert_str_eq(class_of(routing, "100.64.0.1:1", "172.16.0.1:2"), "subnet");
	ck_assert_str_eq(class_of(routing, "192.168.3.4:1", "100.64.0.2:2"), "subnet");
	ck_assert_str_eq(class_of(routing, "192.168.3.4:1", "172.31.0.1:2"), "subnet");
	ck_assert_str_eq(class_of(routing, "192.168.3.4:1", "8.8.8.8:2"), "subnet");
	ck_assert_str_eq(class_of(routing, "8.8.8.8:1", "192.168.3.4:2"), "subnet");
	ck_assert_str_eq(class_of(routing, "100.64.0.1:1", "8.8.8.8:2"), "exit");
	ck_assert_str_eq(class_of(routing, "8.8.8.8:1", "100.64.0.1:2"), "exit");
	ck_assert_str_eq(class_of(routing, "8.8.8.8:1", "9.9.9.9:2"), "exit");
	ck_assert_str_eq(class_of(routing, "", ""), "exit");
	ck_assert_str_eq(class_of(routing, "", "172.16.0.1:2"), "subnet");
	ck_assert_str_eq(class_of(routing, "100.64.0.1:1", ""), "exit");
}
END_TEST

START_TEST(mapped_is_ipv6)
{
	_cleanup_(routing_freep) struct routing *routing =
		make("100.64.0.1", "10.0.0.0/8 ::ffff:11.0.0.0/104", "");

	ck_assert(within(routing, "10.0.0.1"));
	ck_assert(!within(routing, "::ffff:10.0.0.1"));
	ck_assert(!within(routing, "11.0.0.1"));
	ck_assert(within(routing, "::ffff:11.0.0.1"));
	ck_assert(!is_node(routing, "::ffff:100.64.0.1"));
}
END_TEST

START_TEST(nothing_is_within_nothing)
{
	struct route_lists lists = {};
	_cleanup_(routing_freep) struct routing *routing = NULL;

	ck_assert_int_eq(routing_new(&lists, NULL, NULL, &routing), 0);
	ck_assert(!within(routing, "0.0.0.0") && !within(routing, "::"));
	ck_assert_ptr_null(traffic_class_name(N_CLASSES));
	ck_assert_str_eq(traffic_class_name(CLASS_PHYSICAL), "physical");
}
END_TEST

/* --- a simple model: the sentences of the contract, one after the other --- */

struct model {
	struct route_lists lists;
	struct prefix_list tailnet, exclude;
};

static bool has_half(const struct model *model, uint8_t family, uint8_t bit)
{
	const struct prefix_list *both[] = {&model->lists.routes, &model->lists.subnet_routes};

	for (size_t i = 0; i < 2; i++)
		for (size_t j = 0; j < both[i]->n; j++)
			if (both[i]->items[j].length == 1 && both[i]->items[j].address.family == family &&
			    (both[i]->items[j].address.bytes[0] & 0x80) == bit)
				return true;
	return false;
}

static bool model_in(const struct prefix_list *list, const struct address *address)
{
	for (size_t i = 0; i < list->n; i++)
		if (prefix_contains(&list->items[i], address))
			return true;
	return false;
}

static bool model_in_routes(const struct model *model, const struct prefix_list *list,
			    const struct address *address)
{
	for (size_t i = 0; i < list->n; i++) {
		const struct prefix *prefix = &list->items[i];
		uint8_t family = prefix->address.family;

		if (prefix->length == 0)
			continue;
		if (prefix->length == 1 && has_half(model, family, 0) && has_half(model, family, 0x80))
			continue;
		if (prefix_contains(prefix, address))
			return true;
	}
	return false;
}

static bool model_within(const struct model *model, const struct address *address)
{
	for (size_t i = 0; i < model->lists.local_addrs.n; i++)
		if (address_compare(&model->lists.local_addrs.items[i].address, address) == 0)
			return true;
	return model_in_routes(model, &model->lists.routes, address) ||
	       model_in_routes(model, &model->lists.subnet_routes, address);
}

static bool model_node(const struct model *model, const struct address *address)
{
	return model_within(model, address) && model_in(&model->tailnet, address) &&
	       !model_in(&model->exclude, address);
}

/* Few values, so that prefixes meet, nest and adjoin. */
static struct address random_address(uint64_t *state)
{
	uint64_t random = test_random(state);
	static const uint8_t values[] = {0, 1, 127, 128, 254, 255, 64, 10};
	struct address address = {.family = random & 1 ? ADDRESS_IPV4 : ADDRESS_IPV6};

	for (unsigned int i = 0; i < address_bits(&address) / 8; i++)
		address.bytes[i] = values[random >> (1 + 3 * i) & 7];
	return address;
}

static void random_list(struct prefix_list *list, size_t n, uint64_t *state)
{
	for (size_t i = 0; i < n; i++) {
		struct prefix prefix = {.address = random_address(state)};

		prefix.length = (uint8_t)(test_random(state) % (address_bits(&prefix.address) + 1));
		ck_assert_int_eq(prefix_list_add(list, &prefix), 0);
	}
}

static void compare(const struct model *model, const struct routing *routing, const struct address *address)
{
	char text[ADDRESS_TEXT_MAX];

	address_format(address, text);
	ck_assert_msg(routing_contains(routing, address) == model_within(model, address), "within: %s", text);
	ck_assert_msg(routing_is_node_address(routing, address) == model_node(model, address), "node: %s",
		      text);
}

/* The address itself and its neighbours on either side. */
static void compare_around(const struct model *model, const struct routing *routing, struct address address)
{
	unsigned int last = address_bits(&address) / 8 - 1;

	compare(model, routing, &address);
	address.bytes[last]++;
	compare(model, routing, &address);
	address.bytes[last] = (uint8_t)(address.bytes[last] - 2);
	compare(model, routing, &address);
}

static void compare_list(const struct model *model, const struct routing *routing,
			 const struct prefix_list *list)
{
	for (size_t i = 0; i < list->n; i++) {
		struct prefix masked = prefix_masked(&list->items[i]);

		compare_around(model, routing, masked.address);
		compare_around(model, routing, list->items[i].address);
	}
}

static void compare_random(uint64_t state)
{
	size_t n = test_random(&state) % 30;
	struct model model = {};
	_cleanup_(routing_freep) struct routing *routing = NULL;

	random_list(&model.lists.local_addrs, n / 3, &state);
	random_list(&model.lists.routes, n, &state);
	random_list(&model.lists.subnet_routes, n / 2, &state);
	random_list(&model.tailnet, 1 + n / 5, &state);
	random_list(&model.exclude, n / 7, &state);
	ck_assert_int_eq(routing_new(&model.lists, &model.tailnet, &model.exclude, &routing), 0);

	compare_list(&model, routing, &model.lists.local_addrs);
	compare_list(&model, routing, &model.lists.routes);
	compare_list(&model, routing, &model.lists.subnet_routes);
	compare_list(&model, routing, &model.tailnet);
	compare_list(&model, routing, &model.exclude);
	for (int i = 0; i < 200; i++)
		compare_around(&model, routing, random_address(&state));

	prefix_list_deinit(&model.tailnet);
	prefix_list_deinit(&model.exclude);
	test_lists_deinit(&model.lists);
}

START_TEST(random_prefixes_as_the_model_says)
{
	for (uint64_t seed = 0; seed < 50; seed++)
		compare_random(seed + 1000 * (uint64_t)_i);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("classify");
	TCase *sentences = tcase_create("sentences"), *model = tcase_create("model");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_test(sentences, single_addresses_of_any_list);
	tcase_add_test(sentences, prefixes_of_routes_and_subnet_routes);
	tcase_add_test(sentences, the_ends_of_the_address_space);
	tcase_add_test(sentences, a_local_address_stands_for_itself_alone);
	tcase_add_test(sentences, a_default_route_is_not_within);
	tcase_add_test(sentences, halves_of_a_default_route);
	tcase_add_test(sentences, node_addresses);
	tcase_add_test(sentences, in_the_tailnet_but_not_within_the_routes);
	tcase_add_test(sentences, classes);
	tcase_add_test(sentences, mapped_is_ipv6);
	tcase_add_test(sentences, nothing_is_within_nothing);
	tcase_add_loop_test(model, random_prefixes_as_the_model_says, 0, 4);
	suite_add_tcase(suite, sentences);
	suite_add_tcase(suite, model);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
