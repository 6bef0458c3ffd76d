/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* What sums over messages have in common: things in an array, found by an index. */

#include "common/hash_index.h"

#include <stddef.h>

/* Past these many different rows new ones are only counted. */
#define ROWS_MAX 1000000

/* FNV-1a, a piece of a row's key after the other: a log is not an adversary's choice to the point where it
 * would matter here. */
#define ROWS_HASH_START UINT32_C(2166136261)
uint32_t rows_hash(uint32_t hash, const void *data, size_t n);

/* The array and the index with room for one row more than n; NULL: no memory, and nothing changed. */
void *rows_make_room(struct hash_index *index, void *rows, size_t n, size_t *allocated, size_t size);

/* The newer name takes the older one's place; NULL: no news. 0 or -ENOMEM. */
int rows_set_name(char **name, const char *new_name);
