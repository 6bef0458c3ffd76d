/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Each list is a sorted set of prefixes, and each prefix knows where it comes from. A change merges two
 * sorted lists; a prefix that has lost its last origin stays for two ends of a window: that of the window in
 * which it went, and that of the next.
 */

#include "daemon/routes/routes.h"

#include "daemon/routes/found.h"
#include "daemon/routes/routing.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define LINGER_WINDOWS 2

struct route_state {
	uint8_t origins;
	uint8_t lingers; /* without origins: how many windows end until it goes */
};

/* states[i] belongs to prefixes.items[i]. */
struct route_set {
	struct prefix_list prefixes;
	struct route_state *states;
};

struct routes {
	struct route_set sets[N_ROUTE_LISTS];
	struct prefix_list tailnet_exclude;
	struct prefix_list own_networks; /* that joined the tailnet ranges when routing was made */
	enum routes_mode mode;
	struct routing *routing;
	bool changed; /* since routing was made */
	bool reconfigured;
	bool lingering; /* some prefixes have no origin any more */
};

const char *route_list_name(enum route_list_kind kind)
{
	static const char *const names[] = {
		[ROUTE_LIST_LOCAL_ADDRS] = "localAddrs",
		[ROUTE_LIST_ROUTES] = "routes",
		[ROUTE_LIST_SUBNET_ROUTES] = "subnetRoutes",
		[ROUTE_LIST_TAILNET] = "tailnet",
	};

	return (size_t)kind < ARRAY_SIZE(names) ? names[kind] : NULL;
}

static void route_set_deinit(struct route_set *set)
{
	prefix_list_deinit(&set->prefixes);
	free(set->states);
	*set = (struct route_set){};
}

/* A change: which origins end in each list, and which one the given prefixes get. */
struct change {
	const struct prefix_list *given[N_ROUTE_LISTS]; /* may be NULL */
	uint8_t ends[N_ROUTE_LISTS];
	uint8_t begins;
};

/* The given prefixes in the form in which they are compared: no host bits, sorted, each once. */
static int normalize(const struct prefix_list *given, enum route_list_kind kind, struct prefix_list *ret_list)
{
	struct prefix_list list = {};
	int r;

	if (given) {
		r = prefix_list_copy(given, &list);
		if (r < 0)
			return r;
	}
	for (size_t i = 0; i < list.n; i++) {
		struct prefix *prefix = &list.items[i];

		if (kind == ROUTE_LIST_LOCAL_ADDRS)
			prefix->length = (uint8_t)address_bits(&prefix->address);
		else
			*prefix = prefix_masked(prefix);
	}
	prefix_list_sort(&list);
	*ret_list = list;
	return 0;
}

/* The old set with the given prefixes. *changed is set if prefixes came, *lingering if some lost their last
 * origin. */
static int merge(const struct route_set *old, const struct prefix_list *given, enum route_list_kind kind,
		 const struct change *change, struct route_set *ret_merged, bool *changed, bool *lingering)
{
	_cleanup_(prefix_list_deinit) struct prefix_list sorted = {};
	_cleanup_(route_set_deinit) struct route_set merged = {};
	size_t i = 0, j = 0, room;
	int r;

	r = normalize(given, kind, &sorted);
	if (r < 0)
		return r;
	room = old->prefixes.n + sorted.n + 1;
	merged.prefixes.items = calloc(room, sizeof(*merged.prefixes.items));
	merged.states = calloc(room, sizeof(*merged.states));
	if (!merged.prefixes.items || !merged.states)
		return -ENOMEM;

	while (i < old->prefixes.n || j < sorted.n) {
		struct route_state before = {}, after;
		bool is_old = i < old->prefixes.n, is_given = j < sorted.n;
		int order =
			is_old && is_given ? prefix_compare(&old->prefixes.items[i], &sorted.items[j]) : 0;

		is_old = is_old && order <= 0;
		is_given = is_given && order >= 0;
		merged.prefixes.items[merged.prefixes.n] = is_old ? old->prefixes.items[i] : sorted.items[j];
		if (is_old)
			before = old->states[i];
		else
			*changed = true;
		after = before;
		after.origins &= (uint8_t)~change->ends[kind];
		if (is_given)
			after.origins |= change->begins;
		if (!after.origins && before.origins) {
			after.lingers = LINGER_WINDOWS;
			*lingering = true;
		}
		merged.states[merged.prefixes.n++] = after;
		i += is_old;
		j += is_given;
	}
	*ret_merged = merged;
	merged = (struct route_set){};
	return 0;
}

static int apply(struct routes *routes, const struct change *change)
{
	struct route_set merged[N_ROUTE_LISTS] = {};
	bool changed = false, lingering = false;

	for (size_t kind = 0; kind < N_ROUTE_LISTS; kind++) {
		int r = merge(&routes->sets[kind], change->given[kind], (enum route_list_kind)kind, change,
			      &merged[kind], &changed, &lingering);

		if (r < 0) {
			for (size_t i = 0; i < kind; i++)
				route_set_deinit(&merged[i]);
			return r;
		}
	}
	for (size_t kind = 0; kind < N_ROUTE_LISTS; kind++) {
		route_set_deinit(&routes->sets[kind]);
		routes->sets[kind] = merged[kind];
	}
	routes->changed = routes->changed || changed;
	routes->lingering = routes->lingering || lingering;
	return 0;
}

static void give_lists(struct change *change, const struct route_lists *lists)
{
	change->given[ROUTE_LIST_LOCAL_ADDRS] = &lists->local_addrs;
	change->given[ROUTE_LIST_ROUTES] = &lists->routes;
	change->given[ROUTE_LIST_SUBNET_ROUTES] = &lists->subnet_routes;
}

int routes_set_configured(struct routes *routes, const struct config *config)
{
	struct change change = {.begins = ROUTE_ORIGIN_CONFIGURED};
	struct prefix_list exclude;
	int r;

	give_lists(&change, &config->routes);
	change.given[ROUTE_LIST_TAILNET] = &config->tailnet;
	for (size_t kind = 0; kind < N_ROUTE_LISTS; kind++) {
		change.ends[kind] = ROUTE_ORIGIN_CONFIGURED | ROUTE_ORIGIN_RECONFIGURED;
		if (config->routes_mode == ROUTES_MODE_STATIC)
			change.ends[kind] |= ROUTE_ORIGIN_FOUND | ROUTE_ORIGIN_FOUND_PEER;
	}

	r = prefix_list_copy(&config->tailnet_exclude, &exclude);
	if (r < 0)
		return r;
	prefix_list_sort(&exclude);
	r = apply(routes, &change);
	if (r < 0) {
		prefix_list_deinit(&exclude);
		return r;
	}
	if (!prefix_list_equal(&exclude, &routes->tailnet_exclude))
		routes->changed = true;
	prefix_list_deinit(&routes->tailnet_exclude);
	routes->tailnet_exclude = exclude;
	routes->mode = config->routes_mode;
	routes->reconfigured = false;
	return 0;
}

int routes_reconfigure(struct routes *routes, const struct route_lists *lists)
{
	struct change change = {.begins = ROUTE_ORIGIN_RECONFIGURED};
	int r;

	give_lists(&change, lists);
	for (size_t kind = 0; kind < N_ROUTE_LISTS; kind++)
		if (kind != ROUTE_LIST_TAILNET)
			change.ends[kind] = ROUTE_ORIGIN_CONFIGURED | ROUTE_ORIGIN_RECONFIGURED;
	r = apply(routes, &change);
	routes->reconfigured = routes->reconfigured || r == 0;
	return r;
}

int routes_set_found(struct routes *routes, const struct route_lists *lists,
		     const struct prefix_list *allowed_ips, const struct prefix_list *tailnet)
{
	bool automatic = routes->mode == ROUTES_MODE_AUTO;
	struct change peers = {.begins = ROUTE_ORIGIN_FOUND_PEER}, others = {.begins = ROUTE_ORIGIN_FOUND};
	int r;

	peers.ends[ROUTE_LIST_ROUTES] = ROUTE_ORIGIN_FOUND_PEER;
	peers.given[ROUTE_LIST_ROUTES] = automatic ? allowed_ips : NULL;
	r = apply(routes, &peers);
	if (r < 0)
		return r;
	memset(others.ends, ROUTE_ORIGIN_FOUND, sizeof(others.ends));
	if (automatic) {
		give_lists(&others, lists);
		others.given[ROUTE_LIST_TAILNET] = tailnet;
	} else {
		/* "connected" is a word of the configured list. */
		others.given[ROUTE_LIST_SUBNET_ROUTES] = &lists->subnet_routes;
	}
	return apply(routes, &others);
}

/* The place of a prefix, or where it belongs. */
static size_t find_prefix(const struct prefix_list *list, const struct prefix *prefix)
{
	size_t low = 0, high = list->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (prefix_compare(&list->items[middle], prefix) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

int routes_change_found(struct routes *routes, const struct prefix_list *came, const struct prefix_list *went)
{
	struct route_set *set = &routes->sets[ROUTE_LIST_ROUTES], merged;
	struct change change = {.begins = ROUTE_ORIGIN_FOUND};
	bool changed = false;
	int r;

	if (routes->mode != ROUTES_MODE_AUTO)
		return 0;
	if (came->n > 0) {
		r = merge(set, came, ROUTE_LIST_ROUTES, &change, &merged, &changed, &routes->lingering);
		if (r < 0)
			return r;
		route_set_deinit(set);
		*set = merged;
		routes->changed = routes->changed || changed;
	}
	for (size_t i = 0; i < went->n; i++) {
		size_t at = find_prefix(&set->prefixes, &went->items[i]);
		struct route_state *state = &set->states[at];

		if (at == set->prefixes.n || !prefix_equal(&set->prefixes.items[at], &went->items[i]) ||
		    !(state->origins & ROUTE_ORIGIN_FOUND))
			continue;
		state->origins &= (uint8_t)~ROUTE_ORIGIN_FOUND;
		if (state->origins)
			continue;
		state->lingers = LINGER_WINDOWS;
		routes->lingering = true;
	}
	return 0;
}

/* Those of a set that the machine alone tells (found), or the others. */
static int select_origin(const struct route_set *set, bool found, struct prefix_list *list)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < set->prefixes.n; i++) {
		bool told = set->states[i].origins & (ROUTE_ORIGIN_CONFIGURED | ROUTE_ORIGIN_RECONFIGURED);

		if (told != found)
			r = prefix_list_add(list, &set->prefixes.items[i]);
	}
	return r;
}

static int append(struct prefix_list *list, const struct prefix_list *more)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < more->n; i++)
		r = prefix_list_add(list, &more->items[i]);
	return r;
}

/* What was found says more together than route by route: found.h. */
static int rebuild_found(struct routes *routes, struct route_lists *lists, struct routing **ret_routing)
{
	_cleanup_(prefix_list_deinit) struct prefix_list found = {}, rest = {}, own = {}, all = {},
							 tailnet = {};
	const struct prefix_list *addresses = &routes->sets[ROUTE_LIST_LOCAL_ADDRS].prefixes;
	int r = select_origin(&routes->sets[ROUTE_LIST_ROUTES], true, &found);

	if (r >= 0)
		r = found_without_default(&found, &rest);
	if (r >= 0)
		r = found_own_networks(addresses, &rest, &own);
	if (r >= 0)
		r = select_origin(&routes->sets[ROUTE_LIST_ROUTES], false, &all);
	if (r >= 0)
		r = append(&all, &rest);
	if (r >= 0)
		r = prefix_list_copy(&routes->sets[ROUTE_LIST_TAILNET].prefixes, &tailnet);
	if (r >= 0)
		r = append(&tailnet, &own);
	if (r < 0)
		return r;
	lists->routes = all;
	r = routing_new(lists, &tailnet, &routes->tailnet_exclude, ret_routing);
	if (r < 0)
		return r;
	prefix_list_sort(&own);
	prefix_list_deinit(&routes->own_networks);
	routes->own_networks = own;
	own = (struct prefix_list){};
	return 0;
}

static int rebuild(struct routes *routes, struct routing **ret_routing)
{
	struct route_lists lists = {
		.local_addrs = routes->sets[ROUTE_LIST_LOCAL_ADDRS].prefixes,
		.routes = routes->sets[ROUTE_LIST_ROUTES].prefixes,
		.subnet_routes = routes->sets[ROUTE_LIST_SUBNET_ROUTES].prefixes,
	};

	if (routes->mode == ROUTES_MODE_AUTO)
		return rebuild_found(routes, &lists, ret_routing);
	prefix_list_deinit(&routes->own_networks);
	return routing_new(&lists, &routes->sets[ROUTE_LIST_TAILNET].prefixes, &routes->tailnet_exclude,
			   ret_routing);
}

int routes_new(const struct config *config, struct routes **ret_routes)
{
	_cleanup_(routes_freep) struct routes *routes = calloc(1, sizeof(*routes));
	int r;

	if (!routes)
		return -ENOMEM;
	r = routes_set_configured(routes, config);
	if (r < 0)
		return r;
	r = rebuild(routes, &routes->routing);
	if (r < 0)
		return r;
	routes->changed = false;
	*ret_routes = TAKE_PTR(routes);
	return 0;
}

void routes_free(struct routes *routes)
{
	if (!routes)
		return;
	for (size_t kind = 0; kind < N_ROUTE_LISTS; kind++)
		route_set_deinit(&routes->sets[kind]);
	prefix_list_deinit(&routes->tailnet_exclude);
	prefix_list_deinit(&routes->own_networks);
	routing_free(routes->routing);
	free(routes);
}

/* Counts down, and drops what has lingered long enough. */
static void routes_age(struct routes *routes, unsigned int windows)
{
	if (!routes->lingering)
		return;
	routes->lingering = false;
	for (size_t kind = 0; kind < N_ROUTE_LISTS; kind++) {
		struct route_set *set = &routes->sets[kind];
		size_t kept = 0, n = set->prefixes.n;

		for (size_t i = 0; i < n; i++) {
			struct route_state state = set->states[i];

			if (!state.origins) {
				if (state.lingers <= windows)
					continue;
				state.lingers = (uint8_t)(state.lingers - windows);
				routes->lingering = true;
			}
			set->prefixes.items[kept] = set->prefixes.items[i];
			set->states[kept++] = state;
		}
		set->prefixes.n = kept;
		if (kept < n)
			routes->changed = true;
	}
}

void routes_end_window(struct routes *routes)
{
	routes_age(routes, 1);
}

void routes_begin(struct routes *routes)
{
	routes_age(routes, LINGER_WINDOWS);
}

const struct routing *routes_current(struct routes *routes)
{
	struct routing *routing;

	if (routes->changed && rebuild(routes, &routing) == 0) {
		routing_free(routes->routing);
		routes->routing = routing;
		routes->changed = false;
	}
	return routes->routing;
}

const struct prefix_list *routes_local_addrs(const struct routes *routes)
{
	return &routes->sets[ROUTE_LIST_LOCAL_ADDRS].prefixes;
}

/* Own networks that are in the tailnet ranges by themselves are there only once. */
static bool is_listed(const struct routes *routes, const struct prefix *network)
{
	const struct prefix_list *tailnet = &routes->sets[ROUTE_LIST_TAILNET].prefixes;
	size_t at = find_prefix(tailnet, network);

	return at < tailnet->n && prefix_equal(&tailnet->items[at], network);
}

void routes_foreach(const struct routes *routes,
		    void (*entry)(const struct route_entry *entry, void *userdata), void *userdata)
{
	struct route_entry own = {.list = ROUTE_LIST_TAILNET, .origins = ROUTE_ORIGIN_FOUND};

	for (size_t kind = 0; kind < N_ROUTE_LISTS; kind++) {
		const struct route_set *set = &routes->sets[kind];

		for (size_t i = 0; i < set->prefixes.n; i++) {
			struct route_entry one = {
				.list = (enum route_list_kind)kind,
				.prefix = set->prefixes.items[i],
				.origins = set->states[i].origins,
			};

			entry(&one, userdata);
		}
	}
	for (size_t i = 0; i < routes->own_networks.n; i++) {
		own.prefix = routes->own_networks.items[i];
		if (!is_listed(routes, &own.prefix))
			entry(&own, userdata);
	}
}

size_t routes_count(const struct routes *routes)
{
	size_t n = 0;

	for (size_t kind = 0; kind < N_ROUTE_LISTS; kind++)
		n += routes_count_of(routes, (enum route_list_kind)kind);
	return n;
}

size_t routes_count_of(const struct routes *routes, enum route_list_kind kind)
{
	size_t n = routes->sets[kind].prefixes.n;

	for (size_t i = 0; kind == ROUTE_LIST_TAILNET && i < routes->own_networks.n; i++)
		n += !is_listed(routes, &routes->own_networks.items[i]);
	return n;
}

bool routes_are_reconfigured(const struct routes *routes)
{
	return routes->reconfigured;
}
