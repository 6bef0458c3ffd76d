/* SPDX-License-Identifier: BSD-3-Clause */
/* The kernel reports a map's memory only in the text of its descriptor's fdinfo. */

#include "daemon/device/map_memory.h"

#include "common/cleanup.h"

#include <stdio.h>

uint64_t map_memory(int fd)
{
	_cleanup_fclose_ FILE *file = NULL;
	unsigned long long bytes = 0;
	char path[40], line[128];

	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
	file = fopen(path, "re");
	if (!file)
		return 0;
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, "memlock: %llu", &bytes) == 1)
			break;
	return bytes;
}
