/* SPDX-License-Identifier: BSD-3-Clause */
/* The names that the logger uses, as a device's peers and the operator's nodes change. */

#include "daemon/logger/naming.h"
#include "daemon/device/device.h"
#include "tests/unit/daemon/record/support.h"

#include <stdlib.h>
#include <string.h>

/* A device with one peer. */
static struct fake {
	struct device device;
	uint64_t identities;
	const char *name;
	unsigned int asked; /* how often its peers were */
} fake;

static struct naming naming;

static uint64_t fake_identities(struct device *device)
{
	return ((struct fake *)device)->identities;
}

static void fake_foreach_peer(struct device *device,
			      void (*peer)(const struct device_peer *peer, void *userdata), void *userdata)
{
	struct fake *state = (struct fake *)device;
	struct prefix_list allowed = {};

	state->asked++;
	test_list_add(&allowed, "100.64.0.2/32 fd7a::2/128");
	peer(&(struct device_peer){.id = "key", .name = state->name, .named = true, .allowed_ips = &allowed},
	     userdata);
	prefix_list_deinit(&allowed);
}

static void no_peer(struct device *device, void (*peer)(const struct device_peer *peer, void *userdata),
		    void *userdata)
{
	(void)device;
	(void)peer;
	(void)userdata;
}

/* It has lost an address. */
static void smaller_peer(struct device *device, void (*peer)(const struct device_peer *peer, void *userdata),
			 void *userdata)
{
	struct fake *state = (struct fake *)device;
	struct prefix_list allowed = {};

	test_list_add(&allowed, "100.64.0.2/32");
	peer(&(struct device_peer){.id = "key", .name = state->name, .named = true, .allowed_ips = &allowed},
	     userdata);
	prefix_list_deinit(&allowed);
}

static const struct device_ops ops_gone = {.identities = fake_identities, .foreach_peer = no_peer};
static const struct device_ops ops_smaller = {.identities = fake_identities, .foreach_peer = smaller_peer};
static const struct device_ops ops = {.identities = fake_identities, .foreach_peer = fake_foreach_peer};
static const struct device_ops without = {.foreach_peer = fake_foreach_peer};

static struct nodes *operators_nodes(const char *text)
{
	struct node_refusal refusal = {};
	json_t *json = json_loads(text, 0, NULL);
	struct nodes *nodes;

	ck_assert_int_eq(nodes_new_json(json, &nodes, &refusal), 0);
	json_decref(json);
	return nodes;
}

static const char *name_of(const char *text)
{
	struct address address = test_address(text);
	const struct node *node = nodes_find_address(naming.nodes, &address);

	return node ? node->name : NULL;
}

static void setup(void)
{
	fake = (struct fake){.device = {.ops = &ops}, .identities = 1, .name = "laptop"};
}

static void teardown(void)
{
	naming_deinit(&naming);
}

START_TEST(peers_are_asked_for_when_they_have_changed)
{
	naming_follow(&naming, &fake.device, true);
	ck_assert_str_eq(name_of("100.64.0.2"), "laptop");
	ck_assert_str_eq(name_of("fd7a::2"), "laptop");
	fake.name = "phone";
	naming_follow(&naming, &fake.device, true);
	ck_assert_str_eq(name_of("100.64.0.2"), "laptop");
	ck_assert_uint_eq(fake.asked, 1);
	fake.identities = 2;
	naming_follow(&naming, &fake.device, true);
	ck_assert_str_eq(name_of("100.64.0.2"), "phone");
	/* A device that is waited for keeps its peers; another one at its place is asked. */
	naming_follow(&naming, NULL, true);
	ck_assert_str_eq(name_of("100.64.0.2"), "phone");
	fake.name = "tablet";
	naming_forget_device(&naming);
	naming_follow(&naming, &fake.device, true);
	ck_assert_str_eq(name_of("100.64.0.2"), "tablet");
	ck_assert_uint_eq(fake.asked, 3);
	/* Its peers are not to be known any more, or another device has none. */
	naming_follow(&naming, &fake.device, false);
	ck_assert_ptr_null(naming.nodes);
	naming_follow(&naming, &fake.device, true);
	ck_assert_uint_eq(nodes_count(naming.nodes), 1);
	fake.device.ops = &without;
	naming_follow(&naming, &fake.device, true);
	ck_assert_ptr_null(naming.nodes);
	ck_assert_uint_eq(fake.asked, 4);
}
END_TEST

START_TEST(the_operators_nodes_are_below)
{
	struct nodes *first =
		operators_nodes("{\"nodes\":[{\"nodeId\":\"n1\",\"name\":\"Anna\",\"addresses\":"
				"[\"fd7a::2\"]},{\"nodeId\":\"n2\",\"addresses\":[\"100.64.0.9\"]}]}");
	struct nodes *second =
		operators_nodes("{\"nodes\":[{\"nodeId\":\"n3\",\"name\":\"Eva\",\"addresses\":"
				"[\"100.64.0.2\"]}]}");

	naming_follow(&naming, &fake.device, true);
	ck_assert_ptr_null(naming_set_named(&naming, first, &fake.device, true));
	ck_assert_str_eq(name_of("100.64.0.2"), "Anna");
	ck_assert_uint_eq(nodes_count(naming.nodes), 2);
	/* The caller gets back what is not used any more. */
	ck_assert_ptr_eq(naming_set_named(&naming, second, &fake.device, true), first);
	ck_assert_str_eq(nodes_find_id(first, "n1")->name, "Anna");
	nodes_unref(first);
	ck_assert_str_eq(name_of("fd7a::2"), "Eva");
	ck_assert_uint_eq(nodes_count(naming.nodes), 1);
	ck_assert_ptr_eq(naming_set_named(&naming, NULL, &fake.device, true), second);
	nodes_unref(second);
	ck_assert_str_eq(name_of("fd7a::2"), "laptop");
}
END_TEST

START_TEST(this_node_without_anybodys_word)
{
	struct prefix_list addresses = {};
	const struct node *self;

	ck_assert_ptr_null(naming_self(&naming, NULL, &addresses, true));
	test_list_add(&addresses, "100.64.0.1/32 fe80::1/64 fd7a::1/64");
	self = naming_self(&naming, "gate", &addresses, true);
	ck_assert_str_eq(
		self->json,
		"{\"nodeId\":\"gate\",\"name\":\"gate\",\"addresses\":[\"100.64.0.1\",\"fd7a::1\"]}");
	/* It is made again only when something has changed. */
	ck_assert_ptr_eq(naming_self(&naming, "gate", &addresses, true)->json, self->json);
	addresses.n = 1;
	ck_assert_str_eq(naming_self(&naming, "gate", &addresses, true)->json,
			 "{\"nodeId\":\"gate\",\"name\":\"gate\",\"addresses\":[\"100.64.0.1\"]}");
	ck_assert_str_eq(naming_self(&naming, "hub", NULL, true)->json,
			 "{\"nodeId\":\"hub\",\"name\":\"hub\"}");
	prefix_list_deinit(&addresses);
}
END_TEST

static const char *json_in_window(const char *text)
{
	_cleanup_(nodes_unrefp) struct nodes *nodes = naming_of_window(&naming);
	struct address address = test_address(text);
	const struct node *node = nodes_find_address(nodes, &address);
	static char json[256];

	if (!node)
		return NULL;
	ck_assert_uint_lt(nodes_number(nodes, node), nodes_numbers(nodes));
	snprintf(json, sizeof(json), "%s", node->json);
	return json;
}

/* Until the window's end, in which its traffic is logged. */
START_TEST(peers_that_go_are_known)
{
	static const char whole[] =
		"{\"nodeId\":\"key\",\"name\":\"laptop\",\"addresses\":[\"100.64.0.2\",\"fd7a::2\"]}";
	struct nodes *taken =
		operators_nodes("{\"nodes\":[{\"nodeId\":\"n1\",\"addresses\":[\"fd7a::2\"]}]}");

	naming_follow(&naming, &fake.device, true);
	naming_begin_window(&naming);
	ck_assert_str_eq(json_in_window("fd7a::2"), whole);
	fake.device.ops = &ops_smaller;
	fake.identities++;
	naming_follow(&naming, &fake.device, true);
	ck_assert_ptr_null(name_of("fd7a::2"));
	ck_assert_str_eq(json_in_window("fd7a::2"), whole);
	ck_assert_str_eq(json_in_window("100.64.0.2"), whole);
	fake.device.ops = &ops_gone;
	fake.identities++;
	naming_follow(&naming, &fake.device, true);
	ck_assert_uint_eq(nodes_count(naming.nodes), 0);
	ck_assert_str_eq(json_in_window("fd7a::2"), whole);
	naming_begin_window(&naming);
	ck_assert_ptr_null(json_in_window("fd7a::2"));
	/* One that has taken the address has it. */
	fake.device.ops = &ops;
	fake.identities++;
	naming_follow(&naming, &fake.device, true);
	naming_begin_window(&naming);
	ck_assert_ptr_null(naming_set_named(&naming, taken, &fake.device, true));
	naming_begin_window(&naming);
	fake.device.ops = &ops_gone;
	fake.identities++;
	naming_follow(&naming, &fake.device, true);
	ck_assert_str_eq(json_in_window("fd7a::2"), "{\"nodeId\":\"n1\",\"addresses\":"
						    "[\"fd7a::2\",\"100.64.0.2\"]}");
}
END_TEST

/* Its other addresses are its own too, unless they are another node's. */
START_TEST(this_node_by_the_operators_word)
{
	struct prefix_list addresses = {};
	struct nodes *nodes = operators_nodes(
		"{\"nodes\":[{\"nodeId\":\"n1\",\"name\":\"Anna\",\"os\":\"linux\",\"addresses\":"
		"[\"fd7a::9\",\"100.64.0.1\"]},{\"nodeId\":\"gate\",\"tags\":[\"a\"]},"
		"{\"nodeId\":\"n3\",\"addresses\":[\"100.64.0.3\"]}]}");

	test_list_add(&addresses, "100.64.0.1/24 100.64.0.1/32 fe80::1/64 fd7a::1/64 100.64.0.3/32");
	ck_assert_str_eq(naming_self(&naming, "hub", &addresses, true)->name, "hub");
	ck_assert_ptr_null(naming_set_named(&naming, nodes, &fake.device, true));
	ck_assert_str_eq(naming_self(&naming, "hub", &addresses, true)->json,
			 "{\"nodeId\":\"n1\",\"name\":\"Anna\",\"addresses\":"
			 "[\"fd7a::9\",\"100.64.0.1\",\"fd7a::1\"],\"os\":\"linux\"}");
	ck_assert_str_eq(
		naming_self(&naming, "hub", &addresses, false)->json,
		"{\"nodeId\":\"n1\",\"name\":\"Anna\",\"addresses\":[\"fd7a::9\",\"100.64.0.1\"],\"os\":\"linux\"}");
	ck_assert_str_eq(naming_self(&naming, NULL, &addresses, true)->id, "n1");
	ck_assert_str_eq(naming_self(&naming, "gate", &addresses, true)->json,
			 "{\"nodeId\":\"gate\",\"addresses\":[\"fd7a::1\"],\"tags\":[\"a\"]}");
	nodes_unref(naming_set_named(&naming, NULL, &fake.device, true));
	ck_assert_ptr_null(naming_self(&naming, NULL, &addresses, true));
	prefix_list_deinit(&addresses);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("naming");
	TCase *cases = tcase_create("naming");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(cases, setup, teardown);
	tcase_add_test(cases, peers_are_asked_for_when_they_have_changed);
	tcase_add_test(cases, the_operators_nodes_are_below);
	tcase_add_test(cases, this_node_without_anybodys_word);
	tcase_add_test(cases, peers_that_go_are_known);
	tcase_add_test(cases, this_node_by_the_operators_word);
	suite_add_tcase(suite, cases);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
