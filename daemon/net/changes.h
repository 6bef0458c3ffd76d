/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * Notice of changes of links, addresses, routes and rules in a network namespace (rtnetlink multicast, man 7
 * rtnetlink). Only that there was one: whoever is told looks at how things are now, which is right whatever
 * was missed.
 */

#include <stdbool.h>

/* A descriptor that becomes readable on a change (CLOEXEC, NONBLOCK). 0 or -errno. */
int net_changes_open(int *ret_fd);
/* Takes what has come, a bounded amount at once, and says whether any of it was a change (also when the
 * kernel had to drop some). */
bool net_changes_read(int fd);
