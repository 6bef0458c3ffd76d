/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * Notifications of changes of links, addresses, routes and rules in a network namespace (rtnetlink multicast,
 * man 7 rtnetlink). They only say that something changed: the reader then reads the current state, so that a
 * missed notification does no harm.
 */

#include <stdbool.h>

/* A descriptor that becomes readable on a change (CLOEXEC, NONBLOCK). 0 or -errno. */
int net_changes_open(int *ret_fd);
/* Reads a bounded number of notifications, and returns whether any of them was a change. True also when the
 * kernel had to drop some. */
bool net_changes_read(int fd);
