/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What texts cost: addresses written, beside the C library's way, and messages read back, beside jansson's
 * tree. Prints figures, without a verdict.
 */

#include "common/address.h"
#include "common/buffer.h"
#include "common/message.h"

#include <arpa/inet.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define ADDRESSES     1024
#define WRITES	      (2000 * ADDRESSES)
#define MESSAGE_SIZE  262144
#define MESSAGES      40
#define TREE_MESSAGES 4

static double cpu_seconds(void)
{
	struct timespec time;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* Nanoseconds since a time, for each of n. */
static double each(double since, size_t n)
{
	return (cpu_seconds() - since) * 1e9 / (double)n;
}

/* Different ones in turn, so that branches are not learnt by heart. */
static void fill(struct endpoint *endpoints, bool ipv6)
{
	uint32_t random = 1;

	for (size_t i = 0; i < ADDRESSES; i++) {
		uint8_t bytes[16] = {0xfd, 0x7a, 0x11, 0x5c, 0xa1, 0xe0};

		random = random * 1664525 + 1013904223;
		memcpy(bytes + 12, &random, 4);
		endpoints[i].address = ipv6 ? address_ipv6(bytes) : address_ipv4(bytes + 12);
		endpoints[i].port = (uint16_t)(random >> 16);
	}
}

static size_t library_format(const struct endpoint *endpoint, char *text, size_t size)
{
	bool ipv6 = endpoint->address.family == ADDRESS_IPV6;
	char address[ADDRESS_TEXT_MAX];

	inet_ntop(ipv6 ? AF_INET6 : AF_INET, endpoint->address.bytes, address, sizeof(address));
	return (size_t)snprintf(text, size, ipv6 ? "[%s]:%u" : "%s:%u", address, endpoint->port);
}

static void measure_endpoints(bool ipv6)
{
	static struct endpoint endpoints[ADDRESSES];
	char text[ENDPOINT_TEXT_MAX];
	double start, own, library;
	size_t sum = 0;

	fill(endpoints, ipv6);
	start = cpu_seconds();
	for (size_t i = 0; i < WRITES; i++)
		sum += endpoint_format(&endpoints[i % ADDRESSES], text);
	own = each(start, WRITES);
	start = cpu_seconds();
	for (size_t i = 0; i < WRITES / 10; i++)
		sum += library_format(&endpoints[i % ADDRESSES], text, sizeof(text));
	library = each(start, WRITES / 10);
	printf("write address:port, IPv%c: %5.1f ns   (inet_ntop and snprintf: %5.1f ns; %zu)\n",
	       ipv6 ? '6' : '4', own, library, sum % 10);
}

static size_t make_message(struct buffer *message)
{
	static struct endpoint endpoints[ADDRESSES];
	char src[ENDPOINT_TEXT_MAX], dst[ENDPOINT_TEXT_MAX];
	size_t n = 0;

	fill(endpoints, false);
	buffer_append_text(message,
			   "{\"logtail\":{\"client_time\":\"2022-10-13T20:23:14.7Z\",\"proc_id\":353457853,"
			   "\"proc_seq\":7},\"start\":\"2022-10-13T20:23:09.644Z\","
			   "\"end\":\"2022-10-13T20:23:14.644Z\",\"virtualTraffic\":[");
	while (message->length < MESSAGE_SIZE - 300) {
		endpoint_format(&endpoints[n % ADDRESSES], src);
		endpoint_format(&endpoints[(n + 1) % ADDRESSES], dst);
		buffer_printf(message,
			      "%s{\"proto\":6,\"src\":\"%s\",\"dst\":\"%s\",\"txPkts\":80,\"txBytes\":8140,"
			      "\"rxPkts\":52,\"rxBytes\":5164}",
			      n > 0 ? "," : "", src, dst);
		n++;
	}
	buffer_append_text(message, "]}");
	return n;
}

static size_t read_message(const struct buffer *text)
{
	struct message_entries entries;
	enum traffic_class class;
	struct message message;
	struct flow flow;
	size_t n = 0;

	if (message_parse(text->data, text->length, &message) < 0)
		return 0;
	entries = message_entries(&message);
	while (message_entries_next(&entries, &class, &flow) > 0)
		n++;
	message_deinit(&message);
	return n;
}

static int measure_messages(void)
{
	_cleanup_buffer_ struct buffer message = {};
	size_t n = make_message(&message);
	double start, own, tree;

	if (buffer_error(&message))
		return 1;
	start = cpu_seconds();
	for (int i = 0; i < MESSAGES; i++)
		if (read_message(&message) != n)
			return 1;
	own = each(start, n * MESSAGES);
	start = cpu_seconds();
	for (int i = 0; i < TREE_MESSAGES; i++) {
		json_t *value = json_loadb(message.data, message.length, 0, NULL);

		if (!value)
			return 1;
		json_decref(value);
	}
	tree = each(start, n * TREE_MESSAGES);
	printf("read a message, per entry: %6.0f ns   (a tree of jansson: %6.0f ns; %zu entries)\n", own,
	       tree, n);
	return 0;
}

int main(void)
{
	measure_endpoints(false);
	measure_endpoints(true);
	return measure_messages();
}
