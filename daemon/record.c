/*
 * Gathering a window: every flow gets its class, exit traffic is reduced to what may be told of it, and what
 * is then equal becomes one entry.
 */

#include "daemon/record.h"

#include "daemon/ranges.h"
#include "daemon/record_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int record_new(struct record **ret_record)
{
	_cleanup_free_ struct record *record = calloc(1, sizeof(*record));
	int r;

	if (!record)
		return -ENOMEM;
	r = entries_init(&record->entries);
	if (r < 0)
		return r;
	*ret_record = TAKE_PTR(record);
	return 0;
}

void record_free(struct record *record)
{
	if (!record)
		return;
	entries_deinit(&record->entries);
	region_deinit(&record->order);
	region_deinit(&record->message);
	free(record);
}

void record_set_bound(struct record *record, size_t entries)
{
	record->bound = entries;
}

void record_reset(struct record *record)
{
	entries_reset(&record->entries);
	memset(record->n, 0, sizeof(record->n));
	memset(record->sums, 0, sizeof(record->sums));
	memset(record->overflow, 0, sizeof(record->overflow));
	region_shrink(&record->order, 4 * record->entries.usual * sizeof(struct entry_order));
}

/* Looks up one end of flow after flow. Flows come in no order, yet a node's own end rarely changes. */
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

/* What of a connection may be told: its node's address, and nothing of the other end. */
static struct connection anonymous(const struct connection *connection, unsigned int src, unsigned int dst)
{
	struct connection kept = {0};

	if (src & ROUTING_NODE)
		kept.src.address = connection->src.address;
	if (dst & ROUTING_NODE)
		kept.dst.address = connection->dst.address;
	return kept;
}

/* Makes or finds the entry, or, beyond the layer's bound, counts overflow. */
static void add_entry(struct record *record, int layer, const struct entry_key *key, uint32_t hash,
		      const struct counts *counts, struct counts *overflow)
{
	size_t before = record->entries.n;

	if (record->bound == 0 || record->n[layer] < record->bound) {
		entries_add(&record->entries, key, hash, counts);
		record->n[layer] += record->entries.n - before;
	} else if (!entries_add_known(&record->entries, key, hash, counts)) {
		counts_add(overflow, counts);
		return;
	}
	counts_add(&record->sums[layer], counts);
}

/* A flow that is classified; its entry is on its way from memory. */
struct waiting {
	struct entry_key key;
	uint32_t hash;
	const struct counts *counts;
};

#define WAITING_MAX 16

/* What adding the flows of one extraction keeps in mind. */
struct adding {
	struct record *record;
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
	for (size_t i = 0; i < adding->n_waiting; i++) {
		const struct waiting *one = &adding->waiting[i];

		add_entry(adding->record, RECORD_TUN, &one->key, one->hash, one->counts, &adding->overflow);
	}
	adding->n_waiting = 0;
}

static void add_flow(struct adding *adding, const struct flow *flow)
{
	const struct connection *connection = &flow->connection;
	unsigned int src = lookup(&adding->src, &connection->src.address);
	unsigned int dst = lookup(&adding->dst, &connection->dst.address);
	enum traffic_class class = routing_class(src, dst);
	struct connection reduced;
	struct waiting *one;

	if (class == CLASS_EXIT && adding->exit_traffic == EXIT_AGGREGATE) {
		counts_add(&adding->exit, &flow->counts);
		return;
	}
	if (class == CLASS_EXIT && adding->exit_traffic == EXIT_ANONYMIZE) {
		reduced = anonymous(connection, src, dst);
		connection = &reduced;
	}
	one = &adding->waiting[adding->n_waiting++];
	entry_key_make(&one->key, class, connection);
	one->hash = entries_hash(&adding->record->entries, &one->key);
	one->counts = &flow->counts;
	if (adding->n_waiting == WAITING_MAX)
		add_waiting(adding);
}

/* The one entry that is no connection; it stands outside the bound. */
static void add_exit(struct adding *adding)
{
	struct entries *entries = &adding->record->entries;
	struct entry_key key;

	if (counts_is_zero(&adding->exit))
		return;
	entry_key_make(&key, CLASS_EXIT, &(struct connection){0});
	entries_add(entries, &key, entries_hash(entries, &key), &adding->exit);
	counts_add(&adding->record->sums[RECORD_TUN], &adding->exit);
}

static uint8_t resolve_ignored(unsigned int sets)
{
	return sets != 0;
}

static int make_ignored(const struct prefix_list *addrs, struct ranges *ret_ranges)
{
	_cleanup_(ranges_builder_deinit) struct ranges_builder builder = {0};

	for (size_t i = 0; addrs && i < addrs->n; i++) {
		int r = ranges_builder_add(&builder, 0, &addrs->items[i]);

		if (r < 0)
			return r;
	}
	return ranges_build(&builder, resolve_ignored, ret_ranges);
}

int record_add_tun(struct record *record, const struct flows *flows, const struct routing *routing,
		   const struct record_settings *settings, struct counts *ret_ignored,
		   struct counts *ret_overflow)
{
	_cleanup_(ranges_deinit) struct ranges ignored = {0};
	struct adding adding = {
		.record = record,
		.exit_traffic = settings->exit_traffic,
		.src.routing = routing,
		.dst.routing = routing,
	};
	struct counts ignored_sum = {0};
	int r;

	r = make_ignored(settings->ignore_addrs, &ignored);
	if (r < 0)
		return r;
	r = entries_reserve(&record->entries, flows->n + 1);
	if (r < 0)
		return r;

	for (size_t i = 0; i < flows->n; i++) {
		const struct flow *flow = &flows->items[i];

		if (counts_is_zero(&flow->counts))
			continue;
		if (ranges_lookup(&ignored, &flow->connection.dst.address)) {
			counts_add(&ignored_sum, &flow->counts);
			continue;
		}
		add_flow(&adding, flow);
	}
	add_waiting(&adding);
	add_exit(&adding);
	counts_add(&record->overflow[RECORD_TUN], &adding.overflow);
	if (ret_overflow)
		*ret_overflow = adding.overflow;
	if (ret_ignored)
		*ret_ignored = ignored_sum;
	return 0;
}

int record_add_sock(struct record *record, const struct flows *flows, struct counts *ret_overflow)
{
	struct counts overflow = {0};
	int r;

	r = entries_reserve(&record->entries, flows->n);
	if (r < 0)
		return r;
	for (size_t i = 0; i < flows->n; i++) {
		const struct flow *flow = &flows->items[i];
		struct entry_key key;

		if (counts_is_zero(&flow->counts))
			continue;
		entry_key_make(&key, CLASS_PHYSICAL, &flow->connection);
		add_entry(record, RECORD_SOCK, &key, entries_hash(&record->entries, &key), &flow->counts,
			  &overflow);
	}
	counts_add(&record->overflow[RECORD_SOCK], &overflow);
	if (ret_overflow)
		*ret_overflow = overflow;
	return 0;
}

void record_add_overflow(struct record *record, const struct counts *tun, const struct counts *sock)
{
	if (tun)
		counts_add(&record->overflow[RECORD_TUN], tun);
	if (sock)
		counts_add(&record->overflow[RECORD_SOCK], sock);
}

void record_get_sums(const struct record *record, struct counts *ret_tun, struct counts *ret_sock)
{
	*ret_tun = record->sums[RECORD_TUN];
	*ret_sock = record->sums[RECORD_SOCK];
}

bool record_is_empty(const struct record *record)
{
	return record->entries.n == 0 && counts_is_zero(&record->overflow[RECORD_TUN]) &&
	       counts_is_zero(&record->overflow[RECORD_SOCK]);
}

size_t record_connections(const struct record *record)
{
	return record->entries.n;
}
