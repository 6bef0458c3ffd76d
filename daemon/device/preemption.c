/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The kernel says so in its version. Its configuration would say whether local_bh_disable() still keeps the
 * programs apart, but it may not be readable, and keeping them apart here costs a few ns.
 */

#include "daemon/device/preemption.h"

#include <string.h>
#include <sys/utsname.h>

bool programs_preempt(void)
{
	struct utsname name;

	return uname(&name) == 0 && strstr(name.version, "PREEMPT_RT");
}
