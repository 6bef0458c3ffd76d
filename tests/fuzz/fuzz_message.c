/* SPDX-License-Identifier: BSD-3-Clause */
/* Messages: any text is read or refused; the scanner skips the whole of what jansson accepts as a value. */

#include "common/message.h"
#include "common/message_nodes.h"
#include "tests/fuzz/fuzz_support.h"

static size_t count_brackets(const uint8_t *data, size_t size)
{
	size_t n = 0;

	for (size_t i = 0; i < size; i++)
		n += data[i] == '[' || data[i] == '{';
	return n;
}

static void check_scan(const char *data, size_t size)
{
	struct json_scan scan = {data, data + size};
	json_t *value;

	/* jansson stops at a NUL, even in a text with a length. */
	if (memchr(data, '\0', size))
		return;
	value = json_loadb(data, size, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
	if (!value)
		return;
	json_decref(value);
	REQUIRE(json_scan_value(&scan, NULL) == 0);
	REQUIRE(json_scan_at_end(&scan));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct message_entries entries;
	struct message_nodes nodes;
	enum traffic_class class;
	struct message message;
	struct flow flow;
	size_t n = 0;

	if (count_brackets(data, size) <= JSON_SCAN_DEPTH_MAX)
		check_scan((const char *)data, size);
	if (message_parse((const char *)data, size, &message) < 0)
		return 0;
	REQUIRE(message_nodes_init(&nodes, &message) == 0);
	for (size_t i = 1; i < nodes.n; i++)
		REQUIRE(message_nodes_name(&nodes, &nodes.items[i].address));
	entries = message_entries(&message);
	while (message_entries_next(&entries, &class, &flow) > 0) {
		REQUIRE(class < N_CLASSES);
		REQUIRE(flow.counts.tx_bytes <= COUNT_MAX);
		REQUIRE(flow.details.opener <= OPENER_DST);
		REQUIRE(entries.drop_reason.length <= size);
		message_nodes_name(&nodes, &flow.connection.dst.address);
		REQUIRE(++n <= size);
	}
	message_nodes_deinit(&nodes);
	message_deinit(&message);
	return 0;
}
