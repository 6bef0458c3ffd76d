/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Sums by node over the messages of anybody, one a line: no byte is lost or counted twice, however nodes and
 * addresses are mixed up, and reading a sum changes nothing.
 */

#include "common/cleanup.h"
#include "common/message.h"
#include "control/denied_sum.h"
#include "control/flow_sum.h"
#include "control/flow_table.h"
#include "tests/fuzz/fuzz_support.h"

#define N_GROUPS (FLOW_BY_CLIENT + 1)

struct sums {
	struct node_book *book;
	struct flow_sum *flows[N_GROUPS];
	struct denied_sum *denied;
	uint64_t bytes, drops; /* of the entries, modulo 2^64 */
};

static void add(struct sums *sums, const struct message *message)
{
	const struct flow_filter all = {.book = sums->book};
	struct message_entries entries = message_entries(message);
	enum traffic_class class;
	struct flow flow;

	REQUIRE(node_book_learn(sums->book, message) == 0);
	while (message_entries_next(&entries, &class, &flow) > 0) {
		/* Counts saturate, and a sum of large ones would not say what it is made of. */
		if ((flow.counts.tx_bytes | flow.counts.rx_bytes) >> 40)
			return;
	}
	entries = message_entries(message);
	while (message_entries_next(&entries, &class, &flow) > 0) {
		sums->bytes += flow.counts.tx_bytes + flow.counts.rx_bytes;
		sums->drops += (uint64_t)flow.details.tx_drops + flow.details.rx_drops;
	}
	for (size_t i = 0; i < N_GROUPS; i++)
		flow_sum_add(sums->flows[i], message, &all);
	denied_sum_add(sums->denied, message, &all);
}

static void check(struct sums *sums)
{
	const struct denied_row *denied;
	const struct flow_row *rows;
	uint64_t bytes, drops;
	size_t n;

	for (size_t i = 0; i < N_GROUPS; i++) {
		REQUIRE(flow_sum_sorted(sums->flows[i], &rows, &n) == 0);
		bytes = drops = 0;
		for (size_t j = 0; j < n; j++) {
			_cleanup_free_ char *label = flow_row_label((enum flow_group)i, &rows[j], true);
			json_t *object = flow_row_json((enum flow_group)i, &rows[j]);

			REQUIRE(label && object);
			json_decref(object);
			bytes += rows[j].counts.tx_bytes + rows[j].counts.rx_bytes;
			drops += rows[j].tx_drops + rows[j].rx_drops;
			/* It is the latest that is known. */
			REQUIRE(!rows[j].src_node || !rows[j].src_node->same);
			REQUIRE(!rows[j].dst_node || !rows[j].dst_node->same);
		}
		REQUIRE(bytes == sums->bytes);
		REQUIRE(drops == sums->drops);
	}
	REQUIRE(denied_sum_sorted(sums->denied, &denied, &n) == 0);
	drops = 0;
	for (size_t j = 0; j < n; j++)
		drops += denied[j].received + denied[j].sent;
	REQUIRE(drops == sums->drops);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *next = (const char *)data, *end = next + size;
	struct sums sums = {};

	REQUIRE(node_book_new(&sums.book) == 0);
	REQUIRE(denied_sum_new(sums.book, &sums.denied) == 0);
	REQUIRE(node_book_want(sums.book, "laptop") == 1);
	for (size_t i = 0; i < N_GROUPS; i++) {
		const struct flow_view view = {.group = (enum flow_group)i};

		REQUIRE(flow_sum_new(&view, sums.book, &sums.flows[i]) == 0);
	}
	for (size_t n = 1; next < end; n++) {
		const char *newline = memchr(next, '\n', (size_t)(end - next));
		size_t length = (size_t)((newline ? newline : end) - next);
		struct message message;

		if (message_parse(next, length, &message) == 0) {
			add(&sums, &message);
			message_deinit(&message);
		}
		next += length + 1;
		if (n % 4 == 0)
			check(&sums);
	}
	check(&sums);
	check(&sums);
	for (size_t i = 0; i < N_GROUPS; i++)
		flow_sum_free(sums.flows[i]);
	denied_sum_free(sums.denied);
	node_book_free(sums.book);
	return 0;
}
