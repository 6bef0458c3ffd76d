/* SPDX-License-Identifier: BSD-3-Clause */
/* mmap() wants whole pages, and the parts that are wanted begin anywhere. */

#include "daemon/device/map_view.h"

#include <errno.h>
#include <sys/mman.h>
#include <unistd.h>

int map_view_init(struct map_view *view, int fd, uint64_t first, size_t length)
{
	size_t before = (size_t)(first % (uint64_t)sysconf(_SC_PAGESIZE));
	void *pages =
		mmap(NULL, before + length, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)(first - before));

	if (pages == MAP_FAILED)
		return -errno;
	*view = (struct map_view){pages, before + length, (uint8_t *)pages + before};
	return 0;
}

void map_view_deinit(struct map_view *view)
{
	if (view->pages)
		munmap(view->pages, view->length);
	*view = (struct map_view){};
}
