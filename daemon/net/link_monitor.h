/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * Tells when the machine's interfaces, addresses or routes change, so that nothing has to poll: an rtnetlink
 * multicast listener (man 7 rtnetlink) on a libevent loop.
 */

struct event_base;
struct link_monitor;

/*
 * Calls back after changes of links (come, gone, renamed, of another kind, moved to another namespace),
 * addresses or routes in this network namespace: once per wake-up, however many there were, and also when
 * some may have been missed. The callback does no more than hand the work on. 0 or -errno.
 */
int link_monitor_new(struct event_base *base, void (*changed)(void *userdata), void *userdata,
		     struct link_monitor **ret_monitor);
void link_monitor_free(struct link_monitor *monitor);
