/* SPDX-License-Identifier: BSD-3-Clause */
/* Details from window to window, and what makes the logger forget them. */

#include "daemon/logger/status.h"
#include "tests/unit/daemon/logger/support.h"

#include <errno.h>
#include <string.h>

#define TCP_SYN 0x02
#define TCP_FIN 0x01
#define TCP_ACK 0x10

static void will_extract_details(const char *src, const char *dst, uint8_t proto, struct details details)
{
	struct flow *flow;

	will_extract(LAYER_TUN, src, dst, 1, 100);
	flow = &next[LAYER_TUN].flows.items[next[LAYER_TUN].flows.n - 1];
	flow->connection.proto = proto;
	flow->details = details;
}

static void will_open(const char *src)
{
	will_extract_details(src, "100.64.0.2:80", 6,
			     (struct details){.starts = 1,
					      .first_syn = 7,
					      .last_syn = 7,
					      .tx_flags = TCP_SYN | TCP_ACK,
					      .rx_flags = TCP_SYN | TCP_ACK,
					      .opener = OPENER_SRC,
					      .bits = DETAILS_HAS_SYN});
}

static void will_go_on(const char *src)
{
	will_extract_details(src, "100.64.0.2:80", 6,
			     (struct details){.tx_flags = TCP_ACK, .rx_flags = TCP_ACK});
}

static void will_end(const char *src)
{
	will_extract_details(src, "100.64.0.2:80", 6,
			     (struct details){.ends = 1,
					      .tx_flags = TCP_FIN | TCP_ACK,
					      .bits = DETAILS_ENDED | DETAILS_EARLY_END});
}

static void end_window(void)
{
	pass(5 * SECOND);
	logger_end_window(logger);
}

static void apply(const char *more)
{
	struct config *old = config;

	config = make_config(more);
	ck_assert_int_eq(logger_apply(logger, config, NULL), 0);
	config_free(old);
}

#define ENTRY "{\"proto\":6,\"src\":\"100.64.0.1:1\",\"dst\":\"100.64.0.2:80\",\"txPkts\":1,\"txBytes\":100"

START_TEST(test_a_connection_over_windows)
{
	start();
	will_open("100.64.0.1:1");
	end_window();
	will_go_on("100.64.0.1:1");
	end_window();
	will_end("100.64.0.1:1");
	end_window();
	/* the other end's FIN */
	will_end("100.64.0.1:1");
	end_window();
	ck_assert_ptr_nonnull(
		strstr(messages(), ENTRY ",\"init\":\"src\",\"starts\":1,\"txFlags\":18,\"rxFlags\":18}]}"));
	ck_assert_ptr_nonnull(strstr(messages(), ENTRY ",\"init\":\"src\",\"txFlags\":16,\"rxFlags\":16}]}"));
	ck_assert_ptr_nonnull(strstr(messages(), ENTRY ",\"init\":\"src\",\"ends\":1,\"txFlags\":17}]}"));
	ck_assert_ptr_nonnull(strstr(messages(), ENTRY ",\"init\":\"src\",\"txFlags\":17}]}"));
	ck_assert_int_eq(status_packets("record", "live", "connections"), 1);
	ck_assert_int_eq(status_packets("record", "live", "maxConnections"), 131072);
	ck_assert_int_eq(status_packets("record", "live", "forgotten"), 0);
}
END_TEST

START_TEST(test_without_details)
{
	json_t *status;

	start();
	apply("[record]\ndetails=no\n");
	will_open("100.64.0.1:1");
	end_window();
	ck_assert_ptr_nonnull(strstr(messages(), ENTRY "}]}"));
	status = logger_status(logger);
	ck_assert_ptr_null(json_object_get(json_object_get(status, "record"), "live"));
	json_decref(status);
	/* With them again, it is one that was there before. */
	apply("");
	will_go_on("100.64.0.1:1");
	end_window();
	ck_assert_ptr_nonnull(strstr(messages(), ENTRY ",\"txFlags\":16,\"rxFlags\":16}]}"));
}
END_TEST

START_TEST(test_a_device_that_was_lost)
{
	start();
	will_open("100.64.0.1:1");
	extract_error[LAYER_TUN] = -ENODEV;
	end_window();
	extract_error[LAYER_TUN] = 0;
	will_go_on("100.64.0.1:1");
	end_window();
	ck_assert_ptr_nonnull(strstr(messages(), ENTRY ",\"txFlags\":16,\"rxFlags\":16}]}"));
}
END_TEST

START_TEST(test_a_device_that_was_exchanged)
{
	start();
	will_open("100.64.0.1:1");
	end_window();
	/* Another bound, the same connections. */
	reload(100, ROUTES_MODE_STATIC);
	will_go_on("100.64.0.1:1");
	end_window();
	ck_assert_ptr_nonnull(strstr(messages(), "device changed"));
	ck_assert_ptr_nonnull(strstr(messages(), ENTRY ",\"init\":\"src\",\"txFlags\":16,\"rxFlags\":16}]}"));
	ck_assert_int_eq(status_packets("record", "live", "maxConnections"), 200);
	/* Another VPN's. */
	config->tun.stats_socket[1] = 'z';
	ck_assert_int_eq(logger_apply(logger, config, NULL), 0);
	will_go_on("100.64.0.1:1");
	end_window();
	ck_assert_ptr_nonnull(strstr(messages(), ENTRY ",\"txFlags\":16,\"rxFlags\":16}]}"));
}
END_TEST

/* A connection that the old device saw begin, until the new one took over, and the new one saw end. */
START_TEST(test_an_exchange_in_the_middle)
{
	takes_over[LAYER_TUN] = true;
	start();
	reload(100, ROUTES_MODE_STATIC);
	will_open("100.64.0.1:1");
	next_leaving[LAYER_TUN] = next[LAYER_TUN];
	next[LAYER_TUN] = (struct extraction){};
	will_end("100.64.0.1:1");
	end_window();
	ck_assert_ptr_nonnull(strstr(log_text, "tun.take_over"));
	ck_assert_ptr_nonnull(strstr(messages(), "\"txPkts\":2,\"txBytes\":200,\"init\":\"src\",\"starts\":1,"
						 "\"ends\":1,\"txFlags\":19,\"rxFlags\":18}]}"));
	/* It has ended, and does so no more. */
	will_end("100.64.0.1:1");
	end_window();
	ck_assert_ptr_nonnull(strstr(messages(), ENTRY ",\"init\":\"src\",\"txFlags\":17}]}"));
	takes_over[LAYER_TUN] = false;
}
END_TEST

START_TEST(test_a_stop)
{
	start();
	will_open("100.64.0.1:1");
	end_window();
	logger_stop(logger);
	start();
	will_go_on("100.64.0.1:1");
	end_window();
	ck_assert_ptr_nonnull(strstr(messages(), ENTRY ",\"txFlags\":16,\"rxFlags\":16}]}"));
}
END_TEST

static void will_say_something(const char *src)
{
	will_extract_details(src, "100.64.0.2:53", 17, (struct details){.bits = DETAILS_HAS_FIRST});
}

#define DATAGRAM(port)                                                                                       \
	"{\"proto\":17,\"src\":\"100.64.0.1:" port "\",\"dst\":\"100.64.0.2:53\",\"txPkts\":1,\"txBytes\":100"

START_TEST(test_datagrams)
{
	start();
	for (int i = 0; i < 13; i++)
		end_window();
	will_say_something("100.64.0.1:1");
	end_window();
	ck_assert_ptr_nonnull(strstr(messages(), DATAGRAM("1") ",\"init\":\"src\",\"starts\":1}"));
	/* What did not fit may have been datagrams of any connection. */
	next[LAYER_TUN].overflow.tx_packets = 1;
	next[LAYER_TUN].totals.tx_packets = 1;
	next[LAYER_TUN].has_totals = true;
	end_window();
	will_say_something("100.64.0.1:2");
	end_window();
	ck_assert_ptr_nonnull(strstr(messages(), DATAGRAM("2") "}"));
	/* The same where something could not be read. */
	for (int i = 0; i < 13; i++)
		end_window();
	next[LAYER_TUN].errors = 1;
	end_window();
	will_say_something("100.64.0.1:3");
	end_window();
	ck_assert_ptr_nonnull(strstr(messages(), DATAGRAM("3") "}"));
}
END_TEST

/* Neither may those have been silent that the window could not hold, whatever the device could. */
START_TEST(test_datagrams_beyond_the_bound)
{
	start();
	reload(1, ROUTES_MODE_STATIC);
	for (int i = 0; i < 13; i++)
		end_window();
	will_say_something("100.64.0.1:1");
	will_say_something("100.64.0.1:2");
	end_window();
	ck_assert_int_eq(status_packets("tun", "overflow", "txPkts"), 1);
	will_say_something("100.64.0.1:2");
	end_window();
	ck_assert_ptr_nonnull(strstr(messages(), DATAGRAM("2") "}"));
}
END_TEST

static void will_say_outside(const char *src)
{
	will_extract_details(src, "172.16.0.9:53", 17, (struct details){.bits = DETAILS_HAS_FIRST});
}

#define OUTSIDE(port)                                                                                        \
	"{\"proto\":17,\"src\":\"100.64.0.1:" port "\",\"dst\":\"172.16.0.9:53\",\"txPkts\":1,\"txBytes\":100"

/* What was exit traffic, or ignored, did not begin when it becomes something else. */
START_TEST(test_datagrams_that_were_not_logged)
{
	static const char *const changes[] = {
		"[record]\nexit-traffic=full\n",
		"subnet-route=172.16.0.0/16\n",
		"[record]\nignore-addr=172.16.0.9\nexit-traffic=full\n",
		"[record]\nexit-traffic=full\n",
	};

	start();
	for (size_t i = 0; i < ARRAY_SIZE(changes); i++) {
		for (int n = 0; n < 13; n++) {
			will_say_outside("100.64.0.1:1");
			end_window();
		}
		apply(changes[i]);
		will_say_outside("100.64.0.1:1");
		end_window();
		for (int n = 0; n < 11; n++) {
			will_say_outside("100.64.0.1:1");
			end_window();
		}
		ck_assert_ptr_null(strstr(messages(), "\"starts\""));
	}
	ck_assert_ptr_nonnull(strstr(messages(), OUTSIDE("1") "}"));
	/* A minute later others begin again; and without such traffic a change costs nothing. */
	will_say_outside("100.64.0.1:2");
	end_window();
	ck_assert_ptr_nonnull(strstr(messages(), OUTSIDE("2") ",\"init\":\"src\",\"starts\":1}"));
	apply("subnet-route=172.16.0.0/16\n[record]\nexit-traffic=full\n");
	will_say_outside("100.64.0.1:3");
	end_window();
	ck_assert_ptr_nonnull(strstr(messages(), OUTSIDE("3") ",\"init\":\"src\",\"starts\":1}"));
}
END_TEST

/* Routes that are found decide in the middle of a window. */
START_TEST(test_datagrams_of_a_route_that_is_found)
{
	reload(100, ROUTES_MODE_AUTO);
	start();
	for (int n = 0; n < 13; n++) {
		will_say_outside("100.64.0.1:1");
		end_window();
	}
	allowed_ip = "172.16.0.0/16";
	will_say_outside("100.64.0.1:1");
	end_window();
	allowed_ip = NULL;
	ck_assert_ptr_nonnull(strstr(messages(), OUTSIDE("1") "}"));
}
END_TEST

START_TEST(test_lost_details)
{
	json_t *status, *warnings;

	start();
	next[LAYER_TUN].lost_details = 3;
	end_window();
	next[LAYER_TUN].lost_details = 4;
	end_window();
	ck_assert_int_eq(status_number("tun", "lostDetails"), 7);
	status = logger_status(logger);
	warnings = json_object_get(json_object_get(status, "tun"), "warnings");
	ck_assert_str_eq(json_string_value(json_array_get(warnings, 0)),
			 "7 packets (SYN, FIN, RST) found no room for details: starts and ends are missing "
			 "(raise max-flows)");
	json_decref(status);
}
END_TEST

/* A device hands over a connection in parts: of each processor, and what is noted of its SYN. */
START_TEST(test_connections_are_counted_once)
{
	start();
	will_open("100.64.0.1:1");
	will_go_on("100.64.0.1:1");
	will_extract(LAYER_TUN, "100.64.0.1:2", "100.64.0.2:80", 1, 100);
	for (int i = 0; i < 2; i++) {
		will_extract(LAYER_TUN, "100.64.0.1:3", "8.8.8.8:443", 1, 100);
		will_extract(LAYER_SOCK, "100.64.0.2:0", "192.0.2.1:51820", 1, 100);
	}
	end_window();
	ck_assert_int_eq(status_number("tun", "lastConnections"), 3);
	ck_assert_int_eq(status_number("sock", "lastConnections"), 1);
	ck_assert_int_eq(status_number("window", "lastConnections"), 4);
	end_window();
	ck_assert_int_eq(status_number("tun", "lastConnections"), 0);
}
END_TEST

static void start_named(const char *socket)
{
	struct device_config device = {.source = SOURCE_STATS, .stats_socket = (char *)socket};
	const char *layer;
	char *reason;

	ck_assert_int_eq(logger_start(logger, &device, NULL, &layer, &reason), 0);
}

/* What Start has named stays; the rest of the configuration is for these devices too. */
START_TEST(test_reload_with_devices_of_a_start)
{
	apply("[record]\ndetails=no\n");
	start_named("/named");
	will_open("100.64.0.1:1");
	end_window();
	ck_assert_ptr_nonnull(strstr(messages(), ENTRY "}]}"));
	ck_assert(!made_details[LAYER_TUN]);
	will_extract(LAYER_TUN, "100.64.0.1:7", "100.64.0.2:80", 7, 700);
	apply("");
	ck_assert(made_details[LAYER_TUN]);
	ck_assert_ptr_nonnull(strstr(messages(), "\"txPkts\":7,\"txBytes\":700}]}"));
	ck_assert_ptr_nonnull(strstr(messages(), "netlogd: device changed: tun /named by stats (test)"));
	will_open("100.64.0.1:1");
	end_window();
	ck_assert_ptr_nonnull(strstr(messages(), ENTRY ",\"init\":\"src\",\"starts\":1,"));
	reload(100, ROUTES_MODE_STATIC);
	ck_assert_int_eq(status_number("tun", "maxFlows"), 100);
	ck_assert_int_eq(status_number("record", "conservationFailures"), 0);
}
END_TEST

START_TEST(test_folded_ports)
{
	char src[32];

	apply("[record]\nfold-ports=yes\n");
	start();
	for (int i = 1; i <= 100; i++) {
		snprintf(src, sizeof(src), "100.64.0.1:%d", i);
		will_open(src);
	}
	end_window();
	ck_assert_ptr_nonnull(strstr(messages(), "\"virtualTraffic\":[{\"proto\":6,\"src\":\"100.64.0.1:0\","
						 "\"dst\":\"100.64.0.2:80\",\"txPkts\":100,\"txBytes\":10000,"
						 "\"init\":\"src\",\"starts\":100,\"txFlags\":18,"
						 "\"rxFlags\":18}]}"));
	ck_assert_int_eq(status_number("record", "conservationFailures"), 0);
	ck_assert_int_eq(status_number("window", "lastConnections"), 100);
	ck_assert_int_eq(status_number("tun", "lastConnections"), 100);
	/* The opener is known in the next window too; that of another is not. */
	will_go_on("100.64.0.1:1");
	will_go_on("100.64.0.1:2");
	will_go_on("100.64.0.1:1000");
	end_window();
	ck_assert_ptr_nonnull(
		strstr(messages(),
		       "\"virtualTraffic\":[{\"proto\":6,\"src\":\"100.64.0.1:0\",\"dst\":\"100.64.0.2:80\","
		       "\"txPkts\":2,\"txBytes\":200,\"init\":\"src\",\"txFlags\":16,\"rxFlags\":16},"
		       "{\"proto\":6,\"src\":\"100.64.0.1:1000\",\"dst\":\"100.64.0.2:80\",\"txPkts\":1,"
		       "\"txBytes\":100,\"txFlags\":16,\"rxFlags\":16}]}"));
}
END_TEST

static void expect_drops(const char *state, const char *reason)
{
	json_t *status = logger_status(logger), *drops = json_object_get(status, "drops");

	ck_assert_str_eq(json_string_value(json_object_get(drops, "state")), state);
	ck_assert_pstr_eq(json_string_value(json_object_get(drops, "reason")), reason);
	json_decref(status);
}

START_TEST(test_drops_of_a_source_that_sees_no_packets)
{
	expect_drops("waiting", NULL);
	start();
	expect_drops("unavailable", "the source stats sees no packets");
	apply("[record]\ndrops=no\n");
	expect_drops("off", NULL);
	logger_stop(logger);
	apply("");
	expect_drops("waiting", NULL);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		test_a_connection_over_windows,
		test_without_details,
		test_a_device_that_was_lost,
		test_a_device_that_was_exchanged,
		test_an_exchange_in_the_middle,
		test_a_stop,
		test_datagrams,
		test_datagrams_beyond_the_bound,
		test_datagrams_that_were_not_logged,
		test_datagrams_of_a_route_that_is_found,
		test_lost_details,
		test_connections_are_counted_once,
		test_reload_with_devices_of_a_start,
		test_folded_ports,
		test_drops_of_a_source_that_sees_no_packets,
		NULL,
	};

	return logger_run_tests("details", tests);
}
