/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * An array that is handed over as it is, with an index. The index grows with what is in it and is kept from
 * window to window, since the next one will look like the last.
 */

#include "daemon/device/flow_counter.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>

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
	hash_index_deinit(&table->index);
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

static uint32_t hash_connection(const struct flow_counter *table, const struct connection *connection)
{
	uint64_t rest = (uint64_t)connection->src.port << 32 | (uint64_t)connection->dst.port << 16 |
			(uint64_t)connection->src.address.family << 8 | connection->proto;

	return (uint32_t)mix(
		hash_address(hash_address(table->seed, &connection->src.address), &connection->dst.address),
		rest);
}

static bool has_connection(const void *table, size_t item, const void *connection)
{
	return connection_compare(&((const struct flow_counter *)table)->flows.items[item].connection,
				  connection) == 0;
}

struct flow *flow_counter_add(struct flow_counter *table, const struct connection *connection,
			      const struct counts *counts)
{
	uint32_t hash = hash_connection(table, connection);
	size_t n_slots = table->index.n_slots;
	struct hash_slot *slot = NULL;

	if (n_slots > 0) {
		slot = hash_index_find(&table->index, hash, has_connection, table, connection);
		if (slot->item > 0) {
			counts_add(&table->flows.items[slot->item - 1].counts, counts);
			return &table->flows.items[slot->item - 1];
		}
	}
	if (table->flows.n >= table->max_flows || hash_index_reserve(&table->index, table->flows.n + 1) < 0 ||
	    flows_add(&table->flows, connection, counts) < 0)
		return NULL;
	if (table->index.n_slots != n_slots)
		slot = hash_index_find(&table->index, hash, has_connection, table, connection);
	hash_slot_take(slot, hash, table->flows.n - 1);
	return &table->flows.items[table->flows.n - 1];
}

void flow_counter_take(struct flow_counter *table, struct flows *ret_flows)
{
	*ret_flows = table->flows;
	table->flows = (struct flows){};
	if (ret_flows->n > 0)
		hash_index_clear(&table->index, table->max_flows);
}
