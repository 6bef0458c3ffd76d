/* SPDX-License-Identifier: BSD-3-Clause */
/* Names and meanings are those of Prometheus' own client libraries. */

#include "daemon/metrics/process.h"

#include "common/buffer.h"
#include "daemon/metrics/exposition.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

static void write_gauge(struct buffer *text, const char *prefix, const char *own_name, const char *help,
			int64_t value)
{
	char name[64];

	snprintf(name, sizeof(name), "%s%s", prefix, own_name);
	exposition_family(text, name, "gauge", help);
	exposition_integer(text, name, NULL, value);
}

/* The one that reads the directory is not counted. */
static int64_t open_descriptors(void)
{
	DIR *directory = opendir("/proc/self/fd");
	int64_t n = -1;

	if (!directory)
		return -1;
	for (const struct dirent *entry; (entry = readdir(directory));)
		n += entry->d_name[0] != '.';
	closedir(directory);
	return n;
}

static int64_t status_field(const char *name)
{
	_cleanup_fclose_ FILE *file = fopen("/proc/self/status", "re");
	size_t n = strlen(name);
	char line[256];

	while (file && fgets(line, sizeof(line), file))
		if (strncmp(line, name, n) == 0 && line[n] == ':')
			return strtoll(line + n + 1, NULL, 10);
	return -1;
}

void metrics_write_process(struct buffer *text, const char *prefix)
{
	int64_t descriptors = open_descriptors(), threads = status_field("Threads"),
		size = status_field("VmSize");
	struct rlimit limit;

	if (descriptors >= 0)
		write_gauge(text, prefix, "process_open_fds", "Descriptors that the daemon has open.",
			    descriptors);
	if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY)
		write_gauge(text, prefix, "process_max_fds", "Descriptors that it may have.",
			    (int64_t)limit.rlim_cur);
	if (threads > 0)
		write_gauge(text, prefix, "process_threads", "Its threads.", threads);
	if (size >= 0)
		write_gauge(text, prefix, "process_virtual_memory_bytes", "Its address space.", size * 1024);
}
