/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Memory by mmap. The allocator would do for growing, but it keeps large blocks that were freed (its limit
 * for mapping them rises with each), and the daemon must be small again after a large window.
 */

#include "common/region.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static size_t whole_pages(size_t size)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	return (size + page - 1) / page * page;
}

int region_grow(struct region *region, size_t size)
{
	void *data;

	if (size <= region->size)
		return 0;
	if (size > SIZE_MAX / 2)
		return -ENOMEM;

	size = whole_pages(size);
	if (region->data)
		data = mremap(region->data, region->size, size, MREMAP_MAYMOVE);
	else
		data = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (data == MAP_FAILED)
		return -ENOMEM;
	region->data = data;
	region->size = size;
	return 0;
}

void region_shrink(struct region *region, size_t size)
{
	size = whole_pages(size);
	if (size >= region->size)
		return;
	if (size == 0) {
		region_deinit(region);
		return;
	}
	if (munmap((char *)region->data + size, region->size - size) == 0)
		region->size = size;
}

void region_clear(struct region *region)
{
	/* It fails for locked memory. */
	if (region->data && madvise(region->data, region->size, MADV_DONTNEED) < 0)
		memset(region->data, 0, region->size);
}

void region_discard(struct region *region, size_t size)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);

	/* A failure only keeps the memory. */
	if (size >= page)
		madvise(region->data, size / page * page, MADV_DONTNEED);
}

void region_deinit(struct region *region)
{
	if (region->data)
		munmap(region->data, region->size);
	*region = (struct region){};
}
