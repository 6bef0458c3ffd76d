/* Counters of peers: whose come and go, when, and under which names. */
/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Counters of peers, as somebody sees them who reads them after every window, or now and then, as Prometheus
 * does: whatever peers come, go, move and change their names, nothing is counted twice and nothing is missed.
 */

#include "daemon/logger/peer_memory.h"
#include "daemon/record/nodes.h"
#include "tests/unit/daemon/logger/peer_traffic_support.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

/* A window with this traffic alone. */
static void pass(size_t peer, uint64_t tx, uint64_t rx)
{
	begin_window();
	add(peer, tx, rx);
	end_window(5 * SECOND);
}

static const struct peer_sample *find(const struct peer_samples *samples, const char *label)
{
	for (size_t i = 0; i < samples->n; i++)
		if (strcmp(samples->items[i].label, label) == 0)
			return &samples->items[i];
	ck_abort_msg("%s is not shown", label);
	abort();
}

static void expect_shown(const char *labels)
{
	_cleanup_(peer_samples_unrefp) struct peer_samples *samples = peer_traffic_sample(traffic);
	char text[1024] = "";

	if (!samples)
		abort();
	for (size_t i = 0; i < samples->n; i++) {
		strcat(text, i ? ", " : "");
		strcat(text, samples->items[i].label);
	}
	ck_assert_str_eq(text, labels);
}

static void expect_direct(const char *label, uint64_t tx, uint64_t rx)
{
	_cleanup_(peer_samples_unrefp) struct peer_samples *samples = peer_traffic_sample(traffic);
	const struct peer_sample *peer;

	ck_assert_ptr_nonnull(samples);
	peer = find(samples, label);
	ck_assert_uint_eq(peer->counts[DEVICE_PATH_DIRECT].tx_bytes, tx);
	ck_assert_uint_eq(peer->counts[DEVICE_PATH_DIRECT].rx_bytes, rx);
}

static void expect_other(uint64_t tx, uint64_t rx)
{
	_cleanup_(peer_samples_unrefp) struct peer_samples *samples = peer_traffic_sample(traffic);

	ck_assert_ptr_nonnull(samples);
	ck_assert_uint_eq(samples->other[DEVICE_PATH_DIRECT].tx_bytes, tx);
	ck_assert_uint_eq(samples->other[DEVICE_PATH_DIRECT].rx_bytes, rx);
}

START_TEST(peers_have_counters_and_the_rest_has_one)
{
	peer_traffic_set_max(traffic, 2);
	have(3);
	begin_window();
	end_window(0);
	expect_shown("peer000, peer001");
	begin_window();
	add(0, 10, 1);
	add(1, 20, 2);
	add(2, 30, 3);
	end_window(5 * SECOND);
	expect_direct("peer000", 10, 1);
	expect_direct("peer001", 20, 2);
	expect_other(30, 3);
}
END_TEST

/* Nothing is counted until who is shown is decided again. */
static void pass_a_turn(void)
{
	begin_window();
	end_window(TURN);
}

START_TEST(counters_come_and_go_a_turn_apart_from_their_traffic)
{
	peer_traffic_set_max(traffic, 1);
	have(2);
	begin_window();
	end_window(0);
	expect_shown("peer000");
	pass(0, 10, 0);
	pass(1, 1000, 0);
	expect_shown("peer000"); /* it is not time yet */
	pass_a_turn();
	expect_shown("peer000, peer001");
	/* Neither counts. */
	pass(0, 1, 0);
	pass(1, 1, 0);
	expect_direct("peer000", 10, 0);
	expect_direct("peer001", 0, 0);
	expect_other(1002, 0);
	pass_a_turn();
	expect_shown("peer001");
	pass(1, 7, 0);
	expect_direct("peer001", 7, 0);
	pass(0, 2, 0);
	expect_other(1004, 0);
}
END_TEST

START_TEST(after_an_hour_traffic_is_forgotten)
{
	peer_traffic_set_max(traffic, 1);
	have(2);
	now = 12 * 300 * SECOND;
	begin_window();
	end_window(0);
	pass(1, 100, 0);
	pass_a_turn();
	pass_a_turn();
	expect_shown("peer001");
	begin_window();
	end_window(47 * MINUTE);
	pass(0, 50, 0);
	/* 55 minutes later it still counts. */
	pass_a_turn();
	pass_a_turn();
	expect_shown("peer001");
	/* An hour later it does not. */
	begin_window();
	end_window(5 * MINUTE);
	expect_shown("peer000, peer001");
	pass_a_turn();
	expect_shown("peer000");
}
END_TEST

START_TEST(of_equals_who_is_shown_stays)
{
	peer_traffic_set_max(traffic, 1);
	have(2);
	begin_window();
	end_window(0);
	pass(1, 100, 0);
	pass_a_turn();
	pass_a_turn();
	expect_shown("peer001");
	begin_window();
	end_window(120 * MINUTE);
	pass_a_turn();
	expect_shown("peer001");
}
END_TEST

START_TEST(a_counter_that_comes_back_goes_on)
{
	peer_traffic_set_max(traffic, 1);
	have(2);
	begin_window();
	end_window(0);
	pass(0, 100, 0);
	pass(1, 1000, 0);
	pass_a_turn();
	pass_a_turn();
	expect_shown("peer001");
	expect_other(1000, 0); /* not 1100: the 100 have been read already */
	pass(0, 5000, 0);
	pass_a_turn();
	expect_direct("peer000", 100, 0);
	pass_a_turn();
	expect_shown("peer000");
	pass(0, 1, 0);
	expect_direct("peer000", 101, 0);
	expect_other(6000, 0);
}
END_TEST

START_TEST(a_peer_that_comes_later_waits_for_its_counter)
{
	peer_traffic_set_max(traffic, 10);
	have(1);
	begin_window();
	end_window(0);
	have(2);
	pass(1, 3, 0);
	expect_shown("peer000");
	expect_other(3, 0);
	pass_a_turn();
	expect_shown("peer000, peer001");
	pass(1, 4, 0);
	expect_other(7, 0);
	pass_a_turn();
	pass(1, 5, 0);
	expect_direct("peer001", 5, 0);
}
END_TEST

/* It is shown at once, but somebody has read already that there was nothing. */
START_TEST(a_tunnel_that_comes_later)
{
	peer_traffic_set_max(traffic, 10);
	peer_traffic_follow(traffic, NULL, NULL);
	end_window(0);
	have(1);
	begin_window();
	end_window(SECOND);
	expect_shown("peer000");
	pass(0, 3, 0);
	expect_direct("peer000", 0, 0);
	expect_other(3, 0);
	pass_a_turn();
	pass(0, 4, 0);
	expect_direct("peer000", 4, 0);
}
END_TEST

START_TEST(paths_have_counters_of_their_own)
{
	_cleanup_(peer_samples_unrefp) struct peer_samples *samples = NULL;
	const struct peer_sample *peer;

	peer_traffic_set_max(traffic, 10);
	have(2);
	fake.peers[1].path = DEVICE_PATH_DERP;
	fake.peers[1].last_handshake = WALL;
	strcpy(fake.peers[1].via, "fra");
	begin_window();
	end_window(0);
	pass(1, 3, 0);
	fake.peers[1].path = DEVICE_PATH_DIRECT;
	fake.peers[1].via[0] = '\0';
	pass(1, 4, 0);
	/* Nobody has had this path before. */
	fake.peers[0].path = DEVICE_PATH_RELAY;
	pass(0, 1, 2);
	pass_a_turn();
	pass_a_turn();
	pass(0, 5, 6);
	samples = peer_traffic_sample(traffic);
	peer = find(samples, "peer001");
	ck_assert_int_eq(peer->path, DEVICE_PATH_DIRECT);
	ck_assert_str_eq(peer->via, "");
	ck_assert_uint_eq(peer->counts[DEVICE_PATH_DERP].tx_bytes, 3);
	ck_assert_uint_eq(peer->counts[DEVICE_PATH_DIRECT].tx_bytes, 4);
	ck_assert(!peer->has[DEVICE_PATH_UNKNOWN]);
	peer = find(samples, "peer000");
	/* It has never answered. */
	ck_assert_int_eq(peer->path, DEVICE_PATH_UNKNOWN);
	ck_assert_uint_eq(peer->counts[DEVICE_PATH_RELAY].rx_bytes, 6);
	ck_assert_uint_eq(samples->other[DEVICE_PATH_RELAY].rx_bytes, 2);
	/* It may go there next. */
	ck_assert(peer->has[DEVICE_PATH_DERP]);
}
END_TEST

START_TEST(names_differ_and_ids_are_added_only_where_they_do_not)
{
	peer_traffic_set_max(traffic, 10);
	strcpy(fake.peers[0].name, "gate");
	strcpy(fake.peers[1].name, "gate");
	strcpy(fake.peers[2].name, "other");
	strcpy(fake.peers[3].name, "gate (id000)");
	/* What cannot be shown makes no difference. */
	strcpy(fake.peers[5].name, "a\x01");
	strcpy(fake.peers[6].name, "a\xff");
	have(7);
	begin_window();
	end_window(0);
	expect_shown("gate (id000), gate (id001), other (id002), gate (id000) (id003), peer004, a? (id005), "
		     "a? (id006)");
}
END_TEST

START_TEST(a_peer_has_the_name_of_its_node)
{
	json_t *object = json_pack("{s:[{s:s,s:s,s:[s]}]}", "nodes", "nodeId", "n1", "name", "laptop",
				   "addresses", "100.64.0.1");
	_cleanup_(nodes_unrefp) struct nodes *nodes = NULL;
	struct node_refusal refusal = {};

	ck_assert_int_eq(nodes_new_json(object, &nodes, &refusal), 0);
	json_decref(object);
	peer_traffic_set_max(traffic, 10);
	have(2);
	begin_window();
	end_window(0);
	expect_shown("peer000, peer001");
	pass(1, 8, 0);
	expect_direct("peer001", 8, 0);
	peer_traffic_follow(traffic, &fake.device, nodes);
	/* Its counter is another one now, which begins at zero; the old one stays for a turn. */
	end_window(TURN);
	expect_shown("peer000, laptop, peer001");
	expect_direct("peer001", 8, 0);
	expect_direct("laptop", 0, 0);
	end_window(TURN);
	expect_shown("peer000, laptop");
}
END_TEST

START_TEST(who_comes_back_goes_on)
{
	peer_traffic_set_max(traffic, 10);
	have(2);
	begin_window();
	end_window(0);
	pass(1, 8, 0);
	fake.peers[1].present = false;
	fake.identities++;
	begin_window();
	add(1, 1, 0);
	end_window(5 * SECOND);
	expect_shown("peer000, peer001");
	have(2);
	pass(1, 2, 0);
	expect_shown("peer000, peer001");
	expect_direct("peer001", 10, 0);
}
END_TEST

START_TEST(a_name_is_not_that_of_another_one_at_once)
{
	peer_traffic_set_max(traffic, 10);
	have(2);
	begin_window();
	end_window(0);
	pass(0, 7, 0);
	pass(1, 8, 0);
	strcpy(fake.peers[0].name, "peer001");
	strcpy(fake.peers[1].name, "peer000");
	fake.identities++;
	pass(0, 100, 0);
	expect_direct("peer000", 7, 0);
	expect_direct("peer001", 8, 0);
	pass_a_turn();
	expect_direct("peer000", 7, 0);
	pass_a_turn();
	expect_direct("peer001", 0, 0);
	pass_a_turn();
	pass(0, 200, 0);
	expect_direct("peer001", 200, 0);
	expect_direct("peer000", 0, 0);
	expect_other(100, 0);
}
END_TEST

START_TEST(an_id_twice_is_one_peer)
{
	peer_traffic_set_max(traffic, 10);
	have(3);
	strcpy(fake.peers[2].id, "id000");
	begin_window();
	end_window(0);
	expect_shown("peer000, peer001");
	pass(2, 9, 0);
	expect_direct("peer000", 9, 0);
}
END_TEST

START_TEST(ids_that_cannot_be_told_apart_are_the_rest)
{
	peer_traffic_set_max(traffic, 10);
	have(2);
	strcpy(fake.peers[1].id, "a (b");
	begin_window();
	end_window(0);
	expect_shown("peer000");
}
END_TEST

START_TEST(this_node_is_no_peer)
{
	_cleanup_(peer_memory_freep) struct peer_memory *memory = NULL;
	struct peer_numbers numbers;

	ck_assert_int_eq(peer_memory_new(&memory), 0);
	peer_traffic_set_max(traffic, 10);
	have(2);
	fake.peers[0].self = true;
	begin_window();
	end_window(0);
	expect_shown("peer001");
	numbers = peer_traffic_numbers(traffic, memory);
	ck_assert_uint_eq(numbers.silent[DEVICE_PATH_UNKNOWN], 1);
	/* The tunnel's list is longer than that of its peers, and yet it is the same. */
	pass(1, 1, 0);
	expect_shown("peer001");
}
END_TEST

START_TEST(active_and_silent_by_path)
{
	_cleanup_(peer_memory_freep) struct peer_memory *memory = NULL;
	struct peer_numbers numbers;

	have(5);
	fake.peers[0].last_handshake = WALL - 179 * SECOND;
	fake.peers[1].last_handshake = WALL - 180 * SECOND;
	fake.peers[2].last_seen = WALL - SECOND;
	fake.peers[2].path = DEVICE_PATH_DERP;
	fake.peers[4].path = DEVICE_PATH_UNKNOWN;
	ck_assert_int_eq(peer_memory_new(&memory), 0);
	peer_memory_read(memory, &fake.device, WALL, now);
	begin_window();
	numbers = peer_traffic_numbers(traffic, memory);
	ck_assert_uint_eq(numbers.active[DEVICE_PATH_DIRECT], 1);
	/* From peer 3 nothing has come by its endpoint so far. */
	ck_assert_uint_eq(numbers.silent[DEVICE_PATH_DIRECT], 1);
	ck_assert_uint_eq(numbers.active[DEVICE_PATH_DERP], 1);
	ck_assert_uint_eq(numbers.silent[DEVICE_PATH_UNKNOWN], 2);
}
END_TEST

START_TEST(traffic_of_nobody_is_the_rest)
{
	_cleanup_(peer_samples_unrefp) struct peer_samples *samples = NULL;

	peer_traffic_set_max(traffic, 10);
	have(1);
	begin_window();
	end_window(0);
	pass(5, 11, 12);
	samples = peer_traffic_sample(traffic);
	ck_assert_uint_eq(samples->other[DEVICE_PATH_UNKNOWN].tx_bytes, 11);
	ck_assert_uint_eq(samples->other[DEVICE_PATH_UNKNOWN].rx_bytes, 12);
}
END_TEST

START_TEST(a_peer_without_an_address_has_its_network)
{
	const struct address network = address_ipv4((uint8_t[4]){10, 1, 0, 0});

	peer_traffic_set_max(traffic, 10);
	have(1);
	fake.peers[0].prefix = (struct prefix){.address = network, .length = 16};
	fake.peers[0].source = network;
	begin_window();
	end_window(0);
	peer_traffic_add(traffic, &network, &(struct counts){.tx_bytes = 4});
	expect_direct("peer000", 4, 0);
}
END_TEST

/* A peer to which everything goes. */
START_TEST(entries_without_a_source_are_of_the_only_peer_that_has_none)
{
	const struct address none = {};
	const struct prefix everything = {.address.family = ADDRESS_IPV4};

	peer_traffic_set_max(traffic, 10);
	have(3);
	fake.peers[0].prefix = everything;
	begin_window();
	end_window(0);
	peer_traffic_add(traffic, &none, &(struct counts){.tx_bytes = 4});
	expect_direct("peer000", 4, 0);
	/* Of two, nobody knows whose. */
	fake.peers[1].prefix = everything;
	fake.identities++;
	begin_window();
	peer_traffic_add(traffic, &none, &(struct counts){.tx_bytes = 8});
	expect_direct("peer000", 4, 0);
	expect_direct("peer001", 0, 0);
}
END_TEST

START_TEST(none_are_shown_if_none_are_wanted)
{
	have(3);
	begin_window();
	end_window(0);
	ck_assert_ptr_null(peer_traffic_sample(traffic));
	peer_traffic_set_max(traffic, 3);
	begin_window();
	end_window(TURN);
	expect_shown("peer000, peer001, peer002");
	peer_traffic_set_max(traffic, 0);
	ck_assert_ptr_null(peer_traffic_sample(traffic));
}
END_TEST

START_TEST(a_tunnel_that_is_gone_leaves_its_counters)
{
	peer_traffic_set_max(traffic, 10);
	have(1);
	begin_window();
	end_window(0);
	pass(0, 5, 0);
	peer_traffic_follow(traffic, NULL, NULL);
	end_window(5 * SECOND);
	expect_direct("peer000", 5, 0);
}
END_TEST

START_TEST(a_sample_outlives_what_it_was_taken_from)
{
	struct peer_samples *samples, *second;

	peer_traffic_set_max(traffic, 10);
	have(1);
	begin_window();
	end_window(0);
	samples = peer_traffic_sample(traffic);
	second = peer_samples_ref(samples);
	fake.peers[0].present = false;
	fake.identities++;
	begin_window();
	end_window(0);
	peer_samples_unref(samples);
	ck_assert_str_eq(second->items[0].label, "peer000");
	ck_assert(!second->items[0].gone);
	peer_samples_unref(second);
	begin_window();
	end_window(TURN);
	end_window(TURN);
	expect_shown("");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("peer_traffic");
	TCase *tcase = tcase_create("peer_traffic");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tcase, set_up, tear_down);
	tcase_add_test(tcase, peers_have_counters_and_the_rest_has_one);
	tcase_add_test(tcase, counters_come_and_go_a_turn_apart_from_their_traffic);
	tcase_add_test(tcase, after_an_hour_traffic_is_forgotten);
	tcase_add_test(tcase, a_peer_that_comes_later_waits_for_its_counter);
	tcase_add_test(tcase, a_tunnel_that_comes_later);
	tcase_add_test(tcase, of_equals_who_is_shown_stays);
	tcase_add_test(tcase, a_counter_that_comes_back_goes_on);
	tcase_add_test(tcase, paths_have_counters_of_their_own);
	tcase_add_test(tcase, names_differ_and_ids_are_added_only_where_they_do_not);
	tcase_add_test(tcase, a_peer_has_the_name_of_its_node);
	tcase_add_test(tcase, who_comes_back_goes_on);
	tcase_add_test(tcase, a_name_is_not_that_of_another_one_at_once);
	tcase_add_test(tcase, an_id_twice_is_one_peer);
	tcase_add_test(tcase, ids_that_cannot_be_told_apart_are_the_rest);
	tcase_add_test(tcase, this_node_is_no_peer);
	tcase_add_test(tcase, active_and_silent_by_path);
	tcase_add_test(tcase, traffic_of_nobody_is_the_rest);
	tcase_add_test(tcase, a_peer_without_an_address_has_its_network);
	tcase_add_test(tcase, entries_without_a_source_are_of_the_only_peer_that_has_none);
	tcase_add_test(tcase, none_are_shown_if_none_are_wanted);
	tcase_add_test(tcase, a_tunnel_that_is_gone_leaves_its_counters);
	tcase_add_test(tcase, a_sample_outlives_what_it_was_taken_from);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
