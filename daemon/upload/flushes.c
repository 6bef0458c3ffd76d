/* SPDX-License-Identifier: BSD-3-Clause */
/* Few at any time, so they are searched one by one; their order does not matter. */

#include "daemon/upload/flushes.h"

#include "common/cleanup.h"

/* n: it is not there. */
static size_t find(const struct flushes *flushes, int64_t id)
{
	size_t place = 0;

	while (place < flushes->n && flushes->items[place].id != id)
		place++;
	return place;
}

static void remove_at(struct flushes *flushes, size_t place)
{
	flushes->items[place] = flushes->items[--flushes->n];
}

bool flushes_put(struct flushes *flushes, int64_t id, int64_t deadline)
{
	size_t place = find(flushes, id);

	if (place == FLUSHES_MAX)
		return false;
	flushes->items[place].id = id;
	flushes->items[place].deadline = deadline;
	flushes->n = MAX(flushes->n, place + 1);
	return true;
}

bool flushes_forget(struct flushes *flushes, int64_t id)
{
	size_t place = find(flushes, id);

	if (place == flushes->n)
		return false;
	remove_at(flushes, place);
	return true;
}

bool flushes_take(struct flushes *flushes, bool all, int64_t now, int64_t *ret_id)
{
	for (size_t i = 0; i < flushes->n; i++) {
		if (!all && flushes->items[i].deadline > now)
			continue;
		*ret_id = flushes->items[i].id;
		remove_at(flushes, i);
		return true;
	}
	return false;
}

int64_t flushes_deadline(const struct flushes *flushes)
{
	int64_t earliest = INT64_MAX;

	for (size_t i = 0; i < flushes->n; i++)
		earliest = MIN(earliest, flushes->items[i].deadline);
	return earliest;
}
