/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Under the unit the daemon has clears its ambient set before it starts us, so that we begin without any; by
 * hand, we are root with all of them. capabilities(7), prctl(2).
 */

#include "daemon/tailscale/confine.h"

#include "common/core_dump.h"

#include <cap-ng.h>
#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>

int confine(void)
{
	int r = core_dump_forbid();

	if (r < 0)
		return r;
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return -errno;
	prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	/* Who may not drop from the bounding set cannot gain by it either: there are no new privileges. */
	for (int capability = 0; prctl(PR_CAPBSET_READ, capability) >= 0; capability++)
		prctl(PR_CAPBSET_DROP, capability);
	capng_clear(CAPNG_SELECT_CAPS);
	if (capng_apply(CAPNG_SELECT_CAPS) == 0)
		return 0;
	/* A unit's filter forbids capset(2), even where it changes nothing. */
	if (capng_get_caps_process() < 0)
		return -EPERM;
	return capng_have_permitted_capabilities() == CAPNG_NONE ? 0 : -EPERM;
}
