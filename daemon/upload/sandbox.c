/* Confinement of the uploader. */

#include "daemon/upload/sandbox.h"

#include "common/cleanup.h"
#include "common/config.h"
#include "common/log.h"

#include <errno.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>

static void forbid_dumps(void)
{
	struct rlimit none = {};

	/* A core would hold the private log ID. */
	if (prctl(PR_SET_DUMPABLE, 0) < 0 || setrlimit(RLIMIT_CORE, &none) < 0)
		log_warning("Core dumps can't be turned off: %s", strerror(errno));
}

void sandbox_enter(const struct sandbox_options *options)
{
	(void)options;
	forbid_dumps();
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		log_warning("no_new_privs: %s", strerror(errno));
}

bool sandbox_needs_restart(const struct config *old, const struct config *new)
{
	(void)old;
	(void)new;
	return false;
}
