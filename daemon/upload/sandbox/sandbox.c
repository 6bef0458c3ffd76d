/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Confinement of the uploader, in the only order that works: the user first, since everything else works
 * without root as well; the filter of system calls last, since it forbids the other steps.
 */

#include "daemon/upload/sandbox/sandbox.h"

#include "common/cleanup.h"
#include "common/core_dump.h"
#include "common/log.h"
#include "common/sanitizer.h"
#include "daemon/upload/sandbox/landlock.h"
#include "daemon/upload/sandbox/seccomp.h"
#include "daemon/upload/sandbox/user.h"

#include <cap-ng.h>
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

void sandbox_close_descriptors(const int *keep, size_t n)
{
	unsigned int next = STDERR_FILENO + 1;

	/* From one kept descriptor to the next; the list is short. */
	for (;;) {
		unsigned int stop = UINT_MAX;

		for (size_t i = 0; i < n; i++)
			if (keep[i] >= (int)next)
				stop = MIN(stop, (unsigned int)keep[i]);
		if (stop > next)
			(void)syscall(SYS_close_range, next, stop == UINT_MAX ? UINT_MAX : stop - 1, 0);
		if (stop == UINT_MAX)
			return;
		next = stop + 1;
	}
}

int sandbox_drop_capabilities(void)
{
	capng_select_t what;

	if (capng_get_caps_process() < 0)
		return -EPERM;
	/* A service's system call filter forbids capset(2) even where it changes nothing. */
	if (capng_have_capabilities(CAPNG_SELECT_CAPS) == CAPNG_NONE)
		return 0;
	/* Without CAP_SETPCAP the bounding set can't change, and nothing in it can be gained. */
	what = capng_have_capability(CAPNG_EFFECTIVE, CAP_SETPCAP) ? CAPNG_SELECT_BOTH : CAPNG_SELECT_CAPS;
	capng_clear(CAPNG_SELECT_BOTH);
	return capng_apply(what) != 0 ? -EPERM : 0;
}

static void warn(const char *what, int error)
{
	if (error < 0)
		log_warning("the confinement is incomplete: %s: %s", what, strerror(-error));
}

int sandbox_enter(const struct config *config, const struct sandbox_user *user, int upload_fd, bool for_good)
{
	int r = sandbox_user_become(user);

	if (r < 0)
		return r;
	/* A core would hold the private log ID. Only now: a change of user makes the kernel allow dumps
	 * again. */
	r = core_dump_forbid();
	if (r < 0)
		log_warning("cannot disable core dumps: %s", strerror(-r));
	warn("capabilities", sandbox_drop_capabilities());
	warn("no_new_privs", prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? -errno : 0);
	warn("landlock", landlock_restrict(config, upload_fd, for_good));
	if (!SANITIZER_BUILD)
		warn("seccomp", seccomp_restrict());
	return 0;
}
