/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Open addressing over an array that is handed over as it is. The index grows with what is in it and is kept
 * from window to window, since the next one will look like the last.
 */

#include "daemon/device/flow_counter.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#define MIN_INDEX 1024

int flow_counter_init(struct flow_counter *table, size_t max_flows)
{
	*table = (struct flow_counter){.max_flows = max_flows};
	if (getrandom(&table->seed, sizeof(table->seed), 0) != sizeof(table->seed))
		return -EIO;
	return 0;
}

void flow_counter_deinit(struct flow_counter *table)
{
	flows_deinit(&table->flows);
	free(table->index);
	*table = (struct flow_counter){};
}

static uint64_t mix(uint64_t hash, uint64_t word)
{
	unsigned __int128 product = (unsigned __int128)(hash ^ word) * 0x9e3779b97f4a7c15ULL;

	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static uint64_t hash_address(uint64_t hash, const struct address *address)
{
	uint64_t words[2];

	memcpy(words, address->bytes, sizeof(words));
	return mix(mix(hash, words[0]), words[1]);
}

static size_t hash_connection(const struct flow_counter *table, const struct connection *connection)
{
	uint64_t rest = (uint64_t)connection->src.port << 32 | (uint64_t)connection->dst.port << 16 |
			(uint64_t)connection->src.address.family << 8 | connection->proto;

	return (size_t)mix(
		hash_address(hash_address(table->seed, &connection->src.address), &connection->dst.address),
		rest);
}

/* The place of a connection in the index, or the empty one where it belongs. */
static uint32_t *table_find(const struct flow_counter *table, const struct connection *connection)
{
	size_t mask = table->index_size - 1;

	for (size_t i = hash_connection(table, connection) & mask;; i = (i + 1) & mask) {
		uint32_t place = table->index[i];

		if (place == 0 ||
		    connection_compare(&table->flows.items[place - 1].connection, connection) == 0)
			return &table->index[i];
	}
}

/* At most half full, so that there is always an empty place to end a search. */
static int table_grow(struct flow_counter *table)
{
	size_t size = table->index_size > 0 ? table->index_size * 2 : MIN_INDEX;
	uint32_t *index = calloc(size, sizeof(*index));

	if (!index)
		return -ENOMEM;
	free(table->index);
	table->index = index;
	table->index_size = size;
	for (size_t i = 0; i < table->flows.n; i++)
		*table_find(table, &table->flows.items[i].connection) = (uint32_t)i + 1;
	return 0;
}

bool flow_counter_add(struct flow_counter *table, const struct connection *connection,
		      const struct counts *counts)
{
	uint32_t *place = NULL;

	if (table->index_size > 0) {
		place = table_find(table, connection);
		if (*place > 0) {
			counts_add(&table->flows.items[*place - 1].counts, counts);
			return true;
		}
	}
	if (table->flows.n >= table->max_flows || table->flows.n >= UINT32_MAX - 1)
		return false;
	if (table->flows.n + 1 > table->index_size / 2) {
		if (table_grow(table) < 0)
			return false;
		place = table_find(table, connection);
	}
	if (flows_add(&table->flows, connection, counts) < 0)
		return false;
	*place = (uint32_t)table->flows.n;
	return true;
}

void flow_counter_take(struct flow_counter *table, struct flows *ret_flows)
{
	*ret_flows = table->flows;
	table->flows = (struct flows){};
	if (ret_flows->n > 0)
		memset(table->index, 0, table->index_size * sizeof(*table->index));
}
