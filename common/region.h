/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * A growing piece of memory straight from the kernel, for arrays that are large in one window and small in
 * the next: what is given back is free at once, growing copies nothing, and new memory is zero.
 */

#include <stddef.h>

/* Zero-initialised is empty. */
struct region {
	void *data;
	size_t size; /* bytes, whole pages */
};

/* Makes it at least this large. The data may move. 0 or -ENOMEM, the region unchanged. */
int region_grow(struct region *region, size_t size);
/* Gives back what lies beyond a size; the data stays where it is. */
void region_shrink(struct region *region, size_t size);
/* Forgets the data, and gives its memory back: the region keeps its size, and reads as zeros. */
void region_clear(struct region *region);
/* Gives back the memory of the whole pages before a size, whose data must not be read again. */
void region_discard(struct region *region, size_t size);
void region_deinit(struct region *region);
