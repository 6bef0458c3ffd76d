/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * Notifications of changes of links, addresses, routes and rules in a network namespace (rtnetlink multicast,
 * man 7 rtnetlink).
 */

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

struct prefix;

enum net_changes {
	NET_CHANGES_LINKS = 1,
	NET_CHANGES_ADDRESSES = 2,
	NET_CHANGES_ROUTES = 4, /* and nexthop objects */
	NET_CHANGES_RULES = 8,
	NET_CHANGES_ALL = 15,
};

/* A descriptor that becomes readable on such a change (CLOEXEC, NONBLOCK). 0 or -errno. */
int net_changes_open(unsigned int changes, int *ret_fd);

/* Receives one datagram of the kernel's, its messages. Its length; -EAGAIN when there is none; -ENOBUFS when
 * the kernel had to drop some; -EMSGSIZE for one that does not fit; or another -errno. */
ssize_t net_changes_receive(int fd, void *buffer, size_t size);
/*
 * Reads a bounded number of notifications for one who then reads the current state, so that a missed one does
 * no harm. Returns whether any of them was a change. True also when the kernel had to drop some.
 *
 * route_matters() (NULL: all do) is asked about the destination of each route that changed.
 */
bool net_changes_read(int fd, bool (*route_matters)(const struct prefix *destination, void *userdata),
		      void *userdata);
