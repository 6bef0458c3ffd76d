/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * No core dumps. The limit alone is not enough: the kernel ignores it where core_pattern names a program
 * (core(5)).
 */

#include "common/core_dump.h"

#include "common/sanitizer.h"

#include <errno.h>
#include <sys/prctl.h>
#include <sys/resource.h>

int core_dump_forbid(void)
{
	const struct rlimit none = {};

	if (setrlimit(RLIMIT_CORE, &none) < 0)
		return -errno;
	if (!SANITIZER_BUILD && prctl(PR_SET_DUMPABLE, 0) < 0)
		return -errno;
	return 0;
}
