/* SPDX-License-Identifier: BSD-3-Clause */
/* The kill points of a build for tests; see the header. */

#include "common/kill_point.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* How often the wanted point was passed. Global, like the environment that names it. */
static atomic_ulong passed;

/* Which passing of this point ends the process; 0: none. */
static unsigned long wanted_time(const char *name)
{
	const char *wanted = getenv("NETLOGD_KILL_POINT");
	size_t n = strlen(name);

	if (!wanted || strncmp(wanted, name, n) != 0)
		return 0;
	if (wanted[n] == '\0')
		return 1;
	return wanted[n] == ':' ? strtoul(wanted + n + 1, NULL, 10) : 0;
}

void kill_point(const char *name)
{
	unsigned long time = wanted_time(name);

	if (time > 0 && atomic_fetch_add(&passed, 1) + 1 == time)
		kill(getpid(), SIGKILL);
	else
		return;
	/* Where a seccomp filter forbids that. Files look the same: nothing is flushed or cleaned up. */
	_exit(128 + SIGKILL);
}

size_t kill_point_cut(const char *name, size_t n)
{
	unsigned long time = wanted_time(name);

	if (time == 0 || atomic_load(&passed) + 1 != time || n < 2)
		return n;
	/* Away from the middle, where a boundary is likely. */
	return n / 2 + 100 < n ? n / 2 + 100 : n / 2;
}
