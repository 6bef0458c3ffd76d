/*
 * Confinement of the uploader, in the order in which it can be done: the filter of system calls comes last,
 * since it forbids the others.
 */

#include "daemon/upload/sandbox.h"

#include "common/cleanup.h"
#include "common/core_dump.h"
#include "common/log.h"
#include "common/sanitizer.h"

#include <cap-ng.h>
#include <errno.h>
#include <limits.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

static void forbid_dumps(void)
{
	/* A core would hold the private log ID. */
	int r = core_dump_forbid();

	if (r < 0)
		log_warning("core dumps can't be turned off: %s", strerror(-r));
}

void sandbox_close_descriptors(const int *keep, size_t n)
{
	unsigned int next = STDERR_FILENO + 1;

	/* From one that is kept to the next; the list is short. */
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
	/* A service's filter of system calls forbids even to give up nothing. */
	if (capng_have_capabilities(CAPNG_SELECT_CAPS) == CAPNG_NONE)
		return 0;
	/* Whoever may not change the bounding set has nothing in it that it could gain. */
	what = capng_have_capability(CAPNG_EFFECTIVE, CAP_SETPCAP) ? CAPNG_SELECT_BOTH : CAPNG_SELECT_CAPS;
	capng_clear(CAPNG_SELECT_BOTH);
	return capng_apply(what) != 0 ? -EPERM : 0;
}

static void warn(const char *what, int error)
{
	if (error < 0)
		log_warning("running without %s: %s", what, strerror(-error));
}

void sandbox_enter(const struct config *config)
{
	forbid_dumps();
	warn("giving up capabilities", sandbox_drop_capabilities());
	warn("no_new_privs", prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ? -errno : 0);
	warn("landlock", sandbox_restrict_files(config));
	if (!SANITIZER_BUILD)
		warn("a filter of system calls", sandbox_filter_calls());
}
