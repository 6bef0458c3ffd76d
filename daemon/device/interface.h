/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/* What the sources ask the kernel about a network interface of the current network namespace: whether its
 * packets can be counted, where their IP header lies, and how many it dropped. */

#include <stdint.h>

struct interface {
	unsigned int index;
	unsigned int l2_length; /* bytes in front of the IP header in its packets: 0 or 14 */
};

/*
 * 0; -ENODEV: no such interface; -EOPNOTSUPP: its link layer is neither raw IP nor Ethernet; or another
 * -errno.
 */
int interface_find(const char *name, struct interface *ret_interface);

/* Packets that the interface has dropped since it was made. 0, -ENODEV or another -errno. */
int interface_get_drops(unsigned int index, uint64_t *ret_rx, uint64_t *ret_tx);
