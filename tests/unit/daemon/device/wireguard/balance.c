/* SPDX-License-Identifier: BSD-3-Clause */
/* What the underlay did not show of a peer, window after window. */

#include "daemon/device/wireguard/balance.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

static struct wg_balance balance;
static struct wg_evidence evidence;
static bool due; /* of wg_balance_receive() */

static void setup(void)
{
	balance = (struct wg_balance){};
	evidence = (struct wg_evidence){.settled = true};
	due = true;
}

/* One window: what the tunnel counted, what the underlay showed, sent and received, and what it has shown
 * since. "tx rx" of what is missing. */
static const char *window(uint64_t tunnel_tx, uint64_t tunnel_rx, uint64_t shown_tx, uint64_t shown_rx,
			  uint64_t next_tx, uint64_t next_rx)
{
	struct wg_traffic traffic = {tunnel_tx, tunnel_rx, {.tx_bytes = shown_tx, .rx_bytes = shown_rx}};
	struct counts missing;
	static char text[64];

	evidence.next = (struct counts){.tx_bytes = next_tx, .rx_bytes = next_rx};
	wg_balance_add(&balance, &traffic);
	wg_balance_settle(&balance, &traffic, &evidence, &missing);
	ck_assert_uint_eq(missing.tx_packets + missing.rx_packets, 0);
	snprintf(text, sizeof(text), "%llu %llu", (unsigned long long)missing.tx_bytes,
		 (unsigned long long)missing.rx_bytes);
	return text;
}

START_TEST(all_is_shown)
{
	ck_assert_str_eq(window(100, 200, 100, 200, 0, 0), "0 0");
	ck_assert(balance.seen && balance.unseen == WG_SEEN);
	/* Some passed after the window's end, before the tunnel was asked. */
	ck_assert_str_eq(window(130, 260, 100, 200, 30, 60), "0 0");
	ck_assert_str_eq(window(100, 200, 130, 260, 0, 0), "0 0");
	/* Or waited for the tunnel to take them. */
	ck_assert_str_eq(window(100, 150, 100, 200, 0, 0), "0 0");
	ck_assert_str_eq(window(100, 250, 100, 200, 0, 0), "0 0");
	/* Or were sent before they were counted. */
	ck_assert_str_eq(window(80, 0, 100, 0, 0, 0), "0 0");
	ck_assert_str_eq(window(20, 0, 0, 0, 0, 0), "0 0");
	ck_assert_int_eq(balance.tx, 0);
	ck_assert_int_eq(balance.rx, 0);
}
END_TEST

START_TEST(nothing_is_shown)
{
	/* What arrived has arrived, and the peer answers. */
	ck_assert_str_eq(window(100, 200, 0, 0, 0, 0), "100 200");
	ck_assert(!balance.seen && balance.unseen == WG_UNSEEN_OTHER);
	/* From then on also if nothing is received. */
	ck_assert_str_eq(window(50, 0, 0, 0, 0, 0), "50 0");
	ck_assert_str_eq(window(0, 0, 0, 0, 0, 0), "0 0");
	ck_assert_int_eq(balance.unseen, WG_UNSEEN_OTHER);
	ck_assert_str_eq(window(50, 60, 50, 60, 0, 0), "0 0");
	ck_assert(balance.seen && balance.unseen == WG_SEEN);
}
END_TEST

START_TEST(a_part_is_shown)
{
	/* A datagram of a stranger who writes the peer's address on it takes nothing away. */
	ck_assert_str_eq(window(1000, 2000, 0, 20, 0, 0), "1000 1980");
	ck_assert(balance.seen && balance.unseen == WG_UNSEEN_OTHER);
	/* More of it than the tunnel received is all that is logged, and lasts no longer than a window. */
	ck_assert_str_eq(window(0, 2000, 0, 5000, 0, 0), "0 0");
	ck_assert_str_eq(window(0, 0, 0, 0, 0, 0), "0 0");
	ck_assert_str_eq(window(0, 700, 0, 0, 0, 0), "0 700");
}
END_TEST

START_TEST(sent_to_a_peer_that_is_dead)
{
	/* That it left is not proved. */
	ck_assert_str_eq(window(148, 0, 0, 0, 0, 0), "0 0");
	ck_assert_str_eq(window(148, 0, 0, 0, 0, 0), "0 0");
	ck_assert_int_eq(balance.unseen, WG_SEEN);
	/* It lives: what did not leave before is not counted. */
	ck_assert_str_eq(window(500, 600, 352, 600, 0, 0), "0 0");
	ck_assert_str_eq(window(100, 0, 100, 0, 0, 0), "0 0");
	ck_assert(balance.tx <= 148);
	/* Or it was alive all the time, and the underlay does not show it: all is counted. */
	setup();
	ck_assert_str_eq(window(148, 0, 0, 0, 0, 0), "0 0");
	ck_assert_str_eq(window(148, 92, 0, 0, 0, 0), "296 92");
}
END_TEST

START_TEST(by_evidence)
{
	evidence.cause = WG_UNSEEN_PORT;
	ck_assert_str_eq(window(148, 0, 0, 0, 0, 0), "148 0");
	ck_assert_int_eq(balance.unseen, WG_UNSEEN_PORT);
	/* It says why something may be missing, not that it is. */
	ck_assert_str_eq(window(148, 92, 148, 92, 0, 0), "0 0");
	ck_assert_int_eq(balance.unseen, WG_SEEN);
}
END_TEST

START_TEST(without_a_look_at_the_next_window)
{
	evidence.settled = false;
	ck_assert_str_eq(window(100, 200, 0, 0, 0, 0), "0 0");
	/* A window later it is known. */
	ck_assert_str_eq(window(10, 20, 0, 0, 0, 0), "100 200");
	evidence.settled = true;
	ck_assert_str_eq(window(0, 0, 0, 0, 0, 0), "10 20");
	evidence.settled = false;
	ck_assert_str_eq(window(100, 200, 0, 0, 0, 0), "0 0");
	ck_assert_str_eq(window(50, 50, 150, 250, 0, 0), "0 0");
}
END_TEST

START_TEST(readings_that_fail)
{
	struct wg_traffic unread = {.shown = {.tx_bytes = 100, .rx_bytes = 200}};

	wg_balance_add(&balance, &unread);
	wg_balance_add(&balance, &unread);
	ck_assert(!wg_balance_is_ahead(&balance));
	ck_assert_str_eq(window(300, 600, 100, 200, 0, 0), "0 0");
	wg_balance_add(&balance, &unread);
	ck_assert_str_eq(window(300, 600, 100, 200, 0, 0), "100 200");
}
END_TEST

START_TEST(counters_without_bounds)
{
	ck_assert_str_eq(window(UINT64_MAX, UINT64_MAX, 0, 0, 0, 0),
			 "9223372036854775807 9223372036854775807");
	ck_assert_str_eq(window(0, 0, UINT64_MAX, UINT64_MAX, 0, 0), "0 0");
	ck_assert_str_eq(window(0, 0, UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX), "0 0");
	ck_assert_str_eq(window(UINT64_MAX, UINT64_MAX, 0, 0, 0, 0), "0 0");
	ck_assert_str_eq(window(UINT64_MAX, UINT64_MAX, 0, 0, UINT64_MAX, 5), "0 9223372036854775802");
}
END_TEST

/* One window of received bytes. "logged refused waiting", each as packets/bytes. */
static const char *receive(uint64_t tunnel_rx, uint64_t packets, uint64_t bytes, bool unseen)
{
	struct wg_traffic traffic = {.tunnel_rx = tunnel_rx,
				     .shown = {.rx_packets = packets, .rx_bytes = bytes}};
	struct wg_received received;
	static char text[128];

	wg_balance_receive(&balance, &traffic, due, unseen, &received);
	traffic.shown = received.shown;
	wg_balance_add(&balance, &traffic);
	snprintf(text, sizeof(text), "%llu/%llu %llu/%llu %llu/%llu",
		 (unsigned long long)received.shown.rx_packets, (unsigned long long)received.shown.rx_bytes,
		 (unsigned long long)received.refused.rx_packets,
		 (unsigned long long)received.refused.rx_bytes,
		 (unsigned long long)balance.waiting.rx_packets,
		 (unsigned long long)balance.waiting.rx_bytes);
	return text;
}

START_TEST(received_later)
{
	ck_assert_str_eq(receive(1000, 10, 1000, false), "10/1000 0/0 0/0");
	/* Some wait in the tunnel's socket at each window's end: no stranger. */
	ck_assert_str_eq(receive(800, 10, 1000, false), "8/800 0/0 2/200");
	ck_assert_str_eq(receive(1000, 10, 1000, false), "10/1000 0/0 2/200");
	ck_assert_str_eq(receive(1200, 10, 1000, false), "12/1200 0/0 0/0");
	ck_assert_str_eq(receive(0, 1, 32, false), "0/0 0/0 1/32");
	ck_assert_str_eq(receive(32, 0, 0, false), "1/32 0/0 0/0");
	/* Or the tunnel was read later than the window ended. */
	ck_assert_str_eq(receive(1200, 10, 1000, false), "10/1000 0/0 0/0");
	ck_assert_str_eq(receive(800, 10, 1000, false), "10/1000 0/0 0/0");
	ck_assert_int_eq(balance.rx, 0);
	/* Windows so short that a busy tunnel counts only later. */
	due = false;
	ck_assert_str_eq(receive(0, 10, 1000, false), "0/0 0/0 10/1000");
	ck_assert_str_eq(receive(0, 0, 0, false), "0/0 0/0 10/1000");
	ck_assert_str_eq(receive(0, 10, 1000, false), "0/0 0/0 20/2000");
	due = true;
	ck_assert_str_eq(receive(0, 0, 0, false), "0/0 0/0 20/2000");
	ck_assert_str_eq(receive(1500, 0, 0, false), "15/1500 5/500 0/0");
}
END_TEST

START_TEST(received_from_a_stranger)
{
	/* In each window 40 datagrams of the peer's and 100 with its address. */
	ck_assert_str_eq(receive(42880, 140, 162880, false), "37/42880 0/0 103/120000");
	ck_assert_str_eq(receive(42880, 140, 162880, false), "37/42880 66/77120 140/162880");
	ck_assert_str_eq(receive(42880, 40, 42880, false), "38/42880 105/120000 37/42880");
	ck_assert_str_eq(receive(0, 0, 0, false), "0/0 37/42880 0/0");
	/* A peer of which nothing is seen, so nothing of what came was its own. */
	setup();
	ck_assert_str_eq(receive(42880, 100, 120000, true), "0/0 0/0 100/120000");
	ck_assert_str_eq(receive(42880, 0, 0, true), "0/0 100/120000 0/0");
	ck_assert_int_eq(balance.rx, 2 * 42880);
}
END_TEST

START_TEST(received_without_a_comparison)
{
	struct wg_traffic traffic = {.shown = {1, 100, 2, 200}};
	struct wg_received received;

	/* The peer was removed and made again: its counters restarted, of what it sent too. */
	wg_balance_receive(&balance, &traffic, true, false, &received);
	ck_assert(counts_equal(&received.shown, &traffic.shown) && counts_is_zero(&balance.waiting));
	balance = (struct wg_balance){.waiting = {.rx_packets = 3, .rx_bytes = 300}};
	wg_balance_accept(&balance, &traffic, &received);
	ck_assert(counts_equal(&received.shown, &(struct counts){1, 100, 5, 500}));
	ck_assert(counts_is_zero(&received.refused) && counts_is_zero(&balance.waiting));
	/* Neither end of the range. */
	setup();
	ck_assert_str_eq(receive(UINT64_MAX, 1, COUNT_MAX, false), "1/9223372036854775807 0/0 0/0");
	setup();
	ck_assert_str_eq(receive(0, COUNT_MAX, COUNT_MAX, false),
			 "0/0 0/0 9223372036854775807/9223372036854775807");
	ck_assert_str_eq(receive(1, COUNT_MAX, COUNT_MAX, false) ? "ok" : "", "ok");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("balance");
	TCase *tcase = tcase_create("all");
	SRunner *runner = srunner_create(suite);
	int failed;

	tcase_add_checked_fixture(tcase, setup, NULL);
	tcase_add_test(tcase, all_is_shown);
	tcase_add_test(tcase, nothing_is_shown);
	tcase_add_test(tcase, a_part_is_shown);
	tcase_add_test(tcase, sent_to_a_peer_that_is_dead);
	tcase_add_test(tcase, by_evidence);
	tcase_add_test(tcase, without_a_look_at_the_next_window);
	tcase_add_test(tcase, readings_that_fail);
	tcase_add_test(tcase, counters_without_bounds);
	tcase_add_test(tcase, received_later);
	tcase_add_test(tcase, received_from_a_stranger);
	tcase_add_test(tcase, received_without_a_comparison);
	suite_add_tcase(suite, tcase);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
