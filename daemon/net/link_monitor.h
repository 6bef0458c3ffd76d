/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* Reports changes of the machine's interfaces on a libevent loop, so that nothing has to poll. */

struct event_base;
struct link_monitor;

/*
 * Calls back after changes of links (added, removed, renamed, moved to another namespace, up, down) in this
 * network namespace: once per wake-up, however many there were, and also when some may have been missed. The
 * callback must not block. 0 or -errno.
 */
int link_monitor_new(struct event_base *base, void (*changed)(void *userdata), void *userdata,
		     struct link_monitor **ret_monitor);
void link_monitor_free(struct link_monitor *monitor);
