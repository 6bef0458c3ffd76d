/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The kernel gives out the lowest free number (open(2)), so one at the end of the range means that all before
 * it are taken: nobody has to be counted.
 */

#include "common/descriptors.h"

#include "common/cleanup.h"

#include <errno.h>
#include <sys/resource.h>

#define RAISED_MAX 65536 /* more than any daemon here can use; some libraries go through them all */

int descriptors_raise_limit(void)
{
	struct rlimit limit;
	rlim_t wanted;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0)
		return -errno;
	wanted = MIN(limit.rlim_max, (rlim_t)RAISED_MAX);
	if (limit.rlim_cur >= wanted)
		return 0;
	limit.rlim_cur = wanted;
	return setrlimit(RLIMIT_NOFILE, &limit) < 0 ? -errno : 0;
}

bool descriptor_is_reserved(int fd)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur == RLIM_INFINITY)
		return false;
	return (rlim_t)fd + DESCRIPTORS_RESERVED >= limit.rlim_cur;
}
