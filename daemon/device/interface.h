/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* What the sources ask the kernel about a network interface of the current network namespace: whether its
 * packets can be counted, where their IP header lies, and how many it dropped. */

#include "daemon/net/rtnl_read.h"

#include <stdint.h>

struct rtnl;

struct interface {
	unsigned int index;
	unsigned int l2_length;	  /* bytes in front of the IP header in its packets: 0 or 14 */
	char kind[RTNL_KIND_MAX]; /* as in struct rtnl_link */
	/* Its own counters since it was made, when the kernel was last asked. */
	uint64_t rx_dropped, tx_dropped, tx_packets;
	struct rtnl *rtnl; /* for more questions; NULL: none can be asked */
};

/*
 * 0; -ENODEV: no such interface; -EOPNOTSUPP: its link layer is neither raw IP nor Ethernet; or another
 * -errno. No more questions can be asked: rtnl is NULL.
 */
int interface_find(const char *name, struct interface *ret_interface);

/* Keeps a socket for all questions, so that none fails for want of a descriptor. 0 or -errno. */
int interface_open(struct interface *interface);
void interface_close(struct interface *interface);
/* As interface_find(). */
int interface_bind(struct interface *interface, const char *name);
/*
 * Asks the kernel for the counters. 0; -ENODEV: the interface is gone (from this network namespace); or
 * another -errno: nothing could be learned, and the counters are as before.
 */
int interface_refresh(struct interface *interface);
