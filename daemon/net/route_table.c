/* SPDX-License-Identifier: BSD-3-Clause */
/* A sorted array, with which sorted changes are merged: a burst of a hundred thousand costs a few passes. */

#include "daemon/net/route_table.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* As many changes are gathered before they are applied, and a quarter of the routes. */
#define CHANGES_MIN 4096

void route_table_deinit(struct route_table *table)
{
	free(table->items);
	free(table->changes);
	prefix_list_deinit(&table->touched);
	*table = (struct route_table){};
}

static struct known_route known(const struct rtnl_route *route)
{
	return (struct known_route){
		.destination = prefix_masked(&route->destination),
		.tos = route->tos,
		.several = route->hops > 1,
		.table = route->table,
		.priority = route->priority,
		.nexthop = route->nexthop,
	};
}

static bool same_place(const struct known_route *a, const struct known_route *b)
{
	return a->table == b->table && a->priority == b->priority && a->tos == b->tos &&
	       prefix_equal(&a->destination, &b->destination);
}

/* --- applying changes --- */

static int compare_changes(const void *a, const void *b)
{
	const struct route_change *left = a, *right = b;
	int order = prefix_compare(&left->route.destination, &right->route.destination);

	if (order != 0)
		return order;
	return left->order < right->order ? -1 : left->order > right->order;
}

/* Applies a change to the routes of its destination. Returns how many there are then. */
static size_t apply_one(struct route_table *table, const struct route_change *change,
			struct known_route *routes, size_t n)
{
	size_t i = 0;

	while (i < n && !same_place(&routes[i], &change->route))
		i++;
	switch (change->kind) {
	case ROUTE_CAME:
		if (i == n)
			routes[n++] = change->route;
		else
			routes[i].several = true;
		break;
	case ROUTE_CHANGED:
		routes[i] = change->route;
		n += i == n;
		break;
	case ROUTE_WENT:
		if (i < n && !routes[i].several)
			routes[i] = routes[--n];
		else if (i < n)
			table->uncertain = true;
		break;
	case ROUTE_REPLACED:
		if (i < n)
			table->uncertain = true;
		break;
	}
	return n;
}

static int apply(struct route_table *table)
{
	_cleanup_free_ struct known_route *merged = NULL;
	size_t i = 0, j = 0, n = 0;

	if (table->n_changes == 0)
		return 0;
	merged = calloc(table->n + table->n_changes, sizeof(*merged));
	if (!merged)
		return -ENOMEM;
	qsort(table->changes, table->n_changes, sizeof(*table->changes), compare_changes);
	while (j < table->n_changes) {
		const struct prefix *destination = &table->changes[j].route.destination;
		size_t first, before;

		while (i < table->n && prefix_compare(&table->items[i].destination, destination) < 0)
			merged[n++] = table->items[i++];
		first = n;
		while (i < table->n && prefix_equal(&table->items[i].destination, destination))
			merged[n++] = table->items[i++];
		before = n - first;
		for (;
		     j < table->n_changes && prefix_equal(&table->changes[j].route.destination, destination);
		     j++)
			n = first + apply_one(table, &table->changes[j], merged + first, n - first);
		/* Without memory it is not merged, so that the changes stay; some are then told twice. */
		if ((before > 0) != (n > first) && prefix_list_add(&table->touched, destination) < 0)
			return -ENOMEM;
	}
	while (i < table->n)
		merged[n++] = table->items[i++];
	free(table->items);
	table->items = TAKE_PTR(merged);
	table->n = n;
	table->n_changes = 0;
	return 0;
}

static int add_change(struct route_table *table, const struct route_change *change)
{
	if (table->n_changes == table->allocated_changes) {
		size_t allocated = MAX(2 * table->allocated_changes, (size_t)16);
		struct route_change *changes = reallocarray(table->changes, allocated, sizeof(*changes));

		if (!changes)
			return -ENOMEM;
		table->changes = changes;
		table->allocated_changes = allocated;
	}
	table->changes[table->n_changes] = *change;
	table->changes[table->n_changes].order = (uint32_t)table->n_changes;
	table->n_changes++;
	return 0;
}

int route_table_change(struct route_table *table, enum route_change_kind kind, const struct rtnl_route *route)
{
	struct route_change change = {.route = known(route), .kind = kind};

	if (table->n_changes >= CHANGES_MIN + table->n / 4) {
		int r = apply(table);

		if (r < 0)
			return r;
	}
	return add_change(table, &change);
}

int route_table_drop_nexthop(struct route_table *table, uint32_t nexthop)
{
	size_t kept = 0;
	int r = apply(table);

	for (size_t i = 0; r == 0 && i < table->n; i++)
		if (table->items[i].nexthop == nexthop)
			r = prefix_list_add(&table->touched, &table->items[i].destination);
	if (r < 0)
		return r;
	for (size_t i = 0; i < table->n; i++)
		if (table->items[i].nexthop != nexthop)
			table->items[kept++] = table->items[i];
	table->n = kept;
	return 0;
}

/* --- what was read from the kernel --- */

static int compare_routes(const void *a, const void *b)
{
	const struct known_route *left = a, *right = b;
	int order = prefix_compare(&left->destination, &right->destination);

	if (order != 0)
		return order;
	if (left->table != right->table)
		return left->table < right->table ? -1 : 1;
	if (left->priority != right->priority)
		return left->priority < right->priority ? -1 : 1;
	return left->tos - right->tos;
}

/* Each place once. */
static int sort_routes(const struct rtnl_routes *routes, struct route_table *ret_table)
{
	struct route_table table = {.items = calloc(routes->n + 1, sizeof(*table.items))};

	if (!table.items)
		return -ENOMEM;
	for (size_t i = 0; i < routes->n; i++)
		table.items[i] = known(&routes->items[i]);
	if (routes->n > 1)
		qsort(table.items, routes->n, sizeof(*table.items), compare_routes);
	for (size_t i = 0; i < routes->n; i++) {
		if (table.n > 0 && same_place(&table.items[table.n - 1], &table.items[i]))
			table.items[table.n - 1].several = true;
		else
			table.items[table.n++] = table.items[i];
	}
	*ret_table = table;
	return 0;
}

/* Notes the destinations that only one of two has. */
static int note_differences(const struct route_table *before, const struct route_table *after,
			    struct prefix_list *touched)
{
	size_t i = 0, j = 0;

	while (i < before->n || j < after->n) {
		const struct prefix *old = i < before->n ? &before->items[i].destination : NULL;
		const struct prefix *new = j < after->n ? &after->items[j].destination : NULL;
		int order = old && new ? prefix_compare(old, new) : old ? -1 : 1;

		if (order != 0 && prefix_list_add(touched, order < 0 ? old : new) < 0)
			return -ENOMEM;
		while (order <= 0 && i < before->n && prefix_equal(&before->items[i].destination, old))
			i++;
		while (order >= 0 && j < after->n && prefix_equal(&after->items[j].destination, new))
			j++;
	}
	return 0;
}

int route_table_set(struct route_table *table, const struct rtnl_routes *routes)
{
	struct route_table after;
	int r = sort_routes(routes, &after);

	if (r == 0)
		r = note_differences(table, &after, &table->touched);
	if (r < 0) {
		route_table_deinit(&after);
		return r;
	}
	/* The changes so far happened before the routes were read. */
	free(table->items);
	table->items = after.items;
	table->n = after.n;
	table->n_changes = 0;
	table->uncertain = false;
	return 0;
}

int route_table_add(struct route_table *table, const struct rtnl_routes *routes)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < routes->n; i++)
		r = route_table_change(table, ROUTE_CAME, &routes->items[i]);
	return r < 0 ? r : apply(table);
}

/* --- handing over --- */

static bool holds(const struct route_table *table, const struct prefix *destination)
{
	size_t low = 0, high = table->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (prefix_compare(&table->items[middle].destination, destination) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low < table->n && prefix_equal(&table->items[low].destination, destination);
}

int route_table_take_changes(struct route_table *table, struct prefix_list *ret_came,
			     struct prefix_list *ret_went)
{
	struct prefix_list came = {}, went = {};
	int r = apply(table);

	if (r == 0)
		prefix_list_sort(&table->touched);
	for (size_t i = 0; r == 0 && i < table->touched.n; i++) {
		const struct prefix *destination = &table->touched.items[i];

		r = prefix_list_add(holds(table, destination) ? &came : &went, destination);
	}
	if (r < 0) {
		prefix_list_deinit(&came);
		prefix_list_deinit(&went);
		return r;
	}
	prefix_list_deinit(&table->touched);
	*ret_came = came;
	*ret_went = went;
	return 0;
}

int route_table_get(struct route_table *table, struct prefix_list *ret_destinations)
{
	struct prefix_list list = {};
	int r = apply(table);

	for (size_t i = 0; r == 0 && i < table->n; i++)
		if (i == 0 || !prefix_equal(&table->items[i].destination, &table->items[i - 1].destination))
			r = prefix_list_add(&list, &table->items[i].destination);
	if (r < 0) {
		prefix_list_deinit(&list);
		return r;
	}
	*ret_destinations = list;
	return 0;
}
