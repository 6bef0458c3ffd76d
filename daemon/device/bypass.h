/* SPDX-License-Identifier: BSD-3-Clause */
#pragma once

/*
 * Packets that reach an interface without passing the place where they are counted: those that a packet
 * socket sends with PACKET_QDISC_BYPASS, and those that XDP redirects into the interface. They can be told
 * only by the interface's own counter of what was handed to it (sent or dropped). That one counts a large
 * segment as one packet, and packets that are still in the queue not yet, so the result is "at least". Only
 * interfaces of the kind "tun" count what is handed to them and nothing else: WireGuard's counter includes
 * its handshakes.
 */

#include "daemon/device/interface.h"

#include <stdbool.h>
#include <stdint.h>

/* Zero-initialised: nothing is compared. */
struct bypass {
	bool known; /* the interface's counter can be compared */
	bool noted; /* `handed` is that of the side of the epoch that ends */
	uint64_t base;
	uint64_t handed;  /* to the interface, beyond the base */
	uint64_t counted; /* by us */
	uint64_t told;	  /* bypassed so far */
};

/*
 * Counting has begun, in between two questions for the interface's counters (interface_sent()). If it was
 * busy meanwhile, as many packets as its queues can hold are not told, since they may have been on their way.
 */
void bypass_begin(struct bypass *bypass, const struct interface *interface, uint64_t sent_before);
/* Right before counting ends for this window: everything that the interface has sent by now has been counted.
 */
void bypass_note(struct bypass *bypass, struct interface *interface);
/* So many packets were counted in the window. Returns how many more have bypassed. */
uint64_t bypass_count(struct bypass *bypass, uint64_t tx_packets);

/* What was handed to the interface, by its counters. */
uint64_t interface_sent(const struct interface *interface);
