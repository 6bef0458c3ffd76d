/* SPDX-License-Identifier: BSD-3-Clause */
/* Status as metrics: every kind of member, and states as the daemon really names them. */

#include "daemon/metrics/status.h"

#include "common/buffer.h"
#include "common/config/keys.h"
#include "daemon/logger/layer.h"

#include <check.h>
#include <stdlib.h>
#include <string.h>

static struct buffer text;

static void tear_down(void)
{
	buffer_deinit(&text);
}

/* Takes the status. */
static void write_metrics(json_t *status)
{
	ck_assert_ptr_nonnull(status);
	buffer_reset(&text);
	metrics_write_status(&text, status);
	metrics_write_process_status(&text, status, "");
	metrics_write_process_status(&text, status, "other_");
	buffer_append_char(&text, '\0');
	ck_assert_int_eq(buffer_error(&text), 0);
	json_decref(status);
}

static void expect(const char *part)
{
	ck_assert_msg(strstr(text.data, part), "%s\nis not in\n%s", part, text.data);
}

static void expect_none(const char *part)
{
	ck_assert_msg(!strstr(text.data, part), "%s\nis in\n%s", part, text.data);
}

START_TEST(an_empty_status_has_heads_and_counts)
{
	write_metrics(json_object());
	expect("# HELP netlogd_build_info The daemon's version.\n# TYPE netlogd_build_info gauge\n");
	expect("# TYPE netlogd_messages_total counter\n# HELP");
	expect("\nnetlogd_device_packets_total{device=\"sock\",direction=\"rx\"} 0\n");
	expect("\nnetlogd_spool_failing 0\n");
	expect_none("\nnetlogd_device_state{");
}
END_TEST

START_TEST(numbers_times_and_presence)
{
	write_metrics(json_pack("{s:s, s:b, s:i, s:s, s:{s:i}, s:{s:s}}", "version", "1.2", "running", 1,
				"cpuMs", 1500, "startedAt", "2023-11-14T22:13:20.5Z", "window", "lastCpuUs",
				12, "spool", "error", "ENOSPC"));
	expect("\nnetlogd_build_info{version=\"1.2\"} 1\n");
	expect("\nnetlogd_running 1\n");
	expect(" counter\nprocess_cpu_seconds_total 1.5\n");
	expect("# TYPE other_process_cpu_seconds_total counter\nother_process_cpu_seconds_total 1.5\n");
	expect("\nprocess_start_time_seconds 1700000000.5\n");
	expect("\nnetlogd_window_cpu_seconds 1.2e-05\n");
	expect("\nnetlogd_spool_failing 1\n");
}
END_TEST

START_TEST(traffic_by_class)
{
	write_metrics(json_pack("{s:{s:[{s:s, s:{s:i, s:i, s:i, s:i}, s:i}, {s:s}]}}", "record", "classes",
				"class", "virtual", "counts", "txPkts", 1, "txBytes", 2, "rxPkts", 3,
				"rxBytes", 4, "begun", 5, "class", "physical"));
	expect("\nnetlogd_traffic_packets_total{class=\"virtual\",direction=\"tx\"} 1\n"
	       "netlogd_traffic_packets_total{class=\"virtual\",direction=\"rx\"} 3\n"
	       "netlogd_traffic_packets_total{class=\"physical\",direction=\"tx\"} 0\n");
	expect("\nnetlogd_traffic_bytes_total{class=\"virtual\",direction=\"tx\"} 2\n"
	       "netlogd_traffic_bytes_total{class=\"virtual\",direction=\"rx\"} 4\n");
	expect("\nnetlogd_connections_begun_total{class=\"virtual\"} 5\n");
	expect_none("netlogd_connections_begun_total{class=\"physical\"}");
}
END_TEST

START_TEST(drops_by_reason_and_direction)
{
	write_metrics(json_pack("{s:{s:s, s:[{s:s, s:i, s:i}]}}", "drops", "state", "off", "reasons",
				"reason", "NETFILTER_DROP", "txPkts", 0, "rxPkts", 7));
	expect("\nnetlogd_dropped_packets_total{direction=\"tx\",reason=\"NETFILTER_DROP\"} 0\n"
	       "netlogd_dropped_packets_total{direction=\"rx\",reason=\"NETFILTER_DROP\"} 7\n");
	expect("\nnetlogd_drops_state{state=\"counting\"} 0\nnetlogd_drops_state{state=\"waiting\"} 0\n"
	       "netlogd_drops_state{state=\"unavailable\"} 0\nnetlogd_drops_state{state=\"off\"} 1\n");
}
END_TEST

START_TEST(devices_by_direction)
{
	write_metrics(json_pack("{s:{s:i, s:i}, s:{s:i, s:i, s:i, s:[{s:s, s:i, s:i}]}}", "tun",
				"deviceDropsRx", 1, "deviceDropsTx", 2, "sock", "deviceDropsRx", 3,
				"deviceDropsTx", 4, "tunnelDroppedRx", 5, "peers", "path", "derp", "active",
				6, "silent", 0));
	expect("\nnetlogd_device_interface_dropped_packets_total{device=\"tun\",direction=\"tx\"} 2\n"
	       "netlogd_device_interface_dropped_packets_total{device=\"tun\",direction=\"rx\"} 1\n"
	       "netlogd_device_interface_dropped_packets_total{device=\"sock\",direction=\"tx\"} 4\n"
	       "netlogd_device_interface_dropped_packets_total{device=\"sock\",direction=\"rx\"} 3\n");
	expect("gauge\nnetlogd_device_tunnel_dropped_bytes{device=\"sock\",direction=\"rx\"} 5\n#");
	expect("\nnetlogd_peers{path=\"derp\",state=\"active\"} 6\n"
	       "netlogd_peers{path=\"derp\",state=\"silent\"} 0\n");
}
END_TEST

START_TEST(unseen_peers_by_cause)
{
	write_metrics(json_pack("{s:{s:[{s:s, s:i}, {s:s, s:i}, {s:s, s:i}]}}", "sock", "unseenPeers",
				"cause", "port", "peers", 1, "cause", "route", "peers", 2, "cause", "port",
				"peers", 3));
	expect("gauge\nnetlogd_unseen_peers{cause=\"port\"} 4\nnetlogd_unseen_peers{cause=\"route\"} 2\n#");
}
END_TEST

/* Every word that the daemon has for it is one of those listed. */
START_TEST(every_state_is_told)
{
	for (int state = LAYER_STATE_STOPPED; state <= LAYER_STATE_FAILED; state++) {
		char sample[128];

		snprintf(sample, sizeof(sample), "\nnetlogd_device_state{device=\"tun\",state=\"%s\"} 1\n",
			 layer_state_name(state));
		write_metrics(json_pack("{s:{s:s}}", "tun", "state", layer_state_name(state)));
		expect(sample);
	}
	for (int source = SOURCE_AUTO; source <= SOURCE_TAILSCALE; source++) {
		char sample[128];

		snprintf(sample, sizeof(sample), "\nnetlogd_device_source{device=\"sock\",source=\"%s\"} 1\n",
			 device_source_name(source));
		write_metrics(json_pack("{s:{s:s}}", "sock", "source", device_source_name(source)));
		expect(sample);
	}
}
END_TEST

START_TEST(sinks)
{
	write_metrics(json_pack("{s:[{s:s, s:s, s:s, s:s}, {s:s, s:s}]}", "sinks", "name", "main", "state",
				"idle", "lastError", "a \"text\" of a server", "lastSuccess",
				"2023-11-14T22:13:20Z", "name", "b", "state", "retrying"));
	expect("\nnetlogd_sink_state{sink=\"main\",state=\"ok\"} 0\nnetlogd_sink_state{sink=\"main\",state=\"idle\"} 1\n"
	       "netlogd_sink_state{sink=\"main\",state=\"retrying\"} 0\n"
	       "netlogd_sink_state{sink=\"main\",state=\"misconfigured\"} 0\n"
	       "netlogd_sink_state{sink=\"main\",state=\"unknown\"} 0\n");
	expect("\nnetlogd_sink_state{sink=\"b\",state=\"retrying\"} 1\n");
	expect("\nnetlogd_sink_failing{sink=\"main\"} 1\nnetlogd_sink_failing{sink=\"b\"} 0\n");
	/* A server's words are no label. */
	expect_none("of a server");
	expect("\nnetlogd_sink_last_success_timestamp_seconds{sink=\"main\"} 1700000000\n#");
	expect("\nnetlogd_sink_backlog_age_seconds{sink=\"main\"} 0\n");
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("status");
	TCase *tcase = tcase_create("status");
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tcase, NULL, tear_down);
	tcase_add_test(tcase, an_empty_status_has_heads_and_counts);
	tcase_add_test(tcase, numbers_times_and_presence);
	tcase_add_test(tcase, traffic_by_class);
	tcase_add_test(tcase, drops_by_reason_and_direction);
	tcase_add_test(tcase, devices_by_direction);
	tcase_add_test(tcase, unseen_peers_by_cause);
	tcase_add_test(tcase, every_state_is_told);
	tcase_add_test(tcase, sinks);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
