/* SPDX-License-Identifier: BSD-3-Clause */
/* Here and not in each sum, so that all of them take names and memory alike. */

#include "control/rows.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

uint32_t rows_hash(uint32_t hash, const void *data, size_t n)
{
	const uint8_t *bytes = data;

	for (size_t i = 0; i < n; i++)
		hash = (hash ^ bytes[i]) * UINT32_C(16777619);
	return hash;
}

void *rows_make_room(struct hash_index *index, void *rows, size_t n, size_t *allocated, size_t size)
{
	size_t more = *allocated > 0 ? *allocated * 2 : 64;

	if (hash_index_reserve(index, n + 1) < 0)
		return NULL;
	if (n < *allocated)
		return rows;
	rows = reallocarray(rows, more, size);
	if (rows)
		*allocated = more;
	return rows;
}

int rows_set_name(char **name, const char *new_name)
{
	char *copy;

	if (!new_name || (*name && strcmp(*name, new_name) == 0))
		return 0;
	copy = strdup(new_name);
	if (!copy)
		return -ENOMEM;
	free(*name);
	*name = copy;
	return 0;
}
