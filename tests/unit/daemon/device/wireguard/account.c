/* SPDX-License-Identifier: BSD-3-Clause */
/* How far the peers' counters moved, and events, by a clock that the test sets. */

#include "daemon/device/wireguard/account.h"
#include "common/time_text.h"

#include <check.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOW (1000 * NSEC_PER_SEC)

static struct wg_account *account;
static struct wg_peers reading;
static char log_text[65536];

static void setup(void)
{
	ck_assert_int_eq(wg_account_new(&account), 0);
}

static void teardown(void)
{
	wg_account_free(account);
	wg_peers_deinit(&reading);
}

static void peer(uint8_t key, const char *endpoint, uint64_t tx, uint64_t rx, int64_t handshake)
{
	struct prefix prefix = {.address = {.family = ADDRESS_IPV4, .bytes = {100, 64, 0, key}},
				.length = 32};
	int r = 0;
	struct wg_peer *added = wg_peers_add(&reading, &r);

	ck_assert_ptr_nonnull(added);
	memset(added->public_key, key, sizeof(added->public_key));
	ck_assert_int_eq(endpoint_parse(endpoint, &added->endpoint), 0);
	added->tx_bytes = tx;
	added->rx_bytes = rx;
	added->last_handshake = handshake;
	if (key != 255)
		ck_assert_int_eq(wg_peers_add_allowed_ip(&reading, added, &prefix), 0);
}

static int write_change(const struct wg_change *change, void *userdata)
{
	char text[ENDPOINT_TEXT_MAX];

	(void)userdata;
	if (!change->tx_bytes && !change->rx_bytes)
		return 0;
	endpoint_format(&change->endpoint, text);
	snprintf(log_text + strlen(log_text), sizeof(log_text) - strlen(log_text), "%d %s %llu %llu;",
		 change->peer->public_key[0], text, (unsigned long long)change->tx_bytes,
		 (unsigned long long)change->rx_bytes);
	return 0;
}

static const char *step(int64_t now)
{
	log_text[0] = '\0';
	wg_peers_sort(&reading);
	ck_assert_int_eq(wg_account_step(account, &reading, now, write_change, NULL), 0);
	return log_text;
}

/* "1 100.64.0.1 moved 192.0.2.1:1 192.0.2.2:1;", the key by its first byte. */
static void write_event(const struct device_event *event, void *userdata)
{
	static const char *const types[] = {"active", "moved", "silent", "omitted"};
	char address[ADDRESS_TEXT_MAX], from[ENDPOINT_TEXT_MAX], to[ENDPOINT_TEXT_MAX];

	(void)userdata;
	address_format(&event->address, address);
	endpoint_format(&event->from_endpoint, from);
	endpoint_format(&event->endpoint, to);
	if (event->type == DEVICE_EVENT_OMITTED) {
		snprintf(log_text + strlen(log_text), sizeof(log_text) - strlen(log_text), "%s %llu;",
			 types[event->type], (unsigned long long)event->n);
		return;
	}
	ck_assert_int_eq(strncmp(event->id, event->name, DEVICE_PEER_SHORT), 0);
	ck_assert_uint_eq(strlen(event->id), 44);
	ck_assert_uint_eq(strlen(event->name), DEVICE_PEER_SHORT);
	ck_assert(!event->named);
	ck_assert_int_eq(event->path,
			 event->endpoint.address.family ? DEVICE_PATH_DIRECT : DEVICE_PATH_UNKNOWN);
	snprintf(log_text + strlen(log_text), sizeof(log_text) - strlen(log_text), "%d %s%s%s%s%s%s%s;",
		 event->public_key[0], address, *address ? " " : "", types[event->type], *from ? " " : "",
		 from, *to ? " " : "", to);
}

static const char *events(void)
{
	log_text[0] = '\0';
	wg_account_events(account, NULL, write_event, NULL);
	return log_text;
}

static void baseline(void)
{
	wg_peers_sort(&reading);
	ck_assert_int_eq(wg_account_baseline(account, &reading, 5000 * NSEC_PER_SEC, NOW), 0);
}

START_TEST(differences)
{
	peer(1, "192.0.2.1:1", 1000, 2000, 0);
	peer(2, "192.0.2.2:1", 500, 500, 0);
	baseline();
	peer(1, "192.0.2.1:1", 1010, 2020, 0);
	peer(2, "192.0.2.2:1", 500, 500, 0);
	ck_assert_str_eq(step(NOW + 1), "1 192.0.2.1:1 10 20;");
	/* Backwards: that peer is another one, so its other counter began at zero too. And a new peer. */
	peer(1, "192.0.2.1:1", 7, 2021, 0);
	peer(2, "192.0.2.2:1", 500, 3, 0);
	peer(3, "192.0.2.3:1", 30, 0, 0);
	ck_assert_str_eq(step(NOW + 2), "1 192.0.2.1:1 7 2021;2 192.0.2.2:1 500 3;3 192.0.2.3:1 30 0;");
	/* Removed: its last bytes are lost. Added again: from zero. */
	peer(1, "192.0.2.1:1", 7, 2021, 0);
	ck_assert_str_eq(step(NOW + 3), "");
	peer(1, "192.0.2.1:1", 7, 2021, 0);
	peer(3, "192.0.2.3:1", 31, 0, 0);
	ck_assert_str_eq(step(NOW + 4), "3 192.0.2.3:1 31 0;");
}
END_TEST

/* Removed and added again between two readings; its counters have passed their old values. */
START_TEST(recreated)
{
	peer(1, "192.0.2.1:1", 100, 200, 4000);
	baseline();
	peer(1, "192.0.2.1:1", 150, 250, 0);
	ck_assert_str_eq(step(NOW + 1), "1 192.0.2.1:1 150 250;");
	peer(1, "192.0.2.1:1", 160, 260, 4001);
	ck_assert_str_eq(step(NOW + 2), "1 192.0.2.1:1 10 10;");
	peer(1, "192.0.2.1:1", 170, 270, 4002);
	ck_assert_str_eq(step(NOW + 3), "1 192.0.2.1:1 10 10;");
}
END_TEST

START_TEST(moved_endpoint)
{
	peer(1, "192.0.2.1:1", 0, 0, 0);
	baseline();
	peer(1, "198.51.100.1:9", 5, 0, 0);
	ck_assert_str_eq(step(NOW + 1), "1 198.51.100.1:9 5 0;");
	/* Without an endpoint (the interface was down) it keeps its last one. */
	peer(1, "", 6, 0, 0);
	ck_assert_str_eq(step(NOW + 2), "1 198.51.100.1:9 1 0;");
}
END_TEST

START_TEST(interrupted_reading_forgets_nobody)
{
	peer(1, "192.0.2.1:1", 1000, 0, 0);
	peer(2, "192.0.2.2:1", 2000, 0, 0);
	baseline();
	peer(2, "192.0.2.2:1", 2002, 0, 0);
	reading.interrupted = true;
	ck_assert_str_eq(step(NOW + 1), "2 192.0.2.2:1 2 0;");
	peer(1, "192.0.2.1:1", 1001, 0, 0);
	peer(2, "192.0.2.2:1", 2002, 0, 0);
	ck_assert_str_eq(step(NOW + 2), "1 192.0.2.1:1 1 0;");
	ck_assert_uint_eq(wg_account_peers(account)->n, 2);
}
END_TEST

START_TEST(peer_events)
{
	int64_t silent = WG_SILENT_AFTER_SECONDS * NSEC_PER_SEC;

	/* 1 had a handshake 100 s ago: active, without an event. 2 never had one. */
	peer(1, "192.0.2.1:1", 0, 0, 4900 * NSEC_PER_SEC);
	peer(2, "", 0, 0, 0);
	baseline();
	ck_assert_str_eq(events(), "");
	peer(1, "192.0.2.1:1", 0, 0, 0);
	peer(2, "192.0.2.2:5", 148, 92, 0);
	step(NOW + NSEC_PER_SEC);
	ck_assert_str_eq(events(), "2 100.64.0.2 active 192.0.2.2:5;");
	ck_assert_str_eq(events(), "");
	/* 1 falls silent 180 s after its handshake, 2 moves. */
	peer(1, "192.0.2.1:1", 0, 0, 0);
	peer(2, "[2001:db8::2]:5", 148, 93, 0);
	step(NOW + 80 * NSEC_PER_SEC);
	ck_assert_str_eq(events(), "1 100.64.0.1 silent 192.0.2.1:1;"
				   "2 100.64.0.2 moved 192.0.2.2:5 [2001:db8::2]:5;");
	/* Sending alone does not make a peer active. */
	peer(1, "192.0.2.1:1", 10000, 0, 0);
	peer(2, "[2001:db8::2]:5", 148, 93, 0);
	step(NOW + 80 * NSEC_PER_SEC + silent - 1);
	ck_assert_str_eq(events(), "");
	peer(1, "192.0.2.1:1", 10000, 0, 0);
	peer(2, "[2001:db8::2]:5", 148, 93, 0);
	step(NOW + 80 * NSEC_PER_SEC + silent);
	ck_assert_str_eq(events(), "2 100.64.0.2 silent [2001:db8::2]:5;");
}
END_TEST

START_TEST(peer_without_an_address_is_named_by_its_key)
{
	baseline();
	peer(255, "192.0.2.1:1", 1, 1, 0);
	step(NOW + 1);
	ck_assert_str_eq(events(), "255 active 192.0.2.1:1;");
}
END_TEST

START_TEST(events_are_bounded)
{
	size_t n = 0;

	baseline();
	for (unsigned int i = 0; i < WG_EVENTS_MAX + 20; i++) {
		peer(1, "192.0.2.1:1", 0, 0, 0);
		wg_peers_deinit(&reading);
		peer(1, i % 2 ? "192.0.2.1:1" : "192.0.2.1:2", 0, i + 1, 0);
		step(NOW + i);
	}
	events();
	for (const char *c = log_text; *c; c++)
		n += *c == ';';
	ck_assert_uint_eq(n, WG_EVENTS_MAX + 1);
	ck_assert_ptr_nonnull(strstr(log_text, "omitted 20;"));
	ck_assert_str_eq(events(), "");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("account");
	TCase *tcase = tcase_create("all");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tcase, setup, teardown);
	tcase_add_test(tcase, differences);
	tcase_add_test(tcase, recreated);
	tcase_add_test(tcase, moved_endpoint);
	tcase_add_test(tcase, interrupted_reading_forgets_nobody);
	tcase_add_test(tcase, peer_events);
	tcase_add_test(tcase, peer_without_an_address_is_named_by_its_key);
	tcase_add_test(tcase, events_are_bounded);
	suite_add_tcase(suite, tcase);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
