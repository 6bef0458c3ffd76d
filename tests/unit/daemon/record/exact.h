/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* A window with known times, routes and numbers, whose messages are compared to the letter. The state is each
 * suite's own. */

#include "common/time_text.h"
#include "daemon/record/encode.h"
#include "daemon/routes/routing.h"
#include "tests/unit/daemon/record/messages.h"
#include "tests/unit/daemon/record/support.h"

#include <stdlib.h>

#define LOGTAIL                                                                                              \
	"{\"logtail\":{\"client_time\":\"2022-10-13T20:23:14.7Z\",\"proc_id\":353457853,\"proc_seq\":7}"
#define WINDOW ",\"start\":\"2022-10-13T20:23:09.644Z\",\"end\":\"2022-10-13T20:23:14.644Z\""

static struct aggregate *aggregate;
static struct routing *routing;
static struct prefix_list ignore;
static struct aggregate_settings gathering;
static struct encode_settings settings;
static struct encode_sequence sequence;
static struct encode_times window;
static int64_t client_time;
static struct messages messages;

static inline void setup(void)
{
	struct route_lists lists =
		test_lists("100.64.0.1 fd7a:115c:a1e0::1", "100.64.0.0/24 fd7a:115c:a1e0::/48 10.0.0.0/8",
			   "192.168.0.0/16");
	struct prefix_list tailnet = {};

	test_list_add(&tailnet, "100.64.0.0/10 fd7a:115c:a1e0::/48");
	test_list_add(&ignore, "100.100.100.100 fd7a:115c:a1e0::53");
	ck_assert_int_eq(routing_new(&lists, &tailnet, NULL, &routing), 0);
	test_lists_deinit(&lists);
	prefix_list_deinit(&tailnet);

	ck_assert_int_eq(aggregate_new(&aggregate), 0);
	gathering =
		(struct aggregate_settings){.exit_traffic = EXIT_TRAFFIC_AGGREGATE, .ignore_addrs = &ignore};
	settings = (struct encode_settings){.max_message_size = 262144};
	sequence = (struct encode_sequence){.proc_id = 353457853, .proc_seq = 6};
	ck_assert_int_eq(time_parse("2022-10-13T20:23:09.644Z", &window.start), 0);
	ck_assert_int_eq(time_parse("2022-10-13T20:23:14.644Z", &window.end), 0);
	ck_assert_int_eq(time_parse("2022-10-13T20:23:14.7Z", &client_time), 0);
}

static inline void teardown(void)
{
	aggregate_free(aggregate);
	routing_free(routing);
	prefix_list_deinit(&ignore);
	messages_deinit(&messages);
}

static inline struct counts add(const char *src, const char *dst, uint8_t proto, struct counts counts)
{
	struct flow flow = {.connection = test_connection(src, dst, proto), .counts = counts};
	struct flows flows = {.items = &flow, .n = 1};
	struct counts ignored = {99, 99, 99, 99};

	ck_assert_int_eq(aggregate_add_tun(aggregate, &flows, routing, &gathering, &ignored, NULL), 0);
	return ignored;
}

static inline void add_details(const char *src, const char *dst, struct counts counts, struct details details)
{
	struct flow flow = {.connection = test_connection(src, dst, 6), .counts = counts, .details = details};
	struct flows flows = {.items = &flow, .n = 1};

	ck_assert_int_eq(aggregate_add_tun(aggregate, &flows, routing, &gathering, NULL, NULL), 0);
}

static inline void add_sock(const char *src, const char *dst, struct counts counts)
{
	struct flow flow = {.connection = test_connection(src, dst, 0), .counts = counts};
	struct flows flows = {.items = &flow, .n = 1};

	ck_assert_int_eq(aggregate_add_sock(aggregate, &flows, NULL), 0);
}

static inline void encode(void)
{
	messages_deinit(&messages);
	ck_assert_int_eq(encode_window(aggregate, &window, &settings, &sequence, client_time, messages_take,
				       &messages),
			 0);
}

static inline void expect_message(const char *text)
{
	encode();
	ck_assert_uint_eq(messages.n, 1);
	ck_assert_str_eq(messages.texts[0], text);
}

static inline void add_exit_traffic(void)
{
	add("100.64.0.1:1000", "8.8.8.8:53", 17, (struct counts){1, 10, 0, 0});
	add("100.64.0.1:1001", "8.8.4.4:443", 6, (struct counts){0, 0, 2, 20});
	add("1.1.1.1:53", "100.64.0.2:7", 17, (struct counts){4, 40, 0, 0});
	add("1.1.1.1:53", "9.9.9.9:7", 17, (struct counts){8, 80, 0, 0});
	add("", "", 0, (struct counts){16, 160, 0, 0});
}
