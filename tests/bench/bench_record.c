/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * What a window costs between the device and the spool, per connection: classify, merge, sort, encode; and
 * how a lookup grows with the number of prefixes. Prints figures, without a verdict.
 */

#include "common/cleanup.h"
#include "common/details.h"
#include "daemon/record/encode.h"
#include "daemon/record/entry_sort.h"
#include "daemon/record/live.h"
#include "daemon/record/nodes.h"
#include "daemon/routes/routing.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#define ROUNDS	    5
#define SLICE	    1024 /* flows that the device hands over at once */
#define MAX_MESSAGE 262144

static double cpu_seconds(void)
{
	struct timespec time;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static uint64_t next_random(uint64_t *state)
{
	uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

static long resident_kib(void)
{
	_cleanup_fclose_ FILE *file = fopen("/proc/self/statm", "re");
	long total, resident = 0;

	if (!file || fscanf(file, "%ld %ld", &total, &resident) != 2)
		return 0;
	return resident * (sysconf(_SC_PAGESIZE) / 1024);
}

/* A node with clients of many addresses and ports: a tenth IPv6, a tenth towards subnets, as many to exit. */
static struct flow random_flow(uint64_t *state)
{
	uint64_t random = next_random(state);
	struct flow flow = {.connection.proto = random & 1 ? 6 : 17};
	struct endpoint *src = &flow.connection.src, *dst = &flow.connection.dst;
	unsigned int kind = (unsigned int)(random >> 8) % 10;

	if (kind == 0) {
		src->address = address_ipv6((uint8_t[16]){0xfd, 0x7a, 0x11, 0x5c, 0xa1, 0xe0, [15] = 1});
		dst->address = address_ipv6((uint8_t[16]){0xfd, 0x7a, 0x11, 0x5c, 0xa1, 0xe0});
		memcpy(dst->address.bytes + 10, &random, 6);
	} else {
		static const uint8_t first[] = {100, 100, 100, 100, 100, 100, 10, 8, 100, 100};

		src->address = address_ipv4((uint8_t[4]){100, 64, 0, 1});
		dst->address = address_ipv4(
			(uint8_t[4]){first[kind], 64, (uint8_t)(random >> 16), (uint8_t)(random >> 24)});
	}
	src->port = (uint16_t)(random >> 32);
	dst->port = kind < 5 ? 443 : (uint16_t)(random >> 48);
	flow.counts.tx_packets = 1 + (random >> 20 & 0x3ff);
	flow.counts.tx_bytes = flow.counts.tx_packets * (60 + (random & 0x3ff));
	flow.counts.rx_packets = 1 + (random >> 30 & 0x3ff);
	flow.counts.rx_bytes = flow.counts.rx_packets * (60 + (random >> 10 & 0x3ff));
	flow.details = (struct details){.bits = DETAILS_HAS_FIRST};
	/* A third of TCP begins and ends here. */
	if (random & 1) {
		flow.details.tx_flags = flow.details.rx_flags = 0x1b;
		if (random % 3 == 0) {
			flow.details.bits |= DETAILS_HAS_SYN | DETAILS_ENDED | DETAILS_FIRST_ENDED;
			flow.details.first_syn = flow.details.last_syn = (uint32_t)next_random(state);
			flow.details.starts = flow.details.ends = 1;
			flow.details.opener = OPENER_SRC;
		}
	}
	return flow;
}

static struct prefix random_prefix(uint64_t *state)
{
	uint64_t random = next_random(state);
	struct prefix prefix = {.length = 24};

	prefix.address = address_ipv4((uint8_t[4]){10, (uint8_t)random, (uint8_t)(random >> 8), 0});
	if (random >> 16 & 1) {
		prefix.address = address_ipv6((uint8_t[16]){0xfd, 0x7a, 0x11, 0x5c, 0xa1, 0xe0});
		memcpy(prefix.address.bytes + 6, &random, 8);
		prefix.length = 112;
	}
	return prefix;
}

static struct routing *make_routing(size_t n)
{
	struct route_lists lists = {};
	struct prefix_list tailnet = {};
	struct routing *routing = NULL;
	struct prefix prefix;
	uint64_t state = 1;

	prefix_parse("100.64.0.0/10", &prefix);
	prefix_list_add(&tailnet, &prefix);
	prefix_list_add(&lists.routes, &prefix);
	prefix_parse("fd7a:115c:a1e0::/48", &prefix);
	prefix_list_add(&tailnet, &prefix);
	prefix_list_add(&lists.routes, &prefix);
	while (lists.routes.n < n) {
		prefix = random_prefix(&state);
		if (prefix_list_add(&lists.routes, &prefix) < 0)
			break;
	}
	if (routing_new(&lists, &tailnet, NULL, &routing) < 0)
		abort();
	prefix_list_deinit(&tailnet);
	prefix_list_deinit(&lists.routes);
	return routing;
}

static void bench_lookup(size_t n)
{
	enum { ADDRESSES = 1 << 16 };
	_cleanup_(routing_freep) struct routing *routing = make_routing(n);
	_cleanup_free_ struct address *addresses = calloc(ADDRESSES, sizeof(*addresses));
	uint64_t state = 2;
	unsigned int found = 0;
	double best = 1e9, build = cpu_seconds();

	routing_free(make_routing(n));
	build = cpu_seconds() - build;
	for (size_t i = 0; addresses && i < ADDRESSES; i++)
		addresses[i] = random_prefix(&state).address;
	for (int round = 0; addresses && round < ROUNDS; round++) {
		double begin = cpu_seconds();

		for (size_t i = 0; i < ADDRESSES; i++)
			found += routing_lookup(routing, &addresses[i]);
		best = MIN(best, cpu_seconds() - begin);
	}
	printf("lookup among %6zu prefixes: %5.1f ns (random addresses, IPv4 and IPv6; built in %.2f ms; %u)\n",
	       n, best / ADDRESSES * 1e9, build * 1e3, found & 1);
}

struct figures {
	double add, follow, sort, qsort, encode;
	size_t messages, bytes;
};

static int count_message(const struct buffer *message, void *userdata)
{
	struct figures *figures = userdata;

	figures->messages++;
	figures->bytes += message->length;
	return 0;
}

/* The device's part: flows in slices, made while the clock stands still. */
static double add_all(struct aggregate *aggregate, size_t n, const struct routing *routing, bool with_details)
{
	struct aggregate_settings settings = {.exit_traffic = EXIT_TRAFFIC_FULL, .details = with_details};
	static struct flow slice[SLICE];
	uint64_t state = 3;
	double seconds = 0;

	for (size_t done = 0; done < n;) {
		struct flows flows = {.items = slice, .n = MIN(n - done, (size_t)SLICE)};
		double begin;

		for (size_t i = 0; i < flows.n; i++)
			slice[i] = random_flow(&state);
		begin = cpu_seconds();
		if (aggregate_add_tun(aggregate, &flows, routing, &settings, NULL, NULL) < 0)
			abort();
		seconds += cpu_seconds() - begin;
		done += flows.n;
	}
	return seconds;
}

static int key_compare(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct entry_key));
}

/* The same by the C library, to compare with. */
static double sort_by_library(const struct entries *entries)
{
	struct region region = {};
	struct entry_key *keys;
	struct entry entry;
	double seconds;

	if (region_grow(&region, entries->n * sizeof(*keys)) < 0)
		abort();
	keys = region.data;
	for (size_t i = 0; i < entries->n && entries_read(entries, i, &entry); i++)
		keys[i] = entry.key;
	seconds = cpu_seconds();
	qsort(keys, entries->n, sizeof(*keys), key_compare);
	seconds = cpu_seconds() - seconds;
	region_deinit(&region);
	return seconds;
}

/* The part of encode_window()'s time that is sorting. */
static double sort_alone(size_t n, double *ret_by_library)
{
	struct entries entries;
	struct region work = {};
	struct entry_order *order;
	uint64_t state = 3;
	double begin, seconds = 0;

	if (entries_init(&entries) < 0 || entries_reserve(&entries, n) < 0)
		abort();
	for (size_t i = 0; i < n; i++) {
		struct flow flow = random_flow(&state);
		struct entry_key key;

		entry_key_make(&key, flow.connection.dst.address.bytes[0] == 8 ? CLASS_EXIT : CLASS_VIRTUAL,
			       &flow.connection);
		entries_add(&entries, &key, entries_hash(&entries, &key), &flow.counts, &flow.details);
	}
	/* The second time the memory is there, as in every window but the first. */
	for (int i = 0; i < 2; i++) {
		begin = cpu_seconds();
		if (entries_sort(&entries, &work, &order) < 0)
			abort();
		seconds = cpu_seconds() - begin;
	}
	*ret_by_library = sort_by_library(&entries);
	region_deinit(&work);
	entries_deinit(&entries);
	return seconds;
}

static struct figures run_window(struct aggregate *aggregate, struct live *live, size_t n,
				 const struct routing *routing, const struct encode_settings *settings)
{
	static int64_t now = 1000000000000;
	struct encode_times window = {.start = 1, .end = 5000000001};
	struct encode_sequence sequence = {.proc_id = 1};
	struct figures figures = {};
	double begin;

	figures.add = add_all(aggregate, n, routing, live);
	begin = cpu_seconds();
	if (live) {
		live_begin_window(live, now, now + 5000000000);
		now += 5000000000;
		aggregate_finish(aggregate, live, false);
	}
	figures.follow = cpu_seconds() - begin;
	begin = cpu_seconds();
	if (encode_window(aggregate, &window, settings, &sequence, 1, count_message, &figures) < 0)
		abort();
	figures.encode = cpu_seconds() - begin;
	figures.sort = sort_alone(n, &figures.qsort);
	return figures;
}

static struct nodes *make_nodes(unsigned int n)
{
	json_t *array = json_array(), *object = json_pack("{s:o}", "nodes", array);
	struct nodes *nodes = NULL;
	struct node_refusal refusal = {};

	for (unsigned int i = 0; i < n; i++) {
		char id[16], address[ADDRESS_TEXT_MAX];

		snprintf(id, sizeof(id), "n%u", i);
		snprintf(address, sizeof(address), "100.64.%u.%u", i >> 8 & 255, i & 255);
		json_array_append_new(array, json_pack("{s:s, s:[s]}", "nodeId", id, "addresses", address));
	}
	if (nodes_new_json(object, &nodes, &refusal) < 0)
		abort();
	json_decref(object);
	return nodes;
}

static int compare_doubles(const void *a, const void *b)
{
	double left = *(const double *)a, right = *(const double *)b;

	return left < right ? -1 : left > right;
}

/* What the sums by class add to encoding: the same window with them and without, in turn. */
static void bench_sums(size_t n, const struct routing *routing)
{
	enum { TURNS = 15 };
	_cleanup_(aggregate_freep) struct aggregate *aggregate = NULL;
	struct encode_sums sums = {};
	double ratios[TURNS], plain[TURNS];

	if (aggregate_new(&aggregate) < 0)
		abort();
	add_all(aggregate, n, routing, true);
	for (int turn = 0; turn < TURNS; turn++) {
		double seconds[2];

		for (int with = 0; with < 2; with++) {
			struct encode_settings settings = {.max_message_size = MAX_MESSAGE,
							   .sums = with ? &sums : NULL};
			struct encode_times window = {.start = 1, .end = 5000000001};
			struct encode_sequence sequence = {.proc_id = 1};
			struct figures figures = {};

			seconds[with] = cpu_seconds();
			if (encode_window(aggregate, &window, &settings, &sequence, 1, count_message,
					  &figures) < 0)
				abort();
			seconds[with] = cpu_seconds() - seconds[with];
		}
		ratios[turn] = seconds[1] / seconds[0];
		plain[turn] = seconds[0];
	}
	qsort(ratios, TURNS, sizeof(ratios[0]), compare_doubles);
	qsort(plain, TURNS, sizeof(plain[0]), compare_doubles);
	printf("sums by class: sorting and encoding %zu entries takes %.3f times what it takes without (%.1f ns each)\n",
	       n, ratios[TURNS / 2], plain[TURNS / 2] / (double)n * 1e9);
}

static void bench_window(size_t n, const struct routing *routing, const struct nodes *nodes,
			 bool with_details)
{
	struct encode_settings settings = {.max_message_size = MAX_MESSAGE, .nodes = nodes};
	_cleanup_(aggregate_freep) struct aggregate *aggregate = NULL;
	_cleanup_(live_freep) struct live *live = NULL;
	struct figures best = {.add = 1e9, .follow = 1e9, .sort = 1e9, .qsort = 1e9, .encode = 1e9};
	long before, after;
	size_t entries = 0;

	if (aggregate_new(&aggregate) < 0 || (with_details && live_new(2 * n, &live) < 0))
		abort();
	if (live)
		live_begin(live, 1);
	before = resident_kib();
	for (int round = 0; round < ROUNDS; round++) {
		struct figures figures = run_window(aggregate, live, n, routing, &settings);

		best.add = MIN(best.add, figures.add);
		best.follow = MIN(best.follow, figures.follow);
		best.sort = MIN(best.sort, figures.sort);
		best.qsort = MIN(best.qsort, figures.qsort);
		best.encode = MIN(best.encode, figures.encode);
		best.messages = figures.messages;
		best.bytes = figures.bytes;
		entries = aggregate_entries(aggregate);
		after = resident_kib();
		aggregate_reset(aggregate);
	}
	printf("window of %7zu%s%s: classify+merge %5.1f, live %5.1f, sort %5.1f (qsort %5.1f), encode %5.1f, all %5.1f ns per connection; "
	       "%zu entries, %zu messages, %.0f bytes each; %.1f MiB\n",
	       n, nodes ? ", 10000 nodes" : "", live ? ", details" : "", best.add / (double)n * 1e9,
	       best.follow / (double)n * 1e9, best.sort / (double)n * 1e9, best.qsort / (double)n * 1e9,
	       (best.encode - best.sort) / (double)n * 1e9,
	       (best.add + best.follow + best.encode) / (double)n * 1e9, entries, best.messages,
	       (double)best.bytes / (double)entries, (double)(after - before) / 1024);

	/* Small windows after it. */
	for (int i = 0; i < 40; i++) {
		run_window(aggregate, live, 100, routing, &settings);
		aggregate_reset(aggregate);
	}
	printf("                after 40 small windows: %.1f MiB\n",
	       (double)(resident_kib() - before) / 1024);
}

int main(void)
{
	_cleanup_(routing_freep) struct routing *routing = make_routing(100);
	_cleanup_(nodes_unrefp) struct nodes *nodes = make_nodes(10000);

	for (size_t n = 10; n <= 10000; n *= 10)
		bench_lookup(n);
	bench_sums(100000, routing);
	bench_window(1000, routing, NULL, true);
	bench_window(100000, routing, NULL, false);
	bench_window(100000, routing, NULL, true);
	bench_window(100000, routing, nodes, true);
	bench_window(1000000, routing, NULL, true);
	return 0;
}
