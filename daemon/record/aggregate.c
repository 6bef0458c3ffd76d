/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Gathering a window: every flow gets its class, exit traffic is reduced to what may be logged of it, and
 * what is then equal becomes one entry.
 */

#include "daemon/record/aggregate.h"

#include "common/details.h"
#include "daemon/record/entry_sort.h"
#include "daemon/record/live.h"
#include "daemon/routes/ranges.h"
#include "daemon/routes/routing.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int aggregate_new(struct aggregate **ret_aggregate)
{
	_cleanup_free_ struct aggregate *aggregate = calloc(1, sizeof(*aggregate));
	int r;

	if (!aggregate)
		return -ENOMEM;
	r = entries_init(&aggregate->entries);
	if (r >= 0)
		r = entries_init(&aggregate->held);
	if (r < 0)
		return r;
	*ret_aggregate = TAKE_PTR(aggregate);
	return 0;
}

/* What would take more memory than entries do is not told apart. */
#define REDUCED_MAX 4 /* connections of reduced exit traffic, in multiples of the bound */

void aggregate_free(struct aggregate *aggregate)
{
	if (!aggregate)
		return;
	entries_deinit(&aggregate->entries);
	entries_deinit(&aggregate->held);
	hash_index_deinit(&aggregate->reduced);
	region_deinit(&aggregate->order);
	region_deinit(&aggregate->message);
	free(aggregate);
}

void aggregate_set_bound(struct aggregate *aggregate, size_t entries)
{
	aggregate->bound = entries;
}

/* Most windows hold nothing, so its memory is given back at once. */
static void forget_held(struct aggregate *aggregate)
{
	entries_deinit(&aggregate->held);
	aggregate->held_sum = (struct counts){};
}

void aggregate_reset(struct aggregate *aggregate)
{
	entries_reset(&aggregate->entries);
	forget_held(aggregate);
	memset(aggregate->n, 0, sizeof(aggregate->n));
	memset(aggregate->connections, 0, sizeof(aggregate->connections));
	hash_index_clear(&aggregate->reduced, aggregate->n_reduced);
	aggregate->n_reduced = 0;
	memset(aggregate->sums, 0, sizeof(aggregate->sums));
	memset(aggregate->overflow, 0, sizeof(aggregate->overflow));
	/* It is needed for a moment; taking it again costs 2 ns per connection. */
	region_deinit(&aggregate->order);
}

/* Looks up one end of flow after flow. Flows are unordered, but a node's own end rarely changes. */
struct lookup {
	const struct routing *routing;
	struct address address;
	unsigned int flags;
};

static unsigned int lookup(struct lookup *last, const struct address *address)
{
	if (memcmp(&last->address, address, sizeof(*address)) != 0) {
		last->address = *address;
		last->flags = routing_lookup(last->routing, address);
	}
	return last->flags;
}

/* A classified flow whose entry is on its way from memory. */
struct waiting {
	struct entry_key key;
	uint32_t hash;
	bool is_reduced; /* the entry stands for more than this connection */
	const struct counts *counts;
	const struct details *details;
};

static uint64_t drops_of(const struct details *details)
{
	return details ? (uint64_t)details->tx_drops + details->rx_drops : 0;
}

/* Adds to the connection's entry, or makes one; beyond the layer's bound, counts overflow. */
static void add_entry(struct aggregate *aggregate, enum device_layer layer, const struct waiting *one,
		      struct counts *overflow)
{
	size_t before = aggregate->entries.n, made;

	if (aggregate->bound == 0 || aggregate->n[layer] < aggregate->bound) {
		entries_add(&aggregate->entries, &one->key, one->hash, one->counts, one->details);
		made = aggregate->entries.n - before;
		aggregate->n[layer] += made;
		aggregate->connections[layer] += one->is_reduced ? 0 : made;
	} else if (!entries_add_known(&aggregate->entries, &one->key, one->hash, one->counts, one->details)) {
		counts_add(overflow, one->counts);
		aggregate->lost_drops += drops_of(one->details);
		return;
	}
	counts_add(&aggregate->sums[layer], one->counts);
}

static bool has_item(const void *owner, size_t item, const void *key)
{
	(void)owner;
	return item == *(const size_t *)key;
}

/* Counts a connection that gets no entry of its own, when it comes for the first time. */
static void count_reduced(struct aggregate *aggregate, const struct connection *connection)
{
	struct entry_key key;
	struct hash_slot *slot;
	uint64_t hash;
	size_t rest;

	if (aggregate->bound > 0 && aggregate->n_reduced >= REDUCED_MAX * aggregate->bound)
		return;
	if (hash_index_reserve(&aggregate->reduced, aggregate->n_reduced + 1) < 0)
		return;
	entry_key_make(&key, CLASS_EXIT, connection);
	hash = entry_key_hash(&key, aggregate->entries.seed);
	/* The slot holds all of the hash but one bit, in place of an item. */
	rest = (size_t)(hash >> 33);
	slot = hash_index_find(&aggregate->reduced, (uint32_t)hash, has_item, NULL, &rest);
	if (slot->item)
		return;
	hash_slot_take(slot, (uint32_t)hash, rest);
	aggregate->n_reduced++;
	aggregate->connections[LAYER_TUN]++;
}

#define WAITING_MAX 16
#define DISCARD	    4096 /* held entries that are classified before their memory is given back */

/* The state of adding the flows of one extraction. */
struct adding {
	struct aggregate *aggregate;
	enum exit_traffic exit_traffic;
	struct lookup src;
	struct lookup dst;
	struct counts exit; /* aggregated */
	struct counts overflow;
	struct waiting waiting[WAITING_MAX];
	size_t n_waiting;
};

static void add_waiting(struct adding *adding)
{
	for (size_t i = 0; i < adding->n_waiting; i++)
		add_entry(adding->aggregate, LAYER_TUN, &adding->waiting[i], &adding->overflow);
	adding->n_waiting = 0;
}

/* Counts and details (which may be NULL) must stay where they are until add_waiting(). */
static void add_connection(struct adding *adding, const struct connection *connection,
			   const struct counts *counts, const struct details *details)
{
	unsigned int src = lookup(&adding->src, &connection->src.address);
	unsigned int dst = lookup(&adding->dst, &connection->dst.address);
	enum traffic_class class = routing_class(src, dst);
	bool is_reduced = class == CLASS_EXIT && adding->exit_traffic != EXIT_TRAFFIC_FULL;
	struct connection reduced = {};
	struct waiting *one;

	if (is_reduced && !counts_is_zero(counts))
		count_reduced(adding->aggregate, connection);
	if (class == CLASS_EXIT && adding->exit_traffic == EXIT_TRAFFIC_AGGREGATE) {
		counts_add(&adding->exit, counts);
		return;
	}
	/* Only the node's address, nothing of the other end. */
	if (class == CLASS_EXIT && adding->exit_traffic == EXIT_TRAFFIC_ANONYMIZE) {
		if (src & ROUTING_NODE)
			reduced.src.address = connection->src.address;
		if (dst & ROUTING_NODE)
			reduced.dst.address = connection->dst.address;
		connection = &reduced;
		details = NULL;
		if (counts_is_zero(counts))
			return;
	}
	one = &adding->waiting[adding->n_waiting++];
	entry_key_make(&one->key, class, connection);
	one->hash = entries_hash(&adding->aggregate->entries, &one->key);
	one->is_reduced = is_reduced;
	one->counts = counts;
	one->details = details;
	if (adding->n_waiting == WAITING_MAX)
		add_waiting(adding);
}

/* Adds what waits, the sum of aggregated exit traffic, and what was beyond the bound. Room for one entry has
 * been reserved. */
static void finish_adding(struct adding *adding)
{
	struct aggregate *aggregate = adding->aggregate;
	struct entry_key exit_key;

	add_waiting(adding);
	/* The one entry that is not a connection; the bound does not apply. */
	if (!counts_is_zero(&adding->exit)) {
		entry_key_make(&exit_key, CLASS_EXIT, &(struct connection){});
		entries_add(&aggregate->entries, &exit_key, entries_hash(&aggregate->entries, &exit_key),
			    &adding->exit, NULL);
		counts_add(&aggregate->sums[LAYER_TUN], &adding->exit);
	}
	counts_add(&aggregate->overflow[LAYER_TUN], &adding->overflow);
}

static uint8_t resolve_ignored(unsigned int sets)
{
	return sets != 0;
}

static int make_ignored(const struct prefix_list *addrs, struct ranges *ret_ranges)
{
	_cleanup_(ranges_builder_deinit) struct ranges_builder builder = {};

	for (size_t i = 0; addrs && i < addrs->n; i++) {
		int r = ranges_builder_add(&builder, 0, &addrs->items[i]);

		if (r < 0)
			return r;
	}
	return ranges_build(&builder, resolve_ignored, ret_ranges);
}

static bool is_empty(const struct flow *flow, bool with_details)
{
	return counts_is_zero(&flow->counts) && !(with_details && !details_is_zero(&flow->details));
}

static void lose_drops(struct aggregate *aggregate, const struct flows *flows)
{
	for (size_t i = 0; i < flows->n; i++)
		aggregate->lost_drops += drops_of(&flows->items[i].details);
}

int aggregate_add_tun(struct aggregate *aggregate, const struct flows *flows, const struct routing *routing,
		      const struct aggregate_settings *settings, struct counts *ret_ignored,
		      struct counts *ret_overflow)
{
	_cleanup_(ranges_deinit) struct ranges ignored = {};
	struct adding adding = {
		.aggregate = aggregate,
		.exit_traffic = settings->exit_traffic,
		.src.routing = routing,
		.dst.routing = routing,
	};
	struct counts ignored_sum = {};
	int r;

	r = make_ignored(settings->ignore_addrs, &ignored);
	if (r >= 0)
		r = entries_reserve(&aggregate->entries, flows->n + 1);
	if (r < 0) {
		lose_drops(aggregate, flows);
		return r;
	}

	for (size_t i = 0; i < flows->n; i++) {
		const struct flow *flow = &flows->items[i];

		if (is_empty(flow, settings->details))
			continue;
		if (ranges_lookup(&ignored, &flow->connection.dst.address)) {
			counts_add(&ignored_sum, &flow->counts);
			continue;
		}
		add_connection(&adding, &flow->connection, &flow->counts,
			       settings->details ? &flow->details : NULL);
	}
	finish_adding(&adding);
	if (ret_overflow)
		*ret_overflow = adding.overflow;
	if (ret_ignored)
		*ret_ignored = ignored_sum;
	return 0;
}

int aggregate_hold_tun(struct aggregate *aggregate, const struct flows *flows,
		       const struct aggregate_settings *settings, struct counts *ret_ignored)
{
	_cleanup_(ranges_deinit) struct ranges ignored = {};
	struct counts ignored_sum = {};
	int r = make_ignored(settings->ignore_addrs, &ignored);

	if (r >= 0)
		r = entries_reserve(&aggregate->held, flows->n);
	if (r < 0) {
		lose_drops(aggregate, flows);
		return r;
	}
	/* What the last window has left is not needed before the held ones are classified. */
	if (aggregate->held.n == 0 && aggregate->entries.n == 0)
		entries_release(&aggregate->entries);
	for (size_t i = 0; i < flows->n; i++) {
		const struct flow *flow = &flows->items[i];
		struct entry_key key;

		if (is_empty(flow, settings->details))
			continue;
		if (ranges_lookup(&ignored, &flow->connection.dst.address)) {
			counts_add(&ignored_sum, &flow->counts);
			continue;
		}
		/* The class is not known yet: any will do, as long as it is always the same. */
		entry_key_make(&key, CLASS_EXIT, &flow->connection);
		entries_add(&aggregate->held, &key, entries_hash(&aggregate->held, &key), &flow->counts,
			    settings->details ? &flow->details : NULL);
		counts_add(&aggregate->held_sum, &flow->counts);
		counts_add(&aggregate->sums[LAYER_TUN], &flow->counts);
	}
	if (ret_ignored)
		*ret_ignored = ignored_sum;
	return 0;
}

void aggregate_classify(struct aggregate *aggregate, const struct routing *routing,
			enum exit_traffic exit_traffic, struct counts *ret_overflow)
{
	struct adding adding = {
		.aggregate = aggregate,
		.exit_traffic = exit_traffic,
		.src.routing = routing,
		.dst.routing = routing,
	};
	struct entries *held = &aggregate->held;
	struct counts *sum = &aggregate->sums[LAYER_TUN];
	struct entry waiting[WAITING_MAX];
	struct connection connection;
	bool has_room = true;

	*sum = counts_difference(sum, &aggregate->held_sum);
	/* So that they are not in memory twice. */
	entries_close(held);
	for (size_t i = 0; i < entries_slots(held); i++) {
		struct entry *entry = &waiting[i % WAITING_MAX];

		/* In steps, since a reservation for all would take memory for what is exit traffic. */
		if (i % WAITING_MAX == 0 && has_room) {
			add_waiting(&adding);
			has_room = entries_reserve(&aggregate->entries, WAITING_MAX + 1) == 0;
		}
		if (i % DISCARD == 0)
			entries_discard(held, i);
		if (!entries_read(held, i, entry))
			continue;
		if (!has_room) {
			counts_add(&adding.overflow, &entry->counts);
			aggregate->lost_drops += drops_of(&entry->details);
			continue;
		}
		connection = entry_key_connection(&entry->key);
		add_connection(&adding, &connection, &entry->counts, &entry->details);
	}
	if (held->n > 0)
		finish_adding(&adding);
	forget_held(aggregate);
	*ret_overflow = adding.overflow;
}

size_t aggregate_held(const struct aggregate *aggregate)
{
	return aggregate->held.n;
}

int aggregate_add_sock(struct aggregate *aggregate, const struct flows *flows, struct counts *ret_overflow)
{
	struct counts overflow = {};
	int r;

	r = entries_reserve(&aggregate->entries, flows->n);
	if (r < 0)
		return r;
	for (size_t i = 0; i < flows->n; i++) {
		struct waiting one = {.counts = &flows->items[i].counts};

		if (counts_is_zero(one.counts))
			continue;
		entry_key_make(&one.key, CLASS_PHYSICAL, &flows->items[i].connection);
		one.hash = entries_hash(&aggregate->entries, &one.key);
		add_entry(aggregate, LAYER_SOCK, &one, &overflow);
	}
	counts_add(&aggregate->overflow[LAYER_SOCK], &overflow);
	if (ret_overflow)
		*ret_overflow = overflow;
	return 0;
}

/* The port of the end that opened the connection becomes 0. */
static void fold_port(struct entry *entry)
{
	uint8_t opener = entry->details.opener;
	size_t port = opener == OPENER_SRC ? ENTRY_SRC_PORT : ENTRY_DST_PORT;

	if ((opener == OPENER_SRC || opener == OPENER_DST) && !(entry->details.bits & DETAILS_OPENERS_DIFFER))
		memset(entry->key.bytes + port, 0, 2);
}

/* The entry in a slot, which has been read. */
static void finish_entry(struct entries *entries, size_t slot, struct entry *entry, struct live *live,
			 uint64_t hash, bool fold_ports)
{
	if (entry->key.bytes[ENTRY_CLASS] != CLASS_PHYSICAL)
		live_follow(live, hash, entry);
	if (fold_ports)
		fold_port(entry);
	if (counts_is_zero(&entry->counts) && details_is_empty(&entry->details))
		entries_drop(entries, slot);
	else
		entries_write(entries, slot, entry);
}

void aggregate_finish(struct aggregate *aggregate, struct live *live, bool fold_ports)
{
	enum { AHEAD = 8 };
	struct entries *entries = &aggregate->entries;
	struct {
		bool exists;
		uint64_t hash;
		struct entry entry;
	} ahead[AHEAD], *one;
	size_t n = entries_slots(entries), before = entries->n;

	entries_close(entries);
	for (size_t i = 0; i < n + AHEAD; i++) {
		one = &ahead[i % AHEAD];
		if (i >= AHEAD && one->exists)
			finish_entry(entries, i - AHEAD, &one->entry, live, one->hash, fold_ports);
		one->exists = i < n && entries_read(entries, i, &one->entry);
		if (one->exists)
			one->hash = live_hash(live, &one->entry.key);
	}
	/* Only entries of the tun device may be empty. */
	aggregate->connections[LAYER_TUN] -= before - entries->n;
	if (fold_ports)
		entries_join(entries, details_add_others);
}

void aggregate_add_overflow(struct aggregate *aggregate, const struct counts *tun, const struct counts *sock)
{
	if (tun)
		counts_add(&aggregate->overflow[LAYER_TUN], tun);
	if (sock)
		counts_add(&aggregate->overflow[LAYER_SOCK], sock);
}

uint64_t aggregate_lost_drops(const struct aggregate *aggregate)
{
	return aggregate->lost_drops;
}

void aggregate_get_sums(const struct aggregate *aggregate, struct counts *ret_tun, struct counts *ret_sock)
{
	*ret_tun = aggregate->sums[LAYER_TUN];
	*ret_sock = aggregate->sums[LAYER_SOCK];
}

bool aggregate_has_reduced(const struct aggregate *aggregate)
{
	return aggregate->n_reduced > 0;
}

bool aggregate_is_empty(const struct aggregate *aggregate)
{
	return aggregate->entries.n == 0 && counts_is_zero(&aggregate->overflow[LAYER_TUN]) &&
	       counts_is_zero(&aggregate->overflow[LAYER_SOCK]);
}

size_t aggregate_entries(const struct aggregate *aggregate)
{
	return aggregate->entries.n;
}

size_t aggregate_connections(const struct aggregate *aggregate, enum device_layer layer)
{
	return aggregate->connections[layer];
}
