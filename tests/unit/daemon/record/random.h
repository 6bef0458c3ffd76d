/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* Windows of random connections, and their messages read back: none is too large, no entry is lost, none
 * comes twice, and they stay in order. The state is each suite's own. */

#include "daemon/record/encode.h"
#include "daemon/record/nodes.h"
#include "daemon/routes/routing.h"
#include "tests/unit/daemon/record/messages.h"
#include "tests/unit/daemon/record/support.h"

#include <stdlib.h>

static struct aggregate *aggregate;
static struct routing *routing;
static struct nodes *nodes;
static struct aggregate_settings gathering;
static struct encode_settings settings;
static struct encode_sequence sequence;
static struct messages messages;

static inline void setup(void)
{
	struct route_lists lists =
		test_lists("100.64.0.1", "100.64.0.0/10 fd7a:115c:a1e0::/48 10.0.0.0/8", "");
	struct prefix_list tailnet = {};

	test_list_add(&tailnet, "100.64.0.0/10 fd7a:115c:a1e0::/48");
	ck_assert_int_eq(routing_new(&lists, &tailnet, NULL, &routing), 0);
	test_lists_deinit(&lists);
	prefix_list_deinit(&tailnet);
	ck_assert_int_eq(aggregate_new(&aggregate), 0);
	gathering = (struct aggregate_settings){.exit_traffic = EXIT_TRAFFIC_FULL};
	settings = (struct encode_settings){.max_message_size = ENCODE_MESSAGE_MIN};
	sequence = (struct encode_sequence){.proc_id = 1};
	nodes = NULL;
}

static inline void teardown(void)
{
	aggregate_free(aggregate);
	routing_free(routing);
	nodes_unref(nodes);
	messages_deinit(&messages);
}

static inline struct endpoint random_end(uint64_t *state)
{
	uint64_t random = test_random(state);
	struct endpoint end = {.port = (uint16_t)(random >> 40)};

	switch (random % 5) {
	case 0:
		end.address = address_ipv4((uint8_t[4]){100, 64, 0, (uint8_t)(random >> 8)});
		break;
	case 1:
		end.address = address_ipv4((uint8_t[4]){10, 0, 0, (uint8_t)(random >> 8)});
		break;
	case 2:
		end.address = address_ipv4((uint8_t[4]){200, (uint8_t)(random >> 8), 0, 1});
		break;
	case 3:
		end.address = address_ipv6(
			(uint8_t[16]){0xfd, 0x7a, 0x11, 0x5c, 0xa1, 0xe0, [15] = (uint8_t)(random >> 8)});
		break;
	default:
		end.port = 0;
		break;
	}
	return end;
}

/* Counts of every length. */
static inline struct counts random_counts(uint64_t *state)
{
	uint64_t random = test_random(state);

	return (struct counts){
		.tx_packets = test_random(state) >> (random & 63),
		.tx_bytes = test_random(state) >> (random >> 6 & 63),
		.rx_packets = random >> 12 & 1 ? 0 : test_random(state) >> (random >> 13 & 63),
		.rx_bytes = test_random(state) >> (random >> 19 & 63),
	};
}

static inline void add_random(size_t n, uint64_t *state)
{
	struct flows tun = {}, sock = {};

	for (size_t i = 0; i < n; i++) {
		struct connection connection = {
			.src = random_end(state), .dst = random_end(state), .proto = 6};
		struct counts counts = random_counts(state);

		ck_assert_int_eq(flows_add(i % 7 ? &tun : &sock, &connection, &counts), 0);
	}
	ck_assert_int_eq(aggregate_add_tun(aggregate, &tun, routing, &gathering, NULL, NULL), 0);
	ck_assert_int_eq(aggregate_add_sock(aggregate, &sock, NULL), 0);
	flows_deinit(&tun);
	flows_deinit(&sock);
}

static inline void encode(void)
{
	struct encode_times window = {.start = 1, .end = 5};

	messages_deinit(&messages);
	ck_assert_int_eq(encode_window(aggregate, &window, &settings, &sequence, 9, messages_take, &messages),
			 0);
}

/* --- reading it back --- */

static const char *const lists[] = {"virtualTraffic", "subnetTraffic", "exitTraffic", "physicalTraffic"};

struct seen {
	struct counts tun, sock;
	size_t n;
	struct flow last; /* to see that they are in order, each once */
	size_t last_list;
	size_t overflows;
};

static inline uint64_t read_count(const json_t *entry, const char *name)
{
	const json_t *value = json_object_get(entry, name);

	/* Zero is left out. */
	ck_assert(!value || json_integer_value(value) > 0);
	return value ? (uint64_t)json_integer_value(value) : 0;
}

static inline void read_entry(const json_t *entry, size_t list, struct seen *seen)
{
	struct flow flow = {
		.connection = test_connection(json_string_value(json_object_get(entry, "src")),
					      json_string_value(json_object_get(entry, "dst")),
					      (uint8_t)json_integer_value(json_object_get(entry, "proto"))),
		.counts = {read_count(entry, "txPkts"), read_count(entry, "txBytes"),
			   read_count(entry, "rxPkts"), read_count(entry, "rxBytes")},
	};

	if (seen->n && list == seen->last_list)
		ck_assert_int_lt(connection_compare(&seen->last.connection, &flow.connection), 0);
	else if (seen->n)
		ck_assert_uint_lt(seen->last_list, list);
	counts_add(list == 3 ? &seen->sock : &seen->tun, &flow.counts);
	seen->last = flow;
	seen->last_list = list;
	seen->n++;
}

static inline void read_message(size_t i, struct seen *seen)
{
	json_t *json = messages_json(&messages, i), *logtail = json_object_get(json, "logtail");

	ck_assert_uint_le(messages.sizes[i], settings.max_message_size);
	ck_assert_str_eq(json_string_value(json_object_get(json, "start")), "1970-01-01T00:00:00.000000001Z");
	ck_assert_str_eq(json_string_value(json_object_get(json, "end")), "1970-01-01T00:00:00.000000005Z");
	ck_assert_int_eq(json_integer_value(json_object_get(logtail, "proc_seq")),
			 (int64_t)(sequence.proc_seq - messages.n + i + 1));
	for (size_t list = 0; list < ARRAY_SIZE(lists); list++) {
		const json_t *array = json_object_get(json, lists[list]);

		ck_assert(!array || json_array_size(array) > 0);
		for (size_t at = 0; at < json_array_size(array); at++)
			read_entry(json_array_get(array, at), list, seen);
	}
	if (json_object_get(json, "overflow")) {
		ck_assert_uint_eq(i, 0);
		seen->overflows++;
	}
	json_decref(json);
}

static inline struct seen read_back(void)
{
	struct seen seen = {};
	struct counts tun, sock;

	for (size_t i = 0; i < messages.n; i++)
		read_message(i, &seen);
	aggregate_get_sums(aggregate, &tun, &sock);
	ck_assert(counts_equal(&seen.tun, &tun));
	ck_assert(counts_equal(&seen.sock, &sock));
	ck_assert_uint_eq(seen.n, aggregate_entries(aggregate));
	return seen;
}
