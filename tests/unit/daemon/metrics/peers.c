/* SPDX-License-Identifier: BSD-3-Clause */
/* Metrics of single peers, to the letter. */

#include "daemon/metrics/peers.h"

#include "common/buffer.h"
#include "common/time_text.h"
#include "daemon/logger/peer_traffic.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static struct buffer text;
static struct peer_samples *samples;

static void set_up(void)
{
	samples = calloc(1, sizeof(*samples) + 2 * sizeof(samples->items[0]));
	ck_assert_ptr_nonnull(samples);
	samples->references = 1;
}

static void tear_down(void)
{
	peer_samples_unref(samples);
	buffer_deinit(&text);
}

static void expect(const char *part)
{
	ck_assert_msg(strstr(text.data, part), "%s\nis not in\n%s", part, text.data);
}

static void write_all(void)
{
	metrics_write_peers(&text, samples);
	buffer_append_char(&text, '\0');
	ck_assert_int_eq(buffer_error(&text), 0);
}

START_TEST(nothing_of_no_peers)
{
	metrics_write_peers(&text, NULL);
	ck_assert_uint_eq(text.length, 0);
}
END_TEST

START_TEST(the_rest_alone)
{
	samples->other[DEVICE_PATH_DIRECT] = (struct counts){1, 2, 3, 4};
	samples->withdrawn = (struct counts){5, 6, 7, 8};
	write_all();
	ck_assert_str_eq(
		text.data,
		"# HELP netlogd_peer_traffic_packets_total Packets of physical traffic by peer; other: all peers not shown.\n"
		"# TYPE netlogd_peer_traffic_packets_total counter\n"
		"netlogd_peer_traffic_packets_total{peer=\"other\",path=\"unknown\",direction=\"tx\"} 0\n"
		"netlogd_peer_traffic_packets_total{peer=\"other\",path=\"unknown\",direction=\"rx\"} 0\n"
		"netlogd_peer_traffic_packets_total{peer=\"other\",path=\"direct\",direction=\"tx\"} 1\n"
		"netlogd_peer_traffic_packets_total{peer=\"other\",path=\"direct\",direction=\"rx\"} 3\n"
		"netlogd_peer_traffic_packets_total{peer=\"other\",path=\"derp\",direction=\"tx\"} 0\n"
		"netlogd_peer_traffic_packets_total{peer=\"other\",path=\"derp\",direction=\"rx\"} 0\n"
		"netlogd_peer_traffic_packets_total{peer=\"other\",path=\"relay\",direction=\"tx\"} 0\n"
		"netlogd_peer_traffic_packets_total{peer=\"other\",path=\"relay\",direction=\"rx\"} 0\n"
		"# HELP netlogd_peer_traffic_bytes_total Bytes of physical traffic by peer; other: all peers not shown.\n"
		"# TYPE netlogd_peer_traffic_bytes_total counter\n"
		"netlogd_peer_traffic_bytes_total{peer=\"other\",path=\"unknown\",direction=\"tx\"} 0\n"
		"netlogd_peer_traffic_bytes_total{peer=\"other\",path=\"unknown\",direction=\"rx\"} 0\n"
		"netlogd_peer_traffic_bytes_total{peer=\"other\",path=\"direct\",direction=\"tx\"} 2\n"
		"netlogd_peer_traffic_bytes_total{peer=\"other\",path=\"direct\",direction=\"rx\"} 4\n"
		"netlogd_peer_traffic_bytes_total{peer=\"other\",path=\"derp\",direction=\"tx\"} 0\n"
		"netlogd_peer_traffic_bytes_total{peer=\"other\",path=\"derp\",direction=\"rx\"} 0\n"
		"netlogd_peer_traffic_bytes_total{peer=\"other\",path=\"relay\",direction=\"tx\"} 0\n"
		"netlogd_peer_traffic_bytes_total{peer=\"other\",path=\"relay\",direction=\"rx\"} 0\n"
		"# HELP netlogd_peer_traffic_withdrawn_packets Packets of counters that were shown once and are not now.\n"
		"# TYPE netlogd_peer_traffic_withdrawn_packets gauge\n"
		"netlogd_peer_traffic_withdrawn_packets{direction=\"tx\"} 5\n"
		"netlogd_peer_traffic_withdrawn_packets{direction=\"rx\"} 7\n"
		"# HELP netlogd_peer_traffic_withdrawn_bytes Bytes of counters that were shown once and are not now.\n"
		"# TYPE netlogd_peer_traffic_withdrawn_bytes gauge\n"
		"netlogd_peer_traffic_withdrawn_bytes{direction=\"tx\"} 6\n"
		"netlogd_peer_traffic_withdrawn_bytes{direction=\"rx\"} 8\n"
		"# HELP netlogd_peer_last_handshake_timestamp_seconds When the peer last completed a handshake.\n"
		"# TYPE netlogd_peer_last_handshake_timestamp_seconds gauge\n"
		"# HELP netlogd_peer_path How the peer is reached: 1 for the path in use, with the relay's region.\n"
		"# TYPE netlogd_peer_path gauge\n");
}
END_TEST

START_TEST(peers_by_path)
{
	struct peer_sample *peer = &samples->items[0];

	samples->n = 2;
	strcpy(peer->label, "laptop");
	peer->path = DEVICE_PATH_DERP;
	strcpy(peer->via, "fra");
	peer->last_handshake = INT64_C(1700000000123456789);
	peer->has[DEVICE_PATH_DIRECT] = peer->has[DEVICE_PATH_DERP] = true;
	peer->counts[DEVICE_PATH_DERP].tx_bytes = 10;
	peer->counts[DEVICE_PATH_DIRECT].rx_bytes = 11;
	strcpy(samples->items[1].label, "a \"b\"");
	write_all();
	expect("{peer=\"laptop\",path=\"direct\",direction=\"tx\"} 0\n");
	expect("_bytes_total{peer=\"laptop\",path=\"direct\",direction=\"rx\"} 11\n");
	expect("_bytes_total{peer=\"laptop\",path=\"derp\",direction=\"tx\"} 10\n");
	ck_assert_ptr_null(strstr(text.data, "{peer=\"laptop\",path=\"relay\",direction"));
	expect("netlogd_peer_last_handshake_timestamp_seconds{peer=\"laptop\"} 1700000000.123\n");
	/* It has never had one. */
	ck_assert_ptr_null(strstr(text.data, "timestamp_seconds{peer=\"a"));
	expect("netlogd_peer_path{peer=\"laptop\",path=\"unknown\"} 0\n"
	       "netlogd_peer_path{peer=\"laptop\",path=\"direct\"} 0\n"
	       "netlogd_peer_path{peer=\"laptop\",path=\"derp\",via=\"fra\"} 1\n"
	       "netlogd_peer_path{peer=\"laptop\",path=\"relay\"} 0\n"
	       "netlogd_peer_path{peer=\"a \\\"b\\\"\",path=\"unknown\"} 1\n");
}
END_TEST

START_TEST(a_peer_that_is_gone_has_only_its_counters)
{
	struct peer_sample *peer = &samples->items[0];

	samples->n = 1;
	strcpy(peer->label, "laptop");
	peer->gone = true;
	peer->last_handshake = INT64_C(1700000000123456789);
	peer->has[DEVICE_PATH_DIRECT] = true;
	peer->counts[DEVICE_PATH_DIRECT].rx_bytes = 11;
	write_all();
	expect("_bytes_total{peer=\"laptop\",path=\"direct\",direction=\"rx\"} 11\n");
	ck_assert_ptr_null(strstr(text.data, "timestamp_seconds{"));
	ck_assert_ptr_null(strstr(text.data, "netlogd_peer_path{"));
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("peers");
	TCase *tcase = tcase_create("peers");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tcase, set_up, tear_down);
	tcase_add_test(tcase, nothing_of_no_peers);
	tcase_add_test(tcase, the_rest_alone);
	tcase_add_test(tcase, peers_by_path);
	tcase_add_test(tcase, a_peer_that_is_gone_has_only_its_counters);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
